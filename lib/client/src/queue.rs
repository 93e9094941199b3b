//! The work queue: each key at most once in it and never in two workers at a time; failures
//! come back with exponential delay.
//!
//! Upstream: `client-go/util/workqueue`.

use std::hash::Hash;
use std::time::Duration;

/// A rate-limited queue with dedup. Cheap to clone.
#[derive(Debug)]
pub struct Queue<T> {
    _item: std::marker::PhantomData<fn() -> T>,
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self { _item: std::marker::PhantomData }
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

impl<T: Clone + Eq + Hash + Send + std::fmt::Debug + 'static> Queue<T> {
    /// A queue of this name, which its metrics carry.
    pub fn new(_name: &'static str) -> Self {
        unimplemented!()
    }

    /// Adds an item now.
    pub fn add(&self, _item: T) {}

    /// Adds an item later.
    pub fn add_after(&self, _item: T, _delay: Duration) {}

    /// Runs `workers` workers until dropped; give the future to the supervisor. Each item runs
    /// `work`; its outcome decides when it comes again.
    pub async fn run<F, Fut>(self, _workers: usize, _work: F)
    where
        F: Fn(T) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send,
    {
    }
}
