//! Roles and bindings.
//!
//! Upstream: `kubectl/pkg/cmd/create/create_{role,clusterrole,rolebinding}.go`.

use super::GenerateError;
use crate::cli::generators::{ClusterRole, Role, RoleBinding};
use crate::discovery::Discovery;
use apimachinery::Value;
use serde_json::json;
use std::collections::BTreeMap;

const RESOURCE_VERBS: &[&str] = &[
    "*",
    "get",
    "delete",
    "list",
    "create",
    "update",
    "patch",
    "watch",
    "proxy",
    "deletecollection",
    "use",
    "bind",
    "escalate",
    "impersonate",
];
const URL_VERBS: &[&str] = &["*", "get", "post", "put", "delete", "patch", "head", "options"];

/// Verbs that only some resources (group, plural) know.
const SPECIAL: &[(&str, &[(&str, &str)])] = &[
    ("use", &[("policy", "podsecuritypolicies"), ("extensions", "podsecuritypolicies")]),
    ("bind", &[("rbac.authorization.k8s.io", "roles"), ("rbac.authorization.k8s.io", "clusterroles")]),
    ("escalate", &[("rbac.authorization.k8s.io", "roles"), ("rbac.authorization.k8s.io", "clusterroles")]),
    ("impersonate", &[("", "users"), ("", "serviceaccounts"), ("", "groups"), ("authentication.k8s.io", "userextras")]),
];

/// `resource.group/subresource`.
struct Word<'a> {
    group: &'a str,
    resource: &'a str,
    subresource: &'a str,
}

impl<'a> Word<'a> {
    fn parse(text: &'a str) -> Self {
        let (place, subresource) = text.split_once('/').unwrap_or((text, ""));
        let (resource, group) = place.split_once('.').unwrap_or((place, ""));
        Word { group, resource, subresource }
    }

    /// Group and plural as the server has them, and whether it has them.
    fn known(&self, discovery: &Discovery) -> (String, String, bool) {
        let name =
            if self.group.is_empty() { self.resource.into() } else { format!("{}.{}", self.resource, self.group) };
        match discovery.find(&name) {
            Some(found) => (found.group.clone(), found.plural.clone(), true),
            None => (self.group.into(), self.resource.into(), false),
        }
    }
}

/// A role; `warn` hears of odd verbs.
pub fn role(
    name: &str,
    flags: &Role,
    discovery: &Discovery,
    warn: &mut dyn FnMut(String),
) -> Result<Value, GenerateError> {
    check_role(flags, warn)?;
    let verbs = verbs(&flags.verb);
    warn_of_verbs(&verbs, warn);
    let rules = resource_rules(&verbs, flags, discovery)?;
    Ok(
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name}, "rules": rules}),
    )
}

/// Whether a role's flags are there; types are looked up only after that.
pub fn check_role(flags: &Role, warn: &mut dyn FnMut(String)) -> Result<(), GenerateError> {
    match (flags.verb.is_empty(), flags.resource.is_empty()) {
        (true, _) => Err(GenerateError::Flags("at least one verb must be specified")),
        (false, true) => {
            // Upstream has looked at the verbs by then.
            warn_of_verbs(&verbs(&flags.verb), warn);
            Err(GenerateError::Flags("at least one resource must be specified"))
        }
        (false, false) => Ok(()),
    }
}

/// The same for a cluster role.
pub fn check_cluster_role(flags: &ClusterRole) -> Result<(), GenerateError> {
    let role = &flags.role;
    if !flags.aggregation_rule.is_empty() {
        let others = [&flags.non_resource_url, &role.verb, &role.resource, &role.resource_name];
        return match others.iter().all(|list| list.is_empty()) {
            true => Ok(()),
            false => Err(GenerateError::Flags(
                "aggregation rule must be specified without nonResourceURLs, verbs, resources or resourceNames",
            )),
        };
    }
    if role.verb.is_empty() {
        return Err(GenerateError::Flags("at least one verb must be specified"));
    }
    if role.resource.is_empty() && flags.non_resource_url.is_empty() {
        return Err(GenerateError::Flags("one of resource or nonResourceURL must be specified"));
    }
    Ok(())
}

