//! Paths that are no resources: discovery, version, health, metrics, documents.
//!
//! Upstream: `apiserver/pkg/server/routes`.

use crate::body::Body;
use crate::chain::Exchange;
use crate::document::Document;
use crate::health::Family;
use crate::negotiate::{self, Media, Offers};
use crate::{resource, response};
use apimachinery::resources;
use apimachinery::status::Status;
use apiserver_registry::Verb;
use component::zpages::Page;
use http::header::{ACCEPT, CACHE_CONTROL, HeaderValue, WARNING};
use http::{HeaderMap, Method, Response, StatusCode};
use serde_json::json;

/// Fixed paths, without those of health checks and documents.
const PATHS: &[&str] =
    &["/flagz", "/metrics", "/metrics/slis", "/openapi/v2", "/openapi/v3", "/openapi/v3/", "/statusz", "/version"];
/// The name of this component on its pages, as upstream.
const COMPONENT: &str = "apiserver";

/// Dumps of priority and fairness.
const DUMPS: &str = "/debug/api_priority_and_fairness/";

/// Serves a request for a path.
pub async fn serve(exchange: &Exchange<'_>) -> Result<Response<Body>, Status> {
    let server = exchange.server;
    let headers = &exchange.parts.headers;
    let path = exchange.info.path;
    // What upstream's router knows is for one method; its other handlers do not look at the method.
    let routed = Routed::of(exchange, path);
    if let Some(routed) = &routed {
        routed.check(exchange)?;
    }
    if let Some((family, check)) = Family::of(path) {
        return Ok(server.health.respond(family, check, exchange.query).await);
    }
    Ok(match path {
        "/" | "/index.html" => {
            response::json(serde_json::to_vec_pretty(&json!({"paths": paths(exchange)})).unwrap_or_default())
        }
        "/version" | "/version/" => response::json(version()),
        "/statusz" => page(component::zpages::statusz(COMPONENT, paths(exchange), accepted(headers))),
        "/flagz" => page(component::zpages::flagz(COMPONENT, &server.options.flags, accepted(headers))),
        "/metrics" => exposed(server.metrics.render(&server.readonly, &server.mutating), headers),
        "/metrics/slis" => exposed(server.health.indicators(), headers),
        path if path.starts_with(DUMPS) => dump(exchange).unwrap_or_else(response::not_found),
        // Upstream's handler of what is below finds no group there, and says nothing.
        "/openapi/v3/" => empty(StatusCode::NOT_FOUND),
        path if path.starts_with("/openapi/") => {
            crate::openapi::respond(path, headers, exchange.query, &server.discovery)
                .unwrap_or_else(response::not_found)
        }
        _ => {
            let accept = accepted(headers).unwrap_or_default();
            match (routed, server.discovery.load().find(path, accept)) {
                (Some(Routed::Document(document)), _) => kept(document.respond_alike(headers)),
                (_, Some(document)) => discovered(exchange, document)?,
                (_, None) if is_below_routes(path) => return Err(resource::unknown()),
                (_, None) => response::not_found(),
            }
        }
    })
}

fn empty(code: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::from(""));
    *response.status_mut() = code;
    response
}

/// What upstream's router has at a path: it hands on GET only, and only what a client accepts.
///
/// Upstream: `emicklei/go-restful`.
enum Routed<'a> {
    Version,
    /// The resources of a version, or the versions of the core group; not the groups.
    Discovery,
    Document(&'a Document),
}

impl<'a> Routed<'a> {
    fn of(exchange: &Exchange<'a>, path: &str) -> Option<Self> {
        let path = path.trim_end_matches('/');
        if let Some(document) = exchange.server.documents.get(path) {
            return Some(Self::Document(document));
        }
        let mut segments = path.split('/').skip(1);
        match (segments.next(), segments.next(), segments.next()) {
            (Some("version"), None, None) => Some(Self::Version),
            (Some("api"), _, None) if exchange.server.discovery.load().find(path, "").is_some() => {
                Some(Self::Discovery)
            }
            (Some("apis"), Some(group), Some(version)) if segments.next().is_none() => {
                let is_known = resources::builtin().iter().any(|r| r.group == group && r.version == version);
                is_known.then_some(Self::Discovery)
            }
            _ => None,
        }
    }

    fn check(&self, exchange: &Exchange<'_>) -> Result<(), Status> {
        if exchange.parts.method != Method::GET {
            return Err(Status::method_not_allowed());
        }
        let headers = &exchange.parts.headers;
        match self {
            Self::Version => negotiate::routed_to(headers, "application/json"),
            Self::Discovery => negotiate::routed(headers, Verb::Get),
            Self::Document(document) => negotiate::routed_to(headers, document.content_type),
        }
    }
}

/// A discovery document in the form that the client wants.
fn discovered(exchange: &Exchange<'_>, document: &Document) -> Result<Response<Body>, Status> {
    let headers = &exchange.parts.headers;
    if !document.is_plain_json() {
        return Ok(document.respond(headers));
    }
    match negotiate::output(headers, exchange.query, Offers::Plain)?.media {
        Media::Yaml => Ok(document.as_yaml()?.respond_alike(headers)),
        Media::Protobuf => Ok(document.as_protobuf()?.respond_alike(headers)),
        Media::Json => Ok(document.respond_alike(headers)),
    }
}

/// Whether a path is below one that upstream's router knows: of a version of a group that is built in, and the like.
fn is_below_routes(path: &str) -> bool {
    if path.starts_with("/api/") || path.starts_with("/version/") {
        return true;
    }
    let group = path.strip_prefix("/apis/").and_then(|path| path.split_once('/'));
    group.is_some_and(|(group, _)| resources::builtin().iter().any(|resource| resource.group == group))
}

/// What issuers say of themselves may be kept for a while.
fn kept(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

fn exposed(metrics: String, headers: &HeaderMap) -> Response<Body> {
    component::metrics::expose(metrics, accepted(headers)).map(Body::Full)
}

fn accepted(headers: &HeaderMap) -> Option<&str> {
    headers.get(ACCEPT)?.to_str().ok()
}

fn page(page: Page) -> Response<Body> {
    let code = StatusCode::from_u16(page.code).unwrap_or_default();
    let mut response = response::with_type(code, page.content_type, Body::Full(page.body.into()));
    if let Some(warning) = page.warning.and_then(|text| HeaderValue::from_str(&text).ok()) {
        response.headers_mut().insert(WARNING, warning);
    }
    response
}

fn dump(exchange: &Exchange<'_>) -> Option<Response<Body>> {
    let fairness = exchange.server.fairness.as_ref()?;
    let text = fairness.dump(exchange.info.path.strip_prefix(DUMPS)?)?;
    Some(response::text(StatusCode::OK, text))
}

fn paths(exchange: &Exchange<'_>) -> Vec<String> {
    let server = exchange.server;
    let discovery = server.discovery.load();
    let mut paths: Vec<String> = discovery.paths().into_iter().map(str::to_owned).collect();
    paths.extend(server.health.paths());
    paths.extend(server.documents.keys().cloned());
    paths.extend(PATHS.iter().map(|p| (*p).to_owned()));
    paths.push("/apis/".to_owned());
    paths.sort_unstable();
    paths
}

fn version() -> Vec<u8> {
    let mut info = component::version::info();
    info.insert("goVersion", concat!("rustc", env!("CARGO_PKG_RUST_VERSION")).to_owned());
    serde_json::to_vec_pretty(&info).unwrap_or_default()
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
