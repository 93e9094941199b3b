//! YAML as `sigs.k8s.io/yaml` writes it: keys in natural order, lists not indented, strings quoted
//! where YAML 1.1 would read something else, lines folded behind column 80.
//!
//! Upstream: `cli-runtime/pkg/printers/yaml.go`, `sigs.k8s.io/yaml/goyaml.v2`.

mod resolve;
mod scalar;

use crate::{Map, Value, go};
use std::cmp::Ordering;

/// Lines are folded at the first blank behind this column.
const WIDTH: usize = 80;

/// A document of a tree, with a line break at the end.
pub fn to_string(value: &Value) -> String {
    let mut emitter = Emitter::default();
    emitter.node(value, 0, Place::Root);
    if !emitter.out.ends_with('\n') {
        emitter.out.push('\n');
    }
    emitter.out
}

/// What stands in front of a node on its line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    /// Behind `key:`.
    Value,
    /// Behind `-`.
    Item,
}

/// The text so far.
#[derive(Default)]
struct Emitter {
    out: String,
    column: usize,
}

impl Emitter {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn put_char(&mut self, c: char) {
        self.out.push(c);
        self.column += 1;
    }

    /// A new line, indented.
    fn line(&mut self, indent: usize) {
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
        self.out.extend(std::iter::repeat_n(' ', indent));
        self.column = indent;
    }

    fn node(&mut self, value: &Value, indent: usize, place: Place) {
        match value {
            Value::Object(map) if !map.is_empty() => self.mapping(map, indent, place),
            Value::Array(list) if !list.is_empty() => self.sequence(list, indent, place),
            other => {
                if place != Place::Root {
                    self.put(" ");
                }
                self.leaf(other, indent, place);
            }
        }
    }

    fn leaf(&mut self, value: &Value, indent: usize, place: Place) {
        match value {
            Value::String(text) => scalar::write(self, text, if place == Place::Root { 2 } else { indent }, false),
            Value::Number(number) => self.put(&float(number)),
            Value::Bool(flag) => self.put(if *flag { "true" } else { "false" }),
            Value::Null => self.put("null"),
            Value::Object(_) => self.put("{}"),
            Value::Array(_) => self.put("[]"),
        }
    }

    fn mapping(&mut self, map: &Map, indent: usize, place: Place) {
        let mut entries: Vec<(&String, &Value)> = map.iter().collect();
        entries.sort_by(|(a, _), (b, _)| natural(a, b));
        for (i, (key, value)) in entries.into_iter().enumerate() {
            match i == 0 && place == Place::Item {
                true => self.put(" "),
                false => self.line(indent),
            }
            // A key that is long or has line breaks needs the explicit form.
            if key.len() > 128 || key.contains('\n') {
                self.put("? ");
                scalar::write(self, key, indent + 2, false);
                self.line(indent);
            } else {
                scalar::write(self, key, indent, true);
            }
            self.put(":");
            // A list stands below its key; all else two columns further.
            let inner = if value.is_array() { indent } else { indent + 2 };
            self.node(value, inner, Place::Value);
        }
    }

    fn sequence(&mut self, list: &[Value], indent: usize, place: Place) {
        for (i, value) in list.iter().enumerate() {
            match i == 0 && place == Place::Item {
                true => self.put(" "),
                false => self.line(indent),
            }
            self.put("-");
            self.node(value, indent + 2, Place::Item);
        }
    }
}

fn float(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => go::plain_float(float),
        _ => number.to_string(),
    }
}

/// Letters after digits and signs; numbers by their value.
fn natural(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(i) = a.iter().zip(&b).position(|(x, y)| x != y) else { return a.len().cmp(&b.len()) };
    let before_is_digit = i > 0 && a[i - 1].is_numeric();
    match (a[i].is_alphabetic(), b[i].is_alphabetic()) {
        (true, true) => return a[i].cmp(&b[i]),
        // Behind a digit a letter ends the number, which makes it the smaller one.
        (true, false) => return if before_is_digit { Ordering::Less } else { Ordering::Greater },
        (false, true) => return if before_is_digit { Ordering::Greater } else { Ordering::Less },
        (false, false) => {}
    }
    let in_number =
        (a[i] == '0' || b[i] == '0') && a[..i].iter().rev().take_while(|c| c.is_numeric()).any(|c| *c != '0');
    let number = |text: &[char]| {
        let digits = text[i..].iter().take_while(|c| c.is_numeric());
        digits.fold((u64::from(in_number), 0), |(n, len), c| {
            (n.wrapping_mul(10).wrapping_add(u64::from(c.to_digit(10).unwrap_or(0))), len + 1)
        })
    };
    number(&a).cmp(&number(&b)).then(a[i].cmp(&b[i]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lays_out_as_upstream() {
        let value = json!({"spec": {"list": [{"b": 1, "a": [1, [2, 3]]}, "x"], "empty": {}, "none": [], "null": null}, "a": "b"});
        assert_eq!(
            to_string(&value),
            "a: b\nspec:\n  empty: {}\n  list:\n  - a:\n    - 1\n    - - 2\n      - 3\n    b: 1\n  - x\n  none: []\n  \"null\": null\n"
        );
        assert_eq!(to_string(&json!([])), "[]\n");
        assert_eq!(to_string(&json!(["a", {"b": "c"}])), "- a\n- b: c\n");
    }

    #[test]
    fn keys_are_in_natural_order() {
        let mut keys = ["a10", "a2", "a1b", "B", "a", "1", "a-b", "ab", "a.b"];
        keys.sort_by(|a, b| natural(a, b));
        assert_eq!(keys, ["1", "B", "a", "a-b", "a.b", "a1b", "a2", "a10", "ab"]);
    }

    proptest::proptest! {
        #[test]
        fn reads_back(key in "[a-z0-9./ :-]{1,12}", text in "\\PC*|[ \na:#-]*") {
            let value = json!({key: [text.clone()], "x": text});
            let read = crate::codec::yaml::to_value(to_string(&value).as_bytes());
            proptest::prop_assert_eq!(read.expect("yaml"), value);
        }
    }
}
