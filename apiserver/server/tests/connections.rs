//! Connections: how clients of HTTP/2 are told to go elsewhere, and that an answer that comes before
//! the end of the question is not lost.
#![expect(clippy::disallowed_methods, reason = "tests own their tasks")]

mod support;

use apiserver_server::chain::Peer;
use apiserver_server::lifecycle::Farewell;
use apiserver_server::{Options, serve};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::sync::Arc;
use std::time::Duration;
use support::{ADMIN, NOBODY, TestServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A connection of HTTP/2, and the task that ends with it.
async fn connect(server: &TestServer) -> (SendRequest<Full<Bytes>>, tokio::task::JoinHandle<hyper::Result<()>>) {
    let (near, far) = tokio::io::duplex(256 * 1024);
    let peer = Peer { farewell: Farewell::heard(), ..Peer::default() };
    tokio::spawn(serve::http(server.server.clone(), Arc::new(peer), far, true));
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(near)).await.expect("HTTP/2");
    (sender, tokio::spawn(connection))
}

fn request(method: &str, path: &str, who: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(format!("http://test{path}"));
    let request = request.header("authorization", format!("Bearer {who}")).header("content-type", "application/json");
    request.body(Full::new(body.into())).expect("a request")
}

#[tokio::test]
async fn clients_are_told_to_go_elsewhere_and_watches_go_on() {
    let server = TestServer::with_options(Options { goaway_chance: 1.0, ..Options::default() }).await;
    let (mut sender, connection) = connect(&server).await;
    let watch = request("GET", "/api/v1/namespaces/default/configmaps?watch=1", ADMIN, "");
    let mut watch = sender.send_request(watch).await.expect("an answer").into_body();
    // The connection takes no more requests, while the watch on it goes on.
    tokio::time::timeout(Duration::from_secs(10), async {
        while let Ok(answer) = sender.send_request(request("GET", "/version", ADMIN, "")).await {
            assert_eq!(answer.status(), StatusCode::OK);
        }
    })
    .await
    .expect("a farewell");
    server.config_map("a").await;
    let event = watch.frame().await.expect("an event").expect("a frame").into_data().expect("data");
    assert!(event.starts_with(b"{\"type\":\"ADDED\""));
    drop(watch);
    tokio::time::timeout(Duration::from_secs(10), connection)
        .await
        .expect("an end")
        .expect("a task")
        .expect("a good end");
}

#[tokio::test]
async fn targets_may_have_what_no_uri_has() {
    let server = TestServer::start().await;
    let (mut near, far) = tokio::io::duplex(256 * 1024);
    tokio::spawn(serve::http(server.server.clone(), Arc::new(Peer::default()), far, false));
    let maps = "/api/v1/namespaces/default/configmaps";
    let body =
        "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\"},\r\n\"data\":{\"k\":\"GET /<\"}}";
    let kind = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    for (method, target, more, body, code, want) in [
        ("GET", format!("{maps}?labelSelector=a<1"), "", "", 200, "\"items\":[]"),
        ("GET", format!("{maps}/a#b"), "", "", 404, "configmaps \\\"a#b\\\" not found"),
        ("POST", format!("{maps}?x=\"<"), &kind, body, 201, "GET /<"),
        ("GET", format!("{maps}/\u{e9}`"), "", "", 404, "configmaps \\\"\u{e9}`\\\" not found"),
        ("GET", "/version".to_owned(), "", "", 200, "gitVersion"),
    ] {
        let head = format!("{method} {target} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN}\r\n{more}\r\n");
        near.write_all(head.as_bytes()).await.expect("a head");
        near.write_all(body.as_bytes()).await.expect("a body");
        let answer = whole_answer(&mut near).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")) && answer.contains(want), "{target}: {answer}");
    }
}

/// One answer of known length, or in chunks.
async fn whole_answer(stream: &mut tokio::io::DuplexStream) -> String {
    let mut answer = String::new();
    loop {
        let mut piece = vec![0; 4096];
        let read = stream.read(&mut piece).await.expect("an answer");
        assert_ne!(read, 0, "the connection ended: {answer}");
        answer.push_str(&String::from_utf8_lossy(&piece[..read]));
        let Some((head, body)) = answer.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if length.is_some_and(|length| body.len() >= length) || body.ends_with("0\r\n\r\n") {
            return answer;
        }
    }
}

