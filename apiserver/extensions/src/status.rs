//! What a definition's status must say: names, conditions. Pure functions of definitions.
//!
//! Upstream: `apiextensions-apiserver/pkg/controller/{status,establish,nonstructuralschema,apiapproval}`.

use crate::checks;
use crate::definition::Names;
use apimachinery::meta::{ObjectMeta, list_mut};
use apimachinery::{Map, Value, time};
use rules::tree::Tree;
use serde_json::json;
use std::collections::BTreeSet;

const APPROVED: &str = "api-approved.kubernetes.io";
const PROPOSAL: &str = "https://github.com/kubernetes/enhancements/pull/1111";

/// The finalizer that holds a definition while objects of it are deleted.
pub const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// What the first deletion of a definition says.
pub fn deletion_pending() -> Condition {
    let message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
    Condition::new("Terminating", true, "InstanceDeletionPending", message)
}

/// A condition without its time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Condition {
    pub kind: &'static str,
    pub status: &'static str,
    pub reason: &'static str,
    pub message: String,
}

impl Condition {
    pub(crate) fn new(kind: &'static str, is_true: bool, reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind, status: if is_true { "True" } else { "False" }, reason, message: message.into() }
    }
}

/// Whether a condition is true.
pub fn is_true(definition: &Value, kind: &str) -> bool {
    find(definition, kind).is_some_and(|condition| condition.text("status") == "True")
}

fn find<'v>(definition: &'v Value, kind: &str) -> Option<&'v Value> {
    let conditions = definition.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|condition| condition.text("type") == kind)
}

/// Sets a condition; the time changes when the status does.
pub fn set(definition: &mut Value, condition: &Condition) {
    let now = time::now();
    let status = status_mut(definition);
    let list = list_mut(status, "conditions");
    let Condition { kind, status, reason, message } = condition;
    let mut new =
        json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now});
    match list.iter_mut().find(|old| old.text("type") == *kind) {
        Some(old) => {
            if old.text("status") == *status && old.has("lastTransitionTime") {
                new["lastTransitionTime"] = old["lastTransitionTime"].clone();
            }
            *old = new;
        }
        None => list.push(new),
    }
}

fn status_mut(definition: &mut Value) -> &mut Map {
    let map = definition.as_object_mut().expect("definitions are objects: decoded as such");
    let status = map.entry("status").or_insert_with(|| json!({}));
    if !status.is_object() {
        *status = json!({});
    }
    status.as_object_mut().expect("made an object above")
}

/// Names that other definitions of the group have been given.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    resources: BTreeSet<String>,
    kinds: BTreeSet<String>,
}

impl Taken {
    /// Collects the accepted names of definitions of one group.
    pub fn by<'v>(definitions: impl Iterator<Item = &'v Names>) -> Self {
        let mut taken = Self::default();
        for names in definitions {
            taken.resources.extend([names.plural.clone(), names.singular.clone()]);
            taken.resources.extend(names.short_names.iter().cloned());
            taken.kinds.extend([names.kind.clone(), names.list_kind.clone()]);
        }
        taken
    }
}

/// The definition with the names that it may have, and conditions that say so. `None` if it says so.
pub fn name(definition: &Value, taken: &Taken) -> Option<Value> {
    let wanted = Names::read(definition.pointer("/spec/names"));
    let held = Names::read(definition.pointer("/status/acceptedNames"));
    if wanted == held && find(definition, "NamesAccepted").is_some() {
        return None;
    }
    let (accepted, condition) = accept(&wanted, &held, taken);
    let is_same = |old: &Value| {
        old.text("status") == condition.status
            && old.text("reason") == condition.reason
            && old.text("message") == condition.message
    };
    if accepted == held && find(definition, "NamesAccepted").is_some_and(is_same) {
        return None;
    }
    let mut new = definition.clone();
    status_mut(&mut new).insert("acceptedNames".into(), names_value(&accepted));
    set(&mut new, &condition);
    if !is_true(definition, "Established") {
        set(
            &mut new,
            &match condition.status {
                "True" => Condition::new("Established", false, "Installing", "the initial names have been accepted"),
                _ => Condition::new("Established", false, "NotAccepted", "not all names are accepted"),
            },
        );
    }
    Some(new)
}

