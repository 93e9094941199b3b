//! Delays that double with every failure and are forgotten after a quiet while.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Delays by key.
#[derive(Debug)]
pub struct Backoff<K> {
    initial: Duration,
    max: Duration,
    entries: HashMap<K, Entry>,
}

#[derive(Debug)]
struct Entry {
    delay: Duration,
    since: Instant,
}

impl<K: Eq + Hash> Backoff<K> {
    /// `initial` doubled up to `max`.
    pub fn new(initial: Duration, max: Duration) -> Self {
        Self { initial, max, entries: HashMap::new() }
    }

    /// The delay in force for something that failed at `failed_at`, and what is left of it at
    /// `now`. `None` if it may be tried.
    pub fn waiting(&self, key: &K, failed_at: Instant, now: Instant) -> Option<(Duration, Duration)> {
        let entry = self.entries.get(key)?;
        if self.is_stale(entry, failed_at) {
            return None;
        }
        let left = (failed_at + entry.delay).checked_duration_since(now)?;
        (!left.is_zero()).then_some((entry.delay, left))
    }

    /// Counts a try at `now`, so that the next one waits (longer).
    pub fn next(&mut self, key: K, now: Instant) {
        let (initial, max) = (self.initial, self.max);
        let stale = self.entries.get(&key).is_none_or(|e| self.is_stale(e, now));
        let entry = self.entries.entry(key).or_insert(Entry { delay: initial, since: now });
        entry.delay = if stale { initial } else { (entry.delay * 2).min(max) };
        entry.since = now;
    }

    /// Forgets a key.
    pub fn forget(&mut self, key: &K) {
        self.entries.remove(key);
    }

    fn is_stale(&self, entry: &Entry, now: Instant) -> bool {
        now.saturating_duration_since(entry.since) > self.max * 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_maximum_and_forgets() {
        let t0 = Instant::now();
        let s = Duration::from_secs;
        let mut b = Backoff::new(s(10), s(300));
        assert!(b.waiting(&"a", t0, t0).is_none());
        let mut delays = Vec::new();
        for _ in 0..7 {
            b.next("a", t0);
            delays.push(b.waiting(&"a", t0, t0).unwrap().0.as_secs());
        }
        assert_eq!(delays, [10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(b.waiting(&"a", t0, t0 + s(299)).unwrap().1, s(1));
        assert!(b.waiting(&"a", t0, t0 + s(300)).is_none());
        b.next("a", t0 + s(700));
        assert_eq!(b.waiting(&"a", t0 + s(700), t0 + s(700)).unwrap().0, s(10));
        b.forget(&"a");
        assert!(b.waiting(&"a", t0, t0).is_none());
    }
}
