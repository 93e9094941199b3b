//! Keeps the node's object current: creates it, then writes what changes.
//!
//! What is written is compared with the object as the apiserver has it, not with what the kubelet
//! wrote last: others change the conditions, too. The node controller does so to a node that was
//! cut off.
//!
//! Upstream: `pkg/kubelet/kubelet_node_status.go`.

use super::conditions::{self, Health};
use super::heartbeat::{Heartbeat, HeartbeatError};
use super::machine;
use super::status::{self, Observed};
use super::{Facts, NodeFacts, Startup};
use crate::clock;
use crate::config::{KubeletConfiguration, Threshold};
use crate::csi::InUse;
use crate::devices::Devices;
use crate::events::{Events, Severity};
use crate::pleg::Pleg;
use crate::resources::Amount;
use crate::runtime::{Runtime, RuntimeHealth};
use crate::shutdown;
use client::informer::{Builder, Informer, Scope};
use k8s_openapi::api::core::v1::{Node, NodeStatus, NodeSystemInfo};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams, PostParams};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(200);
const RETRY: Duration = Duration::from_secs(1);

/// What the reporter looks at.
pub struct Reporter {
    pub connection: Option<Connection>,
    pub runtime: Runtime,
    pub pleg: Pleg,
    pub facts: NodeFacts,
    pub events: Events,
    pub devices: Devices,
    pub in_use: InUse,
    pub config: KubeletConfiguration,
    pub root_dir: PathBuf,
    pub labels: Vec<String>,
    pub startup: Startup,
    pub provider: Option<String>,
}

/// The node's object at the apiserver.
pub struct Connection {
    nodes: Api<Node>,
    /// A cache of this one node.
    seen: Informer<Node>,
    heartbeat: Heartbeat,
}

impl Connection {
    /// A connection, and the future that keeps its cache current.
    pub fn new(
        client: kube::Client,
        name: &str,
        heartbeat: Heartbeat,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let scope = Scope { field_selector: Some(format!("metadata.name={name}")), ..Scope::default() };
        let (seen, feed) = Builder::<Node>::new(client.clone(), scope).build();
        (Self { nodes: Api::all(client), seen, heartbeat }, feed)
    }

    /// The node as it is now: as seen, unless our own last write is ahead of what is seen.
    fn newest(&self, name: &str, written: &Arc<Node>) -> Arc<Node> {
        newer(self.seen.get("", name), written)
    }
}

fn newer(seen: Option<Arc<Node>>, written: &Arc<Node>) -> Arc<Node> {
    let version = |n: &Node| n.metadata.resource_version.as_deref().and_then(|v| v.parse::<u64>().ok()).unwrap_or(0);
    seen.filter(|seen| version(seen) > version(written)).unwrap_or_else(|| written.clone())
}

/// Remembers what others have to know of the node's object.
fn note(facts: &NodeFacts, node: &Node) {
    facts.update(|f| {
        f.labels = node.metadata.labels.clone().unwrap_or_default();
        f.uid.clone_from(&node.metadata.uid);
    });
}

/// What has been written last, and when.
struct Written {
    node: Arc<Node>,
    at: Instant,
}

