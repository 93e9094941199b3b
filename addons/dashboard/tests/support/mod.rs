//! A dashboard before an apiserver: one that says what it is told to, or a real one.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]
#![expect(clippy::disallowed_methods, reason = "tests own their tasks")]

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use std::sync::Arc;
use testkit::apiserver::{self, Apiserver};
use testkit::daemon;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A running dashboard, killed when dropped.
pub struct Dashboard {
    pub child: Child,
    pub port: u16,
    folder: tempfile::TempDir,
    certificate: CertificateDer<'static>,
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

    pub fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }

    /// What a browser would send back.
    pub fn cookie(&self) -> String {
        let set = self.headers[SET_COOKIE].to_str().expect("text");
        set.split(';').next().expect("a pair").to_owned()
    }
}

impl Dashboard {
    /// Starts the binary before the server of a kubeconfig, with more arguments.
    pub async fn start(kubeconfig: &str, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let made = pki::serving::self_signed("localhost", &["localhost"]).expect("a certificate");
        for (name, text) in [("kubeconfig", kubeconfig), ("tls.crt", &made.certificate_pem), ("tls.key", &made.key_pem)]
        {
            std::fs::write(path(name), text).expect("written");
        }
        let flag = |name: &str, file: &str| format!("--{name}={}", path(file).display());
        let mut command = Command::new(env!("CARGO_BIN_EXE_kube-dashboard"));
        command.args(["--bind-address=127.0.0.1", "--port=0", "-v=4"]).args(more).args([
            flag("kubeconfig", "kubeconfig"),
            flag("tls-cert-file", "tls.crt"),
            flag("tls-key-file", "tls.key"),
        ]);
        let (child, port) = daemon::serving(&mut command).await;
        let mut chain = pki::pem::parse_certificates(made.certificate_pem.as_bytes(), "test").expect("a chain");
        Self { child, port, folder, certificate: chain.pop().expect("an authority") }
    }

    /// The name under which pages reach it.
    pub fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// A connection.
    pub async fn stream(&self) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("a connection");
        let connector = TlsConnector::from(Arc::new(trusting(self.certificate.clone())));
        connector.connect(ServerName::try_from("localhost").expect("a name"), stream).await.expect("a handshake")
    }

    /// A request as a page sends it, with what `change` makes of it; the answer's body is unread.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
        change: impl FnOnce(&mut HeaderMap),
    ) -> Response<Incoming> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(self.stream().await)).await.expect("HTTP");
        tokio::spawn(connection.with_upgrades());
        let mut request = Request::builder().method(method).uri(path).body(Full::new(body.into())).expect("a request");
        let headers = request.headers_mut();
        headers.insert("host", HeaderValue::from_str(&self.host()).expect("a host"));
        headers.insert("x-kube-dashboard", HeaderValue::from_static("1"));
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        change(headers);
        sender.send_request(request).await.expect("an answer")
    }

    /// As [`Self::send`], read to its end, in a session.
    pub async fn ask(&self, cookie: &str, method: Method, path: &str, body: impl Into<Bytes>) -> Answer {
        let with_cookie = |headers: &mut HeaderMap| {
            headers.insert("cookie", HeaderValue::from_str(cookie).expect("a cookie"));
        };
        whole(self.send(method, path, body, with_cookie).await).await
    }

    pub async fn get(&self, cookie: &str, path: &str) -> Answer {
        self.ask(cookie, Method::GET, path, "").await
    }

    /// Logs in; the session's cookie.
    pub async fn log_in(&self, login: Value) -> String {
        let answer = self.ask("", Method::POST, "/session", login.to_string()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        answer.cookie()
    }
}

/// Reads an answer.
pub async fn whole(response: Response<Incoming>) -> Answer {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    Answer { status: parts.status, headers: parts.headers, body }
}

fn trusting(authority: CertificateDer<'static>) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority).expect("an authority");
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// What a scripted apiserver was asked.
pub type Asked = Arc<Mutex<Vec<(Method, String, HeaderMap)>>>;

/// An apiserver that knows the token `good`, and answers the rest as it is told to.
pub async fn scripted<F>(answer: F) -> (String, Asked)
where
    F: Fn(&Request<Incoming>) -> Response<Full<Bytes>> + Send + Sync + 'static,
{
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (asked, answer) = (Asked::default(), Arc::new(answer));
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                let path = request.uri().to_string();
                seen.lock().push((request.method().clone(), path.clone(), request.headers().clone()));
                let response = if path.contains("selfsubjectreviews") { review(&request) } else { answer(&request) };
                async move { Ok::<_, std::convert::Infallible>(response) }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{server: 'http://{address}'}}}}]\n\
         users: [{{name: u, user: {{token: the-dashboards-own}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
    );
    (kubeconfig, asked)
}

fn review(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    match request.headers().get("authorization").is_some_and(|token| token == "Bearer good") {
        true => json(201, r#"{"status": {"userInfo": {"username": "jane", "groups": ["dev"]}}}"#),
        false => json(401, r#"{"kind": "Status", "code": 401, "reason": "Unauthorized", "message": "Unauthorized"}"#),
    }
}

pub fn json(status: u16, body: &str) -> Response<Full<Bytes>> {
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(Full::new(Bytes::from(body.to_owned()))).expect("a response")
}

/// A real apiserver on a real etcd, killed when dropped.
pub struct Cluster(Apiserver);

pub const ADMIN: &str = apiserver::ADMIN;
pub const VIEWER: &str = "viewer-token";

const BINARY: &str = env!("CARGO_BIN_EXE_kube-dashboard");

/// Whether there is all that a cluster needs; tests skip without.
pub fn is_possible() -> bool {
    apiserver::is_possible(BINARY)
}

impl Cluster {
    pub async fn start() -> Self {
        let server = Apiserver::start(BINARY, &[(VIEWER, "jane", "viewers")], |folder| {
            let write = |name: &str, text: &[u8]| {
                let path = folder.join(name);
                std::fs::write(&path, text).expect("written");
                path.display().to_string()
            };
            let hour = std::time::Duration::from_secs(3600);
            let authority = pki::Authority::create("clients", hour).expect("an authority");
            let key = pki::Key::generate(pki::Algorithm::EcdsaP256).expect("a key");
            let profile = pki::Profile::client("carl", Some("system:masters"), hour);
            write("carl.crt", authority.issue(&profile, &key).expect("a certificate").as_bytes());
            write("carl.key", key.to_pem().as_bytes());
            vec!["--client-ca-file".to_owned(), write("clients.crt", authority.certificate_pem().as_bytes())]
        });
        Self(server.await)
    }

    /// A kubeconfig that names the server; its user has the certificate of `carl` if `certified`.
    pub fn kubeconfig(&self, certified: bool) -> String {
        let data = |name: &str| self.0.encoded(name);
        let user = match certified {
            true => json!({"client-certificate-data": data("carl.crt"), "client-key-data": data("carl.key")}),
            false => json!({}),
        };
        self.0.kubeconfig(&user)
    }
}
