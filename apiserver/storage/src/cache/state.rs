//! The objects of one resource, and how they change.

use super::history::{Recent, Recorded};
use super::index::Index;
use super::select::Span;
use super::{Change, Incoming};
use crate::backend::RawEvent;
use crate::form::Form;
use crate::object::{Object, Parts};
use crate::query::Selection;
use imbl::OrdSet;
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// Earlier states that are kept for paging clients, at most.
const MAX_SNAPSHOTS: usize = 32;

/// Objects ordered by key. Cloning is free.
pub(crate) type Objects = OrdSet<Entry>;

/// An object in the ordered set and its place in the index.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) object: Arc<Object>,
    slot: u32,
}

impl Borrow<str> for Entry {
    fn borrow(&self) -> &str {
        self.object.key()
    }
}
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.object.key() == other.object.key()
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.object.key().cmp(other.object.key())
    }
}

/// The state of one resource.
#[derive(Debug, Default)]
pub(super) struct State {
    phase: Phase,
    objects: Objects,
    index: Index,
    recent: Recent,
    snapshots: VecDeque<Snapshot>,
    /// The last revision that is known to be in.
    revision: u64,
    /// Revision of the last whole list: events up to it are in.
    loaded: u64,
}

#[derive(Debug)]
enum Phase {
    /// The first state is being read; events wait.
    Loading(Vec<RawEvent>),
    Ready,
}

impl Default for Phase {
    fn default() -> Self {
        Phase::Loading(Vec::new())
    }
}

/// An earlier state: right for revisions from `from` on, before `until`.
#[derive(Debug)]
struct Snapshot {
    from: u64,
    until: Option<u64>,
    objects: Objects,
}

/// Where an earlier state can be had from.
pub(super) enum Remembered {
    State(Objects),
    Undo(Undo),
}

/// A state and the events to take back from it, latest first.
pub(super) struct Undo {
    objects: Objects,
    events: Vec<Arc<Recorded>>,
}

