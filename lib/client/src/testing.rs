//! A fake apiserver for this crate's tests: a function from requests to answers, in process.

use http_body_util::BodyExt as _;
use kube::client::Body;
use parking_lot::Mutex;
use std::sync::Arc;

/// A request as the fake server sees it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) uri: String,
    pub(crate) body: Vec<u8>,
}

/// What the fake server says.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    code: u16,
    body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(code: u16, body: &impl serde::Serialize) -> Self {
        Self { code, body: serde_json::to_vec(body).unwrap() }
    }

    pub(crate) fn status(code: u16, reason: &str) -> Self {
        let status = serde_json::json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "reason": reason, "code": code, "message": reason,
        });
        Self::json(code, &status)
    }

    /// A watch: one JSON document per line, then the end of the stream.
    pub(crate) fn watch(events: &[serde_json::Value]) -> Self {
        let body = events.iter().map(|event| format!("{event}\n")).collect::<String>();
        Self { code: 200, body: body.into_bytes() }
    }
}

type Respond = Box<dyn FnMut(&Request) -> Answer + Send>;

/// Answers by a function and remembers the requests. Cheap to clone.
#[derive(Clone)]
pub(crate) struct FakeServer {
    respond: Arc<Mutex<Respond>>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl FakeServer {
    pub(crate) fn new(respond: impl FnMut(&Request) -> Answer + Send + 'static) -> Self {
        Self { respond: Arc::new(Mutex::new(Box::new(respond))), requests: Arc::default() }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().clone()
    }

    pub(crate) fn client(&self) -> kube::Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let server = server.clone();
            async move { server.answer(request).await }
        });
        kube::Client::new(service, "default")
    }

    async fn answer(&self, request: http::Request<Body>) -> Result<http::Response<Body>, std::convert::Infallible> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        let request = Request { method: parts.method.to_string(), uri: parts.uri.to_string(), body };
        self.requests.lock().push(request.clone());
        let answer = (self.respond.lock())(&request);
        let response = http::Response::builder().status(answer.code).header("content-type", "application/json");
        Ok(response.body(Body::from(answer.body)).unwrap())
    }
}