/// A cluster role: rules over resources and URLs, or an aggregation.
pub fn cluster_role(
    name: &str,
    flags: &ClusterRole,
    discovery: &Discovery,
    warn: &mut dyn FnMut(String),
) -> Result<Value, GenerateError> {
    let mut object =
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}});
    let role = &flags.role;
    check_cluster_role(flags)?;
    if !flags.aggregation_rule.is_empty() {
        object["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": pairs(&flags.aggregation_rule)?}]});
        object["rules"] = Value::Null;
        return Ok(object);
    }
    let verbs = verbs(&role.verb);
    let mut rules = Vec::new();
    if !role.resource.is_empty() {
        warn_of_verbs(&verbs, warn);
        rules = resource_rules(&verbs, role, discovery)?;
    }
    if !flags.non_resource_url.is_empty() {
        let urls = unique(&flags.non_resource_url);
        check_urls(&verbs, &urls)?;
        rules.push(json!({"verbs": verbs, "nonResourceURLs": urls}));
    }
    object["rules"] = rules.into();
    Ok(object)
}

fn check_urls(verbs: &[String], urls: &[String]) -> Result<(), GenerateError> {
    if let Some(odd) = verbs.iter().find(|v| !URL_VERBS.contains(&v.as_str())) {
        return Err(GenerateError::Value(format!("invalid verb: '{odd}' for nonResourceURL")));
    }
    for url in urls.iter().filter(|url| *url != "*") {
        if !url.starts_with('/') {
            return Err(GenerateError::Flags("nonResourceURL should start with /"));
        }
        if url.trim_end_matches(|c| c != '*').len() < url.len() && url.contains('*')
            || url.strip_suffix('*').unwrap_or(url).contains('*')
        {
            return Err(GenerateError::Flags("nonResourceURL only supports wildcard matches when '*' is at the end"));
        }
    }
    Ok(())
}

fn warn_of_verbs(verbs: &[String], warn: &mut dyn FnMut(String)) {
    for verb in verbs.iter().filter(|v| !RESOURCE_VERBS.contains(&v.as_str())) {
        warn(format!("Warning: '{verb}' is not a standard resource verb"));
    }
}

/// Each once, or all.
fn verbs(given: &[String]) -> Vec<String> {
    if given.iter().any(|v| v == "*") { vec!["*".into()] } else { unique(given) }
}

fn unique(list: &[String]) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for item in list {
        if !seen.contains(item) {
            seen.push(item.clone());
        }
    }
    seen
}

/// One rule per group, in the order of the groups.
fn resource_rules(verbs: &[String], flags: &Role, discovery: &Discovery) -> Result<Vec<Value>, GenerateError> {
    let everything = flags.resource.iter().any(|r| r == "*");
    let words: Vec<Word<'_>> =
        if everything { vec![Word::parse("*")] } else { flags.resource.iter().map(|r| Word::parse(r)).collect() };
    check_resources(verbs, &words, discovery)?;
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for word in &words {
        let (group, mut plural, _) = word.known(discovery);
        if !word.subresource.is_empty() {
            plural = format!("{plural}/{}", word.subresource);
        }
        let list = groups.entry(group).or_default();
        if !list.contains(&plural) {
            list.push(plural);
        }
    }
    let rule = |(group, resources): (String, Vec<String>)| {
        let mut rule = json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
        if !flags.resource_name.is_empty() {
            rule["resourceNames"] = unique(&flags.resource_name).into();
        }
        rule
    };
    Ok(groups.into_iter().map(rule).collect())
}

fn check_resources(verbs: &[String], words: &[Word<'_>], discovery: &Discovery) -> Result<(), GenerateError> {
    for word in words {
        match word.resource {
            "" => return Err(GenerateError::Flags("resource must be specified if apiGroup/subresource specified")),
            "*" => return Ok(()),
            _ => {}
        }
        let (group, plural, mut known) = word.known(discovery);
        for (verb, places) in SPECIAL.iter().filter(|(verb, _)| verbs.iter().any(|v| v == verb)) {
            match places.contains(&(&*group, &*plural)) {
                true => known = true,
                false => {
                    return Err(GenerateError::Value(format!(
                        "can not perform '{verb}' on '{plural}' in group '{group}'"
                    )));
                }
            }
        }
        if !known {
            return Err(GenerateError::NoSuchType(plural, group));
        }
    }
    Ok(())
}

/// A binding of subjects to a role or a cluster role.
pub fn binding(kind: &str, name: &str, flags: &RoleBinding) -> Result<Value, GenerateError> {
    let (role_kind, role) = match (kind, flags.clusterrole.as_str(), flags.role.as_str()) {
        ("ClusterRoleBinding", "", _) => return Err(GenerateError::Flags("required flag(s) \"clusterrole\" not set")),
        ("RoleBinding", "", "") => {
            return Err(GenerateError::Flags("exactly one of clusterrole or role must be specified"));
        }
        (_, cluster, "") => ("ClusterRole", cluster),
        (_, "", role) => ("Role", role),
        _ => return Err(GenerateError::Flags("exactly one of clusterrole or role must be specified")),
    };
    let mut object = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role}});
    let subjects = subjects(&flags.user, &flags.groups, &flags.service_accounts)?;
    if !subjects.is_empty() {
        object["subjects"] = subjects.into();
    }
    Ok(object)
}

