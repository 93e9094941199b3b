//! Connections: accept, TLS handshake, HTTP/1.1 or HTTP/2, graceful end.
//!
//! Upstream: `apiserver/pkg/server/secure_serving.go`.

mod line;
mod watching;

use self::line::Followed;
use self::watching::Stream;
use crate::body::Body;
use crate::chain::{self, Peer};
use crate::lifecycle::Farewell;
use crate::server::Server;
use component::Supervisor;
use component::serve::{Tls, plain};
use futures::FutureExt;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue};
use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Longest TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Longest time between a connection's start, or its last answer, and a whole request head.
const HEAD: Duration = Duration::from_secs(90);
/// Bytes of all headers of a request, as Go's default.
const MAX_HEADERS: u32 = 1024 * 1024;
/// Bytes of one HTTP/1.1 request head; hyper buffers as much.
const MAX_HEAD_BUFFER: usize = 256 * 1024;
/// Headers of one HTTP/1.1 request: groups that are impersonated are one each.
const MAX_HEADER_COUNT: usize = 1000;
/// Streams that a client may reset before the server has seen them.
const MAX_PENDING_RESETS: usize = 100;
/// Bytes in flight to the server on one HTTP/2 stream and connection, as upstream.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Bytes in flight to the server on all streams of a connection.
const CONNECTION_WINDOW: u32 = 256 * 1024 * 4;
/// Bytes of responses that one HTTP/2 stream buffers.
const SEND_BUFFER: usize = 64 * 1024;
/// An idle HTTP/2 connection is asked whether it lives.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// And has this long to say so.
const PING_TIMEOUT: Duration = Duration::from_secs(15);
/// Wait after a failed accept, such as out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Accepts connections until the server's supervisor stops.
pub async fn run(server: Arc<Server>, listener: TcpListener, tls: Arc<Tls>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = server.supervisor.stopping() => return,
        };
        match accepted {
            Ok((stream, address)) => {
                let (server, tls) = (server.clone(), tls.clone());
                server.supervisor.clone().spawn("connection", async move {
                    connection(server, &tls, stream, address).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(server: Arc<Server>, tls: &Tls, mut stream: TcpStream, address: SocketAddr) {
    // Answers are written whole: waiting to gather more would only add latency. The watches of a
    // machine that is gone must not stay.
    component::serve::watch_peer(&stream);
    let config = stream.local_addr().map_or_else(|_| tls.config(), |local| tls.config_at(local.ip()));
    let accept = async {
        match plain::refuse(&mut stream).await {
            true => Ok(None),
            false => TlsAcceptor::from(config).accept(stream).await.map(Some),
        }
    };
    let stream = match tokio::time::timeout(HANDSHAKE, accept).await {
        Ok(Ok(Some(stream))) => stream,
        Ok(Ok(None)) => return tracing::debug!(%address, "plain HTTP on a port for TLS"),
        Ok(Err(error)) => return tracing::debug!(%address, %error, "TLS handshake failed"),
        Err(_) => return tracing::debug!(%address, "TLS handshake took too long"),
    };
    let (_, session) = stream.get_ref();
    let certificates = session.peer_certificates().unwrap_or_default();
    let certificates = certificates.iter().map(|c| c.clone().into_owned()).collect();
    let http2 = session.alpn_protocol() == Some(b"h2");
    let farewell = if http2 { Farewell::heard() } else { Farewell::default() };
    let peer = Peer { certificates, address: Some(address), farewell };
    // The future that knows the handshake is large; the one that lives long is not.
    Box::pin(http(server, Arc::new(peer), stream, http2)).await;
}

/// Serves HTTP on a stream until the client or the server ends it.
pub async fn http<I>(server: Arc<Server>, peer: Arc<Peer>, stream: I, http2: bool)
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    if http2 {
        return Box::pin(multiplexed(server, peer, stream)).await;
    }
    let mut stream = Stream::new(stream);
    while is_used(&server.supervisor, &mut stream).await {
        // Boxed, so that what requests need is gone while a watch runs.
        let Some((next, watch)) = Box::pin(one_by_one(server.clone(), peer.clone(), stream)).await else { return };
        stream = next;
        if let Err(error) = stream.send(watch).await {
            return tracing::debug!(%error, "watch ended");
        }
    }
    // Who has gone need not be told.
    let _ = stream.shutdown().await;
}

/// Waits for the first bytes of a request.
async fn is_used<I: AsyncRead + AsyncWrite + Unpin>(supervisor: &Supervisor, stream: &mut Stream<I>) -> bool {
    tokio::select! {
        heard = tokio::time::timeout(HEAD, stream.heard()) => matches!(heard, Ok(Ok(()))),
        () = supervisor.stopping() => false,
    }
}

/// Serves HTTP/1.1 up to a request whose answer is a watch.
async fn one_by_one<I>(server: Arc<Server>, peer: Arc<Peer>, stream: Stream<I>) -> Option<(Stream<I>, Response<Body>)>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let supervisor = server.supervisor.clone();
    let taken = Arc::new(Mutex::new(None));
    let (take, mark) = (taken.clone(), stream.mark());
    let service = service_fn(move |request: Request<Incoming>| {
        let (server, peer, take) = (server.clone(), peer.clone(), take.clone());
        let may_take = watching::may_take(&request);
        let request = mark.follow(request);
        async move {
            if let Some(refusal) = misaddressed(&request) {
                return Ok::<_, Infallible>(refusal);
            }
            let answer = chain::handle(server, peer, request).boxed().await;
            if may_take && watching::is_watch(&answer) {
                *take.lock() = Some(answer);
                // The connection is taken away before it asks again.
                return std::future::pending().await;
            }
            Ok(answer)
        }
    });
    let mut connection = http1_builder().serve_connection(TokioIo::new(stream), service).with_upgrades();
    let mut stopping = pin!(supervisor.stopping().fuse());
    let ended = std::future::poll_fn(|cx| {
        if stopping.as_mut().poll(cx).is_ready() {
            Pin::new(&mut connection).graceful_shutdown();
        }
        let ended = Pin::new(&mut connection).poll(cx);
        match taken.lock().take() {
            Some(watch) => Poll::Ready(Ok(Some(watch))),
            None => ended.map_ok(|()| None),
        }
    });
    match ended.await {
        Ok(watch) => {
            let (watch, parts) = (watch?, connection.into_parts()?);
            Some((parts.io.into_inner().rewound(parts.read_buf), watch))
        }
        Err(error) => {
            tracing::debug!(%error, "connection ended");
            None
        }
    }
}

/// What Go's server says to requests that do not say whom they are for, or say it twice.
fn misaddressed<B>(request: &Request<B>) -> Option<Response<Body>> {
    let text = match request.headers().get_all(HOST).iter().count() {
        0 if request.version() == Version::HTTP_11 => "400 Bad Request: missing required Host header",
        0 | 1 => return None,
        _ => "400 Bad Request",
    };
    Some(bad_request(text))
}

/// A refusal that ends the connection, as Go's server has it.
fn bad_request(text: &'static str) -> Response<Body> {
    let mut answer = Response::new(Body::Full(text.into()));
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().extend([(CONTENT_TYPE, text), (CONNECTION, HeaderValue::from_static("close"))]);
    answer
}

/// Serves HTTP/2.
async fn multiplexed<I>(server: Arc<Server>, peer: Arc<Peer>, stream: I)
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (supervisor, farewell) = (server.supervisor.clone(), peer.farewell.clone());
    let streams = server.options.max_streams;
    let service = service_fn(move |request: Request<Incoming>| {
        let (server, peer) = (server.clone(), peer.clone());
        async move { Ok::<_, Infallible>(chain::handle(server, peer, request.map(Followed::from)).boxed().await) }
    });
    let mut connection = pin!(http2_builder(&supervisor, streams).serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = supervisor.stopping() => None,
        () = farewell.said() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

fn http1_builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MAX_HEAD_BUFFER)
        .max_headers(MAX_HEADER_COUNT);
    builder
}

/// Streams of HTTP/2 connections are tasks of the supervisor.
#[derive(Clone)]
struct Tasks(Supervisor);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, stream: F) {
        self.0.spawn("stream", stream);
    }
}

fn http2_builder(supervisor: &Supervisor, streams: u32) -> http2::Builder<Tasks> {
    let mut builder = http2::Builder::new(Tasks(supervisor.clone()));
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(streams)
        .max_header_list_size(MAX_HEADERS)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_PENDING_RESETS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}
