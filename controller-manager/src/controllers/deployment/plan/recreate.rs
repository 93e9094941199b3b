//! Recreate: all old pods must be gone before the first new one.
//!
//! Upstream: `pkg/controller/deployment/recreate.go`.

use super::sets::{Sets, size};
use super::{Limits, Observed};
use crate::objects::{owner, pods};

/// One step: old sets to zero; wait; the new set to its full size.
pub(super) fn step(observed: &Observed, limits: &Limits, sets: &mut Sets) {
    sets.renumber(&observed.deployment, limits);
    if sets.total_old() > 0 {
        for set in sets.old.iter_mut().filter(|set| size(&set.after) != 0) {
            set.resize(0, limits);
        }
        return;
    }
    if old_pods_run(observed, sets) {
        return;
    }
    match sets.new_mut() {
        None => sets.add_new(&observed.deployment, limits.replicas, limits),
        Some(new) if size(&new.after) != limits.replicas => new.resize(limits.replicas, limits),
        Some(_) => {}
    }
}

/// Whether a pod of an old set has not ended yet.
fn old_pods_run(observed: &Observed, sets: &Sets) -> bool {
    let new = sets.new_set().and_then(|set| set.metadata.uid.as_deref());
    observed.pods.iter().any(|pod| {
        let set = owner::controller_of(&pod.metadata).map(|owner| owner.uid.as_str());
        set != new && !pods::is_finished(pod)
    })
}
