//! Changes of pods that are not yet to be scheduled: their nodes may be narrowed down.

use super::super::check::{Report, same};
use super::super::printed::Internal;
use super::SPEC;
use super::update::restore;
use crate::tree::{Fill, Tree};
use apimachinery::Value;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

/// Takes back what narrows the nodes down, and reports what does not.
pub(super) fn undo_narrowing(rest: &mut Value, old: &Value, out: &mut Report) {
    let kept = old.entries("nodeSelector").all(|(k, v)| rest.at("nodeSelector").and_then(|s| s.at(k)) == Some(v));
    if !kept {
        let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        out.invalid(&SPEC.child("nodeSelector"), rest.at("nodeSelector").unwrap_or(&Value::Null), detail);
    }
    restore(rest, old, "nodeSelector");
    let affinity = |spec: &Value| spec.at("affinity").and_then(|a| a.at("nodeAffinity")).cloned();
    let (new, before) = (affinity(rest), affinity(old));
    if !same(new.as_ref(), before.as_ref()) {
        narrowed(new.as_ref(), before.as_ref(), out);
        take_node_affinity(rest, old);
    }
}

/// Terms stay as many as they were, each asking for more at its end.
fn narrowed(new: Option<&Value>, old: Option<&Value>, out: &mut Report) {
    let terms = |affinity: Option<&Value>| {
        affinity.and_then(|a| a.at(REQUIRED)).and_then(|r| r.at("nodeSelectorTerms")).cloned()
    };
    let (new, old) = (terms(new), terms(old));
    let list = |terms: &Option<Value>| terms.as_ref().and_then(Value::as_array).cloned().unwrap_or_default();
    let (new_terms, old_terms) = (list(&new), list(&old));
    if old_terms.is_empty() {
        return;
    }
    let (affinity, required) = (SPEC.child("affinity"), "nodeAffinity");
    let at = affinity.child(required);
    let at = at.child(REQUIRED);
    let at = at.child("nodeSelectorTerms");
    if new_terms.len() != old_terms.len() {
        let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        return out.invalid(&at, Internal(new.as_ref(), "[]@core.NodeSelectorTerm"), detail);
    }
    for (index, (new, old)) in new_terms.iter().zip(&old_terms).enumerate() {
        if !only_adds(new, old) {
            let shown = Internal(Some(new), "@core.NodeSelectorTerm");
            out.invalid(&at.index(index), shown, "only additions are allowed (no mutations or deletions)");
        }
    }
}

fn only_adds(new: &Value, old: &Value) -> bool {
    const LISTS: [&str; 2] = ["matchExpressions", "matchFields"];
    // What asked for nothing matched nothing.
    if LISTS.iter().all(|list| old.items(list).is_empty()) {
        return LISTS.iter().all(|list| new.items(list).is_empty());
    }
    LISTS.iter().all(|list| {
        let (new, old) = (new.items(list), old.items(list));
        new.len() >= old.len() && new.iter().zip(old).all(|(new, old)| same(Some(new), Some(old)))
    })
}

fn take_node_affinity(rest: &mut Value, old: &Value) {
    let before = old.at("affinity");
    let bare = rest.at("affinity").is_some_and(|a| !a.has("podAffinity") && !a.has("podAntiAffinity"));
    if before.is_none() && bare {
        rest.members().map(|m| m.remove("affinity"));
    } else if rest.has("affinity") || before.is_some_and(|a| a.has("nodeAffinity")) {
        let nothing = Value::Null;
        if let Some(own) = rest.made("affinity") {
            restore(own, before.unwrap_or(&nothing), "nodeAffinity");
        }
    }
}
