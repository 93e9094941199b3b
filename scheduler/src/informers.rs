//! From the apiserver's watches to the cache and the queue.

mod devices;
mod storage;

use crate::model::Pod;
use crate::model::budgets::Budget;
use crate::model::node::NodeFacts;
use crate::model::pod::{Owner, OwnerKind, Unscheduled};
use crate::model::requests::{is_of_resize, is_resized};
use crate::model::selector::PodSelector;
use crate::model::volumes::PodVolume;
use crate::scheduler::Scheduler;
use crate::scheduler::extended::Objects;
use client::informer::{Builder, Cached, Change, Informer, Scope};
use component::Supervisor;
use k8s_openapi::Metadata;
use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::policy::v1 as policy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::sync::Arc;

/// The running watches.
#[derive(Debug)]
pub struct Informers {
    nodes: Informer<core::Node>,
    pods: Informer<core::Pod>,
    namespaces: Informer<core::Namespace>,
    services: Informer<core::Service>,
    replication_controllers: Informer<core::ReplicationController>,
    replica_sets: Informer<apps::ReplicaSet>,
    stateful_sets: Informer<apps::StatefulSet>,
    budgets: Informer<policy::PodDisruptionBudget>,
    storage: storage::Watches,
    devices: devices::Watches,
}

/// How much of objects is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// What decisions are made on.
    Needed,
    /// All of nodes and pods, for extenders.
    Whole,
}

/// Starts the watches of one kind after the other.
struct Starter<'a> {
    client: &'a kube::Client,
    scheduler: &'a Arc<Scheduler>,
    supervisor: &'a Supervisor,
}

impl Starter<'_> {
    fn start<K: Cached>(
        &self,
        scope: Scope,
        trim: impl Fn(&mut K) + Send + Sync + 'static,
        on: impl Fn(&Scheduler, &Change<K>) + Send + Sync + 'static,
    ) -> Informer<K> {
        let to = Arc::clone(self.scheduler);
        let builder = Builder::new(self.client.clone(), scope).trim(trim);
        let (informer, feed) = builder.on_change(move |change| on(&to, change)).build();
        self.supervisor.spawn_until_stop("informer", feed);
        informer
    }
}

impl Informers {
    /// Starts the watches.
    pub fn start(client: &kube::Client, scheduler: &Arc<Scheduler>, supervisor: &Supervisor, keep: Keep) -> Self {
        let starter = Starter { client, scheduler, supervisor };
        // A pod that has ended takes no place; leaving the scope looks like a deletion.
        let running = "status.phase!=Succeeded,status.phase!=Failed".to_owned();
        Self {
            nodes: starter.start(Scope::default(), keep.or_trim(trim_node), on_node),
            pods: starter.start(
                Scope { field_selector: Some(running), ..Scope::default() },
                keep.or_trim(trim_pod),
                on_pod,
            ),
            namespaces: starter.start(Scope::default(), trim_metadata, on_namespace),
            services: starter.start(Scope::default(), trim_service, on_service),
            replication_controllers: starter.start(
                Scope::default(),
                trim_owner::<core::ReplicationController>,
                on_owner,
            ),
            replica_sets: starter.start(Scope::default(), trim_owner::<apps::ReplicaSet>, on_owner),
            stateful_sets: starter.start(Scope::default(), trim_owner::<apps::StatefulSet>, on_owner),
            budgets: starter.start(Scope::default(), trim_metadata, on_budget),
            storage: storage::Watches::start(&starter),
            devices: devices::Watches::start(&starter),
        }
    }

    /// Waits for the first complete lists.
    pub async fn synced(&self) {
        tokio::join!(
            self.nodes.synced(),
            self.pods.synced(),
            self.namespaces.synced(),
            self.services.synced(),
            self.replication_controllers.synced(),
            self.replica_sets.synced(),
            self.stateful_sets.synced(),
            self.budgets.synced(),
            self.storage.synced(),
            self.devices.synced(),
        );
    }

    /// Whether the first lists are complete.
    pub fn are_synced(&self) -> bool {
        self.nodes.is_synced()
            && self.pods.is_synced()
            && self.namespaces.is_synced()
            && self.services.is_synced()
            && self.replication_controllers.is_synced()
            && self.replica_sets.is_synced()
            && self.stateful_sets.is_synced()
            && self.budgets.is_synced()
            && self.storage.are_synced()
            && self.devices.are_synced()
    }
}

impl Objects for Informers {
    fn pod(&self, namespace: &str, name: &str) -> Option<Arc<core::Pod>> {
        self.pods.get(namespace, name)
    }

    fn node(&self, name: &str) -> Option<Arc<core::Node>> {
        self.nodes.get("", name)
    }
}

impl Keep {
    fn or_trim<K>(self, trim: fn(&mut K)) -> impl Fn(&mut K) {
        move |object| {
            if self == Self::Needed {
                trim(object);
            }
        }
    }
}

