//! The paths that every daemon serves: health, metrics, `/configz`, `/statusz`, `/flagz`,
//! `/version`.

use super::health::Health;
use super::router::{Request, Response, Router, full, json, text};
use crate::metrics::{self, Registry};
use http::StatusCode;
use std::sync::Arc;
use std::time::Instant;

const WARNING: &str = "Warning: This endpoint is not meant to be machine parseable, has no formatting \
                       compatibility guarantees and is for debugging purposes only.\n";

/// What the standard paths show.
#[derive(Debug)]
pub struct Endpoints {
    /// The daemon's name.
    pub component: &'static str,
    /// `/healthz` and `/livez`.
    pub healthz: Health,
    /// `/readyz`.
    pub readyz: Health,
    /// `/metrics`.
    pub registry: Registry,
    /// `/configz`: its name and the effective configuration, without secrets.
    pub configz: Option<(&'static str, serde_json::Value)>,
    /// `/flagz`: the flags that were given.
    pub flags: Vec<(String, String)>,
}

impl Endpoints {
    /// With empty checks, the standard metrics and no configuration.
    pub fn new(component: &'static str) -> Self {
        Self {
            component,
            healthz: Health::new(),
            readyz: Health::new(),
            registry: metrics::registry(),
            configz: None,
            flags: Vec::new(),
        }
    }

    /// The router; more routes can be added to it.
    pub fn router(self) -> Router {
        let Self { component, healthz, readyz, registry, configz, flags } = self;
        let mut router = Router::new();
        for (name, health) in [("healthz", healthz.clone()), ("livez", healthz), ("readyz", readyz)] {
            router = health_routes(router, name, health);
        }
        let registry = Arc::new(registry);
        router =
            router.get("/metrics", move |_| full(StatusCode::OK, metrics::CONTENT_TYPE, metrics::encode(&registry)));
        if let Some((name, config)) = configz {
            router = router.get("/configz", move |_| json(StatusCode::OK, &serde_json::json!({ name: config })));
        }
        router = router.get("/version", |_| json(StatusCode::OK, &crate::version::info()));
        let flagz = flagz(component, flags);
        router = router.get("/flagz", move |_| text(StatusCode::OK, flagz.clone()));
        let started = Instant::now();
        let paths = router.paths().collect::<Vec<_>>().join(" ");
        router.get("/statusz", move |_| text(StatusCode::OK, statusz(component, started, &paths)))
    }
}

fn health_routes(router: Router, name: &'static str, health: Health) -> Router {
    let below = format!("/{name}/");
    let answer = move |request: &Request| -> Response {
        let only = request.path().strip_prefix(&below).filter(|only| !only.is_empty());
        health.answer(name, only, request.query("verbose").is_some())
    };
    router.get(&format!("/{name}"), answer.clone()).get(&format!("/{name}/"), answer)
}

fn flagz(component: &str, mut flags: Vec<(String, String)>) -> String {
    flags.sort();
    let lines: String = flags.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    format!("\n{component} flagz\n{WARNING}\n{lines}")
}

fn statusz(component: &str, started: Instant, paths: &str) -> String {
    let up = started.elapsed().as_secs();
    let (hours, minutes, seconds) = (up / 3600, up / 60 % 60, up % 60);
    let (major, minor) = (crate::version::MAJOR, crate::version::MINOR);
    format!(
        "\n{component} statusz\n{WARNING}\nUp: {hours} hr {minutes:02} min {seconds:02} sec\n\
         Binary version: {}\nEmulation version: {major}.{minor}\nPaths: {paths}\n",
        crate::version::GIT_VERSION
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_daemon_has_the_standard_paths() {
        let mut endpoints = Endpoints::new("test");
        endpoints.configz = Some(("componentconfig", serde_json::json!({})));
        let router = endpoints.router();
        let paths: Vec<_> = router.paths().collect();
        for path in
            ["/healthz", "/livez", "/readyz", "/readyz/", "/metrics", "/configz", "/statusz", "/flagz", "/version"]
        {
            assert!(paths.contains(&path), "no {path} in {paths:?}");
        }
    }

    #[test]
    fn flags_are_listed_in_order() {
        let text = flagz("test", vec![("v".into(), "2".into()), ("bind-address".into(), "::".into())]);
        assert!(text.ends_with("bind-address=::\nv=2\n"), "{text}");
    }
}
