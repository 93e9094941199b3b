//! What CSI drivers say of themselves, of nodes and of storage.

use super::super::check::{At, Report, same};
use super::super::names::{label_key_errors, subdomain};
use super::super::printed::Internal;
use super::super::values::{NEGATIVE, has_wrong_value, not_negative, quantity, selector};
use super::super::workloads::spec_of;
use super::SPEC;
use crate::tree::Tree;
use apimachinery::Value;

const MAX_DRIVER_NAME: usize = 63;
const MAX_NODE_ID: usize = 256;

/// The name of a driver, in any case.
pub(super) fn driver_name(at: &At<'_>, name: &str, out: &mut Report) {
    if name.is_empty() {
        return out.required(at, "");
    }
    if name.len() > MAX_DRIVER_NAME {
        out.too_long(at, MAX_DRIVER_NAME);
    }
    out.invalid_each(at, name, subdomain(&name.to_lowercase()));
}

pub(in super::super) fn driver(driver: &Value, out: &mut Report) {
    let spec = spec_of(driver);
    // Upstream spells the first one so.
    for (key, name) in [
        ("attachRequired", "attachedRequired"),
        ("podInfoOnMount", "podInfoOnMount"),
        ("storageCapacity", "storageCapacity"),
    ] {
        if !spec.has(key) {
            out.required(&SPEC.child(name), "");
        }
    }
    const GROUP_POLICIES: [&str; 3] = ["File", "None", "ReadWriteOnceWithFSType"];
    if let Some(policy) = spec.at("fsGroupPolicy").and_then(Value::as_str)
        && !GROUP_POLICIES.contains(&policy)
    {
        out.not_supported(&SPEC.child("fsGroupPolicy"), policy, &GROUP_POLICIES);
    }
    token_requests(spec.items("tokenRequests"), out);
    const MODES: [&str; 2] = ["Persistent", "Ephemeral"];
    for mode in spec.texts("volumeLifecycleModes").filter(|mode| !MODES.contains(mode)) {
        out.not_supported(&SPEC.child("volumeLifecycleModes"), mode, &MODES);
    }
    if !spec.has("seLinuxMount") {
        out.required(&SPEC.child("seLinuxMount"), "");
    }
    if let Some(period) = spec.at("nodeAllocatableUpdatePeriodSeconds").and_then(Value::as_i64)
        && period < 10
    {
        let at = SPEC.child("nodeAllocatableUpdatePeriodSeconds");
        out.invalid(&at, period, "must be greater than or equal to 10 seconds");
    }
    if let Some(in_secrets) = spec.at("serviceAccountTokenInSecrets").filter(|_| spec.lacks("tokenRequests")) {
        let detail = "serviceAccountTokenInSecrets is set but no tokenRequests are specified";
        out.invalid(&SPEC.child("serviceAccountTokenInSecrets"), in_secrets, detail);
    }
}

/// Tokens for different audiences, of which one may be the default one.
fn token_requests(requests: &[Value], out: &mut Report) {
    let at = SPEC.child("tokenRequests");
    for (index, request) in requests.iter().enumerate() {
        let at = at.index(index);
        let audience = request.text("audience");
        if requests[..index].iter().any(|other| other.text("audience") == audience) {
            out.duplicate(&at.child("audience"), audience);
            continue;
        }
        let Some(seconds) = request.at("expirationSeconds").and_then(Value::as_i64) else { continue };
        let at = at.child("expirationSeconds");
        if seconds < 600 {
            out.invalid(&at, seconds, "may not specify a duration less than 10 minutes");
        }
        if seconds > 1 << 32 {
            out.invalid(&at, seconds, "may not specify a duration larger than 2^32 seconds");
        }
    }
}

pub(in super::super) fn driver_update(new: &Value, old: &Value, out: &mut Report) {
    let (new, old) = (spec_of(new), spec_of(old));
    out.immutable(&SPEC.child("attachedRequired"), new.at("attachRequired"), old.at("attachRequired"));
    out.immutable(&SPEC.child("volumeLifecycleModes"), new.at("volumeLifecycleModes"), old.at("volumeLifecycleModes"));
}

pub(in super::super) fn node(node: &Value, out: &mut Report) {
    let at = SPEC.child("drivers");
    let drivers = spec_of(node).items("drivers");
    for (index, driver) in drivers.iter().enumerate() {
        let at = at.index(index);
        node_driver(&at, driver, &drivers[..index], out);
    }
}

fn node_driver(at: &At<'_>, driver: &Value, before: &[Value], out: &mut Report) {
    let (name, id) = (driver.text("name"), driver.text("nodeID"));
    driver_name(&at.child("name"), name, out);
    if id.is_empty() {
        out.required(&at.child("nodeID"), "");
    }
    if id.len() > MAX_NODE_ID {
        out.invalid(&at.child("nodeID"), id, format!("must be {MAX_NODE_ID} characters or less"));
    }
    if let Some(allocatable) = driver.at("allocatable") {
        not_negative(&at.child("allocatable"), allocatable, "count", out);
    }
    if before.iter().any(|other| other.text("name") == name) {
        out.duplicate(&at.child("name"), name);
    }
    let keys = driver.items("topologyKeys");
    for (index, key) in driver.texts("topologyKeys").enumerate() {
        if key.is_empty() {
            out.required(at, "");
        }
        if keys[..index].iter().any(|other| other.as_str() == Some(key)) {
            out.duplicate(at, key);
        }
        out.invalid_each(at, key, label_key_errors(key));
    }
}

/// A driver's entry stays as it is, the number of volumes aside.
pub(in super::super) fn node_update(new: &Value, old: &Value, out: &mut Report) {
    let at = SPEC.child("drivers");
    for before in spec_of(old).items("drivers") {
        for driver in spec_of(new).items("drivers").iter().filter(|d| d.text("name") == before.text("name")) {
            if ["nodeID", "topologyKeys"].iter().any(|key| !same(driver.at(key), before.at(key))) {
                out.invalid(
                    &at,
                    Internal(Some(&kept(driver)), "@storage.CSINodeDriver"),
                    super::super::check::IMMUTABLE,
                );
            }
        }
    }
}

/// An entry without what may change.
fn kept(driver: &Value) -> Value {
    serde_json::json!({
        "name": driver.at("name"), "nodeID": driver.at("nodeID"), "topologyKeys": driver.at("topologyKeys"),
    })
}

pub(in super::super) fn capacity(capacity: &Value, out: &mut Report) {
    selector(&At::root("nodeTopology"), capacity.at("nodeTopology"), out);
    class_and_size(capacity, out);
}

fn class_and_size(capacity: &Value, out: &mut Report) {
    let class = capacity.text("storageClassName");
    out.invalid_each(&At::root("storageClassName"), class, subdomain(class));
    if let Some(size) = capacity.at("capacity").and_then(quantity).filter(|size| size.is_negative()) {
        out.invalid(&At::root("capacity"), size.to_string().as_str(), NEGATIVE);
    }
}

pub(in super::super) fn capacity_update(new: &Value, old: &Value, out: &mut Report) {
    // A selector's values that were wrong already may stay.
    match has_wrong_value(old.at("nodeTopology")) && same(new.at("nodeTopology"), old.at("nodeTopology")) {
        true => class_and_size(new, out),
        false => capacity(new, out),
    }
    for key in ["nodeTopology", "storageClassName"] {
        out.immutable(&At::root(key), new.at(key), old.at(key));
    }
}
