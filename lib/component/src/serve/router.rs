//! From paths to handlers: exact ones, and prefixes that end with `/`; the longest prefix wins.

use super::User;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Method, StatusCode, header};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// An error of a body's stream.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// A response's body.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;
/// What a handler gives.
pub type Response = http::Response<Body>;

/// A request with its authenticated user.
#[derive(Debug)]
pub struct Request {
    /// The request; its body is unread, and it can be upgraded.
    pub http: http::Request<hyper::body::Incoming>,
    /// Who asks.
    pub user: User,
    /// From where.
    pub peer: SocketAddr,
}

impl Request {
    /// The path.
    pub fn path(&self) -> &str {
        self.http.uri().path()
    }

    /// The first value of a query parameter, still percent-encoded.
    pub fn query(&self, name: &str) -> Option<&str> {
        let pairs = self.http.uri().query()?.split('&');
        pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }
}

type Handler = Arc<dyn Fn(Request) -> BoxFuture<'static, Response> + Send + Sync>;
type Observer = Arc<dyn Fn(&Method, &str) -> Observation + Send + Sync>;

/// Lives as long as a request is served, and notes its end when it is dropped.
pub type Observation = Box<dyn Send>;

/// Paths with their handlers. Cheap to clone.
#[derive(Clone, Default)]
pub struct Router {
    exact: BTreeMap<String, Handler>,
    prefixes: BTreeMap<String, Handler>,
    observer: Option<Observer>,
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.paths()).finish()
    }
}

impl Router {
    /// Without paths.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a handler for all methods of a path; one that ends with `/` is a prefix.
    #[must_use]
    pub fn route<F, Fut>(mut self, path: &str, handler: F) -> Self
    where
        F: Fn(Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
        let paths = if path.ends_with('/') { &mut self.prefixes } else { &mut self.exact };
        paths.insert(path.to_owned(), handler);
        self
    }

    /// Adds a handler that answers GET and HEAD at once from its own state.
    #[must_use]
    pub fn get<F>(self, path: &str, answer: F) -> Self
    where
        F: Fn(&Request) -> Response + Send + Sync + 'static,
    {
        self.route(path, move |request| {
            let response = match *request.http.method() {
                Method::GET | Method::HEAD => answer(&request),
                _ => text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n"),
            };
            std::future::ready(response)
        })
    }

    /// Tells `observer` the method and the path of every request, served or refused. What it gives is dropped when
    /// the last byte of the answer's body has been handed on.
    #[must_use]
    pub fn observed(self, observer: impl Fn(&Method, &str) -> Observation + Send + Sync + 'static) -> Self {
        Self { observer: Some(Arc::new(observer)), ..self }
    }

    pub(super) fn observe(&self, method: &Method, path: &str) -> Option<Observation> {
        self.observer.as_ref().map(|observer| observer(method, path))
    }

    /// The same handlers for these paths alone.
    #[must_use]
    pub fn only(&self, paths: &[&str]) -> Self {
        let kept = |all: &BTreeMap<String, Handler>| {
            let kept = all.iter().filter(|(path, _)| paths.contains(&path.as_str()));
            kept.map(|(path, handler)| (path.clone(), handler.clone())).collect()
        };
        Self { exact: kept(&self.exact), prefixes: kept(&self.prefixes), observer: self.observer.clone() }
    }

    /// All paths, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        let mut paths: Vec<_> = self.exact.keys().chain(self.prefixes.keys()).map(String::as_str).collect();
        paths.sort_unstable();
        paths.into_iter()
    }

    pub(super) async fn handle(&self, request: Request) -> Response {
        match self.find(request.path()).cloned() {
            Some(handler) => handler(request).await,
            None => text(StatusCode::NOT_FOUND, "404 page not found\n"),
        }
    }

    fn find(&self, path: &str) -> Option<&Handler> {
        let longest = || {
            self.prefixes.iter().filter(|(prefix, _)| path.starts_with(*prefix)).max_by_key(|(prefix, _)| prefix.len())
        };
        self.exact.get(path).or_else(|| longest().map(|(_, handler)| handler))
    }
}

/// A body that holds on to the observation of its request.
struct Observed {
    body: Body,
    _observation: Observation,
}

impl hyper::body::Body for Observed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

/// The response, whose body holds on to the observation.
pub(super) fn until_sent(response: Response, observation: Observation) -> Response {
    response.map(|body| Observed { body, _observation: observation }.boxed_unsync())
}

/// A plain text response.
pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Response {
    full(status, "text/plain; charset=utf-8", text)
}

/// A JSON response.
pub fn json(status: StatusCode, value: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => full(status, "application/json", body),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

/// A response that is complete as it is.
pub fn whole(response: http::Response<Bytes>) -> Response {
    response.map(|body| Full::new(body).map_err(|never| match never {}).boxed_unsync())
}

/// A response with a complete body.
pub fn full(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = whole(http::Response::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    headers.insert("x-content-type-options", http::HeaderValue::from_static("nosniff"));
    response
}

/// An error as upstream's servers put it: a `Status` object.
pub fn status(code: StatusCode, reason: &str, message: &str) -> Response {
    let status = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code.as_u16(),
    });
    json(code, &status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_paths_win_over_the_longest_prefix() {
        let handler = |_: &Request| text(StatusCode::OK, "");
        let router = Router::new().get("/a", handler).get("/a/", handler).get("/a/b/", handler);
        let find = |path: &str| router.find(path).map(Arc::as_ptr).map(<*const _>::cast::<()>);
        let of = |paths: &BTreeMap<String, Handler>, path: &str| Some(Arc::as_ptr(&paths[path]).cast::<()>());
        assert_eq!(find("/a"), of(&router.exact, "/a"));
        assert_eq!(find("/a/x"), of(&router.prefixes, "/a/"));
        assert_eq!(find("/a/b/c"), of(&router.prefixes, "/a/b/"));
        assert!(router.find("/b").is_none());
        assert_eq!(router.paths().collect::<Vec<_>>(), ["/a", "/a/", "/a/b/"]);
    }
}
