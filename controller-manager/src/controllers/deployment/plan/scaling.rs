//! A deployment that changes its size during a rollout spreads the change over its active sets in
//! proportion to their sizes.
//!
//! Upstream: `pkg/controller/deployment/sync.go`.

use super::sets::{Sets, available, size};
use super::{Limits, revision};
use k8s_openapi::api::apps::v1::ReplicaSet;

/// Whether the deployment's size is not the one that its active sets were scaled for.
pub(super) fn is_scaling(limits: &Limits, sets: &Sets) -> bool {
    let mut active = sets.all().filter(|set| size(set) > 0);
    active.any(|set| revision::desired(set).is_some_and(|desired| desired != limits.replicas))
}

/// Brings the sets to the deployment's size.
pub(super) fn scale(limits: &Limits, sets: &mut Sets) {
    let active = sets.all().filter(|set| size(set) > 0).count();
    match active {
        0 | 1 => scale_only(limits, sets),
        _ if is_saturated(limits, sets) => {
            sets.old.iter_mut().filter(|set| size(&set.after) > 0).for_each(|set| set.resize(0, limits));
        }
        _ if limits.recreate => {}
        _ => scale_in_proportion(limits, sets),
    }
}

/// The one active set takes the whole size; if none is active, the newest.
fn scale_only(limits: &Limits, sets: &mut Sets) {
    let is_active = |set: &&mut super::sets::Set| size(&set.after) > 0;
    let has_active = sets.all().any(|set| size(set) > 0);
    let set = if has_active { sets.all_mut().find(is_active) } else { sets.all_mut().last() };
    if let Some(set) = set.filter(|set| size(&set.after) != limits.replicas) {
        set.resize(limits.replicas, limits);
    }
}

/// Whether the new set has all replicas and all of them serve.
fn is_saturated(limits: &Limits, sets: &Sets) -> bool {
    sets.new_set().is_some_and(|new| {
        size(new) == limits.replicas
            && revision::desired(new) == Some(limits.replicas)
            && available(new) == limits.replicas
    })
}

fn scale_in_proportion(limits: &Limits, sets: &mut Sets) {
    let allowed = if limits.replicas > 0 { limits.most() } else { 0 };
    let missing = allowed - sets.total();
    let mut active: Vec<_> = sets.all_mut().filter(|set| size(&set.after) > 0).collect();
    // Larger sets first; of equal ones the newer when growing, the older when shrinking.
    active.reverse();
    if missing < 0 {
        active.reverse();
    }
    active.sort_by_key(|set| std::cmp::Reverse(size(&set.after)));
    let mut added = 0;
    let mut sizes = Vec::with_capacity(active.len());
    for set in &active {
        let share = share(&set.after, limits, missing, added);
        added += share;
        sizes.push(size(&set.after) + share);
    }
    if let Some(largest) = sizes.first_mut() {
        *largest = (*largest + missing - added).max(0);
    }
    for (set, size) in active.into_iter().zip(sizes) {
        set.resize(size, limits);
    }
}

/// What one set gets of `missing`, of which `added` is given away already.
fn share(set: &ReplicaSet, limits: &Limits, missing: i32, added: i32) -> i32 {
    let allowed = missing - added;
    let fair = fair_share(set, limits);
    match missing {
        0 => 0,
        1.. => fair.min(allowed),
        _ => fair.max(allowed),
    }
}

fn fair_share(set: &ReplicaSet, limits: &Limits) -> i32 {
    let present = size(set);
    if limits.replicas == 0 {
        return -present;
    }
    let before = revision::most(set).filter(|most| *most > 0).unwrap_or_else(|| limits.most());
    let scaled = f64::from(present) * f64::from(limits.most()) / f64::from(before);
    // Of numbers of this size the cast is exact.
    scaled.round() as i32 - present
}
