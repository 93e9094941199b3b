//! Any tree, field by field, with titles made of its keys.

use apimachinery::Value;
use std::fmt::Write as _;

/// Writes `Key:  value`, nested values indented below.
pub(super) fn write(out: &mut String, key: &str, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    let title = title(key);
    match value {
        Value::Object(map) if !map.is_empty() => {
            let _ = writeln!(out, "{indent}{title}:");
            for (key, value) in map {
                write(out, key, value, depth + 1);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            let _ = writeln!(out, "{indent}{title}:");
            for item in list {
                element(out, item, depth + 1);
            }
        }
        other => {
            let _ = writeln!(out, "{indent}{title}:  {}", scalar(other));
        }
    }
}

fn element(out: &mut String, item: &Value, depth: usize) {
    match item {
        Value::Object(map) => map.iter().for_each(|(key, value)| write(out, key, value, depth)),
        other => {
            let _ = writeln!(out, "{}{}", "  ".repeat(depth), scalar(other));
        }
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Object(_) | Value::Array(_) => String::new(),
        other => other.to_string(),
    }
}

/// `podIP` → `Pod IP`.
fn title(key: &str) -> String {
    let mut title = String::new();
    let mut before_is_lower = false;
    for (i, c) in key.chars().enumerate() {
        if i == 0 {
            title.extend(c.to_uppercase());
        } else {
            if c.is_uppercase() && before_is_lower {
                title.push(' ');
            }
            title.push(c);
        }
        before_is_lower = c.is_lowercase() || c.is_ascii_digit();
    }
    title
}

#[cfg(test)]
mod tests {
    #[test]
    fn titles() {
        for (key, want) in [
            ("podIP", "Pod IP"),
            ("replicas", "Replicas"),
            ("clusterIPs", "Cluster IPs"),
            ("maxUnavailable", "Max Unavailable"),
        ] {
            assert_eq!(super::title(key), want);
        }
    }
}
