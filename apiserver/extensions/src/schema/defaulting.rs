//! Defaults, and the `null`s that stand for absence.
//!
//! Upstream: `apiextensions-apiserver/pkg/apiserver/schema/defaulting`.

use super::{Additional, Node};
use apimachinery::Value;

/// Drops members that are `null` though their schema neither allows that nor has a default.
pub fn prune_nulls(node: &Node, value: &mut Value) {
    match value {
        Value::Object(map) => map.retain(|key, value| match node.member(key) {
            Some(member) if value.is_null() => member.nullable || member.default.is_some(),
            Some(member) => {
                prune_nulls(member, value);
                true
            }
            None => true,
        }),
        Value::Array(list) => {
            let Some(items) = &node.items else { return };
            list.iter_mut().for_each(|value| prune_nulls(items, value));
        }
        _ => {}
    }
}

/// Fills in defaults, where members are absent or `null` without being allowed to.
pub fn default(node: &Node, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, property) in &node.properties {
                let Some(default) = &property.default else { continue };
                if map.get(&**key).is_none_or(|value| value.is_null() && !property.nullable) {
                    map.insert(key.to_string(), default.clone());
                }
            }
            for (key, value) in map.iter_mut() {
                match (node.properties.get(key.as_str()), &node.additional) {
                    (Some(property), _) => default(property, value),
                    (None, Additional::Schema(values)) => replace_null(values, value),
                    (None, _) => {}
                }
            }
        }
        Value::Array(list) => {
            let Some(items) = &node.items else { return };
            list.iter_mut().for_each(|value| replace_null(items, value));
        }
        _ => {}
    }
}

fn replace_null(node: &Node, value: &mut Value) {
    if let (true, false, Some(default)) = (value.is_null(), node.nullable, &node.default) {
        *value = default.clone();
    }
    default(node, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::node;
    use serde_json::json;

    #[test]
    fn nulls_and_defaults() {
        let node = node(json!({"type": "object", "properties": {
            "plain": {"type": "string"}, "nullable": {"type": "string", "nullable": true},
            "given": {"type": "string", "default": "d"}, "both": {"type": "string", "nullable": true, "default": "b"},
            "deep": {"type": "object", "properties": {"a": {"type": "integer", "default": 1}}},
            "made": {"type": "object", "default": {}, "properties": {"a": {"type": "integer", "default": 1}}},
            "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "integer", "default": 1}}}},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {"default": 1}}}},
        }}));
        for (given, want) in [
            (json!({}), json!({"given": "d", "both": "b", "made": {"a": 1}})),
            (
                json!({"plain": null, "nullable": null, "given": null, "both": null, "deep": {}, "made": {"a": 2}}),
                json!({"nullable": null, "given": "d", "both": null, "deep": {"a": 1}, "made": {"a": 2}}),
            ),
            (
                json!({"given": "x", "both": "y", "made": {}, "list": [{}, 3], "map": {"k": {}, "n": null}, "other": null}),
                json!({"given": "x", "both": "y", "made": {"a": 1}, "list": [{"a": 1}, 3], "map": {"k": {"a": 1}}, "other": null}),
            ),
        ] {
            let mut value = given;
            prune_nulls(&node, &mut value);
            default(&node, &mut value);
            assert_eq!(value, want);
        }
    }
}
