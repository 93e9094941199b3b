//! What may change of a job's pod template: nothing, unless the job is suspended and has no pods.

use super::super::check::{IMMUTABLE, Report, same};
use super::super::printed::Internal;
use super::super::workloads::spec_of;
use super::SPEC;
use super::status::holds;
use crate::tree::{Fill, Tree};
use apimachinery::{Map, Value};

pub(super) fn update(new: &Value, old: &Value, out: &mut Report) {
    let (spec, before) = (spec_of(new), spec_of(old));
    let (template, stored) = (spec.at("template"), before.at("template"));
    if same(template, stored) {
        return;
    }
    let at = SPEC.child("template");
    let status = old.at("status").unwrap_or(&Value::Null);
    let paused = !status.has("startTime") || holds(status, "Suspended");
    let (Some(template), Some(mut allowed), true) =
        (template, stored.cloned(), before.flag("suspend") && paused && status.int("active") == 0)
    else {
        return out.invalid(&at, Internal(template, "@core.PodTemplateSpec"), IMMUTABLE);
    };
    allow_scheduling(template, &mut allowed);
    allow_resources(template, &mut allowed);
    // The metadata of the template may be anything now.
    let path = at.child("spec");
    if !same(template.at("spec"), allowed.at("spec")) {
        out.invalid(&path, Internal(template.at("spec"), "@core.PodSpec"), IMMUTABLE);
    }
}

/// Where pods may run can still be chosen.
fn allow_scheduling(template: &Value, allowed: &mut Value) {
    let (Some(new), Some(pod)) = (template.at("spec"), allowed.made("spec").and_then(Fill::members)) else { return };
    for key in ["nodeSelector", "tolerations", "schedulingGates"] {
        copy(new, pod, key);
    }
    let Some(affinity) = new.at("affinity") else {
        // It may go if there was nothing in it but nodes.
        let rest = pod.get_mut("affinity").and_then(Fill::members);
        if rest.is_some_and(|rest| {
            rest.remove("nodeAffinity");
            rest.is_empty()
        }) {
            pod.remove("affinity");
        }
        return;
    };
    let inner = pod.entry("affinity").or_insert_with(|| Value::Object(Map::new()));
    if inner.is_null() {
        *inner = Value::Object(Map::new());
    }
    if let Some(inner) = inner.members() {
        copy(affinity, inner, "nodeAffinity");
    }
}

/// So can what containers need.
fn allow_resources(template: &Value, allowed: &mut Value) {
    let Some(new) = template.at("spec") else { return };
    let Some(pod) = allowed.inner("spec") else { return };
    for key in ["containers", "initContainers"] {
        let (containers, before) = (new.items(key), pod.each(key));
        if containers.len() != before.len() {
            continue;
        }
        for (container, before) in containers.iter().zip(before) {
            let members = before.members().filter(|b| b.text("name") == container.text("name"));
            if let Some(members) = members {
                copy(container, members, "resources");
            }
        }
    }
}

fn copy(from: &Value, to: &mut Map, key: &str) {
    match from.at(key) {
        Some(value) => to.insert(key.to_owned(), value.clone()),
        None => to.remove(key),
    };
}
