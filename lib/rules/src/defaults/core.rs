//! The core group apart from pods and services.

use crate::tree::{Fill, Tree, is_empty};
use apimachinery::meta::ObjectMeta;
use apimachinery::{Map, Value};
use base64::Engine;

/// Sets `status.phase` if there is none.
pub(super) fn phase(object: &mut Value, phase: &str) {
    if let Some(status) = object.made("status") {
        status.fill_zero("phase", phase);
    }
}

/// `stringData` is written over `data`, in base64, and neither stored nor anybody's to manage.
pub(super) fn secret(secret: &mut Value) {
    secret.fill_zero("type", "Opaque");
    let Some(Value::Object(strings)) = secret.as_object_mut().and_then(|map| map.remove("stringData")) else { return };
    if let (false, Some(Value::Object(data))) = (strings.is_empty(), secret.made("data")) {
        for (key, value) in strings {
            let text = value.as_str().unwrap_or_default();
            data.insert(key, base64::engine::general_purpose::STANDARD.encode(text).into());
        }
    }
}

pub(super) fn namespace(namespace: &mut Value) {
    phase(namespace, "Active");
    let name = namespace.name().to_owned();
    if name.is_empty() {
        return;
    }
    if let Some(Value::Object(labels)) = namespace.made("metadata").and_then(|m| m.made("labels")) {
        labels.insert("kubernetes.io/metadata.name".into(), name.into());
    }
}

pub(super) fn persistent_volume(volume: &mut Value) {
    phase(volume, "Pending");
    if let Some(spec) = volume.inner("spec") {
        spec.fill_zero("persistentVolumeReclaimPolicy", "Retain");
        spec.fill("volumeMode", "Filesystem");
    }
}

pub(super) fn replication_controller(controller: &mut Value) {
    let labels = controller.at("spec").and_then(|s| s.at("template")).and_then(Value::labels).cloned();
    let Some(labels) = labels else { return };
    if let Some(spec) = controller.inner("spec") {
        fill_empty(spec, "selector", &labels);
    }
    label_as_template(controller, labels);
}

/// Objects without labels take those of their pods.
pub(super) fn label_as_template(object: &mut Value, labels: Map) {
    if let Some(metadata) = object.made("metadata") {
        fill_empty(metadata, "labels", &labels);
    }
}

fn fill_empty(object: &mut Value, key: &str, map: &Map) {
    if let Some(member) = object.made(key).filter(|m| is_empty(m)) {
        *member = Value::Object(map.clone());
    }
}

/// The one range of pods is the first of all; given alone, or another, it is the only one.
pub(super) fn node_spec(spec: &mut Value) {
    let first = spec.items("podCIDRs").first();
    match (spec.text("podCIDR"), first.and_then(Value::as_str)) {
        ("", Some(first)) if !first.is_empty() => {
            let first = Value::from(first);
            spec.fill_zero("podCIDR", first);
        }
        (one, first) if !one.is_empty() && first != Some(one) => {
            let ranges = Value::from(vec![one]);
            if let Some(map) = spec.as_object_mut() {
                map.insert("podCIDRs".into(), ranges);
            }
        }
        _ => {}
    }
}

pub(super) fn node_status(status: &mut Value) {
    if let Some(capacity) = status.at("capacity").cloned() {
        status.fill("allocatable", capacity);
    }
}

/// Maxima become default limits, these and minima become default requests.
pub(super) fn limit_range_item(item: &mut Value) {
    if item.text("type") != "Container" {
        return;
    }
    inherit(item, "max", "default");
    inherit(item, "default", "defaultRequest");
    inherit(item, "min", "defaultRequest");
}

/// Copies the entries of one resource list that another lacks.
pub(super) fn inherit(object: &mut Value, from: &str, to: &str) {
    let Some(source) = object.object(from).filter(|m| !m.is_empty()).cloned() else { return };
    let Some(target) = object.made(to) else { return };
    for (key, value) in source {
        target.fill(&key, value);
    }
}
