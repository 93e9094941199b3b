//! Nodes and the runtime classes of their pods.
//!
//! Upstream: `pkg/apis/core/validation/validation.go` (`ValidateNode`, `ValidateNodeUpdate`), `pkg/apis/node/validation`.

use super::check::{At, Inner, Report, same};
use super::names::{config_key, label, subdomain};
use super::pod::resources::{amount_of, requirements};
use super::pod::{taint, tolerations_of_class};
use super::printed::Internal;
use super::values::{cidr, labels};
use crate::tree::Tree;
use apimachinery::Value;

const SPEC: At<'static> = At::root("spec");
const STATUS: At<'static> = At::root("status");

/// The fields of upstream's own types, for messages.
const TAINT: [(&str, &str, &str); 4] = [
    ("Key", "key", "\"\""),
    ("Value", "value", "\"\""),
    ("Effect", "effect", "\"\""),
    ("TimeAdded", "timeAdded", "null"),
];
const TOLERATION: [(&str, &str, &str); 5] = [
    ("Key", "key", "\"\""),
    ("Operator", "operator", "\"\""),
    ("Value", "value", "\"\""),
    ("Effect", "effect", "\"\""),
    ("TolerationSeconds", "tolerationSeconds", "null"),
];
const ADDRESS: [(&str, &str, &str); 2] = [("Type", "type", "\"\""), ("Address", "address", "\"\"")];

/// A node for itself.
pub(super) fn node(node: &Value, out: &mut Report) {
    taints(node, out);
    amounts(node, out);
    features(node, out);
    let Some(spec) = node.at("spec") else { return };
    let at = SPEC.child("podCIDRs");
    for (index, range) in spec.texts("podCIDRs").enumerate() {
        cidr(&at.index(index), range, out);
    }
    let ranges = spec.items("podCIDRs");
    let of_version_6 = spec.texts("podCIDRs").filter(|range| range.contains(':')).count();
    if ranges.len() > 2 || ranges.len() == 2 && of_version_6 != 1 {
        let value = spec.at("podCIDRs").unwrap_or(&Value::Null);
        out.invalid(&at, value, "may specify no more than one CIDR for each IP family");
    }
}

/// Upstream looks for them where they once were.
fn taints(node: &Value, out: &mut Report) {
    let metadata = At::root("metadata");
    let at = metadata.child("taints");
    let taints = node.at("spec").map(|spec| spec.items("taints")).unwrap_or_default();
    for (index, value) in taints.iter().enumerate() {
        let at = at.index(index);
        taint(&at, value, out);
        let same = |t: &Value| t.text("key") == value.text("key") && t.text("effect") == value.text("effect");
        if taints[..index].iter().any(same) {
            out.duplicate_because(&at, Inner(value, &TAINT), "taints must be unique by key and effect pair");
        }
    }
}

fn amounts(node: &Value, out: &mut Report) {
    let Some(status) = node.at("status") else { return };
    for list in ["capacity", "allocatable"] {
        let at = STATUS.child(list);
        for (name, amount) in status.entries(list) {
            amount_of(&at.child(name), name, amount, out);
        }
    }
}

/// What the kubelet declares: names in their order.
fn features(node: &Value, out: &mut Report) {
    let at = STATUS.child("declaredFeatures");
    let mut before: Option<&str> = None;
    for (index, name) in node.at("status").into_iter().flat_map(|s| s.texts("declaredFeatures")).enumerate() {
        let at = at.index(index);
        match before {
            Some(before) if before == name => out.duplicate(&at, name),
            Some(before) if before > name => out.invalid(&at, name, "list must be sorted alphabetically"),
            _ => {}
        }
        before = Some(name);
        if name.len() > 253 {
            out.invalid(&at, name, format!("invalid feature name {name:?}: must be no more than 253 characters"));
        } else if !is_feature(name) {
            let detail = format!(
                "invalid feature name {name:?}: must start with an UpperCamelCase segment, with subsequent segments \
                 separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric \
                 characters and slashes"
            );
            out.invalid(&at, name, detail);
        }
    }
}

