//! Watches through the whole chain.

mod support;

use apimachinery::Value;
use bytes::Bytes;
use http::{Method, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;
use support::TestServer;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// Events of a watch in JSON.
struct Events {
    body: Incoming,
    text: Vec<u8>,
}

impl Events {
    fn new(response: Response<Incoming>) -> Self {
        assert_eq!(response.status(), 200);
        Self { body: response.into_body(), text: Vec::new() }
    }

    /// The next event; `None` when the watch has ended.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.text.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.text.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("an event"));
            }
            let frame = self.body.frame().await?.expect("no error");
            self.text.extend_from_slice(&frame.into_data().unwrap_or_default());
        }
    }
}

async fn watch(server: &TestServer, query: &str, accept: &str) -> Response<Incoming> {
    server.send(Method::GET, &format!("{MAPS}?watch=true&{query}"), &[("accept", accept)], "").await
}

#[tokio::test]
async fn initial_events_then_a_bookmark_then_changes() {
    let server = TestServer::start().await;
    let made = server.config_map("a").await;
    let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut events = Events::new(watch(&server, query, "application/json").await);
    assert_eq!(events.next().await, Some(json!({"type": "ADDED", "object": made})));
    let bookmark = events.next().await.expect("a bookmark");
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    let made = server.config_map("b").await;
    assert_eq!(events.next().await, Some(json!({"type": "ADDED", "object": made})));
    server.ask(Method::DELETE, &format!("{MAPS}/b"), &[], "").await;
    assert_eq!(events.next().await.expect("an event")["type"], "DELETED");
}

#[tokio::test]
async fn tables_name_their_columns_once() {
    let server = TestServer::start().await;
    for name in ["a", "b"] {
        server.config_map(name).await;
    }
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let mut events = Events::new(watch(&server, "resourceVersion=0", accept).await);
    let first = events.next().await.expect("an event");
    assert_eq!(first["object"]["columnDefinitions"][0]["name"], "Name");
    let second = events.next().await.expect("an event");
    assert_eq!(second["object"]["columnDefinitions"], Value::Null);
    assert_eq!(second["object"]["rows"][0]["cells"][0], "b");
}

#[tokio::test]
async fn protobuf_frames() {
    let server = TestServer::start().await;
    server.config_map("a").await;
    let response = watch(&server, "resourceVersion=0", "application/vnd.kubernetes.protobuf").await;
    assert_eq!(response.headers()["content-type"], "application/vnd.kubernetes.protobuf;stream=watch");
    let mut body = response.into_body();
    let frame: Bytes = body.frame().await.expect("a frame").expect("no error").into_data().expect("data");
    let len = u32::from_be_bytes(frame[..4].try_into().expect("four bytes")) as usize;
    assert_eq!(len, frame.len() - 4);
    let start = frame.windows(4).position(|w| w == b"k8s\0").expect("an envelope");
    let envelope = apimachinery::codec::protobuf::open(&frame[start..]).expect("an envelope");
    assert_eq!(envelope.kind, "ConfigMap");
}

#[tokio::test]
async fn watches_end_with_their_time_and_with_the_server() {
    let server = TestServer::start().await;
    let mut timed = Events::new(watch(&server, "resourceVersion=0&timeoutSeconds=1", "application/json").await);
    assert_eq!(timed.next().await, None);
    let mut lasting = Events::new(watch(&server, "resourceVersion=0", "application/json").await);
    server.supervisor.stop();
    assert_eq!(lasting.next().await, None);
}
