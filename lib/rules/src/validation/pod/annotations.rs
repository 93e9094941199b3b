//! Annotations that mean something to pods: those of fields to be, and what became of them.

use super::super::check::{At, Report};
use super::kept::{Kept, Rule, all_containers};
use super::{tolerations, volumes};
use crate::tree::Tree;
use apimachinery::{Map, Value};
use serde_json::json;

/// Marks the copy of a pod that a kubelet has from elsewhere.
pub(super) const MIRROR: &str = "kubernetes.io/config.mirror";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const TOLERATIONS: &str = "scheduler.alpha.kubernetes.io/tolerations";
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
/// The container's name follows.
pub(super) const APPARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP_DEFAULTS: [&str; 2] = ["runtime/default", "docker/default"];

/// The annotations of a pod or a pod template.
pub(super) fn check(at: &At<'_>, annotations: Option<&Map>, spec: &Value, kept: Kept, out: &mut Report) {
    let Some(annotations) = annotations else { return };
    if let Some(value) = text(annotations, MIRROR)
        && spec.text("nodeName").is_empty()
    {
        out.invalid(&at.key(MIRROR), value, "must set spec.nodeName if mirror pod annotation is set");
    }
    if let Some(list) = text(annotations, TOLERATIONS).filter(|list| !list.is_empty()) {
        annotated_tolerations(at, list, kept, out);
    }
    if !kept.has(Rule::DeletionCost) && !is_deletion_cost(Some(annotations)) {
        out.invalid(&at.key(DELETION_COST), annotations.text(DELETION_COST), "must be a 32bit integer");
    }
    if let Some(profile) = text(annotations, SECCOMP_POD) {
        seccomp(&at.child(SECCOMP_POD), profile, out);
    }
    for (key, profile) in annotations {
        let profile = profile.as_str().unwrap_or_default();
        if key.starts_with(SECCOMP_CONTAINER) {
            seccomp(&at.child(key), profile, out);
        } else if let Some(container) = key.strip_prefix(APPARMOR) {
            apparmor(&at.key(key), container, profile, spec, out);
        }
    }
}

fn text<'a>(annotations: &'a Map, key: &str) -> Option<&'a str> {
    annotations.at(key).and_then(Value::as_str)
}

/// Whether the deletion cost, if there is one, is a number in its shortest form.
pub(super) fn is_deletion_cost(annotations: Option<&Map>) -> bool {
    let Some(cost) = annotations.and_then(|a| text(a, DELETION_COST)) else { return true };
    let starts = cost == "0" || cost.starts_with(|c: char| c == '-' || ('1'..='9').contains(&c));
    starts && cost.parse::<i32>().is_ok()
}

fn annotated_tolerations(at: &At<'_>, text: &str, kept: Kept, out: &mut Report) {
    match serde_json::from_str::<Option<Vec<Value>>>(text) {
        Ok(list) => tolerations::all(&at.child(TOLERATIONS), &list.unwrap_or_default(), kept, out),
        Err(error) => out.invalid(at, TOLERATIONS, error.to_string()),
    }
}

fn seccomp(at: &At<'_>, profile: &str, out: &mut Report) {
    match profile.strip_prefix("localhost/") {
        Some(path) => volumes::descending(at, path, out),
        None if profile == "unconfined" || SECCOMP_DEFAULTS.contains(&profile) => {}
        None => out.invalid(at, profile, "must be a valid seccomp profile"),
    }
}

fn apparmor(at: &At<'_>, container: &str, profile: &str, spec: &Value, out: &mut Report) {
    if !all_containers(spec).any(|(_, _, c)| c.text("name") == container) {
        out.invalid(at, container, "container not found");
    }
    let known = matches!(profile, "" | "runtime/default" | "unconfined") || profile.starts_with("localhost/");
    if !known {
        out.invalid(at, profile, format!("invalid AppArmor profile name: {profile:?}"));
    }
}

