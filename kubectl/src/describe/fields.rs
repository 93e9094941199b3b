//! Objects of any kind, field by field, with titles made of the keys.

use super::sections::{Sections, shown};
use apimachinery::meta::ObjectMeta;
use apimachinery::{Map, Value};

/// What stands at the top already, or is of no interest.
const SKIPPED: [&str; 5] =
    [".metadata.managedFields", ".metadata.name", ".metadata.namespace", ".metadata.labels", ".metadata.annotations"];

pub(super) fn write(out: &mut Sections, object: &Value) {
    out.field(0, "Name", object.name());
    out.field(0, "Namespace", object.namespace());
    out.labels("Labels", object.labels());
    out.annotations("Annotations", object.annotations());
    if let Some(members) = object.as_object() {
        tree(out, 0, members, "");
    }
}

fn tree(out: &mut Sections, level: usize, members: &Map, place: &str) {
    for (key, value) in members {
        let place = format!("{place}.{key}");
        if SKIPPED.contains(&place.as_str()) {
            continue;
        }
        match value {
            Value::Object(members) => {
                out.line(level, format_args!("{}:", title(key)));
                tree(out, level + 1, members, &place);
            }
            Value::Array(list) => {
                out.line(level, format_args!("{}:", title(key)));
                for item in list {
                    match item {
                        Value::Object(members) => tree(out, level + 1, members, &place),
                        other => out.line(level + 1, shown(other)),
                    }
                }
            }
            other => out.field(level, &title(key), shown(other)),
        }
    }
}

/// `podIP` → `Pod IP`. A key with other things than letters and dashes stays as it is.
fn title(key: &str) -> String {
    if key.chars().any(|c| !c.is_alphabetic() && c != '-') {
        return key.to_owned();
    }
    let words = merged(words(key));
    words.iter().map(|word| capitalized(word)).collect::<Vec<_>>().join(" ")
}

/// Runs of lower case with the capital before them, of capitals, and of others.
fn words(key: &str) -> Vec<String> {
    let class = |c: char| (c.is_lowercase(), c.is_uppercase());
    let mut runs: Vec<Vec<char>> = Vec::new();
    for c in key.chars() {
        match runs.last_mut().filter(|run| run.last().is_some_and(|last| class(*last) == class(c))) {
            Some(run) => run.push(c),
            None => runs.push(vec![c]),
        }
    }
    for i in 1..runs.len() {
        if runs[i - 1].first().is_some_and(|c| c.is_uppercase()) && runs[i].first().is_some_and(|c| c.is_lowercase()) {
            let capital = runs[i - 1].pop();
            runs[i].splice(0..0, capital);
        }
    }
    runs.into_iter().filter(|run| !run.is_empty()).map(String::from_iter).collect()
}

/// Two or more capitals stay with a capitalized word behind them: `IPs`.
fn merged(words: Vec<String>) -> Vec<String> {
    let mut merged: Vec<String> = Vec::new();
    let mut words = words.into_iter().peekable();
    while let Some(mut word) = words.next() {
        let all_capitals = word.len() >= 2 && word.chars().all(|c| !c.is_alphabetic() || c.is_uppercase());
        if all_capitals && let Some(next) = words.next_if(|next| next.starts_with(|c: char| c.is_ascii_uppercase())) {
            word.push_str(&next);
        }
        merged.push(word);
    }
    merged
}

fn capitalized(word: &str) -> String {
    let upper = word.to_uppercase();
    if ["API", "URL", "UID", "GUID"].contains(&upper.as_str()) {
        return upper;
    }
    let mut letters = word.chars();
    match letters.next() {
        Some(first) if word.to_lowercase() == word => first.to_uppercase().chain(letters).collect(),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use serde_json::json;

    #[test]
    fn titles() {
        for (key, want) in [
            ("podIP", "Pod IP"),
            ("replicas", "Replicas"),
            ("clusterIPs", "Cluster I Ps"),
            ("apiVersion", "API Version"),
            ("uid", "UID"),
            ("maxUnavailable", "Max Unavailable"),
            ("HTTPServer", "HTTPServer"),
            ("v1beta1", "v1beta1"),
            ("a.b/c", "a.b/c"),
            ("foo-bar", "Foo - Bar"),
            ("URLs", "URLs"),
        ] {
            assert_eq!(super::title(key), want, "{key}");
        }
    }

    #[test]
    fn any_object() {
        let object = json!({"apiVersion": "a/v1", "kind": "K", "metadata": {"name": "x", "uid": "u", "managedFields": []},
            "spec": {"replicas": 1, "list": [{"a": "b"}, 2, [3, "c"]], "none": null, "half": 0.5}});
        let mut out = Sections::new(Timestamp::UNIX_EPOCH);
        write(&mut out, &object);
        let lines = [
            "Name:         x",
            "Namespace:    ",
            "Labels:       <none>",
            "Annotations:  <none>",
            "API Version:  a/v1",
            "Kind:         K",
            "Metadata:",
            "  UID:  u",
            "Spec:",
            "  Half:  0.5",
            "  List:",
            "    A:  b",
            "    2",
            "    [3 c]",
            "  None:      <nil>",
            "  Replicas:  1",
            "",
        ];
        assert_eq!(out.aligned(), lines.join("\n"));
    }
}
