//! One probe's task: when to ask, and when enough answers make a verdict.

use super::check::{self, Outcome};
use super::results::Verdict;
use super::{Kind, ProbeKey, Shared, Target};
use crate::clock;
use crate::events::Severity;
use k8s_openapi::api::core::v1::Probe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Probes until the task is ended.
pub(super) async fn run(key: ProbeKey, mut target: watch::Receiver<Target>, shared: Arc<Shared>) {
    let mut streak = Streak::default();
    let mut container = String::new();
    loop {
        let aim = target.borrow_and_update().clone();
        let Some(probe) = key.kind.of(&aim.container).cloned() else { return };
        if container != aim.record.id {
            container = aim.record.id.clone();
            streak = Streak::default();
        }
        match due(&key, &aim, &probe, &shared) {
            Due::Now => step(&key, &aim, &probe, &shared, &mut streak).await,
            Due::In(wait) => {
                // A new container, or an earlier sync, may change what is due.
                let _ = tokio::time::timeout(wait, target.changed()).await;
                continue;
            }
            Due::WithNextTarget => {
                if target.changed().await.is_err() {
                    return;
                }
                continue;
            }
        }
        let period = Duration::from_secs(u64::from(at_least_one(probe.period_seconds, 10)));
        tokio::time::sleep(period).await;
    }
}

enum Due {
    Now,
    In(Duration),
    WithNextTarget,
}

const POLL: Duration = Duration::from_millis(500);

fn due(key: &ProbeKey, aim: &Target, probe: &Probe, shared: &Shared) -> Due {
    let results = &shared.results;
    let id = aim.record.id.as_str();
    let verdict = results.get(id, key.kind);
    let settled = match key.kind {
        // Both wait for another container: a success of the startup probe is final, and after a
        // failure the container is about to be replaced.
        Kind::Startup => verdict.is_some(),
        Kind::Liveness => verdict == Some(Verdict::Bad),
        Kind::Readiness => false,
    };
    if settled {
        return Due::WithNextTarget;
    }
    let held = key.kind != Kind::Startup && aim.container.startup_probe.is_some();
    if held && results.get(id, Kind::Startup) != Some(Verdict::Good) {
        return Due::In(POLL);
    }
    let delay = i64::from(probe.initial_delay_seconds.unwrap_or(0));
    let age = clock::from_nanos(aim.record.started_at).map_or(i64::MAX, |t| clock::seconds_since(t.0));
    match u64::try_from(delay - age) {
        Ok(wait @ 1..) => Due::In(Duration::from_secs(wait)),
        _ => Due::Now,
    }
}

async fn step(key: &ProbeKey, aim: &Target, probe: &Probe, shared: &Shared, streak: &mut Streak) {
    let begun = Instant::now();
    let outcome = check::run(&shared.runtime, aim, probe).await;
    shared.metrics.count(key, aim, &outcome, begun.elapsed());
    if let Outcome::Failure(message) | Outcome::Unknown(message) = &outcome {
        let text = format!("{} probe failed: {message}", key.kind.title());
        shared.events.container(&aim.pod, &key.container, Severity::Warning, "Unhealthy", text);
    }
    if let Outcome::Warning(message) = &outcome {
        let text = format!("{} probe warning: {message}", key.kind.title());
        shared.events.container(&aim.pod, &key.container, Severity::Warning, "ProbeWarning", text);
    }
    let verdict = streak.count(&outcome, probe);
    if verdict.is_some_and(|v| shared.results.set(&aim.record.id, key.kind, v)) {
        shared.changed(&key.uid);
    }
}

/// Equal answers in a row.
#[derive(Debug, Default)]
struct Streak {
    last: Option<Verdict>,
    length: u32,
}

impl Streak {
    /// Counts an answer; the verdict when the threshold is reached.
    fn count(&mut self, outcome: &Outcome, probe: &Probe) -> Option<Verdict> {
        let verdict = match outcome {
            Outcome::Success | Outcome::Warning(_) => Verdict::Good,
            Outcome::Failure(_) => Verdict::Bad,
            Outcome::Unknown(_) => return None,
        };
        if self.last == Some(verdict) {
            self.length = self.length.saturating_add(1);
        } else {
            *self = Self { last: Some(verdict), length: 1 };
        }
        let threshold = match verdict {
            Verdict::Good => at_least_one(probe.success_threshold, 1),
            Verdict::Bad => at_least_one(probe.failure_threshold, 3),
        };
        (self.length >= threshold).then_some(verdict)
    }
}

fn at_least_one(value: Option<i32>, default: u32) -> u32 {
    value.and_then(|v| u32::try_from(v).ok()).filter(|v| *v > 0).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds() {
        let probe = Probe { failure_threshold: Some(3), success_threshold: Some(2), ..Probe::default() };
        let mut streak = Streak::default();
        let bad = || Outcome::Failure(String::new());
        let verdicts: Vec<_> = [bad(), bad(), bad(), Outcome::Success, bad(), Outcome::Success, Outcome::Success]
            .iter()
            .map(|o| streak.count(o, &probe))
            .collect();
        let (b, g) = (Some(Verdict::Bad), Some(Verdict::Good));
        assert_eq!(verdicts, [None, None, b, None, None, None, g]);
        assert_eq!(streak.count(&Outcome::Unknown(String::new()), &probe), None);
    }
}
