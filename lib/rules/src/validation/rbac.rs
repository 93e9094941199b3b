//! Roles and bindings.
//!
//! Upstream: `pkg/apis/rbac/validation/validation.go`.

use super::check::{At, Inner, Report, same};
use super::names::{path_segment, subdomain};
use super::values::selector;
use crate::tree::Tree;
use apimachinery::Value;

const RBAC: &str = "rbac.authorization.k8s.io";

pub(super) fn role(role: &Value, out: &mut Report) {
    rules(role, true, out);
}

pub(super) fn cluster_role(role: &Value, out: &mut Report) {
    rules(role, false, out);
    let aggregation = At::root("aggregationRule");
    let at = aggregation.child("clusterRoleSelectors");
    let Some(rule) = role.at("aggregationRule") else { return };
    if rule.items("clusterRoleSelectors").is_empty() {
        out.required(&at, "at least one clusterRoleSelector required if aggregationRule is non-nil");
    }
    for (index, value) in rule.items("clusterRoleSelectors").iter().enumerate() {
        let mut found = Report::default();
        selector(&at.index(index), Some(value), &mut found);
        if !found.is_empty() {
            // Upstream prints what has not come about.
            found.invalid(&at.index(index), &Value::Null, "invalid label selector.");
            out.append(found);
        }
    }
}

fn rules(role: &Value, namespaced: bool, out: &mut Report) {
    let at = At::root("rules");
    for (index, rule) in role.items("rules").iter().enumerate() {
        self::rule(&at.index(index), rule, namespaced, out);
    }
}

fn rule(at: &At<'_>, rule: &Value, namespaced: bool, out: &mut Report) {
    let has = |key: &str| !rule.items(key).is_empty();
    if !has("verbs") {
        out.required(&at.child("verbs"), "verbs must contain at least one value");
    }
    if has("nonResourceURLs") {
        let (at, value) = (at.child("nonResourceURLs"), rule.at("nonResourceURLs").unwrap_or(&Value::Null));
        if namespaced {
            out.invalid(&at, value, "namespaced rules cannot apply to non-resource URLs");
        }
        if has("apiGroups") || has("resources") || has("resourceNames") {
            out.invalid(&at, value, "rules cannot apply to both regular resources and non-resource URLs");
        }
        return;
    }
    if !has("apiGroups") {
        out.required(&at.child("apiGroups"), "resource rules must supply at least one api group");
    }
    if !has("resources") {
        out.required(&at.child("resources"), "resource rules must supply at least one resource");
    }
}

pub(super) fn role_binding(binding: &Value, out: &mut Report) {
    bind(binding, &["Role", "ClusterRole"], out);
}

pub(super) fn cluster_role_binding(binding: &Value, out: &mut Report) {
    bind(binding, &["ClusterRole"], out);
}

fn bind(binding: &Value, kinds: &[&str], out: &mut Report) {
    let at = At::root("roleRef");
    let role = binding.at("roleRef").unwrap_or(&Value::Null);
    if role.text("apiGroup") != RBAC {
        out.not_supported(&at.child("apiGroup"), role.text("apiGroup"), &[RBAC]);
    }
    if !kinds.contains(&role.text("kind")) {
        out.not_supported(&at.child("kind"), role.text("kind"), kinds);
    }
    match role.text("name") {
        "" => out.required(&at.child("name"), ""),
        name => out.invalid_each(&at.child("name"), name, path_segment(name)),
    }
    let at = At::root("subjects");
    for (index, subject) in binding.items("subjects").iter().enumerate() {
        self::subject(&at.index(index), subject, kinds.contains(&"Role"), out);
    }
}

/// A subject; those of a namespace's bindings are in it if they do not say where.
fn subject(at: &At<'_>, subject: &Value, namespaced: bool, out: &mut Report) {
    let (name, group) = (subject.text("name"), subject.text("apiGroup"));
    if name.is_empty() {
        out.required(&at.child("name"), "");
    }
    match subject.text("kind") {
        "ServiceAccount" => {
            if !name.is_empty() {
                out.invalid_each(&at.child("name"), name, subdomain(name));
            }
            if !group.is_empty() {
                out.not_supported(&at.child("apiGroup"), group, &[""]);
            }
            if !namespaced && subject.text("namespace").is_empty() {
                out.required(&at.child("namespace"), "");
            }
        }
        "User" | "Group" if group != RBAC => out.not_supported(&at.child("apiGroup"), group, &[RBAC]),
        "User" | "Group" => {}
        kind => out.not_supported(&at.child("kind"), kind, &["ServiceAccount", "User", "Group"]),
    }
}

pub(super) fn binding_update(new: &Value, old: &Value, out: &mut Report) {
    if !same(new.at("roleRef"), old.at("roleRef")) {
        const FIELDS: [(&str, &str, &str); 3] =
            [("APIGroup", "apiGroup", "\"\""), ("Kind", "kind", "\"\""), ("Name", "name", "\"\"")];
        let none = Value::Object(apimachinery::Map::new());
        let role = Inner(new.at("roleRef").unwrap_or(&none), &FIELDS);
        out.invalid(&At::root("roleRef"), role, "cannot change roleRef");
    }
}
