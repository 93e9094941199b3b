//! Profiles, amounts and variables of containers.

use super::super::Sink;
use super::super::resources::fraction;
use super::{Place, has_annotation};
use crate::tree::Tree;
use crate::validation::app_armor_field;
use crate::validation::check::At;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use std::collections::HashSet;

/// All lists of containers in upstream's order.
pub(super) const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];
const SECCOMP: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APPARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

pub(super) fn all(place: Place<'_>, pod: &Value, spec: &Value, warn: &mut Sink<'_>) {
    let at = place.child("spec");
    let whole = spec.at("securityContext").and_then(|c| c.at("appArmorProfile"));
    for list in LISTS {
        let at = at.child(list);
        for (index, container) in spec.items(list).iter().enumerate() {
            seccomp(place, pod, container, warn);
            if let Place::Template(_) = place {
                app_armor(place, pod, container, whole, warn);
            }
            let at = at.index(index);
            amounts(&at.child("resources"), container, warn);
            variables(&at.child("env"), container.items("env"), warn);
        }
    }
}

fn profile<'a>(container: &'a Value, member: &str) -> Option<&'a Value> {
    container.at("securityContext").and_then(|context| context.at(member))
}

fn seccomp(place: Place<'_>, pod: &Value, container: &Value, warn: &mut Sink<'_>) {
    let key = format!("{SECCOMP}{}", container.text("name"));
    if profile(container, "seccompProfile").is_none() && has_annotation(pod, &key) {
        let path = place.annotation(&key);
        warn(format!("{path}: non-functional in v1.27+; use the \"seccompProfile\" field instead"));
    }
}

/// Of pods it is said where the annotation becomes a field.
fn app_armor(place: Place<'_>, pod: &Value, container: &Value, whole: Option<&Value>, warn: &mut Sink<'_>) {
    let key = format!("{APPARMOR}{}", container.text("name"));
    let annotation = pod.annotations().and_then(|all| all.get(&key)).and_then(Value::as_str);
    let Some(annotation) = annotation.filter(|_| profile(container, "appArmorProfile").is_none()) else { return };
    if whole.is_none() || whole != app_armor_field(annotation).as_ref() {
        let path = place.annotation(&key);
        warn(format!("{path}: deprecated since v1.30; use the \"appArmorProfile\" field instead"));
    }
}

fn amounts(at: &At<'_>, container: &Value, warn: &mut Sink<'_>) {
    let Some(resources) = container.at("resources") else { return };
    for name in ["memory", "ephemeral-storage"] {
        for list in ["limits", "requests"] {
            fraction(&at.child(list), resources.at(list), name, warn);
        }
    }
}

/// A variable may be set twice only if the second value is made of the first.
fn variables(at: &At<'_>, list: &[Value], warn: &mut Sink<'_>) {
    let mut seen = HashSet::with_capacity(list.len());
    for (index, variable) in list.iter().enumerate() {
        let (name, value) = (variable.text("name"), variable.text("value"));
        if seen.insert(name) {
            continue;
        }
        let reference = format!("$({name})");
        if variable.has("valueFrom") || value == reference || !value.contains(&reference) {
            let path = at.index(index).path();
            warn(format!("{path}: hides previous definition of {name:?}, which may be dropped when using apply"));
        }
    }
}
