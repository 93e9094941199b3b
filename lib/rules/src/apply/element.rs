//! One step of a path to a field, and its text in `fieldsV1` and in messages.
//!
//! Upstream: `structured-merge-diff/fieldpath/{element,serialize-pe}.go`, `value/value.go`.

use apimachinery::Value;
use apimachinery::codec::fields::values;
use std::cmp::Ordering;
use std::fmt::{self, Write};

/// A step into an object or a list. The order of the variants is that of `fieldsV1`.
#[derive(Clone, Debug)]
pub enum Element {
    /// A member of an object or a map.
    Field(Box<str>),
    /// The list element with these keys, which are sorted by name.
    Key(Box<[(Box<str>, Value)]>),
    /// The element of a set.
    Value(Value),
    /// The list element at this place.
    Index(i64),
}

/// Why a text is no path element.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElementError {
    /// No type and colon in front.
    #[error("missing colon: {0}")]
    NoColon(String),
    /// What follows the colon is not what the type asks for.
    #[error("malformed path element: {0}")]
    Malformed(String),
}

impl Element {
    /// A member.
    pub fn field(name: &str) -> Self {
        Self::Field(name.into())
    }

    /// Reads the text of `fieldsV1`; `None` for types that a later version may know.
    pub fn parse(text: &str) -> Result<Option<Self>, ElementError> {
        let malformed = || ElementError::Malformed(text.to_owned());
        let Some((kind, rest)) = text.split_at_checked(2).filter(|(kind, _)| kind.ends_with(':')) else {
            return Err(ElementError::NoColon(text.to_owned()));
        };
        Ok(Some(match kind {
            "f:" => Self::field(rest),
            "v:" => Self::Value(serde_json::from_str(rest).map_err(|_| malformed())?),
            "i:" => Self::Index(rest.parse().map_err(|_| malformed())?),
            "k:" => {
                let keys: apimachinery::Map = serde_json::from_str(rest).map_err(|_| malformed())?;
                Self::Key(keys.into_iter().map(|(name, value)| (name.into(), value)).collect())
            }
            _ => return Ok(None),
        }))
    }

    /// The text of `fieldsV1`, such as `k:{"name":"web"}`.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(24);
        match self {
            Self::Field(name) => {
                text.push_str("f:");
                text.push_str(name);
            }
            Self::Key(keys) => {
                text.push_str("k:{");
                for (at, (name, value)) in keys.iter().enumerate() {
                    if at > 0 {
                        text.push(',');
                    }
                    push_text(&mut text, name);
                    text.push(':');
                    push_json(&mut text, value);
                }
                text.push('}');
            }
            Self::Value(value) => {
                text.push_str("v:");
                push_json(&mut text, value);
            }
            Self::Index(index) => {
                // Writing to a string cannot fail.
                let _ = write!(text, "i:{index}");
            }
        }
        text
    }
}

/// Appends JSON as Go writes it: with `<`, `>` and `&` escaped.
fn push_json(text: &mut String, value: &Value) {
    match value {
        Value::String(value) => push_text(text, value),
        other => push_escaped(text, other),
    }
}

/// The same of a text, most of which need no escapes.
fn push_text(text: &mut String, value: &str) {
    let is_plain = |byte: u8| byte >= b' ' && !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&');
    match value.bytes().all(is_plain) {
        true => {
            text.push('"');
            text.push_str(value);
            text.push('"');
        }
        false => push_escaped(text, value),
    }
}

fn push_escaped(text: &mut String, value: &(impl serde::Serialize + ?Sized)) {
    let json = serde_json::to_string(value).unwrap_or_default();
    if !json.contains(['<', '>', '&']) {
        text.push_str(&json);
        return;
    }
    for character in json.chars() {
        match character {
            '<' => text.push_str("\\u003c"),
            '>' => text.push_str("\\u003e"),
            '&' => text.push_str("\\u0026"),
            other => text.push(other),
        }
    }
}

impl fmt::Display for Element {
    /// The form of messages: `.spec`, `[name="web"]`, `[="a"]`, `[3]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(keys) => {
                let keys: Vec<String> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
                write!(f, "[{}]", keys.join(","))
            }
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

impl Ord for Element {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(a), Self::Field(b)) => a.cmp(b),
            (Self::Key(a), Self::Key(b)) => keys(a, b),
            (Self::Value(a), Self::Value(b)) => values(a, b),
            (Self::Index(a), Self::Index(b)) => a.cmp(b),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }
}

impl Element {
    /// How it compares to the member of this name.
    pub(super) fn cmp_field(&self, name: &str) -> Ordering {
        match self {
            Self::Field(own) => (**own).cmp(name),
            _ => Ordering::Greater,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }
}

impl PartialOrd for Element {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Element {}

fn keys(a: &[(Box<str>, Value)], b: &[(Box<str>, Value)]) -> Ordering {
    let unequal = a.iter().zip(b).map(|(a, b)| a.0.cmp(&b.0).then_with(|| values(&a.1, &b.1))).find(|o| o.is_ne());
    unequal.unwrap_or_else(|| a.len().cmp(&b.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_are_read_and_written() {
        for (text, shown) in [
            ("f:spec", ".spec"),
            ("f:a.b/c", ".a.b/c"),
            ("k:{\"name\":\"web\"}", "[name=\"web\"]"),
            ("k:{\"containerPort\":80,\"protocol\":\"TCP\"}", "[containerPort=80,protocol=\"TCP\"]"),
            ("v:\"kubernetes.io/x\"", "[=\"kubernetes.io/x\"]"),
            ("v:\"\\u003ca\\u0026\"", "[=\"<a&\"]"),
            ("v:1", "[=1]"),
            ("i:3", "[3]"),
        ] {
            let element = Element::parse(text).expect(text).expect("a known type");
            assert_eq!((element.text().as_str(), element.to_string().as_str()), (text, shown));
        }
        assert_eq!(Element::parse("x:1"), Ok(None));
        for text in ["", "f", "spec", "v:{", "k:[]", "k:1", "i:x", "é:x"] {
            assert!(Element::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn elements_are_ordered_as_upstream_orders_them() {
        let port = |number: i64| Element::Key([("port".into(), json!(number))].into());
        let two = Element::Key([("port".into(), json!(80)), ("protocol".into(), json!("TCP"))].into());
        let ascending = [
            Element::field("a"),
            Element::field("b"),
            Element::Key([("name".into(), json!("z"))].into()),
            port(80),
            two,
            port(443),
            Element::Value(json!(9)),
            Element::Value(json!(9.5)),
            Element::Value(json!("a")),
            Element::Value(json!(false)),
            Element::Value(json!([1])),
            Element::Value(json!(null)),
            Element::Index(1),
            Element::Index(2),
        ];
        assert!(ascending.windows(2).all(|pair| pair[0] < pair[1]), "{ascending:?}");
    }
}
