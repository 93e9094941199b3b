//! Looks at the health of all nodes every period; taints one node when its conditions change.

use super::all_nodes;
use super::plan::health::{self, Heard, Ready};
use super::plan::taints::{self, Execution};
use super::plan::zones::{self, Allowance, State};
use crate::manager::options::NodeHealth;
use crate::objects::{conditions, pods};
use crate::scaffold::context::namespaced;
use crate::scaffold::informers::trims::BY_NODE;
use crate::scaffold::patch::{self, Guard, Part};
use crate::scaffold::{At, Controller, Next, ReconcileError, Writes, is_conflict, is_not_found};
use client::{Informer, ObjectKey, Recorder, events};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// Where kubelets renew their leases.
const LEASES: &str = "kube-node-lease";

pub(super) struct NodeLifecycle {
    pub(super) client: kube::Client,
    pub(super) recorder: Recorder,
    pub(super) nodes: Informer<Node>,
    pub(super) leases: Informer<Lease>,
    pub(super) pods: Informer<Pod>,
    pub(super) writes: Writes,
    pub(super) options: NodeHealth,
    pub(super) watch: Mutex<Watch>,
}

/// What is remembered between looks.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// By node name.
    heard: HashMap<String, Heard>,
    /// By zone.
    allowances: HashMap<String, Allowance>,
    /// Whether the last look found no ready node anywhere.
    blind: bool,
}

impl Controller for NodeLifecycle {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        if *key == all_nodes() {
            return self.look_at_all().await;
        }
        if let Some(node) = self.nodes.get("", &key.name) {
            self.write_taints(&node, taints::by_conditions(&node)).await?;
            // A node that is well again is taken back without waiting for the next look.
            if health::ready(&node) == Ready::True {
                let node = self.nodes.get("", &key.name).unwrap_or(node);
                self.write_taints(&node, taints::without_execution(&node)).await?;
            }
        }
        Ok(Next::OnChange)
    }
}

impl NodeLifecycle {
    async fn look_at_all(&self) -> Result<Next, ReconcileError> {
        let nodes = self.nodes.list();
        self.watch.lock().heard.retain(|name, _| nodes.iter().any(|node| node.metadata.name.as_deref() == Some(name)));
        let mut current = Vec::with_capacity(nodes.len());
        for node in nodes {
            match self.look_at(&node).await {
                Ok(node) => current.push(node),
                // One node must not keep us from all others.
                Err(error) => {
                    let cause = error.cause();
                    tracing::warn!(%error, cause, "looking at a node failed");
                }
            }
        }
        self.give_up(&current).await;
        Ok(Next::After(self.options.period))
    }

    /// Listens to one node; gives it as it is afterwards.
    async fn look_at(&self, node: &Arc<Node>) -> Result<Arc<Node>, ReconcileError> {
        let name = node.metadata.name.clone().unwrap_or_default();
        let lease = self.leases.get(LEASES, &name);
        let at = Instant::now();
        let heard = {
            let mut watch = self.watch.lock();
            let heard = watch.heard.entry(name.clone()).or_insert_with(|| Heard::first(node, lease.as_deref(), at));
            heard.listen(node, lease.as_deref(), at);
            heard.clone()
        };
        let silenced = health::silenced(node, &heard, &self.options, at, Timestamp::now());
        let node = match silenced {
            Some(after) => self.write_health(node, &after).await?,
            None => Arc::clone(node),
        };
        let ready = health::ready(&node);
        if heard.ready == Ready::True && ready != Ready::True {
            let text = format!("Node {name} status is now: NodeNotReady");
            self.recorder.normal(&events::reference(&*node), "NodeNotReady", text);
        }
        // A silent kubelet cannot say that its pods are not ready; one that speaks does so itself.
        if ready == Ready::Unknown || (heard.ready == Ready::True && ready == Ready::False) {
            self.mark_pods(&name).await?;
        }
        if let Some(heard) = self.watch.lock().heard.get_mut(&name) {
            heard.ready = ready;
        }
        Ok(node)
    }

    async fn write_health(&self, before: &Node, after: &Node) -> Result<Arc<Node>, ReconcileError> {
        let api = Api::<Node>::all(self.client.clone());
        let written = patch::write_status(&api, before, after).await;
        let written = written.at(|| format!("write the conditions of node {}", ObjectKey::of(before)))?;
        if let Some(written) = &written {
            self.writes.wrote(&ObjectKey::of(before), &self.nodes, written);
        }
        Ok(Arc::new(written.unwrap_or_else(|| before.clone())))
    }

