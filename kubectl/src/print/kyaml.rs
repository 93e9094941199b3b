//! KYAML: YAML with braces, quoted strings and trailing commas (KEP-5295).

use super::json;
use apimachinery::Value;
use apimachinery::codec::yaml;

/// A document with its start marker.
pub(super) fn to_string(value: &Value) -> String {
    let mut out = String::from("---\n");
    write(&mut out, value, 0);
    out.push('\n');
    out
}

fn write(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push_str("{\n");
            for (key, value) in map {
                indent(out, depth + 1);
                match yaml::to_string(&Value::from(key.as_str())).trim_end() {
                    plain if plain == key => out.push_str(key),
                    _ => json::string(out, key),
                }
                out.push_str(": ");
                write(out, value, depth + 1);
                out.push_str(",\n");
            }
            indent(out, depth);
            out.push('}');
        }
        Value::Array(list) if list.iter().any(is_nested) => {
            // Braces of elements share a line with the brackets.
            out.push('[');
            for (i, value) in list.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write(out, value, depth);
            }
            out.push(']');
        }
        Value::Array(list) if !list.is_empty() => {
            out.push_str("[\n");
            for value in list {
                indent(out, depth + 1);
                write(out, value, depth + 1);
                out.push_str(",\n");
            }
            indent(out, depth);
            out.push(']');
        }
        Value::String(text) => json::string(out, text),
        other => out.push_str(&json::compact(other)),
    }
}

fn is_nested(value: &Value) -> bool {
    value.is_object() || value.is_array()
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn cuddles_lists_of_objects() {
        let value =
            json!({"kind": "Pod", "spec": {"containers": [{"name": "a"}, {"name": "b"}], "x": ["1"]}, "no": true});
        assert_eq!(
            super::to_string(&value),
            "---\n{\n  kind: \"Pod\",\n  \"no\": true,\n  spec: {\n    containers: [{\n      name: \"a\",\n    }, {\n      name: \"b\",\n    }],\n    x: [\n      \"1\",\n    ],\n  },\n}\n"
        );
    }
}
