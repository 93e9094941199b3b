//! `x-kubernetes-list-type`: the elements of sets and maps are unique.
//!
//! Upstream: `apiextensions-apiserver/pkg/apiserver/schema/listtype`.

use super::{ListType, Node};
use apimachinery::field::FieldError;
use apimachinery::{Map, Value};
use rules::validation::check::{At, Report};
use std::collections::HashMap;

/// What is wrong with the lists of an object.
pub fn check(node: &Node, object: &Value) -> Vec<FieldError> {
    let mut out = Report::default();
    for (key, value) in object.as_object().into_iter().flatten() {
        if let Some(member) = node.properties.get(key.as_str()) {
            visit(member, value, &At::root(key), &mut out);
        }
    }
    out.finish()
}

fn visit(node: &Node, value: &Value, at: &At<'_>, out: &mut Report) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match (node.properties.get(key.as_str()), node.member(key)) {
                    (Some(property), _) => visit(property, value, &at.child(key), out),
                    (None, Some(values)) => visit(values, value, &at.key(key), out),
                    (None, None) => {}
                }
            }
        }
        Value::Array(list) => {
            match node.extensions.list_type {
                ListType::Set => unique(list.iter(), at, out),
                ListType::Map => keyed(node, list, at, out),
                ListType::Atomic => {}
            }
            let Some(items) = &node.items else { return };
            list.iter().enumerate().for_each(|(index, value)| visit(items, value, &at.index(index), out));
        }
        _ => {}
    }
}

fn keyed(node: &Node, list: &[Value], at: &At<'_>, out: &mut Report) {
    if let Some((index, value)) = list.iter().enumerate().find(|(_, v)| !v.is_object() && !v.is_null()) {
        return out.invalid(&at.index(index), value, "must be an object for an array of list-type map");
    }
    let keys = &node.extensions.list_keys;
    let of = |value: &Value| {
        let present = keys.iter().filter_map(|key| Some((key.to_string(), value.get(&**key)?.clone())));
        Value::Object(present.collect::<Map>())
    };
    let parts: Vec<Value> = list.iter().map(of).collect();
    unique(parts.iter(), at, out);
}

/// Reports the first repetition of each value.
fn unique<'v>(values: impl Iterator<Item = &'v Value>, at: &At<'_>, out: &mut Report) {
    let mut seen: HashMap<String, u32> = HashMap::new();
    for (index, value) in values.enumerate() {
        let times = seen.entry(value.to_string()).or_default();
        *times += 1;
        if *times == 2 {
            out.duplicate(&at.index(index), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::node;
    use serde_json::json;

    #[test]
    fn elements_are_unique() {
        let map = |keys: Value| {
            json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys,
                "items": {"type": "object"}})
        };
        let set = json!({"type": "array", "x-kubernetes-list-type": "set"});
        let node = node(json!({"properties": {"spec": {"properties": {"set": set, "one": map(json!(["k"])),
            "two": map(json!(["a", "b"])), "deep": {"additionalProperties": set}}}}}));
        for (spec, want) in [
            (json!({"set": [1, 2, "1"], "one": [{"k": 1}, {"k": 2}, {}], "two": [{"a": 1}, {"b": 1}]}), vec![]),
            (json!({"set": [1, 2, 1, 1]}), vec!["spec.set[2]: Duplicate value: 1"]),
            (
                json!({"one": [{"k": "x", "v": 1}, {"k": "x", "v": 2}]}),
                vec![r#"spec.one[1]: Duplicate value: {"k":"x"}"#],
            ),
            (json!({"one": [{}, null]}), vec!["spec.one[1]: Duplicate value: {}"]),
            (
                json!({"one": [{}, 3]}),
                vec!["spec.one[1]: Invalid value: 3: must be an object for an array of list-type map"],
            ),
            (
                json!({"two": [{"a": 1, "b": 2}, {"a": 1, "b": 2}]}),
                vec![r#"spec.two[1]: Duplicate value: {"a":1,"b":2}"#],
            ),
            (json!({"deep": {"k": ["x", "x"]}}), vec![r#"spec.deep[k][1]: Duplicate value: "x""#]),
        ] {
            let found = check(&node, &json!({"spec": spec}));
            assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), want, "{spec}");
        }
    }
}
