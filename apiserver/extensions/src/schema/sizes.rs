//! How large values of a schema may be, as far as rules see them.
//!
//! Upstream: `SchemaDeclType` and the estimates below it in `apiserver/pkg/cel/common/schemas.go`,
//! `apiserver/pkg/cel/limits.go`.

use super::{Additional, Format, Node, Type};
use apimachinery::Value;
use cel::{Sizes, Step};
use std::collections::BTreeMap;

/// The largest request, in bytes.
pub(super) const REQUEST: u64 = 3 * 1024 * 1024;

/// A request without the brackets or quotes around its only value.
const LARGEST: u64 = REQUEST - 2;

/// The longest duration and time, and the length of a date, in quotes.
const DURATION: u64 = 32;
const TIME: u64 = 32;
const DATE: u64 = 12;

/// A part of a schema that rules can see.
#[derive(Debug)]
pub(super) struct Declared {
    /// Most characters, bytes, elements or members; zero if values have no size.
    most: u64,
    /// The fewest bytes that a value takes in JSON.
    pub(super) fewest_bytes: u64,
    parts: Parts,
}

#[derive(Debug)]
enum Parts {
    None,
    /// By their names in expressions.
    Fields(BTreeMap<String, Declared>),
    Elements(Box<Declared>),
    Values(Box<Declared>),
}

/// Nothing is known of the keys of maps, which counts as no size.
static KEY: Declared = Declared::scalar(0, 2);

impl Declared {
    /// What a schema declares; `None` if rules cannot see its values. The schema of a resource declares
    /// what every resource has.
    pub(super) fn of(node: &Node, is_resource: bool) -> Option<Self> {
        if node.extensions.int_or_string {
            return Some(Self::scalar(length(node).unwrap_or(LARGEST), 1));
        }
        match node.ty? {
            Type::Array => list(node),
            Type::Object => match &node.additional {
                Additional::Schema(values) => map(node, values),
                _ => Some(object(node, is_resource)),
            },
            Type::String => Some(text(node)),
            Type::Boolean => Some(Self::scalar(0, 4)),
            Type::Number | Type::Integer => Some(Self::scalar(0, 1)),
            Type::Unknown => None,
        }
    }

    const fn scalar(most: u64, fewest_bytes: u64) -> Self {
        Self { most, fewest_bytes, parts: Parts::None }
    }

    /// A text that nothing restricts.
    const fn any_text() -> Self {
        Self::scalar(LARGEST, 2)
    }

    fn part_of(node: &Node) -> Option<Self> {
        Self::of(node, node.extensions.is_embedded)
    }
}

impl Sizes for Declared {
    fn most(&self) -> Option<u64> {
        Some(self.most)
    }

    fn part(&self, step: Step<'_>) -> Option<&dyn Sizes> {
        let part = match (&self.parts, step) {
            (Parts::Fields(fields), Step::Field(name)) => fields.get(name)?,
            (Parts::Elements(part) | Parts::Values(part), Step::Elements) => &**part,
            (Parts::Values(_), Step::Keys) => &KEY,
            _ => return None,
        };
        Some(part)
    }
}

/// As many elements as fit into a request, with commas between them.
fn list(node: &Node) -> Option<Declared> {
    let items = Declared::part_of(node.items.as_deref()?)?;
    let most = node.limits.max_items.unwrap_or(LARGEST / items.fewest_bytes.saturating_add(1));
    Some(Declared { most, fewest_bytes: 2, parts: Parts::Elements(Box::new(items)) })
}

/// As many entries as fit into a request: with keys of two characters, which is what upstream takes for
/// the average, quotes, a colon and a comma.
fn map(node: &Node, values: &Node) -> Option<Declared> {
    let values = Declared::part_of(values)?;
    let most = node.limits.max_properties.unwrap_or(LARGEST / values.fewest_bytes.saturating_add(6));
    Some(Declared { most, fewest_bytes: 2, parts: Parts::Values(Box::new(values)) })
}

fn object(node: &Node, is_resource: bool) -> Declared {
    let mut fields = BTreeMap::new();
    let mut fewest_bytes: u64 = 2;
    let names_metadata = !is_resource || has_type_and_names(node);
    let own = |name: &str| names_metadata || !matches!(name, "apiVersion" | "kind" | "metadata");
    for (name, property) in node.properties.iter().filter(|(name, _)| own(name)) {
        let Some(part) = Declared::part_of(property) else { continue };
        if is_required(node, name) && property.default.is_none() {
            fewest_bytes = fewest_bytes.saturating_add(name.len() as u64 + part.fewest_bytes + 4);
        }
        fields.extend(cel::escape(name).map(|name| (name, part)));
    }
    if !names_metadata {
        for (name, part) in type_and_names() {
            if is_required(node, name) {
                fewest_bytes = fewest_bytes.saturating_add(name.len() as u64 + part.fewest_bytes + 4);
            }
            fields.insert(name.to_owned(), part);
        }
    }
    Declared { most: 0, fewest_bytes, parts: Parts::Fields(fields) }
}

