//! What happens to which pod, in order. An `OrderedReady` set does one thing at a time and waits
//! for each pod; a `Parallel` one does not wait.
//!
//! Upstream: `updateStatefulSet` of `pkg/controller/statefulset/stateful_set_control.go`.

use super::{Observed, identity, pod, retention, retention::Owners};
use crate::objects::amount::{Round, resolve};
use crate::objects::history::HASH_LABEL;
use crate::objects::pods;
use k8s_openapi::api::core::v1::Pod;
use std::ops::ControlFlow;
use std::sync::Arc;

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Step {
    /// Claims, then the pod.
    Create(Box<Pod>),
    /// The pod goes; `Update` makes room for one of the new revision.
    Delete(Arc<Pod>, Why),
    /// Claims of a pending pod that are missing.
    MakeClaims(Arc<Pod>),
    /// Labels, volumes or claims of the pod are not as they should be.
    Conform(Arc<Pod>),
    /// The claims of a pod that will go have to change owners first.
    Retain(Arc<Pod>),
}

/// Why a pod is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Why {
    /// It has ended: another takes its place.
    Ended,
    /// The set has become smaller.
    Surplus,
    /// It is of an old revision.
    Update,
}

/// The revision of the pod.
pub(super) fn revision(pod: &Pod) -> &str {
    pod.metadata.labels.as_ref().and_then(|labels| labels.get(HASH_LABEL)).map_or("", String::as_str)
}

/// A place of the set: its pod, or the one to be made.
enum Place {
    Taken(Arc<Pod>),
    Empty(Box<Pod>),
}

impl Place {
    fn pod(&self) -> &Pod {
        match self {
            Self::Taken(pod) => pod,
            Self::Empty(pod) => pod,
        }
    }
}

/// `Break` when what follows has to wait.
type Flow = ControlFlow<()>;

/// All that can be done now.
pub(super) fn steps(observed: &Observed) -> Vec<Step> {
    let mut steps = Vec::new();
    if observed.set.metadata.deletion_timestamp.is_none() {
        let _waits = run(observed, &mut steps);
    }
    steps
}

fn run(observed: &Observed, steps: &mut Vec<Step>) -> Flow {
    let places: Vec<_> = identity::range(&observed.set).map(|ordinal| place(observed, ordinal)).collect();
    let condemned = condemned(observed);
    for place in &places {
        fill(observed, place, steps)?;
    }
    for pod in condemned.iter().filter(|pod| !observed.claims_are_right(pod)) {
        steps.push(Step::Retain(Arc::clone(pod)));
    }
    let first_unhealthy = places.iter().map(Place::pod).chain(condemned.iter().rev().map(|pod| &**pod));
    let first_unhealthy = first_unhealthy.into_iter().find(|pod| observed.is_unavailable(pod));
    for pod in &condemned {
        condemn(observed, pod, first_unhealthy, steps)?;
    }
    update(observed, &places, steps);
    Flow::Continue(())
}

fn place(observed: &Observed, ordinal: i32) -> Place {
    let there = observed.pods.iter().find(|pod| identity::ordinal(pod) == Some(ordinal));
    match there {
        Some(pod) => Place::Taken(Arc::clone(pod)),
        None => {
            let version = observed.version_of(ordinal);
            Place::Empty(Box::new(pod::pod(&observed.set, &version.template, &version.name, ordinal)))
        }
    }
}

/// The pods beyond the range, the last first.
fn condemned(observed: &Observed) -> Vec<Arc<Pod>> {
    let range = identity::range(&observed.set);
    let is_out = |pod: &Pod| identity::ordinal(pod).is_some_and(|ordinal| !range.contains(&ordinal));
    let mut condemned: Vec<_> = observed.pods.iter().filter(|pod| is_out(pod)).cloned().collect();
    condemned.sort_by_key(|pod| std::cmp::Reverse(identity::ordinal(pod)));
    condemned
}

