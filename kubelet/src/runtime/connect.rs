//! The runtime's socket.

use hyper_util::rt::TokioIo;
use std::path::PathBuf;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Uri};

/// Where the runtime listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(PathBuf);

/// The configured endpoint is not one.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("containerRuntimeEndpoint {0:?}: only unix:///path is supported")]
pub struct BadEndpoint(String);

impl Endpoint {
    /// Reads `unix:///run/containerd/containerd.sock` or a bare absolute path.
    pub fn parse(text: &str) -> Result<Self, BadEndpoint> {
        let path = text.strip_prefix("unix://").unwrap_or(text);
        if path.starts_with('/') { Ok(Self(path.into())) } else { Err(BadEndpoint(text.to_owned())) }
    }

    /// A channel that connects on first use and again when the runtime was restarted.
    pub(super) fn channel(&self) -> Channel {
        let path = self.0.clone();
        // The name is not looked up: every connection goes to the socket.
        tonic::transport::Endpoint::from_static("http://runtime").connect_with_connector_lazy(tower::service_fn(
            move |_: Uri| {
                let path = path.clone();
                async move { UnixStream::connect(path).await.map(TokioIo::new) }
            },
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        assert_eq!(Endpoint::parse("unix:///run/x.sock"), Ok(Endpoint("/run/x.sock".into())));
        assert_eq!(Endpoint::parse("/run/x.sock"), Ok(Endpoint("/run/x.sock".into())));
        assert!(Endpoint::parse("tcp://1.2.3.4:1").is_err());
        assert!(Endpoint::parse("").is_err());
    }
}
