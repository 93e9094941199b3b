//! Calls of a driver's node service.
//!
//! Upstream: `pkg/volume/csi/csi_client.go`.

use super::metrics::Calls;
use crate::plugins::socket;
use proto::csi::node_client::NodeClient;
use proto::csi::node_service_capability::{self, rpc};
use proto::csi::{
    NodeExpandVolumeRequest, NodeGetCapabilitiesRequest, NodeGetInfoRequest, NodeGetInfoResponse,
    NodeGetVolumeStatsRequest, NodeGetVolumeStatsResponse, NodePublishVolumeRequest, NodeStageVolumeRequest,
    NodeUnpublishVolumeRequest, NodeUnstageVolumeRequest,
};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

pub use rpc::Type as Capability;

/// How long a driver may take for a call.
const LIMIT: Duration = Duration::from_secs(120);

/// A driver cannot be used or refused.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    #[error("driver name {0} not found in the list of registered CSI drivers")]
    NotRegistered(String),
    #[error("rpc error: code = {} desc = {}", code(.0), .0.message())]
    Rpc(Status),
}

impl DriverError {
    /// The driver has not answered in time.
    pub fn timed_out() -> Self {
        Self::Rpc(Status::deadline_exceeded("context deadline exceeded"))
    }

    /// Whether nothing goes on at the driver any more: what it was asked for has not been done.
    pub fn is_final(&self) -> bool {
        let Self::Rpc(status) = self else { return false };
        !matches!(
            status.code(),
            Code::Cancelled | Code::DeadlineExceeded | Code::Unavailable | Code::ResourceExhausted | Code::Aborted
        )
    }

    /// The gRPC code, if the driver has answered.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Rpc(status) => Some(status.code()),
            Self::NotRegistered(_) => None,
        }
    }
}

/// As Go's library writes it.
fn code(status: &Status) -> String {
    match status.code() {
        Code::Ok => "OK".to_owned(),
        Code::Cancelled => "Canceled".to_owned(),
        other => format!("{other:?}"),
    }
}

/// A connection to a driver, whose calls are counted.
pub struct Driver {
    client: NodeClient<Channel>,
    name: String,
    counts: Calls,
}

impl Driver {
    /// Connects to the socket of the driver of this name.
    pub async fn connect(socket: &Path, name: &str, counts: Calls) -> Result<Self, DriverError> {
        let unreachable = |e: tonic::transport::Error| {
            let text = format!("connection error: desc = \"transport: Error while dialing: {}\"", chain(&e));
            DriverError::Rpc(Status::unavailable(text))
        };
        let client = NodeClient::new(socket::channel(socket).await.map_err(unreachable)?);
        Ok(Self { client, name: name.to_owned(), counts })
    }

    /// What the driver calls this node.
    pub async fn info(&mut self) -> Result<NodeGetInfoResponse, DriverError> {
        within((&self.counts, &self.name, "NodeGetInfo"), self.client.node_get_info(NodeGetInfoRequest {})).await
    }

    /// What the driver can do.
    pub async fn capabilities(&mut self) -> Result<BTreeSet<Capability>, DriverError> {
        let all = within(
            (&self.counts, &self.name, "NodeGetCapabilities"),
            self.client.node_get_capabilities(NodeGetCapabilitiesRequest {}),
        )
        .await?
        .capabilities;
        let known = all.into_iter().filter_map(|c| match c.r#type? {
            node_service_capability::Type::Rpc(rpc) => Capability::try_from(rpc.r#type).ok(),
        });
        Ok(known.collect())
    }

    /// Makes a volume ready for the pods of this node.
    pub async fn stage(&mut self, request: NodeStageVolumeRequest) -> Result<(), DriverError> {
        within((&self.counts, &self.name, "NodeStageVolume"), self.client.node_stage_volume(request)).await.map(drop)
    }

    /// Undoes it.
    pub async fn unstage(&mut self, request: NodeUnstageVolumeRequest) -> Result<(), DriverError> {
        within((&self.counts, &self.name, "NodeUnstageVolume"), self.client.node_unstage_volume(request))
            .await
            .map(drop)
    }

    /// Mounts a volume for a pod.
    pub async fn publish(&mut self, request: NodePublishVolumeRequest) -> Result<(), DriverError> {
        within((&self.counts, &self.name, "NodePublishVolume"), self.client.node_publish_volume(request))
            .await
            .map(drop)
    }

    /// Undoes it.
    pub async fn unpublish(&mut self, request: NodeUnpublishVolumeRequest) -> Result<(), DriverError> {
        within((&self.counts, &self.name, "NodeUnpublishVolume"), self.client.node_unpublish_volume(request))
            .await
            .map(drop)
    }

    /// Makes a volume's file system as large as the volume.
    pub async fn expand(&mut self, request: NodeExpandVolumeRequest) -> Result<(), DriverError> {
        within((&self.counts, &self.name, "NodeExpandVolume"), self.client.node_expand_volume(request)).await.map(drop)
    }

    /// What is used of a volume.
    pub async fn stats(
        &mut self,
        request: NodeGetVolumeStatsRequest,
    ) -> Result<NodeGetVolumeStatsResponse, DriverError> {
        within((&self.counts, &self.name, "NodeGetVolumeStats"), self.client.node_get_volume_stats(request)).await
    }
}

/// Waits for the answer of a call of this name to this driver, and counts it.
async fn within<T>(
    (counts, driver, method): (&Calls, &str, &str),
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, DriverError> {
    let began = Instant::now();
    let answer = match tokio::time::timeout(LIMIT, call).await {
        Ok(answer) => answer.map(Response::into_inner).map_err(DriverError::Rpc),
        Err(_) => Err(DriverError::timed_out()),
    };
    let code = match &answer {
        Err(DriverError::Rpc(status)) => code(status),
        Ok(_) | Err(DriverError::NotRegistered(_)) => code(&Status::ok("")),
    };
    counts.called(driver, method, began, code);
    answer
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |e| e.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_as_gos() {
        let error = DriverError::Rpc(Status::internal("no disk"));
        assert_eq!(error.to_string(), "rpc error: code = Internal desc = no disk");
        assert!(error.is_final());
        let error = DriverError::Rpc(Status::cancelled("x"));
        assert_eq!(error.to_string(), "rpc error: code = Canceled desc = x");
        assert!(!error.is_final());
        let error = DriverError::NotRegistered("d".into());
        assert_eq!(error.to_string(), "driver name d not found in the list of registered CSI drivers");
    }
}
