//! Paths that are no resources: discovery, version, health, metrics, documents.
//!
//! Upstream: `apiserver/pkg/server/routes`.

use crate::body::Body;
use crate::chain::Exchange;
use crate::health::Family;
use crate::response;
use apimachinery::status::Status;
use http::header::ACCEPT;
use http::{Method, Response, StatusCode};
use serde_json::json;

/// Kubernetes' own version, which clients compare with theirs.
pub const GIT_VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"), "+rust");
const MAJOR: &str = env!("CARGO_PKG_VERSION_MAJOR");
const MINOR: &str = env!("CARGO_PKG_VERSION_MINOR");
/// Fixed paths, without those of health checks and documents.
const PATHS: &[&str] = &["/metrics", "/version"];

/// Serves a request for a path.
pub async fn serve(exchange: &Exchange<'_>) -> Result<Response<Body>, Status> {
    let server = exchange.server;
    let headers = &exchange.parts.headers;
    let path = exchange.info.path;
    if !matches!(exchange.parts.method, Method::GET | Method::HEAD) {
        return Ok(refuse_method(exchange));
    }
    if let Some((family, check)) = Family::of(path) {
        return Ok(server.health.respond(family, check, exchange.query).await);
    }
    Ok(match path {
        "/" => response::json(serde_json::to_vec_pretty(&json!({"paths": paths(exchange)})).unwrap_or_default()),
        "/version" | "/version/" => response::json(version()),
        "/metrics" => response::with_type(
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8",
            server.metrics.render(&server.readonly, &server.mutating).into(),
        ),
        _ => {
            let accept = headers.get(ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
            match (server.documents.get(path), server.discovery.load().find(path, accept)) {
                (Some(document), _) | (None, Some(document)) => document.respond(headers),
                (None, None) => response::not_found(),
            }
        }
    })
}

fn refuse_method(exchange: &Exchange<'_>) -> Response<Body> {
    let known = exchange.server.discovery.load().find(exchange.info.path, "").is_some()
        || PATHS.contains(&exchange.info.path)
        || Family::of(exchange.info.path).is_some();
    match known {
        true => response::text(StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed"),
        false => response::not_found(),
    }
}

fn paths(exchange: &Exchange<'_>) -> Vec<String> {
    let server = exchange.server;
    let discovery = server.discovery.load();
    let mut paths: Vec<String> = discovery.paths().into_iter().map(str::to_owned).collect();
    paths.extend(server.health.paths());
    paths.extend(server.documents.keys().cloned());
    paths.extend(PATHS.iter().map(|p| (*p).to_owned()));
    paths.sort_unstable();
    paths
}

fn version() -> Vec<u8> {
    let platform = match std::env::consts::ARCH {
        "x86_64" => "linux/amd64",
        "aarch64" => "linux/arm64",
        other => other,
    };
    let compiler = concat!("rustc", env!("CARGO_PKG_RUST_VERSION"));
    let document = json!({
        "major": MAJOR, "minor": MINOR,
        "emulationMajor": MAJOR, "emulationMinor": MINOR,
        "minCompatibilityMajor": MAJOR, "minCompatibilityMinor": "35",
        "gitVersion": GIT_VERSION, "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": compiler, "compiler": "rustc", "platform": platform,
    });
    serde_json::to_vec_pretty(&document).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_fits_what_clients_parse() {
        let version: apimachinery::Value = serde_json::from_slice(&version()).expect("json");
        assert_eq!((version["major"].as_str(), version["minor"].as_str()), (Some("1"), Some("36")));
        assert!(version["gitVersion"].as_str().expect("text").starts_with("v1.36."));
    }
}
