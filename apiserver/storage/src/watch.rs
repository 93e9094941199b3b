//! Watches: a cursor into the shared, ordered history of one resource.

use crate::cache::{Cache, Life, Position, Recent, Slot};
use crate::core::Core;
use crate::query::{Selection, WatchQuery};
use crate::{Object, StorageError};
use std::sync::Arc;

/// Events looked at under one lock, at most.
const SCAN: usize = 256;

/// What happened to an object, as the watcher sees it through its selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Created, or now selected.
    Added,
    /// Changed.
    Modified,
    /// Deleted, or no longer selected. The object is its last state, with the revision of the
    /// deletion as `resourceVersion`.
    Deleted,
}

/// One item of a watch.
#[derive(Clone, Debug)]
pub enum Event {
    /// A change.
    Change {
        /// What happened.
        kind: EventKind,
        /// The object.
        object: Arc<Object>,
    },
    /// The watcher has seen everything up to this revision.
    Bookmark {
        /// The revision.
        revision: u64,
        /// Ends the initial events of `sendInitialEvents`.
        initial_events_end: bool,
    },
}

/// A running watch.
#[derive(Debug)]
pub struct Watch {
    core: Arc<Core>,
    cache: Arc<Cache>,
    selection: Box<Selection>,
    slot: Arc<Slot>,
    stage: Stage,
    /// Events up to this revision are not sent.
    after: u64,
    /// Revision of the last event looked at.
    seen: u64,
    /// The next event to look at.
    next: Position,
    /// Events before this position are to be looked at without waiting.
    end: Position,
}

/// How far a watch has come.
#[derive(Debug)]
enum Stage {
    /// Sends the state it began with.
    Initial { objects: std::vec::IntoIter<Arc<Object>>, bookmark: bool },
    /// Sends what happens.
    Live,
    /// Has failed; says so again.
    Over(StorageError),
}

/// One step through the history.
enum Step {
    Event(Event),
    /// Nothing for this watcher up to the end.
    CaughtUp,
    /// More to look at.
    Again,
    Lost(StorageError),
}

impl Watch {
    /// A watch that first shows the state now.
    pub(crate) fn from_state(core: Arc<Core>, cache: Arc<Cache>, query: &WatchQuery) -> Self {
        let mut watch = Self::register(core, cache, query);
        let (objects, revision, next) = watch.cache.start(&watch.selection, watch.core.observed());
        (watch.next, watch.end, watch.after) = (next, next, revision);
        watch.stage = Stage::Initial { objects: objects.into_iter(), bookmark: query.send_initial_events };
        watch
    }

    /// A watch of what happens after a revision.
    pub(crate) fn from_revision(
        core: Arc<Core>,
        cache: Arc<Cache>,
        query: &WatchQuery,
        revision: u64,
    ) -> Result<Self, StorageError> {
        let mut watch = Self::register(core, cache, query);
        let expired = |recent: &Recent| StorageError::Expired { requested: revision, oldest: recent.floor() };
        let start = watch.cache.recent(|recent| match recent.after(revision) {
            Some(next) => Ok((next, recent.end())),
            None => Err(expired(recent)),
        });
        (watch.next, watch.end) = start?;
        watch.after = revision;
        Ok(watch)
    }

    fn register(core: Arc<Core>, cache: Arc<Cache>, query: &WatchQuery) -> Self {
        let slot = cache.register(&query.selection, query.bookmarks);
        let selection = Box::new(query.selection.clone());
        Self { core, cache, selection, slot, stage: Stage::Live, after: 0, seen: 0, next: 0, end: 0 }
    }

    /// The next item. An error ends the watch: [`StorageError::Expired`] when the watcher was
    /// too slow or its revision was compacted, which the server sends as an ERROR event.
    pub async fn next(&mut self) -> Result<Event, StorageError> {
        loop {
            if let Some(item) = self.try_next() {
                return item;
            }
            self.slot.woken().await;
        }
    }

    /// An item that is ready now, so that several can be written in one go.
    pub fn try_next(&mut self) -> Option<Result<Event, StorageError>> {
        match &mut self.stage {
            Stage::Over(error) => return Some(Err(error.clone())),
            Stage::Live => {}
            Stage::Initial { objects, bookmark } => {
                if let Some(object) = objects.next() {
                    return Some(Ok(Event::Change { kind: EventKind::Added, object }));
                }
                let bookmark = *bookmark;
                self.stage = Stage::Live;
                if bookmark {
                    return Some(Ok(Event::Bookmark { revision: self.after, initial_events_end: true }));
                }
            }
        }
        self.try_live()
    }

    /// Makes a bookmark the next item that is not a change: before the server ends a watch.
    pub fn ask_bookmark(&self) {
        self.slot.ask_bookmark();
    }

    fn try_live(&mut self) -> Option<Result<Event, StorageError>> {
        // Read before the mailbox: whatever concerns this watcher up to here is in it by then, or
        // held back from a crowd, which a bookmark must not run ahead of.
        let observed = self.core.observed();
        let mut held = if self.slot.is_bookmark_due() { self.cache.held() } else { None };
        loop {
            if self.next >= self.end {
                match self.slot.take_pending().or_else(|| held.take()) {
                    Some(first) => self.next = self.next.max(first),
                    None if self.cache.life() == Life::Closed => return Some(Err(StorageError::Closed)),
                    None => return self.bookmark(observed),
                }
            }
            match self.step() {
                Step::Event(event) => return Some(Ok(event)),
                Step::CaughtUp | Step::Again => {}
                Step::Lost(error) => {
                    self.stage = Stage::Over(error.clone());
                    return Some(Err(error));
                }
            }
        }
    }

    fn bookmark(&self, observed: u64) -> Option<Result<Event, StorageError>> {
        let revision = observed.max(self.after);
        let bookmark = Event::Bookmark { revision, initial_events_end: false };
        self.slot.take_bookmark().then_some(Ok(bookmark))
    }

    fn step(&mut self) -> Step {
        let cache = self.cache.clone();
        cache.recent(|recent| {
            self.end = recent.end();
            for _ in 0..SCAN {
                if self.next >= self.end {
                    return Step::CaughtUp;
                }
                let Some(event) = recent.get(self.next) else {
                    let requested = self.after.max(self.seen);
                    return Step::Lost(StorageError::Expired { requested, oldest: recent.floor() });
                };
                self.next += 1;
                self.seen = event.revision;
                // One revision can have several events: only where the watch began is skipped.
                if event.revision <= self.after {
                    continue;
                }
                if let Some(event) = seen(&self.selection, event) {
                    return Step::Event(event);
                }
            }
            Step::Again
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.cache.unregister(&self.slot);
    }
}

/// An event as it looks through a selection.
fn seen(selection: &Selection, event: &crate::cache::Recorded) -> Option<Event> {
    let is_selected = |object: &&Arc<Object>| selection.matches(object);
    let was = event.before.as_ref().filter(is_selected).is_some();
    let (kind, object) = match (was, event.after.as_ref().filter(is_selected)) {
        (false, None) => return None,
        (false, Some(after)) => (EventKind::Added, after.clone()),
        (true, Some(after)) => (EventKind::Modified, after.clone()),
        (true, None) => (EventKind::Deleted, event.gone()?),
    };
    Some(Event::Change { kind, object })
}
