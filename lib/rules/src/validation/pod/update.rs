//! Changes of pods.

use super::super::check::{Report, same};
use super::super::names::in_range;
use super::super::printed::{Internal, difference};
use super::containers::image_without_spaces;
use super::kept::{Kept, Rule};
use super::{METADATA, SPEC, annotations, gated, spec_of, tolerations};
use crate::tree::{Fill, Tree};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

const CHANGEABLE: &str = "pod updates may not change fields other than \
    `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
    `spec.tolerations` (only additions to existing tolerations),\
    `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// A change of a pod, its metadata aside.
pub(in super::super) fn update(new: &Value, old: &Value, out: &mut Report) {
    super::changed(new, old, out);
    annotation_change(new, old, out);
    let (new, old) = (spec_of(new), spec_of(old));
    for list in ["containers", "initContainers"] {
        if !images(list, new, old, out) {
            return;
        }
    }
    if !deadline(new, old, out) {
        return;
    }
    kept_tolerations(new, old, out);
    gates(new, old, out);
    if same(Some(new), Some(old)) {
        return;
    }
    let mut rest = new.clone();
    undo_allowed(&mut rest, old);
    if !old.items("schedulingGates").is_empty() {
        gated::undo_narrowing(&mut rest, old, out);
    }
    if !same(Some(&rest), Some(old)) {
        let form = "@core.PodSpec";
        let difference = difference(&Internal(Some(old), form), &Internal(Some(&rest), form));
        out.forbidden(&SPEC, format!("{CHANGEABLE}\n{difference}"));
    }
}

/// Annotations that must stay, and what those that are there must be: upstream looks at them again.
pub(super) fn annotation_change(new: &Value, old: &Value, out: &mut Report) {
    let at = METADATA.child("annotations");
    annotations::change(&at, new.annotations(), old.annotations(), out);
    super::leniently(old, out, |kept, out| {
        annotations::check(&at, new.annotations(), spec_of(new), kept, out);
    });
}

/// The number of containers stays, their images may change. Whether it makes sense to look further.
fn images(list: &str, new: &Value, old: &Value, out: &mut Report) -> bool {
    let at = SPEC.child(list);
    if new.items(list).len() != old.items(list).len() {
        out.forbidden(&at, "pod updates may not add or remove containers");
        return false;
    }
    for (index, container) in new.items(list).iter().enumerate() {
        let at = at.index(index);
        if container.text("image").is_empty() {
            out.required(&at.child("image"), "");
        }
        image_without_spaces(&at, container, out);
    }
    true
}

/// The deadline may only come closer. Whether it makes sense to look further.
fn deadline(new: &Value, old: &Value, out: &mut Report) -> bool {
    let at = SPEC.child("activeDeadlineSeconds");
    let get = |spec: &Value| spec.at("activeDeadlineSeconds").and_then(Value::as_i64);
    match (get(new), get(old)) {
        (Some(new), old) => {
            if let Some(finding) = in_range(new, 0, i32::MAX.into()) {
                out.invalid(&at, new, finding);
                return false;
            }
            if old.is_some_and(|old| old < new) {
                out.invalid(&at, new, "must be less than or equal to previous value");
                return false;
            }
        }
        (None, Some(_)) => {
            out.invalid(&at, &Value::Null, "must not update from a positive integer to nil value");
        }
        (None, None) => {}
    }
    true
}

/// Tolerations may be added, and last for another time than before.
fn kept_tolerations(new: &Value, old: &Value, out: &mut Report) {
    let at = SPEC.child("tolerations");
    let list = new.items("tolerations");
    let but_seconds = |a: &Value, b: &Value| {
        ["key", "operator", "value", "effect"].into_iter().all(|member| a.text(member) == b.text(member))
    };
    if !old.items("tolerations").iter().all(|old| list.iter().any(|new| but_seconds(new, old))) {
        return out.forbidden(&at, "existing toleration can not be modified except its tolerationSeconds");
    }
    let compares = old.items("tolerations").iter().any(|t| matches!(t.text("operator"), "Lt" | "Gt"));
    tolerations::all(&at, list, if compares { Kept::only(Rule::TolerationOperators) } else { Kept::NOTHING }, out);
}

fn gates(new: &Value, old: &Value, out: &mut Report) {
    let at = SPEC.child("schedulingGates");
    let gates = new.items("schedulingGates");
    for (index, gate) in gates.iter().enumerate() {
        let name = gate.text("name");
        let again = gates[index + 1..].iter().any(|g| g.text("name") == name);
        if !again && !old.items("schedulingGates").iter().any(|g| g.text("name") == name) {
            let detail = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            out.forbidden(&at.index(index).child("name"), detail);
        }
    }
}

/// Takes back the changes that are allowed.
fn undo_allowed(rest: &mut Value, old: &Value) {
    for list in ["containers", "initContainers"] {
        for (container, old) in rest.each(list).iter_mut().zip(old.items(list)) {
            restore(container, old, "image");
        }
    }
    for key in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        restore(rest, old, key);
    }
    if old.int("terminationGracePeriodSeconds") < 0 && rest.int("terminationGracePeriodSeconds") == 1 {
        restore(rest, old, "terminationGracePeriodSeconds");
    }
}

pub(super) fn restore(rest: &mut Value, old: &Value, key: &str) {
    let Some(members) = rest.members() else { return };
    match old.at(key) {
        Some(value) => members.insert(key.to_owned(), value.clone()),
        None => members.remove(key),
    };
}