fn on_node(scheduler: &Scheduler, change: &Change<core::Node>) {
    let name = change.object().metadata.name.as_deref().unwrap_or_default();
    match change {
        Change::Added(node) | Change::Updated(_, node) => scheduler.set_node(name, NodeFacts::of(node)),
        Change::Deleted(_) => scheduler.remove_node(name),
    }
}

fn on_pod(scheduler: &Scheduler, change: &Change<core::Pod>) {
    match change {
        Change::Added(pod) => scheduler.set_pod(Arc::new(Pod::of(pod))),
        Change::Updated(old, new) => {
            // Another pod of the same name: the first one's end went unseen.
            if old.metadata.uid != new.metadata.uid {
                scheduler.remove_pod(&Pod::of(old));
            }
            scheduler.set_pod(Arc::new(Pod::of(new)));
        }
        Change::Deleted(pod) => scheduler.remove_pod(&Pod::of(pod)),
    }
}

fn on_namespace(scheduler: &Scheduler, change: &Change<core::Namespace>) {
    let object = change.object();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let labels = match change {
        Change::Added(_) | Change::Updated(..) => Some(object.metadata.labels.clone().unwrap_or_default()),
        Change::Deleted(_) => None,
    };
    scheduler.set_namespace(name, labels);
}

fn on_budget(scheduler: &Scheduler, change: &Change<policy::PodDisruptionBudget>) {
    let budget = change.object();
    let (namespace, name) = key(&budget.metadata);
    let budget = match change {
        Change::Added(_) | Change::Updated(..) => Budget::of(budget),
        Change::Deleted(_) => None,
    };
    scheduler.set_budget(namespace, name, budget);
}

fn on_service(scheduler: &Scheduler, change: &Change<core::Service>) {
    let service = change.object();
    let (namespace, name) = key(&service.metadata);
    let selector = match change {
        Change::Added(_) | Change::Updated(..) => service.spec.as_ref().and_then(|spec| spec.selector.clone()),
        Change::Deleted(_) => None,
    };
    scheduler.set_service(namespace, name, selector.filter(|selector| !selector.is_empty()));
}

fn on_owner<K: Owning>(scheduler: &Scheduler, change: &Change<K>) {
    let owner = change.object();
    let (namespace, name) = key(owner.metadata());
    let selector = match change {
        Change::Added(_) | Change::Updated(..) => owner.selector(),
        Change::Deleted(_) => None,
    };
    scheduler.set_owner(namespace, Owner { kind: K::OWNER, name: Arc::from(name) }, selector);
}

fn key(metadata: &ObjectMeta) -> (&str, &str) {
    (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default())
}

/// A kind of controller by which pods are spread.
trait Owning: Metadata<Ty = ObjectMeta> {
    /// The kind.
    const OWNER: OwnerKind;
    /// The pods that it owns.
    fn selector(&self) -> Option<PodSelector>;
    /// Keeps the selector of the specification only.
    fn trim(&mut self);
}

impl Owning for core::ReplicationController {
    const OWNER: OwnerKind = OwnerKind::ReplicationController;

    fn selector(&self) -> Option<PodSelector> {
        let labels = self.spec.as_ref()?.selector.as_ref()?;
        let mut selector = PodSelector::default();
        labels.iter().for_each(|(key, value)| selector.require(key, value));
        Some(selector)
    }

    fn trim(&mut self) {
        self.status = None;
        let selector = self.spec.take().and_then(|spec| spec.selector);
        self.spec = Some(core::ReplicationControllerSpec { selector, ..Default::default() });
    }
}

impl Owning for apps::ReplicaSet {
    const OWNER: OwnerKind = OwnerKind::ReplicaSet;

    fn selector(&self) -> Option<PodSelector> {
        PodSelector::of(self.spec.as_ref().map(|spec| &spec.selector))
    }

    fn trim(&mut self) {
        self.status = None;
        let selector = self.spec.take().map(|spec| spec.selector).unwrap_or_default();
        self.spec = Some(apps::ReplicaSetSpec { selector, ..Default::default() });
    }
}

impl Owning for apps::StatefulSet {
    const OWNER: OwnerKind = OwnerKind::StatefulSet;

    fn selector(&self) -> Option<PodSelector> {
        PodSelector::of(self.spec.as_ref().map(|spec| &spec.selector))
    }

    fn trim(&mut self) {
        self.status = None;
        let selector = self.spec.take().map(|spec| spec.selector).unwrap_or_default();
        self.spec = Some(apps::StatefulSetSpec { selector, ..Default::default() });
    }
}

fn trim_owner<K: Owning>(owner: &mut K) {
    owner.trim();
    trim_metadata(owner);
}

/// Keeps names and labels.
fn trim_metadata<K: Metadata<Ty = ObjectMeta>>(object: &mut K) {
    let metadata = object.metadata_mut();
    metadata.annotations = None;
    metadata.owner_references = None;
    metadata.finalizers = None;
}

fn trim_service(service: &mut core::Service) {
    service.status = None;
    let selector = service.spec.take().and_then(|spec| spec.selector);
    service.spec = Some(core::ServiceSpec { selector, ..core::ServiceSpec::default() });
    trim_metadata(service);
}

