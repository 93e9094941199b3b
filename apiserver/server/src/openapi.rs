//! `/openapi/v2` and `/openapi/v3`: documents with entity tags, versioned URLs that may be cached
//! for good.
//!
//! Upstream: `kube-openapi/pkg/handler`, `kube-openapi/pkg/handler3`.

mod custom;
mod version2;

pub use custom::CustomDocuments;
pub use version2::Version2;

use crate::body::Body;
use crate::discovery::Catalog;
use crate::document::Document;
use crate::query::Query;
use crate::response;
use apimachinery::openapi::{self, Documents};
use apimachinery::{Map, Value};
use apiserver_aggregator::RemoteVersion;
use apiserver_extensions::Definition;
use http::header::{CACHE_CONTROL, EXPIRES, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, OnceLock};

/// How long a document at a URL with its hash may be kept.
const KEEP: SignedDuration = SignedDuration::from_hours(365 * 24);
/// Where the documents of group versions lie.
const V3: &str = "/openapi/v3/";

/// The documents of one set of resources.
#[derive(Debug)]
pub struct OpenApi {
    builtin: Arc<Documents>,
    definitions: Vec<Arc<Definition>>,
    custom: OnceLock<CustomDocuments>,
    v2: Version2,
}

impl OpenApi {
    /// Of built-in resources and of these definitions'.
    pub fn new(builtin: Arc<Documents>, definitions: Vec<Arc<Definition>>) -> Self {
        Self { builtin, definitions, custom: OnceLock::new(), v2: Version2::default() }
    }

    /// The same built-in resources with other definitions.
    pub fn with(&self, definitions: Vec<Arc<Definition>>) -> Self {
        Self::new(self.builtin.clone(), definitions)
    }

    /// What there is to tell of custom resources; `None` if there are none.
    fn custom(&self) -> Option<&CustomDocuments> {
        let all = || CustomDocuments::new(self.definitions.iter().flat_map(|d| &d.documents).collect());
        (!self.definitions.is_empty()).then(|| self.custom.get_or_init(all))
    }

    fn v2(&self) -> Value {
        match self.custom() {
            Some(custom) => custom.v2(&self.builtin),
            None => self.builtin.v2(&[], &Map::new()),
        }
    }

    fn index(&self, remote: &[Arc<RemoteVersion>]) -> Document {
        let with_document = || remote.iter().filter(|r| !r.openapi.is_empty());
        let custom = self.custom();
        if with_document().next().is_none() && custom.is_none() {
            return Document::json(self.builtin.v3_index());
        }
        let mut index = self.builtin.v3_index().clone();
        for (path, bytes) in custom.iter().flat_map(|custom| custom.all()) {
            let url = format!("{V3}{path}?hash={}", openapi::hash(bytes));
            index["paths"][path] = serde_json::json!({ "serverRelativeURL": url });
        }
        for version in with_document() {
            let path = format!("apis/{}/{}", version.group, version.version);
            index["paths"][path] = serde_json::json!({"serverRelativeURL": version.openapi});
        }
        Document::json(&index)
    }

    fn v3(&self, path: &str) -> Option<bytes::Bytes> {
        self.builtin.v3(path).or_else(|| self.custom()?.v3(path))
    }
}

/// The response for a path below `/openapi`; `None` if there is nothing there. Documents of versions
/// that are served elsewhere lie there, and are listed here.
pub fn respond(path: &str, headers: &HeaderMap, query: &Query<'_>, catalog: &Catalog) -> Option<Response<Body>> {
    let edition = catalog.load();
    let documents = edition.openapi();
    match path {
        "/openapi/v2" => Some(documents.v2.respond(headers, || documents.v2())),
        "/openapi/v3" | V3 => Some(documents.index(&catalog.remote()).respond(headers)),
        _ => versioned(path.strip_prefix(V3)?, headers, query, documents),
    }
}

fn versioned(path: &str, headers: &HeaderMap, query: &Query<'_>, documents: &OpenApi) -> Option<Response<Body>> {
    let bytes = documents.v3(path)?;
    let asked = query.text("hash");
    if asked.is_empty() {
        return Some(json(bytes).respond(headers));
    }
    let hash = openapi::hash(&bytes);
    if asked != hash {
        // The client's hash is of another content: send it to the URL of this one.
        return Some(response::redirect(StatusCode::MOVED_PERMANENTLY, &format!("{V3}{path}?hash={hash}")));
    }
    let mut answer = json(bytes).respond(headers);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
    let expires = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&(Timestamp::now() + KEEP));
    if let Some(expires) = expires.ok().and_then(|e| e.parse().ok()) {
        answer.headers_mut().insert(EXPIRES, expires);
    }
    Some(answer)
}

fn json(bytes: bytes::Bytes) -> Document {
    Document::from_bytes(bytes, "application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        Catalog::new(apimachinery::resources::builtin(), "")
    }

    fn ask(path: &str, query: &str) -> Response<Body> {
        respond(path, &HeaderMap::new(), &Query::parse(query), &catalog()).expect("a document")
    }

    #[test]
    fn versioned_urls_may_be_kept() {
        let documents = Documents::new(apimachinery::resources::builtin());
        let hash = openapi::hash(&documents.v3("apis/apps/v1").expect("a document"));
        let kept = ask("/openapi/v3/apis/apps/v1", &format!("hash={hash}"));
        assert_eq!(kept.headers()[CACHE_CONTROL], "public, immutable");
        assert!(kept.headers()[EXPIRES].to_str().expect("text").ends_with(" GMT"));
        let other = ask("/openapi/v3/apis/apps/v1", "hash=X");
        assert_eq!(other.status(), StatusCode::MOVED_PERMANENTLY);
        assert_eq!(other.headers()["location"], format!("/openapi/v3/apis/apps/v1?hash={hash}"));
        assert!(!ask("/openapi/v3/apis/apps/v1", "").headers().contains_key(CACHE_CONTROL));
    }

    #[test]
    fn unknown_documents() {
        for path in ["/openapi/v3/apis/none/v1", "/openapi/v4", "/openapi"] {
            assert!(respond(path, &HeaderMap::new(), &Query::default(), &catalog()).is_none(), "{path}");
        }
    }
}