fn accept(wanted: &Names, held: &Names, taken: &Taken) -> (Names, Condition) {
    let mut accepted = held.clone();
    let mut condition = Condition::new("NamesAccepted", true, "NoConflicts", "no conflicts found");
    let in_use = |name: &str| format!("{name:?} is already in use");
    let mut single = |wanted: &str, held: &mut String, taken: &BTreeSet<String>, reason: &'static str| match wanted
        != held
        && taken.contains(wanted)
    {
        true => condition = Condition::new("NamesAccepted", false, reason, in_use(wanted)),
        false => *held = wanted.to_owned(),
    };
    single(&wanted.plural, &mut accepted.plural, &taken.resources, "PluralConflict");
    single(&wanted.singular, &mut accepted.singular, &taken.resources, "SingularConflict");
    if wanted.short_names != held.short_names {
        let is_free = |name: &&String| !held.short_names.contains(name) && taken.resources.contains(*name);
        let conflicts: Vec<String> = wanted.short_names.iter().filter(is_free).map(|name| in_use(name)).collect();
        match conflicts.as_slice() {
            [] => accepted.short_names = wanted.short_names.clone(),
            [one] => condition = Condition::new("NamesAccepted", false, "ShortNamesConflict", one.clone()),
            many => {
                let all = format!("[{}]", many.join(", "));
                condition = Condition::new("NamesAccepted", false, "ShortNamesConflict", all);
            }
        }
    }
    let mut single =
        |wanted: &str, held: &mut String, reason: &'static str| match wanted != held && taken.kinds.contains(wanted) {
            true => condition = Condition::new("NamesAccepted", false, reason, in_use(wanted)),
            false => *held = wanted.to_owned(),
        };
    single(&wanted.kind, &mut accepted.kind, "KindConflict");
    single(&wanted.list_kind, &mut accepted.list_kind, "ListKindConflict");
    accepted.categories = wanted.categories.clone();
    (accepted, condition)
}

fn names_value(names: &Names) -> Value {
    let mut value = json!({"plural": names.plural, "kind": names.kind});
    for (key, text) in [("singular", &names.singular), ("listKind", &names.list_kind)] {
        if !text.is_empty() {
            value[key] = text.as_str().into();
        }
    }
    for (key, list) in [("shortNames", &names.short_names), ("categories", &names.categories)] {
        if !list.is_empty() {
            value[key] = json!(list);
        }
    }
    value
}

/// The definition with `Established`, once what it defines is served.
pub fn establish(definition: &Value) -> Option<Value> {
    if !is_true(definition, "NamesAccepted") || is_true(definition, "Established") {
        return None;
    }
    let mut new = definition.clone();
    set(&mut new, &Condition::new("Established", true, "InitialNamesAccepted", "the initial names have been accepted"));
    Some(new)
}

/// The definition with the conditions that follow from its spec and annotations.
pub fn judge(definition: &Value) -> Option<Value> {
    let mut new = definition.clone();
    match (violations(definition), find(definition, "NonStructuralSchema")) {
        (Some(condition), _) => set(&mut new, &condition),
        (None, Some(_)) => remove(&mut new, "NonStructuralSchema"),
        (None, None) => {}
    }
    if let Some(condition) = approval(definition) {
        set(&mut new, &condition);
    }
    (new != *definition).then_some(new)
}

fn remove(definition: &mut Value, kind: &str) {
    if let Some(list) = status_mut(definition).get_mut("conditions").and_then(Value::as_array_mut) {
        list.retain(|condition| condition.text("type") != kind);
    }
}

fn violations(definition: &Value) -> Option<Condition> {
    let errors = checks::structural_errors(definition);
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let message = match texts.as_slice() {
        [] => return None,
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    };
    Some(Condition::new("NonStructuralSchema", true, "Violations", message))
}

/// Whether a group belongs to the Kubernetes project.
pub fn is_protected(group: &str) -> bool {
    ["k8s.io", "kubernetes.io"].iter().any(|domain| group == *domain || group.ends_with(&format!(".{domain}")))
}

