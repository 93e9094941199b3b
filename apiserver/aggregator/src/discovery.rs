//! What aggregated servers say they serve, in the form of aggregated discovery.
//!
//! Upstream: `kube-aggregator/pkg/apiserver/handler_discovery.go`.

use crate::priority::Priority;
use crate::service::{ApiService, text};
use apimachinery::{Map, Value};
use serde_json::json;
use std::sync::Arc;

/// What a group version serves elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteVersion {
    /// API group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Where it stands.
    pub priority: Priority,
    /// Whether the server answered the last time.
    pub freshness: Freshness,
    /// `APIResourceDiscovery` objects.
    pub resources: Vec<Value>,
    /// Where its OpenAPI v3 document lies, with its hash; empty if it has none.
    pub openapi: String,
    /// What its server's OpenAPI v2 document says of it.
    pub swagger: Option<Arc<Swagger>>,
}

/// The part of a server's OpenAPI v2 document that is about one version.
#[derive(Clone, Debug, PartialEq)]
pub struct Swagger {
    /// The whole document's entity tag; empty if it has none.
    pub tag: String,
    /// Its paths and definitions.
    pub document: Value,
}

/// How current discovery data are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// The server answered.
    Current,
    /// It did not; this is what it said before, if anything.
    Stale,
}

impl Freshness {
    /// As it stands in the document.
    pub fn as_str(self) -> &'static str {
        match self {
            Freshness::Current => "Current",
            Freshness::Stale => "Stale",
        }
    }
}

/// `Accept` for the aggregated form of `/apis`.
pub(crate) const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                                 application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

impl RemoteVersion {
    /// What is known of a version that was not asked yet, or that does not answer.
    pub(crate) fn stale(service: &ApiService, before: Option<&RemoteVersion>) -> Self {
        Self {
            group: service.group.clone(),
            version: service.version.clone(),
            priority: service.priority,
            freshness: Freshness::Stale,
            resources: before.map(|b| b.resources.clone()).unwrap_or_default(),
            openapi: before.map(|b| b.openapi.clone()).unwrap_or_default(),
            swagger: before.and_then(|b| b.swagger.clone()),
        }
    }

    pub(crate) fn current(
        service: &ApiService,
        resources: Vec<Value>,
        openapi: String,
        swagger: Option<Arc<Swagger>>,
    ) -> Self {
        Self { freshness: Freshness::Current, resources, openapi, swagger, ..Self::stale(service, None) }
    }
}

/// Whether an answer is in the aggregated form.
pub(crate) fn is_aggregated(content_type: &str) -> bool {
    content_type.contains("as=APIGroupDiscoveryList") && content_type.contains("g=apidiscovery.k8s.io")
}

/// The resources of a version in a server's aggregated discovery; empty if it does not list it.
pub(crate) fn from_aggregated(document: &Value, service: &ApiService) -> Vec<Value> {
    let groups = items(document, "items").filter(|g| g.pointer("/metadata/name") == Some(&json!(service.group)));
    let versions = groups.flat_map(|g| items(g, "versions")).filter(|v| text(v, "version") == service.version);
    let mut resources: Vec<Value> = versions.flat_map(|v| items(v, "resources")).cloned().collect();
    resources.iter_mut().for_each(fill_kinds);
    resources
}

/// Some clients fall over what has no response kind (kubernetes/kubernetes#118361).
fn fill_kinds(resource: &mut Value) {
    let fill = |value: &mut Value| {
        if value.get("responseKind").is_none_or(Value::is_null) {
            value["responseKind"] = json!({"group": "", "version": "", "kind": ""});
        }
    };
    fill(resource);
    for subresource in resource.get_mut("subresources").and_then(Value::as_array_mut).into_iter().flatten() {
        fill(subresource);
    }
}

/// The same from an `APIResourceList`.
pub(crate) fn from_legacy(list: &Value) -> Vec<Value> {
    let mut resources: Vec<Value> = Vec::new();
    for entry in items(list, "resources") {
        match text(entry, "name").split_once('/') {
            None => resources.push(resource(entry)),
            Some((parent, name)) => {
                let at = resources.iter().position(|r| text(r, "resource") == parent).unwrap_or_else(|| {
                    // A subresource whose parent is not served itself.
                    resources.push(json!({"resource": parent, "scope": scope(entry), "verbs": [],
                        "singularResource": "", "responseKind": {"group": "", "version": "", "kind": ""}}));
                    resources.len() - 1
                });
                let subresource =
                    json!({"subresource": name, "responseKind": response_kind(entry), "verbs": entry["verbs"]});
                if let Some(all) = resources[at].as_object_mut()
                    && let Some(list) = all.entry("subresources").or_insert_with(|| json!([])).as_array_mut()
                {
                    list.push(subresource);
                }
            }
        }
    }
    resources
}

fn resource(entry: &Value) -> Value {
    let mut resource = json!({
        "resource": entry["name"], "responseKind": response_kind(entry), "scope": scope(entry),
        "singularResource": text(entry, "singularName"), "verbs": entry["verbs"],
    });
    for key in ["shortNames", "categories"] {
        if let Some(list) = entry.get(key) {
            resource[key] = list.clone();
        }
    }
    resource
}

fn response_kind(entry: &Value) -> Value {
    let parts = ["group", "version", "kind"].map(|key| (key.to_owned(), text(entry, key).into()));
    Value::Object(Map::from_iter(parts))
}

fn scope(entry: &Value) -> &'static str {
    match entry.get("namespaced").and_then(Value::as_bool) {
        Some(true) => "Namespaced",
        _ => "Cluster",
    }
}

fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> ApiService {
        ApiService::of(&json!({"spec": {"group": "a.io", "version": "v1"}}))
    }

    #[test]
    fn reads_aggregated_documents() {
        let document = json!({"items": [
            {"metadata": {"name": "b.io"}, "versions": [{"version": "v1", "resources": [{"resource": "no"}]}]},
            {"metadata": {"name": "a.io"}, "versions": [
                {"version": "v2", "resources": [{"resource": "no"}]},
                {"version": "v1", "resources": [{"resource": "flunders", "subresources": [{"subresource": "status"}]}]},
            ]},
        ]});
        let resources = from_aggregated(&document, &service());
        assert_eq!(resources.len(), 1);
        assert_eq!(resources[0]["responseKind"]["kind"], "");
        assert!(resources[0]["subresources"][0]["responseKind"].is_object());
        assert!(is_aggregated("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"));
        assert!(!is_aggregated("application/json"));
    }

    #[test]
    fn reads_legacy_documents() {
        let list = json!({"resources": [
            {"name": "flunders", "singularName": "flunder", "namespaced": true, "kind": "Flunder", "verbs": ["get"],
                "shortNames": ["fl"]},
            {"name": "flunders/status", "namespaced": true, "kind": "Flunder", "verbs": ["patch"]},
            {"name": "odd/scale", "kind": "Scale", "group": "autoscaling", "version": "v1", "verbs": ["get"]},
        ]});
        let resources = from_legacy(&list);
        assert_eq!(resources[0]["scope"], "Namespaced");
        assert_eq!(resources[0]["shortNames"], json!(["fl"]));
        assert_eq!(resources[0]["subresources"][0]["subresource"], "status");
        assert_eq!(resources[1]["subresources"][0]["responseKind"]["group"], "autoscaling");
        assert_eq!(resources[1]["scope"], "Cluster");
    }
}
