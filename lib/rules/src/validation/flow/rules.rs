//! Whose requests, and for what.

use super::super::check::{At, Report};
use super::super::names::{Findings, label, subdomain};
use crate::tree::Tree;
use apimachinery::Value;

const VERBS: [&str; 9] = ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];

pub(super) fn check(at: &At<'_>, rule: &Value, out: &mut Report) {
    let subjects = at.child("subjects");
    if rule.items("subjects").is_empty() {
        out.required(&subjects, "subjects must contain at least one value");
    }
    for (index, one) in rule.items("subjects").iter().enumerate() {
        subject(&subjects.index(index), one, out);
    }
    if rule.items("resourceRules").is_empty() && rule.items("nonResourceRules").is_empty() {
        out.required(at, "at least one of resourceRules and nonResourceRules has to be non-empty");
    }
    let resources = at.child("resourceRules");
    for (index, one) in rule.items("resourceRules").iter().enumerate() {
        resource_rule(&resources.index(index), one, out);
    }
    let urls = at.child("nonResourceRules");
    for (index, one) in rule.items("nonResourceRules").iter().enumerate() {
        url_rule(&urls.index(index), one, out);
    }
}

fn subject(at: &At<'_>, subject: &Value, out: &mut Report) {
    // Kind, member, and the order in which upstream looks at the members of other kinds.
    const KINDS: [(&str, &str); 3] = [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")];
    let Some((kind, own)) = KINDS.iter().find(|(kind, _)| *kind == subject.text("kind")) else {
        return out.not_supported(&at.child("kind"), subject.text("kind"), &["Group", "ServiceAccount", "User"]);
    };
    let own_at = at.child(own);
    match (subject.at(own), *kind) {
        (None, kind) => out.required(&own_at, &format!("{own} is required when subject kind is '{kind}'")),
        (Some(account), "ServiceAccount") => service_account(&own_at, account, out),
        (Some(named), _) if named.text("name").is_empty() => out.required(&own_at.child("name"), ""),
        _ => {}
    }
    for (kind, other) in KINDS.iter().filter(|(_, member)| member != own && subject.has(member)) {
        out.forbidden(&at.child(other), format!("{other} is forbidden when subject kind is not '{kind}'"));
    }
}

fn service_account(at: &At<'_>, account: &Value, out: &mut Report) {
    let name = account.text("name");
    match name {
        "" => out.required(&at.child("name"), ""),
        "*" => {}
        name => out.invalid_each(&at.child("name"), name, subdomain(name)),
    }
    match account.text("namespace") {
        "" => out.required(&at.child("namespace"), "must specify namespace for service account"),
        namespace => out.invalid_each(&at.child("namespace"), namespace, label(namespace)),
    }
}

/// A list that names things one by one, or is `*` alone; whether it names things.
fn named_or_all(at: &At<'_>, rule: &Value, key: &str, others: &str, out: &mut Report) -> bool {
    let list = rule.items(key);
    let is_all = list.iter().any(|item| item == "*");
    if is_all && list.len() > 1 {
        let detail = format!("if '*' is present, must not specify other {others}");
        out.invalid(&at.child(key), rule.at(key).unwrap_or(&Value::Null), detail);
    }
    !is_all && !list.is_empty()
}

fn verbs(at: &At<'_>, rule: &Value, out: &mut Report) {
    let at_verbs = at.child("verbs");
    if rule.items("verbs").is_empty() {
        out.required(&at_verbs, "verbs must contain at least one value");
    }
    if named_or_all(at, rule, "verbs", "verbs", out) && rule.texts("verbs").any(|verb| !VERBS.contains(&verb)) {
        out.not_supported(&at_verbs, rule.at("verbs").unwrap_or(&Value::Null), &VERBS);
    }
}

fn resource_rule(at: &At<'_>, rule: &Value, out: &mut Report) {
    verbs(at, rule, out);
    for (key, what, others) in [("apiGroups", "api group", "api groups"), ("resources", "resource", "resources")] {
        if rule.items(key).is_empty() {
            out.required(&at.child(key), &format!("resource rules must supply at least one {what}"));
        }
        named_or_all(at, rule, key, others, out);
    }
    let namespaces = at.child("namespaces");
    if rule.items("namespaces").is_empty() && !rule.flag("clusterScope") {
        let detail = "resource rules that are not cluster scoped must supply at least one namespace";
        out.required(&namespaces, detail);
    }
    if named_or_all(at, rule, "namespaces", "namespaces", out) {
        for (index, name) in rule.texts("namespaces").enumerate() {
            out.invalid_each(&namespaces.index(index), name, namespace(name));
        }
    }
}

fn namespace(name: &str) -> Findings {
    let introduced = |finding| format!("each member of this list must be '*' or a DNS-1123 label; {finding}");
    label(name).into_iter().map(introduced).collect()
}

fn url_rule(at: &At<'_>, rule: &Value, out: &mut Report) {
    verbs(at, rule, out);
    let urls = at.child("nonResourceURLs");
    if rule.items("nonResourceURLs").is_empty() {
        out.required(&urls, "nonResourceURLs must contain at least one value");
    }
    if named_or_all(at, rule, "nonResourceURLs", "non-resource URLs", out) {
        for (index, path) in rule.texts("nonResourceURLs").enumerate() {
            if let Some(finding) = url(path) {
                out.invalid(&urls.index(index), path, finding);
            }
        }
    }
}

fn url(path: &str) -> Option<&'static str> {
    let stars = path.matches('*').count();
    match path {
        "" => Some("must not be empty"),
        "/" => None,
        path if !path.starts_with('/') => Some("must start with slash"),
        path if path.contains(' ') => Some("must not contain white-space"),
        path if path.contains("//") => Some("must not contain double slash"),
        path if stars > 1 || stars == 1 && !path.ends_with("/*") => Some("wildcard can only do suffix matching"),
        _ => None,
    }
}
