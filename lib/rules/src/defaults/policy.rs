//! The smaller groups: networking, RBAC, storage, flow control, devices, custom resources.

use crate::tree::{Fill, Tree};
use apimachinery::Value;
use serde_json::json;

pub(super) const RBAC: &str = "rbac.authorization.k8s.io";

pub(super) fn subject(subject: &mut Value) {
    if matches!(subject.text("kind"), "User" | "Group") {
        subject.fill_zero("apiGroup", RBAC);
    }
}

/// A policy is about ingress, and about egress if it has such rules.
pub(super) fn network_policy(policy: &mut Value) {
    let Some(spec) = policy.inner("spec") else { return };
    if spec.lacks("policyTypes") {
        let types = if spec.lacks("egress") { json!(["Ingress"]) } else { json!(["Ingress", "Egress"]) };
        spec.members().map(|m| m.insert("policyTypes".into(), types));
    }
}

pub(super) fn endpoint_port(port: &mut Value) {
    port.fill("name", "");
    port.fill("protocol", "TCP");
}

pub(super) fn storage_class(class: &mut Value) {
    class.fill("reclaimPolicy", "Delete");
    class.fill("volumeBindingMode", "Immediate");
}

pub(super) fn csi_driver(driver: &mut Value) {
    let Some(spec) = driver.inner("spec") else { return };
    spec.fill("attachRequired", true);
    for flag in ["podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"] {
        spec.fill(flag, false);
    }
    spec.fill("fsGroupPolicy", "ReadWriteOnceWithFSType");
    if spec.lacks("volumeLifecycleModes") {
        spec.members().map(|m| m.insert("volumeLifecycleModes".into(), json!(["Persistent"])));
    }
}

/// The share of a priority level; none of it is lent out.
pub(super) fn shares(level: &mut Value, shares: i64) {
    level.fill("nominalConcurrencyShares", shares);
    level.fill("lendablePercent", 0);
}

pub(super) fn queuing(queuing: &mut Value) {
    queuing.fill_zero("handSize", 8);
    queuing.fill_zero("queues", 64);
    queuing.fill_zero("queueLengthLimit", 50);
}

pub(super) fn device_request(request: &mut Value) {
    request.fill_zero("allocationMode", "ExactCount");
    if request.text("allocationMode") == "ExactCount" {
        request.fill_zero("count", 1);
    }
}

pub(super) fn custom_resource_definition(definition: &mut Value) {
    let Some(spec) = definition.inner("spec") else { return };
    if let Some(names) = spec.inner("names") {
        let kind = names.text("kind").to_owned();
        names.fill_zero("singular", kind.to_lowercase());
        if !kind.is_empty() {
            names.fill_zero("listKind", format!("{kind}List"));
        }
    }
    spec.fill("conversion", json!({"strategy": "None"}));
    let stored = spec.items("versions").iter().find(|v| v.flag("storage")).map(|v| v.text("name").to_owned());
    if let (Some(stored), Some(status)) = (stored, definition.made("status"))
        && status.lacks("storedVersions")
    {
        status.members().map(|m| m.insert("storedVersions".into(), json!([stored])));
    }
}
