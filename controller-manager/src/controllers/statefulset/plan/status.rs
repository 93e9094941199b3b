//! How many pods there are, of which revision.

use super::steps::{Step, Why, revision};
use super::{Observed, identity};
use crate::objects::pods;
use k8s_openapi::api::apps::v1::StatefulSetStatus;
use k8s_openapi::api::core::v1::Pod;

/// The status after these steps, which were done.
pub(super) fn status(observed: &Observed, done: &[Step]) -> StatefulSetStatus {
    let counted = |test: &dyn Fn(&Pod) -> bool| -> i32 {
        let pods = observed.pods.iter().filter(|pod| identity::ordinal(pod).is_some());
        i32::try_from(pods.filter(|pod| !pods::phase(pod).is_empty() && test(pod)).count()).unwrap_or(i32::MAX)
    };
    let of = |name: &str| counted(&|pod| !pods::is_terminating(pod) && revision(pod) == name);
    let is_update = |step: &&Step| matches!(step, Step::Delete(_, Why::Update));
    let making_room = i32::try_from(done.iter().filter(is_update).count()).unwrap_or(0);
    let replicas = counted(&|_| true);
    let ready = counted(&|pod| pods::phase(pod) == "Running" && pods::is_ready(pod));
    let updated = of(&observed.update.name);
    let mut current = (observed.current.name.clone(), (of(&observed.current.name) - making_room).max(0));
    if is_complete(observed, [replicas, ready, updated]) {
        current = (observed.update.name.clone(), updated);
    }
    let before = observed.set.status.clone().unwrap_or_default();
    StatefulSetStatus {
        observed_generation: observed.set.metadata.generation,
        replicas,
        ready_replicas: some(ready),
        available_replicas: Some(counted(&|pod| observed.is_available(pod))),
        current_replicas: some(current.1),
        updated_replicas: some(updated),
        current_revision: Some(current.0),
        update_revision: Some(observed.update.name.clone()),
        collision_count: Some(observed.collisions),
        conditions: before.conditions,
    }
}

/// Whether all pods are there, ready, and of the new revision: it is the current one then.
fn is_complete(observed: &Observed, counts: [i32; 3]) -> bool {
    let spec = observed.set.spec.as_ref();
    let strategy = spec.and_then(|spec| spec.update_strategy.as_ref()?.type_.as_deref());
    let wanted = spec.and_then(|spec| spec.replicas).unwrap_or(1);
    strategy != Some("OnDelete") && counts.iter().all(|count| *count == wanted)
}

/// Go omits zeros of these fields.
fn some(count: i32) -> Option<i32> {
    (count != 0).then_some(count)
}
