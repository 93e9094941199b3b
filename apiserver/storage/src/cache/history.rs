//! Recent events of one resource, which watchers replay and old states are undone from.

use crate::object::Object;
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Events are kept at least this long, within the bounds below: a client that lists and then
/// watches must find its revision (upstream keeps 75 s, too).
const FRESH: Duration = Duration::from_secs(75);
/// However old, this many are kept.
const MIN_EVENTS: usize = 100;
/// However fresh, no more are kept.
const MAX_EVENTS: usize = 100_000;
/// However fresh, no more bytes are kept alive, roughly.
const MAX_BYTES: usize = 64 << 20;

/// A number of an event, counted from the start of the cache.
pub(crate) type Position = u64;

/// What happened to one key.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) revision: u64,
    pub(crate) before: Option<Arc<Object>>,
    pub(crate) after: Option<Arc<Object>>,
    /// `before` as it is shown to those who see it go.
    gone: OnceLock<Arc<Object>>,
    at: Instant,
}

impl Recorded {
    pub(crate) fn new(revision: u64, before: Option<Arc<Object>>, after: Option<Arc<Object>>) -> Self {
        Self { revision, before, after, gone: OnceLock::new(), at: Instant::now() }
    }

    /// A deletion whose last state is known better than the cache knows it.
    pub(super) fn with_last_state(self, object: Arc<Object>) -> Self {
        let _ = self.gone.set(object);
        self
    }

    /// The last state with this event's revision.
    pub(crate) fn gone(&self) -> Option<Arc<Object>> {
        let before = self.before.as_ref()?;
        Some(self.gone.get_or_init(|| Arc::new(before.at_revision(self.revision))).clone())
    }

    fn size(&self) -> usize {
        // The object after is alive anyway until the next event of its key.
        size_of::<Self>() + self.before.as_ref().map_or(0, |object| object.size())
    }
}

/// What was added to the queue.
#[derive(Debug)]
pub(super) enum News {
    Events {
        first: Position,
        events: Vec<Arc<Recorded>>,
    },
    /// So much that some of it was dropped at once.
    Overflow {
        first: Position,
    },
}

/// A bounded queue of events.
#[derive(Debug)]
pub(crate) struct Recent {
    events: VecDeque<Arc<Recorded>>,
    /// Position of the first event in the queue.
    start: Position,
    /// Revision before which nothing is known: of the last event dropped, or of the first load.
    floor: u64,
    bytes: usize,
}

/// Where positions begin, so that there are some before it for events that are found out later.
const FIRST: Position = 1 << 40;

impl Default for Recent {
    fn default() -> Self {
        Self { events: VecDeque::new(), start: FIRST, floor: 0, bytes: 0 }
    }
}

impl Recent {
    /// Puts the events of the revisions in `(from, until]` before those that are there. Nothing
    /// happens if the two do not meet.
    pub(super) fn prepend(&mut self, events: Vec<Recorded>, from: u64, until: u64) {
        if !(from..=until).contains(&self.floor) || from == self.floor {
            return;
        }
        let bound = self.floor;
        self.floor = from;
        for event in events.into_iter().filter(|event| event.revision <= bound).rev() {
            self.bytes += event.size();
            let is_full = self.bytes > MAX_BYTES || self.events.len() >= MAX_EVENTS;
            if is_full {
                self.bytes -= event.size();
                self.floor = event.revision;
                return;
            }
            self.events.push_front(Arc::new(event));
            self.start -= 1;
        }
    }

    pub(super) fn push(&mut self, event: Recorded) {
        self.bytes += event.size();
        let now = event.at;
        self.events.push_back(Arc::new(event));
        while self.has_too_many(now) {
            let Some(dropped) = self.events.pop_front() else { return };
            self.start += 1;
            self.floor = dropped.revision;
            self.bytes -= dropped.size();
        }
    }

    fn has_too_many(&self, now: Instant) -> bool {
        let Some(oldest) = self.events.front() else { return false };
        let is_stale = now.duration_since(oldest.at) > FRESH && self.events.len() > MIN_EVENTS;
        is_stale || self.events.len() > MAX_EVENTS || (self.bytes > MAX_BYTES && self.events.len() > 1)
    }

