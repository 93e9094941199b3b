//! A pod as decisions need it: read once when it arrives, shared from then on.

use super::affinity::{PodAffinity, Spread};
use super::device_claims::{Asking, Made, asking};
use super::requests::{Demand, is_sidecar};
use super::resources::Resources;
use super::selector::{Labels, NodeSelector, NodeTerm};
use super::taints::Toleration;
use super::volumes::{ClaimKey, PodVolume};
use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use std::sync::Arc;

/// Namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodKey {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

impl std::fmt::Display for PodKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Whether a pod may drive others away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preemption {
    /// Those of lower priority.
    PreemptLowerPriority,
    /// Nobody.
    Never,
}

/// A port of the host that a pod takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// `TCP`, `UDP`, `SCTP`.
    pub protocol: String,
    /// The address; empty and `0.0.0.0` mean all.
    pub address: String,
    /// The port.
    pub port: i32,
}

/// A preferred term of the node affinity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreferredNode {
    /// 1 to 100.
    pub weight: i64,
    /// The term.
    pub term: NodeTerm,
}

impl PreferredNode {
    /// From a node affinity; terms without a weight say nothing.
    pub fn all_of(affinity: Option<&core::NodeAffinity>) -> Vec<Self> {
        let terms = affinity.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref());
        let terms = terms.into_iter().flatten().filter(|term| term.weight != 0);
        terms.map(|term| Self { weight: i64::from(term.weight), term: NodeTerm::of(&term.preference) }).collect()
    }
}

/// The kinds of controllers by which upstream spreads pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OwnerKind {
    /// Of `v1`.
    ReplicationController,
    /// Of `apps/v1`.
    ReplicaSet,
    /// Of `apps/v1`.
    StatefulSet,
}

/// The controller of a pod, in the pod's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Its kind.
    pub kind: OwnerKind,
    /// Its name.
    pub name: Arc<str>,
}

impl Owner {
    /// The controller among a pod's owners, if pods are spread by its kind.
    fn of(pod: &core::Pod) -> Option<Self> {
        let mut owners = pod.metadata.owner_references.iter().flatten();
        let controller = owners.find(|owner| owner.controller == Some(true))?;
        let kind = match (controller.api_version.as_str(), controller.kind.as_str()) {
            ("v1", "ReplicationController") => OwnerKind::ReplicationController,
            ("apps/v1", "ReplicaSet") => OwnerKind::ReplicaSet,
            ("apps/v1", "StatefulSet") => OwnerKind::StatefulSet,
            _ => return None,
        };
        Some(Self { kind, name: Arc::from(controller.name.as_str()) })
    }
}

/// A pod in compact form.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// Unique over time.
    pub uid: String,
    /// As last seen.
    pub resource_version: String,
    /// Of what is wanted of it; conditions say which one they are of.
    pub generation: Option<i64>,
    /// What its status says of why it is not scheduled; `None` if it does not say so.
    pub unscheduled: Option<Box<Unscheduled>>,
    /// Who schedules it.
    pub scheduler_name: String,
    /// Where it is; `None` while unscheduled.
    pub node: Option<Arc<str>>,
    /// Where room is being made for it.
    pub nominated: Option<Arc<str>>,
    /// Whether it is being deleted.
    pub is_terminating: bool,
    /// Higher comes first.
    pub priority: i32,
    /// Whether it may drive others away.
    pub preemption: Preemption,
    /// When it was created.
    pub created: Timestamp,
    /// When it was started; its creation if unknown.
    pub started: Timestamp,
    /// Names of the gates that hold it back.
    pub gates: Vec<String>,
    /// What it asks for.
    pub requests: Resources,
    /// CPU and memory, with defaults for containers that ask for none; for scores only.
    pub weight_cpu: i64,
    /// See `weight_cpu`.
    pub weight_memory: i64,
    /// Its labels.
    pub labels: Labels,
    /// Its controller, if pods are spread by that kind.
    pub owner: Option<Owner>,
    /// Which nodes it may go to.
    pub node_selector: NodeSelector,
    /// Which nodes it likes.
    pub preferred_nodes: Vec<PreferredNode>,
    /// Which taints it bears.
    pub tolerations: Vec<Toleration>,
    /// Ports of the host.
    pub host_ports: Vec<HostPort>,
    /// Affinity to other pods; `None` if it has no terms.
    pub affinity: Option<Box<PodAffinity>>,
    /// How it spreads.
    pub spreads: Vec<Spread>,
    /// The images of its containers.
    pub images: Vec<String>,
    /// Its volumes, as far as they limit where it can go.
    pub volumes: Vec<PodVolume>,
    /// Its claims of devices.
    pub device_claims: Vec<Made>,
    /// Its containers, if one asks for a resource that devices may stand for.
    pub asking: Vec<Asking>,
}

