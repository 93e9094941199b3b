//! Trees in the words of Go, which messages about patches quote.

use apimachinery::Value;

/// A tree as Go's `%+v` prints it.
#[derive(Clone, Copy, Debug)]
pub struct GoMap<'a>(pub &'a Value);

impl std::fmt::Display for GoMap<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Value::Null => f.write_str("<nil>"),
            Value::String(text) => f.write_str(text),
            Value::Bool(_) | Value::Number(_) => write!(f, "{}", self.0),
            Value::Array(items) => {
                f.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    write!(f, "{}{}", if at == 0 { "" } else { " " }, GoMap(item))?;
                }
                f.write_str("]")
            }
            Value::Object(members) => {
                f.write_str("map[")?;
                for (at, (key, value)) in members.iter().enumerate() {
                    write!(f, "{}{key}:{}", if at == 0 { "" } else { " " }, GoMap(value))?;
                }
                f.write_str("]")
            }
        }
    }
}

/// What Go's JSON decoder calls a value.
pub fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
