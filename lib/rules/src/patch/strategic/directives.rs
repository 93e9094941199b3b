//! The members of a patch that are instructions.

use crate::patch::PatchError;
use apimachinery::go::Plain;
use apimachinery::{Map, Value};
use std::fmt;

/// What to do with the object or list element that it stands in.
pub(super) const DIRECTIVE: &str = "$patch";
/// The members that stay; all others go.
pub(super) const RETAIN: &str = "$retainKeys";
/// The order of the list whose name follows a slash.
pub(super) const ORDER: &str = "$setElementOrder";
/// Scalars to take out of the list whose name follows a slash.
pub(super) const DELETE_FROM: &str = "$deleteFromPrimitiveList";

/// The values of `$patch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Directive {
    Replace,
    Delete,
    Merge,
}

impl Directive {
    pub(super) fn of(patch: &Map) -> Result<Option<Self>, PatchError> {
        match patch.get(DIRECTIVE) {
            None => Ok(None),
            Some(Value::String(word)) if word == "replace" => Ok(Some(Self::Replace)),
            Some(Value::String(word)) if word == "delete" => Ok(Some(Self::Delete)),
            Some(Value::String(word)) if word == "merge" => Ok(Some(Self::Merge)),
            Some(_) => Err(unknown(patch)),
        }
    }
}

/// That nothing can be done as `$patch` of the patch says.
pub(super) fn unknown(patch: &Map) -> PatchError {
    let word = patch.get(DIRECTIVE).unwrap_or(&Value::Null);
    PatchError::Failed(format!("unknown patch type: {} in map: {}", Text(word), Members(patch)))
}

/// A value as Go's `%s` prints it, which tells what is no text.
struct Text<'a>(&'a Value);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null => f.write_str("%!s(<nil>)"),
            Value::String(text) => f.write_str(text),
            Value::Bool(set) => write!(f, "%!s(bool={set})"),
            Value::Number(number) if number.is_i64() => write!(f, "%!s(int64={number})"),
            number @ Value::Number(_) => write!(f, "%!s(float64={})", Plain(number)),
            Value::Array(list) => {
                f.write_str("[")?;
                for (at, item) in list.iter().enumerate() {
                    write!(f, "{}{}", if at > 0 { " " } else { "" }, Text(item))?;
                }
                f.write_str("]")
            }
            Value::Object(map) => {
                f.write_str("map[")?;
                for (at, (key, item)) in map.iter().enumerate() {
                    write!(f, "{}{key}:{}", if at > 0 { " " } else { "" }, Text(item))?;
                }
                f.write_str("]")
            }
        }
    }
}

/// An object as Go's `%v` prints it.
pub(super) struct Members<'a>(pub(super) &'a Map);

impl fmt::Display for Members<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("map[")?;
        for (at, (key, value)) in self.0.iter().enumerate() {
            write!(f, "{}{key}:{}", if at > 0 { " " } else { "" }, Plain(value))?;
        }
        f.write_str("]")
    }
}

/// The list that a directive is about.
pub(super) fn list_named<'a>(key: &'a str, directive: &str) -> Result<&'a str, PatchError> {
    let what = if directive == ORDER { "setElementOrder" } else { "primitive" };
    let malformed = || PatchError::Malformed(format!("invalid patch format of {what} list"));
    key.split_once('/').filter(|(head, _)| *head == directive).map(|(_, list)| list).ok_or_else(malformed)
}

/// Removes from the target what the list does not name. The patch may only set what it names.
pub(super) fn retain(target: &mut Map, patch: &Map, retained: &Value) -> Result<(), PatchError> {
    const WRONG: &str = "invalid patch format of retainKeys";
    let list = retained.as_array().ok_or_else(|| PatchError::Malformed(WRONG.into()))?;
    if let Some(item) = list.iter().find(|item| item.is_object() || item.is_array()) {
        return Err(PatchError::unhashable(item));
    }
    let names = |key: &str| list.iter().any(|name| name == key);
    let is_list_directive = |key: &str| key.starts_with(DELETE_FROM) || key.starts_with(ORDER);
    if patch.iter().any(|(key, value)| !value.is_null() && !is_list_directive(key) && !names(key)) {
        return Err(PatchError::Malformed(WRONG.into()));
    }
    target.retain(|key, _| names(key));
    Ok(())
}

/// Takes the members that are `null` out of a value and of all that is in it.
pub(super) fn discard_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(discard_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(discard_nulls),
        _ => {}
    }
}

/// A value without the objects in it that have a `$patch`; `None` if it is one itself. Objects lose what is dropped in
/// the patch, too, lists do not.
pub(super) fn cleaned(value: &mut Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(DIRECTIVE) => None,
        Value::Object(map) => {
            let members = std::mem::take(map);
            let mut kept = Map::new();
            for (key, mut value) in members {
                if let Some(clean) = cleaned(&mut value) {
                    kept.insert(key.clone(), clean.clone());
                    map.insert(key, clean);
                }
            }
            Some(Value::Object(kept))
        }
        Value::Array(list) => Some(Value::Array(cleaned_list(list))),
        value => Some(value.clone()),
    }
}

pub(super) fn cleaned_list(list: &mut [Value]) -> Vec<Value> {
    list.iter_mut().filter_map(cleaned).collect()
}
