//! Requests of one client share few connections over HTTP/2.
//!
//! A server limits the requests under way on one connection, and a watch is under way for as long as it lasts. So
//! watches have connections of their own, as many as their number asks for, and never hold up anything else.
//!
//! Upstream: `golang.org/x/net/http2` (`StrictMaxConcurrentStreams` is off), `DISABLE_HTTP2` of
//! `apimachinery/pkg/util/net`.

use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::ConfigExt as _;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tower::BoxError;

/// Watches on one connection: less than any server allows (upstream's and this project's allow 250 or 100).
const WATCHES: usize = 80;
/// A quiet connection is asked this often whether it lives, and given up if it does not answer in time.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(15);
/// Bytes in flight on one stream; and on all of a connection, so that slow readers do not hold up others.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 64 << 20;

type Connector = HttpsConnector<HttpConnector>;
type Http = legacy::Client<Connector, kube::client::Body>;

/// The connections of one client.
#[derive(Clone)]
pub(crate) struct Lanes {
    protocol: Protocol,
    routes: Arc<Mutex<Routes>>,
}

/// How requests get to the server at present.
struct Routes {
    connector: Connector,
    calls: Http,
    watches: Vec<Lane>,
}

/// A connection and how many watches are under way on it: as many as others hold its token.
#[derive(Clone)]
struct Lane {
    http: Http,
    token: Arc<()>,
}

/// What connections speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// One request at a time.
    Http1,
    /// Many at a time.
    Http2,
}

impl Protocol {
    /// HTTP/2 over TLS, unless `DISABLE_HTTP2` is set.
    pub(crate) fn of(config: &kube::Config) -> Self {
        let is_disabled = std::env::var_os("DISABLE_HTTP2").is_some_and(|value| !value.is_empty());
        match config.cluster_url.scheme_str() == Some("https") && !is_disabled {
            true => Self::Http2,
            false => Self::Http1,
        }
    }
}

impl Lanes {
    /// Connections to the configured server over these sockets.
    pub(crate) fn new(config: &kube::Config, tcp: HttpConnector, protocol: Protocol) -> kube::Result<Self> {
        Ok(Self { protocol, routes: Arc::new(Mutex::new(Routes::new(config, tcp, protocol)?)) })
    }

    /// Makes new connections from now on, as this configuration says. Requests under way end on the old ones.
    pub(crate) fn replace(&self, config: &kube::Config, tcp: HttpConnector) -> kube::Result<()> {
        *self.routes.lock() = Routes::new(config, tcp, self.protocol)?;
        Ok(())
    }

    /// Where to send a request; watches hold the token while they last.
    fn choose<A>(&self, request: &Request<A>) -> (Http, Option<Arc<()>>) {
        let mut routes = self.routes.lock();
        // Over HTTP/1.1 every request has a connection to itself anyway.
        if self.protocol == Protocol::Http1 || !crate::deadline::is_endless(request) {
            return (routes.calls.clone(), None);
        }
        let Routes { connector, watches, .. } = &mut *routes;
        let free = watches.iter().position(|lane| Arc::strong_count(&lane.token) <= WATCHES);
        let at = free.unwrap_or_else(|| {
            watches.push(Lane { http: http(connector, self.protocol), token: Arc::default() });
            watches.len() - 1
        });
        let lane = &watches[at];
        (lane.http.clone(), Some(lane.token.clone()))
    }
}

impl Routes {
    fn new(config: &kube::Config, tcp: HttpConnector, protocol: Protocol) -> kube::Result<Self> {
        let connector = match protocol {
            Protocol::Http1 => config.rustls_https_connector_with_connector(tcp)?,
            Protocol::Http2 => http2_connector(config, tcp)?,
        };
        let calls = http(&connector, protocol);
        Ok(Self { connector, calls, watches: Vec::new() })
    }
}

fn http2_connector(config: &kube::Config, tcp: HttpConnector) -> kube::Result<Connector> {
    let mut builder = HttpsConnectorBuilder::new().with_tls_config(config.rustls_client_config()?).https_only();
    if let Some(name) = &config.tls_server_name {
        let name = ServerName::try_from(name.clone()).map_err(|error| kube::Error::Service(error.into()))?;
        builder = builder.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    Ok(builder.enable_http2().wrap_connector(tcp))
}

fn http(connector: &Connector, protocol: Protocol) -> Http {
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).timer(TokioTimer::new());
    if protocol == Protocol::Http2 {
        builder
            .http2_only(true)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keep_alive_interval(PING)
            .http2_keep_alive_timeout(PONG)
            .http2_keep_alive_while_idle(true);
    }
    builder.build(connector.clone())
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Held<hyper::body::Incoming>>, BoxError>> + Send>>;

impl tower::Service<Request<kube::client::Body>> for Lanes {
    type Response = Response<Held<hyper::body::Incoming>>;
    type Error = BoxError;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Answering {
        let (http, token) = self.choose(&request);
        Box::pin(async move { Ok(http.request(request).await?.map(|body| Held { body, _token: token })) })
    }
}

/// A body that holds its place on a connection.
#[derive(Debug)]
pub(crate) struct Held<B> {
    body: B,
    _token: Option<Arc<()>>,
}

impl<B: Body + Unpin> Body for Held<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(protocol: Protocol) -> Lanes {
        let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let config = kube::Config::new("https://127.0.0.1:1".parse().unwrap());
        Lanes::new(&config, HttpConnector::new(), protocol).unwrap()
    }

    #[test]
    fn watches_have_connections_of_their_own_and_take_no_more_than_a_server_allows() {
        let (watch, call) = (Request::get("/a?watch=true").body(()).unwrap(), Request::get("/a").body(()).unwrap());
        let lanes = lanes(Protocol::Http2);
        let open = || lanes.routes.lock().watches.len();
        assert!(lanes.choose(&call).1.is_none());
        let mut held: Vec<_> = (0..WATCHES).map(|_| lanes.choose(&watch).1).collect();
        assert_eq!(open(), 1);
        held.push(lanes.choose(&watch).1);
        assert_eq!(open(), 2);
        held.clear();
        held.push(lanes.choose(&watch).1);
        assert_eq!(
            (open(), Arc::strong_count(&lanes.routes.lock().watches[0].token)),
            (2, 2),
            "what is free is used again"
        );
    }

    #[test]
    fn http1_has_no_lanes() {
        let lanes = lanes(Protocol::Http1);
        assert!(lanes.choose(&Request::get("/a?watch=true").body(()).unwrap()).1.is_none());
    }

    #[test]
    fn tls_speaks_http2() {
        for (url, want) in [("https://a", Protocol::Http2), ("http://a", Protocol::Http1)] {
            assert_eq!(Protocol::of(&kube::Config::new(url.parse().unwrap())), want);
        }
    }
}