#[tokio::test]
async fn refusals_reach_clients_that_still_send() {
    let server = TestServer::start().await;
    let path = "/api/v1/namespaces/default/configmaps";
    let (mut sender, _connection) = connect(&server).await;
    for (who, size, want) in [
        (NOBODY, 2 << 20, StatusCode::FORBIDDEN),
        ("wrong", 2 << 20, StatusCode::UNAUTHORIZED),
        (NOBODY, 16 << 20, StatusCode::FORBIDDEN),
        (ADMIN, 16 << 20, StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let answer = sender.send_request(request("POST", path, who, vec![b' '; size])).await.expect("an answer");
        assert_eq!(answer.status(), want, "HTTP/2 {who} {size}");
        let text = answer.into_body().collect().await.expect("all of it").to_bytes();
        assert!(String::from_utf8_lossy(&text).contains("\"kind\":\"Status\""), "{text:?}");
    }
    // The connection is as good as before.
    let answer = sender.send_request(request("GET", "/version", ADMIN, "")).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    for (who, want) in [(NOBODY, StatusCode::FORBIDDEN), ("wrong", StatusCode::UNAUTHORIZED)] {
        let who = format!("Bearer {who}");
        let answer = server.ask(http::Method::POST, path, &[("authorization", &who)], vec![b' '; 2 << 20]).await;
        assert_eq!(answer.status, want, "HTTP/1.1");
    }
}

#[tokio::test]
async fn bodies_that_dribble_in_are_not_waited_for() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let options = Options { request_timeout: Duration::from_millis(200), ..Options::default() };
    let server = TestServer::with_options(options).await;
    let (mut near, far) = tokio::io::duplex(64 * 1024);
    tokio::spawn(serve::http(server.server.clone(), Arc::new(Peer::default()), far, false));
    let head = format!(
        "POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {ADMIN}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    );
    near.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = [0; 12];
    let read = tokio::time::timeout(Duration::from_secs(10), near.read_exact(&mut answer)).await;
    read.expect("an answer in time").expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 504");
}

/// A connection of HTTP/1.1 as bytes, and the task that ends with it.
fn plain(server: &TestServer) -> (tokio::io::DuplexStream, tokio::task::JoinHandle<()>) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    (near, tokio::spawn(serve::http(server.server.clone(), Arc::new(Peer::default()), far, false)))
}

fn head(method: &str, path: &str, more: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {ADMIN}\r\n{more}\r\n")
}

async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.unwrap_or_else(|_| panic!("{what} in time"))
}

/// Reads until all of the texts have come, one after the other.
async fn read_until(stream: &mut tokio::io::DuplexStream, texts: &[&str]) -> String {
    use tokio::io::AsyncReadExt;
    let mut read = String::new();
    let found = |read: &str| {
        texts.iter().try_fold(0, |from, text| read.get(from..)?.find(text).map(|at| from + at + text.len())).is_some()
    };
    while !found(&read) {
        let mut next = [0; 4096];
        let length = in_time("more", stream.read(&mut next)).await.expect("more");
        assert!(length > 0, "the connection ended after {read}");
        read.push_str(std::str::from_utf8(&next[..length]).expect("text"));
    }
    read
}

#[tokio::test]
async fn connections_outlive_their_watches() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = TestServer::start().await;
    server.config_map("a").await;
    let (mut near, ended) = plain(&server);
    let watch = "/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=1&resourceVersion=0";
    for round in 0..2 {
        // The next request may be on its way already; it is answered when the watch is over.
        let requests = [head("GET", watch, ""), head("GET", "/version", "")].concat();
        near.write_all(requests.as_bytes()).await.expect("sent");
        let answers =
            ["HTTP/1.1 200 OK\r\n", "transfer-encoding: chunked\r\n\r\n", "\"type\":\"ADDED\"", "\r\n0\r\n\r\n"];
        let read = read_until(&mut near, &[&answers[..], &["HTTP/1.1 200 OK\r\n", "gitVersion", "}"]].concat()).await;
        assert!(read.contains("\r\ndate: ") && read.contains("\r\naudit-id: "), "{round}: {read}");
    }
    let last = head("GET", watch, "connection: close\r\n");
    near.write_all(last.as_bytes()).await.expect("sent");
    let mut rest = String::new();
    in_time("an end", near.read_to_string(&mut rest)).await.expect("all of it");
    assert!(rest.ends_with("\r\n0\r\n\r\n"), "{rest}");
    in_time("an end", ended).await.expect("no panic");
}

