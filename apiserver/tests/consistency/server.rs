//! The apiserver as a process that dies and comes back on the same port, and connections to it.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use testkit::daemon;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_rustls::TlsConnector;

const TOKEN: &str = "secret";
/// Longest wait for an answer; a connection on which none came is given up.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest wait for readiness.
const START: Duration = Duration::from_secs(60);

/// A running apiserver, killed when dropped.
pub(crate) struct Server {
    child: Child,
    port: u16,
    etcd: String,
    folder: tempfile::TempDir,
}

impl Server {
    pub(crate) async fn start(etcd: String) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("tokens"), format!("{TOKEN},admin,u0,system:masters\n")).expect("tokens");
        let (child, port) = launch(&etcd, folder.path(), 0).await;
        let server = Self { child, port, etcd, folder };
        server.ready().await;
        server
    }

    /// SIGKILL, and up again.
    pub(crate) async fn kill_and_restart(&mut self) {
        self.child.kill().await.expect("killed");
        (self.child, self.port) = launch(&self.etcd, self.folder.path(), self.port).await;
        self.ready().await;
    }

    /// How clients find it.
    pub(crate) fn address(&self) -> Address {
        let certificate = self.folder.path().join("certs/apiserver.crt");
        Address { port: self.port, tls: TlsConnector::from(Arc::new(trusting(&certificate))) }
    }

    async fn ready(&self) {
        let mut connection = Connection::new(self.address());
        let ready = async { while connection.get("/readyz").await.is_none_or(|(code, _)| code != 200) {} };
        tokio::time::timeout(START, ready).await.expect("ready in time");
    }
}

async fn launch(etcd: &str, folder: &Path, port: u16) -> (Child, u16) {
    let binary = std::env::var_os("KUBE_APISERVER").unwrap_or_else(|| env!("CARGO_BIN_EXE_kube-apiserver").into());
    let (child, port) = daemon::serving(
        Command::new(binary)
            .args(["--etcd-servers", etcd, "--secure-port", &port.to_string(), "--bind-address", "127.0.0.1"])
            .args(["--authorization-mode", "RBAC", "--service-cluster-ip-range", "10.96.0.0/16"])
            // The whole history is read from etcd at the end.
            .args(["--etcd-compaction-interval", "0"])
            .arg("--token-auth-file")
            .arg(folder.join("tokens"))
            .arg("--cert-dir")
            .arg(folder.join("certs")),
    )
    .await;
    (child, port)
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

/// Where the server listens and how to trust it.
#[derive(Clone)]
pub(crate) struct Address {
    port: u16,
    tls: TlsConnector,
}

/// One client's connection, opened again after a failure.
pub(crate) struct Connection {
    address: Address,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// How a request ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Nobody listened: it was not sent.
    Unsent,
    /// It may have arrived.
    Unanswered,
}

impl Connection {
    pub(crate) fn new(address: Address) -> Self {
        Self { address, sender: None }
    }

    /// GET; `None` if there was no answer.
    pub(crate) async fn get(&mut self, path: &str) -> Option<(u16, Value)> {
        self.ask(Method::GET, path, "", Value::Null).await.ok()
    }

    /// One request; the answer's code and body.
    pub(crate) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Value,
    ) -> Result<(u16, Value), Lost> {
        let response = self.send(method, path, content_type, body).await?;
        let code = response.status().as_u16();
        match tokio::time::timeout(PATIENCE, response.into_body().collect()).await {
            Ok(Ok(body)) => Ok((code, serde_json::from_slice(&body.to_bytes()).unwrap_or_default())),
            _ => {
                self.sender = None;
                Err(Lost::Unanswered)
            }
        }
    }

    /// One request; its answer's body may go on.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Value,
    ) -> Result<Response<Incoming>, Lost> {
        let mut sender = match self.sender.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => self.connect().await.ok_or(Lost::Unsent)?,
        };
        let bytes = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("content-type", content_type)
            .body(Full::new(bytes))
            .expect("a request");
        match tokio::time::timeout(PATIENCE, sender.send_request(request)).await {
            Ok(Ok(response)) => {
                self.sender = Some(sender);
                Ok(response)
            }
            _ => Err(Lost::Unanswered),
        }
    }

    async fn connect(&self) -> Option<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(("127.0.0.1", self.address.port)).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = tokio::time::timeout(PATIENCE, self.address.tls.connect(name, stream)).await.ok()?.ok()?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        Some(sender)
    }
}
