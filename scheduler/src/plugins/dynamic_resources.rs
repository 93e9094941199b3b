//! A pod's claims get devices that its node reaches; those that have devices keep the pod where they
//! are.
//!
//! Upstream: `pkg/scheduler/framework/plugins/dynamicresources`.

pub(crate) mod extended;
pub(crate) mod readiness;

use crate::cluster::Cluster;
use crate::config::args::DynamicResourcesArgs;
use crate::devices::{AllocateError, Node, allocate};
use crate::diagnosis::Diagnosis;
use crate::framework::{Candidates, Direction, Event, Filter, Rejection, Score, normalize};
use crate::model::device_claims::Made;
use crate::model::selector::NodeSelector;
use crate::model::volumes::ClaimKey;
use crate::model::{NodeId, Pod};
use extended::Extended;
use jiff::Timestamp;
use k8s_openapi::api::resource::v1 as resource;
use readiness::Readiness;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The plugin, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DynamicResources {
    /// For one node; `None`: for ever.
    filter_timeout: Option<Duration>,
    /// Until devices that need preparation have got it.
    pub binding_timeout: Duration,
}

/// Its name, which its PreBind needs too.
pub(crate) const NAME: &str = "DynamicResources";
/// Most alternatives that a request may have: `FirstAvailableDeviceRequestMaxSize`.
const MOST_ALTERNATIVES: i64 = 8;

/// A claim as a pod finds it.
pub(crate) type Claim = Arc<resource::ResourceClaim>;

/// What is to be done about a pod's claims before it can be bound to the node.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The claims of the pod.
    pub claims: Vec<Planned>,
    /// The claim that is to be made for extended resources.
    pub extended: Option<Extended>,
}

/// A claim, and what it gets.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Its name.
    pub key: ClaimKey,
    /// The claim.
    pub claim: Claim,
    /// What it gets; `None` if it has got something already.
    pub allocation: Option<Arc<resource::AllocationResult>>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.claims.is_empty() && self.extended.is_none()
    }
}

impl Plan {
    /// The devices that it takes, and for which claims.
    pub fn taken(&self) -> impl Iterator<Item = (&ClaimKey, &Arc<resource::AllocationResult>)> {
        let claims = self.claims.iter().filter_map(|planned| Some((&planned.key, planned.allocation.as_ref()?)));
        let extended = self.extended.iter();
        claims.chain(extended.filter_map(|extended| Some((&extended.key, extended.allocation.as_ref()?))))
    }
}

impl DynamicResources {
    /// With these arguments.
    pub(crate) fn new(args: &DynamicResourcesArgs) -> Self {
        let filter_timeout = Some(args.filter_timeout.0).filter(|timeout| !timeout.is_zero());
        Self { filter_timeout, binding_timeout: args.binding_timeout.0 }
    }
}

impl Filter for DynamicResources {
    fn name(&self) -> &'static str {
        NAME
    }

    fn concerns(&self, cluster: &Cluster, pod: &Pod) -> bool {
        !pod.device_claims.is_empty() || extended::is_asked_for(cluster, pod)
    }

    fn admit(&self, cluster: &Cluster, pod: &Pod) -> Result<(), String> {
        for (key, claim) in existing(cluster, pod)? {
            if has_devices(&claim) {
                continue;
            }
            if cluster.devices.claims.is_pending(&key) {
                return Err(format!("resource claim {key} is in the process of being allocated"));
            }
            let requests = claim.spec.devices.iter().flat_map(|devices| devices.requests.iter().flatten());
            for request in requests {
                check_classes(cluster, &key, request)?;
            }
        }
        Ok(())
    }

    fn filter(&self, cluster: &Cluster, pod: &Pod, candidates: &mut Candidates) {
        let Ok(wanted) = Wanted::of(self, cluster, pod) else { return };
        let mut failure = None;
        candidates.retain(NAME, |node| match wanted.plan(cluster, node) {
            _ if failure.is_some() => Ok(()),
            Ok(_) => Ok(()),
            Err(Refusal::Node(reason)) => Err(Rejection::unresolvable(reason)),
            Err(Refusal::Pod(why)) => {
                failure = Some(why);
                Ok(())
            }
        });
        if let Some(why) = failure {
            candidates.fail(format!("running {NAME:?} filter plugin: {why}"));
        }
    }

    fn is_woken_by(&self, event: &Event) -> bool {
        matches!(
            event,
            Event::NodeAdded
                | Event::NodeLabels
                | Event::NodeAllocatable
                | Event::DeviceClaim { .. }
                | Event::DeviceClass
                | Event::DeviceSlice
        )
    }
}

