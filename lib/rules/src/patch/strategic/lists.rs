//! Merging lists, and thinning them out.

use super::directives::{DIRECTIVE, Directive, Members};
use crate::patch::PatchError;
use apimachinery::go::Plain;
use apimachinery::{Map, Value};

/// The Go type of a value in a tree.
pub(super) fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "%!s(<nil>)",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_i64() => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// That a value is no list.
pub(super) fn not_a_list(value: &Value) -> PatchError {
    unexpected("[]interface {}", value)
}

fn unexpected(wanted: &str, value: &Value) -> PatchError {
    PatchError::Failed(format!("expected a {wanted}, but received a {}", go_type(value)))
}

/// The element as an object.
pub(super) fn object(item: &Value) -> Result<&Map, PatchError> {
    item.as_object().ok_or_else(|| unexpected("map[string]interface {}", item))
}

/// What tells an element apart from others: its merge key's value.
pub(super) fn identity<'a>(item: &'a Map, key: &str) -> Result<&'a Value, PatchError> {
    let missing = || PatchError::Failed(format!("map: {} does not contain declared merge key: {key}", Members(item)));
    item.get(key).ok_or_else(missing)
}

/// Where in a list the element of this identity is; of equal ones the first.
pub(super) fn position(list: &[Value], key: &str, identity: &Value) -> Result<Option<usize>, PatchError> {
    for (at, item) in list.iter().enumerate() {
        let map = item.as_object();
        let map = map.ok_or_else(|| PatchError::Failed(format!("value for key {at} is not a map")))?;
        if map.get(key) == Some(identity) {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// Whether the elements of all lists are objects; all must be of one type, which is not that of a list.
pub(super) fn are_objects(lists: &[&Vec<Value>]) -> Result<bool, PatchError> {
    let mut items = lists.iter().flat_map(|list| list.iter());
    let first = items.next().ok_or_else(|| PatchError::Failed("no elements in any of the given slices".into()))?;
    match first {
        Value::Array(_) => return Err(PatchError::NotApplicable("lists of lists are not supported".into())),
        Value::Null => return Err(PatchError::Panicked("invalid memory address or nil pointer dereference".into())),
        _ => {}
    }
    if items.any(|item| go_type(item) != go_type(first)) {
        let shown: Vec<String> = lists.iter().map(|list| Plain(&Value::Array(list.to_vec())).to_string()).collect();
        return Err(PatchError::Failed(format!("list element types are not identical: [{}]", shown.join(" "))));
    }
    Ok(first.is_object())
}

/// Both lists without repetitions.
pub(super) fn scalars(old: &[Value], new: &[Value]) -> Vec<Value> {
    let mut both: Vec<Value> = Vec::with_capacity(old.len() + new.len());
    for item in old.iter().chain(new) {
        if !both.contains(item) {
            both.push(item.clone());
        }
    }
    both
}

/// The scalars that are not in `gone`.
pub(super) fn without(old: Vec<Value>, gone: &[Value]) -> Vec<Value> {
    old.into_iter().filter(|item| !gone.contains(item)).collect()
}

/// Obeys the `$patch` directives of elements; returns what is left of the target's list, and the places of the elements
/// to merge into it.
pub(super) fn without_directives(
    mut old: Vec<Value>,
    new: &[Value],
    key: &str,
) -> Result<(Vec<Value>, Vec<usize>), PatchError> {
    let (mut plain, mut replaces) = (Vec::new(), false);
    for (at, item) in new.iter().enumerate() {
        let item = object(item)?;
        match Directive::of(item)? {
            None => plain.push(at),
            Some(Directive::Delete) => {
                let gone = identity(item, key)?;
                old.retain(|item| item.get(key) != Some(gone));
            }
            Some(Directive::Replace) => replaces = true,
            Some(Directive::Merge) => {
                return Err(PatchError::Failed("merging lists cannot yet be specified in the patch".into()));
            }
        }
    }
    match replaces {
        true => Ok((plain.into_iter().filter_map(|at| new.get(at).cloned()).collect(), Vec::new())),
        false => Ok((old, plain)),
    }
}

/// Whether an element says that it goes.
pub(super) fn is_deletion(item: &Map) -> bool {
    item.get(DIRECTIVE).is_some_and(|word| word == "delete")
}
