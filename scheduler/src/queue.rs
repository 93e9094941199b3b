//! The pods that wait: those to be tried now, those in backoff, those that wait for an event, and
//! those behind gates.
//!
//! Upstream: `pkg/scheduler/backend/queue`.

mod state;

use crate::framework::Event;
use crate::model::Pod;
use crate::model::pod::PodKey;
use crate::profile::Profile;
use parking_lot::Mutex;
use state::State;
pub use state::{Attempt, Lengths};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The queue. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Queue {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    ready: Notify,
    profiles: Arc<HashMap<String, Profile>>,
}

impl Queue {
    /// An empty queue; `profiles` say which event helps which pod.
    pub fn new(first_backoff: Duration, last_backoff: Duration, profiles: Arc<HashMap<String, Profile>>) -> Self {
        let state = Mutex::new(State::new(first_backoff, last_backoff));
        Self { shared: Arc::new(Shared { state, ready: Notify::new(), profiles }) }
    }

    /// A pod that waits to be placed: new, or in a new state.
    pub fn set(&self, pod: Arc<Pod>) {
        self.shared.state.lock().set(pod, Instant::now());
        self.shared.ready.notify_one();
    }

    /// A pod that waits, and cannot be tried yet: something that it names is missing. It waits until it is
    /// [set](Self::set).
    pub fn hold(&self, pod: Arc<Pod>) {
        self.shared.state.lock().hold(pod, Instant::now());
    }

    /// A pod that does not wait any more: placed or gone.
    pub fn remove(&self, key: &PodKey) {
        self.shared.state.lock().remove(key);
    }

    /// Something happened: pods that it may help are tried again, after their backoff.
    pub fn wake(&self, event: Event) {
        let profiles = &self.shared.profiles;
        let is_woken = |pod: &Pod, plugins: &[&'static str]| {
            profiles.get(&pod.scheduler_name).is_none_or(|profile| profile.is_woken(pod, plugins, &event))
        };
        self.shared.state.lock().wake(event.clone(), is_woken, Instant::now());
        self.shared.ready.notify_one();
    }

    /// The next pod to try.
    pub async fn pop(&self) -> Attempt {
        loop {
            let next = {
                let mut state = self.shared.state.lock();
                state.advance(Instant::now());
                match state.pop(Instant::now()) {
                    Some(attempt) => return attempt,
                    None => state.next_due(),
                }
            };
            let ready = self.shared.ready.notified();
            match next {
                Some(due) => drop(tokio::time::timeout_at(due, ready).await),
                None => ready.await,
            }
        }
    }

    /// The pod fits nowhere: it waits for an event that may help.
    pub fn unschedulable(&self, attempt: &Attempt, plugins: Vec<&'static str>) {
        let profiles = &self.shared.profiles;
        let pod = &attempt.pod;
        let is_woken = |event: &Event| {
            profiles.get(&pod.scheduler_name).is_none_or(|profile| profile.is_woken(pod, &plugins, event))
        };
        self.shared.state.lock().unschedulable(attempt, plugins.clone(), is_woken, Instant::now());
        self.shared.ready.notify_one();
    }

    /// Something else went wrong: the pod is tried again after its backoff.
    pub fn failed(&self, attempt: &Attempt) {
        self.shared.state.lock().failed(attempt, Instant::now());
        self.shared.ready.notify_one();
    }

    /// How many wait where.
    pub fn lengths(&self) -> Lengths {
        self.shared.state.lock().lengths()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builders::pod;

    fn queue() -> Queue {
        Queue::new(Duration::from_secs(1), Duration::from_secs(10), Arc::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_pod_comes_back_after_its_backoff() {
        let queue = queue();
        queue.set(Arc::new(pod("p").build()));
        let start = Instant::now();
        let first = queue.pop().await;
        queue.failed(&first);
        let second = queue.pop().await;
        assert_eq!((second.number, start.elapsed().as_secs()), (2, 1));
        queue.failed(&second);
        queue.pop().await;
        assert_eq!(start.elapsed().as_secs(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn popping_waits_for_a_pod() {
        let queue = queue();
        let later = queue.clone();
        let (attempt, ()) = tokio::join!(queue.pop(), async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            later.set(Arc::new(pod("p").build()));
        });
        assert_eq!((&*attempt.pod.name, attempt.number), ("p", 1));
    }
}
