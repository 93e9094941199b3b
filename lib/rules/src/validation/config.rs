//! Config maps, secrets, namespaces, nodes, quotas, limits, classes, leases and events.
//!
//! Upstream: `pkg/apis/{core,coordination,scheduling,node,events}/validation`.

use super::check::{At, Report, same};
use super::names::{config_key, label_key_errors, subdomain};
use super::pod::resources::{amount_of, is_extended};
use super::pod::taint;
use super::values::{cidr, quantity};
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

const SPEC: At<'static> = At::root("spec");
const MAX_SIZE: usize = 1024 * 1024;

pub(super) fn config_map(map: &Value, out: &mut Report) {
    let (data, binary) = (At::root("data"), At::root("binaryData"));
    let mut size = 0;
    for (key, value) in map.entries("data") {
        out.invalid_each(&data.key(key), key, config_key(key));
        if map.at("binaryData").is_some_and(|b| b.has(key)) {
            out.invalid(&data.key(key), key, "duplicate of key present in binaryData");
        }
        size += value.as_str().unwrap_or_default().len();
    }
    for (key, value) in map.entries("binaryData") {
        out.invalid_each(&binary.key(key), key, config_key(key));
        size += decoded_len(value);
    }
    if size > MAX_SIZE {
        // Upstream names no field here.
        out.too_long(&At::root(""), MAX_SIZE);
    }
}

/// How many bytes base64 text stands for.
fn decoded_len(value: &Value) -> usize {
    let text = value.as_str().unwrap_or_default();
    text.trim_end_matches('=').len() * 3 / 4
}

pub(super) fn config_map_update(new: &Value, old: &Value, out: &mut Report) {
    frozen(new, old, &["data", "binaryData"], out);
}

/// What is marked as immutable stays as it is, and marked.
fn frozen(new: &Value, old: &Value, parts: &[&str], out: &mut Report) {
    const DETAIL: &str = "field is immutable when `immutable` is set";
    if !old.flag("immutable") {
        return;
    }
    if !new.flag("immutable") {
        out.forbidden(&At::root("immutable"), DETAIL);
    }
    for part in parts.iter().filter(|part| !same(new.at(part), old.at(part))) {
        out.forbidden(&At::root(part), DETAIL);
    }
}

pub(super) fn secret(secret: &Value, out: &mut Report) {
    let data = At::root("data");
    let mut size = 0;
    for (key, value) in secret.entries("data") {
        out.invalid_each(&data.key(key), key, config_key(key));
        size += decoded_len(value);
    }
    if size > MAX_SIZE {
        out.too_long(&data, MAX_SIZE);
    }
    let has = |key: &str| secret.at("data").is_some_and(|d| d.has(key));
    let needed: &[&str] = match secret.text("type") {
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => &["username", "password"],
        _ => &[],
    };
    for key in needed.iter().filter(|key| !has(key)) {
        out.required(&data.key(key), "");
    }
    const ACCOUNT: &str = "kubernetes.io/service-account.name";
    let account = secret.annotations().map_or("", |a| a.text(ACCOUNT));
    if secret.text("type") == "kubernetes.io/service-account-token" && account.is_empty() {
        let metadata = At::root("metadata");
        out.required(&metadata.child("annotations").key(ACCOUNT), "");
    }
}

pub(super) fn secret_update(new: &Value, old: &Value, out: &mut Report) {
    out.immutable(&At::root("type"), new.at("type"), old.at("type"));
    frozen(new, old, &["data"], out);
}

pub(super) fn namespace(namespace: &Value, out: &mut Report) {
    let at = SPEC.child("finalizers");
    for finalizer in namespace.at("spec").into_iter().flat_map(|s| s.texts("finalizers")) {
        out.invalid_each(&at, finalizer, label_key_errors(finalizer));
        super::meta::known_finalizer(&at, finalizer, out);
    }
}

