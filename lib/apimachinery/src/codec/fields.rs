//! `fieldsV1` as upstream writes it: list elements stand in the order of what tells them apart, so that
//! port 80 comes before port 443. A tree knows only the order of texts.
//!
//! Upstream: `structured-merge-diff/fieldpath/{element,serialize}.go`, `.../value/value.go`.

use crate::Value;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use std::cmp::Ordering;

/// The tree of `fieldsV1`, to be written.
#[derive(Clone, Copy, Debug)]
pub struct FieldsV1<'a>(pub &'a Value);

/// `metadata.managedFields`, to be written.
#[derive(Clone, Copy, Debug)]
pub struct ManagedFields<'a>(pub &'a Value);

impl Serialize for ManagedFields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Value::Array(entries) = self.0 else { return self.0.serialize(serializer) };
        let mut list = serializer.serialize_seq(Some(entries.len()))?;
        entries.iter().try_for_each(|entry| list.serialize_element(&Entry(entry)))?;
        list.end()
    }
}

/// An entry of `managedFields`.
struct Entry<'a>(&'a Value);

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Value::Object(members) = self.0 else { return self.0.serialize(serializer) };
        let mut map = serializer.serialize_map(Some(members.len()))?;
        for (name, value) in members {
            match name.as_str() {
                "fieldsV1" => map.serialize_entry(name, &FieldsV1(value))?,
                _ => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }
}

impl Serialize for FieldsV1<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Value::Object(members) = self.0 else { return self.0.serialize(serializer) };
        let mut map = serializer.serialize_map(Some(members.len()))?;
        let is_element = |name: &&String| !name.starts_with("f:") && *name != ".";
        if members.keys().filter(is_element).nth(1).is_none() {
            members.iter().try_for_each(|(name, value)| map.serialize_entry(name, &FieldsV1(value)))?;
            return map.end();
        }
        let mut sorted: Vec<(Step, &String, &Value)> =
            members.iter().map(|(name, value)| (Step::of(name), name, value)).collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp(b.1)));
        sorted.into_iter().try_for_each(|(_, name, value)| map.serialize_entry(name, &FieldsV1(value)))?;
        map.end()
    }
}

/// A key of the tree. The order of the variants is that of the keys.
#[derive(Debug, PartialEq)]
enum Step {
    /// The field itself, a member, or what a later version may know.
    Name,
    Key(Value),
    Value(Value),
    Index(i64),
}

impl Step {
    fn of(key: &str) -> Self {
        let parsed = |text: &str| serde_json::from_str(text).ok();
        let step = match key.split_at_checked(2) {
            Some(("k:", text)) => parsed(text).map(Self::Key),
            Some(("v:", text)) => parsed(text).map(Self::Value),
            Some(("i:", text)) => text.parse().ok().map(Self::Index),
            _ => None,
        };
        step.unwrap_or(Self::Name)
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Name => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }

    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Key(a), Self::Key(b)) => keys(a, b),
            (Self::Value(a), Self::Value(b)) => values(a, b),
            (Self::Index(a), Self::Index(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

/// Members one by one: names, then values.
fn keys(a: &Value, b: &Value) -> Ordering {
    let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else { return values(a, b) };
    let unequal = a.iter().zip(b).map(|(a, b)| a.0.cmp(b.0).then_with(|| values(a.1, b.1))).find(|o| o.is_ne());
    unequal.unwrap_or_else(|| a.len().cmp(&b.len()))
}

/// Upstream's order of values: numbers, texts, bools, lists, maps, null.
fn values(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => a.as_f64().unwrap_or_default().total_cmp(&b.as_f64().unwrap_or_default()),
        },
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn elements_stand_in_upstreams_order() {
        let tree = json!({"f:ports": {".": {}, "k:{\"containerPort\":443,\"protocol\":\"TCP\"}": {"f:name": {}},
            "k:{\"containerPort\":80,\"protocol\":\"UDP\"}": {}, "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {}},
            "f:set": {"v:10": {}, "v:9": {}, "v:\"a\"": {}, "v:true": {}, "v:null": {}, "i:11": {}, "i:2": {}}});
        let written = serde_json::to_string(&FieldsV1(&tree)).expect("JSON");
        assert_eq!(
            written,
            r#"{"f:ports":{".":{},"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{},"k:{\"containerPort\":80,\"protocol\":\"UDP\"}":{},"k:{\"containerPort\":443,\"protocol\":\"TCP\"}":{"f:name":{}}},"f:set":{"v:9":{},"v:10":{},"v:\"a\"":{},"v:true":{},"v:null":{},"i:2":{},"i:11":{}}}"#
        );
        assert_eq!(serde_json::from_str::<Value>(&written).expect("JSON"), tree);
        let managed = json!([{"manager": "m", "fieldsV1": tree, "operation": "Apply"}, null]);
        let text = serde_json::to_string(&ManagedFields(&managed)).expect("JSON");
        assert!(text.starts_with("[{\"fieldsV1\":{\"f:ports\"") && text.contains("\"v:9\":{},\"v:10\""), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), managed);
    }
}
