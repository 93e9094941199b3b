//! The binary on a real etcd: it becomes ready, serves, and ends on SIGTERM with its watches closed.
#![expect(clippy::disallowed_methods, reason = "tests own their tasks")]

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;
use testkit::daemon;
use testkit::etcd::Etcd;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_rustls::TlsConnector;

const TOKEN: &str = "secret";

/// A running apiserver, killed when dropped.
struct Server {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_kube-apiserver"))
}

impl Server {
    async fn start(etcd: &Etcd) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let tokens = folder.path().join("tokens");
        std::fs::write(&tokens, format!("{TOKEN},admin,u0,system:masters\n")).expect("a token file");
        let (child, port) = daemon::serving(
            command()
                .args(["--etcd-servers", &etcd.endpoint(), "--secure-port", "0", "--bind-address", "127.0.0.1"])
                .args(["--authorization-mode", "Node,RBAC", "--service-cluster-ip-range", "10.96.0.0/16"])
                .arg("--token-auth-file")
                .arg(&tokens)
                .arg("--cert-dir")
                .arg(folder.path().join("certs")),
        )
        .await;
        Self { child, port, folder }
    }

    async fn ask(&self, path: &str) -> Response<Incoming> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("a connection");
        let connector = TlsConnector::from(Arc::new(trusting(&self.folder.path().join("certs/apiserver.crt"))));
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = connector.connect(name, stream).await.expect("a handshake");
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
        tokio::spawn(connection);
        let request = Request::get(path).header("host", "localhost").header("authorization", format!("Bearer {TOKEN}"));
        sender.send_request(request.body(Empty::<Bytes>::new()).expect("a request")).await.expect("an answer")
    }

    async fn ready(&self) {
        while self.ask("/readyz").await.status() != 200 {}
    }

    async fn terminate(&mut self) -> ExitStatus {
        let pid = self.child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())).expect("a process");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
        self.child.wait().await.expect("a status")
    }
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

#[tokio::test]
async fn becomes_ready_serves_and_ends() {
    if !Etcd::is_installed() {
        println!("skipped: etcd is not installed");
        return;
    }
    let etcd = Etcd::start().expect("etcd");
    let mut server = Server::start(&etcd).await;
    tokio::time::timeout(Duration::from_secs(30), server.ready()).await.expect("ready");
    for path in ["/api/v1/namespaces/default", "/apis/rbac.authorization.k8s.io/v1/clusterroles/cluster-admin"] {
        assert_eq!(server.ask(path).await.status(), 200, "{path}");
    }
    let watch = server.ask("/api/v1/namespaces?watch=1&resourceVersion=0").await;
    assert_eq!(watch.status(), 200);
    let (events, status) = tokio::join!(watch.into_body().collect(), async {
        tokio::time::timeout(Duration::from_secs(15), server.terminate()).await.expect("an end in time")
    });
    let events = events.expect("the watch was closed properly").to_bytes();
    assert!(events.starts_with(b"{\"type\":\"ADDED\""));
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn impossible_command_lines_end_with_one_line() {
    let certificates = tempfile::tempdir().expect("a folder");
    let folder = format!("--cert-dir={}", certificates.path().display());
    for (arguments, want) in [
        (&["--no-such-flag"][..], "Error: unknown flag: --no-such-flag"),
        (
            &["--etcd-servers=http://127.0.0.1:1", "--tls-cert-file=a"],
            "Error: --tls-cert-file and --tls-private-key-file must be given together",
        ),
        (
            &["--etcd-servers=http://127.0.0.1:1", "--secure-port=0", &folder, "--authorization-mode=Nothing"],
            "Error: --authorization-mode: \"Nothing\" is not a valid mode",
        ),
        (
            &["--etcd-servers=http://127.0.0.1:1", "--secure-port=0", &folder, "--client-ca-file=/nonexistent"],
            "Error: --client-ca-file: /nonexistent",
        ),
    ] {
        let output = command().args(arguments).output().await.expect("the binary");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.starts_with(want), "{text}");
    }
}
