//! Output forms.

pub mod table;

use crate::discovery::Resource;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

/// `-o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// A table.
    Table,
    /// A table with all columns.
    Wide,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// `type/name`.
    Name,
}

/// An output form that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("unable to match a printer suitable for the output format \"{0}\", allowed formats are: json,name,wide,yaml")]
pub struct UnknownOutput(String);

impl Output {
    /// Reads `-o`.
    pub fn parse(text: &str) -> Result<Self, UnknownOutput> {
        match text {
            "" => Ok(Output::Table),
            "wide" => Ok(Output::Wide),
            "json" => Ok(Output::Json),
            "yaml" => Ok(Output::Yaml),
            "name" => Ok(Output::Name),
            other => Err(UnknownOutput(other.to_owned())),
        }
    }
}

/// JSON as kubectl prints it: four spaces, a line break at the end.
pub fn json(value: &Value) -> String {
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    // A tree of strings and numbers always serializes into memory.
    let _ = serde::Serialize::serialize(value, &mut serializer);
    out.push(b'\n');
    String::from_utf8(out).unwrap_or_default()
}

/// YAML with sorted keys.
pub fn yaml(value: &Value) -> anyhow::Result<String> {
    Ok(serde_saphyr::to_string(value)?)
}

/// `type/name`.
pub fn name(resource: &Resource, object: &Value) -> String {
    format!("{}/{}", resource.display(), object.name())
}

/// Drops `metadata.managedFields`.
pub fn without_managed_fields(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    object
}

/// A `List` of objects, as kubectl makes one of several.
pub fn list(objects: Vec<Value>) -> Value {
    serde_json::json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": objects})
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn prints_json_as_kubectl_does() {
        assert_eq!(json(&json!({"b": [1], "a": {}})), "{\n    \"a\": {},\n    \"b\": [\n        1\n    ]\n}\n");
    }

    #[test]
    fn yaml_reads_back_as_it_was() {
        let value = json!({"a": "yes", "b": "1", "c": "multi\nline\n", "d": [{"e": null}], "f": "", "g": "a: b", "h": 1.5, "i": "0x10", "j": "~"});
        let text = yaml(&value).expect("prints");
        assert_eq!(apimachinery::codec::yaml::to_value(text.as_bytes()).expect("reads"), value, "{text}");
    }

    #[test]
    fn knows_its_forms() {
        assert_eq!(Output::parse("wide").ok(), Some(Output::Wide));
        assert!(Output::parse("xml").is_err());
    }
}
