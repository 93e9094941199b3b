//! The queue's state and what moves pods between its parts: pure, given the time.

use crate::framework::Event;
use crate::model::Pod;
use crate::model::pod::PodKey;
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A pod that no event helped in this time is tried again anyway.
const PATIENCE: Duration = Duration::from_secs(300);

/// A pod taken out to be tried.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The pod.
    pub pod: Arc<Pod>,
    /// Which attempt it is, from 1.
    pub number: u32,
    /// When the pod was queued first.
    pub since: Instant,
    /// Events seen when it was taken out.
    events: u64,
}

/// How many pods wait where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lengths {
    /// To be tried now.
    pub active: usize,
    /// In backoff.
    pub backoff: usize,
    /// Waiting for an event.
    pub unschedulable: usize,
    /// Behind gates.
    pub gated: usize,
}

/// Where a pod is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// Behind its scheduling gates; active once they are gone.
    Gated,
    /// To be tried; taken out in the order of priority, then arrival.
    Active,
    /// Active at this time.
    Backoff { until: Instant },
    /// Active, or in backoff, after an event that may help, or after [`PATIENCE`].
    Unschedulable { since: Instant, plugins: Vec<&'static str> },
    /// Being tried, or being bound.
    InFlight,
}

#[derive(Debug)]
struct Entry {
    pod: Arc<Pod>,
    place: Place,
    attempts: u32,
    since: Instant,
    /// When its last attempt ended.
    tried: Option<Instant>,
    order: u64,
}

type ActiveKey = (Reverse<i32>, u64, PodKey);

/// Invariants: an entry is in `active` exactly if its place is Active, in `backoff` exactly if it
/// is Backoff, in `waiting` exactly if it is Unschedulable.
#[derive(Debug)]
pub(super) struct State {
    entries: HashMap<PodKey, Entry>,
    active: BTreeSet<ActiveKey>,
    backoff: BTreeSet<(Instant, PodKey)>,
    waiting: BTreeSet<(Instant, PodKey)>,
    first_backoff: Duration,
    last_backoff: Duration,
    order: u64,
    /// Events while pods are in flight, with their numbers: what happened during an attempt counts
    /// for it.
    recent: VecDeque<(u64, Event)>,
    events: u64,
    in_flight: usize,
}

impl State {
    pub(super) fn new(first_backoff: Duration, last_backoff: Duration) -> Self {
        Self {
            entries: HashMap::new(),
            active: BTreeSet::new(),
            backoff: BTreeSet::new(),
            waiting: BTreeSet::new(),
            first_backoff,
            last_backoff,
            order: 0,
            recent: VecDeque::new(),
            events: 0,
            in_flight: 0,
        }
    }

    pub(super) fn set(&mut self, pod: Arc<Pod>, now: Instant) {
        let key = pod.key();
        let Some(entry) = self.entries.get_mut(&key).filter(|entry| entry.pod.uid == pod.uid) else {
            self.remove(&key);
            return self.insert(key, pod, now, false);
        };
        let old = std::mem::replace(&mut entry.pod, Arc::clone(&pod));
        let place = entry.place.clone();
        match place {
            Place::InFlight | Place::Backoff { .. } => {}
            Place::Active if old.priority != pod.priority => {
                let order = entry.order;
                self.active.remove(&(Reverse(old.priority), order, key.clone()));
                self.active.insert((Reverse(pod.priority), order, key));
            }
            Place::Active => {}
            Place::Gated if pod.gates.is_empty() => self.activate(&key),
            Place::Gated => {}
            Place::Unschedulable { .. } if is_helped(&old, &pod) => self.retry(&key, now),
            Place::Unschedulable { .. } => {}
        }
    }

    /// A pod that cannot be tried yet, whatever its gates: it stays behind until it is set.
    pub(super) fn hold(&mut self, pod: Arc<Pod>, now: Instant) {
        let key = pod.key();
        match self.entries.get_mut(&key).filter(|entry| entry.pod.uid == pod.uid) {
            Some(entry) if entry.place == Place::Gated => entry.pod = pod,
            Some(_) => self.set(pod, now),
            None => {
                self.remove(&key);
                self.insert(key, pod, now, true);
            }
        }
    }

    fn insert(&mut self, key: PodKey, pod: Arc<Pod>, now: Instant, is_held: bool) {
        self.order += 1;
        let is_gated = is_held || !pod.gates.is_empty();
        let entry = Entry { pod, place: Place::Gated, attempts: 0, since: now, tried: None, order: self.order };
        self.entries.insert(key.clone(), entry);
        if !is_gated {
            self.activate(&key);
        }
    }

    pub(super) fn remove(&mut self, key: &PodKey) {
        let Some(entry) = self.entries.remove(key) else { return };
        match entry.place {
            Place::Active => drop(self.active.remove(&(Reverse(entry.pod.priority), entry.order, key.clone()))),
            Place::Backoff { until } => drop(self.backoff.remove(&(until, key.clone()))),
            Place::InFlight => self.landed(),
            Place::Unschedulable { since, .. } => drop(self.waiting.remove(&(since, key.clone()))),
            Place::Gated => {}
        }
    }

