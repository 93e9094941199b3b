//! The server as its operators see it: certificates that change, pages about itself, its end, and
//! others of its kind.
#![expect(clippy::disallowed_methods, reason = "tests own their tasks")]

mod support;

use apimachinery::Value;
use hyper::{Method, StatusCode};
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use support::{ADMIN, Server, file};
use testkit::etcd::Etcd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const DAY: Duration = Duration::from_secs(86_400);
/// How long something may take to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again until it is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

fn tokens(folder: &Path) -> String {
    let tokens = "admin-token,admin,u0,system:masters\nmonitor-token,watcher,u1,system:monitoring\nbob-token,bob,u2\n";
    format!("--token-auth-file={}", file(folder, "tokens.csv", tokens).display())
}

fn issue(authority: &pki::Authority, folder: &Path, name: &str, profile: &pki::Profile) {
    let key = pki::Key::generate(pki::Algorithm::EcdsaP256).expect("a key");
    std::fs::create_dir_all(folder).expect("a folder");
    file(folder, &format!("{name}.crt"), &authority.issue(profile, &key).expect("a certificate"));
    file(folder, &format!("{name}.key"), &key.to_pem());
}

fn identity(folder: &Path, name: &str) -> (Vec<CertificateDer<'static>>, rustls::pki_types::PrivateKeyDer<'static>) {
    let certificate = pki::pem::certificates(&folder.join(format!("{name}.crt"))).expect("a certificate");
    (certificate, pki::pem::private_key(&folder.join(format!("{name}.key"))).expect("a key"))
}

static OLD: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];
static NEW: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// A client that trusts this authority, and perhaps is somebody.
struct Client<'a> {
    port: u16,
    trusted: &'a Path,
    identity: Option<(&'a Path, &'a str)>,
    versions: &'static [&'static rustls::SupportedProtocolVersion],
}

impl Client<'_> {
    async fn connect(&self, name: &str) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(pki::pem::certificates(self.trusted).expect("a certificate")[0].clone()).expect("an authority");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider).with_protocol_versions(self.versions);
        let builder = builder.expect("versions").with_root_certificates(roots);
        let config = match self.identity {
            Some((folder, name)) => {
                let (chain, key) = identity(folder, name);
                builder.with_client_auth_cert(chain, key).expect("an identity")
            }
            None => builder.with_no_client_auth(),
        };
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from(name.to_owned()).expect("a name"), stream)
            .await
    }

    /// The certificate that the server shows.
    async fn shown(&self, name: &str) -> Vec<u8> {
        let stream = self.connect(name).await.expect("a handshake");
        stream.get_ref().1.peer_certificates().expect("a certificate")[0].to_vec()
    }

    /// Who the server takes the client for.
    async fn whoami(&self) -> Value {
        let mut stream = self.connect("localhost").await.expect("a handshake");
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).to_string();
        let request = format!(
            "POST /apis/authentication.k8s.io/v1/selfsubjectreviews HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        let _closed = stream.read_to_end(&mut answer).await;
        let text = String::from_utf8(answer).expect("text");
        serde_json::from_str(text.split("\r\n\r\n").nth(1).unwrap_or_default()).unwrap_or_default()
    }
}