pub(super) fn node(node: &Value, out: &mut Report) {
    let Some(spec) = node.at("spec") else { return };
    let at = SPEC.child("taints");
    let taints = spec.items("taints");
    for (index, value) in taints.iter().enumerate() {
        let at = at.index(index);
        taint(&at, value, out);
        let same = |t: &Value| t.text("key") == value.text("key") && t.text("effect") == value.text("effect");
        if taints[..index].iter().any(same) {
            out.duplicate(&at, value);
        }
    }
    let at = SPEC.child("podCIDRs");
    for (index, range) in spec.texts("podCIDRs").enumerate() {
        cidr(&at.index(index), range, out);
    }
}

pub(super) fn node_update(new: &Value, old: &Value, out: &mut Report) {
    let (new, old) = (new.at("spec").unwrap_or(&Value::Null), old.at("spec").unwrap_or(&Value::Null));
    for (key, detail) in [
        ("podCIDRs", "node updates may not change podCIDR except from \"\" to valid"),
        ("providerID", "node updates may not change providerID except from \"\" to valid"),
    ] {
        if !old.lacks(key) && !same(new.at(key), old.at(key)) {
            out.forbidden(&SPEC.child(key), detail);
        }
    }
}

pub(super) fn resource_quota(quota: &Value, out: &mut Report) {
    let at = SPEC.child("hard");
    for (name, amount) in quota.at("spec").into_iter().flat_map(|s| s.entries("hard")) {
        let at = at.key(name);
        out.invalid_each(&at, name, label_key_errors(name));
        if !is_extended(name) && !name.contains('/') && !is_quota_resource(name) {
            out.invalid(&at, name, "must be a standard resource for quota");
        }
        amount_of(&at, name, amount, out);
    }
}

fn is_quota_resource(name: &str) -> bool {
    const NAMES: [&str; 18] = [
        "cpu",
        "memory",
        "ephemeral-storage",
        "requests.cpu",
        "requests.memory",
        "requests.storage",
        "requests.ephemeral-storage",
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "persistentvolumeclaims",
        "configmaps",
        "services.nodeports",
    ];
    let prefixed = ["hugepages-", "requests.hugepages-", "count/", "services."];
    NAMES.contains(&name) || prefixed.iter().any(|prefix| name.starts_with(prefix))
}

pub(super) fn resource_quota_update(new: &Value, old: &Value, out: &mut Report) {
    let scopes = |quota: &Value| {
        let mut scopes: Vec<String> =
            quota.at("spec").into_iter().flat_map(|s| s.texts("scopes")).map(str::to_owned).collect();
        scopes.sort();
        scopes
    };
    if scopes(new) != scopes(old) {
        let value = new.at("spec").and_then(|s| s.at("scopes")).unwrap_or(&Value::Null);
        out.invalid(&SPEC.child("scopes"), value, super::check::IMMUTABLE);
    }
}

pub(super) fn limit_range(range: &Value, out: &mut Report) {
    let at = SPEC.child("limits");
    let limits = range.at("spec").map(|s| s.items("limits")).unwrap_or_default();
    for (index, limit) in limits.iter().enumerate() {
        let at = at.index(index);
        let kind = limit.text("type");
        if kind.is_empty() {
            out.required(&at.child("type"), "");
        }
        if limits[..index].iter().any(|l| l.text("type") == kind) {
            out.duplicate(&at.child("type"), kind);
        }
        ordered(&at, limit, out);
    }
}

/// Minimum, default request, default and maximum, in this order.
fn ordered(at: &At<'_>, limit: &Value, out: &mut Report) {
    const ORDER: [(&str, &str); 4] =
        [("min", "min"), ("defaultRequest", "default request"), ("default", "default"), ("max", "max")];
    for (i, (low, low_name)) in ORDER.iter().enumerate() {
        for (high, high_name) in &ORDER[i + 1..] {
            for (name, value) in limit.entries(low) {
                let high_value = limit.at(high).and_then(|h| h.at(name)).and_then(quantity);
                if let (Some(low_value), Some(high_value)) = (quantity(value), high_value)
                    && low_value > high_value
                {
                    let detail = format!("{low_name} value {low_value} is greater than {high_name} value {high_value}");
                    out.invalid(&at.child(low).key(name), low_value.to_string().as_str(), detail);
                }
            }
        }
    }
}

const MAX_PRIORITY: i64 = 1_000_000_000;

