//! Health checks: `/healthz`, `/livez`, `/readyz`, and each check below them by name.
//!
//! Upstream: `apiserver/pkg/server/healthz`.

use super::router::{Response, text};
use http::StatusCode;
use parking_lot::RwLock;
use std::sync::Arc;

type Check = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The checks of one endpoint. Cheap to clone; checks can be added while it is served.
#[derive(Clone, Default)]
pub struct Health {
    checks: Arc<RwLock<Vec<(String, Check)>>>,
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.checks.read().iter().map(|(name, _)| name)).finish()
    }
}

impl Health {
    /// Only the check `ping`, which always passes.
    pub fn new() -> Self {
        let health = Self::default();
        health.add("ping", || Ok(()));
        health
    }

    /// Adds a check; its error's text is logged, not shown.
    pub fn add(&self, name: &str, check: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        self.checks.write().push((name.to_owned(), Box::new(check)));
    }

    /// The answer for `endpoint` (`healthz`, …), of one check if `only` names it.
    pub fn answer(&self, endpoint: &str, only: Option<&str>, verbose: bool) -> Response {
        let checks = self.checks.read();
        let mut chosen = checks.iter().filter(|(name, _)| only.is_none_or(|only| only == name)).peekable();
        if chosen.peek().is_none() {
            return text(StatusCode::NOT_FOUND, "404 page not found\n");
        }
        let mut lines = String::new();
        let mut failed = false;
        for (name, check) in chosen {
            match check() {
                Ok(()) => lines.push_str(&format!("[+]{name} ok\n")),
                Err(error) => {
                    tracing::info!(check = name, error, "{endpoint} check failed");
                    failed = true;
                    lines.push_str(&format!("[-]{name} failed: reason withheld\n"));
                }
            }
        }
        match (failed, verbose) {
            (true, _) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{lines}{endpoint} check failed\n")),
            (false, true) => text(StatusCode::OK, format!("{lines}{endpoint} check passed\n")),
            (false, false) => text(StatusCode::OK, "ok"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    async fn body(response: Response) -> (u16, String) {
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn answers_have_upstreams_form() {
        let health = Health::new();
        assert_eq!(body(health.answer("healthz", None, false)).await, (200, "ok".into()));
        let verbose = "[+]ping ok\nhealthz check passed\n";
        assert_eq!(body(health.answer("healthz", None, true)).await, (200, verbose.into()));
        health.add("sync", || Err("secret".into()));
        let failed = "[+]ping ok\n[-]sync failed: reason withheld\nreadyz check failed\n";
        assert_eq!(body(health.answer("readyz", None, false)).await, (500, failed.into()));
        assert_eq!(body(health.answer("readyz", Some("ping"), false)).await, (200, "ok".into()));
        assert_eq!(body(health.answer("readyz", Some("nonesuch"), false)).await.0, 404);
    }
}