    pub(super) fn pop(&mut self, _now: Instant) -> Option<Attempt> {
        let (_, _, key) = self.active.pop_first()?;
        let entry = self.entries.get_mut(&key)?;
        entry.place = Place::InFlight;
        entry.attempts = entry.attempts.saturating_add(1);
        self.in_flight += 1;
        let (pod, number, since) = (Arc::clone(&entry.pod), entry.attempts, entry.since);
        Some(Attempt { pod, number, since, events: self.events })
    }

    /// Moves what is due.
    pub(super) fn advance(&mut self, now: Instant) {
        while let Some((until, key)) = self.backoff.first().cloned() {
            if until > now {
                break;
            }
            self.backoff.remove(&(until, key.clone()));
            self.activate(&key);
        }
        while let Some((since, key)) = self.waiting.first().cloned() {
            if since + PATIENCE > now {
                break;
            }
            self.retry(&key, now);
        }
    }

    /// When [`Self::advance`] has something to do again.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let patience = self.waiting.first().map(|(since, _)| *since + PATIENCE);
        patience.into_iter().chain(self.backoff.first().map(|(until, _)| *until)).min()
    }

    pub(super) fn wake(&mut self, event: Event, is_woken: impl Fn(&Pod, &[&'static str]) -> bool, now: Instant) {
        self.events += 1;
        if self.in_flight > 0 {
            self.recent.push_back((self.events, event));
        }
        let helped = |key: &PodKey| match self.entries.get(key) {
            Some(Entry { pod, place: Place::Unschedulable { plugins, .. }, .. }) => is_woken(pod, plugins),
            _ => false,
        };
        let keys: Vec<_> = self.waiting.iter().map(|(_, key)| key).filter(|key| helped(key)).cloned().collect();
        for key in keys {
            self.retry(&key, now);
        }
    }

    pub(super) fn unschedulable(
        &mut self,
        attempt: &Attempt,
        plugins: Vec<&'static str>,
        is_woken: impl Fn(&Event) -> bool,
        now: Instant,
    ) {
        let was_helped = self.recent.iter().any(|(number, event)| *number > attempt.events && is_woken(event));
        let Some(key) = self.land(attempt, now) else { return };
        if was_helped {
            return self.retry(&key, now);
        }
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.place = Place::Unschedulable { since: now, plugins };
            self.waiting.insert((now, key));
        }
    }

    pub(super) fn failed(&mut self, attempt: &Attempt, now: Instant) {
        if let Some(key) = self.land(attempt, now) {
            self.retry(&key, now);
        }
    }

    pub(super) fn lengths(&self) -> Lengths {
        let gated = self.entries.values().filter(|entry| entry.place == Place::Gated).count();
        let (active, backoff, unschedulable) = (self.active.len(), self.backoff.len(), self.waiting.len());
        Lengths { active, backoff, unschedulable, gated }
    }

    /// Ends an attempt; `None` if the pod is gone, or another of its name came.
    fn land(&mut self, attempt: &Attempt, now: Instant) -> Option<PodKey> {
        let key = attempt.pod.key();
        let entry = self.entries.get_mut(&key)?;
        if entry.pod.uid != attempt.pod.uid || entry.place != Place::InFlight {
            return None;
        }
        entry.tried = Some(now);
        self.landed();
        Some(key)
    }

    fn landed(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.in_flight == 0 {
            self.recent.clear();
        }
    }

    /// To be tried again when the backoff since its last attempt is over.
    fn retry(&mut self, key: &PodKey, now: Instant) {
        let (first, last) = (self.first_backoff, self.last_backoff);
        let Some(entry) = self.entries.get_mut(key) else { return };
        if let Place::Unschedulable { since, .. } = &entry.place {
            self.waiting.remove(&(*since, key.clone()));
        }
        let doubled = 1u32 << entry.attempts.saturating_sub(1).min(20);
        let until =
            entry.tried.map(|tried| tried + first.saturating_mul(doubled).min(last)).filter(|until| *until > now);
        match until {
            Some(until) => {
                entry.place = Place::Backoff { until };
                self.backoff.insert((until, key.clone()));
            }
            None => self.activate(key),
        }
    }

    fn activate(&mut self, key: &PodKey) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.place = Place::Active;
            self.active.insert((Reverse(entry.pod.priority), entry.order, key.clone()));
        }
    }
}

/// Whether a change of the pod itself may help it.
fn is_helped(old: &Pod, new: &Pod) -> bool {
    old.labels != new.labels
        || old.tolerations != new.tolerations
        || old.requests != new.requests
        || old.node_selector != new.node_selector
        || old.gates != new.gates
        || old.device_claims != new.device_claims
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
