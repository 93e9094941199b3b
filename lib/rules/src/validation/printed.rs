//! How upstream prints whole structs in messages: as JSON of its internal types, whose members have Go's names,
//! stand in their order and are never left out.
//!
//! Upstream: `apimachinery/pkg/util/validation/field/errors.go` (`ErrorBody`), `pkg/apis/*/types.go`.

mod diff;
mod internal;

pub(super) use diff::difference;
pub(super) use internal::Internal;

use super::check::{Show, escaped};
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::meta::in_order;
use std::fmt::Write;

/// Go's name of a member, its name in JSON, and what it holds.
pub(super) type Member = (&'static str, &'static str, Form);

/// What a member holds.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// A text; empty if absent.
    Text,
    /// A number; 0 if absent.
    Number,
    /// A flag; false if absent.
    Flag,
    /// Anything that prints as it is, and as `null` if it is absent.
    Plain,
    /// A struct.
    Struct(&'static [Member]),
    /// A pointer to a struct.
    Optional(&'static [Member]),
    /// A list of structs.
    Structs(&'static [Member]),
    /// Object metadata among the members of the struct, under their names in JSON.
    Metadata,
}

/// A value and how it is printed.
pub(super) struct Printed<'a>(pub(super) Option<&'a Value>, pub(super) Form);

impl Show for Printed<'_> {
    fn show(&self) -> String {
        let mut out = String::new();
        form(&mut out, self.0, self.1);
        escaped(&out)
    }
}

fn form(out: &mut String, value: Option<&Value>, form: Form) {
    match (form, value) {
        (Form::Text, None) => out.push_str("\"\""),
        (Form::Number, None) => out.push('0'),
        (Form::Flag, None) => out.push_str("false"),
        (Form::Struct(members), value) => object(out, value.unwrap_or(&Value::Null), members),
        (Form::Optional(members), Some(value)) => object(out, value, members),
        (Form::Structs(members), Some(Value::Array(items))) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                object(out, item, members);
            }
            out.push(']');
        }
        (_, None) => out.push_str("null"),
        // Writing to a text does not fail.
        (_, Some(value)) => drop(write!(out, "{value}")),
    }
}

fn object(out: &mut String, value: &Value, members: &[Member]) {
    out.push('{');
    let start = out.len();
    for (go, json, member) in members {
        if let Form::Metadata = member {
            metadata(out, value.at(json).unwrap_or(&Value::Null));
            continue;
        }
        let _ = write!(out, "{go:?}:");
        form(out, value.at(json), *member);
        out.push(',');
    }
    if out.len() > start {
        out.pop();
    }
    out.push('}');
}

fn metadata(out: &mut String, metadata: &Value) {
    for (key, value) in in_order(metadata).filter(|(key, _)| !metadata.lacks(key)) {
        let _ = write!(out, "{key:?}:{value},");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn structs_are_printed_as_go_does() {
        const INNER: &[Member] = &[("B", "b", Form::Number), ("C", "c", Form::Plain)];
        const OUTER: &[Member] = &[
            ("", "metadata", Form::Metadata),
            ("A", "a", Form::Text),
            ("In", "in", Form::Struct(INNER)),
            ("Maybe", "maybe", Form::Optional(INNER)),
            ("List", "list", Form::Structs(INNER)),
        ];
        let show = |value: Value| Printed(Some(&value), Form::Struct(OUTER)).show();
        assert_eq!(show(json!({})), r#"{"A":"","In":{"B":0,"C":null},"Maybe":null,"List":null}"#);
        let full = json!({"metadata": {"labels": {"x": "y"}, "name": "n"}, "a": "t\"", "in": {"c": [1]}, "maybe": {"b": 2},
            "list": [{"b": 1}, {}]});
        assert_eq!(
            show(full),
            r#"{"name":"n","labels":{"x":"y"},"A":"t\"","In":{"B":0,"C":[1]},"Maybe":{"B":2,"C":null},"List":[{"B":1,"C":null},{"B":0,"C":null}]}"#
        );
        assert!(show(json!({"list": []})).ends_with(r#""List":[]}"#));
    }
}
