//! Field sets as `fieldsV1` has them, and questions that need no decoding.
//!
//! Upstream: `structured-merge-diff/fieldpath/serialize.go`.

use super::element::{Element, ElementError};
use super::set::{FieldSet, Node};
use apimachinery::{Map, Value};

/// Stands for the path itself where something is below it, too.
const SELF: &str = ".";

/// The tree of `fieldsV1`.
pub fn encode(set: &FieldSet) -> Value {
    Value::Object(members(set))
}

fn members(set: &FieldSet) -> Map {
    set.nodes().iter().map(|node| (node.element.text(), Value::Object(member(node)))).collect()
}

fn member(node: &Node) -> Map {
    let mut map = members(&node.below);
    if node.is_member && !node.below.is_empty() {
        map.insert(SELF.to_owned(), Value::Object(Map::new()));
    }
    map
}

/// Reads the tree of `fieldsV1`; elements of types that are not known are dropped.
pub fn decode(fields: &Value) -> Result<FieldSet, ElementError> {
    let mut set = FieldSet::default();
    for (key, value) in fields.as_object().into_iter().flatten().filter(|(key, _)| *key != SELF) {
        if let Some(element) = Element::parse(key)? {
            let below = decode(value)?;
            let is_member = below.is_empty() || value.get(SELF).is_some();
            set.push(Node { element, is_member, below });
        }
    }
    Ok(set)
}

/// Whether any path of `set` is among encoded fields.
pub(super) fn touches(fields: &Value, set: &FieldSet) -> bool {
    set.nodes().iter().any(|node| {
        fields
            .get(node.element.text())
            .is_some_and(|inner| node.is_member && is_member(inner) || touches(inner, &node.below))
    })
}

/// Whether all paths of `set` are among encoded fields.
pub(super) fn covers(fields: &Value, set: &FieldSet) -> bool {
    set.nodes().iter().all(|node| {
        fields
            .get(node.element.text())
            .is_some_and(|inner| (!node.is_member || is_member(inner)) && covers(inner, &node.below))
    })
}

fn is_member(inner: &Value) -> bool {
    inner.as_object().is_some_and(|map| map.is_empty() || map.contains_key(SELF))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sample() -> Value {
        json!({"f:spec": {"f:replicas": {}, "f:ports": {".": {}, "k:{\"port\":80}": {".": {}, "f:port": {}}},
            "f:finalizers": {"v:\"a\"": {}}}})
    }

    #[test]
    fn what_is_read_is_written_again() {
        let set = decode(&sample()).expect("a set");
        assert_eq!(encode(&set), sample());
        assert_eq!(set.paths().len(), 5);
        assert_eq!(decode(&json!({"x:1": {}, "f:a": {}})).map(|set| encode(&set)), Ok(json!({"f:a": {}})));
        assert!(decode(&json!({"spec": {}})).is_err());
        assert_eq!(decode(&json!({})), Ok(FieldSet::default()));
    }

    #[test]
    fn answers_without_decoding() {
        for (path, touched) in
            [(&["spec", "replicas"][..], true), (&["spec", "ports"], true), (&["spec"], false), (&["status"], false)]
        {
            let set = FieldSet::of_fields(path);
            assert_eq!((touches(&sample(), &set), covers(&sample(), &set)), (touched, touched), "{path:?}");
        }
        let both = FieldSet::of_fields(&["spec", "replicas"]).union(FieldSet::of_fields(&["status"]));
        assert!(touches(&sample(), &both) && !covers(&sample(), &both));
    }
}
