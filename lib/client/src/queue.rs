//! The work queue: each key at most once in it and never in two workers at a time; failures
//! come back with exponential delay.
//!
//! Upstream: `client-go/util/workqueue`.

use crate::metrics::QueueMetrics;
use futures::FutureExt as _;
use futures::stream::{FuturesUnordered, StreamExt as _};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

const FIRST_RETRY: Duration = Duration::from_millis(5);
const LAST_RETRY: Duration = Duration::from_secs(1000);

/// A rate-limited queue with dedup. Cheap to clone.
#[derive(Debug)]
pub struct Queue<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

/// What a worker says of an item it processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done; its failure count is forgotten.
    Done,
    /// Again after this time; its failure count is forgotten.
    After(Duration),
    /// Failed; again after 5 ms doubled per failure, at most 1000 s.
    Failed,
}

#[derive(Debug)]
struct Shared<T> {
    name: &'static str,
    state: Mutex<State<T>>,
    /// Wakes one worker.
    ready: Notify,
    /// Wakes the timer when an earlier delay was added.
    delayed: Notify,
    metrics: QueueMetrics,
}

/// Invariants: an item of `ready` is in `queued`; an item of `queued` is in `ready` or in
/// `working` (then it goes to `ready` when its worker is done).
#[derive(Debug)]
struct State<T> {
    ready: VecDeque<(T, Instant)>,
    queued: HashSet<T>,
    working: HashSet<T>,
    delayed: BTreeMap<(Instant, u64), T>,
    due: HashMap<T, (Instant, u64)>,
    failures: HashMap<T, u32>,
    sequence: u64,
}

impl<T: Clone + Eq + Hash + Send + std::fmt::Debug + 'static> Queue<T> {
    /// A queue of this name, which its metrics carry.
    pub fn new(name: &'static str) -> Self {
        let state = State {
            ready: VecDeque::new(),
            queued: HashSet::new(),
            working: HashSet::new(),
            delayed: BTreeMap::new(),
            due: HashMap::new(),
            failures: HashMap::new(),
            sequence: 0,
        };
        let shared = Shared {
            name,
            state: Mutex::new(state),
            ready: Notify::new(),
            delayed: Notify::new(),
            metrics: QueueMetrics::new(name),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Adds an item now.
    pub fn add(&self, item: T) {
        self.shared.add(&mut self.shared.state.lock(), item);
    }

    /// Adds an item later; of two delays of one item the earlier counts.
    pub fn add_after(&self, item: T, delay: Duration) {
        if delay.is_zero() {
            return self.add(item);
        }
        if self.shared.state.lock().delay(item, Instant::now() + delay) {
            self.shared.delayed.notify_one();
        }
    }

    /// How many items wait for a worker now.
    pub fn len(&self) -> usize {
        self.shared.state.lock().ready.len()
    }

    /// Whether no item waits for a worker now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Runs `workers` workers until dropped; give the future to the supervisor. Each item runs
    /// `work`; its outcome decides when it comes again. A panic in `work` counts as a failure.
    pub async fn run<F, Fut>(self, workers: usize, work: F)
    where
        F: Fn(T) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send,
    {
        let mut pool: FuturesUnordered<_> = (0..workers.max(1)).map(|_| self.worker(&work)).collect();
        tokio::join!(self.timer(), async { while pool.next().await.is_some() {} });
    }

    async fn worker<F, Fut>(&self, work: &F)
    where
        F: Fn(T) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send,
    {
        loop {
            let item = self.shared.take().await;
            let started = Instant::now();
            // Boxed, so that a worker is small while it waits for the next item.
            let work = Box::pin(async { work(item.clone()).await });
            let outcome = AssertUnwindSafe(work).catch_unwind().await;
            let outcome = outcome.unwrap_or_else(|_| {
                tracing::error!(queue = self.shared.name, ?item, "worker panicked");
                Outcome::Failed
            });
            self.shared.metrics.worked.observe(started.elapsed().as_secs_f64());
            self.finish(item, outcome);
        }
    }

    fn finish(&self, item: T, outcome: Outcome) {
        let mut state = self.shared.state.lock();
        state.working.remove(&item);
        if state.queued.contains(&item) {
            self.shared.enqueue(&mut state, item.clone());
        }
        let delay = match outcome {
            Outcome::Done => {
                state.failures.remove(&item);
                return;
            }
            Outcome::After(delay) => {
                state.failures.remove(&item);
                delay
            }
            Outcome::Failed => {
                self.shared.metrics.retries.inc();
                state.next_backoff(&item)
            }
        };
        drop(state);
        self.add_after(item, delay);
    }

    /// Moves delayed items to the queue when they are due.
    async fn timer(&self) {
        loop {
            let next = self.shared.release_due(Instant::now());
            match next {
                Some(due) => {
                    let _earlier = tokio::time::timeout_at(due, self.shared.delayed.notified()).await;
                }
                None => self.shared.delayed.notified().await,
            }
        }
    }
}

impl<T: Clone + Eq + Hash> Shared<T> {
    fn add(&self, state: &mut State<T>, item: T) {
        if !state.queued.insert(item.clone()) {
            return;
        }
        self.metrics.adds.inc();
        if !state.working.contains(&item) {
            self.enqueue(state, item);
        }
    }

    fn enqueue(&self, state: &mut State<T>, item: T) {
        state.ready.push_back((item, Instant::now()));
        self.metrics.depth.inc();
        self.ready.notify_one();
    }

    async fn take(&self) -> T {
        loop {
            if let Some(item) = self.try_take() {
                return item;
            }
            self.ready.notified().await;
        }
    }

    fn try_take(&self) -> Option<T> {
        let mut state = self.state.lock();
        let (item, since) = state.ready.pop_front()?;
        // One wake-up may stand for several additions: pass it on.
        if !state.ready.is_empty() {
            self.ready.notify_one();
        }
        state.queued.remove(&item);
        state.working.insert(item.clone());
        self.metrics.depth.dec();
        self.metrics.waited.observe(since.elapsed().as_secs_f64());
        Some(item)
    }

    /// Queues what is due; gives the time of the next.
    fn release_due(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state.lock();
        while let Some(entry) = state.delayed.first_entry() {
            if entry.key().0 > now {
                return Some(entry.key().0);
            }
            let item = entry.remove();
            state.due.remove(&item);
            self.add(&mut state, item);
        }
        None
    }
}

impl<T: Clone + Eq + Hash> State<T> {
    /// Delays an item; `true` if it is now the first due.
    fn delay(&mut self, item: T, due: Instant) -> bool {
        if let Some(&(earlier, sequence)) = self.due.get(&item) {
            if earlier <= due {
                return false;
            }
            self.delayed.remove(&(earlier, sequence));
        }
        self.sequence += 1;
        let key = (due, self.sequence);
        self.due.insert(item.clone(), key);
        self.delayed.insert(key, item);
        self.delayed.first_key_value().is_some_and(|(first, _)| *first == key)
    }

    fn next_backoff(&mut self, item: &T) -> Duration {
        let failures = self.failures.entry(item.clone()).or_insert(0);
        let delay = FIRST_RETRY.saturating_mul(1 << (*failures).min(20)).min(LAST_RETRY);
        *failures = failures.saturating_add(1);
        delay
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