#[tokio::test]
async fn certificates_are_taken_while_it_serves() {
    if !Etcd::is_installed() {
        println!("skipped: etcd is not installed");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let authority = pki::Authority::create("ca", DAY).expect("an authority");
    let (first, second) = (path("clients-1"), pki::Authority::create("clients 2", DAY).expect("an authority"));
    let clients = pki::Authority::create("clients 1", DAY).expect("an authority");
    std::fs::write(&first, clients.certificate_pem()).expect("a file");
    file(folder.path(), "ca.crt", authority.certificate_pem());
    for version in ["v1", "v2"] {
        issue(&authority, &path(version), "tls", &pki::Profile::server("apiserver", &["localhost"], DAY));
        issue(&authority, &path(version), "sni", &pki::Profile::server("other", &["other.test"], DAY));
    }
    issue(&second, folder.path(), "jane", &pki::Profile::client("jane", Some("dev"), DAY));
    std::os::unix::fs::symlink("v1", path("data")).expect("a link");
    let etcd = Etcd::start().expect("etcd");
    let server = Server::start(&etcd, |own| {
        let data = |name: &str| path("data").join(name).display().to_string();
        vec![
            tokens(own),
            format!("--tls-cert-file={}", data("tls.crt")),
            format!("--tls-private-key-file={}", data("tls.key")),
            format!("--tls-sni-cert-key={},{}:*.test", data("sni.crt"), data("sni.key")),
            format!("--client-ca-file={}", first.display()),
            "--tls-min-version=VersionTLS13".into(),
            "--authorization-mode=RBAC".into(),
        ]
    })
    .await;
    let trusted = path("ca.crt");
    let client = |versions| Client { port: server.port(), trusted: &trusted, identity: None, versions };
    let new = client(NEW);
    let certificate = |version: &str, name: &str| identity(&path(version), name).0[0].to_vec();
    assert_eq!(new.shown("localhost").await, certificate("v1", "tls"));
    assert_eq!(new.shown("other.test").await, certificate("v1", "sni"));
    assert!(client(OLD).connect("localhost").await.is_err(), "an old version");

    std::os::unix::fs::symlink("v2", path("next")).expect("a link");
    std::fs::rename(path("next"), path("data")).expect("swapped");
    until("the new certificate", async || new.shown("localhost").await == certificate("v2", "tls")).await;
    assert_eq!(new.shown("other.test").await, certificate("v2", "sni"));

    let jane = Client { identity: Some((folder.path(), "jane")), ..client(NEW) };
    assert_eq!(jane.whoami().await["code"], 401);
    std::fs::write(&first, format!("{}{}", clients.certificate_pem(), second.certificate_pem())).expect("a file");
    until("the new authority", async || jane.whoami().await["status"]["userInfo"]["username"] == "jane").await;
    server.ready_trusting(&trusted).await;
    let map = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
    until("the new authority is published", async || {
        let map = server.ask_trusting(&trusted, ADMIN, Method::GET, map, Value::Null).await.json();
        let bundle = map["data"]["client-ca-file"].as_str().unwrap_or_default().to_owned();
        bundle.matches("BEGIN CERTIFICATE").count() == 2
    })
    .await;
}

#[tokio::test]
async fn pages_about_itself_are_for_monitors() {
    if !Etcd::is_installed() {
        println!("skipped: etcd is not installed");
        return;
    }
    let etcd = Etcd::start().expect("etcd");
    let arguments = |folder: &Path| vec![tokens(folder), "--authorization-mode=RBAC".into(), "--event-ttl=90m".into()];
    let server = Server::start(&etcd, arguments).await;
    server.ready().await;
    let monitor = "Bearer monitor-token";
    let status = server.get(monitor, "/statusz").await;
    assert_eq!(status.status, StatusCode::OK);
    let text = String::from_utf8_lossy(&status.body);
    assert!(text.starts_with("\napiserver statusz\nWarning: "), "{text}");
    assert!(text.contains("\nEmulation version: 1.36\n") && text.contains("/metrics"), "{text}");
    let flags = server.get(monitor, "/flagz").await;
    let text = String::from_utf8_lossy(&flags.body);
    for line in ["authorization-mode=[RBAC]", "event-ttl=1h30m0s", "secure-port=0", "tls-min-version="] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    for (who, path) in [("", "/statusz"), ("Bearer bob-token", "/flagz")] {
        assert_eq!(server.get(who, path).await.status, StatusCode::FORBIDDEN, "{who:?}");
    }
    let checks = server.get(ADMIN, "/readyz?verbose").await;
    let text = String::from_utf8_lossy(&checks.body);
    let first: Vec<&str> = text.lines().take(5).collect();
    assert_eq!(first, ["[+]ping ok", "[+]log ok", "[+]etcd ok", "[+]etcd-readiness ok", "[+]informer-sync ok"]);
    for check in ["poststarthook/rbac/bootstrap-roles", "poststarthook/bootstrap-controller", "autoregister-completion"]
    {
        assert!(text.contains(&format!("[+]{check} ok\n")), "{check}: {text}");
    }
    assert!(text.ends_with("[+]shutdown ok\nreadyz check passed\n"), "{text}");
}

#[tokio::test]
async fn it_ends_after_those_who_are_being_served() {
    if !Etcd::is_installed() {
        println!("skipped: etcd is not installed");
        return;
    }
    let etcd = Etcd::start().expect("etcd");
    let mut server = Server::start(&etcd, |folder| {
        vec![
            tokens(folder),
            "--shutdown-delay-duration=1500ms".into(),
            "--shutdown-send-retry-after".into(),
            "--request-timeout=20s".into(),
        ]
    })
    .await;
    server.ready().await;
    // A request whose body is on its way.
    let mut slow = server.stream().await;
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}}).to_string();
    let head = format!(
        "POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nhost: a\r\nauthorization: {ADMIN}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    slow.write_all(head.as_bytes()).await.expect("sent");
    slow.write_all(&body.as_bytes()[..5]).await.expect("sent");
    slow.flush().await.expect("sent");
    server.signal();
    until("not ready", async || server.get(ADMIN, "/readyz/shutdown").await.status == 500).await;
    assert_eq!(server.get(ADMIN, "/version").await.status, StatusCode::OK, "it still serves");
    until("refuses", async || server.get(ADMIN, "/version").await.status == StatusCode::TOO_MANY_REQUESTS).await;
    let refusal = server.get(ADMIN, "/version").await;
    assert_eq!(refusal.headers["retry-after"], "5");
    assert_eq!(refusal.headers["connection"], "close");
    assert_eq!(server.get(ADMIN, "/livez").await.status, StatusCode::OK);
    slow.write_all(&body.as_bytes()[5..]).await.expect("sent");
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 201");
    drop(slow);
    let status = tokio::time::timeout(PATIENCE, server.ended()).await.expect("an end in time");
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn watches_end_in_their_own_time() {
    if !Etcd::is_installed() {
        println!("skipped: etcd is not installed");
        return;
    }
    let etcd = Etcd::start().expect("etcd");
    let mut server =
        Server::start(&etcd, |folder| vec![tokens(folder), "--shutdown-watch-termination-grace-period=20s".into()])
            .await;
    server.ready().await;
    let mut watches = Vec::new();
    for _ in 0..5 {
        let mut watch = server.stream().await;
        let head = format!("GET /api/v1/configmaps?watch=1 HTTP/1.1\r\nhost: a\r\nauthorization: {ADMIN}\r\n\r\n");
        watch.write_all(head.as_bytes()).await.expect("sent");
        let mut answer = [0; 12];
        watch.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 200");
        watches.push(watch);
    }
    server.signal();
    for mut watch in watches {
        let mut rest = Vec::new();
        tokio::time::timeout(PATIENCE, watch.read_to_end(&mut rest)).await.expect("in time").expect("an end");
        assert!(rest.ends_with(b"\r\n0\r\n\r\n"), "a watch ends as answers do");
    }
    let status = tokio::time::timeout(PATIENCE, server.ended()).await.expect("an end in time");
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    if !Etcd::is_installed() {
        println!("skipped: etcd is not installed");
        return;
    }
    let etcd = Etcd::start().expect("etcd");
    let mut server = Server::start(&etcd, |folder| vec![tokens(folder), "--shutdown-delay-duration=1h".into()]).await;
    server.ready().await;
    server.signal();
    until("not ready", async || server.get(ADMIN, "/readyz/shutdown").await.status == 500).await;
    server.signal();
    let status = tokio::time::timeout(PATIENCE, server.ended()).await.expect("an end in time");
    assert_eq!(status.code(), Some(1));
}

#[tokio::test]
async fn servers_find_each_other() {
    if !Etcd::is_installed() {
        println!("skipped: etcd is not installed");
        return;
    }
    let etcd = Etcd::start().expect("etcd");
    let start = async |address: &str| {
        Server::start(&etcd, |folder| vec![tokens(folder), format!("--advertise-address={address}")]).await
    };
    let (one, mut two) = (start("10.77.0.1").await, start("10.77.0.2").await);
    let endpoints = async || {
        let found = one.get(ADMIN, "/api/v1/namespaces/default/endpoints/kubernetes").await;
        let addresses = found.json()["subsets"][0]["addresses"].as_array().cloned().unwrap_or_default();
        addresses.iter().filter_map(|a| a["ip"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    until("both", async || endpoints().await == ["10.77.0.1", "10.77.0.2"]).await;
    let slice = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes";
    until("the slice", async || one.get(ADMIN, slice).await.json()["endpoints"].as_array().map(Vec::len) == Some(2))
        .await;
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases?labelSelector=apiserver.kubernetes.io/identity%3Dkube-apiserver";
    let lease = one.get(ADMIN, leases).await.json()["items"][0].clone();
    assert!(lease["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("apiserver-")), "{lease}");
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 3600);
    two.signal();
    assert!(tokio::time::timeout(PATIENCE, two.ended()).await.expect("an end in time").success());
    until("the other is left", async || endpoints().await == ["10.77.0.1"]).await;
}

#[tokio::test]
async fn resources_can_lie_in_another_cluster() {
    if !Etcd::is_installed() {
        println!("skipped: etcd is not installed");
        return;
    }
    let (etcd, other) = (Etcd::start().expect("etcd"), Etcd::start().expect("etcd"));
    let start = async |main: &Etcd, more: Option<String>| {
        Server::start(main, |folder| std::iter::once(tokens(folder)).chain(more).collect()).await
    };
    let server = start(&etcd, Some(format!("--etcd-servers-overrides=/configmaps#{}", other.endpoint()))).await;
    server.ready().await;
    let maps = "/api/v1/namespaces/default/configmaps";
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}});
    server.create(maps, map).await;
    assert_eq!(server.get(ADMIN, &format!("{maps}/a")).await.json()["data"]["k"], "v");
    let list = server.get(ADMIN, maps).await.json();
    assert!(list["items"].as_array().is_some_and(|items| items.iter().any(|item| item["metadata"]["name"] == "a")));
    // Where it does not lie, nobody finds it.
    let without = start(&etcd, None).await;
    without.ready().await;
    assert_eq!(without.get(ADMIN, &format!("{maps}/a")).await.status, StatusCode::NOT_FOUND);
    let there = start(&other, None).await;
    assert_eq!(there.get(ADMIN, &format!("{maps}/a")).await.status, StatusCode::OK);
}

const POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None, nonResourceURLs: ['/*']}, {level: RequestResponse, verbs: [create]}, {level: Metadata}]\n";

