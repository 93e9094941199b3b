//! What a change of an object does to the managers of its fields.
//!
//! Upstream: `structured-merge-diff/merge/update.go`.

use super::Writer;
use super::compare::{Changes, compare};
use super::error::Conflict;
use super::extract;
use super::managers::{Managed, Manager};
use super::place::{KeyError, Place};
use super::remove::remove;
use super::set::FieldSet;
use apimachinery::Value;
use apimachinery::schema::{Shape, TypeRef};
use std::collections::BTreeMap;

/// Two states of an object, in the versions that its managers use.
pub(super) struct Transition<'a> {
    writer: &'a Writer<'a>,
    old: &'a Value,
    new: &'a Value,
    /// By version; `None` if the object does not exist in it.
    changes: BTreeMap<String, Option<Changes>>,
}

impl<'a> Transition<'a> {
    /// Compares two states in the version of the request.
    pub(super) fn new(writer: &'a Writer<'a>, old: &'a Value, new: &'a Value) -> Result<Self, KeyError> {
        let changes = Some(writer.changes(writer.ty, old, new)?);
        let changes = BTreeMap::from([(writer.api_version.to_owned(), changes)]);
        Ok(Self { writer, old, new, changes })
    }

    /// The changes in the version of the request.
    pub(super) fn into_own(mut self) -> Changes {
        self.changes.remove(self.writer.api_version).flatten().unwrap_or_default()
    }

    /// Whether nothing changes in the version of the request.
    pub(super) fn is_empty(&self) -> bool {
        self.changes.get(self.writer.api_version).is_none_or(|own| own.as_ref().is_none_or(Changes::is_empty))
    }

    fn in_version(&mut self, version: &str) -> Result<Option<&Changes>, KeyError> {
        if !self.changes.contains_key(version) {
            let changes = match (self.writer.versioned(self.old, version), self.writer.versioned(self.new, version)) {
                (Some((old, ty)), Some((new, _))) => Some(self.writer.changes(&ty, &old, &new)?),
                _ => None,
            };
            self.changes.insert(version.to_owned(), changes);
        }
        Ok(self.changes.get(version).and_then(Option::as_ref))
    }

    /// The fields that other managers than `except` have and that change.
    pub(super) fn conflicts(&mut self, managed: &Managed, except: &Manager) -> Result<Vec<Conflict>, KeyError> {
        let mut conflicts = Vec::new();
        for entry in managed.entries.iter().filter(|entry| !entry.manager.is(except)) {
            let Some(changes) = self.in_version(&entry.manager.api_version)? else { continue };
            let wanted = changes.clone().into_set();
            if entry.touches(&wanted) {
                let paths = entry.set().intersection(&wanted).paths();
                conflicts.extend(paths.into_iter().map(|path| Conflict { manager: entry.manager.clone(), path }));
            }
        }
        Ok(conflicts)
    }

    /// Takes what changes from all managers but one, and forgets managers of versions that are gone.
    pub(super) fn take_from(&mut self, managed: &mut Managed, except: Option<&Manager>) -> Result<(), KeyError> {
        let mut kept = Vec::with_capacity(managed.entries.len());
        for mut entry in std::mem::take(&mut managed.entries) {
            let is_except = except.is_some_and(|manager| entry.manager.is(manager));
            match self.in_version(&entry.manager.api_version)? {
                _ if is_except => kept.push(entry),
                Some(changes) => {
                    for gone in [&changes.added, &changes.modified, &changes.removed] {
                        entry.lose(gone);
                    }
                    kept.push(entry);
                }
                None => {}
            }
        }
        managed.entries = kept;
        Ok(())
    }
}

impl Writer<'_> {
    fn changes(&self, ty: &TypeRef, old: &Value, new: &Value) -> Result<Changes, KeyError> {
        let shape = Shape::Message(ty.id);
        let Changes { added, modified, removed } = compare(Place::root(ty, &shape), old, new)?;
        Ok(Changes {
            added: self.reset.filter(added),
            modified: self.reset.filter(modified),
            removed: self.reset.filter(removed),
        })
    }

    /// An object in a version: itself, or converted.
    fn versioned(&self, object: &Value, version: &str) -> Option<(Value, TypeRef)> {
        let is_own = object.get("apiVersion").is_none_or(|own| own == self.api_version);
        match is_own && version == self.api_version {
            true => Some((object.clone(), self.ty.clone())),
            false => (self.convert)(object, version),
        }
    }
}

/// Takes out of an object what its applier had and no longer names, unless somebody else has it.
/// `last` is what the applier had, in `last_version`; `managed` has what it names now.
pub(super) fn prune(
    writer: &Writer<'_>,
    merged: Value,
    managed: &Managed,
    last: &FieldSet,
    last_version: &str,
) -> Value {
    if last.is_empty() {
        return merged;
    }
    let Some((full, ty)) = writer.versioned(&merged, last_version) else { return merged };
    let shape = Shape::Message(ty.id);
    let place = Place::root(&ty, &shape);
    let last = extract::with_named(Some(place), last);
    let mut pruned = full.clone();
    remove(place, &mut pruned, &last);
    let pruned = owned_again(writer, &full, pruned, last_version, managed);
    // What goes must be what the applier had.
    let present = |object: &Value| extract::with_named(Some(place), &extract::fields(place, object));
    let gone = present(&full).difference(&present(&pruned)).intersection(&last);
    let mut result = full;
    remove(place, &mut result, &gone);
    writer.versioned(&result, writer.api_version).map_or(merged, |(result, _)| result)
}

/// Adds back what any manager has.
fn owned_again(writer: &Writer<'_>, full: &Value, pruned: Value, version: &str, managed: &Managed) -> Value {
    let mut owned: BTreeMap<&str, FieldSet> = BTreeMap::new();
    for entry in &managed.entries {
        let set = owned.entry(&entry.manager.api_version).or_default();
        *set = std::mem::take(set).union(entry.set());
    }
    let mut pruned = pruned;
    // The version at hand first, so that what the others are converted from is whole.
    let own = owned.remove(version);
    let at_hand = own.map(|set| (version, set));
    for (other, set) in at_hand.into_iter().chain(owned) {
        let (Some((full, ty)), Some((fewer, _))) = (writer.versioned(full, other), writer.versioned(&pruned, other))
        else {
            continue;
        };
        let shape = Shape::Message(ty.id);
        let place = Place::root(&ty, &shape);
        let named = |set: &FieldSet| extract::with_named(Some(place), set);
        let kept = named(&extract::fields(place, &fewer)).union(named(&set));
        let gone = named(&extract::fields(place, &full)).difference(&kept);
        let mut again = full;
        remove(place, &mut again, &gone);
        pruned = again;
    }
    writer.versioned(&pruned, version).map_or(pruned, |(pruned, _)| pruned)
}
