//! Merging, ordering and thinning out lists.

use super::directives::{DELETE_FROM, Directive, ORDER, unknown};
use crate::patch::{GoMap, PatchError};
use apimachinery::{Map, Value};
use std::collections::{HashMap, HashSet};

/// What tells the element apart from others: its merge key's value, or itself for scalars.
pub(super) fn identity(item: &Value, key: &str) -> Result<String, PatchError> {
    let missing = || PatchError::Failed(format!("map: {} does not contain declared merge key: {key}", GoMap(item)));
    identity_of(item, key).ok_or_else(missing)
}

fn identity_of(item: &Value, key: &str) -> Option<String> {
    match (key, item) {
        ("", item) => Some(item.to_string()),
        (key, item) => item.get(key).map(Value::to_string),
    }
}

/// Where each element is; of equal ones the first.
pub(super) fn places(list: &[Value], key: &str) -> HashMap<String, usize> {
    let mut places = HashMap::with_capacity(list.len());
    for (at, item) in list.iter().enumerate() {
        if let Some(identity) = identity_of(item, key) {
            places.entry(identity).or_insert(at);
        }
    }
    places
}

/// Both lists without repetitions, in the order that [`ordered`] gives.
pub(super) fn scalars(old: Vec<Value>, new: Vec<Value>) -> Vec<Value> {
    let mut seen = HashSet::new();
    let both = old.iter().chain(&new).filter(|item| seen.insert(item.to_string())).cloned().collect();
    ordered(both, &new, &old, "")
}

/// Takes the scalars in `gone` out of the target's list.
pub(super) fn delete_scalars(target: &mut Map, list: &str, gone: &Value) -> Result<(), PatchError> {
    let Some(gone) = gone.as_array() else {
        return Err(PatchError::Malformed(format!("{DELETE_FROM}{list} is not a list")));
    };
    if let Some(Value::Array(items)) = target.get_mut(list) {
        let gone: HashSet<String> = gone.iter().map(Value::to_string).collect();
        items.retain(|item| !gone.contains(&item.to_string()));
    }
    Ok(())
}

/// Obeys the `$patch` directives of elements; returns what is left of the target's list, and the
/// elements to merge into it.
pub(super) fn without_directives(
    mut old: Vec<Value>,
    new: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let (mut plain, mut deleted, mut replaces) = (Vec::new(), HashSet::new(), false);
    for item in new {
        match item.as_object().map(Directive::of).transpose()?.flatten() {
            None => plain.push(item),
            Some(Directive::Delete) => drop(deleted.insert(identity(&item, key)?)),
            Some(Directive::Replace) => replaces = true,
            Some(Directive::Merge) => return Err(unknown("merging lists cannot yet be specified in the patch")),
        }
    }
    if replaces {
        return Ok((Vec::new(), plain));
    }
    if !deleted.is_empty() {
        old.retain(|item| identity_of(item, key).is_none_or(|identity| !deleted.contains(&identity)));
    }
    Ok((old, plain))
}

/// Orders a merged list. Elements that `order` names stand in its order, the others in that of
/// the target's list, and both are woven together so that neither order is broken and the
/// target's is kept between them where it can be.
pub(super) fn ordered(merged: Vec<Value>, order: &[Value], old: &[Value], key: &str) -> Vec<Value> {
    let (wanted, present) = (places(order, key), places(old, key));
    let place = |places: &HashMap<String, usize>, item: &Value| {
        identity_of(item, key).and_then(|identity| places.get(&identity).copied())
    };
    let mut named = Vec::new();
    let mut others = Vec::new();
    for item in merged {
        let before = place(&present, &item);
        match place(&wanted, &item) {
            Some(at) => named.push((at, before, item)),
            None => others.push((before, item)),
        }
    }
    named.sort_by_key(|(at, ..)| *at);
    // What is not in the target's list stays behind it.
    others.sort_by_key(|(before, _)| before.unwrap_or(usize::MAX));
    woven(others, named)
}

fn woven(others: Vec<(Option<usize>, Value)>, named: Vec<(usize, Option<usize>, Value)>) -> Vec<Value> {
    let mut list = Vec::with_capacity(others.len() + named.len());
    let mut others = others.into_iter().peekable();
    for (_, place, item) in named {
        while let (Some((Some(other), _)), Some(place)) = (others.peek(), place) {
            if *other >= place {
                break;
            }
            list.extend(others.next().map(|(_, item)| item));
        }
        list.push(item);
    }
    list.extend(others.map(|(_, item)| item));
    list
}

/// The patch's elements must stand in the order that it asks for itself.
pub(super) fn check_order(new: &[Value], order: &[Value], key: &str) -> Result<(), PatchError> {
    let wanted = places(order, key);
    let deletes = |item: &Value| item.get(super::DIRECTIVE).is_some_and(|word| word == "delete");
    let mut last = None;
    for item in new.iter().filter(|item| !deletes(item)) {
        let at = wanted.get(&identity(item, key)?).copied();
        if at.is_none() || at < last {
            let (new, order) = (Value::Array(new.to_vec()), Value::Array(order.to_vec()));
            let (new, order) = (GoMap(&new), GoMap(&order));
            return Err(PatchError::Failed(format!(
                "The order in patch list:\n{new}\n doesn't match {ORDER} list:\n{order}\n"
            )));
        }
        last = at;
    }
    Ok(())
}