pub(super) fn priority_class(class: &Value, out: &mut Report) {
    let system = ["system-node-critical", "system-cluster-critical"].contains(&class.name());
    if class.name().starts_with("system-") && !system {
        let metadata = At::root("metadata");
        let detail = "priority class names with 'system-' prefix are reserved for system use only. error: \
                      unknown system priority class";
        out.forbidden(&metadata.child("name"), detail);
    } else if class.int("value") > MAX_PRIORITY && !system {
        let detail = format!("maximum allowed value of a user defined priority is {MAX_PRIORITY}");
        out.forbidden(&At::root("value"), detail);
    }
    const POLICIES: [&str; 2] = ["PreemptLowerPriority", "Never"];
    out.one_of_or_empty(&At::root("preemptionPolicy"), class.text("preemptionPolicy"), &POLICIES);
}

pub(super) fn priority_class_update(new: &Value, old: &Value, out: &mut Report) {
    if new.int("value") != old.int("value") {
        out.forbidden(&At::root("value"), "may not be changed in an update.");
    }
    if !same(new.at("preemptionPolicy"), old.at("preemptionPolicy")) {
        out.immutable(&At::root("preemptionPolicy"), new.at("preemptionPolicy"), old.at("preemptionPolicy"));
    }
}

pub(super) fn runtime_class(class: &Value, out: &mut Report) {
    match class.text("handler") {
        "" => out.required(&At::root("handler"), ""),
        handler => out.invalid_each(&At::root("handler"), handler, super::names::label(handler)),
    }
}

pub(super) fn runtime_class_update(new: &Value, old: &Value, out: &mut Report) {
    out.immutable(&At::root("handler"), new.at("handler"), old.at("handler"));
}

pub(super) fn lease(lease: &Value, out: &mut Report) {
    let Some(spec) = lease.at("spec") else { return };
    if let Some(seconds) = spec.at("leaseDurationSeconds").and_then(Value::as_i64).filter(|s| *s <= 0) {
        out.invalid(&SPEC.child("leaseDurationSeconds"), seconds, "must be greater than 0");
    }
    if let Some(count) = spec.at("leaseTransitions").and_then(Value::as_i64).filter(|c| *c < 0) {
        out.invalid(&SPEC.child("leaseTransitions"), count, "must be greater than or equal to 0");
    }
}

pub(super) fn event(event: &Value, out: &mut Report) {
    let (key, regarding) = match event.has("involvedObject") {
        true => ("involvedObject", event.at("involvedObject")),
        false => ("regarding", event.at("regarding")),
    };
    let at = At::root(key);
    let namespace = regarding.map_or("", |r| r.text("namespace"));
    // Events of what has no namespace lie in the default one, or in kube-system.
    let placed = match namespace {
        "" => ["default", "kube-system"].contains(&event.namespace()),
        own => own == event.namespace(),
    };
    if !placed {
        out.invalid(&At::root("involvedObject").child("namespace"), namespace, "does not match event.namespace");
    }
    let series = event.at("series");
    if let Some(count) = series.map(|s| s.int("count")).filter(|c| *c < 2 && event.has("eventTime")) {
        let at = At::root("series");
        out.invalid(&at.child("count"), count, "should be at least 2");
    }
    let name = regarding.map_or("", |r| r.text("apiVersion"));
    if name.matches('/').count() > 1 {
        out.invalid(&at.child("apiVersion"), name, "must be a group and version");
    }
}

pub(super) fn pod_template(object: &Value, out: &mut Report) {
    super::pod::template(&At::root("template"), object.at("template").unwrap_or(&Value::Null), out);
}

pub(super) fn pod_template_update(new: &Value, old: &Value, out: &mut Report) {
    let (new, old) = (new.at("template").unwrap_or(&Value::Null), old.at("template").unwrap_or(&Value::Null));
    super::pod::template_change(&At::root("template"), new, old, out);
}

/// A reference to an object of another kind, by name.
pub(super) fn named(at: &At<'_>, name: &str, out: &mut Report) {
    match name {
        "" => out.required(at, ""),
        name => out.invalid_each(at, name, subdomain(name)),
    }
}
