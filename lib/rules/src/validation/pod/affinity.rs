//! Affinity to nodes and pods.

use super::super::check::{At, Report};
use super::super::names::{label, label_key_errors, label_value_errors, subdomain};
use super::super::values::selector;
use crate::tree::Tree;
use apimachinery::Value;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(super) fn all(at: &At<'_>, affinity: Option<&Value>, out: &mut Report) {
    let Some(affinity) = affinity else { return };
    if let Some(nodes) = affinity.at("nodeAffinity") {
        node_affinity(&at.child("nodeAffinity"), nodes, out);
    }
    for key in ["podAffinity", "podAntiAffinity"] {
        if let Some(pods) = affinity.at(key) {
            pod_affinity(&at.child(key), pods, out);
        }
    }
}

fn node_affinity(at: &At<'_>, affinity: &Value, out: &mut Report) {
    if let Some(required) = affinity.at(REQUIRED) {
        node_selector(&at.child(REQUIRED), required, out);
    }
    let at = at.child(PREFERRED);
    for (index, term) in affinity.items(PREFERRED).iter().enumerate() {
        let at = at.index(index);
        weight(&at, term, out);
        // Values are not checked here: they have been let pass for too long.
        node_term(&at.child("preference"), term.at("preference"), false, out);
    }
}

fn weight(at: &At<'_>, term: &Value, out: &mut Report) {
    let weight = term.int("weight");
    if !(1..=100).contains(&weight) {
        out.invalid(&at.child("weight"), weight, "must be in the range 1-100");
    }
}

/// A node selector, of a pod or of a volume.
pub(in super::super) fn node_selector(at: &At<'_>, selector: &Value, out: &mut Report) {
    let at = at.child("nodeSelectorTerms");
    let terms = selector.items("nodeSelectorTerms");
    if terms.is_empty() {
        out.required(&at, "must have at least one node selector term");
    }
    for (index, term) in terms.iter().enumerate() {
        node_term(&at.index(index), Some(term), true, out);
    }
}

fn node_term(at: &At<'_>, term: Option<&Value>, check_values: bool, out: &mut Report) {
    let Some(term) = term else { return };
    let expressions = at.child("matchExpressions");
    for (index, expression) in term.items("matchExpressions").iter().enumerate() {
        node_requirement(&expressions.index(index), expression, check_values, out);
    }
    let fields = at.child("matchFields");
    for (index, field) in term.items("matchFields").iter().enumerate() {
        node_field(&fields.index(index), field, out);
    }
}

fn node_requirement(at: &At<'_>, requirement: &Value, check_values: bool, out: &mut Report) {
    let count = requirement.items("values").len();
    let values = at.child("values");
    match requirement.text("operator") {
        "In" | "NotIn" if count == 0 => {
            out.required(&values, "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if count > 0 => {
            out.forbidden(&values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        }
        "Gt" | "Lt" if count != 1 => {
            out.required(&values, "must be specified single value when `operator` is 'Lt' or 'Gt'");
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        operator => out.invalid(&at.child("operator"), operator, "not a valid selector operator"),
    }
    out.invalid_each(&at.child("key"), requirement.text("key"), label_key_errors(requirement.text("key")));
    for (index, value) in requirement.texts("values").enumerate().filter(|_| check_values) {
        out.invalid_each(&values.index(index), value, label_value_errors(value));
    }
}

fn node_field(at: &At<'_>, field: &Value, out: &mut Report) {
    let values = at.child("values");
    match field.text("operator") {
        "In" | "NotIn" if field.items("values").len() == 1 => {}
        "In" | "NotIn" => {
            out.required(&values, "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
        }
        operator => out.invalid(&at.child("operator"), operator, "not a valid selector operator"),
    }
    if field.text("key") != "metadata.name" {
        return out.invalid(&at.child("key"), field.text("key"), "not a valid field selector key");
    }
    for (index, name) in field.texts("values").enumerate() {
        out.invalid_each(&values.index(index), name, subdomain(name));
    }
}

fn pod_affinity(at: &At<'_>, affinity: &Value, out: &mut Report) {
    let required = at.child(REQUIRED);
    for (index, term) in affinity.items(REQUIRED).iter().enumerate() {
        pod_term(&required.index(index), term, out);
    }
    let preferred = at.child(PREFERRED);
    for (index, term) in affinity.items(PREFERRED).iter().enumerate() {
        let at = preferred.index(index);
        weight(&at, term, out);
        pod_term(&at.child("podAffinityTerm"), term.at("podAffinityTerm").unwrap_or(&Value::Null), out);
    }
}

fn pod_term(at: &At<'_>, term: &Value, out: &mut Report) {
    for key in ["labelSelector", "namespaceSelector"] {
        selector(&at.child(key), term.at(key), out);
    }
    for namespace in term.texts("namespaces") {
        out.invalid_each(&at.child("namespace"), namespace, label(namespace));
    }
    for list in ["matchLabelKeys", "mismatchLabelKeys"] {
        if term.items(list).is_empty() {
            continue;
        }
        let at = at.child(list);
        if !term.has("labelSelector") {
            out.forbidden(&at, "must not be specified when labelSelector is not set");
        }
        for (index, key) in term.texts(list).enumerate() {
            out.invalid_each(&at.index(index), key, label_key_errors(key));
        }
    }
    let key = term.text("topologyKey");
    if key.is_empty() {
        out.required(&at.child("topologyKey"), "can not be empty");
    }
    out.invalid_each(&at.child("topologyKey"), key, label_key_errors(key));
}
