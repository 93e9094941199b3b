//! The OpenAPI documents, derived from the schema table and the resource table.
//!
//! Clients need more of them than documentation: `kubectl apply` computes its patches from the
//! list and patch extensions, and finds out about server-side field validation from the
//! parameters. Only what is served is listed, so CBOR is absent.
//!
//! Upstream: `k8s.io/kube-openapi/pkg/{builder,builder3,handler,handler3}`.

mod names;
mod operation;
mod parameters;
mod paths;
mod schemas;
mod v2;
mod v3;

use crate::resources::{self, ResourceInfo};
use crate::{Map, Value};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, OnceLock};

/// One document, built when it is first asked for.
struct Document {
    build: Box<dyn Fn() -> Value + Send + Sync>,
    bytes: OnceLock<Bytes>,
}

static DOCUMENTS: LazyLock<BTreeMap<String, Document>> = LazyLock::new(|| {
    let mut documents = BTreeMap::new();
    let mut add = |path: String, build: Box<dyn Fn() -> Value + Send + Sync>| {
        documents.insert(path, Document { build, bytes: OnceLock::new() });
    };
    add("api".into(), Box::new(|| v3::document(&[paths::core_versions()], None, &Map::new())));
    add("apis".into(), Box::new(|| v3::document(&[paths::groups()], None, &Map::new())));
    for (group, version) in group_versions() {
        if !group.is_empty() {
            add(format!("apis/{group}"), Box::new(move || v3::document(&[paths::group(group)], None, &Map::new())));
        }
        let build = move || {
            v3::document(
                &paths::group_version(group, version, resources::builtin()),
                Some((group, version)),
                &Map::new(),
            )
        };
        add(names::root(group, version), Box::new(build));
    }
    documents
});

static INDEX: LazyLock<Value> = LazyLock::new(|| {
    let entry = |path: &String| {
        let hash = hash(&v3(path)?);
        let url = format!("/openapi/v3/{path}?hash={hash}");
        Some((path.clone(), serde_json::json!({ "serverRelativeURL": url })))
    };
    let paths: Map = DOCUMENTS.keys().filter_map(entry).collect();
    serde_json::json!({ "paths": paths })
});

static V2: LazyLock<Bytes> = LazyLock::new(|| to_bytes(&v2::document(&builtin_paths(), &Map::new())));

fn builtin_paths() -> Vec<paths::Path> {
    let mut paths = vec![paths::core_versions(), paths::groups()];
    for (group, version) in group_versions() {
        paths.extend(paths::group_version(group, version, resources::builtin()));
    }
    let named = group_versions().into_iter().filter(|(group, _)| !group.is_empty());
    let groups: BTreeMap<&str, ()> = named.map(|(group, _)| (group, ())).collect();
    paths.extend(groups.into_keys().map(paths::group));
    paths
}

/// The OpenAPI v3 document of one group version of custom resources, whose types are given by
/// [`type_name`].
pub fn custom_v3(group: &str, version: &str, served: &[Arc<ResourceInfo>], types: &Map) -> Bytes {
    to_bytes(&v3::document(&paths::group_version(group, version, served), Some((group, version)), types))
}

/// The OpenAPI v2 document of built-in resources and of these custom ones.
pub fn v2_with(served: &[Arc<ResourceInfo>], types: &Map) -> Bytes {
    let mut paths = builtin_paths();
    let versions: BTreeSet<(&str, &str)> = served.iter().map(|r| (&*r.group, &*r.version)).collect();
    for (group, version) in &versions {
        paths.extend(paths::group_version(group, version, served));
    }
    to_bytes(&v2::document(&paths, types))
}

/// The name of a custom type: its group backwards, version and kind.
pub fn type_name(group: &str, version: &str, kind: &str) -> String {
    let parts: Vec<&str> = group.split('.').rev().chain([version, kind]).collect();
    parts.join(".")
}

/// The document at `/openapi/v3`: where each group version's document lies, with a hash of its
/// content that clients cache it by.
pub fn v3_index() -> &'static Value {
    &INDEX
}

/// The document of `api/v1`, `apis/apps/v1` and so on; `None` if there is none.
pub fn v3(path: &str) -> Option<Bytes> {
    let document = DOCUMENTS.get(path)?;
    Some(document.bytes.get_or_init(|| to_bytes(&(document.build)())).clone())
}

