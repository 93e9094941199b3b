//! The paths that every daemon serves: health, metrics, `/configz`, `/statusz`, `/flagz`,
//! `/version`.

use super::health::Health;
use super::router::{Request, Response, Router, full, json, whole};
use crate::metrics::{self, Registry};
use crate::zpages::{self, Page};
use http::{HeaderValue, StatusCode, header};
use std::collections::BTreeMap;
use std::sync::Arc;

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
    /// `/flagz`: the flags and their values.
    pub flags: BTreeMap<String, String>,
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
            flags: BTreeMap::new(),
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
        router = router
            .get("/metrics", move |request| whole(metrics::expose(metrics::encode(&registry), accepted(request))));
        if let Some((name, config)) = configz {
            router = router.get("/configz", move |_| json(StatusCode::OK, &serde_json::json!({ name: config })));
        }
        router = router.get("/version", |_| json(StatusCode::OK, &crate::version::info()));
        router = router.get("/flagz", move |request| page(zpages::flagz(component, &flags, accepted(request))));
        let paths: Vec<String> = router.paths().map(str::to_owned).collect();
        router.get("/statusz", move |request| page(zpages::statusz(component, paths.clone(), accepted(request))))
    }
}

fn accepted(request: &Request) -> Option<&str> {
    request.http.headers().get(header::ACCEPT)?.to_str().ok()
}

fn page(page: Page) -> Response {
    let mut response = full(StatusCode::from_u16(page.code).unwrap_or_default(), page.content_type, page.body);
    if let Some(warning) = page.warning.and_then(|text| HeaderValue::from_str(&text).ok()) {
        response.headers_mut().insert(header::WARNING, warning);
    }
    response
}

fn health_routes(router: Router, name: &'static str, health: Health) -> Router {
    let below = format!("/{name}/");
    let answer = move |request: &Request| -> Response {
        let only = request.path().strip_prefix(&below).filter(|only| !only.is_empty());
        health.answer(name, only, request.query("verbose").is_some())
    };
    router.get(&format!("/{name}"), answer.clone()).get(&format!("/{name}/"), answer)
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
        let few = router.only(&["/healthz", "/readyz/", "/nonesuch"]);
        assert_eq!(few.paths().collect::<Vec<_>>(), ["/healthz", "/readyz/"]);
    }
}