/// What an AppArmor annotation says as a field; none if it says nothing that is known. The name of a profile is not
/// checked.
///
/// Upstream: `ApparmorFieldForAnnotation` in `pkg/api/pod/util.go`.
pub fn app_armor_field(annotation: &str) -> Option<Value> {
    match annotation {
        "unconfined" => Some(json!({"type": "Unconfined"})),
        "runtime/default" => Some(json!({"type": "RuntimeDefault"})),
        other => {
            let name = other.strip_prefix("localhost/").filter(|name| !name.is_empty())?;
            Some(json!({"type": "Localhost", "localhostProfile": name}))
        }
    }
}

/// Annotations that must stay as they are.
pub(super) fn change(at: &At<'_>, new: Option<&Map>, old: Option<&Map>, out: &mut Report) {
    const FIXED: [(&str, &str); 2] = [(APPARMOR, "AppArmor annotations"), (MIRROR, "mirror pod annotation")];
    let fixed = |key: &str| {
        let is = |(start, _): &(&str, &str)| key == *start || *start == APPARMOR && key.starts_with(start);
        FIXED.into_iter().find(is).map(|(_, what)| what)
    };
    for (key, value) in old.into_iter().flatten() {
        if let Some(what) = fixed(key).filter(|_| new.and_then(|n| n.get(key)) != Some(value)) {
            out.forbidden(&at.key(key), format!("may not remove or update {what}"));
        }
    }
    for (key, _) in new.into_iter().flatten() {
        if let Some(what) = fixed(key).filter(|_| old.is_none_or(|o| !o.contains_key(key))) {
            out.forbidden(&at.key(key), format!("may not add {what}"));
        }
    }
}

/// Where there is both an annotation and the field that came after it, they must say the same.
pub(super) fn profiles_match(at: &At<'_>, annotations: Option<&Map>, spec: &Value, out: &mut Report) {
    let Some(annotations) = annotations.filter(|a| !a.is_empty()) else { return };
    let context = spec.at("securityContext");
    if let Some(profile) = context.and_then(|c| c.at("seccompProfile"))
        && let Some(annotation) = text(annotations, SECCOMP_POD)
    {
        let at = at.child("securityContext");
        matches(&at.child("seccompProfile"), "seccomp", annotation, profile, out);
    }
    container_profiles(at, ("seccompProfile", "seccomp", SECCOMP_CONTAINER), (annotations, spec, None), out);
    if spec.at("os").is_none_or(|os| os.text("name") != "windows") {
        let whole = context.and_then(|c| c.at("appArmorProfile"));
        container_profiles(at, ("appArmorProfile", "apparmor", APPARMOR), (annotations, spec, whole), out);
    }
}

/// The member's name, what messages call it, and the annotation's beginning.
type Profile = (&'static str, &'static str, &'static str);

fn container_profiles(
    at: &At<'_>,
    (member, what, prefix): Profile,
    (annotations, spec, whole): (&Map, &Value, Option<&Value>),
    out: &mut Report,
) {
    if !annotations.keys().any(|key| key.starts_with(prefix)) {
        return;
    }
    for (list, index, container) in all_containers(spec) {
        let own = container.at("securityContext").and_then(|c| c.at(member));
        let annotation = text(annotations, &format!("{prefix}{}", container.text("name")));
        if let (Some(profile), Some(annotation)) = (own.or(whole), annotation) {
            let (at, context) = (at.child(list), "securityContext");
            matches(&at.index(index).child(context).child(member), what, annotation, profile, out);
        }
    }
}

fn matches(at: &At<'_>, what: &str, annotation: &str, profile: &Value, out: &mut Report) {
    let same_type = match profile.text("type") {
        "Unconfined" => annotation == "unconfined",
        "RuntimeDefault" if what == "seccomp" => SECCOMP_DEFAULTS.contains(&annotation),
        "RuntimeDefault" => annotation == "runtime/default",
        "Localhost" => annotation.starts_with("localhost/"),
        _ => true,
    };
    if !same_type {
        return out.forbidden(&at.child("type"), format!("{what} type in annotation and field must match"));
    }
    let path = annotation.strip_prefix("localhost/").filter(|_| profile.text("type") == "Localhost");
    if path.is_some() && path != profile.at("localhostProfile").and_then(Value::as_str) {
        out.forbidden(&at.child("localhostProfile"), format!("{what} profile in annotation and field must match"));
    }
}
