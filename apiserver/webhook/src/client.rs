//! One webhook: its connections, and the calls over them.
//!
//! Upstream: `apiserver/pkg/util/webhook/client.go`, `client-go/rest/request.go`.

use crate::tls::{self, Identity};
use crate::{Config, ConfigError, Target};
use apiserver_registry::backends::{self, Backend, BackendError, Routing};
use apiserver_storage::Store;
use bytes::Bytes;
use component::Supervisor;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The longest answer that is read.
const MAX_ANSWER: usize = 16 << 20;

/// How many idle connections one webhook keeps.
const MAX_IDLE: usize = 8;

/// The longest part of a failed answer that goes into an error.
const MAX_QUOTE: usize = 2048;

/// What clients work with.
#[derive(Clone, Debug)]
pub struct Means {
    /// Where Services and their endpoints are looked up.
    pub store: Store,
    /// Owns the connections.
    pub supervisor: Supervisor,
}

/// A client of one webhook.
#[derive(Debug)]
pub struct Client {
    config: Config,
    means: Means,
    tls: Connector,
    authorization: Option<HeaderValue>,
    idle: Mutex<Vec<Connection>>,
}

type Connection = SendRequest<Full<Bytes>>;

struct Connector(TlsConnector);

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

/// Why a call has no answer. Prints as upstream's client does.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The request did not get through.
    #[error("Post {url:?}: {cause}")]
    Unreachable {
        /// Where it went.
        url: String,
        /// What happened.
        cause: Cause,
    },
    /// It was answered by something else than success.
    #[error("{0}")]
    Refused(Refusal),
}

/// What happened on the way.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// Time is up.
    #[error("context deadline exceeded")]
    Deadline,
    /// The Service leads nowhere.
    #[error("{0}")]
    Service(BackendError),
    /// Nobody listens there.
    #[error("dial tcp {address}: {why}")]
    Dial {
        /// Where.
        address: String,
        /// Why not.
        why: String,
    },
    /// The server is not who it should be, or does not speak TLS.
    #[error("tls: failed to verify certificate: {0}")]
    Tls(std::io::Error),
    /// The server went away.
    #[error("{0}")]
    Http(hyper::Error),
    /// The answer is too long, or ended early.
    #[error("{0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// The request could not be written down.
    #[error("{0}")]
    Request(http::Error),
}

/// An answer that is no success.
#[derive(Debug)]
pub struct Refusal {
    /// Its status.
    pub status: StatusCode,
    /// The beginning of its body.
    pub text: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.status.as_u16() {
            404 => f.write_str("the server could not find the requested resource"),
            401 => f.write_str("the server has asked for the client to provide credentials"),
            500.. => write!(f, "an error on the server ({:?}) has prevented the request from succeeding", self.text),
            _ => write!(f, "the server rejected our request for an unknown reason ({})", self.status.as_u16()),
        }
    }
}

impl CallError {
    /// The HTTP status of the answer, if there was one.
    pub fn code(&self) -> Option<u16> {
        match self {
            CallError::Refused(refusal) => Some(refusal.status.as_u16()),
            CallError::Unreachable { .. } => None,
        }
    }

    /// Whether time was up.
    pub fn is_timeout(&self) -> bool {
        matches!(self, CallError::Unreachable { cause: Cause::Deadline, .. })
    }
}

impl Client {
    /// Prepares TLS; connects when called.
    pub fn new(config: Config, identity: Option<Identity>, means: &Means) -> Result<Self, ConfigError> {
        let tls = Connector(tls::connector(&config.authorities, identity)?);
        Ok(Self { config, means: means.clone(), tls, authorization: None, idle: Mutex::default() })
    }

    /// Proves who this server is by a header.
    pub fn with_authorization(self, authorization: Option<HeaderValue>) -> Self {
        Self { authorization, ..self }
    }

