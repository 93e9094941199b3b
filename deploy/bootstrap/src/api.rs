//! As much of an API client as the bootstrap needs: one request per connection, with the
//! administrator's certificate.

use crate::layout::{API_PORT, Layout};
use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer that is read.
const MAX_BODY: usize = 64 << 20;

/// A client of the cluster's apiserver.
pub struct Api {
    connector: TlsConnector,
}

impl Api {
    /// A client with the administrator's certificate.
    pub fn new(layout: &Layout) -> anyhow::Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in pki::pem::certificates(&layout.pki("ca.crt"))? {
            roots.add(certificate)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(
                pki::pem::certificates(&layout.pki("admin.crt"))?,
                pki::pem::private_key(&layout.pki("admin.key"))?,
            )?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)) })
    }

    /// Sends a request; any status is an answer.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<(&str, String)>,
    ) -> anyhow::Result<(u16, Bytes)> {
        tokio::time::timeout(PATIENCE, self.exchange(method, path, body)).await.context("no answer in time")?
    }

    async fn exchange(&self, method: &str, path: &str, body: Option<(&str, String)>) -> anyhow::Result<(u16, Bytes)> {
        let stream = TcpStream::connect(("127.0.0.1", API_PORT)).await?;
        let stream = self.connector.connect(ServerName::try_from("localhost")?, stream).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let mut request = http::Request::builder().method(method).uri(path).header("host", "localhost");
        let (content_type, text) = body.unwrap_or(("application/json", String::new()));
        request = request.header("content-type", content_type).header("accept", "application/json");
        let request = request.body(Full::new(Bytes::from(text)))?;
        let answer = async {
            let response = sender.send_request(request).await?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), MAX_BODY).collect().await.map_err(|e| anyhow::anyhow!(e))?;
            anyhow::Ok((status, body.to_bytes()))
        };
        tokio::select! {
            answer = answer => answer,
            closed = connection => { closed?; bail!("the connection was closed") }
        }
    }

    /// Creates an object, or changes what differs of one that is there. What others own of it stays.
    pub async fn apply(&self, collection: &str, name: &str, manifest: &str) -> anyhow::Result<()> {
        let path = format!("{collection}/{name}?fieldManager=bootstrap&force=true");
        let (status, answer) =
            self.request("PATCH", &path, Some(("application/apply-patch+yaml", manifest.to_owned()))).await?;
        match status {
            200..=299 => Ok(()),
            _ => bail!("applying {collection}/{name}: {status}: {}", message(&answer)),
        }
    }

    /// A GET whose answer must be an object.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let (status, answer) = self.request("GET", path, None).await?;
        match status {
            200 => serde_json::from_slice(&answer).with_context(|| format!("reading the answer to GET {path}")),
            _ => bail!("GET {path}: {status}: {}", message(&answer)),
        }
    }
}

/// What a `Status` says, or the beginning of any other text.
fn message(answer: &[u8]) -> String {
    let status: Option<Value> = serde_json::from_slice(answer).ok();
    let message = status.and_then(|s| s.get("message").and_then(Value::as_str).map(str::to_owned));
    message.unwrap_or_else(|| String::from_utf8_lossy(answer).chars().take(200).collect())
}
