//! Reading and writing [`Value`] trees without ceremony: what is absent or of another type reads
//! as empty, as upstream's zero values do.

use apimachinery::{Map, Name, Value};

/// Reads members of an object; on anything but an object, nothing is there.
pub trait Tree {
    /// A member that is present and not null.
    fn at(&self, key: &str) -> Option<&Value>;

    /// A string member; empty if absent.
    fn text(&self, key: &str) -> &str {
        self.at(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// An integer member; 0 if absent.
    fn int(&self, key: &str) -> i64 {
        self.at(key).and_then(Value::as_i64).unwrap_or_default()
    }

    /// A boolean member; false if absent.
    fn flag(&self, key: &str) -> bool {
        self.at(key).and_then(Value::as_bool).unwrap_or_default()
    }

    /// The elements of a list member.
    fn items(&self, key: &str) -> &[Value] {
        self.at(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    /// The strings of a list member.
    fn texts(&self, key: &str) -> impl Iterator<Item = &str> {
        self.items(key).iter().filter_map(Value::as_str)
    }

    /// A member that is an object.
    fn object(&self, key: &str) -> Option<&Map> {
        self.at(key).and_then(Value::as_object)
    }

    /// The entries of a member that is an object.
    fn entries(&self, key: &str) -> impl Iterator<Item = (&str, &Value)> {
        self.object(key).into_iter().flatten().map(|(k, v)| (k.as_str(), v))
    }

    /// Whether the member is there.
    fn has(&self, key: &str) -> bool {
        self.at(key).is_some()
    }

    /// Whether the member is absent, or an empty string, list or object.
    fn lacks(&self, key: &str) -> bool {
        self.at(key).is_none_or(is_empty)
    }
}

/// Whether a value is what upstream leaves out: null, zero, or without content.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

impl Tree for Value {
    fn at(&self, key: &str) -> Option<&Value> {
        self.as_object()?.at(key)
    }
}

impl Tree for Map {
    fn at(&self, key: &str) -> Option<&Value> {
        self.get(Name::of(key)).filter(|v| !v.is_null())
    }
}

/// Fills in members of an object; does nothing on anything else.
pub trait Fill {
    /// The object's members, if it is one.
    fn members(&mut self) -> Option<&mut Map>;

    /// Sets `key` if it is absent or null.
    fn fill(&mut self, key: &str, value: impl Into<Value>) {
        let Some(map) = self.members() else { return };
        if map.at(key).is_none() {
            map.insert(key.to_owned(), value.into());
        }
    }

    /// Sets `key` if it is absent, null, an empty string, or 0: upstream's zero value of a field
    /// that is no pointer.
    fn fill_zero(&mut self, key: &str, value: impl Into<Value>) {
        let Some(map) = self.members() else { return };
        if map.at(key).is_none_or(|v| is_empty(v) || v.as_i64() == Some(0)) {
            map.insert(key.to_owned(), value.into());
        }
    }

    /// A member to write to; `None` if it is absent or null.
    fn inner(&mut self, key: &str) -> Option<&mut Value> {
        self.members()?.get_mut(Name::of(key)).filter(|v| !v.is_null())
    }

    /// The elements of a list member to write to.
    fn each(&mut self, key: &str) -> &mut [Value] {
        self.inner(key).and_then(Value::as_array_mut).map(Vec::as_mut_slice).unwrap_or_default()
    }

    /// A member that is an object, made if it is absent.
    fn made(&mut self, key: &str) -> Option<&mut Value> {
        self.fill(key, Value::Object(Map::new()));
        self.inner(key)
    }
}

impl Fill for Value {
    fn members(&mut self) -> Option<&mut Map> {
        self.as_object_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_absent_reads_as_empty() {
        let tree = json!({"a": "b", "n": 3, "null": null, "list": ["x", 1], "map": {"k": "v"}});
        assert_eq!((tree.text("a"), tree.text("gone"), tree.text("n"), tree.int("n")), ("b", "", "", 3));
        assert!(!tree.has("null") && tree.lacks("null") && tree.has("list") && !tree.flag("a"));
        assert_eq!(tree.texts("list").collect::<Vec<_>>(), ["x"]);
        assert_eq!(tree.entries("map").count() + json!(7).entries("map").count(), 1);
    }

    #[test]
    fn fills_only_gaps() {
        let mut tree = json!({"a": "", "n": 0, "null": null, "b": "kept"});
        for key in ["a", "n", "null", "b", "new"] {
            tree.fill(key, "x");
        }
        assert_eq!(tree, json!({"a": "", "n": 0, "null": "x", "b": "kept", "new": "x"}));
        tree.fill_zero("a", "y");
        tree.fill_zero("n", 5);
        tree.fill_zero("b", "y");
        assert_eq!(tree, json!({"a": "y", "n": 5, "null": "x", "b": "kept", "new": "x"}));
        json!(7).fill("a", 1);
    }
}
