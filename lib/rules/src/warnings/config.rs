//! Nodes, quotas, accounts and whatever else configures a cluster.
//!
//! Upstream: `pkg/registry/{core,admissionregistration,resource}/*/strategy.go`, `pkg/api/node/util.go`.

use super::Sink;
use super::addresses::range;
use super::labels::deprecated_keys;
use crate::tree::Tree;
use crate::validation::check::At;
use crate::validation::quantity;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

const MOUNTABLE_SECRETS: &str = "kubernetes.io/enforce-mountable-secrets";
const STATIC_SUFFIX: &str = ".static.k8s.io";

pub(super) fn node(node: &Value, warn: &mut Sink<'_>) {
    let Some(spec) = node.at("spec") else { return };
    if spec.has("configSource") {
        warn("spec.configSource: the feature is removed".into());
    }
    if !spec.text("externalID").is_empty() {
        warn("spec.externalID: this field is deprecated, and is unused by Kubernetes".into());
    }
    let root = At::root("spec");
    let at = root.child("podCIDRs");
    for (index, text) in spec.texts("podCIDRs").enumerate() {
        range(&at.index(index), text, warn);
    }
}

/// Requests that may become more than limits.
pub(super) fn quota(quota: &Value, warn: &mut Sink<'_>) {
    let Some(hard) = quota.at("spec").and_then(|spec| spec.at("hard")) else { return };
    for resource in ["cpu", "memory", "storage", "ephemeral-storage"] {
        let (requests, limits) = (format!("requests.{resource}"), format!("limits.{resource}"));
        let name = match resource {
            "cpu" | "memory" if !hard.has(&requests) => resource,
            _ => &requests,
        };
        let amount = |name: &str| hard.at(name).and_then(quantity);
        if let (Some(request), Some(limit)) = (amount(name), amount(&limits))
            && request > limit
        {
            warn(format!("ResourceQuota {name} ({request}) should be less than {limits} ({limit})"));
        }
    }
}

pub(super) fn account(new: &Value, old: Option<&Value>, warn: &mut Sink<'_>) {
    let has = |account: &Value| account.annotations().is_some_and(|all| all.contains_key(MOUNTABLE_SECRETS));
    if has(new) && !old.is_some_and(has) {
        let instead = "prefer separate namespaces to isolate access to mounted secrets";
        warn(format!("metadata.annotations[{MOUNTABLE_SECRETS}]: deprecated in v1.32+; {instead}"));
    }
}

pub(super) fn runtime_class(class: &Value, warn: &mut Sink<'_>) {
    let Some(scheduling) = class.at("scheduling") else { return };
    for (_, instead) in deprecated_keys(scheduling, "nodeSelector") {
        warn(format!("scheduling.nodeSelector: {instead}"));
    }
}

/// Names that are for admission's configuration in files.
pub(super) fn static_name(object: &Value, warn: &mut Sink<'_>) {
    if object.name().ends_with(STATIC_SUFFIX) {
        warn(format!(
            "metadata.name: names ending with {STATIC_SUFFIX:?} are reserved for static manifest-based configurations and cannot be managed via the API"
        ));
    }
}

pub(super) fn resource_slice(slice: &Value, warn: &mut Sink<'_>) {
    let driver = slice.at("spec").map(|spec| spec.text("driver")).unwrap_or_default();
    if driver != driver.to_lowercase() {
        let why = format!("{driver:?} contains uppercase characters");
        warn(format!("spec.driver: driver names should be lowercase; {why}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::warnings::testing::said;
    use serde_json::json;

    #[test]
    fn nodes() {
        let object =
            json!({"spec": {"externalID": "x", "configSource": {}, "podCIDRs": ["10.0.0.0/24", "10.0.0.1/24"]}});
        let texts = said(|warn| node(&object, warn));
        assert_eq!(
            texts[..2],
            [
                "spec.configSource: the feature is removed",
                "spec.externalID: this field is deprecated, and is unused by Kubernetes"
            ]
        );
        assert!(texts[2].starts_with("spec.podCIDRs[1]: CIDR value"), "{texts:?}");
    }

    #[test]
    fn quotas() {
        for (hard, want) in [
            (json!({"requests.cpu": "1", "limits.cpu": "2"}), None),
            (
                json!({"requests.cpu": "3", "cpu": "9", "limits.cpu": "2"}),
                Some("ResourceQuota requests.cpu (3) should be less than limits.cpu (2)"),
            ),
            (
                json!({"memory": "2Gi", "limits.memory": "1Gi"}),
                Some("ResourceQuota memory (2Gi) should be less than limits.memory (1Gi)"),
            ),
            (json!({"ephemeral-storage": "2Gi", "limits.ephemeral-storage": "1Gi"}), None),
        ] {
            let texts = said(|warn| quota(&json!({"spec": {"hard": hard}}), warn));
            assert_eq!(texts.first().map(String::as_str), want, "{hard}");
        }
    }

    #[test]
    fn accounts_are_told_once() {
        let (with, without) = (json!({"metadata": {"annotations": {MOUNTABLE_SECRETS: "true"}}}), json!({}));
        for (new, old, want) in
            [(&with, None, 1), (&with, Some(&without), 1), (&with, Some(&with), 0), (&without, Some(&with), 0)]
        {
            assert_eq!(said(|warn| account(new, old, warn)).len(), want);
        }
    }

    #[test]
    fn names_and_labels() {
        assert_eq!(
            said(|warn| static_name(&json!({"metadata": {"name": "a.static.k8s.io"}}), warn)),
            [
                r#"metadata.name: names ending with ".static.k8s.io" are reserved for static manifest-based configurations and cannot be managed via the API"#
            ]
        );
        assert_eq!(
            said(|warn| resource_slice(&json!({"spec": {"driver": "A.b"}}), warn)),
            [r#"spec.driver: driver names should be lowercase; "A.b" contains uppercase characters"#]
        );
        let class = json!({"scheduling": {"nodeSelector": {"beta.kubernetes.io/os": "linux", "a": "b"}}});
        assert_eq!(
            said(|warn| runtime_class(&class, warn)),
            [r#"scheduling.nodeSelector: deprecated since v1.14; use "kubernetes.io/os" instead"#]
        );
    }
}
