//! What a pod wants of nodes and of other pods.

use super::super::Sink;
use super::super::labels::{Values, deprecation, term};
use crate::tree::Tree;
use crate::validation::check::At;
use apimachinery::Value;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(super) fn nodes(at: &At<'_>, spec: &Value, warn: &mut Sink<'_>) {
    let Some(affinity) = spec.at("affinity").and_then(|a| a.at("nodeAffinity")) else { return };
    let at = at.child("affinity");
    let at = at.child("nodeAffinity");
    let required = at.child(REQUIRED);
    let terms_at = required.child("nodeSelectorTerms");
    let terms = affinity.at(REQUIRED).map(|r| r.items("nodeSelectorTerms")).unwrap_or_default();
    for (index, one) in terms.iter().enumerate() {
        term(&terms_at.index(index), one, Values::Checked, warn);
    }
    let preferred = at.child(PREFERRED);
    for (index, weighted) in affinity.items(PREFERRED).iter().enumerate() {
        let Some(preference) = weighted.at("preference") else { continue };
        term(&preferred.index(index).child("preference"), preference, Values::Unchecked, warn);
    }
}

pub(super) fn spread(at: &At<'_>, spec: &Value, warn: &mut Sink<'_>) {
    let at = at.child("topologySpreadConstraints");
    for (index, constraint) in spec.items("topologySpreadConstraints").iter().enumerate() {
        let (at, key) = (at.index(index), constraint.text("topologyKey"));
        if let Some(instead) = deprecation(key) {
            warn(format!("{}: {key} is {instead}", at.child("topologyKey").path()));
        }
        selector(&at, constraint, warn);
    }
}

pub(super) fn pods(at: &At<'_>, spec: &Value, warn: &mut Sink<'_>) {
    let at = at.child("affinity");
    for kind in ["podAffinity", "podAntiAffinity"] {
        let Some(affinity) = spec.at("affinity").and_then(|a| a.at(kind)) else { continue };
        let at = at.child(kind);
        let required = at.child(REQUIRED);
        for (index, term) in affinity.items(REQUIRED).iter().enumerate() {
            selector(&required.index(index), term, warn);
        }
        let (preferred, nothing) = (at.child(PREFERRED), Value::Null);
        for (index, weighted) in affinity.items(PREFERRED).iter().enumerate() {
            let term = weighted.at("podAffinityTerm").unwrap_or(&nothing);
            selector(&preferred.index(index).child("podAffinityTerm"), term, warn);
        }
    }
}

/// Without a selector nothing is selected, where one might expect everything.
fn selector(at: &At<'_>, object: &Value, warn: &mut Sink<'_>) {
    if !object.has("labelSelector") {
        let path = at.child("labelSelector").path();
        warn(format!("{path}: a null labelSelector results in matching no pod"));
    }
}
