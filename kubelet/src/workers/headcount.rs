//! How many pods there are, for metrics.

use super::worker::Stage;
use super::{Fate, Workers, active};
use crate::pod::PodExt;
use crate::resize;

/// Pods by what they are and how far they are. Of two numbers the first is of ordinary, the second of static pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headcount {
    /// Those that a source has.
    pub desired: [usize; 2],
    /// Those that use the node's resources.
    pub active: [usize; 2],
    /// In the pods that a source has.
    pub ephemeral_containers: usize,
    /// Why resizes are not granted yet, each for itself.
    pub pending_resizes: Vec<String>,
    /// Those that are granted and not in effect.
    pub going_resizes: usize,
    /// Of each worker upstream's words for where its pod stands, how it came to be here, and whether it is static.
    pub working: Vec<(&'static str, &'static str, &'static str)>,
}

impl Workers {
    /// All pods that have a worker.
    pub fn headcount(&self) -> Headcount {
        let statuses = &self.shared.deps.statuses;
        let mut count = Headcount {
            pending_resizes: statuses.reasons(resize::PENDING),
            going_resizes: statuses.reasons(resize::IN_PROGRESS).len(),
            ..Headcount::default()
        };
        let entries = self.shared.entries.lock();
        for pod in active(&entries) {
            count.active[usize::from(pod.is_static())] += 1;
        }
        for entry in entries.values() {
            let desired = entry.desired.borrow();
            let (pod, spec) = (&desired.pod, PodExt::spec(desired.pod.as_ref()));
            let lifecycle = match *entry.stage.borrow() {
                Stage::Syncing => "sync",
                Stage::Terminating => "terminating",
                Stage::Terminated | Stage::Released | Stage::Gone => "terminated",
            };
            let r#static = if pod.is_static() { "true" } else { "" };
            let (config, r#static) = match desired.fate {
                // The runtime knows no specs.
                Fate::Gone if spec.containers.is_empty() => ("runtime_only", "unknown"),
                Fate::Gone => ("orphan", r#static),
                Fate::Wanted | Fate::Ended(_) => {
                    count.desired[usize::from(pod.is_static())] += 1;
                    count.ephemeral_containers += spec.ephemeral_containers.as_ref().map_or(0, Vec::len);
                    ("desired", r#static)
                }
            };
            count.working.push((lifecycle, config, r#static));
        }
        count
    }
}