#[tokio::test]
async fn what_must_be_recorded_and_cannot_be_is_refused() {
    if !Etcd::is_installed() {
        println!("skipped: etcd is not installed");
        return;
    }
    let etcd = Etcd::start().expect("etcd");
    for (mode, want) in [("blocking", StatusCode::OK), ("blocking-strict", StatusCode::INTERNAL_SERVER_ERROR)] {
        let server = Server::start(&etcd, |folder| {
            let policy = file(folder, "policy.yaml", POLICY);
            // Takes nothing.
            let log = "--audit-log-path=/dev/full".into();
            vec![
                tokens(folder),
                format!("--audit-policy-file={}", policy.display()),
                log,
                format!("--audit-log-mode={mode}"),
            ]
        })
        .await;
        server.ready().await;
        let answer = server.get(ADMIN, "/api/v1/namespaces").await;
        assert_eq!(answer.status, want, "{mode}");
        if want != StatusCode::OK {
            let text = "Internal Server Error: \"/api/v1/namespaces\": failed to store audit event\n";
            assert_eq!(answer.body, text.as_bytes());
        }
    }
}

#[tokio::test]
async fn flags_say_what_is_served_and_as_which_version() {
    if !Etcd::is_installed() {
        println!("skipped: etcd is not installed");
        return;
    }
    let etcd = Etcd::start().expect("etcd");
    let reported = format!("v{}+rust-custom", env!("CARGO_PKG_VERSION"));
    let server = Server::start(&etcd, |folder| {
        vec![
            tokens(folder),
            format!("--version={reported}"),
            "--storage-media-type=".into(),
            "--runtime-config=api/v1,batch/v1=false".into(),
            "--runtime-config=autoscaling/v1/horizontalpodautoscalers=false".into(),
        ]
    })
    .await;
    server.ready().await;
    assert_eq!(server.get(ADMIN, "/version").await.json()["gitVersion"], reported);
    for (path, served) in [
        ("/apis/batch/v1/jobs", false),
        ("/apis/batch", false),
        ("/openapi/v3/apis/batch/v1", false),
        ("/apis/autoscaling/v1/horizontalpodautoscalers", false),
        ("/apis/autoscaling/v2/horizontalpodautoscalers", true),
        ("/apis/apiregistration.k8s.io/v1/apiservices/v1.batch", false),
        ("/apis/apiregistration.k8s.io/v1/apiservices/v1.apps", true),
        ("/api/v1/pods", true),
    ] {
        let want = if served { StatusCode::OK } else { StatusCode::NOT_FOUND };
        assert_eq!(server.get(ADMIN, path).await.status, want, "{path}");
    }
    let groups = server.get(ADMIN, "/apis").await.json();
    assert!(groups["groups"].as_array().expect("groups").iter().all(|group| group["name"] != "batch"));
    assert_eq!(server.get(ADMIN, "/openapi/v2").await.json()["paths"]["/apis/batch/v1/jobs"], Value::Null);
}

