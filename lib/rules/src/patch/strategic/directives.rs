//! The members of a patch that are instructions.

use crate::patch::{GoMap, PatchError};
use apimachinery::{Map, Value};

/// What to do with the object or list element that it stands in.
pub(super) const DIRECTIVE: &str = "$patch";
/// The members that stay; all others go.
pub(super) const RETAIN: &str = "$retainKeys";
/// The order of a list.
pub(super) const ORDER: &str = "$setElementOrder/";
/// Scalars to take out of a list.
pub(super) const DELETE_FROM: &str = "$deleteFromPrimitiveList/";

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
            Some(other) => {
                let (word, map) = (Value::clone(other), Value::Object(patch.clone()));
                Err(PatchError::Failed(format!("unknown patch type: {} in map: {}", GoMap(&word), GoMap(&map))))
            }
        }
    }
}

pub(super) fn unknown(word: impl std::fmt::Display) -> PatchError {
    PatchError::NotApplicable(format!("unknown patch type: {word}"))
}

/// Removes from the target what the list does not name. The patch may only set what it names.
pub(super) fn retain(target: &mut Map, patch: &Map, retained: &Value) -> Result<(), PatchError> {
    const WRONG: &str = "invalid patch format of retainKeys";
    let list = retained.as_array().ok_or_else(|| PatchError::Malformed(WRONG.into()))?;
    let names = |key: &str| list.iter().any(|name| name == key);
    let is_list_directive = |key: &str| key.starts_with(DELETE_FROM) || key.starts_with(ORDER);
    if patch.iter().any(|(key, value)| !value.is_null() && !is_list_directive(key) && !names(key)) {
        return Err(PatchError::Malformed(WRONG.into()));
    }
    target.retain(|key, _| names(key));
    Ok(())
}

/// A value that the target does not have yet, without directives and nulls; `None` if it says what
/// to do with a target: upstream drops it then, whatever that is.
pub(super) fn clean(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) => {
            if map.contains_key(DIRECTIVE) {
                return None;
            }
            let members = map.into_iter().filter(|(key, value)| !is_directive(key) && !value.is_null());
            Some(Value::Object(members.filter_map(|(key, value)| Some((key, clean(value)?))).collect()))
        }
        Value::Array(list) => Some(Value::Array(cleaned(list))),
        value => Some(value),
    }
}

pub(super) fn cleaned(list: Vec<Value>) -> Vec<Value> {
    list.into_iter().filter_map(clean).collect()
}

fn is_directive(key: &str) -> bool {
    key == DIRECTIVE || key == RETAIN || key.starts_with(ORDER) || key.starts_with(DELETE_FROM)
}

/// Takes a list out of an object.
pub(super) fn take_list(map: &mut Map, key: &str) -> Result<Option<Vec<Value>>, PatchError> {
    match map.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(list)) => Ok(Some(list)),
        Some(_) => Err(PatchError::Malformed(format!("{key} is not a list"))),
    }
}