/// Users, groups and `namespace:name` accounts.
pub fn subjects(users: &[String], groups: &[String], accounts: &[String]) -> Result<Vec<Value>, GenerateError> {
    let person =
        |kind: &str, name: &String| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
    let mut subjects: Vec<Value> = users.iter().map(|name| person("User", name)).collect();
    subjects.extend(groups.iter().map(|name| person("Group", name)));
    for account in accounts {
        match account.split(':').collect::<Vec<_>>().as_slice() {
            [namespace, name] if !namespace.is_empty() && !name.is_empty() => {
                subjects.push(json!({"kind": "ServiceAccount", "name": name, "namespace": namespace}));
            }
            _ => return Err(GenerateError::Flags("serviceaccount must be <namespace>:<name>")),
        }
    }
    Ok(subjects)
}

/// `key=value` pairs.
fn pairs(list: &[String]) -> Result<BTreeMap<&str, &str>, GenerateError> {
    list.iter()
        .map(|pair| {
            pair.split_once('=').ok_or_else(|| {
                GenerateError::Value(format!(
                    "invalid argument {pair:?} for \"--aggregation-rule\" flag: malformed pair, expect string=string"
                ))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Args;
    use crate::cli::generators::Generator;
    use crate::discovery::tests::sample;
    use clap::Parser;

    fn made(line: &str) -> Result<Value, String> {
        let words = ["kubectl", "create"].into_iter().chain(line.split(' '));
        let crate::cli::Command::Create(create) = Args::parse_from(words).command else { panic!("create") };
        let mut warnings = Vec::new();
        let warn = &mut |text: String| warnings.push(text);
        match create.generator.expect("a generator") {
            Generator::Role(flags) => role("r", &flags, &sample(), warn),
            Generator::ClusterRole(flags) => cluster_role("r", &flags, &sample(), warn),
            Generator::RoleBinding(flags) => binding("RoleBinding", "b", &flags),
            _ => panic!("access"),
        }
        .map_err(|e| e.to_string())
    }

    #[test]
    fn roles_have_a_rule_per_group() {
        let role = made("role r --verb=get,list,get --resource=po,deploy/scale --resource-name=a").expect("a role");
        let rules = json!([
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"], "resourceNames": ["a"]},
            {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get", "list"], "resourceNames": ["a"]}]);
        assert_eq!(role["rules"], rules);
    }

    #[test]
    fn wrong_roles() {
        for (line, want) in [
            ("role r --resource=po", "at least one verb must be specified"),
            ("role r --verb=get", "at least one resource must be specified"),
            ("role r --verb=bind --resource=po", "can not perform 'bind' on 'pods' in group ''"),
            ("role r --verb=get --resource=foos", "the server doesn't have a resource type \"foos\""),
            ("role r --verb=get --resource=po.x", "the server doesn't have a resource type \"po\" in group \"x\""),
            ("clusterrole r --verb=get --non-resource-url=x", "nonResourceURL should start with /"),
            (
                "clusterrole r --verb=get --non-resource-url=/x/*/y",
                "nonResourceURL only supports wildcard matches when '*' is at the end",
            ),
            ("clusterrole r --verb=list --non-resource-url=/x", "invalid verb: 'list' for nonResourceURL"),
            ("rolebinding b --role=a --clusterrole=b", "exactly one of clusterrole or role must be specified"),
            ("rolebinding b --role=a --serviceaccount=x", "serviceaccount must be <namespace>:<name>"),
        ] {
            assert_eq!(made(line), Err(want.to_owned()), "{line}");
        }
        assert!(made("clusterrole r --verb=get --non-resource-url=/x/*").is_ok());
    }

    #[test]
    fn bindings_name_their_subjects() {
        let binding = made("rolebinding b --role=r --user=u --group=g --serviceaccount=n:s").expect("a binding");
        let kinds: Vec<&str> =
            binding["subjects"].as_array().into_iter().flatten().filter_map(|s| s["kind"].as_str()).collect();
        assert_eq!(kinds, ["User", "Group", "ServiceAccount"]);
    }
}
