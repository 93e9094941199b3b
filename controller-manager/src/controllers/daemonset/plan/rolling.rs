//! Which pods of an old template make room now, and which new ones come before they do.
//!
//! Upstream: `rollingUpdate` of `pkg/controller/daemon/update.go`.

use super::nodes::is_new;
use super::placement::Fit;
use super::{Observed, Plan};
use crate::objects::amount::{Round, resolve};
use crate::objects::pods;
use k8s_openapi::api::apps::v1::{DaemonSet, RollingUpdateDaemonSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::sync::Arc;

/// The strategy, unless it is `OnDelete`.
fn strategy(set: &DaemonSet) -> Option<RollingUpdateDaemonSet> {
    let strategy = set.spec.as_ref()?.update_strategy.clone().unwrap_or_default();
    (strategy.type_.as_deref() != Some("OnDelete")).then(|| strategy.rolling_update.unwrap_or_default())
}

fn amount(of: Option<&IntOrString>, total: i32) -> usize {
    let amount = of.and_then(|amount| resolve(amount, total, Round::Up)).unwrap_or(0);
    usize::try_from(amount).unwrap_or(0)
}

/// How many nodes of `total` may have a second pod.
pub(super) fn surge(set: &DaemonSet, total: i32) -> usize {
    strategy(set).map_or(0, |rolling| amount(rolling.max_surge.as_ref(), total))
}

/// The pods of a node that are not on their way out.
enum Pair {
    None,
    New(Arc<Pod>),
    Old(Arc<Pod>),
    Both {
        new: Arc<Pod>,
        old: Arc<Pod>,
    },
    /// More than that: first they have to become fewer.
    Crowd,
}

fn pair(observed: &Observed, pods: &[Arc<Pod>]) -> Pair {
    let alive = pods.iter().filter(|pod| !pods::is_terminating(pod)).cloned();
    let (new, old): (Vec<_>, Vec<_>) = alive.partition(|pod| is_new(observed, pod));
    match (&new[..], &old[..]) {
        ([], []) => Pair::None,
        ([new], []) => Pair::New(Arc::clone(new)),
        ([], [old]) => Pair::Old(Arc::clone(old)),
        ([new], [old]) => Pair::Both { new: Arc::clone(new), old: Arc::clone(old) },
        _ => Pair::Crowd,
    }
}

/// One step of the update.
pub(super) fn step(observed: &Observed) -> Plan {
    let Some(rolling) = strategy(&observed.set) else { return Plan::default() };
    let wanted: Vec<_> = observed.nodes.iter().filter(|node| observed.placement.fit(node) == Fit::Runs).collect();
    let total = i32::try_from(wanted.len()).unwrap_or(i32::MAX);
    let surge = amount(rolling.max_surge.as_ref(), total);
    let unavailable = amount(rolling.max_unavailable.as_ref(), total);
    let names = wanted.iter().filter_map(|node| node.metadata.name.as_deref());
    let empty = names.filter(|name| !observed.by_node.contains_key(*name)).count();
    match surge {
        // Both at zero would allow no step at all.
        0 => replace(observed, empty, if unavailable == 0 && total > 0 { 1 } else { unavailable }),
        surge => overlap(observed, surge, wanted.len()),
    }
}

/// Old pods go, new ones take their place: at most `most` nodes are without an available pod.
fn replace(observed: &Observed, empty: usize, most: usize) -> Plan {
    let mut unavailable = empty;
    let (mut broken, mut serving) = (Vec::new(), Vec::new());
    for pods in observed.by_node.values() {
        match pair(observed, pods) {
            Pair::None | Pair::Both { .. } | Pair::Crowd => unavailable += 1,
            Pair::New(new) => unavailable += usize::from(!observed.is_available(&new)),
            Pair::Old(old) if observed.is_available(&old) => serving.push(old),
            Pair::Old(old) => {
                broken.push(old);
                unavailable += 1;
            }
        }
    }
    serving.truncate(most.saturating_sub(unavailable));
    broken.extend(serving);
    Plan { delete: broken, ..Plan::default() }
}

/// New pods come before old ones go: at most `most` nodes have both.
fn overlap(observed: &Observed, most: usize, wanted: usize) -> Plan {
    let mut plan = Plan::default();
    let (mut surging, mut available) = (0, 0);
    let (mut candidates, mut elsewhere) = (Vec::new(), Vec::new());
    for (name, pods) in &observed.by_node {
        let runs = || observed.fit(name) == Fit::Runs;
        match pair(observed, pods) {
            Pair::Crowd => surging += 1,
            Pair::None => {}
            Pair::New(new) => available += usize::from(observed.is_available(&new)),
            Pair::Old(old) => match (observed.is_available(&old), runs()) {
                (false, false) => plan.delete.push(old),
                (false, true) => plan.create.push(name.clone()),
                (true, runs) => {
                    available += 1;
                    if runs { candidates.push(name.clone()) } else { elsewhere.push(old) }
                }
            },
            Pair::Both { new, old } => {
                available += usize::from(observed.is_available(&old));
                match observed.is_available(&new) {
                    true => plan.delete.push(old),
                    false => surging += 1,
                }
            }
        }
    }
    // A pod where none should be goes only when there are enough elsewhere.
    elsewhere.truncate(available.saturating_sub(wanted));
    plan.delete.extend(elsewhere);
    candidates.truncate(most.saturating_sub(surging));
    plan.create.extend(candidates);
    plan
}