fn trim_node(node: &mut core::Node) {
    node.metadata.annotations = None;
    if let Some(status) = &mut node.status {
        let images = status.images.take();
        let allocatable = status.allocatable.take();
        *status = core::NodeStatus { images, allocatable, ..core::NodeStatus::default() };
    }
}

/// Keeps what [`Pod::of`] reads.
fn trim_pod(pod: &mut core::Pod) {
    pod.metadata.annotations = None;
    if let Some(owners) = &mut pod.metadata.owner_references {
        owners.retain(|owner| owner.controller == Some(true));
    }
    pod.metadata.finalizers = None;
    if let Some(spec) = &mut pod.spec {
        if let Some(volumes) = &mut spec.volumes {
            volumes.retain(PodVolume::matters);
            let ephemeral = volumes.iter_mut().filter_map(|volume| volume.ephemeral.as_mut());
            ephemeral.for_each(|source| source.volume_claim_template = None);
        }
        spec.dns_config = None;
        spec.host_aliases = None;
        spec.security_context = None;
        spec.ephemeral_containers = None;
        spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()).for_each(trim_container);
    }
    if let Some(status) = &mut pod.status {
        trim_status(status, pod.spec.as_ref());
    }
}

/// Few pods say anything but that they run as they were meant to, of which nothing is kept.
fn trim_status(status: &mut core::PodStatus, spec: Option<&core::PodSpec>) {
    let is_resized = |status: &core::ContainerStatus| {
        let containers =
            spec.into_iter().flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
        containers.filter(|container| container.name == status.name).any(|container| is_resized(status, container))
    };
    let statuses = |list: &mut Option<Vec<core::ContainerStatus>>| {
        list.take().map(|list| list.into_iter().filter(is_resized).collect()).filter(|list: &Vec<_>| !list.is_empty())
    };
    let conditions = status.conditions.take().map(|mut conditions| {
        conditions.retain(|condition| Unscheduled::is(condition) || is_of_resize(condition));
        conditions
    });
    *status = core::PodStatus {
        start_time: status.start_time.take(),
        nominated_node_name: status.nominated_node_name.take(),
        resource_claim_statuses: status.resource_claim_statuses.take(),
        conditions: conditions.filter(|conditions| !conditions.is_empty()),
        container_statuses: statuses(&mut status.container_statuses),
        init_container_statuses: statuses(&mut status.init_container_statuses),
        resources: status.resources.take(),
        allocated_resources: status.allocated_resources.take(),
        ..core::PodStatus::default()
    };
}

fn trim_container(container: &mut core::Container) {
    *container = core::Container {
        name: std::mem::take(&mut container.name),
        image: container.image.take(),
        ports: container.ports.take(),
        resources: container.resources.take(),
        restart_policy: container.restart_policy.take(),
        ..core::Container::default()
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trimming_takes_nothing_that_is_read() {
        let status = |name: &str, cpu: &str| {
            serde_json::json!({"name": name, "image": "i", "imageID": "", "ready": true, "restartCount": 0,
                "resources": {"requests": {"cpu": cpu}}, "allocatedResources": {"cpu": cpu}})
        };
        let json = serde_json::json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": {"a": "b"}, "annotations": {"x": "y"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "1"},
                    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": "2", "controller": true}]},
            "spec": {
                "containers": [{"name": "c", "image": "i", "env": [{"name": "E"}], "ports": [{"containerPort": 1, "hostPort": 2}],
                    "resources": {"requests": {"cpu": "1"}}}, {"name": "same", "resources": {"requests": {"cpu": "1"}}}],
                "resources": {"requests": {"cpu": "5"}},
                "volumes": [{"name": "token", "projected": {}}, {"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}},
                    {"name": "c", "persistentVolumeClaim": {"claimName": "c"}}], "tolerations": [{"operator": "Exists"}], "nodeSelector": {"k": "v"},
            },
            "status": {
                "nominatedNodeName": "n1", "startTime": "2026-01-01T00:00:00Z", "phase": "Pending",
                "conditions": [{"type": "Ready", "status": "False"},
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room",
                        "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1},
                    {"type": "PodResizePending", "status": "True", "reason": "Infeasible"}],
                "containerStatuses": [status("c", "2"), status("same", "1")],
                "resources": {"requests": {"cpu": "7"}}, "allocatedResources": {"cpu": "6"},
            },
        });
        let whole: core::Pod = serde_json::from_value(json).unwrap();
        let mut trimmed = whole.clone();
        trim_pod(&mut trimmed);
        assert_eq!(format!("{:?}", Pod::of(&whole)), format!("{:?}", Pod::of(&trimmed)));
        let kept = trimmed.status.unwrap();
        assert_eq!((kept.container_statuses.unwrap().len(), kept.conditions.unwrap().len()), (1, 2));
        let spec = trimmed.spec.unwrap();
        assert_eq!((spec.containers[0].env.clone(), spec.volumes.unwrap().len()), (None, 2));
    }
}
