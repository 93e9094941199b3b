//! Making room: which pods of lower priority to drive away, from which node.
//!
//! Upstream: `pkg/scheduler/framework/preemption`, `plugins/defaultpreemption`.

use crate::cluster::Cluster;
use crate::config::args::DefaultPreemptionArgs;
use crate::diagnosis::{Diagnosis, available};
use crate::framework::Candidates;
use crate::model::pod::Preemption as Policy;
use crate::model::{NodeId, Pod};
use crate::profile::Profile;
use client::Recorder;
use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use serde_json::{Value, json};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::cmp::Reverse;
use std::sync::Arc;

/// What came of the search for room.
#[derive(Clone, Debug)]
pub enum Preemption {
    /// The profile makes no room, or extenders left none.
    SwitchedOff,
    /// Not tried: the pod may not, or room is being made for it already.
    NotTried {
        /// Why, in upstream's words.
        why: &'static str,
    },
    /// No node can be helped.
    NotFound {
        /// How many nodes there are.
        nodes: usize,
        /// On how many of them driving pods away could have helped.
        tried: usize,
        /// Why it did not.
        reasons: Vec<Cow<'static, str>>,
    },
    /// Room is made here.
    Found {
        /// The node.
        node: Arc<str>,
        /// Who has to go.
        victims: Vec<Arc<Pod>>,
    },
}

impl Preemption {
    /// What is said about it behind the reasons.
    pub fn message(&self) -> Option<String> {
        match self {
            Self::Found { .. } | Self::SwitchedOff => None,
            Self::NotTried { why } => Some(format!("preemption: {why}")),
            Self::NotFound { nodes, tried, reasons } => {
                let hopeless =
                    std::iter::repeat_n("Preemption is not helpful for scheduling", nodes.saturating_sub(*tried));
                let reasons = reasons.iter().map(|reason| &**reason).chain(hopeless);
                Some(format!("preemption: {}", available(*nodes, reasons)))
            }
        }
    }

    /// Where room is made.
    pub fn node(&self) -> Option<&Arc<str>> {
        match self {
            Self::Found { node, .. } => Some(node),
            Self::SwitchedOff | Self::NotTried { .. } | Self::NotFound { .. } => None,
        }
    }
}

/// What came of the first part of the search, before extenders are asked.
#[derive(Clone, Debug)]
pub enum Search {
    /// There is nothing to choose from.
    Over(Preemption),
    /// Room can be made on each of these.
    Choice(Vec<Candidate>),
}

/// A node where room can be made.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The node.
    pub node: Arc<str>,
    /// Who would have to go; never empty.
    pub victims: Vec<Arc<Pod>>,
    /// How many of them a disruption budget protects.
    pub violations: usize,
}

/// Looks for the node where making room costs least.
pub fn find(profile: &Profile, cluster: &mut Cluster, pod: &Arc<Pod>, diagnosis: &Diagnosis) -> Preemption {
    match search(profile, cluster, pod, diagnosis) {
        Search::Over(preemption) => preemption,
        Search::Choice(candidates) => choose(candidates),
    }
}

/// Looks for nodes where room can be made.
pub fn search(profile: &Profile, cluster: &mut Cluster, pod: &Arc<Pod>, diagnosis: &Diagnosis) -> Search {
    // Without nodes there is nothing to make room on.
    let Some(args) = profile.preemption.as_ref().filter(|_| diagnosis.nodes() > 0) else {
        return Search::Over(Preemption::SwitchedOff);
    };
    if pod.preemption == Policy::Never {
        return Search::Over(Preemption::NotTried { why: "not eligible due to preemptionPolicy=Never." });
    }
    if is_waiting_for_victims(cluster, pod) {
        let why = "not eligible due to a terminating pod on the nominated node.";
        return Search::Over(Preemption::NotTried { why });
    }
    let mut possible: Vec<NodeId> = diagnosis.resolvable().collect();
    if possible.is_empty() {
        return Search::Over(Preemption::NotFound { nodes: diagnosis.nodes(), tried: 0, reasons: Vec::new() });
    }
    let enough = enough(args, possible.len());
    let start = rand::random_range(0..possible.len());
    possible.rotate_left(start);
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut reasons = Vec::new();
    for &node in &possible {
        match candidate(profile, cluster, pod, node) {
            Ok(candidate) => candidates.push(candidate),
            Err(why) => reasons.extend(why),
        }
        // With enough of them, if one violates no budget.
        if candidates.len() >= enough && candidates.iter().any(|candidate| candidate.violations == 0) {
            break;
        }
    }
    match candidates.is_empty() {
        true => Search::Over(Preemption::NotFound { nodes: diagnosis.nodes(), tried: possible.len(), reasons }),
        false => Search::Choice(candidates),
    }
}

/// The node where making room costs least.
pub fn choose(candidates: Vec<Candidate>) -> Preemption {
    match candidates.into_iter().min_by_key(Cost::of) {
        Some(Candidate { node, victims, .. }) => Preemption::Found { node, victims },
        None => Preemption::SwitchedOff,
    }
}

/// How many candidates are enough.
fn enough(args: &DefaultPreemptionArgs, nodes: usize) -> usize {
    let part = nodes * usize::try_from(args.min_candidate_nodes_percentage).unwrap_or(0) / 100;
    part.max(usize::try_from(args.min_candidate_nodes_absolute).unwrap_or(0)).min(nodes)
}