fn fill(observed: &Observed, place: &Place, steps: &mut Vec<Step>) -> Flow {
    let wait_if = |waits: bool| if waits && observed.is_ordered() { Flow::Break(()) } else { Flow::Continue(()) };
    let there = match place {
        Place::Empty(pod) if observed.is_blocked(pod) => return wait_if(true),
        Place::Empty(pod) => {
            steps.push(Step::Create(pod.clone()));
            return wait_if(true);
        }
        Place::Taken(pod) => pod,
    };
    // Whatever the exit code: the pod has ended, and another takes its place once it is gone.
    if pods::is_finished(there) {
        if !pods::is_terminating(there) {
            steps.push(Step::Delete(Arc::clone(there), Why::Ended));
        }
        return wait_if(true);
    }
    if pods::phase(there) == "Pending" {
        steps.push(Step::MakeClaims(Arc::clone(there)));
    }
    wait_if(observed.is_unavailable(there))?;
    let set = &observed.set;
    let is_right = identity::has_identity(set, there) && identity::has_storage(set, there);
    if !is_right || !observed.claims_are_right(there) {
        steps.push(Step::Conform(Arc::clone(there)));
    }
    Flow::Continue(())
}

fn condemn(observed: &Observed, pod: &Arc<Pod>, first_unhealthy: Option<&Pod>, steps: &mut Vec<Step>) -> Flow {
    let is_ordered = observed.is_ordered();
    if pods::is_terminating(pod) {
        return if is_ordered { Flow::Break(()) } else { Flow::Continue(()) };
    }
    let is_first = first_unhealthy.is_some_and(|first| first.metadata.name == pod.metadata.name);
    if is_ordered && observed.is_unavailable(pod) && !is_first {
        return Flow::Break(());
    }
    steps.push(Step::Delete(Arc::clone(pod), Why::Surplus));
    if is_ordered { Flow::Break(()) } else { Flow::Continue(()) }
}

/// Pods of old revisions go, the last first, down to the partition.
fn update(observed: &Observed, places: &[Place], steps: &mut Vec<Step>) {
    let strategy = observed.set.spec.as_ref().and_then(|spec| spec.update_strategy.clone()).unwrap_or_default();
    if strategy.type_.as_deref() == Some("OnDelete") {
        return;
    }
    let rolling = strategy.rolling_update.unwrap_or_default();
    let partition = usize::try_from(rolling.partition.unwrap_or(0)).unwrap_or(0);
    let candidates = places.iter().skip(partition).rev();
    let is_old = |pod: &Pod| revision(pod) != observed.update.name && !pods::is_terminating(pod);
    let delete = |place: &Place| match place {
        Place::Taken(pod) => Some(Step::Delete(Arc::clone(pod), Why::Update)),
        Place::Empty(_) => None,
    };
    let Some(most) = rolling.max_unavailable else {
        // The first that is old goes; one that is new but not available yet is waited for.
        let next = candidates.into_iter().find(|place| is_old(place.pod()) || observed.is_unavailable(place.pod()));
        steps.extend(next.filter(|place| is_old(place.pod())).and_then(delete));
        return;
    };
    let total = i32::try_from(places.len()).unwrap_or(i32::MAX);
    let most = usize::try_from(resolve(&most, total, Round::Down).unwrap_or(1)).unwrap_or(0).max(1);
    let unavailable = places.iter().filter(|place| observed.is_unavailable(place.pod())).count();
    let old = candidates.filter(|place| is_old(place.pod()));
    steps.extend(old.take(most.saturating_sub(unavailable)).filter_map(delete));
}

impl Observed {
    /// Whether the pod must wait for an old claim to go.
    fn is_blocked(&self, pod: &Pod) -> bool {
        self.claims_of(pod).any(|claim| retention::blocks(&self.set, claim, pod))
    }

    /// Whether the claims that are there have the right owners.
    fn claims_are_right(&self, pod: &Pod) -> bool {
        self.claims_of(pod).all(|claim| retention::owners(&self.set, claim, pod) == Owners::Stay)
    }
}
