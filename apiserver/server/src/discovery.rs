//! Discovery documents, made from the resource table when it changes and served as bytes.
//!
//! Upstream: `apiserver/pkg/endpoints/discovery`, `kube-aggregator/pkg/apiserver/handler_apis.go`.

use crate::document::Document;
use apimachinery::gvk::Str;
use apimachinery::resources::{ResourceInfo, Subresource};
use apimachinery::{Map, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;

/// All discovery documents of one set of resources.
#[derive(Debug)]
pub struct Discovery {
    /// By path without a trailing slash: `/api`, `/apis`, `/api/v1`, `/apis/apps`, `/apis/apps/v1`.
    documents: HashMap<String, Document>,
    aggregated_core: Document,
    aggregated: Document,
}

/// Resources of one group version, in the order of the table.
struct Version<'a> {
    version: &'a str,
    resources: Vec<&'a ResourceInfo>,
}

struct Group<'a> {
    name: &'a str,
    versions: Vec<Version<'a>>,
}

/// `Accept` parameters that ask for the aggregated form.
const AGGREGATED: &str = "as=APIGroupDiscoveryList";
/// Its content type.
const AGGREGATED_TYPE: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

impl Discovery {
    /// Makes the documents. `address` is where clients in the cluster reach the server.
    pub fn new(resources: &[Arc<ResourceInfo>], address: &str) -> Self {
        let groups = groups(resources);
        let (core, named): (Vec<_>, Vec<_>) = groups.iter().partition(|g| g.name.is_empty());
        let mut documents = HashMap::new();
        let mut add = |path: String, value: Value| documents.insert(path, Document::json(&value));
        add("/api".into(), api_versions(&core, address));
        add("/apis".into(), group_list(&named));
        for group in &groups {
            let prefix = if group.name.is_empty() { "/api".to_owned() } else { format!("/apis/{}", group.name) };
            if !group.name.is_empty() {
                add(prefix.clone(), api_group(group, true));
            }
            for version in &group.versions {
                add(format!("{prefix}/{}", version.version), resource_list(group.name, version));
            }
        }
        Self {
            documents,
            aggregated_core: Document::new(&aggregated(&core), AGGREGATED_TYPE),
            aggregated: Document::new(&aggregated(&named), AGGREGATED_TYPE),
        }
    }

    /// The document of a path, in the form that the `Accept` header asks for.
    pub fn find(&self, path: &str, accept: &str) -> Option<&Document> {
        let path = path.trim_end_matches('/');
        match (path, wants_aggregated(accept)) {
            ("/api", true) => Some(&self.aggregated_core),
            ("/apis", true) => Some(&self.aggregated),
            _ => self.documents.get(path),
        }
    }

    /// All paths, sorted.
    pub fn paths(&self) -> Vec<&str> {
        let mut paths: Vec<&str> = self.documents.keys().map(String::as_str).collect();
        paths.sort_unstable();
        paths
    }
}

fn wants_aggregated(accept: &str) -> bool {
    accept.split(',').any(|clause| {
        clause.trim_start().starts_with("application/json")
            && clause.contains(AGGREGATED)
            && clause.contains("g=apidiscovery.k8s.io")
            && clause.split(';').any(|p| p.trim() == "v=v2")
    })
}

fn groups(resources: &[Arc<ResourceInfo>]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for resource in resources {
        let index = groups.iter().position(|g| g.name == resource.group).unwrap_or_else(|| {
            groups.push(Group { name: &resource.group, versions: Vec::new() });
            groups.len() - 1
        });
        let versions = &mut groups[index].versions;
        let index = versions.iter().position(|v| v.version == resource.version).unwrap_or_else(|| {
            versions.push(Version { version: &resource.version, resources: Vec::new() });
            versions.len() - 1
        });
        versions[index].resources.push(resource);
    }
    for version in groups.iter_mut().flat_map(|g| &mut g.versions) {
        version.resources.sort_by(|a, b| a.plural.cmp(&b.plural));
    }
    groups
}