impl Score for DynamicResources {
    fn name(&self) -> &'static str {
        NAME
    }

    fn concerns(&self, cluster: &Cluster, pod: &Pod) -> bool {
        let claims = existing(cluster, pod).unwrap_or_default();
        let mut requests = claims
            .iter()
            .flat_map(|(_, claim)| claim.spec.devices.iter().flat_map(|devices| devices.requests.iter().flatten()));
        requests.any(|request| request.first_available.is_some())
    }

    fn score(&self, cluster: &Cluster, pod: &Pod, nodes: &[NodeId], scores: &mut [i64]) {
        let Ok(wanted) = Wanted::of(self, cluster, pod) else { return };
        for (node, score) in nodes.iter().zip(scores.iter_mut()) {
            *score = wanted.plan(cluster, *node).map_or(0, |plan| plan.claims.iter().map(preference).sum());
        }
        normalize(scores, Direction::HigherIsBetter);
    }
}

/// How early the alternatives stand that a claim has got.
fn preference(planned: &Planned) -> i64 {
    let current = planned.claim.status.as_ref().and_then(|status| status.allocation.as_ref());
    let Some(allocation) = planned.allocation.as_deref().or(current) else { return 0 };
    let results = || allocation.devices.iter().flat_map(|devices| devices.results.iter().flatten());
    let requests = planned.claim.spec.devices.iter().flat_map(|devices| devices.requests.iter().flatten());
    let alternatives = requests.flat_map(|request| {
        let all = request.first_available.iter().flatten().zip(0i64..);
        all.map(move |(sub, place)| (format!("{}/{}", request.name, sub.name), place))
    });
    let taken = alternatives.filter(|(name, _)| results().any(|result| result.request == *name));
    taken.map(|(_, place)| MOST_ALTERNATIVES - place).sum()
}

/// Whether the claim has devices.
pub(crate) fn has_devices(claim: &resource::ResourceClaim) -> bool {
    claim.status.as_ref().is_some_and(|status| status.allocation.is_some())
}

/// Whether every claim of the pod is there, so that trying it makes sense: PreEnqueue.
pub(crate) fn are_there(cluster: &Cluster, pod: &Pod) -> Result<(), String> {
    existing(cluster, pod).map(drop)
}

/// The pod's claims, or why it cannot be placed as long as they are as they are.
fn existing(cluster: &Cluster, pod: &Pod) -> Result<Vec<(ClaimKey, Claim)>, String> {
    let mut claims = Vec::new();
    for made in &pod.device_claims {
        let key = match made {
            Made::NotYet => return Err(format!("pod \"{}\": ResourceClaim not created yet", pod.key())),
            Made::Unknown { name } => {
                let pod = pod.key();
                let why = "none of the supported fields are set";
                return Err(format!("pod \"{pod}\", spec.resourceClaim {name:?}: {why}"));
            }
            Made::Named(key) | Made::ForPod(key) => key,
        };
        let Some(claim) = cluster.devices.claims.get(key) else {
            return Err(format!("could not find ResourceClaim \"{key}\""));
        };
        if claim.metadata.deletion_timestamp.is_some() {
            return Err(format!("resourceclaim {:?} is being deleted", &*key.name));
        }
        if matches!(made, Made::ForPod(_)) && !is_owned_by(claim, pod) {
            return Err(format!("ResourceClaim {key} was not created for Pod {} (Pod is not owner)", pod.key()));
        }
        claims.push((key.clone(), Arc::clone(claim)));
    }
    Ok(claims)
}