    /// The oldest revision whose later events are all here.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// Nothing before this revision can be told.
    pub(super) fn set_floor(&mut self, revision: u64) {
        self.floor = self.floor.max(revision);
    }

    /// The position of the next event to come.
    pub(crate) fn end(&self) -> Position {
        self.start + self.events.len() as u64
    }

    /// The position of the first event after a revision, `None` if it may be dropped already.
    pub(crate) fn after(&self, revision: u64) -> Option<Position> {
        let at = self.events.partition_point(|event| event.revision <= revision);
        (revision >= self.floor).then_some(self.start + at as u64)
    }

    /// The event at a position, `None` if it was dropped or has not come yet.
    pub(crate) fn get(&self, position: Position) -> Option<&Arc<Recorded>> {
        self.events.get(usize::try_from(position.checked_sub(self.start)?).ok()?)
    }

    /// Events from a position on.
    pub(super) fn since(&self, first: Position) -> News {
        let Some(skipped) = first.checked_sub(self.start) else { return News::Overflow { first } };
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        News::Events { first, events: self.events.iter().skip(skipped).cloned().collect() }
    }

    /// Events after a revision, latest first.
    pub(super) fn back_to(&self, revision: u64) -> Vec<Arc<Recorded>> {
        self.events.iter().rev().take_while(|event| event.revision > revision).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recent(revisions: impl Iterator<Item = u64>) -> Recent {
        let mut recent = Recent::default();
        revisions.for_each(|revision| recent.push(Recorded::new(revision, None, None)));
        recent
    }

    #[test]
    fn finds_positions_by_revision() {
        let mut recent = recent([5, 7, 7, 9].into_iter());
        recent.set_floor(3);
        assert_eq!(
            [2, 3, 5, 6, 7, 9, 50].map(|r| recent.after(r)),
            [None, Some(0), Some(1), Some(1), Some(3), Some(4), Some(4)].map(|at: Option<u64>| at.map(|at| FIRST + at))
        );
        assert_eq!(recent.get(FIRST + 1).map(|e| e.revision), Some(7));
        assert!(recent.get(FIRST + 4).is_none());
    }

    #[test]
    fn drops_the_oldest_beyond_its_bounds() {
        let recent = recent(1..=MAX_EVENTS as u64 + 10);
        assert_eq!((recent.floor(), recent.end()), (10, FIRST + MAX_EVENTS as u64 + 10));
        assert!(recent.after(9).is_none() && recent.get(FIRST + 9).is_none());
        assert_eq!(recent.after(10), Some(FIRST + 10));
    }

    #[test]
    fn the_past_joins_what_is_there() {
        let past = |revisions: &[u64]| revisions.iter().map(|r| Recorded::new(*r, None, None)).collect::<Vec<_>>();
        let revisions = |recent: &Recent| recent.events.iter().map(|event| event.revision).collect::<Vec<_>>();
        let mut recent = recent([12, 14].into_iter());
        recent.set_floor(10);
        recent.prepend(past(&[3, 4]), 2, 9);
        assert_eq!((recent.floor(), revisions(&recent)), (10, vec![12, 14]), "a gap");
        recent.prepend(past(&[6, 8, 8, 10, 12]), 5, 12);
        assert_eq!((recent.floor(), revisions(&recent)), (5, vec![6, 8, 8, 10, 12, 14]));
        assert_eq!((recent.after(8), recent.after(5), recent.after(4)), (Some(FIRST - 1), Some(FIRST - 4), None));
        assert_eq!(recent.get(FIRST - 4).map(|event| event.revision), Some(6));
        recent.prepend(past(&[6]), 5, 12);
        assert_eq!(recent.events.len(), 6, "once");
    }

    #[test]
    fn undoes_from_the_latest() {
        let recent = recent([5, 7, 9].into_iter());
        assert_eq!(recent.back_to(6).iter().map(|e| e.revision).collect::<Vec<_>>(), [9, 7]);
        assert!(matches!(recent.since(FIRST + 1), News::Events { events, .. } if events.len() == 2));
    }
}
