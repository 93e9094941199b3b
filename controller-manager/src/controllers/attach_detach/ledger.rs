//! What is remembered between looks at a node, by names of attachments. All of it may be lost.

use super::plan::ATTACH_TIMEOUT;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::{Duration, Instant};

const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(122);

/// The memory.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The node that an exclusive volume is being attached to, until the cache shows its attachment.
    claims: HashMap<String, String>,
    /// By node, then by attachment.
    nodes: HashMap<String, HashMap<String, Memory>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    /// Since when it has been without use.
    unused: Option<Instant>,
    /// What the driver was asked to do.
    attempt: Option<Attempt>,
    /// Whether its pods know that another node has the volume.
    refused: bool,
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    /// From when on the driver's time counts, and failures are news.
    from: Instant,
    failures: u32,
}

/// What a failed attachment calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It is to be reported, and looked at again after this time.
    New(Duration),
    /// It is known; there is this time left.
    Known(Duration),
}

impl Ledger {
    /// A look at a node begins: what was claimed for it before is in the cache, or given up; what is
    /// not `known` any more is forgotten.
    pub(super) fn begin(&self, node: &str, known: impl Fn(&str) -> bool) {
        let mut state = self.state.lock();
        state.claims.retain(|_, claimant| claimant != node);
        if let Some(memories) = state.nodes.get_mut(node) {
            memories.retain(|attachment, _| known(attachment));
            if memories.is_empty() {
                state.nodes.remove(node);
            }
        }
    }

    /// Takes an exclusive volume for a node; `false` if another has it, also by `has_other`, which
    /// is asked while no other node can claim.
    pub(super) fn claim(&self, volume: &str, node: &str, has_other: impl FnOnce() -> bool) -> bool {
        let mut state = self.state.lock();
        if state.claims.get(volume).is_some_and(|claimant| claimant != node) || has_other() {
            return false;
        }
        state.claims.insert(volume.to_owned(), node.to_owned());
        true
    }

    /// Gives a claim back.
    pub(super) fn unclaim(&self, volume: &str) {
        self.state.lock().claims.remove(volume);
    }

    /// How long the attachment has been without use.
    pub(super) fn unused_for(&self, node: &str, attachment: &str, now: Instant) -> Duration {
        self.with(node, attachment, |memory| now.duration_since(*memory.unused.get_or_insert(now)))
    }

    /// The attachment is used.
    pub(super) fn used(&self, node: &str, attachment: &str) {
        self.with(node, attachment, |memory| memory.unused = None);
    }

    /// How long the driver may still take; `None` if its time is over.
    pub(super) fn attaching(&self, node: &str, attachment: &str, now: Instant) -> Option<Duration> {
        self.with(node, attachment, |memory| {
            let attempt = memory.attempt.get_or_insert(Attempt { from: now, failures: 0 });
            (attempt.from + ATTACH_TIMEOUT).checked_duration_since(now).filter(|left| !left.is_zero())
        })
    }

    /// The attachment failed, or did so before.
    pub(super) fn failed(&self, node: &str, attachment: &str, now: Instant) -> Failure {
        self.with(node, attachment, |memory| {
            let attempt = memory.attempt.get_or_insert(Attempt { from: now, failures: 0 });
            if let Some(left) = attempt.from.checked_duration_since(now).filter(|left| !left.is_zero()) {
                return Failure::Known(left);
            }
            let delay = FIRST_RETRY.saturating_mul(1 << attempt.failures.min(16)).min(LAST_RETRY);
            *attempt = Attempt { from: now + delay, failures: attempt.failures + 1 };
            Failure::New(delay)
        })
    }

    /// Whether the pods are to hear that another node has the volume: once.
    pub(super) fn refuse(&self, node: &str, attachment: &str) -> bool {
        self.with(node, attachment, |memory| !std::mem::replace(&mut memory.refused, true))
    }

    /// The attachment is there.
    pub(super) fn attached(&self, node: &str, attachment: &str) {
        self.with(node, attachment, |memory| (memory.attempt, memory.refused) = (None, false));
    }

    fn with<T>(&self, node: &str, attachment: &str, change: impl FnOnce(&mut Memory) -> T) -> T {
        let mut state = self.state.lock();
        change(state.nodes.entry(node.to_owned()).or_default().entry(attachment.to_owned()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exclusive_volume_goes_to_one_node() {
        let ledger = Ledger::default();
        assert!(!ledger.claim("v", "a", || true), "the cache knows another");
        assert!(ledger.claim("v", "a", || false));
        assert!(ledger.claim("v", "a", || false), "again for the same node");
        assert!(!ledger.claim("v", "b", || false));
        ledger.begin("b", |_| true);
        assert!(!ledger.claim("v", "b", || false), "claims of others stay");
        ledger.begin("a", |_| true);
        assert!(ledger.claim("v", "b", || false));
        ledger.unclaim("v");
        assert!(ledger.claim("v", "a", || false));
    }

    #[test]
    fn failures_are_reported_with_growing_pauses() {
        let (ledger, now) = (Ledger::default(), Instant::now());
        assert_eq!(ledger.failed("n", "a", now), Failure::New(FIRST_RETRY));
        assert_eq!(ledger.failed("n", "a", now + FIRST_RETRY / 2), Failure::Known(FIRST_RETRY / 2));
        assert_eq!(ledger.failed("n", "a", now + FIRST_RETRY), Failure::New(FIRST_RETRY * 2));
        let mut later = now + FIRST_RETRY;
        for _ in 0..20 {
            later += LAST_RETRY;
            let _reported = ledger.failed("n", "a", later);
        }
        assert_eq!(ledger.failed("n", "a", later + LAST_RETRY), Failure::New(LAST_RETRY));
        ledger.attached("n", "a");
        assert_eq!(ledger.failed("n", "a", later), Failure::New(FIRST_RETRY));
    }

    #[test]
    fn a_driver_has_its_time() {
        let (ledger, now) = (Ledger::default(), Instant::now());
        assert_eq!(ledger.attaching("n", "a", now), Some(ATTACH_TIMEOUT));
        assert_eq!(ledger.attaching("n", "a", now + ATTACH_TIMEOUT), None);
        let after = now + ATTACH_TIMEOUT;
        assert_eq!(ledger.failed("n", "a", after), Failure::New(FIRST_RETRY));
        assert!(ledger.attaching("n", "a", after + FIRST_RETRY).is_some(), "its time begins anew");
    }

    #[test]
    fn pods_hear_once_that_they_wait() {
        let ledger = Ledger::default();
        assert!(ledger.refuse("n", "a"));
        assert!(!ledger.refuse("n", "a"));
        ledger.begin("m", |_| false);
        assert!(!ledger.refuse("n", "a"), "another node's memory");
        ledger.begin("n", |_| false);
        assert!(ledger.refuse("n", "a"));
    }

    #[test]
    fn disuse_is_timed_until_there_is_use() {
        let (ledger, now) = (Ledger::default(), Instant::now());
        let later = now + Duration::from_secs(9);
        assert_eq!(ledger.unused_for("n", "a", now), Duration::ZERO);
        assert_eq!(ledger.unused_for("n", "a", later), Duration::from_secs(9));
        ledger.used("n", "a");
        assert_eq!(ledger.unused_for("n", "a", later), Duration::ZERO);
    }
}
