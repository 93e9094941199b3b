//! A small apiserver: it lists and watches nodes, and lets their status be patched.

use bytes::Bytes;
use component::Supervisor;
use component::serve::{Access, Protocol, Request, Response, Router, Server, router};
use futures::StreamExt as _;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::broadcast;

/// How long a state is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the server holds.
#[derive(Clone)]
pub(crate) struct Api {
    state: Arc<(Mutex<State>, Condvar)>,
    events: broadcast::Sender<Value>,
}

struct State {
    version: u64,
    nodes: BTreeMap<String, Value>,
}

impl Api {
    pub(crate) fn new(nodes: &[Value]) -> Self {
        let nodes =
            nodes.iter().map(|node| (node["metadata"]["name"].as_str().expect("a name").to_owned(), node.clone()));
        let state = State { version: 1, nodes: nodes.collect() };
        Self { state: Arc::new((Mutex::new(state), Condvar::new())), events: broadcast::Sender::new(100) }
    }

    /// Serves until the supervisor stops.
    pub(crate) async fn serve(self, address: std::net::SocketAddr, supervisor: Supervisor) {
        let handler = move |request| self.clone().answer(request);
        let server = Server::bind(address).await.expect("a listener");
        let routes = Router::new().route("/api/v1/nodes", handler.clone()).route("/api/v1/nodes/", handler);
        server.run(Protocol::Plain, routes, Access::Open, supervisor).await;
    }

    /// Waits until a node is as wanted.
    pub(crate) fn wait(&self, name: &str, what: &str, is_wanted: impl Fn(&Value) -> bool) {
        let (state, changed) = &*self.state;
        let (mut guard, deadline) = (state.lock().expect("the state"), Instant::now() + PATIENCE);
        while !guard.nodes.get(name).is_some_and(&is_wanted) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what} in time");
            guard = changed.wait_timeout(guard, left).expect("the state").0;
        }
    }

    /// A node as it is now.
    pub(crate) fn node(&self, name: &str) -> Value {
        self.state.0.lock().expect("the state").nodes[name].clone()
    }

    async fn answer(self, request: Request) -> Response {
        let query = request.http.uri().query().unwrap_or_default().to_owned();
        if *request.http.method() == Method::PATCH {
            let name = request.path().split('/').nth(4).unwrap_or_default().to_owned();
            let body = request.http.into_body().collect().await.expect("a body").to_bytes();
            return router::json(StatusCode::OK, &self.patch(&name, &serde_json::from_slice(&body).expect("JSON")));
        }
        if query.contains("sendInitialEvents") {
            return router::status(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", "no streaming lists here");
        }
        let events = self.events.subscribe();
        if !query.contains("watch=") {
            let state = self.state.0.lock().expect("the state");
            let items: Vec<&Value> = state.nodes.values().collect();
            let metadata = json!({"resourceVersion": state.version.to_string()});
            let list = json!({"kind": "NodeList", "apiVersion": "v1", "metadata": metadata, "items": items});
            return router::json(StatusCode::OK, &list);
        }
        let lines = futures::stream::unfold(events, |mut events| async {
            let event: Value = events.recv().await.ok()?;
            Some((Ok(hyper::body::Frame::data(Bytes::from(format!("{event}\n")))), events))
        });
        http::Response::new(http_body_util::StreamBody::new(lines.boxed()).boxed_unsync())
    }

    /// Annotations are merged, conditions replaced: all that a daemon writes.
    fn patch(&self, name: &str, patch: &Value) -> Value {
        let (state, changed) = &*self.state;
        let mut state = state.lock().expect("the state");
        state.version += 1;
        let version = state.version.to_string();
        let node = state.nodes.get_mut(name).expect("the node");
        for (annotation, value) in patch["metadata"]["annotations"].as_object().into_iter().flatten() {
            node["metadata"]["annotations"][annotation] = value.clone();
        }
        if let Some(conditions) = patch["status"].get("conditions") {
            node["status"]["conditions"] = conditions.clone();
        }
        node["metadata"]["resourceVersion"] = version.into();
        let node = node.clone();
        let _ = self.events.send(json!({"type": "MODIFIED", "object": node}));
        changed.notify_all();
        node
    }
}
