//! Volumes, claims, classes and drivers.
//!
//! Upstream: `pkg/api/{persistentvolume,persistentvolumeclaim,storage}/util.go`, `pkg/registry/storage/csidriver`.

use super::Sink;
use super::labels::{Values, deprecation, selector, term};
use super::resources::fraction;
use crate::tree::Tree;
use crate::validation::check::{At, same};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

const SPEC: At<'static> = At::root("spec");
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
const MOUNT_ANNOTATION: &str = "volume.beta.kubernetes.io/mount-options";
/// The member, its name in messages, and what became of it.
const DEPRECATED: [(&str, &str, &str); 6] = [
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

pub(super) fn volume(volume: &Value, warn: &mut Sink<'_>) {
    class_annotation(volume, warn);
    if has_annotation(volume, MOUNT_ANNOTATION) {
        let annotation = format!("metadata.annotations[{MOUNT_ANNOTATION}]");
        warn(format!("{annotation}: deprecated since v1.31; use \"mountOptions\" attribute instead"));
    }
    let Some(spec) = volume.at("spec") else { return };
    if spec.text("persistentVolumeReclaimPolicy") == "Recycle" {
        let what = "The Recycle reclaim policy is deprecated";
        let instead = "Instead, the recommended approach is to use dynamic provisioning";
        warn(format!("spec.persistentVolumeReclaimPolicy: {what}. {instead}."));
    }
    let required = spec.at("nodeAffinity").and_then(|affinity| affinity.at("required"));
    let at = SPEC.child("nodeAffinity");
    let at = at.child("required");
    let at = at.child("nodeSelectorTerms");
    for (index, one) in required.map(|r| r.items("nodeSelectorTerms")).unwrap_or_default().iter().enumerate() {
        term(&at.index(index), one, Values::Checked, warn);
    }
    for (_, name, fate) in DEPRECATED.iter().filter(|(member, _, _)| spec.has(member)) {
        warn(format!("spec.{name}: {fate}"));
    }
}

pub(super) fn claim(claim: &Value, warn: &mut Sink<'_>) {
    class_annotation(claim, warn);
    claim_spec(&SPEC, claim.at("spec"), warn);
}

/// The specification of a claim, or of a template of claims.
pub(super) fn claim_spec(at: &At<'_>, spec: Option<&Value>, warn: &mut Sink<'_>) {
    let resources = spec.and_then(|spec| spec.at("resources"));
    let at = at.child("resources");
    for list in ["requests", "limits"] {
        fraction(&at.child(list), resources.and_then(|r| r.at(list)), "storage", warn);
    }
}

fn class_annotation(object: &Value, warn: &mut Sink<'_>) {
    if has_annotation(object, CLASS_ANNOTATION) {
        let annotation = format!("metadata.annotations[{CLASS_ANNOTATION}]");
        warn(format!("{annotation}: deprecated since v1.8; use \"storageClassName\" attribute instead"));
    }
}

fn has_annotation(object: &Value, key: &str) -> bool {
    object.annotations().is_some_and(|all| all.contains_key(key))
}

pub(super) fn class(class: &Value, warn: &mut Sink<'_>) {
    let at = At::root("allowedTopologies");
    for (index, topology) in class.items("allowedTopologies").iter().enumerate() {
        let at = at.index(index);
        let at = at.child("matchLabelExpressions");
        for (index, expression) in topology.items("matchLabelExpressions").iter().enumerate() {
            if let Some(instead) = deprecation(expression.text("key")) {
                warn(format!("{}: {instead}", at.index(index).child("key").path()));
            }
        }
    }
}

pub(super) fn capacity(capacity: &Value, warn: &mut Sink<'_>) {
    if let Some(topology) = capacity.at("nodeTopology") {
        selector(&At::root("nodeTopology"), topology, warn);
    }
}

/// A driver that newly gets tokens should get them as secrets.
pub(super) fn driver(new: &Value, old: Option<&Value>, warn: &mut Sink<'_>) {
    let requests = |driver: &Value| driver.at("spec").and_then(|spec| spec.at("tokenRequests")).cloned();
    let (now, before) = (requests(new), old.and_then(requests));
    let is_set = new.at("spec").is_some_and(|spec| spec.has("serviceAccountTokenInSecrets"));
    if !is_set
        && now.as_ref().is_some_and(|list| *list != Value::Array(Vec::new()))
        && !same(now.as_ref(), before.as_ref())
    {
        let why = "to prevent possible logging of tokens in volume attributes";
        warn(format!("spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true {why}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::warnings::testing::said;
    use serde_json::json;

    #[test]
    fn volumes() {
        let object = json!({"metadata": {"annotations": {CLASS_ANNOTATION: "a", MOUNT_ANNOTATION: "b"}},
            "spec": {"persistentVolumeReclaimPolicy": "Recycle", "storageos": {}, "nodeAffinity": {"required":
                {"nodeSelectorTerms": [{"matchExpressions": [{"key": "app.kubernetes.io/created-by"}]}]}}}});
        assert_eq!(
            said(|warn| volume(&object, warn)),
            [
                r#"metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use "storageClassName" attribute instead"#,
                r#"metadata.annotations[volume.beta.kubernetes.io/mount-options]: deprecated since v1.31; use "mountOptions" attribute instead"#,
                "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.",
                "spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0].key: app.kubernetes.io/created-by is deprecated since v1.9",
                "spec.storageOS: deprecated in v1.22, non-functional in v1.25+",
            ]
        );
    }

    #[test]
    fn claims() {
        for (amount, want) in [
            ("1Gi", None),
            (
                "1500m",
                Some(
                    "spec.resources.requests[storage]: fractional byte value \"1500m\" is invalid, must be an integer",
                ),
            ),
            ("5Ei", None),
        ] {
            let object = json!({"spec": {"resources": {"requests": {"storage": amount}}}});
            assert_eq!(said(|warn| claim(&object, warn)).first().map(String::as_str), want, "{amount}");
        }
    }

    #[test]
    fn classes() {
        let object = json!({"allowedTopologies": [{"matchLabelExpressions": [{"key": "beta.kubernetes.io/arch"}]}]});
        assert_eq!(
            said(|warn| class(&object, warn)),
            [
                r#"allowedTopologies[0].matchLabelExpressions[0].key: deprecated since v1.14; use "kubernetes.io/arch" instead"#
            ]
        );
    }

    #[test]
    fn drivers() {
        let of = |spec: Value| json!({"spec": spec});
        let asking = of(json!({"tokenRequests": [{"audience": "a"}]}));
        for (new, old, want) in [
            (&asking, None, 1),
            (&asking, Some(&asking), 0),
            (&asking, Some(&of(json!({}))), 1),
            (&of(json!({"tokenRequests": []})), None, 0),
            (&of(json!({"tokenRequests": [{}], "serviceAccountTokenInSecrets": false})), None, 0),
        ] {
            assert_eq!(said(|warn| driver(new, old, warn)).len(), want, "{new}");
        }
    }
}
