//! RollingUpdate: up with the new, down with the old, within the limits.
//!
//! Upstream: `pkg/controller/deployment/rolling.go`.

use super::Limits;
use super::sets::{Set, Sets, available, size};
use k8s_openapi::api::apps::v1::Deployment;

/// One step: the new set first; the old ones only when the new one needs nothing.
pub(super) fn step(deployment: &Deployment, limits: &Limits, sets: &mut Sets) {
    sets.renumber(deployment, limits);
    if !sets.has_new() {
        let first = new_size(0, sets.total(), limits);
        return sets.add_new(deployment, first, limits);
    }
    if !grow_new(limits, sets) {
        shrink_old(limits, sets);
    }
}

/// How big the new set may be, given its present size and that of all.
pub(super) fn new_size(present: i32, total: i32, limits: &Limits) -> i32 {
    let room = (limits.most() - total).max(0);
    present + room.min(limits.replicas - present).max(0)
}

/// Whether the new set got another size.
fn grow_new(limits: &Limits, sets: &mut Sets) -> bool {
    let total = sets.total();
    let Some(new) = sets.new_mut() else { return false };
    let present = size(&new.after);
    let wanted = if present > limits.replicas { limits.replicas } else { new_size(present, total, limits) };
    if wanted != present {
        new.resize(wanted, limits);
    }
    wanted != present
}

fn shrink_old(limits: &Limits, sets: &mut Sets) {
    if sets.total_old() == 0 {
        return;
    }
    let new_unavailable = sets.new_set().map_or(0, |new| size(new) - available(new));
    let budget = sets.total() - limits.fewest() - new_unavailable;
    if budget <= 0 {
        return;
    }
    // Pods that do not serve go first: they cost no availability.
    let left = take(&mut sets.old, budget, limits, |set| size(set) - available(set));
    debug_assert!(left >= 0);
    let spare = sets.all().map(available).sum::<i32>() - limits.fewest();
    take(&mut sets.old, spare, limits, size);
}

/// Takes up to `budget` pods from the sets, oldest first, at most `spare` of each; gives what is
/// left of the budget.
fn take(
    sets: &mut [Set],
    mut budget: i32,
    limits: &Limits,
    spare: impl Fn(&k8s_openapi::api::apps::v1::ReplicaSet) -> i32,
) -> i32 {
    for set in sets {
        let present = size(&set.after);
        let taken = spare(&set.after).min(budget).min(present);
        if taken > 0 {
            set.resize(present - taken, limits);
            budget -= taken;
        }
    }
    budget
}
