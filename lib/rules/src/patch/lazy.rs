//! JSON that is read no deeper than a patch reaches into it. The rest stays the text that it came as: its members keep
//! their order, its numbers their spelling, and what was given twice is still there.
//!
//! Upstream: `lazyNode` in `gopkg.in/evanphx/json-patch.v4`.

use apimachinery::go::{is_spelled_out, push_json_text};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Levels that a patch reaches into at most: copies can nest what no body could.
pub(super) const MAX_DEPTH: usize = 200;

/// A value; `None` where one may stand is `null`.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// Not read yet.
    Text(Box<str>),
    /// Read as an object; texts of it are written with sorted members.
    Object(Members),
    /// Read as a list.
    List(Vec<Option<Node>>),
}

/// The members of an object that has been read.
pub(super) type Members = BTreeMap<String, Option<Node>>;

impl Node {
    /// The node of a well-formed text.
    pub(super) fn of(text: &str) -> Option<Self> {
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        (text != "null").then(|| Self::Text(text.into()))
    }

    /// The members, if this is an object.
    pub(super) fn as_object(&mut self) -> Option<&mut Members> {
        if let Self::Text(text) = self {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
            let members = members.into_iter().map(|(name, value)| (name, Self::of(value.get())));
            *self = Self::Object(members.collect());
        }
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The elements, if this is a list.
    pub(super) fn as_list(&mut self) -> Option<&mut Vec<Option<Self>>> {
        if let Self::Text(text) = self {
            let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            *self = Self::List(elements.into_iter().map(|value| Self::of(value.get())).collect());
        }
        match self {
            Self::List(elements) => Some(elements),
            _ => None,
        }
    }

    /// Whether both are the same; other values than objects and lists are if their texts are. What is too deep is not.
    fn is_same(&mut self, other: &mut Self, depth: usize) -> bool {
        if depth > MAX_DEPTH {
            return false;
        }
        if let Some(members) = self.as_object() {
            let Some(others) = other.as_object().filter(|others| others.len() == members.len()) else { return false };
            return members
                .iter_mut()
                .all(|(name, value)| others.get_mut(name).is_some_and(|other| same(value, other, depth + 1)));
        }
        if let Some(elements) = self.as_list() {
            let Some(others) = other.as_list().filter(|others| others.len() == elements.len()) else { return false };
            return elements.iter_mut().zip(others).all(|(value, other)| same(value, other, depth + 1));
        }
        match (self, other) {
            (Self::Text(own), Self::Text(other)) => own == other,
            _ => false,
        }
    }

    /// Takes out the members that are `null`, at any depth.
    pub(super) fn prune(&mut self) {
        if let Some(members) = self.as_object() {
            members.retain(|_, value| value.is_some());
            members.values_mut().flatten().for_each(Self::prune);
        } else if let Some(elements) = self.as_list() {
            elements.iter_mut().flatten().for_each(Self::prune);
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Text(text) => compact(out, text),
            Self::Object(members) => {
                out.push('{');
                for (at, (name, value)) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    push_json_text(out, name);
                    out.push(':');
                    write(value.as_ref(), out);
                }
                out.push('}');
            }
            Self::List(elements) => {
                out.push('[');
                for (at, value) in elements.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    write(value.as_ref(), out);
                }
                out.push(']');
            }
        }
    }
}

/// Whether both are the same, `null` included; they are so deep in what is compared.
pub(super) fn same(one: &mut Option<Node>, other: &mut Option<Node>, depth: usize) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.is_same(other, depth),
        (one, other) => one.is_none() && other.is_none(),
    }
}

/// The text of a value.
pub(super) fn text(value: Option<&Node>) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: Option<&Node>, out: &mut String) {
    match value {
        None => out.push_str("null"),
        Some(node) => node.write(out),
    }
}

/// Appends a text without white space, with what HTML would read spelled out.
fn compact(out: &mut String, text: &str) {
    let (mut is_string, mut is_escaped) = (false, false);
    for c in text.chars() {
        match c {
            ' ' | '\t' | '\r' | '\n' if !is_string => continue,
            // Writing to a text does not fail.
            c if is_spelled_out(c) => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
        is_string = is_string != (c == '"' && !is_escaped);
        is_escaped = is_string && c == '\\' && !is_escaped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_read_stays_as_it_is() {
        let mut node =
            Node::of(r#" {"b": {"z": 1e3, "a":"\u0041<", "z" : "\" "}, "a": null, "c":[ 1.0 ,{}]} "#).expect("a value");
        assert_eq!(text(Some(&node)), r#"{"b":{"z":1e3,"a":"\u0041\u003c","z":"\" "},"a":null,"c":[1.0,{}]}"#);
        assert_eq!(node.as_object().map(|members| members.len()), Some(3));
        assert_eq!(text(Some(&node)), r#"{"a":null,"b":{"z":1e3,"a":"\u0041\u003c","z":"\" "},"c":[1.0,{}]}"#);
        node.prune();
        assert_eq!(text(Some(&node)), r#"{"b":{"a":"\u0041\u003c","z":"\" "},"c":[1.0,{}]}"#);
        assert!(Node::of("null").is_none() && node.as_list().is_none());
    }

    #[test]
    fn scalars_are_compared_by_their_texts() {
        for (one, other, want) in [
            ("1", "1", true),
            ("1", "1.0", false),
            (r#""A""#, r#""\u0041""#, false),
            (r#"{"a":[1,null],"b":{}}"#, r#"{ "b": {}, "a": [1, null] }"#, true),
            (r#"{"a":1}"#, r#"{"a":1,"b":null}"#, false),
            ("[]", "{}", false),
            ("[1]", "[1,2]", false),
            ("null", "null", true),
            ("null", "0", false),
        ] {
            assert_eq!(same(&mut Node::of(one), &mut Node::of(other), 0), want, "{one} {other}");
        }
    }
}
