//! One plugin of a driver: the connection to its socket.
//!
//! Upstream: `pkg/kubelet/cm/dra/plugin/dra_plugin.go`.

use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use proto::dra as api;
use proto::dra::dra_plugin_client::DraPluginClient;
use proto::dra::v1beta1;
use proto::dra::v1beta1::dra_plugin_client::DraPluginClient as OldClient;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Status};

/// How long a call may take: half of upstream's kubelet's retry period.
const CALL: Duration = Duration::from_secs(45);
const CONNECT: Duration = Duration::from_secs(10);

/// The versions of the contract, the newest first.
pub const SERVICES: [&str; 2] = ["v1.DRAPlugin", "v1beta1.DRAPlugin"];

/// Which of them a plugin speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `v1`
    Stable,
    /// `v1beta1`
    Beta,
}

/// The first that the plugin names and this kubelet knows; why there is none otherwise.
pub fn choose(named: &[String]) -> Result<Version, String> {
    if named.is_empty() {
        return Err("empty list of supported gRPC services (aka supported versions)".to_owned());
    }
    let known = named.iter().find_map(|service| SERVICES.iter().position(|known| known == service));
    match known {
        Some(0) => Ok(Version::Stable),
        Some(_) => Ok(Version::Beta),
        None => {
            let (named, known) = (quoted(named), quoted(&SERVICES));
            Err(format!("none of services supported by the plugin ({named}) are supported by the kubelet ({known})"))
        }
    }
}

/// As Go prints a list of texts by `%q`.
fn quoted(texts: &[impl AsRef<str>]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| format!("{:?}", text.as_ref())).collect();
    format!("[{}]", texts.join(" "))
}

/// Calls of one plugin. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Plugin {
    endpoint: PathBuf,
    version: Version,
    channel: Arc<Mutex<Channel>>,
    connections: watch::Sender<usize>,
}

impl Plugin {
    /// That listens on the socket; it is connected when it is needed, and counts its connections.
    pub fn new(endpoint: &Path, version: Version, connections: watch::Sender<usize>) -> Self {
        let channel = settings().connect_with_connector_lazy(connector(endpoint, &connections));
        Self { endpoint: endpoint.to_owned(), version, channel: Arc::new(Mutex::new(channel)), connections }
    }

    /// Where it listens.
    pub fn endpoint(&self) -> &Path {
        &self.endpoint
    }

    /// Connects, if somebody listens.
    pub async fn connect(&self) {
        let connector = connector(&self.endpoint, &self.connections);
        if let Ok(channel) = settings().connect_with_connector(connector).await {
            *self.channel.lock() = channel;
        }
    }

    /// A call as gRPC names it.
    pub fn method(&self, call: &str) -> String {
        let version = match self.version {
            Version::Stable => "v1",
            Version::Beta => "v1beta1",
        };
        format!("/k8s.io.kubelet.pkg.apis.dra.{version}.DRAPlugin/{call}")
    }

    fn channel(&self) -> Channel {
        self.channel.lock().clone()
    }

    /// Makes the devices of claims ready for containers.
    ///
    /// # Errors
    /// The plugin refuses all of it, or is gone.
    pub async fn prepare(&self, claims: Vec<api::Claim>) -> Result<api::NodePrepareResourcesResponse, Status> {
        match self.version {
            Version::Stable => {
                let request = limited(api::NodePrepareResourcesRequest { claims });
                let answer = DraPluginClient::new(self.channel()).node_prepare_resources(request).await?;
                Ok(answer.into_inner())
            }
            Version::Beta => {
                let claims = claims.into_iter().map(old_claim).collect();
                let request = limited(v1beta1::NodePrepareResourcesRequest { claims });
                let answer = OldClient::new(self.channel()).node_prepare_resources(request).await?.into_inner();
                let claims = answer.claims.into_iter().map(|(uid, claim)| {
                    let devices = claim.devices.into_iter().map(new_device).collect();
                    (uid, api::NodePrepareResourceResponse { devices, error: claim.error })
                });
                Ok(api::NodePrepareResourcesResponse { claims: claims.collect() })
            }
        }
    }

    /// Takes that back.
    ///
    /// # Errors
    /// The plugin refuses all of it, or is gone.
    pub async fn unprepare(&self, claims: Vec<api::Claim>) -> Result<api::NodeUnprepareResourcesResponse, Status> {
        match self.version {
            Version::Stable => {
                let request = limited(api::NodeUnprepareResourcesRequest { claims });
                let answer = DraPluginClient::new(self.channel()).node_unprepare_resources(request).await?;
                Ok(answer.into_inner())
            }
            Version::Beta => {
                let claims = claims.into_iter().map(old_claim).collect();
                let request = limited(v1beta1::NodeUnprepareResourcesRequest { claims });
                let answer = OldClient::new(self.channel()).node_unprepare_resources(request).await?.into_inner();
                let claims = answer.claims.into_iter();
                let claims = claims.map(|(uid, c)| (uid, api::NodeUnprepareResourceResponse { error: c.error }));
                Ok(api::NodeUnprepareResourcesResponse { claims: claims.collect() })
            }
        }
    }
}

/// A status as upstream's client prints it.
pub fn rpc(status: &Status) -> String {
    format!("rpc error: code = {:?} desc = {}", status.code(), status.message())
}

fn limited<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL);
    request
}

fn old_claim(claim: api::Claim) -> v1beta1::Claim {
    v1beta1::Claim { namespace: claim.namespace, uid: claim.uid, name: claim.name }
}

fn new_device(device: v1beta1::Device) -> api::Device {
    api::Device {
        request_names: device.request_names,
        pool_name: device.pool_name,
        device_name: device.device_name,
        cdi_device_ids: device.cdi_device_ids,
        share_id: None,
    }
}

/// The name is not looked up: the connection goes to the socket.
fn settings() -> Endpoint {
    Endpoint::from_static("http://plugin").connect_timeout(CONNECT)
}

fn connector(
    endpoint: &Path,
    connections: &watch::Sender<usize>,
) -> impl tower::Service<Uri, Response = TokioIo<Counted>, Error = std::io::Error, Future: Send> + Send + use<> {
    let (path, connections) = (endpoint.to_owned(), connections.clone());
    tower::service_fn(move |_: Uri| {
        let (path, connections) = (path.clone(), connections.clone());
        async move {
            let stream = UnixStream::connect(path).await?;
            connections.send_modify(|count| *count += 1);
            Ok(TokioIo::new(Counted { stream, connections }))
        }
    })
}

/// A connection that is counted as long as it is open.
struct Counted {
    stream: UnixStream,
    connections: watch::Sender<usize>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.connections.send_modify(|count| *count = count.saturating_sub(1));
    }
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