#[tokio::test]
async fn watches_end_with_their_clients() {
    use tokio::io::AsyncWriteExt;
    let server = TestServer::start().await;
    let (mut near, ended) = plain(&server);
    near.write_all(head("GET", "/api/v1/pods?watch=1", "").as_bytes()).await.expect("sent");
    read_until(&mut near, &["\r\n\r\n"]).await;
    assert_eq!(server.server.metrics.long_running().taken(), 1);
    drop(near);
    in_time("an end", ended).await.expect("no panic");
    assert_eq!(server.server.metrics.long_running().taken(), 0);
}

#[tokio::test]
async fn idle_connections_end_with_the_server() {
    use tokio::io::AsyncWriteExt;
    let server = TestServer::start().await;
    let (_unused, never) = plain(&server);
    let (mut near, watched) = plain(&server);
    let watch = "/api/v1/pods?watch=1&timeoutSeconds=1";
    near.write_all(head("GET", watch, "").as_bytes()).await.expect("sent");
    read_until(&mut near, &["\r\n0\r\n\r\n"]).await;
    server.server.supervisor.stop();
    in_time("an end", never).await.expect("no panic");
    in_time("an end", watched).await.expect("no panic");
}

#[tokio::test]
async fn a_watch_with_a_body_takes_none_of_it_for_a_request() {
    use tokio::io::AsyncWriteExt;
    let server = TestServer::start().await;
    let (mut near, _ended) = plain(&server);
    let smuggled = head("GET", "/version", "");
    let more = format!("content-length: {}\r\n", smuggled.len());
    let watch = head("GET", "/api/v1/pods?watch=1&timeoutSeconds=1", &more);
    near.write_all([watch, smuggled, head("GET", "/api", "")].concat().as_bytes()).await.expect("sent");
    let read = read_until(&mut near, &["\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "APIVersions"]).await;
    assert!(!read.contains("gitVersion"), "{read}");
}

/// The first answer to these bytes.
async fn answer_to(server: &TestServer, request: &str, end: &str) -> String {
    use tokio::io::AsyncWriteExt;
    let (mut near, connection) = plain(server);
    // An answer may come before all is sent.
    let _ = near.write_all(request.as_bytes()).await;
    let answer = read_until(&mut near, &[end]).await;
    drop(near);
    in_time("an end", connection).await.expect("no panic");
    answer
}

#[tokio::test]
async fn heads_are_read_as_go_does() {
    let server = TestServer::start().await;
    let many: String = (0..900).map(|n| format!("x-{n}: y\r\n")).collect();
    let answer = answer_to(&server, &head("GET", "/version", &many), "gitVersion").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let words = "400 Bad Request: missing required Host header";
    let answer = answer_to(&server, "GET /version HTTP/1.1\r\n\r\n", words).await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    let answer = answer_to(&server, &head("GET", "/healthz", "").replace("1.1\r\nhost: test", "1.0"), "ok").await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    let large = format!("x: {}\r\n", "y".repeat(1024 * 1024));
    let answer = answer_to(&server, &head("GET", "/version", &large), "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn broken_chunks_get_the_words_of_go() {
    let server = TestServer::start().await;
    let more = "content-type: application/json\r\ntransfer-encoding: chunked\r\n";
    for (chunk, words) in [
        ("zz\r\n", "invalid byte in chunk length"),
        ("5z\r\n", "invalid byte in chunk length"),
        ("ffffffffffffffffff\r\n", "http chunk length too large"),
        ("5\r\nabcdefgh\r\n", "malformed chunked encoding"),
    ] {
        let request = head("POST", "/api/v1/namespaces/default/configmaps", more) + chunk;
        let answer = answer_to(&server, &request, "Failure\"}").await;
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        let (_, status) = answer.split_once("\r\n\r\n").expect("a body");
        let status: serde_json::Value = serde_json::from_str(status).expect("a status");
        assert_eq!((&status["message"], &status["reason"]), (&words.into(), &serde_json::Value::Null), "{chunk:?}");
    }
}