fn is_owned_by(claim: &resource::ResourceClaim, pod: &Pod) -> bool {
    let mut owners = claim.metadata.owner_references.iter().flatten();
    owners.any(|owner| owner.controller == Some(true) && owner.uid == pod.uid)
}

fn check_classes(cluster: &Cluster, key: &ClaimKey, request: &resource::DeviceRequest) -> Result<(), String> {
    let check = |class: &str, name: &str| match cluster.devices.class(class) {
        Some(_) => Ok(()),
        None => Err(format!("request {name}: device class {class} does not exist")),
    };
    match (&request.exactly, request.first_available.as_deref().unwrap_or_default()) {
        (Some(exactly), _) => check(&exactly.device_class_name, &request.name),
        (None, []) => Err(format!("resource claim {key}, request {}: unknown request type", request.name)),
        (None, subs) => {
            subs.iter().try_for_each(|sub| check(&sub.device_class_name, &format!("{}/{}", request.name, sub.name)))
        }
    }
}

/// Why there is no plan.
#[derive(Debug)]
enum Refusal {
    /// It is about this node.
    Node(String),
    /// The pod cannot be tried at all.
    Pod(String),
}

/// What a pod wants, before one looks at nodes.
#[derive(Debug)]
struct Wanted<'p> {
    pod: &'p Pod,
    filter_timeout: Option<Duration>,
    claims: Vec<(ClaimKey, Claim, Where)>,
    /// A claim for extended resources that an earlier attempt left behind.
    leftover: bool,
}

/// Where a claim can be used.
#[derive(Debug)]
enum Where {
    /// That is still to be found out.
    Open,
    /// Everywhere.
    Anywhere,
    /// On these nodes.
    On(NodeSelector),
    /// Nowhere: its devices do not become ready.
    Nowhere,
}

impl<'p> Wanted<'p> {
    fn of(plugin: &DynamicResources, cluster: &Cluster, pod: &'p Pod) -> Result<Self, String> {
        let claims = existing(cluster, pod)?.into_iter().map(|(key, claim)| {
            let place = place(&claim, plugin.binding_timeout);
            (key, claim, place)
        });
        let leftover = extended::is_asked_for(cluster, pod) && extended::leftover(cluster, pod).is_some();
        Ok(Self { pod, filter_timeout: plugin.filter_timeout, claims: claims.collect(), leftover })
    }

    fn plan(&self, cluster: &Cluster, node: NodeId) -> Result<Plan, Refusal> {
        let (name, labels) = (cluster.nodes.name(node), &cluster.nodes.labels[node as usize]);
        if self.leftover {
            return Err(Refusal::Node("cannot schedule extended resource claim".to_owned()));
        }
        let extended = extended::claim(cluster, self.pod, node).map_err(|why| Refusal::Node(why.to_owned()))?;
        let open = self.claims.iter().filter(|(_, _, place)| matches!(place, Where::Open));
        let mut wanting: Vec<&resource::ResourceClaim> = open.map(|(_, claim, _)| &**claim).collect();
        wanting.extend(extended.as_ref().map(|extended| &extended.claim));
        let mut results = if wanting.is_empty() {
            Vec::new()
        } else {
            let end = self.filter_timeout.map(|timeout| Instant::now() + timeout);
            let place = Node { name, labels };
            match allocate(&cluster.devices, place, &wanting, &|| end.is_some_and(|end| Instant::now() >= end)) {
                Ok(Some(results)) => results,
                Ok(None) => return Err(Refusal::Node("cannot allocate all claims".to_owned())),
                Err(AllocateError::OnNode(why)) => return Err(Refusal::Node(why)),
                Err(late @ AllocateError::Late) => return Err(Refusal::Pod(format!("node {name}: {late}"))),
                Err(AllocateError::Fatal(why)) => return Err(Refusal::Pod(why)),
            }
        };
        if self.claims.iter().any(|(_, _, place)| !is_usable(place, name, labels)) {
            return Err(Refusal::Node("resourceclaim not available on the node".to_owned()));
        }
        let of_extended = extended.as_ref().and_then(|_| results.pop());
        let mut results = results.into_iter();
        let claims = self.claims.iter().map(|(key, claim, place)| {
            let allocation = if matches!(place, Where::Open) { results.next().map(Arc::new) } else { None };
            Planned { key: key.clone(), claim: Arc::clone(claim), allocation }
        });
        let claims = claims.collect();
        let extended = extended.map(|mut extended| {
            extended.allocation = of_extended.map(Arc::new);
            extended
        });
        Ok(Plan { claims, extended })
    }
}