/// What the approval annotation says, with the message about it; `None` for groups that need none.
pub fn approval(definition: &Value) -> Option<Condition> {
    if !is_protected(definition.pointer("/spec/group").and_then(Value::as_str).unwrap_or_default()) {
        return None;
    }
    let annotation = definition.metadata().and_then(|m| m.at("annotations")).map_or("", |a| a.text(APPROVED));
    let is_url = annotation.split_once("://").is_some_and(|(scheme, rest)| {
        !scheme.is_empty()
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric())
            && !rest.split('/').next().unwrap_or_default().is_empty()
    });
    let of = |is_true, reason, message: String| {
        Condition::new("KubernetesAPIApprovalPolicyConformant", is_true, reason, message)
    };
    Some(match annotation {
        "" => of(
            false,
            "MissingAnnotation",
            format!("protected groups must have approval annotation {APPROVED:?}, see {PROPOSAL}"),
        ),
        text if text.starts_with("unapproved") => of(false, "UnapprovedAnnotation", format!("not approved: {text:?}")),
        text if is_url => of(true, "ApprovedAnnotation", format!("approved in {text}")),
        _ => of(
            false,
            "InvalidAnnotation",
            format!(
                "protected groups must have approval annotation {APPROVED:?} with either a URL or a reason starting with \"unapproved\", see {PROPOSAL}"
            ),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(plural: &str, short: &str) -> Value {
        json!({"metadata": {"name": plural}, "spec": {"group": "g.io", "names": {"plural": plural, "singular": "foo",
            "kind": "Foo", "listKind": "FooList", "shortNames": [short]}}, "status": {}})
    }

    fn condition(definition: &Value, kind: &str) -> (String, String, String) {
        let found = find(definition, kind).expect(kind);
        (found.text("status").into(), found.text("reason").into(), found.text("message").into())
    }

    fn texts(status: &str, reason: &str, message: &str) -> (String, String, String) {
        (status.into(), reason.into(), message.into())
    }

    #[test]
    fn names_are_accepted_once() {
        let named = name(&definition("foos", "f"), &Taken::default()).expect("a change");
        assert_eq!(named.pointer("/status/acceptedNames"), named.pointer("/spec/names"));
        assert_eq!(condition(&named, "NamesAccepted"), texts("True", "NoConflicts", "no conflicts found"));
        assert_eq!(
            condition(&named, "Established"),
            texts("False", "Installing", "the initial names have been accepted")
        );
        assert!(name(&named, &Taken::default()).is_none());
        let established = establish(&named).expect("a change");
        assert_eq!(
            condition(&established, "Established"),
            texts("True", "InitialNamesAccepted", "the initial names have been accepted")
        );
        assert!(establish(&established).is_none());
    }

    #[test]
    fn conflicts_are_named() {
        let other =
            Names { plural: "bars".into(), kind: "Bar".into(), short_names: vec!["f".into()], ..Names::default() };
        let taken = Taken::by([&other].into_iter());
        let named = name(&definition("foos", "f"), &taken).expect("a change");
        assert_eq!(condition(&named, "NamesAccepted"), texts("False", "ShortNamesConflict", "\"f\" is already in use"));
        assert_eq!(condition(&named, "Established"), texts("False", "NotAccepted", "not all names are accepted"));
        assert_eq!(named["status"]["acceptedNames"]["shortNames"], Value::Null);
        assert!(establish(&named).is_none() && name(&named, &taken).is_none());
        let plural = name(&definition("bars", "x"), &taken).expect("a change");
        assert_eq!(condition(&plural, "NamesAccepted").1, "PluralConflict");
    }

    #[test]
    fn protected_groups_want_approval() {
        let with = |group: &str, annotation: &str| json!({"metadata": {"annotations": {APPROVED: annotation}}, "spec": {"group": group}});
        assert_eq!(approval(&with("g.io", "")), None);
        for (annotation, status, reason) in [
            ("", "False", "MissingAnnotation"),
            ("unapproved, testing", "False", "UnapprovedAnnotation"),
            ("https://github.com/kubernetes/kubernetes/pull/1", "True", "ApprovedAnnotation"),
            ("yes", "False", "InvalidAnnotation"),
        ] {
            let found = approval(&with("x.k8s.io", annotation)).expect("protected");
            assert_eq!((found.status, found.reason), (status, reason), "{annotation}");
        }
    }
}
