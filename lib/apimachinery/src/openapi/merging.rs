//! Documents of version 2 of several servers as one.
//!
//! Upstream: `kube-openapi/pkg/aggregator`.

use crate::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

const PREFIX: &str = "#/definitions/";
const KINDS: &str = "x-kubernetes-group-version-kind";

/// What of a document is about paths that are accepted: those, and the definitions that they need.
/// Definitions that no path needed before are kept.
pub fn filter_paths(document: &Value, accept: impl Fn(&str) -> bool) -> Value {
    let nothing = Map::new();
    let of = |member: &str| document.get(member).and_then(Value::as_object).unwrap_or(&nothing);
    let (paths, definitions) = (of("paths"), of("definitions"));
    let kept: Map =
        paths.iter().filter(|(path, _)| accept(path)).map(|(path, item)| (path.clone(), item.clone())).collect();
    let (before, after) = (reached(paths, definitions), reached(&kept, definitions));
    let is_needed = |name: &str| after.contains(name) || !before.contains(name);
    let definitions: Map = definitions
        .iter()
        .filter(|(name, _)| is_needed(name))
        .map(|(name, schema)| (name.clone(), schema.clone()))
        .collect();
    let mut filtered = Map::new();
    filtered.insert("paths".into(), kept.into());
    filtered.insert("definitions".into(), definitions.into());
    filtered.into()
}

/// Adds another document's paths and definitions. Paths that are there stay as they are; definitions
/// of the same name and another content get other names.
pub fn merge(into: &mut Value, other: &Value) {
    let has = |path: &str| into.get("paths").and_then(|paths| paths.get(path)).is_some();
    let mut other = filter_paths(other, |path| !has(path));
    if other["paths"].as_object().is_none_or(Map::is_empty) {
        return;
    }
    let renames = renames(into, &other);
    if !renames.is_empty() {
        rename(&mut other, &renames);
    }
    let Value::Object(mut other) = other else { return };
    let Some(into) = into.as_object_mut() else { return };
    for member in ["definitions", "paths"] {
        let Some(Value::Object(added)) = other.remove(member) else { continue };
        let all = into.entry(member).or_insert_with(|| Map::new().into());
        let Some(all) = all.as_object_mut() else { continue };
        for (name, value) in added {
            match all.get_mut(&name) {
                Some(there) => add_kinds(there, &value),
                None => drop(all.insert(name, value)),
            }
        }
    }
}

/// The definitions that are reached from paths.
fn reached(paths: &Map, definitions: &Map) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut pending: Vec<&Value> = paths.values().collect();
    while let Some(value) = pending.pop() {
        match value {
            Value::Object(members) => {
                if let Some(name) = members.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix(PREFIX))
                    && names.insert(name.to_owned())
                {
                    pending.extend(definitions.get(name));
                }
                pending.extend(members.values());
            }
            Value::Array(items) => pending.extend(items),
            _ => {}
        }
    }
    names
}

/// New names of definitions that are there with another content.
fn renames(into: &Value, other: &Value) -> BTreeMap<String, String> {
    let nothing = Map::new();
    let of = |document: &'_ Value| document.get("definitions").and_then(Value::as_object).cloned();
    let (there, added) = (of(into).unwrap_or_default(), other["definitions"].as_object().unwrap_or(&nothing));
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for (name, schema) in added {
        if there.get(name).is_none_or(|existing| is_same(existing, schema)) {
            continue;
        }
        let numbered = (2..).map(|number: usize| format!("{name}_v{number}"));
        let is_fit = |new: &String| match there.get(new) {
            // What was renamed before is used again.
            Some(existing) => is_same(existing, schema),
            None => !added.contains_key(new) && !names.values().any(|taken| taken == new),
        };
        if let Some(new) = numbered.into_iter().find(is_fit) {
            names.insert(name.clone(), new);
        }
    }
    names
}

/// Whether two definitions differ at most in the kinds that they are of.
fn is_same(one: &Value, other: &Value) -> bool {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return one == other };
    let without = |members: &Map| members.len() - usize::from(members.contains_key(KINDS));
    without(one) == without(other)
        && one.iter().filter(|(name, _)| *name != KINDS).all(|(name, value)| other.get(name) == Some(value))
}

