//! The aggregated document: `APIGroupDiscoveryList`.

use super::groups::{Content, Group};
use super::legacy::{add_names, sorted};
use apimachinery::resources::{ResourceInfo, Subresource};
use apimachinery::{Map, Value};
use apiserver_aggregator::Freshness;
use serde_json::json;

pub(super) fn group_list(groups: &[&Group<'_>]) -> Value {
    let items: Vec<Value> = groups.iter().map(|g| group(g)).collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    })
}

fn group(group: &Group<'_>) -> Value {
    let versions = group.versions.iter().map(|v| {
        let (freshness, resources) = match &v.content {
            Content::Local(resources) => {
                (Freshness::Current, resources.iter().map(|r| resource(r)).collect::<Vec<_>>())
            }
            Content::Remote(freshness, resources) => (*freshness, resources.to_vec()),
        };
        json!({"version": v.version, "freshness": freshness.as_str(), "resources": resources})
    });
    let mut metadata = Map::new();
    if !group.name.is_empty() {
        metadata.insert("name".into(), group.name.into());
    }
    json!({"metadata": metadata, "versions": versions.collect::<Vec<_>>()})
}

fn resource(resource: &ResourceInfo) -> Value {
    // Upstream names the group and version of custom resources only.
    let custom = resource.custom.is_some();
    let (group, version) = if custom { (&*resource.group, &*resource.version) } else { ("", "") };
    let mut value = json!({
        "resource": resource.plural, "singularResource": resource.singular,
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "responseKind": {"group": group, "version": version, "kind": resource.kind}, "verbs": sorted(&resource.verbs),
    });
    add_names(&mut value, resource);
    let mut subresources: Vec<&Subresource> = resource.subresources.iter().collect();
    subresources.sort_by(|a, b| a.name.cmp(&b.name));
    if !subresources.is_empty() {
        value["subresources"] = subresources.into_iter().map(|s| subresource(s, custom)).collect();
    }
    value
}

fn subresource(subresource: &Subresource, custom: bool) -> Value {
    let kind = &subresource.kind;
    let (group, version) = match custom || subresource.names_version {
        true => (kind.group.as_ref(), kind.version.as_ref()),
        false => ("", ""),
    };
    json!({
        "subresource": subresource.name, "verbs": sorted(&subresource.verbs),
        "responseKind": {"group": group, "version": version, "kind": kind.kind},
    })
}
