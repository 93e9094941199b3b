//! The OpenAPI documents, derived from the schema table and the resource table.
//!
//! Clients need more of them than documentation: `kubectl apply` computes its patches from the
//! list and patch extensions, and finds out about server-side field validation from the
//! parameters. Only what is served is listed, so CBOR is absent.
//!
//! Upstream: `k8s.io/kube-openapi/pkg/{builder,builder3,handler,handler3}`.

mod merging;
mod message;
mod names;
mod operation;
mod parameters;
mod paths;
mod schemas;
mod spec3;
mod swagger;
mod texts;
mod v2;
mod v3;

pub use merging::{filter_paths, merge};
pub use texts::{TextSource, Texts};

use crate::resources::ResourceInfo;
use crate::{Map, Value};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

/// What a document of version 3 is about.
#[derive(Debug)]
enum Scope {
    /// `/api/`.
    Core,
    /// `/apis/`.
    Groups,
    /// `/apis/GROUP/`.
    Group(String),
    /// Group and version.
    Version(String, String),
}

/// The documents of built-in resources, each made when it is first asked for.
#[derive(Debug)]
pub struct Documents {
    served: Vec<Arc<ResourceInfo>>,
    texts: TextSource,
    /// By path without slashes at its ends.
    v3: BTreeMap<String, (Scope, OnceLock<Bytes>)>,
    index: OnceLock<Value>,
}

impl Documents {
    /// The documents of these resources, which stand in discovery order, with these texts.
    pub fn new(served: &[Arc<ResourceInfo>], texts: TextSource) -> Self {
        let mut v3 = BTreeMap::new();
        let mut add = |path: String, scope| drop(v3.insert(path, (scope, OnceLock::new())));
        add("api".into(), Scope::Core);
        add("apis".into(), Scope::Groups);
        for (group, version) in group_versions(served) {
            if !group.is_empty() {
                add(format!("apis/{group}"), Scope::Group(group.to_owned()));
            }
            add(names::root(group, version), Scope::Version(group.to_owned(), version.to_owned()));
        }
        Self { served: served.to_vec(), texts, v3, index: OnceLock::new() }
    }

    /// The document of `api/v1`, `apis/apps/v1` and so on; `None` if there is none.
    pub fn v3(&self, path: &str) -> Option<Bytes> {
        let (scope, bytes) = self.v3.get(path)?;
        Some(bytes.get_or_init(|| json(&self.build(scope, &self.texts()))).clone())
    }

    /// The texts of types, unpacked.
    pub fn texts(&self) -> Texts {
        (self.texts)()
    }

    fn build(&self, scope: &Scope, texts: &Texts) -> Value {
        let none = Map::new();
        match scope {
            Scope::Core => v3::document(&[paths::core_versions()], None, &none, texts),
            Scope::Groups => v3::document(&[paths::groups()], None, &none, texts),
            Scope::Group(group) => v3::document(&[paths::group(group)], None, &none, texts),
            Scope::Version(group, version) => {
                v3::document(&paths::group_version(group, version, &self.served), Some((group, version)), &none, texts)
            }
        }
    }

    /// The document at `/openapi/v3`: where each group version's document lies, with a hash of its
    /// content that clients cache it by. Documents that nobody has asked for are not kept.
    pub fn v3_index(&self) -> &Value {
        self.index.get_or_init(|| {
            let texts = self.texts();
            let entry = |(path, (scope, bytes)): (&String, &(Scope, OnceLock<Bytes>))| {
                let hash = bytes.get().map_or_else(|| hash(&json(&self.build(scope, &texts))), |bytes| hash(bytes));
                let url = format!("/openapi/v3/{path}?hash={hash}");
                (path.clone(), serde_json::json!({ "serverRelativeURL": url }))
            };
            let paths: Map = self.v3.iter().map(entry).collect();
            serde_json::json!({ "paths": paths })
        })
    }

    /// The document of version 2 of these and of custom resources, whose types are given by
    /// [`type_name`]. It is made anew each time.
    pub fn v2(&self, custom: &[Arc<ResourceInfo>], types: &Map) -> Value {
        let mut paths = vec![paths::core_versions(), paths::groups()];
        let versions = group_versions(&self.served);
        for (group, version) in &versions {
            paths.extend(paths::group_version(group, version, &self.served));
        }
        let groups: BTreeSet<&str> = versions.iter().map(|(group, _)| *group).filter(|g| !g.is_empty()).collect();
        paths.extend(groups.into_iter().map(paths::group));
        let versions: BTreeSet<(&str, &str)> = custom.iter().map(|r| (&*r.group, &*r.version)).collect();
        for (group, version) in &versions {
            paths.extend(paths::group_version(group, version, custom));
        }
        v2::document(&paths, types, &self.texts())
    }
}

