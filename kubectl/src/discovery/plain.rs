//! Discovery as servers without aggregated documents have it: the groups, then a list per group version.
//!
//! Upstream: `client-go/discovery/discovery_client.go` (`fetchGroupVersionResources`).

use super::{Discovery, Failed, Resource};
use crate::http::Client;
use crate::writing::is_not_found;
use apimachinery::Value;
use apimachinery::gvk::api_version;
use futures::{StreamExt, stream};

/// How many lists are asked for at the same time.
const AT_ONCE: usize = 8;

/// What upstream takes lists of resources in.
const ACCEPT: &str = "application/json, */*";

/// Asks for each group version that a document of `/api` or `/apis` names.
pub(super) async fn ask(client: &Client, document: &Value) -> Discovery {
    let lists = stream::iter(group_versions(document)).map(|(group, version)| async move {
        let outcome = list(client, &group, &version).await;
        (group, version, outcome)
    });
    let mut discovery = Discovery::default();
    // In order, as the first group and version of a name are the preferred ones.
    for (group, version, outcome) in lists.buffered(AT_ONCE).collect::<Vec<_>>().await {
        match outcome {
            Ok(list) => discovery.resources.extend(from_list(&api_version(&group, &version), &list)),
            Err(error) => discovery.failed.push(Failed { group, version, why: format!("{error:#}") }),
        }
    }
    discovery
}

async fn list(client: &Client, group: &str, version: &str) -> anyhow::Result<Value> {
    let path = match group {
        "" => format!("/api/{version}"),
        group => format!("/apis/{group}/{version}"),
    };
    match client.get(&path, ACCEPT).await {
        Err(error) if group.is_empty() && is_not_found(&error) => Ok(Value::Null),
        outcome => outcome,
    }
}

/// The groups and versions of an `APIVersions` or an `APIGroupList`, the preferred version of each group first.
fn group_versions(document: &Value) -> Vec<(String, String)> {
    let core = list_of(document, "versions").filter_map(|version| Some((String::new(), version.as_str()?.to_owned())));
    core.chain(list_of(document, "groups").flat_map(versions)).collect()
}

fn versions(group: &Value) -> Vec<(String, String)> {
    let preferred = group.pointer("/preferredVersion/version").and_then(Value::as_str).unwrap_or_default();
    let versions = list_of(group, "versions").map(|version| text(version, "version"));
    let mut versions: Vec<String> = versions.filter(|version| !version.is_empty()).collect();
    versions.sort_by_key(|version| version != preferred);
    versions.into_iter().map(|version| (text(group, "name"), version)).collect()
}

/// Reads an `APIResourceList`; subresources are entries of their own in it.
pub(super) fn from_list(group_version: &str, list: &Value) -> Vec<Resource> {
    let (group, version) = group_version.split_once('/').unwrap_or(("", group_version));
    let words = |value: &Value, key: &str| -> Vec<String> {
        list_of(value, key).filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut resources: Vec<Resource> = Vec::new();
    for entry in list_of(list, "resources") {
        let name = text(entry, "name");
        if let Some((plural, subresource)) = name.split_once('/') {
            if let Some(owner) = resources.iter_mut().find(|r| r.plural == plural) {
                owner.subresources.push((subresource.to_owned(), words(entry, "verbs")));
            }
            continue;
        }
        resources.push(Resource {
            group: group.into(),
            version: version.into(),
            plural: name,
            singular: text(entry, "singularName"),
            kind: text(entry, "kind"),
            namespaced: entry.get("namespaced").and_then(Value::as_bool).unwrap_or(false),
            short_names: words(entry, "shortNames"),
            categories: words(entry, "categories"),
            verbs: words(entry, "verbs"),
            subresources: Vec::new(),
        });
    }
    resources
}

fn list_of<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn preferred_versions_come_first() {
        let versions = |document: Value| -> Vec<String> {
            group_versions(&document).iter().map(|(group, version)| api_version(group, version)).collect()
        };
        assert_eq!(versions(json!({"kind": "APIVersions", "versions": ["v1"]})), ["v1"]);
        let groups = json!({"kind": "APIGroupList", "groups": [
            {"name": "b", "versions": [{"version": "v1beta1"}, {"version": "v1"}], "preferredVersion": {"version": "v1"}},
            {"name": "a", "versions": [{"version": "v2"}]}, {"name": "broken"}]});
        assert_eq!(versions(groups), ["b/v1", "b/v1beta1", "a/v2"]);
        assert!(versions(json!({"error": "nope"})).is_empty());
    }

    #[test]
    fn subresources_belong_to_their_resource() {
        let list = json!({"resources": [
            {"name": "pods", "singularName": "pod", "kind": "Pod", "namespaced": true, "verbs": ["get"]},
            {"name": "pods/log", "kind": "Pod", "verbs": ["get"]}, {"name": "gone/log", "verbs": ["get"]}]});
        let [pods] = from_list("v1", &list).try_into().expect("one resource");
        assert_eq!((pods.plural.as_str(), pods.version.as_str()), ("pods", "v1"));
        assert_eq!(pods.subresources, [("log".to_owned(), vec!["get".to_owned()])]);
    }
}
