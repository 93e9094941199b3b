//! The legacy documents: `APIVersions`, `APIGroupList`, `APIGroup` and `APIResourceList`. Members
//! stand in upstream's order, which people `grep` for.

use super::groups::{Group, Version};
use apimachinery::gvk::Str;
use apimachinery::resources::{ResourceInfo, Subresource};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// `/api`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiVersions<'a> {
    kind: &'static str,
    versions: Vec<&'a str>,
    #[serde(rename = "serverAddressByClientCIDRs")]
    addresses: [ServerAddress<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ServerAddress<'a> {
    #[serde(rename = "clientCIDR")]
    client_cidr: &'static str,
    server_address: &'a str,
}

/// `/apis`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GroupList<'a> {
    kind: &'static str,
    api_version: &'static str,
    groups: Vec<ApiGroup<'a>>,
}

/// `/apis/GROUP`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiGroup<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    api_version: &'static str,
    name: &'a str,
    versions: Vec<GroupVersion<'a>>,
    preferred_version: Option<GroupVersion<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupVersion<'a> {
    group_version: String,
    version: &'a str,
}

/// `/api/v1` and `/apis/GROUP/VERSION`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ResourceList<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    api_version: &'static str,
    group_version: String,
    resources: Vec<Resource<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource<'a> {
    name: String,
    singular_name: &'a str,
    namespaced: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    group: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    kind: &'a str,
    verbs: Vec<&'a str>,
    #[serde(skip_serializing_if = "<[Str]>::is_empty")]
    short_names: &'a [Str],
    #[serde(skip_serializing_if = "<[Str]>::is_empty")]
    categories: &'a [Str],
    #[serde(skip_serializing_if = "String::is_empty")]
    storage_version_hash: String,
}

pub(super) fn api_versions<'a>(core: &[&'a Group<'_>], address: &'a str) -> ApiVersions<'a> {
    ApiVersions {
        kind: "APIVersions",
        versions: core.iter().flat_map(|g| &g.versions).map(|v| v.version).collect(),
        addresses: [ServerAddress { client_cidr: "0.0.0.0/0", server_address: address }],
    }
}

pub(super) fn group_list<'a>(groups: &[&'a Group<'_>]) -> GroupList<'a> {
    let groups = groups.iter().map(|g| api_group(g, false)).collect();
    GroupList { kind: "APIGroupList", api_version: "v1", groups }
}

pub(super) fn api_group<'a>(group: &'a Group<'_>, alone: bool) -> ApiGroup<'a> {
    let of = |v: &'a Version<'_>| GroupVersion {
        group_version: format!("{}/{}", group.name, v.version),
        version: v.version,
    };
    ApiGroup {
        kind: if alone { "APIGroup" } else { "" },
        api_version: if alone { "v1" } else { "" },
        name: group.name,
        versions: group.versions.iter().map(of).collect(),
        preferred_version: group.versions.first().map(of),
    }
}

pub(super) fn resource_list<'a>(group: &str, version: &str, resources: &[&'a ResourceInfo]) -> ResourceList<'a> {
    ResourceList {
        kind: "APIResourceList",
        // Upstream leaves the version out for the core group only.
        api_version: if group.is_empty() { "" } else { "v1" },
        group_version: apimachinery::gvk::api_version(group, version),
        resources: resources.iter().flat_map(|r| entries(r)).collect(),
    }
}

/// The resource and its subresources, as the list names them.
fn entries(resource: &ResourceInfo) -> Vec<Resource<'_>> {
    let own = Resource {
        name: resource.plural.to_string(),
        singular_name: &resource.singular,
        namespaced: resource.namespaced,
        group: "",
        version: "",
        kind: &resource.kind,
        verbs: listed(resource),
        short_names: &resource.short_names,
        categories: &resource.categories,
        storage_version_hash: if resource.is_stored() { storage_hash(resource) } else { String::new() },
    };
    std::iter::once(own).chain(by_name(resource).into_iter().map(|s| subresource_entry(resource, s))).collect()
}

/// The subresources in the order that documents list them.
pub(super) fn by_name(resource: &ResourceInfo) -> Vec<&Subresource> {
    let mut subresources: Vec<&Subresource> = resource.subresources.iter().collect();
    subresources.sort_by(|a, b| a.name.cmp(&b.name));
    subresources
}

fn subresource_entry<'a>(resource: &'a ResourceInfo, subresource: &'a Subresource) -> Resource<'a> {
    let kind = &subresource.kind;
    let (group, version) = match subresource.names_version {
        true => (&*kind.group, &*kind.version),
        false => ("", ""),
    };
    Resource {
        name: format!("{}/{}", resource.plural, subresource.name),
        singular_name: "",
        namespaced: resource.namespaced,
        group,
        version,
        kind: &kind.kind,
        verbs: sorted(&subresource.verbs),
        short_names: &[],
        categories: &[],
        storage_version_hash: String::new(),
    }
}

/// The verbs as upstream lists them: of built-in resources they are sorted.
pub(super) fn listed(resource: &ResourceInfo) -> Vec<&str> {
    match resource.custom {
        Some(_) => resource.verbs.iter().map(|v| &**v).collect(),
        None => sorted(&resource.verbs),
    }
}

/// Verbs in the order of the alphabet.
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