/// The OpenAPI v3 document of one group version of custom resources, whose types are given by
/// [`type_name`].
pub fn custom_v3(group: &str, version: &str, served: &[Arc<ResourceInfo>], types: &Map, texts: &Texts) -> Bytes {
    json(&v3::document(&paths::group_version(group, version, served), Some((group, version)), types, texts))
}

/// The name of a custom type: its group backwards, version and kind.
pub fn type_name(group: &str, version: &str, kind: &str) -> String {
    let parts: Vec<&str> = group.split('.').rev().chain([version, kind]).collect();
    parts.join(".")
}

/// The hash that [`Documents::v3_index`] names for this content.
pub fn hash(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02X}")).collect()
}

/// A document as JSON.
pub fn json(document: &Value) -> Bytes {
    // A tree with string keys always serializes.
    serde_json::to_vec(document).unwrap_or_default().into()
}

/// A document of version 2 as the protobuf message `openapi.v2.Document`.
pub fn protobuf(document: &Value) -> Bytes {
    swagger::encode(document).into()
}

/// A document of version 3 as the protobuf message `openapi.v3.Document`.
pub fn protobuf_v3(document: &Value) -> Bytes {
    spec3::encode(document).into()
}

fn group_versions(served: &[Arc<ResourceInfo>]) -> Vec<(&str, &str)> {
    let mut versions: Vec<(&str, &str)> = served.iter().map(|r| (r.group.as_ref(), r.version.as_ref())).collect();
    versions.dedup();
    versions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources;

    fn documents() -> Documents {
        Documents::new(resources::builtin(), Texts::default)
    }

    fn parsed(path: &str) -> Value {
        serde_json::from_slice(&documents().v3(path).expect("a document")).expect("JSON")
    }

    fn v2() -> Value {
        documents().v2(&[], &Map::new())
    }

    #[test]
    fn the_index_names_every_document_by_its_hash() {
        let documents = documents();
        let paths = documents.v3_index()["paths"].as_object().expect("paths");
        assert!(paths.contains_key("api/v1") && paths.contains_key("apis/apps/v1") && paths.contains_key("apis/apps"));
        let url = paths["apis/batch/v1"]["serverRelativeURL"].as_str().expect("a URL");
        let expected =
            format!("/openapi/v3/apis/batch/v1?hash={}", hash(&documents.v3("apis/batch/v1").expect("served")));
        assert_eq!(url, expected);
        assert!(documents.v3("apis/nonsense/v1").is_none());
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
        let all = documents();
        let mut documents: Vec<Value> = all.v3.values().map(|(scope, _)| all.build(scope, &Texts::default())).collect();
        documents.push(v2());
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
        let document = v2();
        assert_eq!(document["swagger"], "2.0");
        let paths = document["paths"].as_object().expect("paths");
        for path in ["/api/v1/namespaces/{namespace}/pods/{name}/log", "/apis/apps/", "/version/"] {
            assert_eq!(paths.contains_key(path), path != "/version/", "{path}");
        }
        let spec = &document["definitions"]["io.k8s.api.apps.v1.DeploymentSpec"];
        assert_eq!(spec["properties"]["template"]["$ref"], "#/definitions/io.k8s.api.core.v1.PodTemplateSpec");
        assert_eq!(spec["required"], serde_json::json!(["selector", "template"]));
    }

    #[test]
    fn what_is_not_served_is_not_listed() {
        let served: Vec<_> = resources::builtin().iter().filter(|r| r.group != "batch").cloned().collect();
        let documents = Documents::new(&served, Texts::default);
        assert!(documents.v3("apis/batch/v1").is_none() && documents.v3("apis/apps/v1").is_some());
        let v2 = documents.v2(&[], &Map::new());
        assert_eq!(v2["paths"]["/apis/batch/"], Value::Null);
        assert_eq!(v2["definitions"]["io.k8s.api.batch.v1.Job"], Value::Null);
    }
}
