//! The order of merged lists.

use super::directives::{DIRECTIVE, ORDER};
use super::lists::{self, object};
use crate::patch::PatchError;
use apimachinery::Value;
use apimachinery::go::Plain;

/// Orders a merged list. Elements that `order` names stand in its order, the others in that of
/// the target's list before, and both are woven together so that neither order is broken and the
/// target's is kept between them where it can be.
pub(super) fn woven(
    merged: Vec<Value>,
    order: &[Value],
    before: &[Value],
    (key, are_objects): (&str, bool),
) -> Result<Vec<Value>, PatchError> {
    let (named, others) = parted(merged, order, key)?;
    Lists { order, before, key, are_objects }.ordered(named, others)
}

/// The elements that a list names, and the others.
pub(super) fn parted(merged: Vec<Value>, order: &[Value], key: &str) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let (mut named, mut others) = (Vec::new(), Vec::new());
    for item in merged {
        let is_named = match key {
            "" if item.is_object() || item.is_array() => return Err(PatchError::unhashable(&item)),
            "" => order.contains(&item),
            key => lists::position(order, key, lists::identity(object(&item)?, key)?)?.is_some(),
        };
        if is_named { &mut named } else { &mut others }.push(item);
    }
    Ok((named, others))
}

/// What decides on the order of a list.
pub(super) struct Lists<'a> {
    /// The order of the elements that it names.
    pub(super) order: &'a [Value],
    /// The target's list, the order of the others.
    pub(super) before: &'a [Value],
    pub(super) key: &'a str,
    pub(super) are_objects: bool,
}

impl Lists<'_> {
    pub(super) fn ordered(&self, named: Vec<Value>, others: Vec<Value>) -> Result<Vec<Value>, PatchError> {
        let named = self.sorted(named, self.order)?;
        let others = self.sorted(others, self.before)?;
        let mut list = Vec::with_capacity(named.len() + others.len());
        let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
        loop {
            let is_others = match (others.peek(), named.peek()) {
                (None, None) => return Ok(list),
                (Some(other), Some(named)) => match (self.place(self.before, other), self.place(self.before, named)) {
                    (Some(other), Some(named)) => other < named,
                    _ => false,
                },
                (other, _) => other.is_some(),
            };
            list.extend(if is_others { others.next() } else { named.next() });
        }
    }

    /// Sorts by an order, as upstream's stable sort of few elements does: one that the order does not know goes in front.
    fn sorted(&self, mut list: Vec<Value>, order: &[Value]) -> Result<Vec<Value>, PatchError> {
        let mut gone = Vec::new();
        if self.are_objects {
            for item in list.iter().chain(order) {
                lists::identity(object(item)?, self.key)?;
            }
            let is_gone = |item: &Value| item.as_object().is_some_and(lists::is_deletion);
            (gone, list) = list.into_iter().partition(is_gone);
        }
        let places: Vec<Option<usize>> = list.iter().map(|item| self.place(order, item)).collect();
        let mut sorted: Vec<usize> = (0..list.len()).collect();
        for end in 1..sorted.len() {
            let mut at = end;
            while at > 0 && is_before(places[sorted[at]], places[sorted[at - 1]]) {
                sorted.swap(at, at - 1);
                at -= 1;
            }
        }
        let mut list: Vec<Value> = sorted.into_iter().map(|at| std::mem::take(&mut list[at])).collect();
        list.append(&mut gone);
        Ok(list)
    }

    /// Where in an order an element stands.
    fn place(&self, order: &[Value], item: &Value) -> Option<usize> {
        match self.are_objects {
            true => order.iter().position(|other| other.get(self.key) == item.get(self.key)),
            false => order.iter().position(|other| other == item),
        }
    }
}

fn is_before(one: Option<usize>, other: Option<usize>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one < other,
        _ => true,
    }
}

/// The patch's elements must stand in the order that it asks for itself.
pub(super) fn check(new: &[Value], order: &[Value], key: &str) -> Result<(), PatchError> {
    if new.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut kept = Vec::with_capacity(new.len());
    for item in new {
        if key.is_empty() || !lists::is_deletion(object(item)?) {
            kept.push(item);
        }
    }
    let mut wanted = order.iter();
    let mut items = kept.into_iter().filter(|item| item.get(DIRECTIVE).is_none()).peekable();
    while let Some(item) = items.peek() {
        let Some(next) = wanted.next() else {
            let (new, order) = (Value::Array(new.to_vec()), Value::Array(order.to_vec()));
            return Err(PatchError::Failed(format!(
                "The order in patch list:\n{}\n doesn't match {ORDER} list:\n{}\n",
                Plain(&new),
                Plain(&order)
            )));
        };
        if is_equal(item, next, key)? {
            items.next();
        }
    }
    Ok(())
}

fn is_equal(item: &Value, other: &Value, key: &str) -> Result<bool, PatchError> {
    if key.is_empty() {
        return match (item, other) {
            (Value::Object(_), Value::Object(_)) | (Value::Array(_), Value::Array(_)) => {
                Err(PatchError::uncomparable(item))
            }
            _ => Ok(item == other),
        };
    }
    let (item, other) = (object(item)?, object(other)?);
    Ok(lists::identity(item, key)? == lists::identity(other, key)?)
}
