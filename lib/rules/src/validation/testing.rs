//! What table tests of checks share.

use super::check::Report;
use apimachinery::Value;

/// What a check finds, as texts.
pub(super) fn found(check: impl FnOnce(&mut Report)) -> Vec<String> {
    let mut report = Report::default();
    check(&mut report);
    report.finish().iter().map(ToString::to_string).collect()
}

/// A value with other members at some paths; null removes one.
pub(super) fn with(base: &Value, changes: &[(&str, Value)]) -> Value {
    let mut changed = base.clone();
    for &(pointer, ref value) in changes {
        let (parent, key) = pointer.rsplit_once('/').expect("a path");
        let parent = changed.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
        match value {
            Value::Null => parent.remove(key),
            value => parent.insert(key.to_owned(), value.clone()),
        };
    }
    changed
}