/// Whether pods of lower priority are already ending where room is made for the pod.
fn is_waiting_for_victims(cluster: &Cluster, pod: &Pod) -> bool {
    let Some(node) = pod.nominated.as_deref().and_then(|name| cluster.nodes.number(name)) else { return false };
    cluster.nodes.pods[node as usize].iter().any(|other| other.is_terminating && other.priority < pod.priority)
}

/// Why a node does not help.
type Reasons = SmallVec<[Cow<'static, str>; 1]>;
const NOBODY: Cow<'static, str> = Cow::Borrowed("No preemption victims found for incoming pod");

/// The fewest pods without which the pod fits, or why it does not fit without all lower ones. The
/// cluster is as before afterwards.
fn candidate(profile: &Profile, cluster: &mut Cluster, pod: &Pod, node: NodeId) -> Result<Candidate, Reasons> {
    let mut lower: Vec<_> =
        cluster.nodes.pods[node as usize].iter().filter(|p| p.priority < pod.priority).cloned().collect();
    if lower.is_empty() {
        return Err(Reasons::from_iter([NOBODY]));
    }
    for victim in &lower {
        cluster.nodes.take_pod(node, victim);
    }
    let mut victims = Vec::new();
    let obstacle = obstacle(profile, cluster, pod, node);
    // The most important first: each stays if the pod still fits; those first that budgets protect.
    lower.sort_by_key(|victim| (Reverse(victim.priority), victim.started));
    let violating = cluster.budgets.violating(&lower);
    lower.sort_by_key(|victim| !violating.contains(&victim.key()));
    for victim in lower {
        cluster.nodes.put_pod(node, Arc::clone(&victim));
        if obstacle.is_none() && self::obstacle(profile, cluster, pod, node).is_some() {
            cluster.nodes.take_pod(node, &victim);
            victims.push(victim);
        }
    }
    for victim in &victims {
        cluster.nodes.put_pod(node, Arc::clone(victim));
    }
    match obstacle {
        Some(reasons) => return Err(reasons),
        None if victims.is_empty() => return Err(Reasons::from_iter([NOBODY])),
        None => {}
    }
    victims.sort_by_key(|victim| (Reverse(victim.priority), victim.started));
    let violations = victims.iter().filter(|victim| violating.contains(&victim.key())).count();
    Ok(Candidate { node: Arc::clone(cluster.nodes.name(node)), victims, violations })
}

/// Why the pod does not fit.
fn obstacle(profile: &Profile, cluster: &Cluster, pod: &Pod, node: NodeId) -> Option<Reasons> {
    let mut candidates = Candidates::new(&[node]);
    for filter in &profile.filters {
        if filter.concerns(cluster, pod) {
            filter.filter(cluster, pod, &mut candidates);
        }
    }
    candidates.rejected.into_iter().next().map(|rejected| rejected.rejection.reasons)
}

/// What upstream compares, in its order: how many budgets are violated, the highest priority among
/// the victims, the sum of their priorities, their number, and how late the most important of them
/// started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cost {
    violations: usize,
    highest: i32,
    sum: i64,
    count: usize,
    latest: Reverse<Timestamp>,
}

impl Cost {
    fn of(candidate: &Candidate) -> Self {
        let victims = &candidate.victims;
        let highest = victims.iter().map(|victim| victim.priority).max().unwrap_or(i32::MIN);
        let most_important = victims.iter().filter(|victim| victim.priority == highest);
        Self {
            violations: candidate.violations,
            highest,
            // Shifted so that more victims never sum up to less.
            sum: victims.iter().map(|victim| i64::from(victim.priority) - i64::from(i32::MIN)).sum(),
            count: victims.len(),
            latest: Reverse(most_important.map(|victim| victim.started).min().unwrap_or(Timestamp::MAX)),
        }
    }
}

/// Drives a pod away: says why in its conditions, then deletes it. Whether it goes.
pub(crate) async fn evict(client: &kube::Client, recorder: &Recorder, preemptor: &Pod, victim: &Pod) -> bool {
    if victim.is_terminating {
        return true;
    }
    let pods: Api<core::Pod> = Api::namespaced(client.clone(), &victim.namespace);
    let patch = json!({"metadata": {"uid": victim.uid}, "status": {"conditions": [disruption(preemptor, victim)]}});
    if let Err(error) = pods.patch_status(&victim.name, &PatchParams::default(), &Patch::Strategic(patch)).await {
        tracing::warn!(pod = %victim.key(), %error, "cannot write why the pod is preempted");
        return false;
    }
    let preconditions = Preconditions { uid: Some(victim.uid.clone()), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    match pods.delete(&victim.name, &params).await {
        Ok(_) => {
            let message = format!("Preempted by pod {}", preemptor.uid);
            recorder.normal(&victim.reference(), "Preempted", message);
            true
        }
        Err(error) => {
            tracing::warn!(pod = %victim.key(), %error, "cannot delete the preempted pod");
            false
        }
    }
}

/// The condition of a pod that is driven away.
fn disruption(preemptor: &Pod, victim: &Pod) -> Value {
    let message = format!("{}: preempting to accommodate a higher priority pod", preemptor.scheduler_name);
    json!({
        "type": "DisruptionTarget", "status": "True", "observedGeneration": victim.generation,
        "reason": "PreemptionByScheduler", "message": message, "lastTransitionTime": apimachinery::time::now(),
    })
}

#[cfg(test)]
#[path = "preempt_tests.rs"]
mod tests;