    /// Endpoints must leave a node that nobody hears of.
    async fn mark_pods(&self, node: &str) -> Result<(), ReconcileError> {
        for pod in self.pods.by_index(BY_NODE, node).iter().filter(|pod| pods::is_ready(pod) && !pods::is_finished(pod))
        {
            let after = not_ready(pod);
            let api = namespaced::<Pod>(&self.client, pod.metadata.namespace.as_deref().unwrap_or_default());
            match patch::write_status(&api, &**pod, &after).await {
                Ok(_) => self.recorder.warning(&events::reference(&**pod), "NodeNotReady", "Node is not ready"),
                Err(error) if is_not_found(&error) || is_conflict(&error) => {}
                Err(error) => return Err(error).at(|| format!("mark pod {} not ready", ObjectKey::of(&**pod))),
            }
        }
        Ok(())
    }

    /// NoExecute taints, as fast as the zones allow.
    async fn give_up(&self, nodes: &[Arc<Node>]) {
        let states = zones::states(nodes, &self.options);
        if self.is_blind(zones::all_broken(&states)) {
            for node in nodes {
                let _written = self.try_taints(node, taints::without_execution(node)).await;
            }
            return;
        }
        for node in nodes {
            // Both kinds of taints in one write: two would conflict with each other.
            let scheduled = taints::by_conditions(node).map_or_else(|| Arc::clone(node), Arc::new);
            match taints::execution(&scheduled, Timestamp::now()) {
                Execution::Keep => {}
                Execution::Swap(after) => {
                    let _written = self.try_taints(node, Some(*after)).await;
                }
                Execution::GiveUp(after) if self.may_give_up(node, &states) => {
                    tracing::info!(node = %ObjectKey::of(&**node), "giving the node up");
                    if !self.try_taints(node, Some(*after)).await {
                        self.refund(node);
                    }
                }
                Execution::GiveUp(_) => {}
            }
        }
    }

    /// Whether no node anywhere is ready. When the first is again, all get a new grace period.
    fn is_blind(&self, blind: bool) -> bool {
        let mut watch = self.watch.lock();
        if watch.blind && !blind {
            let now = Instant::now();
            watch.heard.values_mut().for_each(|heard| heard.forgive(now));
        }
        watch.blind = blind;
        blind
    }

    fn may_give_up(&self, node: &Node, states: &HashMap<String, (State, usize)>) -> bool {
        let zone = zones::zone(node);
        let Some((state, count)) = states.get(&zone) else { return false };
        let now = Instant::now();
        let rate = zones::rate(*state, *count, &self.options);
        self.watch.lock().allowances.entry(zone).or_insert_with(|| Allowance::new(now)).take(rate, now)
    }

    /// What could not be written does not count against the zone's rate.
    fn refund(&self, node: &Node) {
        if let Some(allowance) = self.watch.lock().allowances.get_mut(&zones::zone(node)) {
            allowance.refund();
        }
    }

    /// Whether the taints are written; if not, the next look tries again.
    async fn try_taints(&self, node: &Node, after: Option<Node>) -> bool {
        let written = self.write_taints(node, after).await;
        if let Err(error) = &written {
            tracing::debug!(%error, cause = error.cause(), "tainting failed");
        }
        written.is_ok()
    }

    async fn write_taints(&self, node: &Node, after: Option<Node>) -> Result<(), ReconcileError> {
        let Some(after) = after else { return Ok(()) };
        let api = Api::<Node>::all(self.client.clone());
        match patch::write(&api, Part::Object, Guard::Version, node, &after).await {
            Ok(Some(written)) => self.writes.wrote(&ObjectKey::of(node), &self.nodes, &written),
            Ok(None) => {}
            Err(error) if is_not_found(&error) => {}
            Err(error) => return Err(error).at(|| format!("taint node {}", ObjectKey::of(node))),
        }
        Ok(())
    }
}

fn not_ready(pod: &Pod) -> Pod {
    let mut after = pod.clone();
    let list = after.status.get_or_insert_default().conditions.get_or_insert_default();
    let old = conditions::find(list, "Ready").cloned().unwrap_or_default();
    let new = PodCondition { status: "False".to_owned(), last_transition_time: Some(Time(Timestamp::now())), ..old };
    if let Some(condition) = list.iter_mut().find(|condition| condition.type_ == "Ready") {
        *condition = new;
    }
    after
}
