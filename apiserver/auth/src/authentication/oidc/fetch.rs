//! GET of a JSON document over TLS, bounded in time and size.

use super::ConfigError;
use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Longest time for one document.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest document.
const MAX_DOCUMENT: usize = 1 << 20;

/// Fetches documents of one issuer.
pub(super) struct Fetcher(TlsConnector);

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fetcher")
    }
}

impl Fetcher {
    /// Trusts these PEM authorities, or else those of the system.
    pub(super) fn new(authorities: Option<&str>) -> Result<Self, ConfigError> {
        let mut roots = RootCertStore::empty();
        match authorities {
            Some(pem) => {
                let certificates = pki::pem::parse_certificates(pem.as_bytes(), "certificateAuthority");
                for certificate in certificates.map_err(|e| ConfigError::Authority(e.to_string()))? {
                    roots.add(certificate).map_err(|e| ConfigError::Authority(e.to_string()))?;
                }
            }
            None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| ConfigError::Authority(e.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    pub(super) async fn get(&self, url: &str) -> Result<Value, String> {
        match tokio::time::timeout(PATIENCE, self.exchange(url)).await {
            Ok(answer) => answer.map_err(|error| format!("Get {url:?}: {error}")),
            Err(_) => Err(format!("Get {url:?}: context deadline exceeded")),
        }
    }

    async fn exchange(&self, url: &str) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        let uri: Uri = url.parse()?;
        let host = uri.host().unwrap_or_default();
        let bare = host.trim_matches(['[', ']']);
        let stream = TcpStream::connect((bare, uri.port_u16().unwrap_or(443))).await?;
        let stream = self.0.connect(ServerName::try_from(bare.to_owned())?, stream).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let path = uri.path_and_query().map_or("/", |p| p.as_str());
        let authority = uri.authority().map_or(host, |a| a.as_str());
        let request = Request::get(path)
            .header(header::HOST, authority)
            .header(header::ACCEPT, "application/json")
            .body(Empty::<Bytes>::new())?;
        // The connection lives as long as this exchange.
        let exchange = async {
            let answer = sender.send_request(request).await?;
            if !answer.status().is_success() {
                return Err(format!("{}", answer.status()).into());
            }
            let bytes = Limited::new(answer.into_body(), MAX_DOCUMENT).collect().await?.to_bytes();
            Ok(serde_json::from_slice(&bytes)?)
        };
        let mut connection = std::pin::pin!(connection);
        let mut exchange = std::pin::pin!(exchange);
        tokio::select! {
            answer = &mut exchange => answer,
            ended = &mut connection => match ended {
                // What was read before the end may be all there is.
                Ok(()) => exchange.await,
                Err(error) => Err(error.into()),
            },
        }
    }
}