/// The hash that [`v3_index`] names for this content.
pub fn hash(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02X}")).collect()
}

/// The OpenAPI v2 document of all built-in resources.
pub fn v2() -> Bytes {
    V2.clone()
}

fn to_bytes(document: &Value) -> Bytes {
    // A tree with string keys always serializes.
    serde_json::to_vec(document).unwrap_or_default().into()
}

fn group_versions() -> Vec<(&'static str, &'static str)> {
    let mut versions: Vec<(&str, &str)> =
        resources::builtin().iter().map(|r| (r.group.as_ref(), r.version.as_ref())).collect();
    versions.dedup();
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(path: &str) -> Value {
        serde_json::from_slice(&v3(path).expect("a document")).expect("JSON")
    }

    #[test]
    fn the_index_names_every_document_by_its_hash() {
        let paths = v3_index()["paths"].as_object().expect("paths");
        assert!(paths.contains_key("api/v1") && paths.contains_key("apis/apps/v1") && paths.contains_key("apis/apps"));
        let url = paths["apis/batch/v1"]["serverRelativeURL"].as_str().expect("a URL");
        let expected = format!("/openapi/v3/apis/batch/v1?hash={}", hash(&v3("apis/batch/v1").expect("served")));
        assert_eq!(url, expected);
        assert!(v3("apis/nonsense/v1").is_none());
    }

    #[test]
    fn write_operations_take_field_validation() {
        let document = parsed("apis/apps/v1");
        let item = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"];
        let names = |of: &Value| -> Vec<String> {
            let list = of["parameters"].as_array().cloned().unwrap_or_default();
            list.iter().filter_map(|p| p["name"].as_str()).map(str::to_owned).collect()
        };
        assert_eq!(names(&item["patch"]), ["dryRun", "fieldManager", "fieldValidation", "force"]);
        assert_eq!(names(item), ["name", "namespace", "pretty"]);
        assert_eq!(item["patch"]["operationId"], "patchAppsV1NamespacedDeployment");
        assert_eq!(item["get"]["x-kubernetes-group-version-kind"]["kind"], "Deployment");
    }

    #[test]
    fn schemas_carry_what_apply_needs() {
        let document = parsed("api/v1");
        let schemas = &document["components"]["schemas"];
        let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
        assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
        assert_eq!(containers["x-kubernetes-list-map-keys"][0], "name");
        let pod = &schemas["io.k8s.api.core.v1.Pod"];
        assert_eq!(pod["x-kubernetes-group-version-kind"][0]["kind"], "Pod");
        assert_eq!(pod["properties"]["apiVersion"]["type"], "string");
        assert_eq!(
            schemas["io.k8s.api.core.v1.Volume"]["properties"]["hostPath"]["allOf"][0]["$ref"],
            "#/components/schemas/io.k8s.api.core.v1.HostPathVolumeSource"
        );
    }

    #[test]
    fn every_reference_of_a_document_resolves_in_it() {
        let mut documents: Vec<Value> = DOCUMENTS.keys().map(|path| parsed(path)).collect();
        documents.push(serde_json::from_slice(&v2()).expect("JSON"));
        for document in &documents {
            let mut pending = vec![document];
            while let Some(value) = pending.pop() {
                if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
                    let pointer = reference.trim_start_matches('#');
                    assert!(document.pointer(pointer).is_some(), "{reference} is missing");
                }
                pending.extend(value.as_object().into_iter().flat_map(|m| m.values()));
                pending.extend(value.as_array().into_iter().flatten());
            }
        }
    }

    #[test]
    fn version_2_has_every_resource() {
        let document: Value = serde_json::from_slice(&v2()).expect("JSON");
        assert_eq!(document["swagger"], "2.0");
        let paths = document["paths"].as_object().expect("paths");
        for path in ["/api/v1/namespaces/{namespace}/pods/{name}/log", "/apis/apps/", "/version/"] {
            assert_eq!(paths.contains_key(path), path != "/version/", "{path}");
        }
        let spec = &document["definitions"]["io.k8s.api.apps.v1.DeploymentSpec"];
        assert_eq!(spec["properties"]["template"]["$ref"], "#/definitions/io.k8s.api.core.v1.PodTemplateSpec");
        assert_eq!(spec["required"], serde_json::json!(["selector", "template"]));
    }
}
