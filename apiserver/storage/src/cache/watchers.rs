//! Who is woken by which event: a watcher waits on the most selective term it has, so that a
//! change of one pod does not wake the kubelets of all other nodes.

use super::history::{News, Position, Recorded};
use super::terms::{self, ByTerm, Term};
use crate::query::Selection;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;

/// Bookmarks go out once in this many ticks (of a second).
const BOOKMARK_TICKS: u64 = 60;
const NONE: u64 = u64::MAX;

/// One watcher's mailbox.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Position of the first event that may concern it and was not looked at yet.
    pending: AtomicU64,
    is_bookmark_due: AtomicBool,
    wake: Notify,
    term: Option<Term>,
    /// The tick of the minute in which it gets its bookmark; `None` if it wants none.
    bookmark_tick: Option<u64>,
}

impl Slot {
    /// Takes the position of the first event to look at.
    pub(crate) fn take_pending(&self) -> Option<Position> {
        Some(self.pending.swap(NONE, Ordering::AcqRel)).filter(|position| *position != NONE)
    }

    /// Takes the note that a bookmark is due.
    pub(crate) fn take_bookmark(&self) -> bool {
        self.is_bookmark_due.swap(false, Ordering::AcqRel)
    }

    /// Has an event or a bookmark to look at, now or after the next wake.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    pub(crate) fn ask_bookmark(&self) {
        self.is_bookmark_due.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    fn notify(&self, position: Position) {
        // Who has an event pending has been woken for it.
        if self.pending.fetch_min(position, Ordering::AcqRel) == NONE {
            self.wake.notify_one();
        }
    }
}

/// All watchers of one resource.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    of_all: Vec<Arc<Slot>>,
    by_term: ByTerm<Vec<Arc<Slot>>>,
    registered: u64,
}

impl Watchers {
    pub(super) fn register(&mut self, prefix: &str, selection: &Selection, bookmarks: bool) -> Arc<Slot> {
        debug_assert!(prefix.ends_with('/'));
        self.registered += 1;
        let slot = Arc::new(Slot {
            pending: AtomicU64::new(NONE),
            is_bookmark_due: AtomicBool::new(false),
            wake: Notify::new(),
            term: most_selective(selection),
            bookmark_tick: bookmarks.then_some(self.registered % BOOKMARK_TICKS),
        });
        match slot.term {
            Some(term) => self.by_term.entry(term).or_default().push(slot.clone()),
            None => self.of_all.push(slot.clone()),
        }
        slot
    }

    pub(super) fn unregister(&mut self, slot: &Arc<Slot>) {
        let remove = |slots: &mut Vec<Arc<Slot>>| {
            if let Some(at) = slots.iter().position(|other| Arc::ptr_eq(other, slot)) {
                slots.swap_remove(at);
            }
            slots.is_empty()
        };
        match slot.term {
            None => drop(remove(&mut self.of_all)),
            Some(term) => {
                if self.by_term.get_mut(&term).is_some_and(remove) {
                    self.by_term.remove(&term);
                }
            }
        }
    }

    /// Wakes everyone whom the news may concern.
    pub(super) fn wake(&self, news: &News) {
        match news {
            News::Overflow { first } => self.all().for_each(|slot| slot.notify(*first)),
            News::Events { first, events } => self.wake_for(*first, events),
        }
    }

    fn wake_for(&self, first: Position, events: &[Arc<Recorded>]) {
        if !events.is_empty() {
            self.of_all.iter().for_each(|slot| slot.notify(first));
        }
        if self.by_term.is_empty() {
            return;
        }
        let mut terms = Vec::new();
        for (position, event) in (first..).zip(events) {
            terms.clear();
            event.before.iter().chain(&event.after).for_each(|object| terms::watched(object, &mut terms));
            terms.sort_unstable();
            terms.dedup();
            let slots = terms.iter().filter_map(|term| self.by_term.get(term)).flatten();
            slots.for_each(|slot| slot.notify(position));
        }
    }

    /// Has everyone look, as there is nothing more to come.
    pub(super) fn wake_all(&self) {
        self.all().for_each(|slot| slot.wake.notify_one());
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Slot>> {
        self.of_all.iter().chain(self.by_term.values().flatten())
    }

    pub(super) fn bookmark(&self, tick: u64) {
        let due = Some(tick % BOOKMARK_TICKS);
        self.all().filter(|slot| slot.bookmark_tick == due).for_each(|slot| slot.ask_bookmark());
    }
}

/// A name, else another field, else the namespace.
fn most_selective(selection: &Selection) -> Option<Term> {
    let positive = || selection.fields.terms.iter().filter(|term| !term.negated && term.field != "metadata.namespace");
    let term = positive().find(|term| term.field == "metadata.name").or_else(|| positive().next());
    let field = term.map(|term| terms::field(&term.field, &term.value));
    field.or_else(|| selection.namespace.as_deref().map(terms::namespace))
}