impl State {
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready)
    }

    pub(super) fn objects(&self) -> &Objects {
        &self.objects
    }

    pub(super) fn recent(&self) -> &Recent {
        &self.recent
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn defer(&mut self, event: RawEvent) -> Option<RawEvent> {
        match &mut self.phase {
            Phase::Ready => Some(event),
            Phase::Loading(events) => {
                events.push(event);
                None
            }
        }
    }

    pub(super) fn forget_deferred(&mut self) {
        if let Phase::Loading(events) = &mut self.phase {
            events.clear();
        }
    }

    pub(super) fn load(&mut self, objects: Vec<Arc<Object>>, revision: u64) -> Vec<RawEvent> {
        objects.into_iter().for_each(|object| self.put(object));
        self.gap_until(revision);
        match std::mem::replace(&mut self.phase, Phase::Ready) {
            Phase::Loading(events) => events,
            Phase::Ready => Vec::new(),
        }
    }

    /// Notes that single events up to this revision are not known.
    pub(super) fn gap_until(&mut self, revision: u64) {
        self.revision = self.revision.max(revision);
        self.loaded = self.loaded.max(revision);
        self.snapshots.clear();
        if self.recent.floor() == 0 {
            self.recent.set_floor(revision);
        }
    }

    /// Adds events of the past, of the revisions in `(from, until]`.
    pub(super) fn prepend(&mut self, events: Vec<Recorded>, from: u64, until: u64) {
        self.recent.prepend(events, from, until);
    }

    pub(super) fn apply(&mut self, incoming: Incoming) {
        let Incoming { key, revision, change } = incoming;
        if revision <= self.loaded {
            return;
        }
        let event = match change {
            Change::Put(object) => {
                let before = self.objects.get(&*key).map(|entry| entry.object.clone());
                self.put(object.clone());
                Recorded::new(revision, before, Some(object))
            }
            Change::Delete(last_state) => {
                let Some(entry) = self.objects.remove(&*key) else { return };
                self.index.remove(entry.slot);
                let event = Recorded::new(revision, Some(entry.object), None);
                last_state.into_iter().fold(event, Recorded::with_last_state)
            }
        };
        if let Some(snapshot) = self.snapshots.back_mut() {
            snapshot.until.get_or_insert(revision);
        }
        self.recent.push(event);
        self.revision = self.revision.max(revision);
    }

    fn put(&mut self, object: Arc<Object>) {
        let slot = match self.objects.get(object.key()) {
            None => self.index.insert(object.clone()),
            Some(Entry { object: before, slot }) => {
                let (before, slot) = (before.clone(), *slot);
                self.index.replace(slot, &before, object.clone());
                slot
            }
        };
        self.objects.insert(Entry { object, slot });
    }

    /// The changes that lead from this state to a whole list at `revision`. The revisions of
    /// deletions are not known; they are set to that of the list.
    pub(super) fn difference(&self, objects: Vec<Arc<Object>>, revision: u64) -> Vec<Incoming> {
        let listed: HashSet<&str> = objects.iter().map(|object| object.key()).collect();
        let gone = self.objects.iter().filter(|entry| !listed.contains(entry.object.key()));
        let gone =
            gone.map(|entry| Incoming { key: entry.object.key().into(), revision, change: Change::Delete(None) });
        let gone: Vec<Incoming> = gone.collect();
        let is_new = |object: &Arc<Object>| {
            self.objects.get(object.key()).is_none_or(|entry| entry.object.revision() < object.revision())
        };
        let put = |object: Arc<Object>| Incoming {
            key: object.key().into(),
            revision: object.revision(),
            change: Change::Put(object),
        };
        let mut changes: Vec<Incoming> = objects.iter().filter(|o| is_new(o)).cloned().map(put).collect();
        changes.sort_by_key(|change| change.revision);
        changes.extend(gone);
        changes
    }

    /// Takes all objects apart again along a new form.
    pub(super) fn reform(&mut self, form: &Arc<Form>) {
        for entry in self.objects.clone().iter() {
            let parts = Parts::of(form, entry.object.key(), &entry.object.value());
            self.put(Arc::new(entry.object.reformed(form.clone(), parts)));
        }
    }

    /// Candidates of an indexed selection.
    pub(super) fn find(&self, selection: &Selection, span: &Span) -> Option<Vec<Arc<Object>>> {
        if let Some(name) = exact_name(selection) {
            // Keys of namespaced objects need the namespace.
            let key = format!("{}{name}", span.prefix);
            let is_whole = selection.namespace.is_some() || self.objects.get(key.as_str()).is_some();
            if is_whole {
                return Some(self.objects.get(key.as_str()).map(|entry| entry.object.clone()).into_iter().collect());
            }
        }
        self.index.candidates(selection)
    }

    /// The state as of a revision, if it is known.
    pub(super) fn remembered(&self, revision: u64) -> Option<Remembered> {
        let covers = |s: &&Snapshot| s.from <= revision && s.until.is_none_or(|until| revision < until);
        if let Some(snapshot) = self.snapshots.iter().rev().find(covers) {
            return Some(Remembered::State(snapshot.objects.clone()));
        }
        // A gap has no single events: states inside it are not known.
        if revision < self.recent.floor() || revision < self.loaded {
            return None;
        }
        let events = self.recent.back_to(revision);
        let objects = self.objects.clone();
        Some(if events.is_empty() { Remembered::State(objects) } else { Remembered::Undo(Undo { objects, events }) })
    }

    /// Keeps the state of now, which stands for `revision`.
    pub(super) fn remember_now(&mut self, objects: Objects, revision: u64) {
        let is_last = self.snapshots.back().is_some_and(|last| last.until.is_none() && last.objects.ptr_eq(&objects));
        if is_last {
            return;
        }
        // It may have changed since the caller took it.
        let until = self.recent.after(revision).and_then(|at| self.recent.get(at)).map(|event| event.revision);
        if until.is_some() || self.objects.ptr_eq(&objects) {
            self.remember(objects, revision, until);
        }
    }

    pub(super) fn remember(&mut self, objects: Objects, from: u64, until: impl Into<Option<u64>>) {
        let until = until.into();
        let at = self.snapshots.partition_point(|snapshot| snapshot.from <= from);
        self.snapshots.insert(at, Snapshot { from, until, objects });
        if self.snapshots.len() > MAX_SNAPSHOTS {
            self.snapshots.pop_front();
        }
    }

    pub(super) fn compact(&mut self, revision: u64) {
        self.snapshots.retain(|snapshot| snapshot.until.is_none_or(|until| until > revision));
    }
}

/// The one name that a selection can match.
fn exact_name(selection: &Selection) -> Option<&str> {
    let mut terms = selection.fields.terms.iter();
    terms.find(|term| term.field == "metadata.name" && !term.negated).map(|term| term.value.as_str())
}

impl Undo {
    /// The earlier state, and the revision of the first event after it.
    pub(super) fn run(self) -> (Objects, u64) {
        let mut objects = self.objects;
        for event in &self.events {
            match (&event.before, &event.after) {
                (Some(before), _) => drop(objects.insert(Entry { object: before.clone(), slot: 0 })),
                (None, Some(after)) => drop(objects.remove(after.key())),
                (None, None) => {}
            }
        }
        (objects, self.events.last().map_or(u64::MAX, |event| event.revision))
    }
}
