//! The binary on a real etcd, and requests to it.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]
#![expect(clippy::disallowed_methods, reason = "tests own their tasks")]

use apimachinery::Value;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use testkit::daemon;
use testkit::etcd::Etcd;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Who asks: the value of the `Authorization` header.
pub const ADMIN: &str = "Bearer admin-token";

/// A running apiserver, killed when dropped.
pub struct Server {
    child: Child,
    port: u16,
    pub folder: tempfile::TempDir,
}

/// One answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: hyper::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {:?}", self.body))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }
}

impl Server {
    /// Starts the binary; `prepare` writes files into its folder and names more arguments.
    pub async fn start(etcd: &Etcd, prepare: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let more = prepare(folder.path());
        let (child, port) = daemon::serving(
            Command::new(env!("CARGO_BIN_EXE_kube-apiserver"))
                .args(["--etcd-servers", &etcd.endpoint(), "--secure-port", "0", "--bind-address", "127.0.0.1"])
                .args(["--service-cluster-ip-range", "10.96.0.0/16"])
                .arg("--cert-dir")
                .arg(folder.path().join("certs"))
                .args(more),
        )
        .await;
        Self { child, port, folder }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Tells it to end.
    pub fn signal(&self) {
        let pid = self.child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())).expect("a process");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
    }

    /// How it ended.
    pub async fn ended(&mut self) -> std::process::ExitStatus {
        self.child.wait().await.expect("a status")
    }

    fn own_certificate(&self) -> PathBuf {
        self.folder.path().join("certs/apiserver.crt")
    }

    /// A connection.
    pub async fn stream(&self) -> TlsStream<TcpStream> {
        self.stream_trusting(&self.own_certificate()).await
    }

    async fn stream_trusting(&self, authority: &Path) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("a connection");
        let connector = TlsConnector::from(Arc::new(trusting(authority)));
        let name = ServerName::try_from("localhost").expect("a name");
        connector.connect(name, stream).await.expect("a handshake")
    }

    /// A connection for requests one after another.
    pub async fn connect(&self) -> http1::SendRequest<Full<Bytes>> {
        let (sender, connection) = http1::handshake(TokioIo::new(self.stream().await)).await.expect("HTTP");
        tokio::spawn(connection);
        sender
    }

    /// Sends a request; an empty `who` sends no credentials.
    pub async fn ask(&self, who: &str, method: Method, path: &str, body: Value) -> Answer {
        self.ask_trusting(&self.own_certificate(), who, method, path, body).await
    }

    /// Sends a request to a server with a certificate of this authority.
    pub async fn ask_trusting(&self, authority: &Path, who: &str, method: Method, path: &str, body: Value) -> Answer {
        let stream = self.stream_trusting(authority).await;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
        tokio::spawn(connection);
        let content_type = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        if !who.is_empty() {
            request = request.header("authorization", who);
        }
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let request = request.header("content-type", content_type).body(Full::new(body)).expect("a request");
        let (parts, body) = sender.send_request(request).await.expect("an answer").into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub async fn get(&self, who: &str, path: &str) -> Answer {
        self.ask(who, Method::GET, path, Value::Null).await
    }

    /// Creates an object as the administrator.
    pub async fn create(&self, path: &str, object: Value) -> Value {
        let answer = self.ask(ADMIN, Method::POST, path, object).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        answer.json()
    }

    pub async fn ready(&self) {
        self.ready_trusting(&self.own_certificate()).await;
    }

    pub async fn ready_trusting(&self, authority: &Path) {
        while self.ask_trusting(authority, ADMIN, Method::GET, "/readyz", Value::Null).await.status != 200 {}
    }
}

/// A file in the server's folder.
pub fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a file");
    path
}

fn trusting(certificate: &Path) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    // The chain's last certificate is the authority.
    let authority = pki::pem::certificates(certificate).expect("a certificate").pop().expect("an authority");
    roots.add(authority).expect("an authority");
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
