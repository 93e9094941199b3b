//! Picks objects out of a state.

use super::state::Objects;
use crate::object::Object;
use crate::query::Selection;
use std::ops::Bound;
use std::sync::Arc;

/// A range of keys and how many objects of it are wanted.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    /// All keys start with this.
    pub(crate) prefix: String,
    /// First key, at or after the prefix.
    pub(crate) start: String,
    /// At most this many objects; `usize::MAX` for all.
    pub(crate) limit: usize,
}

impl Span {
    /// All keys that a selection can concern.
    pub(crate) fn all(prefix: &str, selection: &Selection) -> Self {
        let prefix = match &selection.namespace {
            Some(namespace) => format!("{prefix}{namespace}/"),
            None => prefix.to_owned(),
        };
        Self { start: prefix.clone(), prefix, limit: usize::MAX }
    }

    fn has(&self, key: &str) -> bool {
        key.starts_with(&self.prefix) && key >= self.start.as_str()
    }
}

impl Selection {
    /// Whether it selects by labels or fields.
    pub(crate) fn has_selectors(&self) -> bool {
        !self.labels.requirements.is_empty() || !self.fields.terms.is_empty()
    }

    /// Whether an object is selected.
    pub(crate) fn matches(&self, object: &Object) -> bool {
        self.namespace.as_ref().is_none_or(|namespace| object.namespace() == namespace)
            && (self.labels.requirements.is_empty() || self.labels.matches(|key| object.label(key)))
            && (self.fields.terms.is_empty() || self.fields.matches(|label| object.field(label)))
    }
}

/// Selected objects out of candidates, in key order.
pub(super) fn filter(mut found: Vec<Arc<Object>>, selection: &Selection, span: &Span) -> Vec<Arc<Object>> {
    found.retain(|object| span.has(object.key()) && selection.matches(object));
    found.sort_unstable_by(|a, b| a.key().cmp(b.key()));
    found.truncate(span.limit);
    found
}

/// Selected objects of a state, in key order.
pub(crate) fn scan(objects: &Objects, selection: &Selection, span: &Span) -> Vec<Arc<Object>> {
    let is_everything = span.limit == usize::MAX && !selection.has_selectors() && selection.namespace.is_none();
    let mut selected = Vec::with_capacity(if is_everything { objects.len() } else { 0 });
    let from = (Bound::Included(span.start.as_str()), Bound::Unbounded);
    for entry in objects.range::<_, str>(from) {
        let object = &entry.object;
        if selected.len() == span.limit || !(is_everything || object.key().starts_with(&span.prefix)) {
            break;
        }
        if !selection.has_selectors() || selection.matches(object) {
            selected.push(object.clone());
        }
    }
    selected
}

/// How many keys of the span come after `key`.
pub(crate) fn count_after(objects: &Objects, span: &Span, key: &str) -> u64 {
    let from = (Bound::Excluded(key), Bound::Unbounded);
    objects.range::<_, str>(from).take_while(|entry| entry.object.key().starts_with(&span.prefix)).count() as u64
}
