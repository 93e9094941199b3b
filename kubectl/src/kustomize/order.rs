//! The order in which objects come out: what others need first.
//!
//! Upstream: kustomize's `api/internal/builtins/SortOrderTransformer.go`.

use super::Item;
use apimachinery::meta::ObjectMeta;

/// `sortOptions.order`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// By kind.
    Legacy,
    /// As resources are listed.
    AsWritten,
}

/// Kinds that come before all others, in this order.
const FIRST: &[&str] = &[
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];
/// Kinds that come after all others.
const LAST: &[&str] = &["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// Sorts by kind, then by type, namespace and name.
pub(super) fn sort(items: &mut [Item]) {
    items.sort_by_cached_key(|item| {
        let api_version = item.object["apiVersion"].as_str().unwrap_or_default().to_owned();
        (
            rank(item.kind()),
            api_version,
            item.kind().to_owned(),
            item.object.namespace().to_owned(),
            item.object.name().to_owned(),
        )
    });
}

fn rank(kind: &str) -> usize {
    let position = |list: &[&str]| list.iter().position(|k| *k == kind);
    match (position(FIRST), position(LAST)) {
        (Some(at), _) => at,
        (None, Some(at)) => FIRST.len() + 1 + at,
        (None, None) => FIRST.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_others_need_comes_first() {
        let item =
            |kind: &str, name: &str| Item::new(json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}));
        let mut items = vec![
            item("ValidatingWebhookConfiguration", "w"),
            item("Pod", "p"),
            item("Deployment", "d"),
            item("ConfigMap", "b"),
            item("ConfigMap", "a"),
            item("Namespace", "n"),
        ];
        sort(&mut items);
        let names: Vec<&str> = items.iter().map(|i| i.object.name()).collect();
        assert_eq!(names, ["n", "a", "b", "d", "p", "w"]);
    }
}
