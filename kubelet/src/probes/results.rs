//! What the probes found, by container id.

use super::Kind;
use crate::status::Probed;
use crate::workers::actions::ProbeVerdicts;
use k8s_openapi::api::core::v1::Container;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A probe's standing verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It succeeded often enough.
    Good,
    /// It failed often enough.
    Bad,
}

/// Verdicts by container and probe. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Results(Arc<Mutex<HashMap<(String, Kind), Verdict>>>);

impl Results {
    /// Sets a verdict; whether it is news.
    pub fn set(&self, id: &str, kind: Kind, verdict: Verdict) -> bool {
        self.0.lock().insert((id.to_owned(), kind), verdict) != Some(verdict)
    }

    /// The verdict, if there is one yet.
    pub fn get(&self, id: &str, kind: Kind) -> Option<Verdict> {
        self.0.lock().get(&(id.to_owned(), kind)).copied()
    }

    /// Forgets a container.
    pub fn forget(&self, id: &str) {
        self.0.lock().retain(|(of, _), _| of != id);
    }

    /// Whether a running container is started and ready. Without a verdict, `before` decides.
    pub fn probed(&self, container: &Container, id: &str, before: impl FnOnce() -> Option<Probed>) -> Probed {
        let startup = self.get(id, Kind::Startup);
        let readiness = self.get(id, Kind::Readiness);
        let open = |probe: bool, verdict: Option<Verdict>| probe && verdict.is_none();
        let unknown =
            open(container.startup_probe.is_some(), startup) || open(container.readiness_probe.is_some(), readiness);
        let before = unknown.then(before).flatten();
        let was = |f: fn(&Probed) -> bool| before.as_ref().is_some_and(f);
        let good = |has: bool, verdict: Option<Verdict>, was: bool| match verdict {
            _ if !has => true,
            Some(verdict) => verdict == Verdict::Good,
            None => was,
        };
        let started = good(container.startup_probe.is_some(), startup, was(|p| p.started));
        let ready = good(container.readiness_probe.is_some(), readiness, was(|p| p.ready));
        Probed { started, ready: started && ready }
    }

    /// The containers that were given up.
    pub fn verdicts(&self, started: HashSet<String>) -> ProbeVerdicts {
        let all = self.0.lock();
        let bad = |kind| {
            let of = all.iter().filter(|((_, k), v)| *k == kind && **v == Verdict::Bad);
            of.map(|((id, _), _)| id.clone()).collect()
        };
        ProbeVerdicts { failed_liveness: bad(Kind::Liveness), failed_startup: bad(Kind::Startup), started }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Probe;

    #[test]
    fn without_probes_running_is_ready() {
        let got = Results::default().probed(&Container::default(), "x", || None);
        assert_eq!(got, Probed { started: true, ready: true });
    }

    #[test]
    fn readiness_begins_false_or_as_before_a_restart() {
        let c = Container { readiness_probe: Some(Probe::default()), ..Container::default() };
        let results = Results::default();
        assert!(!results.probed(&c, "x", || None).ready);
        assert!(results.probed(&c, "x", || Some(Probed { started: true, ready: true })).ready);
        assert!(results.set("x", Kind::Readiness, Verdict::Bad));
        assert!(!results.set("x", Kind::Readiness, Verdict::Bad));
        assert!(!results.probed(&c, "x", || Some(Probed { started: true, ready: true })).ready);
        results.forget("x");
        assert_eq!(results.get("x", Kind::Readiness), None);
    }

    #[test]
    fn not_started_is_not_ready() {
        let c = Container { startup_probe: Some(Probe::default()), ..Container::default() };
        assert_eq!(Results::default().probed(&c, "x", || None), Probed { started: false, ready: false });
    }
}
