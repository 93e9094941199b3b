use super::*;
use http::StatusCode;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);

/// Starts a server on a free port.
async fn serve(protocol: Protocol, access: Access) -> (SocketAddr, Supervisor) {
    let supervisor = Supervisor::new();
    let router = Endpoints::new("test")
        .router()
        .get("/whoami", |request| router::text(StatusCode::OK, request.user.name.clone()))
        .get("/panic", |_| panic!("expected by the test"));
    let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = server.address();
    supervisor.spawn("server", server.run(protocol, router, access, supervisor.clone()));
    (address, supervisor)
}

async fn get(stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> String {
    get_with(stream, path, "").await
}

/// `headers` are whole lines.
async fn get_with(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str, headers: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n{headers}connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _closed = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

use tokio::io::{AsyncRead, AsyncWrite};

async fn plain(address: SocketAddr, path: &str) -> String {
    get(TcpStream::connect(address).await.unwrap(), path).await
}

/// An authority, the files of a server under it, and a client's configuration.
struct World {
    folder: tempfile::TempDir,
    authority: pki::Authority,
}

impl World {
    fn new() -> Self {
        let world =
            Self { folder: tempfile::tempdir().unwrap(), authority: pki::Authority::create("ca", DAY).unwrap() };
        world.write("ca.crt", world.authority.certificate_pem());
        world.issue_server();
        world
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn issue_server(&self) {
        let key = pki::Key::generate(pki::Algorithm::EcdsaP256).unwrap();
        let profile = pki::Profile::server("test", &["localhost"], DAY);
        self.write("tls.crt", &self.authority.issue(&profile, &key).unwrap());
        self.write("tls.key", &key.to_pem());
    }

    async fn tls(&self) -> Arc<Tls> {
        let path = |name: &str| self.folder.path().join(name);
        let identity = ServerIdentity::Files { certificate: path("tls.crt"), key: path("tls.key") };
        Tls::new(identity, ClientAuthority::File(path("ca.crt"))).await.unwrap()
    }

    fn client(&self, user: Option<&str>) -> Arc<rustls::ClientConfig> {
        self.client_of(&self.authority, user)
    }

    fn client_of(&self, authority: &pki::Authority, user: Option<&str>) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        let ca = pki::pem::parse_certificates(self.authority.certificate_pem().as_bytes(), "ca").unwrap();
        roots.add(ca[0].clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let Some(user) = user else { return Arc::new(builder.with_no_client_auth()) };
        let key = pki::Key::generate(pki::Algorithm::EcdsaP256).unwrap();
        let leaf = authority.issue(&pki::Profile::client(user, Some("system:masters"), DAY), &key).unwrap();
        let chain = pki::pem::parse_certificates(leaf.as_bytes(), "leaf").unwrap();
        let key = pki::pem::parse_private_key(key.to_pem().as_bytes(), "key").unwrap();
        Arc::new(builder.with_client_auth_cert(chain, key).unwrap())
    }

    /// The answer, and the certificate that the server showed.
    async fn get(&self, address: SocketAddr, user: Option<&str>, path: &str) -> (String, Vec<u8>) {
        let stream = TcpStream::connect(address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(self.client(user));
        let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        (get(stream, path).await, shown)
    }
}

#[tokio::test]
async fn the_standard_paths_answer_plainly() {
    let (address, supervisor) = serve(Protocol::Plain, Access::Open).await;
    assert!(plain(address, "/healthz").await.ends_with("\r\n\r\nok"));
    assert!(plain(address, "/readyz?verbose").await.ends_with("[+]ping ok\nreadyz check passed\n"));
    assert!(plain(address, "/metrics").await.contains("\nprocess_open_fds "));
    assert!(plain(address, "/version").await.contains("gitVersion"));
    assert!(plain(address, "/nonesuch").await.starts_with("HTTP/1.1 404 "));
    assert!(plain(address, "/panic").await.starts_with("HTTP/1.1 500 "));
    assert!(plain(address, "/whoami").await.ends_with("system:anonymous"));
    assert!(supervisor.shutdown(std::time::Duration::from_secs(5)).await);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_client_certificate_is_its_user_and_others_are_refused() {
    let world = World::new();
    let access = Access::Delegated(Arc::new(Delegated::new(None, None, Policy::default())));
    let (address, supervisor) = serve(Protocol::Tls(world.tls().await), access).await;
    assert!(world.get(address, Some("jane"), "/whoami").await.0.ends_with("jane"));
    assert!(world.get(address, None, "/whoami").await.0.starts_with("HTTP/1.1 403 "));
    assert!(world.get(address, None, "/livez").await.0.ends_with("ok"));
    assert!(supervisor.shutdown(std::time::Duration::from_secs(5)).await);
}

#[tokio::test]
async fn a_proxy_in_front_names_the_user() {
    let world = World::new();
    let front = pki::Authority::create("front", DAY).unwrap();
    let allowed = tls::Front {
        authorities: front.certificate_pem().as_bytes().to_vec(),
        allowed_names: vec!["front".to_owned()],
        headers: front_proxy::ProxyHeaders { username: vec!["X-Remote-User".to_owned()], ..Default::default() },
    };
    world.write("front.crt", front.certificate_pem());
    let path = |name: &str| world.folder.path().join(name);
    let settings = tls::Settings {
        identity: ServerIdentity::Files { certificate: path("tls.crt"), key: path("tls.key") },
        named: Vec::new(),
        authority: ClientAuthority::File(path("ca.crt")),
        front: FrontAuthority::File { file: path("front.crt"), front: allowed },
        offer: tls::Offer::default(),
        http2: true,
    };
    let policy = Policy { authorize: false, ..Policy::default() };
    let access = Access::Delegated(Arc::new(Delegated::new(None, None, policy)));
    let (address, supervisor) = serve(Protocol::Tls(Tls::open(settings).await.unwrap()), access).await;
    for (authority, name, sees) in [
        (&front, "front", "alice"),
        // Neither another name of that authority nor a client may name others; the former is nobody.
        (&front, "other", "system:anonymous"),
        (&world.authority, "front", "front"),
        (&world.authority, "jane", "jane"),
    ] {
        let connector = tokio_rustls::TlsConnector::from(world.client_of(authority, Some(name)));
        let stream = TcpStream::connect(address).await.unwrap();
        let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
        let answer = get_with(stream, "/whoami", "x-remote-user: alice\r\n").await;
        assert!(answer.ends_with(&format!("\r\n\r\n{sees}")), "{name}: {answer}");
    }
    assert!(supervisor.shutdown(std::time::Duration::from_secs(5)).await);
}

#[tokio::test]
async fn a_new_certificate_is_taken_and_a_broken_one_is_not() {
    let world = World::new();
    let tls = world.tls().await;
    let (address, _supervisor) = serve(Protocol::Tls(Arc::clone(&tls)), Access::Open).await;
    let first = world.get(address, None, "/healthz").await.1;
    world.write("tls.crt", "broken");
    assert!(tls.refresh().await.is_err());
    assert_eq!(world.get(address, None, "/healthz").await.1, first);
    world.issue_server();
    tls.refresh().await.unwrap();
    assert_ne!(world.get(address, None, "/healthz").await.1, first);
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let error = Server::bind(server.address()).await.unwrap_err().to_string();
    assert!(error.starts_with("failed to listen on 127.0.0.1:"), "{error}");
}

/// Notes when it is dropped.
struct Watch(Arc<parking_lot::Mutex<Vec<String>>>, String);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.lock().push(format!("{} done", self.1));
    }
}

#[tokio::test]
async fn requests_are_observed_until_they_are_answered() {
    let (supervisor, seen) = (Supervisor::new(), Arc::<parking_lot::Mutex<Vec<String>>>::default());
    let log = seen.clone();
    let router = Router::new().get("/a", |_| router::text(StatusCode::OK, "yes")).observed(move |method, path| {
        let what = format!("{method} {path}");
        log.lock().push(what.clone());
        Box::new(Watch(log.clone(), what))
    });
    let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = server.address();
    supervisor.spawn("server", server.run(Protocol::Plain, router, Access::Open, supervisor.clone()));
    let answer = plain(address, "/a").await;
    assert!(answer.to_lowercase().contains("content-length: 3\r\n"), "{answer}");
    assert!(plain(address, "/b").await.starts_with("HTTP/1.1 404"));
    supervisor.shutdown(std::time::Duration::from_secs(5)).await;
    assert_eq!(*seen.lock(), ["GET /a", "GET /a done", "GET /b", "GET /b done"]);
}
