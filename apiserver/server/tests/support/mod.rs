//! A server over a store in memory, and clients on in-memory pipes.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]
#![expect(clippy::disallowed_methods, reason = "tests own their tasks")]

use apimachinery::{Value, resources};
use apiserver_aggregator::Aggregator;
use apiserver_auth::authentication::{Anonymous, TokenFile, Tokens};
use apiserver_auth::authorization::{Mode, Rbac};
use apiserver_auth::{Authenticator, Authorizer};
use apiserver_fairness::Fairness;
use apiserver_registry::Registry;
use apiserver_registry::admission::Chain;
use apiserver_server::chain::Peer;
use apiserver_server::connect::{AddressType, KubeletOptions, Kubelets};
use apiserver_server::discovery::Catalog;
use apiserver_server::health::Health;
use apiserver_server::server::{Parts, Server};
use apiserver_server::{Options, serve};
use apiserver_storage::Store;
use bytes::Bytes;
use component::Supervisor;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Token of a user of `system:masters`.
pub const ADMIN: &str = "admin-token";
/// Token of a user without rights.
pub const NOBODY: &str = "nobody-token";

/// A running server.
pub struct TestServer {
    pub server: Arc<Server>,
    pub supervisor: Supervisor,
}

/// One answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {:?}", self.body))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub fn message(&self) -> String {
        self.json()["message"].as_str().expect("a status").to_owned()
    }
}

impl TestServer {
    pub async fn start() -> Self {
        Self::with_options(Options::default()).await
    }

    pub async fn with_options(options: Options) -> Self {
        Self::with(options, None).await
    }

    pub async fn with(options: Options, fairness: Option<Arc<Fairness>>) -> Self {
        Self::over(apiserver_registry::Options::default(), options, fairness).await
    }

    pub async fn over(
        registry: apiserver_registry::Options,
        options: Options,
        fairness: Option<Arc<Fairness>>,
    ) -> Self {
        Self::build(registry, options, fairness, |_, _| Mode::AlwaysDeny).await
    }

    /// A server that asks RBAC, which knows nothing but the bootstrap policy.
    pub async fn with_rbac() -> Self {
        let mut started = None;
        let rbac = |store: &Store, supervisor: &Supervisor| {
            let rbac = Rbac::start(store, supervisor);
            started = Some((store.clone(), rbac.clone()));
            Mode::Rbac(rbac)
        };
        let server = Self::build(apiserver_registry::Options::default(), Options::default(), None, rbac).await;
        let (store, rbac) = started.expect("an authorizer");
        apiserver_auth::bootstrap::ensure_policy(&store).await.expect("the policy");
        rbac.settle().await;
        server
    }

    async fn build(
        registry: apiserver_registry::Options,
        options: Options,
        fairness: Option<Arc<Fairness>>,
        mode: impl FnOnce(&Store, &Supervisor) -> Mode,
    ) -> Self {
        let supervisor = Supervisor::new();
        let store = Store::in_memory(resources::builtin(), supervisor.clone()).await.expect("a store");
        let mode = mode(&store, &supervisor);
        let tokens = format!("{ADMIN},admin,u1,\"system:masters\"\n{NOBODY},nobody,u2\n");
        let kubelets = KubeletOptions { address_types: vec![AddressType::InternalIp], ..KubeletOptions::default() };
        let server = Server::new(Parts {
            registry: Arc::new(Registry::new(store.clone(), Chain::default(), registry)),
            authenticator: Arc::new(Authenticator {
                tokens: Tokens { file: Some(TokenFile::parse(&tokens).expect("tokens")), ..Tokens::default() },
                anonymous: Arc::new(Anonymous::Allowed).into(),
                ..Authenticator::default()
            }),
            authorizer: Arc::new(Authorizer { modes: vec![mode], always_allow_paths: Vec::new() }),
            audit: None,
            options,
            discovery: Catalog::new(resources::builtin(), "127.0.0.1:6443"),
            aggregator: Arc::new(Aggregator::new(
                store.clone(),
                apiserver_aggregator::Config { reject_redirects: true, ..Default::default() },
            )),
            documents: Default::default(),
            health: Health::new(store, supervisor.clone()),
            metrics: component::metrics::registry(),
            kubelets: Kubelets::new(kubelets).expect("TLS"),
            fairness,
            supervisor: supervisor.clone(),
            watches: supervisor.clone(),
        });
        apiserver_server::custom::follow_definitions(&server, &supervisor);
        Self { server, supervisor }
    }

    /// A connection to the server.
    pub async fn connect(&self) -> SendRequest<Full<Bytes>> {
        let (near, far) = tokio::io::duplex(256 * 1024);
        tokio::spawn(serve::http(self.server.clone(), Arc::new(Peer::default()), far, false));
        let (sender, connection) = http1::handshake(TokioIo::new(near)).await.expect("a handshake");
        tokio::spawn(connection.with_upgrades());
        sender
    }

    /// Sends a request as the administrator; headers may replace who asks.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Response<Incoming> {
        let mut request = Request::builder().method(method).uri(path).header("host", "test");
        if !headers.iter().any(|(k, _)| *k == "authorization") {
            request = request.header("authorization", format!("Bearer {ADMIN}"));
        }
        for (key, value) in headers.iter().filter(|(_, v)| !v.is_empty()) {
            request = request.header(*key, *value);
        }
        let request = request.body(Full::new(body.into())).expect("a request");
        self.connect().await.send_request(request).await.expect("an answer")
    }

    pub async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let (parts, body) = self.send(method, path, headers, body).await.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[], "").await
    }

    pub async fn get_as(&self, path: &str, accept: &str) -> Answer {
        self.ask(Method::GET, path, &[("accept", accept)], "").await
    }

    pub async fn create(&self, path: &str, object: Value) -> Value {
        let answer = self.ask(Method::POST, path, &[("content-type", "application/json")], object.to_string()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        answer.json()
    }

    pub async fn config_map(&self, name: &str) -> Value {
        let object = serde_json::json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"app": name}}, "data": {"k": "v"},
        });
        self.create("/api/v1/namespaces/default/configmaps", object).await
    }
}

/// Starts a server behind TLS that answers with `answer`, as which it can be called `host`; its port and the PEM of
/// its authority.
pub async fn serve_tls<F>(host: &str, answer: fn(Request<Incoming>) -> F) -> (u16, String)
where
    F: Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send + 'static,
{
    let made = pki::serving::self_signed(host, &[host]).expect("a certificate");
    let certificates = pki::pem::parse_certificates(made.certificate_pem.as_bytes(), "test").expect("certificates");
    let key = pki::pem::parse_private_key(made.key_pem.as_bytes(), "test").expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .expect("a configuration");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Who does not trust the certificate hangs up.
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .with_upgrades();
            tokio::spawn(connection);
        }
    });
    (port, made.certificate_pem)
}
