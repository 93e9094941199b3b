//! How long the writes that keep the node alive may take.
//!
//! Upstream: the heartbeat client of `cmd/kubelet/app/server.go`.

use crate::config::KubeletConfiguration;
use std::time::Duration;

/// Why a heartbeat did not get through.
#[derive(Debug, thiserror::Error)]
pub enum HeartbeatError {
    /// The apiserver refused it, or could not be reached.
    #[error("{}", words(.0))]
    Api(#[source] kube::Error),
    /// There was no answer.
    #[error("no answer from the apiserver within {0:?}")]
    Silence(Duration),
}

/// The apiserver's own words, without the object around them.
fn words(e: &kube::Error) -> String {
    match e {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// The limit of one heartbeat.
#[derive(Clone, Copy, Debug)]
pub struct Heartbeat(Duration);

impl Heartbeat {
    /// As long as until the next status would be written, but no longer than the lease lasts.
    pub fn new(config: &KubeletConfiguration) -> Self {
        let lease = Duration::from_secs(u64::from(config.node_lease_duration_seconds));
        Self(config.node_status_update_frequency.0.min(lease))
    }

    /// The outcome of `writing`, if there is one in time.
    pub async fn within<T>(self, writing: impl Future<Output = kube::Result<T>>) -> Result<T, HeartbeatError> {
        match tokio::time::timeout(self.0, writing).await {
            Ok(outcome) => outcome.map_err(HeartbeatError::Api),
            Err(_) => Err(HeartbeatError::Silence(self.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn silence_ends() {
        let config = KubeletConfiguration {
            node_status_update_frequency: "10ms".parse().unwrap(),
            ..KubeletConfiguration::default()
        };
        let heartbeat = Heartbeat::new(&config);
        assert_eq!(heartbeat.within(async { Ok(1) }).await.unwrap(), 1);
        let error = heartbeat.within(std::future::pending::<kube::Result<()>>()).await.unwrap_err();
        assert_eq!(error.to_string(), "no answer from the apiserver within 10ms");
    }
}
