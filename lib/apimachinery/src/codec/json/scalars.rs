//! Checks and canonical forms of scalars.

use crate::Value;
use crate::codec::base64;
use crate::go::double;
use crate::quantity::{Quantity, QuantityError};
use crate::schema::Shape;
use crate::time;

/// What is said of anything else where a JSON schema or a boolean stands.
pub(super) const NO_SCHEMA: &str = "boolean or JSON schema expected";

/// Why a scalar does not fit its shape.
pub(super) enum Wrong {
    /// Another JSON type, in Go's word for it.
    Type(String),
    /// A message of the type's own decoder.
    Text(String),
}

/// The value in canonical form if it fits the shape. `raw` is a string, number or boolean, which `text` is in the body:
/// numbers may be larger than `raw` can tell.
pub(super) fn check(shape: &Shape, raw: Value, text: &str) -> Result<Value, Wrong> {
    match (shape, &raw) {
        (Shape::String, Value::String(_)) | (Shape::Bool, Value::Bool(_)) => Ok(raw),
        (Shape::Double, Value::Number(n)) => Ok(n.as_f64().filter(|_| n.is_f64()).map_or_else(|| raw.clone(), double)),
        (Shape::IntOrString, Value::String(_)) => Ok(raw),
        (Shape::IntOrString | Shape::Int32, Value::Number(n)) => match n.as_i64().map(i32::try_from) {
            Some(Ok(_)) => Ok(raw),
            _ => Err(Wrong::Type(format!("number {text}"))),
        },
        (Shape::Int64, Value::Number(n)) => match n.as_i64() {
            Some(_) => Ok(raw),
            None => Err(Wrong::Type(format!("number {text}"))),
        },
        // Go looks at what stands between the quotes before it takes escapes for what they mean.
        (Shape::Quantity, Value::String(_)) => quantity(text.trim().trim_matches('"')),
        (Shape::Quantity, Value::Number(_)) => quantity(text),
        (Shape::Time, Value::String(text)) => time::canonical(text).map(time_value).map_err(Wrong::Text),
        (Shape::MicroTime, Value::String(text)) => time::canonical_micro(text).map(time_value).map_err(Wrong::Text),
        (Shape::Duration, Value::String(text)) => match time::parse_go_nanos(text) {
            Some(nanos) => Ok(time::format_go_duration(nanos).into()),
            None => Err(Wrong::Text(format!("time: invalid duration {text:?}"))),
        },
        (Shape::Bytes, Value::String(text)) => {
            base64::canonical(text).map(Value::String).map_err(|error| Wrong::Text(error.to_string()))
        }
        (Shape::SchemaOrBool, _) => Err(Wrong::Text(NO_SCHEMA.into())),
        (Shape::Quantity, _) => Err(Wrong::Text(QuantityError::Form.to_string())),
        (_, Value::String(_)) => Err(Wrong::Type("string".into())),
        (_, Value::Bool(_)) => Err(Wrong::Type("bool".into())),
        _ => Err(Wrong::Type("number".into())),
    }
}

/// A time in canonical form; the first of all times is `null`, as upstream writes what is not set.
fn time_value(text: String) -> Value {
    if time::is_zero(&text) { Value::Null } else { text.into() }
}

fn quantity(text: &str) -> Result<Value, Wrong> {
    match text.trim().parse::<Quantity>() {
        Ok(quantity) => Ok(quantity.to_string().into()),
        Err(error) => Err(Wrong::Text(error.to_string())),
    }
}
