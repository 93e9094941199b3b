//! YAML into trees, noting where a key is given twice.

use super::go;
use crate::codec::DecodeError;
use crate::{Map, Value};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Options, Spanned};
use std::cell::RefCell;
use std::fmt;

/// Findings reported at most.
const MAX_FINDINGS: usize = 100;

/// The first document, and what is said about its duplicate keys. Nobody looks at what is behind it.
pub(super) fn read(bytes: &[u8], options: Options) -> Result<(Value, Vec<String>), DecodeError> {
    // Whatever the parser takes, it is no YAML where Go's reader knows none.
    let end = go::first_document(bytes).map_err(|fault| DecodeError::Syntax(format!("yaml: {fault}")))?;
    parse(&bytes[..end], options).map_err(|error| go_words(&error))
}

/// What the parser reads, or what it says, which draws the place below its message.
fn parse(bytes: &[u8], options: Options) -> Result<(Value, Vec<String>), String> {
    let duplicates = RefCell::new(Vec::new());
    let seed = Node { duplicates: &duplicates };
    let value = serde_saphyr::with_deserializer_from_slice_with_options(bytes, options, |d| seed.deserialize(d))
        .map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())?;
    Ok((value, duplicates.into_inner()))
}

/// What is wrong with a text that is well-formed, as Go's YAML reader has it, or as we do if only we mind.
fn go_words(text: &str) -> DecodeError {
    let (place, what) = match text.strip_prefix("error: line ").and_then(|placed| placed.split_once(": ")) {
        Some((place, what)) => (place.split(' ').next().unwrap_or_default(), what),
        None => ("", text),
    };
    let said = |what: &str| DecodeError::Syntax(format!("yaml: {what}"));
    if what.starts_with("json: ") || what.starts_with("unsupported map key") {
        return DecodeError::Syntax(what.to_owned());
    }
    if let Some((_, number)) = what.split_once("non-finite float `") {
        let go = match number.get(..2) {
            Some("-.") => "-Inf",
            Some(".n" | ".N") => "NaN",
            _ => "+Inf",
        };
        return DecodeError::Syntax(format!("json: unsupported value: {go}"));
    }
    match what {
        what if what.starts_with("invalid map key") => said(what),
        what if what.starts_with("alias replay limit") => said("document contains excessive aliasing"),
        what if what.starts_with("YAML merge value must be") => {
            said("map merge requires map or sequence of maps as the value")
        }
        what if what.starts_with("invalid !!binary") => said("!!binary value contains invalid base64 data"),
        what if matches!(place, "" | "1") => said(what),
        what => said(&format!("line {place}: {what}")),
    }
}

#[derive(Clone, Copy)]
struct Node<'a> {
    duplicates: &'a RefCell<Vec<String>>,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        // Go writes a whole float without a fraction, so that it fits an integer field.
        if value.fract() == 0.0 && value.abs() < 1e15 {
            return Ok((value as i64).into());
        }
        match serde_json::Number::from_f64(value) {
            Some(number) => Ok(number.into()),
            None => Err(E::custom(format!("json: unsupported value: {value}"))),
        }
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<Spanned<Key>>()? {
            let value = entries.next_value_seed(self)?;
            let line = key.referenced.line();
            let Key(Some(key)) = key.value else {
                let why = "unsupported map key of type: %!s(<nil>), key: <nil>, value";
                return Err(A::Error::custom(format!("{why}: {}", go_syntax(&value, true))));
            };
            if map.contains_key(&key) {
                self.duplicate(line, &key);
            }
            map.insert(key, value);
        }
        Ok(map.into())
    }
}

impl Node<'_> {
    fn duplicate(&self, line: u64, key: &str) {
        let mut duplicates = self.duplicates.borrow_mut();
        if duplicates.len() < MAX_FINDINGS {
            duplicates.push(format!("line {line}: key {key:?} already set in map"));
        }
    }
}

/// A key as JSON has it: numbers and booleans in words; nothing is none.
struct Key(Option<String>);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let none = RefCell::new(Vec::new());
        match (Node { duplicates: &none }).deserialize(deserializer)? {
            Value::Null => Ok(Key(None)),
            Value::String(key) => Ok(Key(Some(key))),
            Value::Bool(key) => Ok(Key(Some(key.to_string()))),
            Value::Number(key) => Ok(Key(Some(key.to_string()))),
            other => Err(D::Error::custom(format!("invalid map key: {}", go_syntax(&other, true)))),
        }
    }
}

/// A value as Go's `%#v` writes it, which names types: templates that were not filled in are told so.
fn go_syntax(value: &Value, top: bool) -> String {
    match value {
        Value::Null if top => "<nil>".into(),
        Value::Null => "interface {}(nil)".into(),
        Value::String(text) => format!("{text:?}"),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| go_syntax(item, false)).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entries = entries.iter().map(|(key, value)| format!("{key:?}:{}", go_syntax(value, false)));
            format!("map[interface {{}}]interface {{}}{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}