fn is_feature(name: &str) -> bool {
    let is_segment = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric());
    name.starts_with(|c: char| c.is_ascii_uppercase()) && name.split('/').all(is_segment)
}

/// What an update of a node or of its status changes.
pub(super) fn node_update(new: &Value, old: &Value, out: &mut Report) {
    amounts(new, out);
    features(new, out);
    addresses(new, out);
    let (spec, before) = (new.at("spec").unwrap_or(&Value::Null), old.at("spec").unwrap_or(&Value::Null));
    ranges(spec, before, out);
    if !before.lacks("providerID") && spec.text("providerID") != before.text("providerID") {
        let detail = "node updates may not change providerID except from \"\" to valid";
        out.forbidden(&SPEC.child("providerID"), detail);
    }
    if let Some(source) = spec.at("configSource") {
        config_source(&SPEC.child("configSource"), source, false, out);
    }
    let config = new.at("status").and_then(|status| status.at("config"));
    for key in ["assigned", "active", "lastKnownGood"] {
        if let Some(source) = config.and_then(|config| config.at(key)) {
            config_source(&STATUS.child("config").child(key), source, true, out);
        }
    }
    taints(new, out);
    if spec.text("externalID") != before.text("externalID") {
        out.forbidden(&SPEC.child("externalID"), "may not be updated");
    }
}

fn addresses(node: &Value, out: &mut Report) {
    let at = STATUS.child("addresses");
    let addresses = node.at("status").map(|status| status.items("addresses")).unwrap_or_default();
    for (index, address) in addresses.iter().enumerate() {
        if addresses[..index].iter().any(|other| same(Some(other), Some(address))) {
            out.duplicate(&at.index(index), Inner(address, &ADDRESS));
        }
    }
}

/// Ranges of pods stay; each that does not is said.
fn ranges(new: &Value, old: &Value, out: &mut Report) {
    let (now, before) = (new.items("podCIDRs"), old.items("podCIDRs"));
    let changed = match () {
        () if before.is_empty() => 0,
        () if before.len() != now.len() => 1,
        () => before.iter().zip(now).filter(|(before, now)| before != now).count(),
    };
    for _ in 0..changed {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        out.forbidden(&SPEC.child("podCIDRs"), detail);
    }
}

/// Where a kubelet's configuration once came from.
fn config_source(at: &At<'_>, source: &Value, in_status: bool, out: &mut Report) {
    let Some(map) = source.at("configMap") else {
        return out.invalid(
            at,
            Internal(Some(source), "@core.NodeConfigSource"),
            "exactly one reference subfield must be non-nil",
        );
    };
    let at = at.child("configMap");
    for key in ["uid", "resourceVersion"] {
        match (in_status, map.text(key)) {
            (true, "") => out.required(&at.child(key), ""),
            (false, given) if !given.is_empty() => {
                out.forbidden(&at.child(key), format!("{key} must not be set in spec"))
            }
            _ => {}
        }
    }
    type Check = fn(&str) -> super::names::Findings;
    let checks: [(&str, Check); 3] = [("namespace", label), ("name", subdomain), ("kubeletConfigKey", config_key)];
    for (key, check) in checks {
        match map.text(key) {
            "" => out.required(&at.child(key), ""),
            text => out.invalid_each(&at.child(key), text, check(text)),
        }
    }
}

/// A runtime class for itself.
pub(super) fn runtime_class(class: &Value, out: &mut Report) {
    let at = At::root("handler");
    match class.text("handler") {
        "" => out.required(&at, ""),
        handler => out.invalid_each(&at, handler, label(handler)),
    }
    if let Some(overhead) = class.at("overhead").and_then(|overhead| overhead.at("podFixed")) {
        // Upstream reads them as a container's limits.
        let limits = serde_json::json!({ "limits": overhead });
        requirements(&At::root("overhead"), &limits, out);
    }
    let Some(scheduling) = class.at("scheduling") else { return };
    let at = At::root("scheduling");
    labels(&at.child("nodeSelector"), scheduling.object("nodeSelector"), out);
    let (at, list) = (at.child("tolerations"), scheduling.items("tolerations"));
    tolerations_of_class(&at, list, out);
    for (index, value) in list.iter().enumerate() {
        let same =
            |other: &Value| ["key", "operator", "value", "effect"].iter().all(|key| other.text(key) == value.text(key));
        if list[..index].iter().any(same) {
            out.duplicate(&at.index(index), Inner(value, &TOLERATION));
        }
    }
}