#[tokio::test]
async fn events_reach_a_webhook() {
    if !Etcd::is_installed() {
        println!("skipped: etcd is not installed");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let authority = pki::Authority::create("ca", DAY).expect("an authority");
    issue(&authority, folder.path(), "tls", &pki::Profile::server("sink", &["localhost", "127.0.0.1"], DAY));
    file(folder.path(), "ca.crt", authority.certificate_pem());
    let (port, mut lists) = sink(folder.path()).await;
    let etcd = Etcd::start().expect("etcd");
    let server = Server::start(&etcd, |own| {
        let policy = file(own, "policy.yaml", POLICY);
        vec![
            tokens(own),
            format!("--audit-policy-file={}", policy.display()),
            format!("--audit-webhook-config-file={}", kubeconfig(folder.path(), port).display()),
            "--audit-webhook-batch-max-wait=100ms".into(),
            "--audit-webhook-truncate-enabled".into(),
            "--audit-webhook-truncate-max-event-size=3000".into(),
        ]
    })
    .await;
    server.ready().await;
    let maps = "/api/v1/namespaces/default/configmaps";
    let map = |name: &str, size: usize| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": "v".repeat(size)}});
    server.create(maps, map("small", 10)).await;
    server.create(maps, map("large", 10_000)).await;
    let mut found = std::collections::BTreeMap::new();
    while found.len() < 2 {
        let list = tokio::time::timeout(PATIENCE, lists.recv()).await.expect("events in time").expect("a list");
        assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("EventList"), &json!("audit.k8s.io/v1")));
        for event in list["items"].as_array().expect("items") {
            assert!(event.get("kind").is_none() && event["auditID"].is_string());
            if event["stage"] == "ResponseComplete" && event["objectRef"]["resource"] == "configmaps" {
                found.insert(event["objectRef"]["name"].as_str().unwrap_or_default().to_owned(), event.clone());
            }
        }
    }
    assert_eq!(found["small"]["requestObject"]["data"], json!({"k": "vvvvvvvvvv"}));
    assert_eq!(found["large"]["requestObject"], Value::Null);
    assert_eq!(found["large"]["annotations"]["audit.k8s.io/truncated"], "true");
}

fn kubeconfig(folder: &Path, port: u16) -> PathBuf {
    let text = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": format!("https://127.0.0.1:{port}/events"), "certificate-authority": "ca.crt"}}],
        "users": [{"name": "u", "user": {"token": "t"}}]});
    file(folder, "sink.kubeconfig", &text.to_string())
}

/// A server that takes lists of events.
async fn sink(folder: &Path) -> (u16, tokio::sync::mpsc::UnboundedReceiver<Value>) {
    use http_body_util::{BodyExt, Empty};
    let (certificates, key) = identity(folder, "tls");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_no_client_auth().with_single_cert(certificates, key).expect("a pair");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, sender) = (acceptor.clone(), sender.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let sender = sender.clone();
                    async move {
                        assert_eq!(request.headers()["authorization"], "Bearer t");
                        let body = request.into_body().collect().await.expect("a body").to_bytes();
                        let _nobody_cares = sender.send(serde_json::from_slice(&body).expect("JSON"));
                        Ok::<_, std::convert::Infallible>(hyper::Response::new(Empty::<bytes::Bytes>::new()))
                    }
                });
                let io = hyper_util::rt::TokioIo::new(stream);
                let _closed = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
            });
        }
    });
    (port, receiver)
}
