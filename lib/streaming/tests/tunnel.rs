//! A client, a proxy and a server on in-memory pipes.
#![expect(clippy::disallowed_methods, reason = "tests own their tasks")]

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use streaming::tunnel;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

type Answer = Response<http_body_util::combinators::BoxBody<Bytes, hyper::Error>>;

fn text(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(text.as_bytes())).map_err(|e| match e {}).boxed());
    *answer.status_mut() = status;
    answer
}

/// Upgrades `/exec` to an echo; refuses `/no`; answers anything else.
async fn server(mut request: Request<Incoming>) -> Result<Answer, hyper::Error> {
    Ok(match request.uri().path() {
        "/exec" => {
            assert_eq!(request.headers()["upgrade"], "SPDY/3.1");
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut io = TokioIo::new(upgrade.await.expect("an upgrade"));
                let mut buffer = [0; 4];
                io.read_exact(&mut buffer).await.expect("four bytes");
                io.write_all(&buffer).await.expect("an echo");
            });
            let mut answer = text(StatusCode::SWITCHING_PROTOCOLS, "");
            answer.headers_mut().insert("connection", "Upgrade".parse().expect("a value"));
            answer.headers_mut().insert("upgrade", "SPDY/3.1".parse().expect("a value"));
            answer
        }
        "/no" => text(StatusCode::FORBIDDEN, "unable to upgrade"),
        _ => text(StatusCode::OK, "hello"),
    })
}

fn serve_backend() -> DuplexStream {
    let (near, far) = tokio::io::duplex(4096);
    tokio::spawn(
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(far), service_fn(server))
            .with_upgrades(),
    );
    near
}

async fn proxy(request: Request<Incoming>) -> Result<Answer, hyper::Error> {
    let forwarded = tunnel::forward(request, serve_backend()).await.expect("an answer");
    tokio::spawn(forwarded.driver);
    Ok(forwarded.response.map(BodyExt::boxed))
}

async fn ask(path: &str, upgrade: bool) -> Response<Incoming> {
    let (near, far) = tokio::io::duplex(4096);
    tokio::spawn(
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(far), service_fn(proxy))
            .with_upgrades(),
    );
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(near)).await.expect("a handshake");
    tokio::spawn(connection.with_upgrades());
    let mut request = Request::get(path).header("host", "x");
    if upgrade {
        request = request.header("connection", "Upgrade").header("upgrade", "SPDY/3.1");
    }
    sender.send_request(request.body(Empty::<Bytes>::new()).expect("a request")).await.expect("an answer")
}

async fn body(response: Response<Incoming>) -> Bytes {
    response.into_body().collect().await.expect("a body").to_bytes()
}

#[tokio::test]
async fn passes_plain_requests() {
    let response = ask("/x", false).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(body(response).await, "hello");
}

#[tokio::test]
async fn passes_upgrades_and_bytes() {
    let mut response = ask("/exec", true).await;
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(response.headers()["upgrade"], "SPDY/3.1");
    let mut io = TokioIo::new(hyper::upgrade::on(&mut response).await.expect("an upgrade"));
    io.write_all(b"ping").await.expect("a write");
    let mut buffer = Vec::new();
    io.read_to_end(&mut buffer).await.expect("the echo, then the end");
    assert_eq!(buffer, b"ping");
}

#[tokio::test]
async fn relays_refusals_of_upgrades() {
    let response = ask("/no", true).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(body(response).await, "unable to upgrade");
}
