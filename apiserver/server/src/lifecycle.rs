//! A server's way to its end: it says that it is not ready, goes on serving while load balancers
//! notice, and refuses what comes after that.
//!
//! Upstream: `apiserver/pkg/server/{genericapiserver,lifecycle_signals}.go`,
//! `apiserver/pkg/server/filters/{with_retry_after,goaway}.go`.

mod watches;

pub use watches::{Watch, Watches};

use crate::body::Body;
use crate::response;
use http::header::{CONNECTION, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::request::Parts;
use http::{Response, StatusCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Paths that are answered to the last, and clients: the server itself.
const EXEMPT: &[&str] = &["/readyz", "/livez", "/healthz", "/metrics"];
const SELF: &str = "kube-apiserver/";

/// Whether new requests are still served.
#[derive(Debug, Default)]
pub struct Lifecycle {
    refuses: AtomicBool,
}

impl Lifecycle {
    /// From now on new requests are told to come back later (`--shutdown-send-retry-after`).
    pub fn refuse(&self) {
        self.refuses.store(true, Ordering::Release);
    }

    /// The answer to a request that comes too late.
    pub fn refusal(&self, parts: &Parts) -> Option<Response<Body>> {
        if !self.refuses.load(Ordering::Acquire) || is_exempt(parts) {
            return None;
        }
        let text = "The apiserver is shutting down, please try again later.\n";
        let mut refusal = response::text(StatusCode::TOO_MANY_REQUESTS, text);
        refusal.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
        refusal.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        Some(refusal)
    }
}

fn is_exempt(parts: &Parts) -> bool {
    let agent = parts.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    agent.starts_with(SELF) || EXEMPT.iter().any(|prefix| parts.uri.path().starts_with(prefix))
}

/// A wish that an HTTP/2 connection ends when its present requests do.
#[derive(Clone, Debug, Default)]
pub struct Farewell(Option<Arc<Notify>>);

impl Farewell {
    /// For a connection that listens to it.
    pub fn heard() -> Self {
        Self(Some(Arc::default()))
    }

    /// The client is told to go elsewhere with its next requests.
    pub fn say(&self) {
        if let Some(connection) = &self.0 {
            connection.notify_one();
        }
    }

    /// Says farewell where an answer says `Connection: close`, which HTTP/2 has no header for.
    pub(crate) fn translate(&self, answer: &mut Response<Body>) {
        if self.0.is_some() && answer.headers_mut().remove(CONNECTION).is_some_and(|value| value == "close") {
            self.say();
        }
    }

    /// With this chance (`--goaway-chance`), so that clients of long connections spread over servers.
    pub(crate) fn perhaps(&self, chance: f64) {
        if chance > 0.0 && self.0.is_some() && rand::random::<f64>() < chance {
            self.say();
        }
    }

    /// Waits for it.
    pub async fn said(&self) {
        match &self.0 {
            Some(connection) => connection.notified().await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    #[test]
    fn only_late_requests_of_others_are_refused() {
        let parts = |path: &str, agent: &str| {
            Request::get(path).header("user-agent", agent).body(()).expect("a request").into_parts().0
        };
        let lifecycle = Lifecycle::default();
        assert!(lifecycle.refusal(&parts("/api", "kubectl/v1")).is_none());
        lifecycle.refuse();
        let refusal = lifecycle.refusal(&parts("/api", "kubectl/v1")).expect("a refusal");
        assert_eq!((refusal.status().as_u16(), &refusal.headers()["retry-after"]), (429, &HeaderValue::from(5)));
        for (path, agent) in [("/readyz", "kube-probe/1"), ("/metrics", ""), ("/api", "kube-apiserver/v1.36")] {
            assert!(lifecycle.refusal(&parts(path, agent)).is_none(), "{path}");
        }
    }

    #[tokio::test]
    async fn farewells_are_heard() {
        let farewell = Farewell::heard();
        farewell.perhaps(0.0);
        assert!(futures::FutureExt::now_or_never(farewell.said()).is_none());
        farewell.perhaps(1.0);
        farewell.said().await;
        let mut answer = response::text(StatusCode::OK, "");
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        farewell.translate(&mut answer);
        assert!(!answer.headers().contains_key(CONNECTION));
        farewell.said().await;
    }
}
