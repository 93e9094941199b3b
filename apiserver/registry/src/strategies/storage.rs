//! `storage.k8s.io`, `resource.k8s.io`, `node.k8s.io`, `scheduling.k8s.io` and `coordination.k8s.io`.
//!
//! Upstream: `pkg/registry/{storage,resource,node,scheduling,coordination}/*/strategy.go`.

use crate::strategy::*;
use apimachinery::Value;

pub(crate) const GROUPS: &[(&str, super::Rows)] = &[
    ("storage.k8s.io", STORAGE),
    ("resource.k8s.io", RESOURCE),
    ("node.k8s.io", &[("runtimeclasses", VERSIONED)]),
    ("scheduling.k8s.io", &[("priorityclasses", Strategy { generation: Generation::Members(&[]), ..DEFAULT })]),
    (
        "coordination.k8s.io",
        &[(
            "leases",
            Strategy {
                unversioned: Unversioned::Refused,
                missing: Missing::Create,
                // Coordinated leader election is off.
                prepare_create: |_, lease| super::drop_unused(lease, &Value::Null, "spec", &COORDINATED),
                prepare_update: |new, old| super::drop_unused(new, old, "spec", &COORDINATED),
                ..DEFAULT
            },
        )],
    ),
];

const COORDINATED: [&str; 2] = ["strategy", "preferredHolder"];

/// An update must say which version it changes.
const VERSIONED: Strategy = Strategy { unversioned: Unversioned::Refused, ..DEFAULT };

const STORAGE: super::Rows = &[
    (
        "csidrivers",
        Strategy {
            deleted: Deleted::Object,
            generation: Generation::LaterMembers(&["spec"]),
            // Limits of volumes do not scale yet.
            prepare_create: |_, driver| {
                super::drop_unused(driver, &Value::Null, "spec", &["preventPodSchedulingIfMissing"])
            },
            prepare_update: |new, old| super::drop_unused(new, old, "spec", &["preventPodSchedulingIfMissing"]),
            ..VERSIONED
        },
    ),
    ("csinodes", Strategy { deleted: Deleted::Object, ..VERSIONED }),
    ("csistoragecapacities", VERSIONED),
    ("storageclasses", Strategy { deleted: Deleted::Object, ..DEFAULT }),
    ("volumeattachments", Strategy { deleted: Deleted::Object, status_metadata: StatusMetadata::Kept, ..VERSIONED }),
    ("volumeattributesclasses", Strategy { deleted: Deleted::Object, ..DEFAULT }),
];

const RESOURCE: super::Rows = &[
    ("deviceclasses", Strategy { deleted: Deleted::Object, generation: Generation::Members(&["spec"]), ..DEFAULT }),
    ("resourceclaimtemplates", Strategy { deleted: Deleted::Object, ..DEFAULT }),
    (
        "resourceclaims",
        Strategy {
            deleted: Deleted::Object,
            status_metadata: StatusMetadata::Kept,
            prepare_status: forget_deallocated,
            ..DEFAULT
        },
    ),
    (
        "resourceslices",
        Strategy {
            deleted: Deleted::Object,
            generation: Generation::Members(&["spec"]),
            prepare_create: |_, slice| drop_alpha(slice),
            prepare_update: |slice, _| drop_alpha(slice),
            ..DEFAULT
        },
    ),
];

/// What devices have only with features that are off.
fn drop_alpha(slice: &mut Value) {
    let devices = slice.pointer_mut("/spec/devices").and_then(Value::as_array_mut).into_iter().flatten();
    for device in devices.filter_map(Value::as_object_mut) {
        device.remove("nodeAllocatableResourceMappings");
        let attributes = device.get_mut("attributes").and_then(Value::as_object_mut).into_iter().flatten();
        for attribute in attributes.filter_map(|(_, attribute)| attribute.as_object_mut()) {
            ["bools", "ints", "strings", "versions"].iter().for_each(|list| drop(attribute.remove(*list)));
        }
    }
}

/// With a device goes what its driver has said of it.
fn forget_deallocated(new: &mut Value, old: &Value) {
    fn id(device: &Value) -> [&str; 4] {
        ["driver", "pool", "device", "shareID"].map(|key| device.get(key).and_then(Value::as_str).unwrap_or_default())
    }
    fn results(claim: &Value) -> impl Iterator<Item = &Value> {
        claim.pointer("/status/allocation/devices/results").and_then(Value::as_array).into_iter().flatten()
    }
    let gone: Vec<[&str; 4]> =
        results(old).map(id).filter(|before| !results(new).any(|result| id(result) == *before)).collect();
    let Some(devices) = new.pointer_mut("/status/devices").and_then(Value::as_array_mut) else { return };
    devices.retain(|device| !gone.contains(&id(device)));
    if devices.is_empty()
        && let Some(status) = new.get_mut("status").and_then(Value::as_object_mut)
    {
        status.remove("devices");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn attributes_are_no_lists() {
        let mut slice = json!({"spec": {"devices": [{"attributes": {"a": {"int": 1, "ints": [1]}}}]}});
        drop_alpha(&mut slice);
        assert_eq!(slice, json!({"spec": {"devices": [{"attributes": {"a": {"int": 1}}}]}}));
    }

    #[test]
    fn what_is_deallocated_has_no_status() {
        let device = |name: &str| json!({"driver": "d", "pool": "p", "device": name});
        let claim = |allocated: Value, devices: Value| json!({"status": {"allocation": {"devices": {"results": allocated}}, "devices": devices}});
        let old = claim(json!([device("a"), device("b")]), json!([device("a"), device("b")]));
        let mut new = claim(json!([device("a")]), json!([device("a"), device("b")]));
        forget_deallocated(&mut new, &old);
        assert_eq!(new, claim(json!([device("a")]), json!([device("a")])));
        let mut none = claim(json!([]), json!([device("a")]));
        forget_deallocated(&mut none, &old);
        assert_eq!(none["status"].get("devices"), None);
    }
}
