//! Output forms. Tables are in [`table`]; all others are a [`Printer`].
//!
//! Upstream: `cli-runtime/pkg/printers`, `cli-runtime/pkg/genericclioptions/print_flags.go`.

pub mod columns;
pub mod json;
pub mod jsonpath;
mod kyaml;
mod printer;
pub mod sort;
pub mod table;
pub mod tabs;
pub mod template;
pub mod typed;

pub(crate) use apimachinery::go::plain_float as go_float;
pub(crate) use apimachinery::go::quoted as quote;
pub use printer::{OutputError, Printer, Set};

use crate::discovery::Resource;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

/// `-o` of the commands that print few forms.
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
    json::pretty(value)
}

/// YAML as kubectl prints it.
pub fn yaml(value: &Value) -> String {
    apimachinery::codec::yaml::to_string(value)
}

/// YAML in its strict form.
pub fn kyaml(value: &Value) -> String {
    kyaml::to_string(value)
}

/// `type/name` of an object of a known resource, without what a terminal would act on.
pub fn name(resource: &Resource, object: &Value) -> String {
    harmless(&format!("{}/{}", resource.display(), object.name()))
}

/// `kind.group/name` of an object that says what it is, without what a terminal would act on.
pub fn name_of(object: &Value) -> String {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let kind = text("kind").to_lowercase();
    let name = match object.name() {
        "" => "<unknown>",
        name => name,
    };
    harmless(&match text("apiVersion").split_once('/') {
        Some((group, _)) if !kind.is_empty() => format!("{kind}.{group}/{name}"),
        _ if kind.is_empty() => format!("<unknown>/{name}"),
        _ => format!("{kind}/{name}"),
    })
}

/// Drops `metadata.managedFields`, in lists from each item.
pub fn without_managed_fields(mut object: Value) -> Value {
    drop_managed_fields(&mut object);
    object
}

fn drop_managed_fields(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    if let Some(items) = object.get_mut("items").and_then(Value::as_array_mut) {
        items.iter_mut().for_each(drop_managed_fields);
    }
}

/// A `List` of objects, as kubectl makes one of several.
pub fn list(objects: Vec<Value>) -> Value {
    serde_json::json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": objects})
}

/// Text without anything that a terminal would act on.
pub fn harmless(text: &str) -> String {
    let shown = |c: char| c == '\n' || c == '\t' || !c.is_control();
    if text.chars().all(shown) {
        return text.to_owned();
    }
    text.chars().map(|c| if shown(c) { c.to_string() } else { caret(c) }).collect()
}

/// `^[` for an escape.
fn caret(c: char) -> String {
    match u8::try_from(c).ok().filter(|b| *b < 0x20) {
        Some(byte) => format!("^{}", char::from(byte + 0x40)),
        None => "^?".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn prints_json_as_kubectl_does() {
        assert_eq!(super::json(&json!({"b": [1], "a": {}})), "{\n    \"a\": {},\n    \"b\": [\n        1\n    ]\n}\n");
    }

    #[test]
    fn yaml_reads_back_as_it_was() {
        let value = json!({"a": "yes", "b": "1", "c": "multi\nline\n", "d": [{"e": null}], "f": "", "g": "a: b", "h": 1.5, "i": "0x10", "j": "~"});
        let text = yaml(&value);
        assert_eq!(apimachinery::codec::yaml::to_value(text.as_bytes()).expect("reads"), value, "{text}");
    }

    #[test]
    fn names_objects() {
        let named =
            |api_version: &str| name_of(&json!({"apiVersion": api_version, "kind": "Web", "metadata": {"name": "x"}}));
        assert_eq!((named("v1"), named("apps/v1")), ("web/x".into(), "web.apps/x".into()));
    }

    #[test]
    fn terminals_get_no_commands() {
        assert_eq!(harmless("a\u{1b}[31m\u{7f}b\n"), "a^[[31m^?b\n");
    }
}
