//! `proxy`: the API on a local address, with our credentials.
//!
//! Upstream: `kubectl/pkg/cmd/proxy`, `kubectl/pkg/proxy`.

mod files;
mod filter;
mod paths;

use super::Session;
use crate::cli::streams::Proxy;
use crate::print;
use crate::writing::Fatal;
use anyhow::bail;
use bytes::Bytes;
use filter::Filter;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::process::ExitCode;
use tokio::net::{TcpListener, UnixListener};

type Body = BoxBody<Bytes, hyper::Error>;
type Connection = BoxFuture<'static, ()>;

/// What all connections share.
struct Shared {
    session: Session,
    filter: Option<Filter>,
    api_prefix: String,
    server_path: String,
    files: Option<files::Files>,
    /// Work that outlives its request: bodies and tunnels.
    work: tokio::sync::mpsc::UnboundedSender<Connection>,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

pub(super) async fn run(session: Session, flags: &Proxy) -> anyhow::Result<ExitCode> {
    if flags.port != 8001 && !flags.unix_socket.is_empty() {
        bail!("cannot set --unix-socket and --port at the same time");
    }
    if flags.keepalive != "0s" {
        eprintln!("Warning: --keepalive={} is not supported and has no effect", flags.keepalive);
    }
    if !flags.www.is_empty() && !std::path::Path::new(&flags.www).is_dir() {
        eprintln!("Failed to stat static file directory {}", flags.www);
    }
    let filter = if flags.disable_filter {
        if flags.unix_socket.is_empty() {
            eprintln!("Request filter disabled, your proxy is vulnerable to XSRF attacks, please be cautious");
        }
        None
    } else {
        match Filter::of(flags) {
            Ok(filter) => Some(filter),
            Err(why) => {
                let text = format!("Error compiling re: {why}");
                eprintln!("{}", print::harmless(&Fatal { place: "proxy_server.go:83", text }.to_string()));
                return Ok(ExitCode::from(255));
            }
        }
    };
    let listener = listen(flags).await?;
    let (work, mut received) = tokio::sync::mpsc::unbounded_channel();
    let prefix = format!("/{}", flags.api_prefix.trim_matches('/'));
    let server_path = if flags.append_server_path { session.client.base_path() } else { String::new() };
    let files = (!flags.www.is_empty()).then(|| files::Files::new(&flags.www, &flags.www_prefix));
    let shared = std::sync::Arc::new(Shared { session, filter, api_prefix: prefix, server_path, files, work });
    let mut running: FuturesUnordered<Connection> = FuturesUnordered::new();
    loop {
        tokio::select! {
            connection = accept(&listener, &shared) => running.push(connection?),
            Some(work) = received.recv() => running.push(work),
            Some(()) = running.next() => {}
        }
    }
}

async fn listen(flags: &Proxy) -> anyhow::Result<Listener> {
    if flags.unix_socket.is_empty() {
        let listener = TcpListener::bind((flags.address.trim_matches(['[', ']']), flags.port)).await;
        let why = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::AddrInUse => "bind: address already in use".to_owned(),
            _ => error.to_string(),
        };
        let listener =
            listener.map_err(|error| anyhow::anyhow!("listen tcp {}:{}: {}", flags.address, flags.port, why(error)))?;
        crate::outln!("Starting to serve on {}", listener.local_addr()?);
        return Ok(Listener::Tcp(listener));
    }
    // A socket that nobody listens on any more is in the way.
    if std::os::unix::net::UnixStream::connect(&flags.unix_socket).is_err() {
        let _ = std::fs::remove_file(&flags.unix_socket);
    }
    let listener = UnixListener::bind(&flags.unix_socket)?;
    crate::outln!("Starting to serve on {}", flags.unix_socket);
    Ok(Listener::Unix(listener))
}

async fn accept(listener: &Listener, shared: &std::sync::Arc<Shared>) -> anyhow::Result<Connection> {
    Ok(match listener {
        Listener::Tcp(listener) => serve(TokioIo::new(listener.accept().await?.0), shared.clone()),
        Listener::Unix(listener) => serve(TokioIo::new(listener.accept().await?.0), shared.clone()),
    })
}

fn serve<I>(io: TokioIo<I>, shared: std::sync::Arc<Shared>) -> Connection
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(shared.answer(request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(io, service).with_upgrades();
    connection.map(drop).boxed()
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        if let Some(target) = self.moved(request.uri()) {
            return moved(&target);
        }
        if let Some(files) = self.files.as_ref().filter(|files| files.serves(&path)) {
            return files.answer(&path);
        }
        let host = request.headers().get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
        if let Some(filter) = &self.filter
            && !filter.accepts(request.method().as_str(), &path, host)
        {
            return plain(StatusCode::FORBIDDEN, "Forbidden\n");
        }
        match self.forward(request).await {
            Ok(response) => response,
            Err(error) => plain(StatusCode::BAD_GATEWAY, &format!("{error:#}\n")),
        }
    }

    fn moved(&self, uri: &http::Uri) -> Option<String> {
        let api = format!("{}/", self.api_prefix.trim_end_matches('/'));
        let files = self.files.as_ref().map(files::Files::prefix);
        let prefixes: Vec<&str> = std::iter::once(api.as_str()).chain(files).collect();
        paths::moved(uri.path(), uri.query(), &prefixes)
    }

    async fn forward(&self, mut request: Request<Incoming>) -> anyhow::Result<Response<Body>> {
        let given = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let inner = match self.api_prefix.as_str() {
            "/" => given,
            prefix => match given.strip_prefix(prefix) {
                Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
                _ => return Ok(plain(StatusCode::NOT_FOUND, "404 page not found\n")),
            },
        };
        let inner = if inner.starts_with('/') { inner.to_owned() } else { format!("/{inner}") };
        *request.uri_mut() = format!("{}{inner}", self.server_path).parse()?;
        // The browser's credentials are not ours.
        request.headers_mut().remove(header::AUTHORIZATION);
        request.headers_mut().remove(header::HOST);
        for (name, value) in &self.session.client.headers()? {
            if name != header::USER_AGENT {
                request.headers_mut().append(name.clone(), value.clone());
            }
        }
        let io = self.session.client.dial().await?;
        let streaming::tunnel::Forwarded { response, driver } = streaming::tunnel::forward(request, io).await?;
        // The receiver lives as long as the proxy.
        let _ = self.work.send(driver);
        Ok(response.map(BodyExt::boxed))
    }
}

/// An answer that leads on.
fn moved(target: &str) -> Response<Body> {
    let mut response = plain(StatusCode::MOVED_PERMANENTLY, "");
    if let Ok(target) = HeaderValue::from_str(target) {
        response.headers_mut().insert(header::LOCATION, target);
    }
    response
}

/// A short answer of our own.
fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let body = Full::new(Bytes::copy_from_slice(text.as_bytes())).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
