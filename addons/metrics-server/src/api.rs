//! The API group: discovery, and what nodes and pods use, one by one or as lists, as objects or as a Table.
//!
//! Upstream: `pkg/api`.

mod answer;
mod path;

use crate::objects::Known;
use crate::store::Store;
use answer::Form;
use apimachinery::selector::{FieldSelector, LabelSelector};
use component::serve::access::resource_verb;
use component::serve::{Attributes, Request, Response, Router, access, router};
use http::request::Parts;
use http::{Method, StatusCode};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use parking_lot::RwLock;
use path::{Kind, Path};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The API group.
pub(crate) const GROUP: &str = "metrics.k8s.io";

/// What answers are made of.
#[derive(Debug)]
pub struct Api {
    /// What was measured.
    pub store: Arc<RwLock<Store>>,
    /// The objects that it was measured of.
    pub known: Known,
}

/// Adds the group's paths.
pub fn routes(router: Router, api: &Arc<Api>) -> Router {
    let api = Arc::clone(api);
    router
        .get("/apis", |_| router::json(StatusCode::OK, &answer::groups()))
        .get("/apis/metrics.k8s.io", |_| router::json(StatusCode::OK, &answer::group()))
        .get("/apis/metrics.k8s.io/v1beta1", |_| router::json(StatusCode::OK, &answer::resources()))
        .route("/apis/metrics.k8s.io/v1beta1/", move |request| std::future::ready(api.answer(&request)))
}

/// What a request asks for, as authorizers see it.
pub fn attributes(parts: &Parts) -> Attributes {
    let Some(path) = Path::parse(parts.uri.path()) else { return access::path_attributes(parts) };
    let verb = match (&parts.method, &path.name) {
        (&Method::GET | &Method::HEAD, None) => "list",
        (method, _) => resource_verb(method),
    };
    Attributes::Resource {
        verb: verb.to_owned(),
        group: GROUP.to_owned(),
        resource: path.kind.resource().to_owned(),
        subresource: String::new(),
        namespace: path.namespace.unwrap_or_default(),
        name: path.name.unwrap_or_default(),
    }
}

/// Which objects a list is to have.
struct Selection {
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Selection {
    fn of(request: &Request) -> Result<Self, String> {
        let query = request.http.uri().query().unwrap_or_default();
        let value = |name: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        let labels = LabelSelector::parse(&value("labelSelector")).map_err(|error| error.to_string())?;
        let fields = FieldSelector::parse(&value("fieldSelector")).map_err(|error| error.to_string())?;
        Ok(Self { labels, fields })
    }

    fn takes(&self, metadata: &ObjectMeta) -> bool {
        let labels = metadata.labels.as_ref();
        self.labels.matches(|key| labels?.get(key).map(String::as_str))
            && self.fields.matches(|field| match field {
                "metadata.name" => metadata.name.as_deref(),
                "metadata.namespace" => metadata.namespace.as_deref(),
                _ => None,
            })
    }
}

impl Api {
    fn answer(&self, request: &Request) -> Response {
        let Some(path) = Path::parse(request.path()) else {
            return router::text(StatusCode::NOT_FOUND, "404 page not found\n");
        };
        if !matches!(*request.http.method(), Method::GET | Method::HEAD) {
            let message = "the server does not allow this method on the requested resource";
            return router::status(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message);
        }
        let form = Form::of(request.http.headers());
        match &path.name {
            Some(name) => match self.one(&path, name) {
                Some(object) => form.one(path.kind, &object),
                None => {
                    let message = format!("{}.{GROUP} \"{name}\" not found", path.kind.metrics());
                    router::status(StatusCode::NOT_FOUND, "NotFound", &message)
                }
            },
            None => match Selection::of(request) {
                Ok(selection) => form.list(path.kind, &self.list(&path, &selection)),
                Err(message) => router::status(StatusCode::BAD_REQUEST, "BadRequest", &message),
            },
        }
    }

    fn one(&self, path: &Path, name: &str) -> Option<Value> {
        let namespace = path.namespace.as_deref().unwrap_or_default();
        match path.kind {
            Kind::Node => self.node(&self.known.nodes.get("", name)?.metadata),
            Kind::Pod => self.pod(&self.known.pods.get(namespace, name)?.metadata),
        }
    }

    fn list(&self, path: &Path, selection: &Selection) -> Vec<Value> {
        let mut found: BTreeMap<(String, String), Value> = BTreeMap::new();
        let mut put = |metadata: &ObjectMeta, object: Option<Value>| {
            let part = |text: &Option<String>| text.clone().unwrap_or_default();
            found.extend(object.map(|object| ((part(&metadata.namespace), part(&metadata.name)), object)));
        };
        match (path.kind, &path.namespace) {
            (Kind::Node, _) => {
                for node in self.known.nodes.list().iter().filter(|node| selection.takes(&node.metadata)) {
                    put(&node.metadata, self.node(&node.metadata));
                }
            }
            (Kind::Pod, namespace) => {
                let pods = match namespace {
                    Some(namespace) => self.known.pods.list_namespace(namespace),
                    None => self.known.pods.list(),
                };
                for pod in pods.iter().filter(|pod| selection.takes(&pod.metadata)) {
                    put(&pod.metadata, self.pod(&pod.metadata));
                }
            }
        }
        found.into_values().collect()
    }

    fn node(&self, metadata: &ObjectMeta) -> Option<Value> {
        let usage = self.store.read().node(metadata.name.as_deref()?)?;
        let mut object = answer::head(Kind::Node, metadata, &usage);
        object["usage"] = answer::usage(&usage);
        Some(object)
    }

    fn pod(&self, metadata: &ObjectMeta) -> Option<Value> {
        let store = self.store.read();
        let containers = store.pod(metadata.namespace.as_deref()?, metadata.name.as_deref()?)?;
        // The pod's time is that of the container that was measured first.
        let earliest = containers.values().min_by_key(|usage| usage.time)?;
        let mut object = answer::head(Kind::Pod, metadata, earliest);
        object["containers"] =
            containers.iter().map(|(name, usage)| json!({"name": name, "usage": answer::usage(usage)})).collect();
        Some(object)
    }
}