fn place(claim: &resource::ResourceClaim, binding_timeout: Duration) -> Where {
    let Some(allocation) = claim.status.as_ref().and_then(|status| status.allocation.as_ref()) else {
        return Where::Open;
    };
    match readiness::of(claim, Timestamp::now(), binding_timeout) {
        Readiness::Failed(_) | Readiness::Late => Where::Nowhere,
        Readiness::Ready | Readiness::Waiting => match &allocation.node_selector {
            Some(selector) => Where::On(NodeSelector::of_terms(selector)),
            None => Where::Anywhere,
        },
    }
}

fn is_usable(place: &Where, name: &str, labels: &crate::model::selector::Labels) -> bool {
    match place {
        Where::Open | Where::Anywhere => true,
        Where::On(selector) => selector.matches(name, labels),
        Where::Nowhere => false,
    }
}

impl DynamicResources {
    /// What is to be done about the pod's claims on the node.
    ///
    /// # Errors
    /// There is nothing that could be done, though the filter found it possible: it took too long now.
    pub(crate) fn plan(&self, cluster: &Cluster, pod: &Pod, node: NodeId) -> Result<Plan, String> {
        if !Filter::concerns(self, cluster, pod) {
            return Ok(Plan::default());
        }
        Wanted::of(self, cluster, pod)?
            .plan(cluster, node)
            .map_err(|(Refusal::Node(why) | Refusal::Pod(why))| format!("running Reserve plugin {NAME:?}: {why}"))
    }

    /// Looks for what may be given back.
    pub(crate) fn relief(&self, cluster: &Cluster, pod: &Pod, diagnosis: &Diagnosis) -> Relief {
        // Upstream knows no claims either of a pod whose nodes were not looked at.
        if diagnosis.is_refusal() || !Filter::concerns(self, cluster, pod) {
            return Relief::NoClaims;
        }
        let Ok(wanted) = Wanted::of(self, cluster, pod) else { return Relief::NoClaims };
        let nodes: Vec<NodeId> = diagnosis.rejected_by(NAME).collect();
        let is_unused = |claim: &resource::ResourceClaim| {
            let reserved = claim.status.iter().flat_map(|status| status.reserved_for.iter().flatten());
            reserved.map(|consumer| &consumer.uid).all(|uid| *uid == pod.uid)
        };
        let in_the_way = wanted.claims.iter().find(|(_, claim, place)| {
            let is_usable =
                |node: &NodeId| is_usable(place, cluster.nodes.name(*node), &cluster.nodes.labels[*node as usize]);
            is_unused(claim) && nodes.iter().any(|node| !is_usable(node))
        });
        if let Some((_, claim, _)) = in_the_way {
            return Relief::Deallocate(Arc::clone(claim));
        }
        match extended::leftover(cluster, pod).filter(|_| wanted.leftover) {
            Some(claim) => Relief::Delete(Arc::clone(claim)),
            None => Relief::None,
        }
    }
}

/// What may be given back so that the pod can be placed: PostFilter.
#[derive(Clone, Debug)]
pub(crate) enum Relief {
    /// Nothing, as the pod has no claims, or it was refused before they were looked at.
    NoClaims,
    /// Nothing of what it has.
    None,
    /// The devices of this claim, which nobody else uses.
    Deallocate(Claim),
    /// A claim for extended resources that an earlier attempt left behind.
    Delete(Claim),
}

impl Relief {
    /// In upstream's words.
    pub(crate) fn message(&self) -> &'static str {
        match self {
            Self::NoClaims => "no new claims to deallocate",
            Self::None => "still not schedulable",
            Self::Deallocate(_) => "deallocation of ResourceClaim completed",
            Self::Delete(_) => "deletion of ResourceClaim completed",
        }
    }
}

#[cfg(test)]
mod tests;
