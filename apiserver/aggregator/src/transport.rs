//! Connections to aggregated servers, and the aggregator's own small requests to them.
//!
//! Upstream: `kube-aggregator/pkg/controllers/status/remote` (`BuildTransportConfig`).

use crate::identity;
use crate::service::{Reference, Trust};
use crate::unchecked::Unchecked;
use apiserver_registry::backends::Backend;
use bytes::Bytes;
use futures::future::{Either, select};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Longest time until a connection stands.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest time for one of the aggregator's own requests, as upstream.
const REQUEST: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read: OpenAPI documents are the largest.
const MAX_ANSWER: usize = 32 * 1024 * 1024;
/// Where systems keep the authorities that they trust.
const SYSTEM_BUNDLES: &[&str] =
    &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// Why another server could not be asked.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum TransportError {
    #[error("{0}")]
    Trust(String),
    #[error("dial tcp {address}: {why}")]
    Connect { address: String, why: String },
    #[error("{0}")]
    Http(String),
    #[error("context deadline exceeded")]
    Timeout,
}

/// `--proxy-client-cert-file` and `--proxy-client-key-file`: who this server is to others.
#[derive(Clone, Debug, Default)]
pub struct Credentials(Option<Arc<Pair>>);

#[derive(Debug)]
struct Pair {
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Credentials {
    /// A client certificate with its key.
    pub fn new(certificates: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Self {
        Self(Some(Arc::new(Pair { certificates, key })))
    }

    fn is(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        }
    }
}

/// TLS to the servers behind one reference.
pub(crate) struct Connector {
    credentials: Credentials,
    server_name: String,
    tls: Result<TlsConnector, String>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connector({})", self.server_name)
    }
}

/// A server's answer to the aggregator.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Connector {
    /// Prepares TLS. What is wrong with the bundle is said by each connection.
    pub(crate) fn new(reference: &Reference, credentials: &Credentials) -> Self {
        let tls = config(&reference.trust, credentials).map(|c| TlsConnector::from(Arc::new(c)));
        Self { credentials: credentials.clone(), server_name: reference.server_name(), tls }
    }

    pub(crate) fn is_of(&self, credentials: &Credentials) -> bool {
        self.credentials.is(credentials)
    }

    /// A TLS connection to one of the servers.
    pub(crate) async fn connect(&self, backend: &Backend) -> Result<TlsStream<TcpStream>, TransportError> {
        let tls = self.tls.as_ref().map_err(|why| TransportError::Trust(why.clone()))?;
        let fail = |why: String| TransportError::Connect { address: backend.to_string(), why };
        let name = ServerName::try_from(self.server_name.clone()).map_err(|e| fail(e.to_string()))?;
        let dial = async {
            let stream = TcpStream::connect((backend.host.as_str(), backend.port)).await?;
            stream.set_nodelay(true)?;
            tls.connect(name, stream).await
        };
        match tokio::time::timeout(CONNECT, dial).await {
            Ok(stream) => stream.map_err(|error| fail(error.to_string())),
            Err(_) => Err(fail("i/o timeout".into())),
        }
    }

    /// Asks one of the servers with the aggregator's own identity.
    pub(crate) async fn get(
        &self,
        backend: &Backend,
        path: &str,
        headers: &[(header::HeaderName, &str)],
    ) -> Result<Answer, TransportError> {
        let mut request = Request::get(path).header(header::HOST, backend.to_string());
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let mut request = request.body(Empty::<Bytes>::new()).map_err(http_error)?;
        identity::set(request.headers_mut(), &identity::own());
        let exchange = async { send(self.connect(backend).await?, request).await };
        tokio::time::timeout(REQUEST, exchange).await.unwrap_or(Err(TransportError::Timeout))
    }
}

/// One request on a connection of its own.
async fn send(stream: TlsStream<TcpStream>, request: Request<Empty<Bytes>>) -> Result<Answer, TransportError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(http_error)?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(http_error)?;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(http_error)?.to_bytes();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    };
    match select(pin!(exchange), pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        // The connection may end with the answer already on its way to us.
        Either::Right((_, exchange)) => exchange.await,
    }
}

fn http_error(error: impl std::fmt::Display) -> TransportError {
    TransportError::Http(error.to_string())
}

fn config(trust: &Trust, credentials: &Credentials) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|e| e.to_string())?;
    let builder = match trust {
        Trust::Anything => builder.dangerous().with_custom_certificate_verifier(Arc::new(Unchecked::new(algorithms))),
        Trust::Bundle(pem) => builder.with_root_certificates(roots(pem)?),
        Trust::System => builder.with_root_certificates(system_roots()?),
    };
    match &credentials.0 {
        Some(pair) => builder.with_client_auth_cert(pair.certificates.clone(), pair.key.clone_key()),
        None => Ok(builder.with_no_client_auth()),
    }
    .map_err(|e| e.to_string())
}

fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    let certificates = pki::pem::parse_certificates(pem, "caBundle").map_err(|e| e.to_string())?;
    let (added, _) = store.add_parsable_certificates(certificates);
    match added {
        0 => Err("unable to load root certificates: unable to parse bytes as PEM block".into()),
        _ => Ok(store),
    }
}

fn system_roots() -> Result<RootCertStore, String> {
    let file = SYSTEM_BUNDLES.iter().map(Path::new).find(|p| p.exists());
    let file = file.ok_or("this machine has no bundle of trusted authorities, and there is no caBundle")?;
    roots(&pki::pem::read(file).map_err(|e| e.to_string())?)
}