impl Pod {
    /// From the API's form.
    pub fn of(pod: &core::Pod) -> Self {
        let empty = core::PodSpec::default();
        let spec = pod.spec.as_ref().unwrap_or(&empty);
        let status = pod.status.as_ref();
        let meta = &pod.metadata;
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let labels = meta.labels.clone().unwrap_or_default();
        let created = meta.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        let given = |text: Option<&String>| text.filter(|text| !text.is_empty()).map(|text| Arc::from(text.as_str()));
        let Demand { requests, weight_cpu, weight_memory } = Demand::of(spec, status);
        Self {
            node: given(spec.node_name.as_ref()),
            nominated: given(status.and_then(|status| status.nominated_node_name.as_ref())),
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone().unwrap_or_default(),
            generation: meta.generation,
            unscheduled: status.and_then(Unscheduled::of),
            scheduler_name: spec.scheduler_name.clone().unwrap_or_else(|| "default-scheduler".to_owned()),
            is_terminating: meta.deletion_timestamp.is_some(),
            priority: spec.priority.unwrap_or(0),
            preemption: match spec.preemption_policy.as_deref() {
                Some("Never") => Preemption::Never,
                _ => Preemption::PreemptLowerPriority,
            },
            created,
            started: status.and_then(|status| status.start_time.as_ref()).map_or(created, |time| time.0),
            gates: spec.scheduling_gates.iter().flatten().map(|gate| gate.name.clone()).collect(),
            requests,
            weight_cpu,
            weight_memory,
            node_selector: NodeSelector::of(spec),
            preferred_nodes: preferred_nodes(spec),
            tolerations: spec.tolerations.iter().flatten().map(Toleration::of).collect(),
            host_ports: host_ports(spec),
            affinity: PodAffinity::of(spec, namespace, &labels),
            spreads: Spread::all_of(spec, &labels),
            images: containers(spec).filter_map(|container| container.image.clone()).collect(),
            owner: Owner::of(pod),
            volumes: PodVolume::all_of(pod),
            device_claims: Made::all_of(pod),
            asking: asking(spec),
            labels,
            namespace: Arc::from(namespace),
            name: Arc::from(meta.name.as_deref().unwrap_or_default()),
        }
    }

    /// Namespace and name.
    pub fn key(&self) -> PodKey {
        PodKey { namespace: Arc::clone(&self.namespace), name: Arc::clone(&self.name) }
    }

    /// The claims of its volumes.
    pub fn claims(&self) -> impl Iterator<Item = &ClaimKey> {
        self.volumes.iter().filter_map(PodVolume::claim)
    }

    /// A reference for events.
    pub fn reference(&self) -> core::ObjectReference {
        core::ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: Some(self.namespace.to_string()),
            name: Some(self.name.to_string()),
            uid: Some(self.uid.clone()),
            resource_version: Some(self.resource_version.clone()),
            field_path: None,
        }
    }
}

/// The condition of a pod that is not scheduled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unscheduled {
    /// Since when.
    pub since: Option<Timestamp>,
    /// Why, in a word.
    pub reason: String,
    /// Why.
    pub message: String,
    /// Of which generation of the pod that was said.
    pub generation: Option<i64>,
}

impl Unscheduled {
    /// Whether a condition is one.
    pub fn is(condition: &core::PodCondition) -> bool {
        condition.type_ == "PodScheduled" && condition.status == "False"
    }

    fn of(status: &core::PodStatus) -> Option<Box<Self>> {
        let said = status.conditions.iter().flatten().find(|condition| Self::is(condition))?;
        Some(Box::new(Self {
            since: said.last_transition_time.as_ref().map(|time| time.0),
            reason: said.reason.clone().unwrap_or_default(),
            message: said.message.clone().unwrap_or_default(),
            generation: said.observed_generation,
        }))
    }
}

fn containers(spec: &core::PodSpec) -> impl Iterator<Item = &core::Container> {
    spec.containers.iter().chain(spec.init_containers.iter().flatten())
}

fn preferred_nodes(spec: &core::PodSpec) -> Vec<PreferredNode> {
    PreferredNode::all_of(spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref()))
}

fn host_ports(spec: &core::PodSpec) -> Vec<HostPort> {
    // Init containers end before the others start, but sidecars do not.
    let long_lived = spec.containers.iter().chain(spec.init_containers.iter().flatten().filter(|c| is_sidecar(c)));
    let ports = long_lived.flat_map(|container| container.ports.iter().flatten());
    let ports = ports.filter_map(|port| Some((port, port.host_port.filter(|port| *port > 0)?)));
    ports
        .map(|(port, number)| HostPort {
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
            address: port.host_ip.clone().unwrap_or_default(),
            port: number,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(spec: Value) -> Pod {
        let pod = json!({"metadata": {"namespace": "n", "name": "p"}, "spec": spec});
        Pod::of(&serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn host_ports_of_init_containers_do_not_count() {
        let ports =
            |name: &str| json!({"name": name, "ports": [{"containerPort": 1, "hostPort": 80}, {"containerPort": 2}]});
        let pod = pod(json!({"containers": [ports("a")], "initContainers": [ports("b")]}));
        assert_eq!(pod.host_ports, [HostPort { protocol: "TCP".into(), address: String::new(), port: 80 }]);
    }

    #[test]
    fn an_empty_object_is_an_empty_pod() {
        let pod = Pod::of(&core::Pod::default());
        assert_eq!((pod.priority, pod.node, pod.scheduler_name.as_str()), (0, None, "default-scheduler"));
    }
}
