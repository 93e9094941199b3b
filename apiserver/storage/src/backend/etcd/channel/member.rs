//! One member of an etcd cluster, and the connection to it.

use super::KeepAlive;
use crate::{StorageError, StoreConfig};
use bytes::Bytes;
use h2::client::{Connection, SendRequest};
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;
use tonic::Status;
use tonic::codegen::http::Uri;
use tonic::codegen::http::uri::{Authority, Parts, Scheme};

const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// How long a member that cannot be reached is left alone while there are others.
const REST: Duration = Duration::from_secs(5);
/// Bytes of one answer that may be on their way.
const STREAM_WINDOW: u32 = 2 << 20;
/// Bytes of all answers on a connection.
const CONNECTION_WINDOW: u32 = 5 << 20;

/// Where a member is, and the connection to it.
pub(super) struct Member {
    authority: Authority,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    keep_alive: KeepAlive,
    line: Mutex<Line>,
}

/// The state of a connection.
#[derive(Default)]
enum Line {
    #[default]
    None,
    /// Requests can be sent, unless it has broken since.
    Open(SendRequest<Bytes>),
    /// It could not be had then.
    Failed(Instant),
}

/// What a request puts up with to get to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// It does not wait for a connection that somebody else makes, nor tries what has just failed.
    None,
    /// Anything.
    Any,
}

/// Why a member cannot be reached.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreachable {
    #[error("cannot connect to {0}: {1}")]
    Connect(Authority, std::io::Error),
    #[error("{0} did not answer within {CONNECT_DEADLINE:?}")]
    Silent(Authority),
    #[error("{0} does not speak HTTP/2: {1}")]
    Protocol(Authority, h2::Error),
}

/// All members that a configuration names.
pub(super) fn all(config: &StoreConfig, keep_alive: KeepAlive) -> Result<Vec<Member>, StorageError> {
    let is_secure = config.servers.iter().any(|server| server.starts_with("https://"));
    let tls = is_secure.then(|| connector(config)).transpose()?;
    let member = |server: &String| {
        let tls = tls.as_ref().filter(|_| !server.starts_with("http://"));
        let authority = server.split_once("://").map_or(server.as_str(), |(_, rest)| rest).trim_end_matches('/');
        let authority: Authority = authority.parse().map_err(|error| wrong(server, &error))?;
        let name = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = tls.map(|tls| Ok((tls.clone(), ServerName::try_from(name).map_err(|error| wrong(server, &error))?)));
        Ok(Member { authority, tls: tls.transpose()?, keep_alive, line: Mutex::default() })
    };
    let members = config.servers.iter().map(member).collect::<Result<Vec<Member>, StorageError>>()?;
    match members.is_empty() {
        true => Err(StorageError::Unavailable("no etcd server is named".to_owned())),
        false => Ok(members),
    }
}

fn wrong(what: &str, error: &dyn std::fmt::Display) -> StorageError {
    StorageError::Unavailable(format!("{what}: {error}"))
}

fn connector(config: &StoreConfig) -> Result<TlsConnector, StorageError> {
    let mut roots = RootCertStore::empty();
    let authorities = config.ca.as_ref().map(|ca| pki::pem::parse_certificates(ca, "--etcd-cafile")).transpose();
    for authority in authorities.map_err(|error| wrong("--etcd-cafile", &error))?.into_iter().flatten() {
        roots.add(authority).map_err(|error| wrong("--etcd-cafile", &error))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| wrong("TLS", &error))?;
    let builder = builder.with_root_certificates(roots);
    let mut tls = match &config.identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = pki::pem::parse_certificates(certificate, "--etcd-certfile");
            let chain = chain.map_err(|error| wrong("--etcd-certfile", &error))?;
            let key = pki::pem::parse_private_key(key, "--etcd-keyfile");
            let key = key.map_err(|error| wrong("--etcd-keyfile", &error))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| wrong("--etcd-certfile", &error))?
        }
    };
    tls.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsConnector::from(Arc::new(tls)))
}

impl Member {
    /// The address of a method that has a path only.
    pub(super) fn address(&self, path: &Uri) -> Result<Uri, Status> {
        let mut parts = Parts::default();
        parts.scheme = Some(if self.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = path.path_and_query().cloned();
        Uri::from_parts(parts).map_err(|error| Status::internal(error.to_string()))
    }

    /// The connection that there is, or a new one; `None` if that takes more patience.
    pub(super) async fn line(&self, patience: Patience) -> Result<Option<SendRequest<Bytes>>, Unreachable> {
        let mut line = match (self.line.try_lock(), patience) {
            (Ok(line), _) => line,
            (Err(_), Patience::None) => return Ok(None),
            (Err(_), Patience::Any) => self.line.lock().await,
        };
        match &*line {
            Line::Open(open) => {
                if let Ok(open) = open.clone().ready().await {
                    return Ok(Some(open));
                }
            }
            Line::Failed(then) if patience == Patience::None && then.elapsed() < REST => return Ok(None),
            Line::Failed(_) | Line::None => {}
        }
        let connect = tokio::time::timeout(CONNECT_DEADLINE, self.connect()).await;
        let new = connect.unwrap_or_else(|_| Err(Unreachable::Silent(self.authority.clone())));
        *line = new.as_ref().map_or_else(|_| Line::Failed(Instant::now()), |new| Line::Open(new.clone()));
        new.map(Some)
    }

    async fn connect(&self) -> Result<SendRequest<Bytes>, Unreachable> {
        let failed = |error| Unreachable::Connect(self.authority.clone(), error);
        let port = self.authority.port_u16().unwrap_or(if self.tls.is_some() { 443 } else { 80 });
        let host = self.authority.host().trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, port)).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        match &self.tls {
            None => self.speak(stream).await,
            Some((tls, name)) => self.speak(tls.connect(name.clone(), stream).await.map_err(failed)?).await,
        }
    }

    pub(super) async fn speak<I>(&self, stream: I) -> Result<SendRequest<Bytes>, Unreachable>
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW).enable_push(false);
        let handshake = builder.handshake(stream).await;
        let (line, connection) = handshake.map_err(|error| Unreachable::Protocol(self.authority.clone(), error))?;
        let (keep_alive, authority) = (self.keep_alive, self.authority.clone());
        run(async move {
            if let Err(error) = drive(connection, keep_alive).await {
                tracing::debug!(%authority, error, "a connection to etcd is lost");
            }
        });
        Ok(line)
    }
}

/// Runs what lives for as long as somebody uses it: it ends by itself, after the requests that are served to the end when
/// the server stops.
pub(super) fn run(task: impl Future<Output = ()> + Send + 'static) {
    hyper::rt::Executor::execute(&TokioExecutor::new(), task);
}

/// Sends and reads until nobody needs the connection any more.
async fn drive<I>(mut connection: Connection<I, Bytes>, keep_alive: KeepAlive) -> Result<(), String>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let pings = connection.ping_pong();
    let silence = async {
        let Some(mut pings) = pings else { return std::future::pending().await };
        loop {
            tokio::time::sleep(keep_alive.interval).await;
            let pong = tokio::time::timeout(keep_alive.timeout, pings.ping(h2::Ping::opaque())).await;
            if !matches!(pong, Ok(Ok(_))) {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        ended = connection => ended.map_err(|error| error.to_string()),
        () = silence => Err(format!("no answer within {:?}", keep_alive.timeout)),
    }
}