/// What an update of a runtime class changes.
pub(super) fn runtime_class_update(new: &Value, old: &Value, out: &mut Report) {
    out.immutable(&At::root("handler"), new.at("handler"), old.at("handler"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(check: impl FnOnce(&mut Report)) -> Vec<String> {
        let mut report = Report::default();
        check(&mut report);
        report.finish().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nodes() {
        for (object, want) in [
            (json!({}), &[][..]),
            (json!({"spec": {"podCIDRs": ["10.0.0.0/8", "fd00::/64"]}}), &[]),
            (
                json!({"spec": {"podCIDRs": ["10.0.0.0/8", "11.0.0.0/8"]}}),
                &[
                    "spec.podCIDRs: Invalid value: [\"10.0.0.0/8\",\"11.0.0.0/8\"]: may specify no more than one CIDR for each IP family",
                ],
            ),
            (json!({"spec": {"taints": [{"key": "a"}]}}), &["metadata.taints[0].effect: Required value"]),
            (
                json!({"status": {"capacity": {"pods": "1500m", "cpu": "-1"}}}),
                &[
                    "status.capacity.cpu: Invalid value: \"-1\": must be greater than or equal to 0",
                    "status.capacity.pods: Invalid value: \"1500m\": must be an integer",
                ],
            ),
            (
                json!({"status": {"declaredFeatures": ["B", "A/b", "A/b"]}}),
                &[
                    "status.declaredFeatures[1]: Invalid value: \"A/b\": list must be sorted alphabetically",
                    "status.declaredFeatures[2]: Duplicate value: \"A/b\"",
                ],
            ),
        ] {
            assert_eq!(found(|out| node(&object, out)), want, "{object}");
        }
    }

    #[test]
    fn updates_of_nodes() {
        let old = json!({"spec": {"podCIDRs": ["10.0.0.0/8"], "providerID": "a"}});
        let new = json!({"spec": {"podCIDRs": ["11.0.0.0/8"], "providerID": "b", "externalID": "x", "configSource": {}},
            "status": {"addresses": [{"type": "InternalIP", "address": "a"}, {"type": "InternalIP", "address": "a"}]}});
        let found = found(|out| node_update(&new, &old, out));
        let starts = [
            "status.addresses[1]: Duplicate value: ",
            "spec.podCIDRs: Forbidden: node updates may not change podCIDR",
            "spec.providerID: Forbidden: node updates may not change providerID",
            "spec.configSource: Invalid value: {\"ConfigMap\":null}: exactly one",
            "spec.externalID: Forbidden: may not be updated",
        ];
        assert_eq!(found.len(), starts.len(), "{found:#?}");
        assert!(found.iter().zip(starts).all(|(found, start)| found.starts_with(start)), "{found:#?}");
    }

    #[test]
    fn runtime_classes() {
        let class = json!({"handler": "h", "overhead": {"podFixed": {"cpu": "-1"}}, "scheduling": {
            "nodeSelector": {"a": "-"}, "tolerations": [{"key": "a", "operator": "x"}, {"key": "a", "operator": "x"}]}});
        let found = found(|out| runtime_class(&class, out));
        assert_eq!(found[0], "overhead.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0");
        assert!(found[1].starts_with("scheduling.nodeSelector: Invalid value: \"-\""));
        assert!(found[2].starts_with("scheduling.tolerations[0].operator: Unsupported value: \"x\""));
        assert!(found[4].starts_with("scheduling.tolerations[1]: Duplicate value"));
    }
}
