//! `fieldsV1` as upstream writes it: list elements stand in the order of what tells them apart, so that
//! port 80 comes before port 443. A tree knows only the order of texts.
//!
//! Where an object is about to be written, its `fieldsV1` may also be that text, as a string: it need not
//! be made again for each encoding then. [`open`] makes a tree of it for all who look at objects.
//!
//! Upstream: `structured-merge-diff/fieldpath/{element,serialize}.go`, `.../value/value.go`.

use super::json;
use crate::Value;
use crate::meta::ObjectMeta;
use std::borrow::Cow;
use std::cmp::Ordering;

const MANAGED_FIELDS: &str = "managedFields";
const FIELDS_V1: &str = "fieldsV1";

/// Makes trees of the `fieldsV1` of an object that are texts.
pub fn open(object: &mut Value) {
    if has_texts(object) {
        let list = object.metadata_mut().get_mut(MANAGED_FIELDS).and_then(Value::as_array_mut);
        for fields in list.into_iter().flatten().filter_map(|entry| entry.get_mut(FIELDS_V1)) {
            if let Value::String(text) = fields {
                *fields = serde_json::from_str(text).unwrap_or_default();
            }
        }
    }
}

/// The object with trees for the `fieldsV1` that are texts.
pub fn opened(object: &Value) -> Cow<'_, Value> {
    let mut object = Cow::Borrowed(object);
    if has_texts(&object) {
        open(object.to_mut());
    }
    object
}

fn has_texts(object: &Value) -> bool {
    let list = object.metadata().and_then(|metadata| metadata.get(MANAGED_FIELDS)).and_then(Value::as_array);
    list.into_iter().flatten().any(|entry| entry.get(FIELDS_V1).is_some_and(Value::is_string))
}

/// Appends `metadata.managedFields` as JSON.
pub fn write_managed(out: &mut Vec<u8>, managed: &Value) {
    let Value::Array(entries) = managed else { return json::write(out, managed) };
    separated(out, b"[]", entries, |out, entry| match entry {
        Value::Object(members) => separated(out, b"{}", members, |out, (name, value)| {
            json::write_text(out, name);
            out.push(b':');
            match name.as_str() {
                FIELDS_V1 => write(out, value),
                _ => json::write(out, value),
            }
        }),
        other => json::write(out, other),
    });
}

/// Appends `fieldsV1` as JSON.
pub fn write(out: &mut Vec<u8>, fields: &Value) {
    let members = match fields {
        Value::String(text) => return out.extend_from_slice(text.as_bytes()),
        Value::Object(members) => members,
        other => return json::write(out, other),
    };
    let member = |out: &mut Vec<u8>, (name, value): (&String, &Value)| {
        json::write_text(out, name);
        out.push(b':');
        write(out, value);
    };
    let is_element = |name: &&String| !name.starts_with("f:") && *name != ".";
    if members.keys().filter(is_element).nth(1).is_none() {
        return separated(out, b"{}", members, member);
    }
    let mut sorted: Vec<(Step, &String, &Value)> =
        members.iter().map(|(name, value)| (Step::of(name), name, value)).collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp(b.1)));
    separated(out, b"{}", sorted.into_iter().map(|(_, name, value)| (name, value)), member);
}

/// Appends what `write` makes of each item, with commas between and brackets around.
fn separated<I: IntoIterator>(out: &mut Vec<u8>, brackets: &[u8; 2], items: I, write: impl Fn(&mut Vec<u8>, I::Item)) {
    out.push(brackets[0]);
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(brackets[1]);
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
pub fn values(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => a.as_f64().unwrap_or_default().total_cmp(&b.as_f64().unwrap_or_default()),
        },
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(_) | Value::Object(_), _) if rank(a) == rank(b) => a.to_string().cmp(&b.to_string()),
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

    fn text(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn elements_stand_in_upstreams_order() {
        let tree = json!({"f:ports": {".": {}, "k:{\"containerPort\":443,\"protocol\":\"TCP\"}": {"f:name": {}},
            "k:{\"containerPort\":80,\"protocol\":\"UDP\"}": {}, "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {}},
            "f:set": {"v:10": {}, "v:9": {}, "v:\"a\"": {}, "v:true": {}, "v:null": {}, "i:11": {}, "i:2": {}}});
        let written = text(|out| write(out, &tree));
        assert_eq!(
            written,
            r#"{"f:ports":{".":{},"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{},"k:{\"containerPort\":80,\"protocol\":\"UDP\"}":{},"k:{\"containerPort\":443,\"protocol\":\"TCP\"}":{"f:name":{}}},"f:set":{"v:9":{},"v:10":{},"v:\"a\"":{},"v:true":{},"v:null":{},"i:2":{},"i:11":{}}}"#
        );
        assert_eq!(serde_json::from_str::<Value>(&written).expect("JSON"), tree);
        let managed = json!([{"manager": "m", "fieldsV1": tree, "operation": "Apply"}, null]);
        let text = text(|out| write_managed(out, &managed));
        assert!(text.starts_with("[{\"fieldsV1\":{\"f:ports\"") && text.contains("\"v:9\":{},\"v:10\""), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), managed);
    }

    #[test]
    fn texts_are_written_as_the_trees_they_stand_for() {
        let object = |fields: Value| json!({"metadata": {"managedFields": [{"manager": "m", "fieldsV1": fields}]}});
        let (tree, closed) = (object(json!({"f:a": {}})), object(json!("{\"f:a\":{}}")));
        let managed = |object: &Value| text(|out| write_managed(out, &object["metadata"]["managedFields"]));
        assert_eq!(managed(&closed), managed(&tree));
        assert_eq!(*opened(&closed), tree);
        assert!(matches!(opened(&tree), Cow::Borrowed(_)));
        for mut other in [json!({}), json!(null), json!({"metadata": {"managedFields": [3]}})] {
            let before = other.clone();
            open(&mut other);
            assert_eq!(other, before);
        }
    }
}
