//! Values of types that upstream knows inside only, along a table of them: pod specifications are too large for tables
//! beside their checks.
//!
//! Upstream: `pkg/apis/*/types.go`.

use super::{escaped, metadata};
use crate::tree::Tree;
use crate::validation::check::Show;
use apimachinery::Value;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::LazyLock;

/// A value and its form, such as `*@batch.SuccessPolicy`, in the words of the table.
#[derive(Clone, Copy)]
pub(in crate::validation) struct Internal<'a>(
    pub(in crate::validation) Option<&'a Value>,
    pub(in crate::validation) &'static str,
);

/// A line of the table.
struct Member {
    go: &'static str,
    json: &'static str,
    form: &'static str,
}

static TABLE: LazyLock<HashMap<&str, Vec<Member>>> = LazyLock::new(|| {
    let (mut table, mut current) = (HashMap::new(), "");
    for line in include_str!("internal.txt").lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix('@') {
            Some(name) => {
                current = name;
                table.insert(name, Vec::new());
            }
            None => {
                let mut words = line.split(' ');
                let mut word = || words.next().unwrap_or_default();
                let member = Member { go: word(), json: word(), form: word() };
                table.entry(current).or_default().push(member);
            }
        }
    }
    table
});

impl Show for Internal<'_> {
    fn show(&self) -> String {
        let mut out = String::new();
        form(&mut out, self.0, self.1, &Value::Null);
        escaped(&out)
    }
}

/// Writes a value; `parent` is what the value is a member of.
fn form(out: &mut String, value: Option<&Value>, word: &'static str, parent: &Value) {
    if let Some(name) = word.strip_prefix('@') {
        return object(out, value.unwrap_or(&Value::Null), name, parent);
    }
    match (word, value) {
        ("s", None) => out.push_str("\"\""),
        ("n", None) => out.push('0'),
        ("q", None) => out.push_str("\"0\""),
        ("f", None) => out.push_str("false"),
        (_, None) => out.push_str("null"),
        ("L", Some(selector)) => label_selector(out, selector),
        (word, Some(value)) => match (word.split_at_checked(1), word.split_at_checked(2), value) {
            (Some(("*", inner)), _, value) => form(out, Some(value), inner, parent),
            (_, Some(("[]", inner)), Value::Array(list)) => {
                between(out, b"[]", list, |out, item| form(out, Some(item), inner, &Value::Null));
            }
            (_, Some(("{}", inner)), Value::Object(map)) => between(out, b"{}", map, |out, (key, item)| {
                let _ = write!(out, "{key:?}:");
                form(out, Some(item), inner, &Value::Null);
            }),
            // Writing to a text does not fail.
            (.., value) => drop(write!(out, "{value}")),
        },
    }
}

fn between<I: IntoIterator>(out: &mut String, brackets: &[u8; 2], items: I, write: impl Fn(&mut String, I::Item)) {
    out.push(char::from(brackets[0]));
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(char::from(brackets[1]));
}

fn object(out: &mut String, value: &Value, name: &str, parent: &Value) {
    out.push('{');
    let start = out.len();
    members(out, value, name, parent);
    if out.len() > start {
        out.pop();
    }
    out.push('}');
}

/// Writes the members of a type, each with a comma behind it.
fn members(out: &mut String, value: &Value, name: &str, parent: &Value) {
    for member in TABLE.get(name).into_iter().flatten() {
        if member.form == "M" {
            metadata(out, value.at(member.json).unwrap_or(&Value::Null));
            continue;
        }
        if let Some(embedded) = member.form.strip_prefix("+@") {
            members(out, value, embedded, parent);
            continue;
        }
        let found = match member.json.strip_prefix('^') {
            Some(json) => parent.at(json),
            None => value.at(member.json),
        };
        let _ = write!(out, "{:?}:", member.go);
        form(out, found, member.form, value);
        out.push(',');
    }
}

/// Selectors of labels have names for JSON inside, too, but not in the order of texts.
fn label_selector(out: &mut String, selector: &Value) {
    let members = ["matchLabels", "matchExpressions"].into_iter().filter(|key| !selector.lacks(key));
    between(out, b"{}", members, |out, key| {
        let _ = write!(out, "{key:?}:{}", selector.at(key).unwrap_or(&Value::Null));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn all_types_of_the_table_are_there() {
        for member in TABLE.values().flatten() {
            let name = member.form.trim_start_matches(['*', '[', ']', '{', '}', '+']);
            let known = name.strip_prefix('@').map_or("snfpqLM".contains(name), |name| TABLE.contains_key(name));
            assert!(known && !member.json.is_empty(), "{} {} {}", member.go, member.json, member.form);
        }
    }

    #[test]
    fn values_are_printed_as_go_does() {
        for (value, form, want) in [
            (json!({}), "*@batch.SuccessPolicy", r#"{"Rules":null}"#),
            (
                json!({"rules": [{"succeededCount": 1}]}),
                "*@batch.SuccessPolicy",
                r#"{"Rules":[{"SucceededIndexes":null,"SucceededCount":1}]}"#,
            ),
            (json!({"hostNetwork": true}), "@core.PodOS", r#"{"Name":""}"#),
            (
                json!({"selector": {"matchLabels": {"a": "<"}}}),
                "@policy.PodDisruptionBudgetSpec",
                r#"{"MinAvailable":null,"Selector":{"matchLabels":{"a":"\u003c"}},"MaxUnavailable":null,"UnhealthyPodEvictionPolicy":null}"#,
            ),
        ] {
            assert_eq!(Internal(Some(&value), form).show(), want);
        }
        assert_eq!(Internal(None, "*@batch.SuccessPolicy").show(), "null");
        let pod = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"hostNetwork": true}});
        let shown = Internal(Some(&pod), "@core.PodTemplateSpec").show();
        assert!(shown.starts_with(r#"{"labels":{"a":"b"},"Spec":{"Volumes":null,"#), "{shown}");
        assert!(shown.contains(r#""SecurityContext":{"HostNetwork":true,"HostPID":false,"#), "{shown}");
    }
}
