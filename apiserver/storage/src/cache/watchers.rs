//! Who is woken by which event: a watcher waits on the most selective term it has, so that a
//! change of one pod does not wake the kubelets of all other nodes.
//!
//! A crowd that all wait for the same events is woken at a pace: each of them costs a system call
//! for what it is sent, which takes as long for several events as for one.

use super::history::{News, Position, Recorded};
use super::terms::{self, ByTerm, Term};
use crate::query::Selection;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Bookmarks go out once in this many ticks (of a second).
const BOOKMARK_TICKS: u64 = 60;
const NONE: u64 = u64::MAX;
/// So many woken at once are a crowd.
const CROWD: usize = 64;
/// For each watcher of a crowd, the next events wait this long: a few times what serving it costs, so
/// that events of a burst go out together.
const PACE: Duration = Duration::from_micros(50);
/// The longest that events wait for a crowd.
const LONGEST_PACE: Duration = Duration::from_millis(50);

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

    /// Whether a bookmark is due.
    pub(crate) fn is_bookmark_due(&self) -> bool {
        self.is_bookmark_due.load(Ordering::Acquire)
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

    /// Answers whether it had to be woken.
    fn notify(&self, position: Position) -> bool {
        // Who has an event pending has been woken for it.
        let sleeps = self.pending.fetch_min(position, Ordering::AcqRel) == NONE;
        if sleeps {
            self.wake.notify_one();
        }
        sleeps
    }
}

/// All watchers of one resource.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    of_all: Vec<Arc<Slot>>,
    by_term: ByTerm<Vec<Arc<Slot>>>,
    registered: u64,
    /// Until when a crowd that was woken is left to do its work.
    busy_until: Option<Instant>,
    /// Position of the first event that nobody was woken for yet.
    held: Option<Position>,
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

    /// Wakes everyone whom the news may concern, unless a crowd is still busy with earlier news:
    /// then the answer is when [`Self::held`] is to be looked at, the first time.
    pub(super) fn tell(&mut self, news: &News, now: Instant) -> Option<Instant> {
        let (News::Overflow { first } | News::Events { first, .. }) = news;
        // However late the release is: who is woken for later news looks at nothing before them.
        if self.held.is_some() {
            return None;
        }
        match self.busy_until.filter(|until| *until > now) {
            Some(until) => {
                self.held = Some(*first);
                Some(until)
            }
            None => {
                self.wake(news, now);
                None
            }
        }
    }

    /// Position of the first event that nobody was woken for yet.
    pub(super) fn held(&self) -> Option<Position> {
        self.held
    }

    /// Wakes everyone whom the news since [`Self::held`] may concern.
    pub(super) fn release(&mut self, news: &News, now: Instant) {
        self.held = None;
        self.wake(news, now);
    }

    fn wake(&mut self, news: &News, now: Instant) {
        let woken = match news {
            News::Overflow { first } => self.all().filter(|slot| slot.notify(*first)).count(),
            News::Events { first, events } => self.wake_for(*first, events),
        };
        self.busy_until = (woken >= CROWD).then(|| now + (PACE * woken as u32).min(LONGEST_PACE));
    }

    /// Answers how many had to be woken.
    fn wake_for(&self, first: Position, events: &[Arc<Recorded>]) -> usize {
        if events.is_empty() {
            return 0;
        }
        let mut woken = self.of_all.iter().filter(|slot| slot.notify(first)).count();
        if self.by_term.is_empty() {
            return woken;
        }
        let mut terms = Vec::new();
        for (position, event) in (first..).zip(events) {
            terms.clear();
            event.before.iter().chain(&event.after).for_each(|object| terms::watched(object, &mut terms));
            terms.sort_unstable();
            terms.dedup();
            let slots = terms.iter().filter_map(|term| self.by_term.get(term)).flatten();
            woken += slots.filter(|slot| slot.notify(position)).count();
        }
        woken
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_back_is_told_first() {
        let mut watchers = Watchers::default();
        let crowd: Vec<_> = (0..CROWD).map(|_| watchers.register("things/", &Selection::default(), false)).collect();
        let news = |first| News::Events { first, events: vec![Arc::new(Recorded::new(first, None, None))] };
        let pending = || crowd.iter().map(|slot| slot.take_pending()).collect::<Vec<_>>();
        let now = Instant::now();
        assert_eq!(watchers.tell(&news(0), now), None);
        assert_eq!(pending(), vec![Some(0); CROWD]);
        let until = watchers.tell(&news(1), now).expect("the crowd is busy");
        assert_eq!(watchers.tell(&news(2), now), None);
        assert_eq!(watchers.tell(&news(3), until + PACE), None, "the release is late");
        assert_eq!((pending(), watchers.held()), (vec![None; CROWD], Some(1)));
        watchers.release(&news(1), until + PACE);
        assert_eq!((pending(), watchers.held()), (vec![Some(1); CROWD], None));
    }
}
