//! YAML into trees, noting where a key is given twice.

use crate::codec::DecodeError;
use crate::{Map, Value};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Options, Spanned};
use std::cell::RefCell;
use std::fmt;

/// Findings reported at most.
const MAX_FINDINGS: usize = 100;

/// The first document, and what is said about its duplicate keys.
pub(super) fn read(bytes: &[u8], options: Options) -> Result<(Value, Vec<String>), DecodeError> {
    let duplicates = RefCell::new(Vec::new());
    let seed = Node { duplicates: &duplicates };
    let value = serde_saphyr::with_deserializer_from_slice_with_options(bytes, options, |d| seed.deserialize(d))
        .map_err(|error| DecodeError::Syntax(format!("yaml: {}", go_words(first_line(&error.to_string())))))?;
    Ok((value, duplicates.into_inner()))
}

/// The parser draws the place below its message.
fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// The parser's message as Go's YAML reader has it: the line before it, if it is not the first.
fn go_words(text: &str) -> String {
    if text.contains("not valid UTF-8") {
        return "invalid leading UTF-8 octet".into();
    }
    let Some(placed) = text.strip_prefix("error: line ") else { return text.to_owned() };
    let Some((place, what)) = placed.split_once(": ") else { return text.to_owned() };
    let line = place.split(' ').next().unwrap_or_default();
    let what = what.strip_prefix("while scanning a YAML directive, ").unwrap_or(what);
    match line {
        "" | "1" => what.to_owned(),
        line => format!("line {line}: {what}"),
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
            let Key(key) = key.value;
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

/// A key as JSON has it: numbers and booleans in words.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let none = RefCell::new(Vec::new());
        match (Node { duplicates: &none }).deserialize(deserializer)? {
            Value::String(key) => Ok(Key(key)),
            Value::Bool(key) => Ok(Key(key.to_string())),
            Value::Number(key) => Ok(Key(key.to_string())),
            other => Err(D::Error::custom(format!("unsupported map key: {other}"))),
        }
    }
}
