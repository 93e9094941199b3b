//! The legacy documents: `APIVersions`, `APIGroupList`, `APIGroup` and `APIResourceList`.

use super::groups::{Group, Version};
use apimachinery::Value;
use apimachinery::gvk::Str;
use apimachinery::resources::{ResourceInfo, Subresource};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest, Sha256};

pub(super) fn api_versions(core: &[&Group<'_>], address: &str) -> Value {
    let versions: Vec<&str> = core.iter().flat_map(|g| &g.versions).map(|v| v.version).collect();
    json!({
        "kind": "APIVersions", "versions": versions,
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    })
}

pub(super) fn group_list(groups: &[&Group<'_>]) -> Value {
    let groups: Vec<Value> = groups.iter().map(|g| api_group(g, false)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

pub(super) fn api_group(group: &Group<'_>, alone: bool) -> Value {
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

pub(super) fn resource_list(group: &str, version: &str, resources: &[&ResourceInfo]) -> Value {
    let group_version = apimachinery::gvk::api_version(group, version);
    let resources: Vec<Value> = resources.iter().flat_map(|r| entries(r)).collect();
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

pub(super) fn add_names(value: &mut Value, resource: &ResourceInfo) {
    if !resource.short_names.is_empty() {
        value["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        value["categories"] = json!(resource.categories);
    }
}

/// Verbs in the order that upstream lists them.
pub(super) fn sorted(verbs: &[Str]) -> Vec<&str> {
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
