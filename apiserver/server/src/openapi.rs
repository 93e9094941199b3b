//! `/openapi/v2` and `/openapi/v3`: documents with entity tags, versioned URLs that may be cached
//! for good.
//!
//! Upstream: `kube-openapi/pkg/handler`, `kube-openapi/pkg/handler3`.

mod custom;
mod version2;

pub use custom::CustomDocuments;
use version2::Form;
pub use version2::Version2;

use crate::body::Body;
use crate::discovery::Catalog;
use crate::document::Document;
use crate::negotiate;
use crate::query::Query;
use crate::response;
use apimachinery::openapi::{self, Documents};
use apimachinery::{Map, Value};
use apiserver_aggregator::RemoteVersion;
use apiserver_extensions::Definition;
use component::memory::trimmed;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, EXPIRES, HeaderValue, VARY};
use http::{HeaderMap, Response, StatusCode};
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, Once, OnceLock};

/// How long a document at a URL with its hash may be kept.
const KEEP: SignedDuration = SignedDuration::from_hours(365 * 24);
const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf";
/// The forms of documents of version 3. Protobuf is made anew each time: hardly anybody asks for it.
const FORMS: &[(&str, &str, Form)] = &[
    ("application", "json", Form::Json),
    ("application", "com.github.proto-openapi.spec.v3.v1.0+protobuf", Form::Protobuf),
    // Clients ask by this name, too, and do not take it as the type of an answer: it is malformed.
    ("application", "com.github.proto-openapi.spec.v3@v1.0+protobuf", Form::Protobuf),
];
/// Where the documents of group versions lie.
const V3: &str = "/openapi/v3/";

/// The documents of one set of resources.
#[derive(Debug)]
pub struct OpenApi {
    builtin: Arc<Documents>,
    definitions: Vec<Arc<Definition>>,
    custom: Arc<OnceLock<CustomDocuments>>,
    remote: Vec<Arc<RemoteVersion>>,
    indexed: Once,
    v2: Version2,
}

impl OpenApi {
    /// Of built-in resources and of these definitions'.
    pub fn new(builtin: Arc<Documents>, definitions: Vec<Arc<Definition>>) -> Self {
        Self {
            builtin,
            definitions,
            custom: Arc::default(),
            remote: Vec::new(),
            indexed: Once::new(),
            v2: Version2::default(),
        }
    }

    /// The same with other definitions.
    pub fn with(&self, definitions: Vec<Arc<Definition>>) -> Self {
        Self { remote: self.remote.clone(), ..Self::new(self.builtin.clone(), definitions) }
    }

    /// The same with other versions that are served elsewhere.
    pub fn with_remote(&self, remote: &[Arc<RemoteVersion>]) -> Self {
        Self {
            custom: self.custom.clone(),
            remote: remote.to_vec(),
            ..Self::new(self.builtin.clone(), self.definitions.clone())
        }
    }

    /// What there is to tell of custom resources; `None` if there are none.
    fn custom(&self) -> Option<&CustomDocuments> {
        let all = || {
            CustomDocuments::new(self.definitions.iter().flat_map(|d| &d.documents).collect(), &self.builtin.texts())
        };
        (!self.definitions.is_empty()).then(|| self.custom.get_or_init(|| trimmed(all)))
    }

    fn v2(&self) -> Value {
        let mut document = match self.custom() {
            Some(custom) => custom.v2(&self.builtin),
            None => self.builtin.v2(&[], &Map::new()),
        };
        for version in self.remote.iter().filter_map(|remote| remote.swagger.as_ref()) {
            openapi::merge(&mut document, &version.document);
        }
        document
    }

    fn index(&self) -> Document {
        // The hashes take all documents.
        self.indexed.call_once(|| {
            trimmed(|| self.builtin.v3_index());
        });
        let with_document = || self.remote.iter().filter(|r| !r.openapi.is_empty());
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
/// that are served elsewhere lie there; they are listed here, and version 2 has them all in one.
pub fn respond(path: &str, headers: &HeaderMap, query: &Query<'_>, catalog: &Catalog) -> Option<Response<Body>> {
    let edition = catalog.load();
    let documents = edition.openapi();
    match path {
        "/openapi/v2" => Some(documents.v2.respond(headers, || documents.v2())),
        "/openapi/v3" | V3 => Some(listed(&documents.index(), headers)),
        _ => versioned(path.strip_prefix(V3)?, headers, query, documents),
    }
}

/// The index, of which upstream does not say that it is JSON.
fn listed(index: &Document, headers: &HeaderMap) -> Response<Body> {
    let mut answer = index.respond_in_part(headers);
    answer.headers_mut().remove(VARY);
    if answer.headers().contains_key(CONTENT_TYPE) {
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    }
    answer
}

fn versioned(path: &str, headers: &HeaderMap, query: &Query<'_>, documents: &OpenApi) -> Option<Response<Body>> {
    let bytes = documents.v3(path)?;
    let Some(form) = negotiate::prefer(headers, FORMS) else { return Some(version2::not_acceptable()) };
    let asked = query.text("hash");
    let hash = openapi::hash(&bytes);
    if !asked.is_empty() && asked != hash {
        // The client's hash is of another content: send it to the URL of this one.
        return Some(response::redirect(StatusCode::MOVED_PERMANENTLY, &format!("{V3}{path}?hash={hash}")));
    }
    let (bytes, content_type) = match form {
        Form::Json => (bytes, "application/json"),
        Form::Protobuf => (openapi::protobuf_v3(&serde_json::from_slice(&bytes).unwrap_or_default()), PROTOBUF),
    };
    // Both forms have the same entity tag, as upstream.
    let mut answer = Document { bytes, content_type, digest: hash }.respond_in_part(headers);
    if asked.is_empty() {
        return Some(answer);
    }
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
    let expires = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&(Timestamp::now() + KEEP));
    if let Some(expires) = expires.ok().and_then(|e| e.parse().ok()) {
        answer.headers_mut().insert(EXPIRES, expires);
    }
    Some(answer)
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
        let documents = Documents::new(apimachinery::resources::builtin(), apiserver_descriptions::texts);
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
    fn version_3_in_both_forms() {
        let accepting = |accept: &'static str| {
            let headers = HeaderMap::from_iter([(http::header::ACCEPT, HeaderValue::from_static(accept))]);
            respond("/openapi/v3/apis/batch/v1", &headers, &Query::default(), &catalog()).expect("an answer")
        };
        let json = accepting("application/json");
        for name in [PROTOBUF, "application/com.github.proto-openapi.spec.v3@v1.0+protobuf"] {
            let message = accepting(name);
            assert_eq!(message.headers()["content-type"], PROTOBUF);
            assert_eq!(message.headers()["etag"], json.headers()["etag"]);
            let Body::Full(bytes) = message.body() else { panic!("in pieces") };
            assert!(bytes.starts_with(b"\x0a\x053.0.0"));
        }
        assert_eq!(accepting("application/yaml").status(), StatusCode::NOT_ACCEPTABLE);
    }

    #[test]
    fn unknown_documents() {
        for path in ["/openapi/v3/apis/none/v1", "/openapi/v4", "/openapi"] {
            assert!(respond(path, &HeaderMap::new(), &Query::default(), &catalog()).is_none(), "{path}");
        }
    }
}
