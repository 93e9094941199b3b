//! Which rules others cover, and how what is left is said.

use super::super::rules::Rule;
use std::fmt::Write;

/// The parts of `wanted`, down to one verb, resource and name each, that no rule of `own` covers.
pub(super) fn uncovered(own: &[Rule], wanted: &[Rule]) -> Vec<Rule> {
    let parts = wanted.iter().flat_map(parts);
    parts.filter(|part| !own.iter().any(|rule| covers(rule, part))).collect()
}

fn parts(rule: &Rule) -> Vec<Rule> {
    let one = |text: &String| vec![text.clone()];
    let names: Vec<Vec<String>> =
        if rule.names.is_empty() { vec![Vec::new()] } else { rule.names.iter().map(one).collect() };
    let mut parts = Vec::new();
    for group in &rule.groups {
        for resource in &rule.resources {
            for verb in &rule.verbs {
                parts.extend(names.iter().map(|names| Rule {
                    verbs: one(verb),
                    groups: one(group),
                    resources: one(resource),
                    names: names.clone(),
                    paths: Vec::new(),
                }));
            }
        }
    }
    for path in &rule.paths {
        parts.extend(rule.verbs.iter().map(|verb| Rule { verbs: one(verb), paths: one(path), ..Rule::default() }));
    }
    parts
}

/// Whether a rule covers a part: what the part does not name is covered by anything.
fn covers(rule: &Rule, part: &Rule) -> bool {
    let has = |list: &[String], wanted: &String| list.iter().any(|item| item == "*" || item == wanted);
    let resource = |wanted: &String| {
        let any_of = wanted.split_once('/').map(|(_, subresource)| format!("*/{subresource}"));
        has(&rule.resources, wanted) || any_of.is_some_and(|any| rule.resources.contains(&any))
    };
    let path = |wanted: &String| {
        let matches =
            |own: &String| own == wanted || own.ends_with('*') && wanted.starts_with(own.trim_end_matches('*'));
        rule.paths.iter().any(matches)
    };
    let name = match part.names.is_empty() {
        true => rule.names.is_empty(),
        false => rule.names.is_empty() || part.names.iter().all(|n| rule.names.contains(n)),
    };
    part.verbs.iter().all(|v| has(&rule.verbs, v))
        && part.groups.iter().all(|g| has(&rule.groups, g))
        && part.resources.iter().all(resource)
        && part.paths.iter().all(path)
        && name
}

/// Joins the verbs of parts that are about the same resource and name.
pub(super) fn compact(parts: Vec<Rule>) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for part in parts {
        let same = |rule: &&mut Rule| {
            part.paths.is_empty()
                && (&rule.groups, &rule.resources, &rule.names, &rule.paths)
                    == (&part.groups, &part.resources, &part.names, &part.paths)
        };
        match rules.iter_mut().find(same) {
            Some(rule) => {
                rule.verbs.extend(part.verbs.into_iter().filter(|v| !rule.verbs.contains(v)).collect::<Vec<_>>());
            }
            None => rules.push(part),
        }
    }
    rules
}

/// `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`.
pub(super) fn describe(rule: &Rule) -> String {
    let lists = [
        ("APIGroups", &rule.groups),
        ("Resources", &rule.resources),
        ("NonResourceURLs", &rule.paths),
        ("ResourceNames", &rule.names),
        ("Verbs", &rule.verbs),
    ];
    let parts =
        lists.iter().filter(|(_, list)| !list.is_empty()).map(|(name, list)| format!("{name}:{}", quoted(list)));
    format!("{{{}}}", parts.collect::<Vec<_>>().join(", "))
}

/// `["a" "b"]`, as Go prints lists of strings.
pub(super) fn quoted(list: &[String]) -> String {
    let mut text = String::from("[");
    for (i, item) in list.iter().enumerate() {
        let space = if i == 0 { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{space}{item:?}");
    }
    text + "]"
}

#[cfg(test)]
mod tests {
    use super::super::super::rules::rule;
    use super::*;

    #[test]
    fn what_is_not_held_is_named() {
        for (own, wanted, missing) in [
            (rule("get", "core", "pods", "", ""), rule("get", "core", "pods", "", ""), &[][..]),
            (rule("*", "*", "*", "", ""), rule("get list", "apps core", "pods/log", "a", ""), &[]),
            (rule("*", "*", "*/scale", "", ""), rule("get", "apps", "deployments/scale", "", ""), &[]),
            (
                rule("*", "*", "*", "", ""),
                rule("get", "", "", "", "/healthz"),
                &[r#"{NonResourceURLs:["/healthz"], Verbs:["get"]}"#],
            ),
            (rule("get", "", "", "", "/apis/*"), rule("get", "", "", "", "/apis/apps"), &[]),
            (
                rule("get", "core", "pods", "a", ""),
                rule("get", "core", "pods", "", ""),
                &[r#"{APIGroups:[""], Resources:["pods"], Verbs:["get"]}"#],
            ),
            (
                rule("get", "core", "pods", "", ""),
                rule("get list watch", "core", "pods secrets", "", ""),
                &[
                    r#"{APIGroups:[""], Resources:["pods"], Verbs:["list" "watch"]}"#,
                    r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list" "watch"]}"#,
                ],
            ),
            (
                rule("get", "core", "pods", "", ""),
                rule("delete", "core", "pods", "a b", ""),
                &[
                    r#"{APIGroups:[""], Resources:["pods"], ResourceNames:["a"], Verbs:["delete"]}"#,
                    r#"{APIGroups:[""], Resources:["pods"], ResourceNames:["b"], Verbs:["delete"]}"#,
                ],
            ),
        ] {
            let found: Vec<String> =
                compact(uncovered(std::slice::from_ref(&own), &[wanted])).iter().map(describe).collect();
            assert_eq!(found, missing, "{own:?}");
        }
    }

    #[test]
    fn lists_are_quoted() {
        assert_eq!(quoted(&["a".into(), "b".into()]), r#"["a" "b"]"#);
        assert_eq!(quoted(&[]), "[]");
    }
}