fn is_required(node: &Node, name: &str) -> bool {
    node.limits.required.iter().any(|required| **required == *name)
}

/// Whether a schema itself declares what every resource has.
fn has_type_and_names(node: &Node) -> bool {
    let is = |node: &Node, name: &str, ty: Type| node.properties.get(name).is_some_and(|p| p.ty == Some(ty));
    let is_text = |node: &Node, name: &str| is(node, name, Type::String);
    let metadata = node.properties.get("metadata").filter(|metadata| metadata.ty == Some(Type::Object));
    is_text(node, "kind")
        && is_text(node, "apiVersion")
        && metadata.is_some_and(|metadata| is_text(metadata, "name") && is_text(metadata, "generateName"))
}

/// What every resource has.
fn type_and_names() -> [(&'static str, Declared); 3] {
    let names = ["name", "generateName"].map(|name| (name.to_owned(), Declared::any_text()));
    let metadata = Declared { most: 0, fewest_bytes: 2, parts: Parts::Fields(names.into()) };
    [("apiVersion", Declared::any_text()), ("kind", Declared::any_text()), ("metadata", metadata)]
}

fn text(node: &Node) -> Declared {
    match node.limits.format {
        // Limits of bytes are limits of what encodes them.
        Some(Format::Byte) => Declared::scalar(node.limits.max_length.unwrap_or(LARGEST), 2),
        Some(Format::Duration) => Declared::scalar(DURATION, 3),
        Some(Format::Date) => Declared::scalar(DATE, DATE),
        Some(Format::DateTime { dashed: true }) => Declared::scalar(TIME, 21),
        _ => Declared::scalar(length(node).or_else(|| longest_value(node)).unwrap_or(LARGEST), 2),
    }
}

/// `maxLength` in bytes, of which a character may take four.
fn length(node: &Node) -> Option<u64> {
    node.limits.max_length.map(|characters| characters.saturating_mul(4))
}

/// The longest text of an `enum`.
fn longest_value(node: &Node) -> Option<u64> {
    let values = &node.limits.values;
    let lengths = values.iter().filter_map(Value::as_str).map(|text| text.len() as u64);
    (!values.is_empty()).then(|| lengths.max().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::node;
    use serde_json::json;

    #[test]
    fn sizes_and_bytes() {
        for (schema, most, fewest) in [
            (json!({"type": "boolean"}), 0, 4),
            (json!({"type": "string"}), LARGEST, 2),
            (json!({"type": "string", "maxLength": 10}), 40, 2),
            (json!({"type": "string", "enum": ["A", "B", "LongValue"]}), 9, 2),
            (json!({"type": "string", "format": "byte", "maxLength": 10}), 10, 2),
            (json!({"type": "string", "format": "date", "maxLength": 10}), 12, 12),
            (json!({"type": "string", "format": "date-time"}), 32, 21),
            (json!({"x-kubernetes-int-or-string": true}), LARGEST, 1),
            (json!({"type": "array", "items": {"type": "number"}}), 1_572_863, 2),
            (json!({"type": "array", "items": {"type": "string", "format": "date-time"}}), 142_987, 2),
            (json!({"type": "object", "additionalProperties": {"type": "number"}}), 449_389, 2),
            (json!({"type": "object", "additionalProperties": {"type": "number"}, "maxProperties": 7}), 7, 2),
            (
                json!({"type": "object", "required": ["required", "defaulted"], "properties": {
                    "required": {"type": "string"}, "other": {"type": "string"},
                    "defaulted": {"type": "string", "default": "x"}}}),
                0,
                16,
            ),
        ] {
            let declared = Declared::of(&node(schema.clone()), false).unwrap_or_else(|| panic!("{schema}"));
            assert_eq!((declared.most, declared.fewest_bytes), (most, fewest), "{schema}");
        }
        for schema in [json!({"x-kubernetes-preserve-unknown-fields": true}), json!({"type": "array", "items": {}})] {
            assert!(Declared::of(&node(schema), false).is_none());
        }
    }

    #[test]
    fn parts() {
        let root = node(json!({"type": "object", "properties": {"metadata": {"type": "object"}, "spec": {
        "type": "object", "properties": {
            "namespace": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 2}}}}}}));
        let root = Declared::of(&root, true).expect("declared");
        let most = |path: &[Step<'_>]| {
            let start: &dyn Sizes = &root;
            path.iter().try_fold(start, |at, step| at.part(*step)).and_then(Sizes::most)
        };
        let map = [Step::Field("spec"), Step::Field("__namespace__")];
        assert_eq!(most(&[&map[..], &[Step::Elements]].concat()), Some(8));
        assert_eq!(most(&[&map[..], &[Step::Keys]].concat()), Some(0));
        assert_eq!(most(&[&map[..], &[Step::Field("x")]].concat()), None);
        assert_eq!(most(&[Step::Field("metadata"), Step::Field("name")]), Some(LARGEST));
        assert_eq!(most(&[Step::Field("metadata"), Step::Field("labels")]), None);
    }
}
