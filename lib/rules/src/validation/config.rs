//! Config maps, secrets, namespaces, priority classes and leases.
//!
//! Upstream: `pkg/apis/{core,coordination,scheduling}/validation`.

use super::check::{At, IMMUTABLE, Report, Typed};
use super::go_json::object_error;
use super::names::{config_key, label_key_errors, subdomain};
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::codec::base64;
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
        out.too_long(&At::NOWHERE, MAX_SIZE);
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
    for part in parts.iter().filter(|part| !new.entries(part).eq(old.entries(part))) {
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
    let value = |key: &str| secret.at("data").and_then(|d| d.at(key)).and_then(Value::as_str);
    let has = |key: &str| value(key).is_some();
    let needed: &[&str] = match secret.text("type") {
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/ssh-auth" if value("ssh-privatekey") == Some("") => {
            return out.required(&data.key("ssh-privatekey"), "");
        }
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => &["username", "password"],
        _ => &[],
    };
    for key in needed.iter().filter(|key| !has(key)) {
        out.required(&data.key(key), "");
    }
    if let [key @ (".dockercfg" | ".dockerconfigjson")] = needed
        && let Some(wrong) = value(key).and_then(|text| object_error(&base64::decode(text).unwrap_or_default()))
    {
        out.invalid(&data.key(key), "<secret contents redacted>", wrong);
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
    namespace_finalizers(namespace, |_| at, out);
}

/// A namespace's phase says whether it is being deleted.
pub(super) fn namespace_status(new: &Value, _: &Value, out: &mut Report) {
    let (wanted, detail) = match new.is_deleting() {
        false => ("Active", "may only be 'Active' if `deletionTimestamp` is empty"),
        true => ("Terminating", "may only be 'Terminating' if `deletionTimestamp` is not empty"),
    };
    let phase = new.at("status").map_or("", |status| status.text("phase"));
    if phase != wanted {
        out.invalid(&At::root("status").child("Phase"), Typed(phase), detail);
    }
}

/// The same of a request that writes nothing but the finalizers, which says where each of them stands.
pub(super) fn namespace_finalize(namespace: &Value, out: &mut Report) {
    let at = SPEC.child("finalizers");
    namespace_finalizers(namespace, |index| at.index(index), out);
}

fn namespace_finalizers<'a>(namespace: &Value, at: impl Fn(usize) -> At<'a>, out: &mut Report) {
    let finalizers = namespace.at("spec").into_iter().flat_map(|s| s.texts("finalizers"));
    for (index, finalizer) in finalizers.enumerate() {
        out.invalid_each(&at(index), finalizer, label_key_errors(finalizer));
        super::meta::known_finalizer(&at(index), finalizer, out);
    }
}

const MAX_PRIORITY: i64 = 1_000_000_000;

pub(super) fn priority_class(class: &Value, out: &mut Report) {
    if class.name().starts_with("system-") {
        if let Some(wrong) = unlike_system_class(class) {
            let detail =
                format!("priority class names with 'system-' prefix are reserved for system use only. error: {wrong}");
            out.forbidden(&At::root("metadata").child("name"), detail);
        }
    } else if class.int("value") > MAX_PRIORITY {
        let detail = format!("maximum allowed value of a user defined priority is {MAX_PRIORITY}");
        out.forbidden(&At::root("value"), detail);
    }
    const POLICIES: [&str; 2] = ["PreemptLowerPriority", "Never"];
    if class.has("preemptionPolicy") {
        out.one_of(&At::root("preemptionPolicy"), class.text("preemptionPolicy"), &POLICIES);
    }
}

/// What is different from the class that the system has by this name.
fn unlike_system_class(class: &Value) -> Option<String> {
    const SYSTEM: [(&str, i64); 2] =
        [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];
    let name = class.name();
    let Some((_, value)) = SYSTEM.iter().find(|(known, _)| *known == name) else {
        return Some(format!("{name} is not a known system priority class"));
    };
    if class.int("value") != *value {
        return Some(format!("value of {name} PriorityClass must be {value}"));
    }
    class.flag("globalDefault").then(|| format!("globalDefault of {name} PriorityClass must be false"))
}

pub(super) fn priority_class_update(new: &Value, old: &Value, out: &mut Report) {
    if new.int("value") != old.int("value") {
        out.forbidden(&At::root("value"), "may not be changed in an update.");
    }
    let (now, before) = (new.at("preemptionPolicy"), old.at("preemptionPolicy"));
    if now != before {
        out.invalid(&At::root("preemptionPolicy"), now.unwrap_or(&Value::Null), IMMUTABLE);
    }
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
