//! The aggregated document: `APIGroupDiscoveryList`, its members in upstream's order.

use super::groups::{Content, Group, Version};
use super::legacy::{by_name, listed, sorted};
use apimachinery::Value;
use apimachinery::gvk::Str;
use apimachinery::resources::{ResourceInfo, Subresource};
use apiserver_aggregator::Freshness;
use serde::Serialize;

/// The document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GroupList<'a> {
    kind: &'static str,
    api_version: &'static str,
    metadata: Metadata<'a>,
    items: Vec<GroupItem<'a>>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
}

#[derive(Serialize)]
struct GroupItem<'a> {
    metadata: Metadata<'a>,
    versions: Vec<VersionItem<'a>>,
}

#[derive(Serialize)]
struct VersionItem<'a> {
    version: &'a str,
    resources: Resources<'a>,
    freshness: &'static str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Resources<'a> {
    Local(Vec<Resource<'a>>),
    Remote(&'a [Value]),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource<'a> {
    resource: &'a str,
    response_kind: Kind<'a>,
    scope: &'static str,
    singular_resource: &'a str,
    verbs: Vec<&'a str>,
    #[serde(skip_serializing_if = "<[Str]>::is_empty")]
    short_names: &'a [Str],
    #[serde(skip_serializing_if = "<[Str]>::is_empty")]
    categories: &'a [Str],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subresources: Vec<SubresourceItem<'a>>,
}

#[derive(Serialize)]
struct Kind<'a> {
    group: &'a str,
    version: &'a str,
    kind: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SubresourceItem<'a> {
    subresource: &'a str,
    response_kind: Kind<'a>,
    verbs: Vec<&'a str>,
}

pub(super) fn group_list<'a>(groups: &[&'a Group<'_>]) -> GroupList<'a> {
    GroupList {
        kind: "APIGroupDiscoveryList",
        api_version: "apidiscovery.k8s.io/v2",
        metadata: Metadata { name: "" },
        items: groups.iter().map(|g| group(g)).collect(),
    }
}

fn group<'a>(group: &'a Group<'_>) -> GroupItem<'a> {
    GroupItem { metadata: Metadata { name: group.name }, versions: group.versions.iter().map(version).collect() }
}

fn version<'a>(version: &'a Version<'_>) -> VersionItem<'a> {
    let (freshness, resources) = match &version.content {
        Content::Local(resources) => {
            (Freshness::Current, Resources::Local(resources.iter().map(|r| resource(r)).collect()))
        }
        Content::Remote(freshness, resources) => (*freshness, Resources::Remote(resources)),
    };
    VersionItem { version: version.version, resources, freshness: freshness.as_str() }
}

fn resource(resource: &ResourceInfo) -> Resource<'_> {
    // Upstream names the group and version of custom resources only.
    let custom = resource.custom.is_some();
    let (group, version) = if custom { (&*resource.group, &*resource.version) } else { ("", "") };
    Resource {
        resource: &resource.plural,
        response_kind: Kind { group, version, kind: &resource.kind },
        scope: if resource.namespaced { "Namespaced" } else { "Cluster" },
        singular_resource: &resource.singular,
        verbs: listed(resource),
        short_names: &resource.short_names,
        categories: &resource.categories,
        subresources: by_name(resource).into_iter().map(|s| subresource(s, custom)).collect(),
    }
}

fn subresource(subresource: &Subresource, custom: bool) -> SubresourceItem<'_> {
    let kind = &subresource.kind;
    let (group, version) = match custom || subresource.names_version {
        true => (kind.group.as_ref(), kind.version.as_ref()),
        false => ("", ""),
    };
    SubresourceItem {
        subresource: &subresource.name,
        response_kind: Kind { group, version, kind: &kind.kind },
        verbs: sorted(&subresource.verbs),
    }
}