impl Reporter {
    /// Reports for ever; give it to the supervisor. Until the node is ready it looks often.
    pub async fn run(self) {
        if let Some(connection) = &self.connection {
            // The scheduler knows of a new label at once, and pods that need it come right after.
            let facts = self.facts.clone();
            connection.seen.subscribe(move |change| note(&facts, change.object()));
        }
        let mut written = None;
        let mut images = Vec::new();
        loop {
            let (observed, fresh) = self.observe(images).await;
            images = fresh;
            let pause =
                if observed.health.problems.is_empty() { self.config.node_status_update_frequency.0 } else { SOON };
            match self.report_if_connected(&observed, &mut written).await {
                Ok(()) => {
                    if observed.health.problems.is_empty() {
                        self.startup.ready(Timestamp::now());
                    }
                    self.in_use.set_reported(observed.volumes_in_use);
                    // A pod waits for it that its volume stands there.
                    tokio::select! {
                        () = self.in_use.differs() => {}
                        () = self.facts.hurry() => {}
                        () = tokio::time::sleep(pause) => {}
                    }
                }
                Err(e) => {
                    tracing::warn!(error = %e, "cannot report the node's status yet");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// After a failure the node is read from the apiserver again.
    async fn report_if_connected(
        &self,
        observed: &Observed,
        written: &mut Option<Written>,
    ) -> Result<(), HeartbeatError> {
        if let Some(connection) = &self.connection {
            let report = self.report(connection, observed, written.take());
            *written = Some(connection.heartbeat.within(report).await?);
        }
        Ok(())
    }

    async fn observe(
        &self,
        old_images: Vec<crate::runtime::images::Image>,
    ) -> (Observed, Vec<crate::runtime::images::Image>) {
        let (network_down, problems) = self.problems().await;
        let version = self.runtime.version().await.unwrap_or_default();
        let images = self.runtime.images().await.unwrap_or(old_images);
        let runtime = format!("{}://{}", version.name, version.version.trim_start_matches('v'));
        self.facts.update(|f| f.network_down = network_down);
        let observed = Observed {
            facts: self.facts.get(),
            health: Health { pressures: self.facts.get().pressures, problems },
            info: self.info(&runtime),
            images: images.clone(),
            max_images: self.config.node_status_max_images,
            port: i32::from(self.config.port),
            devices: self.devices.amounts(),
            volumes_in_use: self.in_use.wanted(),
        };
        (observed, images)
    }

    fn info(&self, runtime: &str) -> NodeSystemInfo {
        machine::system_info(runtime)
    }

    /// Why pods have no network, and why the node is not ready.
    async fn problems(&self) -> (Option<String>, Vec<String>) {
        let mut problems: Vec<String> = self.pleg.problem().into_iter().collect();
        let network = match self.runtime.health().await {
            Ok(RuntimeHealth::Ready) => None,
            Ok(RuntimeHealth::NotReady(why)) => Some(why),
            Err(e) => Some(format!("container runtime is down: {e}")),
        };
        problems.extend(network.clone());
        problems.extend(self.facts.get().shuts_down.then(|| shutdown::PROBLEM.to_owned()));
        (network, problems)
    }

    async fn report(
        &self,
        connection: &Connection,
        observed: &Observed,
        written: Option<Written>,
    ) -> kube::Result<Written> {
        let nodes = &connection.nodes;
        let Some(written) = written else { return self.register(nodes, observed).await };
        let node = connection.newest(&self.facts.name(), &written.node);
        note(&self.facts, &node);
        let old = node.status.clone().unwrap_or_default();
        let new = status::status(observed, &old, &clock::now());
        let due = written.at.elapsed() >= self.config.node_status_report_frequency.0;
        if !due && !status::differs(&old, &new) {
            return Ok(Written { node, at: written.at });
        }
        self.patch(nodes, &old, &new).await
    }

    async fn patch(&self, nodes: &Api<Node>, old: &NodeStatus, new: &NodeStatus) -> kube::Result<Written> {
        let name = self.facts.name();
        let patch = Patch::Strategic(status::patch(old, new));
        let node = nodes.patch_status(&name, &PatchParams::default(), &patch).await?;
        note(&self.facts, &node);
        self.tell(old, node.status.as_ref().unwrap_or(new));
        Ok(Written { node: Arc::new(node), at: Instant::now() })
    }

    /// Creates the node, or takes over the one that is there.
    async fn register(&self, nodes: &Api<Node>, observed: &Observed) -> kube::Result<Written> {
        self.startup.tries(Timestamp::now());
        let now = clock::now();
        let name = self.facts.name();
        let wanted =
            status::node(observed, &self.labels, self.provider.as_deref(), &self.config.register_with_taints, &now);
        let old = match nodes.get_opt(&name).await? {
            Some(node) => self.take_over(nodes, node, &wanted).await?,
            None if self.config.register_node => {
                let node = self.create(nodes, &wanted).await?;
                self.startup.registered(Timestamp::now());
                node
            }
            None => nodes.get(&name).await?,
        };
        let old_status = old.status.unwrap_or_default();
        let new = if self.devices.take_new_node() {
            // What it had before it was made anew is not there any more.
            status::status(observed, &status::without_extended(old_status.clone()), &now)
        } else {
            status::status(observed, &old_status, &now)
        };
        self.patch(nodes, &old_status, &new).await
    }

    async fn create(&self, nodes: &Api<Node>, wanted: &Node) -> kube::Result<Node> {
        let node = nodes.create(&PostParams::default(), wanted).await?;
        tracing::info!(node = self.facts.name(), "registered the node");
        Ok(node)
    }

    /// Sets our labels and annotation where they are missing or wrong; others' stay.
    async fn take_over(&self, nodes: &Api<Node>, node: Node, wanted: &Node) -> kube::Result<Node> {
        let has = |have: &Option<BTreeMap<String, String>>, want: &Option<BTreeMap<String, String>>| {
            want.iter().flatten().all(|(k, v)| have.as_ref().and_then(|h| h.get(k)) == Some(v))
        };
        let (have, want) = (&node.metadata, &wanted.metadata);
        if has(&have.labels, &want.labels) && has(&have.annotations, &want.annotations) {
            return Ok(node);
        }
        let patch = serde_json::json!({ "metadata": { "labels": want.labels, "annotations": want.annotations } });
        nodes.patch(&self.facts.name(), &PatchParams::default(), &Patch::Strategic(patch)).await
    }

    fn tell(&self, before: &NodeStatus, after: &NodeStatus) {
        let name = self.facts.name();
        let old = |kind: &str| before.conditions.iter().flatten().find(|c| c.type_ == kind).map(|c| c.status.as_str());
        for c in after.conditions.iter().flatten().filter(|c| c.type_ != "NetworkUnavailable") {
            if old(&c.type_) != Some(c.status.as_str()) {
                let reason = conditions::event(c);
                self.events.node(&name, Severity::Normal, reason, format!("Node {name} status is now: {reason}"));
            }
        }
    }
}

/// What pods may have: the capacity without what is held back.
pub fn allocatable(capacity: &BTreeMap<String, Amount>, config: &KubeletConfiguration) -> BTreeMap<String, Amount> {
    let left = |name: &str, all: Amount| (all - held_back(name, all, config)).max(Amount::default());
    capacity.iter().map(|(name, all)| (name.clone(), left(name, *all))).collect()
}

/// What is reserved of a resource, and what eviction defends of it.
pub fn held_back(name: &str, capacity: Amount, config: &KubeletConfiguration) -> Amount {
    let of = |map: &BTreeMap<String, String>| map.get(name).and_then(|a| Amount::parse(a)).unwrap_or_default();
    let reserved = of(&config.kube_reserved) + of(&config.system_reserved);
    let signal = match name {
        "memory" => "memory.available",
        "ephemeral-storage" => "nodefs.available",
        _ => return reserved,
    };
    let limit = config.eviction_hard.get(signal).and_then(|limit| Threshold::parse(limit));
    reserved + limit.map(|t| Amount::whole(t.of(capacity.value()))).unwrap_or_default()
}

/// The facts at start.
pub fn first_facts(
    name: &str,
    host_ips: Vec<String>,
    capacity: BTreeMap<String, Amount>,
    config: &KubeletConfiguration,
) -> Facts {
    Facts {
        name: name.to_owned(),
        host_ips,
        allocatable: allocatable(&capacity, config),
        capacity,
        // Until the runtime has been asked, nothing is held back.
        ..Facts::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    #[test]
    fn what_others_wrote_since_counts() {
        let node = |version: &str| {
            let metadata = ObjectMeta { resource_version: Some(version.into()), ..ObjectMeta::default() };
            Arc::new(Node { metadata, ..Node::default() })
        };
        for (seen, written, want) in [(Some("9"), "10", "10"), (Some("11"), "10", "11"), (None, "10", "10")] {
            let got = newer(seen.map(node), &node(written));
            assert_eq!(got.metadata.resource_version.as_deref(), Some(want), "{seen:?}");
        }
    }

    #[test]
    fn what_is_left_for_pods() {
        let config = KubeletConfiguration {
            kube_reserved: [("cpu".to_owned(), "500m".to_owned())].into(),
            eviction_hard: [("memory.available".to_owned(), "10%".to_owned())].into(),
            ..KubeletConfiguration::default()
        };
        let capacity =
            [("cpu", 2), ("memory", 1000), ("pods", 110)].map(|(k, v)| (k.to_owned(), Amount::whole(v))).into();
        let got = allocatable(&capacity, &config);
        assert_eq!((got["cpu"].milli_value(), got["memory"].value(), got["pods"].value()), (1500, 900, 110));
    }
}
