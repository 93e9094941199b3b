//! A fake member answers each request with what was sent.
#![expect(clippy::disallowed_methods, reason = "tests own their tasks")]

use super::*;
use http_body_util::{BodyExt, Full};
use std::io::Result;
use std::sync::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tower::{Service, ServiceExt};

const KEEP_ALIVE: KeepAlive = KeepAlive { interval: Duration::from_secs(30), timeout: Duration::from_secs(10) };
const LIFETIME: Duration = Duration::from_secs(3600);

/// Answers the requests on one connection.
async fn answer<I: AsyncRead + AsyncWrite + Unpin>(stream: I) {
    let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        tokio::spawn(async move {
            let sent = Received::new(request.into_body()).collect().await.expect("a body").to_bytes();
            let mut stream = respond.send_response(Response::new(()), false).expect("a head");
            stream.send_data(sent, false).expect("a body");
            let trailers = [("grpc-status".parse().expect("a name"), "0".parse().expect("a value"))];
            stream.send_trailers(trailers.into_iter().collect()).expect("trailers");
        });
    }
}

/// A member behind TLS if there is a key, and where it is.
async fn member(tls: Option<tokio_rustls::TlsAcceptor>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let scheme = if tls.is_some() { "https" } else { "http" };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            match &tls {
                None => drop(tokio::spawn(answer(stream))),
                // Who does not trust it hangs up.
                Some(tls) => drop(tls.accept(stream).await.map(|stream| tokio::spawn(answer(stream)))),
            }
        }
    });
    format!("{scheme}://localhost:{}", address.port())
}

fn request(text: &str) -> Request<Body> {
    let body = Body::new(Full::new(Bytes::copy_from_slice(text.as_bytes())));
    Request::builder().method("POST").uri("/etcdserverpb.KV/Txn").body(body).expect("a request")
}

/// What a member answers, and how the answer ends.
async fn ask(channel: &mut etcd_client::Channel, text: &str) -> std::result::Result<(Bytes, bool), String> {
    let answer = channel.ready().await.map_err(|error| error.to_string())?.call(request(text)).await;
    let body = answer.map_err(|error| error.to_string())?.into_body().collect().await.map_err(|e| e.to_string())?;
    let is_whole = body.trailers().is_some_and(|trailers| trailers["grpc-status"] == "0");
    Ok((body.to_bytes(), is_whole))
}

fn to(servers: &[String]) -> StoreConfig {
    StoreConfig { servers: servers.to_vec(), ..StoreConfig::default() }
}

#[tokio::test]
async fn members_that_are_not_there_are_passed_over() {
    // Nobody listens there any more.
    let gone = TcpListener::bind("127.0.0.1:0").await.and_then(|l| l.local_addr()).expect("a port");
    let gone = format!("http://{gone}");
    let mut channel = channel(&to(&[gone.clone(), member(None).await]), KEEP_ALIVE).expect("good addresses");
    for text in ["a", "", "c", &"d".repeat(200_000)] {
        assert_eq!(ask(&mut channel, text).await, Ok((Bytes::copy_from_slice(text.as_bytes()), true)));
    }
    let mut nobody = super::channel(&to(&[gone]), KEEP_ALIVE).expect("a good address");
    for _ in 0..2 {
        let error = ask(&mut nobody, "a").await.expect_err("nobody answers");
        assert!(error.contains("cannot connect to"), "{error}");
    }
}

#[tokio::test]
async fn members_are_known_by_their_authority() {
    let authority = pki::Authority::create("ca", LIFETIME).expect("an authority");
    let issue = |profile: &pki::Profile| {
        let key = pki::Key::generate(pki::Algorithm::EcdsaP256).expect("a key");
        (authority.issue(profile, &key).expect("a certificate").into_bytes(), key.to_pem().into_bytes())
    };
    let (certificate, key) = issue(&pki::Profile::server("etcd", &["localhost"], LIFETIME));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let ca = authority.certificate_pem().as_bytes().to_vec();
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(pki::pem::parse_certificates(&ca, "ca").expect("a certificate"));
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let tls = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let tls = tls.expect("versions").with_client_cert_verifier(verifier.expect("a verifier")).with_single_cert(
        pki::pem::parse_certificates(&certificate, "server").expect("a certificate"),
        pki::pem::parse_private_key(&key, "server").expect("a key"),
    );
    let member = member(Some(Arc::new(tls.expect("a pair")).into())).await;
    let identity = issue(&pki::Profile::client("apiserver", None, LIFETIME));
    let config = StoreConfig { ca: Some(ca), identity: Some(identity), ..to(std::slice::from_ref(&member)) };
    let mut trusting = channel(&config, KEEP_ALIVE).expect("a good configuration");
    assert_eq!(ask(&mut trusting, "a").await, Ok(("a".into(), true)));
    let other = pki::Authority::create("other", LIFETIME).expect("an authority");
    let config = StoreConfig { ca: Some(other.certificate_pem().as_bytes().to_vec()), ..to(&[member]) };
    let error = ask(&mut channel(&config, KEEP_ALIVE).expect("a configuration"), "a").await.expect_err("not trusted");
    assert!(error.contains("UnknownIssuer"), "{error}");
    let config = StoreConfig { ca: Some(b"nonsense".to_vec()), ..to(&["https://localhost:1".to_owned()]) };
    assert!(channel(&config, KEEP_ALIVE).is_err());
}

/// Keeps what is written each time.
struct Recorded<I>(I, Arc<Mutex<Vec<Vec<u8>>>>);

impl<I: AsyncRead + Unpin> AsyncRead for Recorded<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Recorded<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.1.lock().expect("a record").push(bytes.to_vec());
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn a_request_is_written_in_one_piece() {
    let (near, far) = tokio::io::duplex(64 * 1024);
    tokio::spawn(answer(far));
    let written = Arc::new(Mutex::new(Vec::new()));
    let members = member::all(&to(&["http://localhost:1".to_owned()]), KEEP_ALIVE).expect("a good address");
    let mut line = members[0].speak(Recorded(near, written.clone())).await.expect("HTTP/2");
    for text in ["first", "second"] {
        let (mut head, body) = request(text).into_parts();
        head.uri = members[0].address(&head.uri).expect("an address");
        let (answer, stream) = line.send_request(Request::from_parts(head, ()), false).expect("a stream");
        Sending { body: LookAhead::new(body), stream }.begin();
        answer.await.expect("an answer");
        line = line.ready().await.expect("more");
    }
    // The head is a frame of type 1, and the body ends what was written with it.
    let written = written.lock().expect("a record");
    assert!(written.iter().any(|piece| piece.get(3) == Some(&1) && piece.ends_with(b"second")), "{written:?}");
}
