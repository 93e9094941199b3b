//! Custom resources: the columns that their definitions print.
//!
//! Upstream: `apiextensions-apiserver/pkg/registry/customresource/tableconvertor`.

use super::column::NAME;
use super::{Cell, Column, name};
use apimachinery::Value;
use apimachinery::resources::{Custom, PrintedColumn};

pub(super) fn columns(custom: &dyn Custom) -> Vec<Column<'_>> {
    let own = custom.columns().iter().map(|PrintedColumn { name, kind, format, description, priority }| Column {
        name,
        kind,
        format,
        description,
        priority: *priority,
    });
    std::iter::once(NAME).chain(own).collect()
}

pub(super) fn cells(custom: &dyn Custom, object: &Value) -> Vec<Cell> {
    let own = custom.columns().iter().zip(custom.cells(object)).map(|(column, value)| cell(&column.kind, value));
    std::iter::once(name(object)).chain(own).collect()
}

/// A value as a column of this type shows it; what is of another type is not shown.
fn cell(kind: &str, value: Value) -> Cell {
    match (kind, &value) {
        ("integer", Value::Number(number)) => Cell::Value(number.as_i64().or(whole(number.as_f64())).into()),
        ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => Cell::Value(value),
        ("string", Value::Null) => Cell::Value(Value::Null),
        ("string", Value::String(_)) => Cell::Value(value),
        ("string", other) => Cell::text(other.to_string()),
        ("date", Value::String(time)) => match time.parse() {
            Ok(time) => Cell::Since(time),
            Err(_) => Cell::text("<invalid>"),
        },
        _ => Cell::Value(Value::Null),
    }
}

fn whole(number: Option<f64>) -> Option<i64> {
    number.map(|n| n as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn shows_values_by_the_type_of_the_column() {
        for (kind, value, want) in [
            ("integer", json!(3), json!(3)),
            ("integer", json!(3.7), json!(3)),
            ("integer", json!("3"), Value::Null),
            ("number", json!(1.5), json!(1.5)),
            ("boolean", json!(true), json!(true)),
            ("string", json!("a"), json!("a")),
            ("string", json!(5), json!("5")),
            ("string", json!({"a": [1]}), json!("{\"a\":[1]}")),
            ("string", Value::Null, Value::Null),
            ("date", json!("yesterday"), json!("<invalid>")),
            ("date", Value::Null, Value::Null),
        ] {
            assert_eq!(cell(kind, value.clone()), Cell::Value(want), "{kind} {value}");
        }
        assert!(matches!(cell("date", json!("2026-01-01T00:00:00Z")), Cell::Since(_)));
    }
}
