//! Accepting connections, plainly or over TLS, and serving them until the supervisor stops.

use super::plain;
use super::router::{self, Response, Router};
use super::tls::Tls;
use super::{Access, Presented, Request, ServeError};
use crate::Supervisor;
use futures::FutureExt as _;
use http::StatusCode;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Connections served at the same time.
const CONNECTIONS_AT_MOST: usize = 1000;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a request's head may take.
const HEAD: Duration = Duration::from_secs(30);

/// Requests under way on one HTTP/2 connection, unless a flag says otherwise.
const STREAMS: u32 = 100;

/// How connections speak.
#[derive(Clone, Debug)]
pub enum Protocol {
    /// HTTP.
    Plain,
    /// HTTPS.
    Tls(Arc<Tls>),
}

/// A bound socket.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    streams: u32,
}

/// What each connection needs.
#[derive(Clone, Debug)]
struct App {
    router: Arc<Router>,
    access: Access,
    supervisor: Supervisor,
    streams: u32,
}

impl Server {
    /// Binds; port 0 takes a free one.
    pub async fn bind(address: SocketAddr) -> Result<Self, ServeError> {
        let fail = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        Ok(Self { listener, address, streams: STREAMS })
    }

    /// A socket that somebody else has bound in another way than [`Self::bind`] does.
    pub fn of(listener: std::net::TcpListener) -> std::io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, streams: STREAMS })
    }

    /// Limits the requests under way on one HTTP/2 connection; `None` is the default.
    #[must_use]
    pub fn with_streams(self, limit: Option<u32>) -> Self {
        Self { streams: limit.unwrap_or(STREAMS), ..self }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the supervisor stops; then connections end after their present request.
    pub async fn run(self, protocol: Protocol, router: Router, access: Access, supervisor: Supervisor) {
        let app = App { router: Arc::new(router), access, supervisor: supervisor.clone(), streams: self.streams };
        let places = Arc::new(Semaphore::new(CONNECTIONS_AT_MOST));
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = supervisor.stopping() => return,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of files, most likely: give the others time to end.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
            let (app, protocol) = (app.clone(), protocol.clone());
            supervisor.spawn("connection", async move {
                app.connection(stream, peer, protocol).await;
                drop(place);
            });
        }
    }
}

impl App {
    async fn connection(self, mut stream: TcpStream, peer: SocketAddr, protocol: Protocol) {
        super::watch_peer(&stream);
        let tls = match protocol {
            Protocol::Plain => return self.serve(stream, peer, Presented::default()).await,
            Protocol::Tls(tls) => tls,
        };
        let config = stream.local_addr().map_or_else(|_| tls.config(), |local| tls.config_at(local.ip()));
        let accept = async {
            match plain::refuse(&mut stream).await {
                true => Ok(None),
                false => tokio_rustls::TlsAcceptor::from(config).accept(stream).await.map(Some),
            }
        };
        match tokio::time::timeout(HANDSHAKE, accept).await {
            Ok(Ok(None)) => tracing::debug!(%peer, "plain HTTP on a port for TLS"),
            Ok(Ok(Some(stream))) => {
                let presented = tls.presented(stream.get_ref().1.peer_certificates());
                self.serve(stream, peer, presented).await;
            }
            Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
        }
    }

    async fn serve<S>(self, stream: S, peer: SocketAddr, presented: Presented)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (supervisor, streams) = (self.supervisor.clone(), self.streams);
        let service = hyper::service::service_fn(move |request| {
            let (app, presented) = (self.clone(), presented.clone());
            async move { Ok::<_, std::convert::Infallible>(app.answer(request, peer, presented).await) }
        });
        let builder = builder(streams);
        let mut connection = std::pin::pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = supervisor.stopping() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, error, "connection ended");
        }
    }

    /// A panic of a handler costs its request, not the daemon.
    async fn answer(self, request: http::Request<Incoming>, peer: SocketAddr, presented: Presented) -> Response {
        let path = request.uri().path().to_owned();
        let observation = self.router.observe(request.method(), &path);
        let answer = AssertUnwindSafe(self.checked(request, peer, presented)).catch_unwind().await;
        let answer = answer.unwrap_or_else(|_| {
            tracing::error!(path, "handler panicked");
            router::text(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error\n")
        });
        match observation {
            Some(observation) => router::until_sent(answer, observation),
            None => answer,
        }
    }

    async fn checked(&self, request: http::Request<Incoming>, peer: SocketAddr, presented: Presented) -> Response {
        let (parts, body) = request.into_parts();
        let user = match self.access.check(&parts, presented).await {
            Ok(user) => user,
            Err(refusal) => return refusal,
        };
        let http = http::Request::from_parts(parts, body);
        self.router.handle(Request { http, user, peer }).await
    }
}

fn builder(streams: u32) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(64 << 10);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(streams)
        .max_header_list_size(64 << 10)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(100)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(15));
    builder
}
