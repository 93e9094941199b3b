//! JSON as Go's `encoding/json` writes it: sorted keys, HTML escaped, four blanks of indentation.
//!
//! Upstream: `cli-runtime/pkg/printers/json.go`.

use apimachinery::Value;

/// Indented, with a line break at the end.
pub fn pretty(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, Some(0));
    out.push('\n');
    out
}

/// Indented by so many blanks; members stand in the order of the list, others behind them.
pub fn ordered(value: &Value, order: &[&str], blanks: usize) -> String {
    in_order(value, order, blanks)
}

/// How the members of objects stand, place by place.
pub(super) trait Order: Sized {
    /// Sorts the members of the object at this place.
    fn sort(&self, members: &mut [(&String, &Value)]);
    /// The place of a member.
    fn member(&self, name: &str) -> Self;
    /// The place of an element.
    fn item(&self, item: &Value) -> Self;
}

/// One order for all objects.
impl Order for &[&str] {
    fn sort(&self, members: &mut [(&String, &Value)]) {
        sort_by(self, members);
    }

    fn member(&self, _: &str) -> Self {
        self
    }

    fn item(&self, _: &Value) -> Self {
        self
    }
}

/// Sorts members by the order of their names; others stand behind them.
pub(super) fn sort_by(order: &[impl AsRef<str>], members: &mut [(&String, &Value)]) {
    let at = |key: &str| order.iter().position(|name| name.as_ref() == key).unwrap_or(order.len());
    members.sort_by_key(|(key, _)| at(key));
}

/// Indented by so many blanks, with a line break at the end.
pub(super) fn in_order(value: &Value, place: impl Order, blanks: usize) -> String {
    let mut out = String::new();
    write_ordered(&mut out, value, &place, (blanks, 0));
    out.push('\n');
    out
}

fn write_ordered(out: &mut String, value: &Value, place: &impl Order, (blanks, depth): (usize, usize)) {
    let inner = (blanks, depth + 1);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', blanks * depth));
    };
    match value {
        Value::Object(map) if !map.is_empty() => {
            let mut members: Vec<(&String, &Value)> = map.iter().collect();
            place.sort(&mut members);
            out.push('{');
            for (i, (key, value)) in members.into_iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                line(out, depth + 1);
                string(out, key);
                out.push_str(": ");
                write_ordered(out, value, &place.member(key), inner);
            }
            line(out, depth);
            out.push('}');
        }
        Value::Array(list) if !list.is_empty() => {
            out.push('[');
            for (i, value) in list.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                line(out, depth + 1);
                write_ordered(out, value, &place.item(value), inner);
            }
            line(out, depth);
            out.push(']');
        }
        other => write(out, other, None),
    }
}

/// On one line.
pub fn compact(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, None);
    out
}

fn write(out: &mut String, value: &Value, depth: Option<usize>) {
    match value {
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| (Some(key.as_str()), value));
            collection(out, ('{', '}'), entries, depth);
        }
        Value::Array(list) => collection(out, ('[', ']'), list.iter().map(|value| (None, value)), depth),
        Value::String(text) => string(out, text),
        Value::Number(number) => out.push_str(&self::number(number)),
        other => out.push_str(&other.to_string()),
    }
}

fn collection<'a>(
    out: &mut String,
    (open, close): (char, char),
    entries: impl Iterator<Item = (Option<&'a str>, &'a Value)>,
    depth: Option<usize>,
) {
    out.push(open);
    let inner = depth.map(|d| d + 1);
    let mut empty = true;
    for (key, value) in entries {
        if !std::mem::take(&mut empty) {
            out.push(',');
        }
        line_break(out, inner);
        if let Some(key) = key {
            string(out, key);
            out.push_str(if depth.is_some() { ": " } else { ":" });
        }
        write(out, value, inner);
    }
    if !empty {
        line_break(out, depth);
    }
    out.push(close);
}

fn line_break(out: &mut String, depth: Option<usize>) {
    if let Some(depth) = depth {
        out.push('\n');
        out.extend(std::iter::repeat_n("    ", depth));
    }
}

/// A string literal.
pub fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A number: whole ones as they are, others the shortest way, with exponents below 1e-6 and from 1e21.
pub fn number(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => {
            let size = float.abs();
            match size != 0.0 && !(1e-6..1e21).contains(&size) {
                true => exponent(&format!("{float:e}"), 1),
                false => format!("{float}"),
            }
        }
        _ => number.to_string(),
    }
}

/// `1e21` with a sign and at least so many digits in the exponent.
pub fn exponent(text: &str, digits: usize) -> String {
    let Some((mantissa, exponent)) = text.split_once('e') else { return text.to_owned() };
    match exponent.strip_prefix('-') {
        Some(exponent) => format!("{mantissa}e-{exponent:0>digits$}"),
        None => format!("{mantissa}e+{exponent:0>digits$}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn indents_as_go_does() {
        assert_eq!(
            pretty(&json!({"b": [1, {}], "a": {"x": null}, "c": []})),
            "{\n    \"a\": {\n        \"x\": null\n    },\n    \"b\": [\n        1,\n        {}\n    ],\n    \"c\": []\n}\n"
        );
        assert_eq!(compact(&json!({"b": [1, {}], "a": true})), r#"{"a":true,"b":[1,{}]}"#);
    }

    #[test]
    fn escapes_as_go_does() {
        let text = "<a>&\"\\\n\r\t\u{8}\u{c}\u{1b}\u{2028}é";
        assert_eq!(compact(&json!(text)), r#""\u003ca\u003e\u0026\"\\\n\r\t\b\f\u001b\u2028é""#);
    }

    #[test]
    fn numbers_as_go_does() {
        for (value, want) in [
            (json!(1), "1"),
            (json!(1.5), "1.5"),
            (json!(1e21), "1e+21"),
            (json!(1e20), "100000000000000000000"),
            (json!(0.0000001), "1e-7"),
            (json!(-0.000001), "-0.000001"),
            (json!(i64::MIN), "-9223372036854775808"),
        ] {
            assert_eq!(compact(&value), want);
        }
    }

    proptest::proptest! {
        #[test]
        fn strings_read_back(text in ".*") {
            proptest::prop_assert_eq!(serde_json::from_str::<String>(&compact(&json!(text))).expect("a string"), text);
        }
    }
}