fn rename(document: &mut Value, names: &BTreeMap<String, String>) {
    let mut pending = vec![&mut *document];
    while let Some(value) = pending.pop() {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get_mut("$ref")
                    && let Some(new) = reference.strip_prefix(PREFIX).and_then(|name| names.get(name))
                {
                    *reference = format!("{PREFIX}{new}");
                }
                pending.extend(members.values_mut());
            }
            Value::Array(items) => pending.extend(items),
            _ => {}
        }
    }
    if let Some(definitions) = document["definitions"].as_object_mut() {
        for (name, new) in names {
            if let Some(schema) = definitions.remove(name) {
                definitions.insert(new.clone(), schema);
            }
        }
    }
}

/// Adds the kinds of another definition of the same content.
fn add_kinds(there: &mut Value, other: &Value) {
    let Some(added) = other.get(KINDS).and_then(Value::as_array) else { return };
    let Some(members) = there.as_object_mut() else { return };
    let kinds = members.entry(KINDS).or_insert_with(|| Value::Array(Vec::new()));
    if let Some(kinds) = kinds.as_array_mut() {
        for kind in added {
            if !kinds.contains(kind) {
                kinds.push(kind.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn path(definition: &str) -> Value {
        json!({"get": {"responses": {"200": {"schema": {"$ref": format!("{PREFIX}{definition}")}}}}})
    }

    #[test]
    fn only_what_paths_need_is_left() {
        let document = json!({
            "swagger": "2.0", "paths": {"/apis/a/v1/": path("A"), "/apis/b/v1/": path("B")},
            "definitions": {"A": {"properties": {"c": {"$ref": "#/definitions/C"}}}, "B": {}, "C": {}, "Unused": {}},
        });
        let filtered = filter_paths(&document, |path| path.starts_with("/apis/a/"));
        let names = |member: &str| filtered[member].as_object().expect("members").keys().cloned().collect::<Vec<_>>();
        assert_eq!(
            (names("paths"), names("definitions")),
            (vec!["/apis/a/v1/".into()], vec!["A".into(), "C".into(), "Unused".into()])
        );
        assert_eq!(filter_paths(&json!({}), |_| true), json!({"paths": {}, "definitions": {}}));
    }

    #[test]
    fn documents_become_one() {
        let mut document = json!({
            "swagger": "2.0", "paths": {"/api/": path("Meta"), "/apis/a/": path("Meta")},
            "definitions": {"Meta": {"type": "object", KINDS: [{"kind": "Meta", "group": ""}]}},
        });
        let other = json!({
            "paths": {"/apis/a/": path("Other"), "/apis/b/": path("Meta"), "/apis/c/": path("New")},
            "definitions": {
                "Meta": {"type": "object", KINDS: [{"kind": "Meta", "group": "b"}]}, "Other": {},
                "New": {"items": {"$ref": "#/definitions/Meta"}},
            },
        });
        merge(&mut document, &other);
        assert_eq!(document["paths"]["/apis/a/"], path("Meta"), "what is there stays");
        assert_eq!((&document["paths"]["/apis/b/"], &document["swagger"]), (&path("Meta"), &json!("2.0")));
        assert_eq!(document["definitions"]["Meta"][KINDS].as_array().map(Vec::len), Some(2));
        assert_eq!(document["definitions"].as_object().map(Map::len), Some(2), "what no path needs is not taken");

        let odd = json!({
            "paths": {"/apis/d/": path("New"), "/apis/e/": path("Meta")},
            "definitions": {"Meta": {"type": "string"}, "New": {"items": {"$ref": "#/definitions/Meta"}}},
        });
        merge(&mut document, &odd);
        assert_eq!(document["paths"]["/apis/e/"], path("Meta_v2"));
        assert_eq!(document["definitions"]["Meta_v2"], json!({"type": "string"}));
        let again = json!({"paths": {"/apis/f/": path("Meta")}, "definitions": {"Meta": {"type": "string"}}});
        merge(&mut document, &again);
        assert_eq!(document["paths"]["/apis/f/"], path("Meta_v2"), "a renamed one is used again");
        let third = json!({"paths": {"/apis/g/": path("Meta")}, "definitions": {"Meta": {"type": "integer"}}});
        merge(&mut document, &third);
        assert_eq!(document["paths"]["/apis/g/"], path("Meta_v3"));
        merge(&mut document, &json!({"paths": null}));
    }
}
