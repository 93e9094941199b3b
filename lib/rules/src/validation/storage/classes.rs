//! Storage classes and volume attributes classes.

use super::super::check::{At, Report, same};
use super::super::names::label_key_errors;
use crate::tree::Tree;
use apimachinery::Value;

const MAX_PARAMETERS: usize = 512;
const MAX_PARAMETERS_SIZE: usize = 256 * 1024;

pub(in super::super) fn class(class: &Value, out: &mut Report) {
    provisioner(&At::root("provisioner"), class.text("provisioner"), out);
    parameters(class, out);
    const POLICIES: [&str; 2] = ["Delete", "Retain"];
    out.one_of_or_empty(&At::root("reclaimPolicy"), class.text("reclaimPolicy"), &POLICIES);
    const BINDINGS: [&str; 2] = ["Immediate", "WaitForFirstConsumer"];
    let at = At::root("volumeBindingMode");
    match class.at("volumeBindingMode").and_then(Value::as_str) {
        None => out.required(&at, ""),
        Some(mode) if BINDINGS.contains(&mode) => {}
        Some(mode) => out.not_supported(&at, mode, &BINDINGS),
    }
    topologies(class.items("allowedTopologies"), out);
}

pub(in super::super) fn class_update(new: &Value, old: &Value, out: &mut Report) {
    for key in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
        out.immutable(&At::root(key), new.at(key), old.at(key));
    }
}

pub(in super::super) fn attributes_class(class: &Value, out: &mut Report) {
    provisioner(&At::root("driverName"), class.text("driverName"), out);
    parameters(class, out);
    if class.lacks("parameters") {
        out.required(&At::root("parameters"), "must contain at least one key/value pair");
    }
}

pub(in super::super) fn attributes_class_update(new: &Value, old: &Value, out: &mut Report) {
    for key in ["driverName", "parameters"] {
        if !same(new.at(key), old.at(key)) {
            out.forbidden(&At::root(key), format!("updates to {key} are forbidden."));
        }
    }
    attributes_class(new, out);
}

fn provisioner(at: &At<'_>, name: &str, out: &mut Report) {
    if name.is_empty() {
        return out.required(at, "");
    }
    let name = name.to_lowercase();
    out.invalid_each(at, &name, label_key_errors(&name));
}

fn parameters(class: &Value, out: &mut Report) {
    let at = At::root("parameters");
    if class.object("parameters").is_some_and(|p| p.len() > MAX_PARAMETERS) {
        return out.too_long(&at, MAX_PARAMETERS);
    }
    let mut size = 0;
    for (key, value) in class.entries("parameters") {
        if key.is_empty() {
            out.invalid(&at, "", "field can not be empty.");
        }
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > MAX_PARAMETERS_SIZE {
        out.too_long(&at, MAX_PARAMETERS_SIZE);
    }
}

fn topologies(terms: &[Value], out: &mut Report) {
    let at = At::root("allowedTopologies");
    for (index, term) in terms.iter().enumerate() {
        let at = at.index(index);
        let at = at.child("matchLabelExpressions");
        topology(&at, term.items("matchLabelExpressions"), out);
        // To upstream a term that asks for nothing repeats something, too.
        let is_empty = term.items("matchLabelExpressions").is_empty();
        if is_empty || terms[..index].iter().any(|other| selects_the_same(term, other)) {
            out.duplicate(&at, "");
        }
    }
}

fn topology(at: &At<'_>, expressions: &[Value], out: &mut Report) {
    for (index, expression) in expressions.iter().enumerate() {
        let at = at.index(index);
        let values = expression.items("values");
        let values_at = at.child("values");
        if values.is_empty() {
            out.required(&values_at, "");
        }
        for (index, value) in values.iter().enumerate().filter(|(index, value)| values[..*index].contains(value)) {
            out.duplicate(&values_at.index(index), value);
        }
        let key = expression.text("key");
        out.invalid_each(&at.child("key"), key, label_key_errors(key));
        if expressions[..index].iter().any(|other| other.text("key") == key) {
            out.duplicate(&at.child("key"), key);
        }
    }
}

/// Whether two terms have the same keys with the same values; the last of a key counts.
fn selects_the_same(one: &Value, other: &Value) -> bool {
    let last = |term: &'_ Value, key: &str| -> Option<Vec<String>> {
        let expression = term.items("matchLabelExpressions").iter().rfind(|e| e.text("key") == key)?;
        let mut values: Vec<String> = expression.texts("values").map(str::to_owned).collect();
        values.sort_unstable();
        values.dedup();
        Some(values)
    };
    let within = |one: &Value, other: &Value| {
        let mut keys = one.items("matchLabelExpressions").iter().map(|e| e.text("key"));
        keys.all(|key| last(one, key) == last(other, key))
    };
    within(one, other) && within(other, one)
}
