//! Affinity to nodes and pods.

use super::super::check::{At, Report};
use super::super::names::{label, label_key_errors, label_value_errors, subdomain};
use super::super::values::{selector, selector_of_any_values};
use super::kept::{Kept, Rule};
use crate::tree::Tree;
use apimachinery::Value;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(super) fn all(at: &At<'_>, affinity: Option<&Value>, kept: Kept, out: &mut Report) {
    let Some(affinity) = affinity else { return };
    if let Some(nodes) = affinity.at("nodeAffinity") {
        node_affinity(&at.child("nodeAffinity"), nodes, kept, out);
    }
    for key in ["podAffinity", "podAntiAffinity"] {
        if let Some(pods) = affinity.at(key) {
            pod_affinity(&at.child(key), pods, kept, out);
        }
    }
}

/// The selectors of all terms of pod affinity.
pub(super) fn selectors(spec: &Value, out: &mut Report) {
    let at = At::root("");
    let kinds = ["podAffinity", "podAntiAffinity"].into_iter().filter_map(|key| spec.at("affinity")?.at(key));
    for affinity in kinds {
        let preferred = affinity.items(PREFERRED).iter().filter_map(|t| t.at("podAffinityTerm"));
        for term in affinity.items(REQUIRED).iter().chain(preferred) {
            term_selectors(&at, term, true, out);
        }
    }
}

/// The values that required node affinity asks for.
pub(super) fn required_node_values(spec: &Value, out: &mut Report) {
    let required = spec.at("affinity").and_then(|a| a.at("nodeAffinity")).and_then(|n| n.at(REQUIRED));
    let terms = required.map(|r| r.items("nodeSelectorTerms")).unwrap_or_default();
    for value in terms.iter().flat_map(|t| t.items("matchExpressions")).flat_map(|e| e.texts("values")) {
        out.invalid_each(&At::root(""), value, label_value_errors(value));
    }
}

fn node_affinity(at: &At<'_>, affinity: &Value, kept: Kept, out: &mut Report) {
    if let Some(required) = affinity.at(REQUIRED) {
        node_terms(&at.child(REQUIRED), required, !kept.has(Rule::NodeAffinityValues), out);
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
    node_terms(at, selector, true, out);
}

fn node_terms(at: &At<'_>, selector: &Value, check_values: bool, out: &mut Report) {
    let at = at.child("nodeSelectorTerms");
    let terms = selector.items("nodeSelectorTerms");
    if terms.is_empty() {
        out.required(&at, "must have at least one node selector term");
    }
    for (index, term) in terms.iter().enumerate() {
        node_term(&at.index(index), Some(term), check_values, out);
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

fn pod_affinity(at: &At<'_>, affinity: &Value, kept: Kept, out: &mut Report) {
    let required = at.child(REQUIRED);
    for (index, term) in affinity.items(REQUIRED).iter().enumerate() {
        pod_term(&required.index(index), term, kept, out);
    }
    let preferred = at.child(PREFERRED);
    for (index, term) in affinity.items(PREFERRED).iter().enumerate() {
        let at = preferred.index(index);
        weight(&at, term, out);
        pod_term(&at.child("podAffinityTerm"), term.at("podAffinityTerm").unwrap_or(&Value::Null), kept, out);
    }
}

fn pod_term(at: &At<'_>, term: &Value, kept: Kept, out: &mut Report) {
    term_selectors(at, term, !kept.has(Rule::AffinitySelectors), out);
    for namespace in term.texts("namespaces") {
        out.invalid_each(&at.child("namespace"), namespace, label(namespace));
    }
    label_keys(at, term, out);
    let key = term.text("topologyKey");
    if key.is_empty() {
        out.required(&at.child("topologyKey"), "can not be empty");
    }
    out.invalid_each(&at.child("topologyKey"), key, label_key_errors(key));
}

fn term_selectors(at: &At<'_>, term: &Value, check_values: bool, out: &mut Report) {
    for key in ["labelSelector", "namespaceSelector"] {
        match check_values {
            true => selector(&at.child(key), term.at(key), out),
            false => selector_of_any_values(&at.child(key), term.at(key), out),
        }
    }
}

/// Labels whose values a selector takes from the pod itself.
pub(super) fn label_keys(at: &At<'_>, term: &Value, out: &mut Report) {
    for list in ["matchLabelKeys", "mismatchLabelKeys"] {
        let keys_at = at.child(list);
        if !term.items(list).is_empty() && !term.has("labelSelector") {
            out.forbidden(&keys_at, "must not be specified when labelSelector is not set");
            continue;
        }
        for (index, key) in term.texts(list).enumerate() {
            out.invalid_each(&keys_at.index(index), key, label_key_errors(key));
        }
    }
    if !term.items("matchLabelKeys").is_empty() {
        selected_twice(at, term, out);
    }
    for (index, key) in term.texts("matchLabelKeys").enumerate() {
        if term.texts("mismatchLabelKeys").any(|other| other == key) {
            let detail = "exists in both matchLabelKeys and mismatchLabelKeys";
            out.invalid(&at.child("matchLabelKeys").index(index), key, detail);
        }
    }
}

/// The keys are in the selector by now; they must not have been there before.
fn selected_twice(at: &At<'_>, term: &Value, out: &mut Report) {
    let Some(selector) = term.at("labelSelector") else { return };
    let expressions = selector.items("matchExpressions");
    for (position, key) in expressions.iter().map(|e| e.text("key")).enumerate() {
        let before = || expressions[..position].iter().any(|e| e.text("key") == key);
        let is_selected = || selector.object("matchLabels").is_some_and(|l| l.contains_key(key)) || before();
        // Upstream names the last of several, and the place without the list's name.
        let index = term.texts("matchLabelKeys").collect::<Vec<_>>().into_iter().rposition(|k| k == key);
        if let Some(index) = index.filter(|_| is_selected()) {
            out.invalid(&at.index(index), key, "exists in both matchLabelKeys and labelSelector");
        }
    }
}
