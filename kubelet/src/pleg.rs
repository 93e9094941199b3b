//! Notices what happens to containers by comparing lists of them, once a second.
//!
//! Upstream: `pkg/kubelet/pleg`.

use crate::runtime::Runtime;
use crate::runtime::record::Outline;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_secs(1);
const THRESHOLD: Duration = Duration::from_secs(180);

/// When the last complete list was seen. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pleg(Arc<Mutex<Instant>>);

impl Default for Pleg {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Pleg {
    /// Why the lists are too old to be relied upon, if they are.
    pub fn problem(&self) -> Option<String> {
        let age = self.0.lock().elapsed();
        (age > THRESHOLD).then(|| {
            format!("PLEG is not healthy: pleg was last seen active {}s ago; threshold is 3m0s", age.as_secs())
        })
    }

    /// Compares lists for ever and calls `changed` with each pod that differs and how it is now;
    /// give it to the supervisor.
    pub async fn run(self, runtime: Runtime, changed: impl Fn(&str, &Outline) + Send + Sync) {
        let (mut known, mut before) = (HashMap::new(), None::<Instant>);
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let began = Instant::now();
            let interval = before.replace(began).map(|before| began - before);
            match runtime.relist().await {
                Ok(now) => {
                    runtime.metrics().listed(&now, began.elapsed(), interval);
                    for (uid, outline) in differences(&known, &now) {
                        changed(uid, outline);
                    }
                    known = now;
                    *self.0.lock() = Instant::now();
                }
                Err(e) => tracing::warn!(error = %e, "cannot list containers"),
            }
        }
    }
}

static NOTHING: std::sync::LazyLock<Outline> = std::sync::LazyLock::new(Outline::default);

fn differences<'a>(
    before: &'a HashMap<String, Outline>,
    now: &'a HashMap<String, Outline>,
) -> impl Iterator<Item = (&'a str, &'a Outline)> {
    let changed = now.iter().filter(|(uid, outline)| before.get(*uid) != Some(*outline));
    let gone = before.keys().filter(|uid| !now.contains_key(*uid)).map(|uid| (uid.as_str(), &*NOTHING));
    changed.map(|(uid, outline)| (uid.as_str(), outline)).chain(gone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::ContainerState;

    #[test]
    fn what_differs() {
        let with = |state| Outline { containers: [("c".to_owned(), state)].into(), ..Outline::default() };
        let before =
            [("same", ContainerState::Running), ("ends", ContainerState::Running), ("goes", ContainerState::Exited)];
        let now =
            [("same", ContainerState::Running), ("ends", ContainerState::Exited), ("new", ContainerState::Created)];
        let map = |of: [(&str, ContainerState); 3]| of.map(|(uid, s)| (uid.to_owned(), with(s))).into();
        let (before, now): (HashMap<_, _>, HashMap<_, _>) = (map(before), map(now));
        let mut got: Vec<_> = differences(&before, &now).map(|(uid, _)| uid).collect();
        got.sort_unstable();
        assert_eq!(got, ["ends", "goes", "new"]);
    }
}