    /// Posts JSON, and answers the body of a success.
    pub async fn post(&self, body: Bytes, timeout: Duration) -> Result<Bytes, CallError> {
        let path = self.config.path(timeout);
        let answer = match tokio::time::timeout(timeout, self.exchange(&path, body)).await {
            Ok(answer) => answer,
            Err(_) => Err(Cause::Deadline),
        };
        let unreachable = |cause| {
            let url = format!("https://{}{path}", self.config.authority());
            CallError::Unreachable { url, cause }
        };
        let (status, bytes) = answer.map_err(unreachable)?;
        match status.is_success() {
            true => Ok(bytes),
            false => {
                let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_QUOTE)]).trim().to_owned();
                Err(CallError::Refused(Refusal { status, text }))
            }
        }
    }

    async fn exchange(&self, path: &str, body: Bytes) -> Result<(StatusCode, Bytes), Cause> {
        // A kept connection may have been closed meanwhile; a fresh one gets a second try.
        let kept = self.idle.lock().pop();
        if let Some(mut connection) = kept
            && connection.ready().await.is_ok()
            && let Ok(answer) = connection.send_request(self.request(path, body.clone())?).await
        {
            return self.finish(connection, answer).await;
        }
        let mut connection = self.connect().await?;
        let answer = connection.send_request(self.request(path, body)?).await.map_err(Cause::Http)?;
        self.finish(connection, answer).await
    }

    fn request(&self, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, Cause> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, self.config.authority())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, */*")
            .header(USER_AGENT, concat!("kube-apiserver/v", env!("CARGO_PKG_VERSION")));
        let request = match &self.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization),
            None => request,
        };
        request.body(Full::new(body)).map_err(Cause::Request)
    }

    /// Reads the answer to its end; the connection is kept for the next call.
    async fn finish(&self, connection: Connection, answer: Response<Incoming>) -> Result<(StatusCode, Bytes), Cause> {
        let (parts, body) = answer.into_parts();
        let bytes = Limited::new(body, MAX_ANSWER).collect().await.map_err(Cause::Body)?.to_bytes();
        let mut idle = self.idle.lock();
        if idle.len() < MAX_IDLE && !connection.is_closed() {
            idle.push(connection);
        }
        Ok((parts.status, bytes))
    }

    async fn connect(&self) -> Result<Connection, Cause> {
        let (address, stream) = self.dial().await?;
        let _ = stream.set_nodelay(true);
        let name = ServerName::try_from(self.config.server_name());
        let name = name.map_err(|error| Cause::Dial { address, why: error.to_string() })?;
        let stream = self.tls.0.connect(name, stream).await.map_err(Cause::Tls)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Cause::Http)?;
        self.means.supervisor.spawn_until_stop("webhook connection", async move {
            // What goes wrong here is what the request that waits for it is told.
            let _ = connection.await;
        });
        Ok(sender)
    }

    /// A connection to the first backend that takes one.
    async fn dial(&self) -> Result<(String, TcpStream), Cause> {
        let mut failure = None;
        for backend in self.backends()? {
            match TcpStream::connect((backend.host.as_str(), backend.port)).await {
                Ok(stream) => return Ok((backend.to_string(), stream)),
                Err(error) => {
                    let (address, why) = (backend.to_string(), connect_text(&error));
                    failure = failure.or(Some(Cause::Dial { address, why }));
                }
            }
        }
        Err(failure.unwrap_or_else(|| Cause::Service(BackendError::NoEndpoints(self.config.server_name()))))
    }

    fn backends(&self) -> Result<Vec<Backend>, Cause> {
        match &self.config.target {
            Target::Url(url) => {
                let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
                Ok(vec![Backend { host, port: url.port_or_known_default().unwrap_or(443) }])
            }
            Target::Service { namespace, name, port, .. } => {
                backends::resolve(&self.means.store, namespace, name, *port, Routing::Names).map_err(Cause::Service)
            }
        }
    }
}

/// Go's words for the usual failures of a connection.
pub fn connect_text(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connect: connection refused".into(),
        std::io::ErrorKind::TimedOut => "i/o timeout".into(),
        std::io::ErrorKind::HostUnreachable => "connect: no route to host".into(),
        _ => error.to_string(),
    }
}
