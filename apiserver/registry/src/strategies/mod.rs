//! One file per group or resource, saying only what is different.

mod apps;
mod config;
mod core;
mod networking;
pub(crate) mod pods;
mod storage;

use crate::strategy::Strategy;
use apimachinery::{Map, Value};

/// A group's rows: plural name and strategy.
pub(crate) type Rows = &'static [(&'static str, Strategy)];

/// All rows with their group.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, Rows)> {
    [core::GROUPS, apps::GROUPS, networking::GROUPS, storage::GROUPS, config::GROUPS].into_iter().flatten().copied()
}

/// Drops members below one of the object that belong to a feature that is off, unless the old object has them.
pub(crate) fn drop_unused(new: &mut Value, old: &Value, part: &str, members: &[&str]) {
    let Some(map) = new.get_mut(part).and_then(Value::as_object_mut) else { return };
    for member in members {
        if old.get(part).is_none_or(|old| old.get(*member).is_none()) {
            map.remove(*member);
        }
    }
}

/// A string below the object, or the empty string.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A member of the object as a map, made if absent.
pub(crate) fn member<'a>(object: &'a mut Value, name: &str) -> &'a mut Map {
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let map = object.as_object_mut().expect("made an object above");
    let member = map.entry(name).or_insert_with(|| Value::Object(Map::new()));
    if !member.is_object() {
        *member = Value::Object(Map::new());
    }
    member.as_object_mut().expect("made an object above")
}