fn api_versions(core: &[&Group<'_>], address: &str) -> Value {
    let versions: Vec<&str> = core.iter().flat_map(|g| &g.versions).map(|v| v.version).collect();
    json!({
        "kind": "APIVersions", "versions": versions,
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    })
}

fn group_list(groups: &[&Group<'_>]) -> Value {
    let groups: Vec<Value> = groups.iter().map(|g| api_group(g, false)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

fn api_group(group: &Group<'_>, alone: bool) -> Value {
    let of = |v: &Version<'_>| json!({"groupVersion": format!("{}/{}", group.name, v.version), "version": v.version});
    let mut value = json!({
        "name": group.name,
        "versions": group.versions.iter().map(of).collect::<Vec<_>>(),
        "preferredVersion": group.versions.first().map(of),
    });
    if alone {
        value["kind"] = "APIGroup".into();
        value["apiVersion"] = "v1".into();
    }
    value
}

fn resource_list(group: &str, version: &Version<'_>) -> Value {
    let group_version = apimachinery::gvk::api_version(group, version.version);
    let resources: Vec<Value> = version.resources.iter().flat_map(|r| entries(r)).collect();
    let mut value = json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": resources});
    // Upstream leaves the version out for the core group only.
    if !group.is_empty() {
        value["apiVersion"] = "v1".into();
    }
    value
}

/// The resource and its subresources, as the list names them.
fn entries(resource: &ResourceInfo) -> Vec<Value> {
    let mut own = json!({
        "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
        "kind": resource.kind, "verbs": sorted(&resource.verbs),
    });
    add_names(&mut own, resource);
    if resource.is_stored() {
        own["storageVersionHash"] = storage_hash(resource).into();
    }
    let mut subresources: Vec<&Subresource> = resource.subresources.iter().collect();
    subresources.sort_by(|a, b| a.name.cmp(&b.name));
    std::iter::once(own).chain(subresources.into_iter().map(|s| subresource_entry(resource, s))).collect()
}

fn subresource_entry(resource: &ResourceInfo, subresource: &Subresource) -> Value {
    let mut value = json!({
        "name": format!("{}/{}", resource.plural, subresource.name), "singularName": "",
        "namespaced": resource.namespaced, "kind": subresource.kind.kind, "verbs": sorted(&subresource.verbs),
    });
    if subresource.names_version {
        value["group"] = subresource.kind.group.as_ref().into();
        value["version"] = subresource.kind.version.as_ref().into();
    }
    value
}

fn add_names(value: &mut Value, resource: &ResourceInfo) {
    if !resource.short_names.is_empty() {
        value["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        value["categories"] = json!(resource.categories);
    }
}

/// Verbs in the order that upstream lists them.
fn sorted(verbs: &[Str]) -> Vec<&str> {
    let mut verbs: Vec<&str> = verbs.iter().map(|v| &**v).collect();
    verbs.sort_unstable();
    verbs
}

/// Changes when the stored version changes.
fn storage_hash(resource: &ResourceInfo) -> String {
    let kind = &resource.storage_kind;
    // Upstream still names the version that these were stored in first.
    let version = if kind.kind == "CustomResourceDefinition" { "v1beta1" } else { &kind.version };
    let digest = Sha256::digest(format!("{}/{version}/{}", kind.group, kind.kind));
    STANDARD.encode(&digest[..8])
}

fn aggregated(groups: &[&Group<'_>]) -> Value {
    let items: Vec<Value> = groups.iter().map(|g| aggregated_group(g)).collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    })
}

fn aggregated_group(group: &Group<'_>) -> Value {
    let versions = group.versions.iter().map(|v| {
        let resources: Vec<Value> = v.resources.iter().map(|r| aggregated_resource(r)).collect();
        json!({"version": v.version, "freshness": "Current", "resources": resources})
    });
    let mut metadata = Map::new();
    if !group.name.is_empty() {
        metadata.insert("name".into(), group.name.into());
    }
    json!({"metadata": metadata, "versions": versions.collect::<Vec<_>>()})
}

fn aggregated_resource(resource: &ResourceInfo) -> Value {
    let mut value = json!({
        "resource": resource.plural, "singularResource": resource.singular,
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "responseKind": {"group": "", "version": "", "kind": resource.kind}, "verbs": sorted(&resource.verbs),
    });
    add_names(&mut value, resource);
    let mut subresources: Vec<&Subresource> = resource.subresources.iter().collect();
    subresources.sort_by(|a, b| a.name.cmp(&b.name));
    if !subresources.is_empty() {
        value["subresources"] = subresources.into_iter().map(aggregated_subresource).collect();
    }
    value
}

fn aggregated_subresource(subresource: &Subresource) -> Value {
    let kind = &subresource.kind;
    let (group, version) = match subresource.names_version {
        true => (kind.group.as_ref(), kind.version.as_ref()),
        false => ("", ""),
    };
    json!({
        "subresource": subresource.name, "verbs": sorted(&subresource.verbs),
        "responseKind": {"group": group, "version": version, "kind": kind.kind},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::resources;

    fn discovery() -> Discovery {
        Discovery::new(resources::builtin(), "10.0.0.1:6443")
    }

    fn value(discovery: &Discovery, path: &str) -> Value {
        serde_json::from_slice(&discovery.find(path, "").expect("a document").bytes).expect("json")
    }

    #[test]
    fn lists_versions_groups_and_resources() {
        let discovery = discovery();
        assert_eq!(value(&discovery, "/api")["versions"], json!(["v1"]));
        assert_eq!(value(&discovery, "/apis/autoscaling/")["preferredVersion"]["version"], "v2");
        let pods = value(&discovery, "/api/v1");
        let find =
            |name: &str| pods["resources"].as_array().expect("a list").iter().find(|r| r["name"] == name).cloned();
        assert_eq!(find("pods").expect("pods")["storageVersionHash"], "xPOwRZ+Yhw8=");
        assert_eq!(find("pods/eviction").expect("eviction")["group"], "policy");
        assert!(discovery.find("/apis/nothing", "").is_none());
    }

    #[test]
    fn aggregated_form_on_request() {
        let discovery = discovery();
        let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
        let document = discovery.find("/apis", accept).expect("a document");
        assert_eq!(document.content_type, AGGREGATED_TYPE);
        let items: Value = serde_json::from_slice(&document.bytes).expect("json");
        assert_eq!(items["items"][0]["metadata"]["name"], "apiregistration.k8s.io");
        let other = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
        assert_eq!(discovery.find("/apis", other).expect("a document").content_type, "application/json");
    }

    /// What a fresh upstream cluster publishes, where the stable versions are concerned.
    #[test]
    fn matches_what_upstream_publishes() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/kubernetes-1.36/discovery");
        let Ok(files) = std::fs::read_dir(&folder) else {
            println!("skipped: {} is absent", folder.display());
            return;
        };
        let discovery = discovery();
        for file in files {
            let file = file.expect("a file").path();
            let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
            let path = format!("/{}", name.replace("__", "/"));
            if name.contains("alpha")
                || name.contains("beta")
                || !path.starts_with("/api")
                || name.matches("__").count() < 1
            {
                continue;
            }
            let Some(document) = discovery.find(&path, "") else { continue };
            let want: Value = serde_json::from_slice(&std::fs::read(&file).expect("readable")).expect("json");
            let got: Value = serde_json::from_slice(&document.bytes).expect("json");
            if want["kind"] == "APIResourceList" {
                assert_eq!(got, want, "{path}");
            }
        }
    }
}
