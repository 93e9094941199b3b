//! Keeps the node's object current: creates it, then writes what changes.

use super::conditions::{self, Health, Signals};
use super::machine;
use super::status::{self, Observed};
use super::{Facts, NodeFacts};
use crate::clock;
use crate::config::{KubeletConfiguration, Threshold};
use crate::events::{Events, Severity};
use crate::pleg::Pleg;
use crate::resources::Amount;
use crate::runtime::{Runtime, RuntimeHealth};
use k8s_openapi::api::core::v1::{Node, NodeStatus, NodeSystemInfo};
use kube::api::{Api, Patch, PatchParams, PostParams};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(200);
const RETRY: Duration = Duration::from_secs(1);

/// What the reporter looks at.
pub struct Reporter {
    pub client: Option<kube::Client>,
    pub runtime: Runtime,
    pub pleg: Pleg,
    pub facts: NodeFacts,
    pub events: Events,
    pub config: KubeletConfiguration,
    pub root_dir: PathBuf,
    pub labels: Vec<String>,
    pub provider: Option<String>,
}

/// What has been written last, and when.
struct Written {
    status: NodeStatus,
    at: Instant,
}

impl Reporter {
    /// Reports for ever; give it to the supervisor. Until the node is ready it looks often.
    pub async fn run(self) {
        let mut written = None;
        let mut images = Vec::new();
        loop {
            let (observed, fresh) = self.observe(images).await;
            images = fresh;
            let pause =
                if observed.health.problems.is_empty() { self.config.node_status_update_frequency.0 } else { SOON };
            tokio::time::sleep(match self.report_if_connected(&observed, &mut written).await {
                Ok(()) => pause,
                Err(e) => {
                    tracing::warn!(error = message(&e), "cannot report the node's status yet");
                    RETRY
                }
            })
            .await;
        }
    }

    async fn report_if_connected(&self, observed: &Observed, written: &mut Option<Written>) -> kube::Result<()> {
        if let Some(client) = &self.client {
            *written = Some(self.report(client, observed, written.take()).await?);
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
            health: Health { signals: self.signals(), thresholds: self.thresholds(), problems },
            info: self.info(&runtime),
            images: images.clone(),
            max_images: self.config.node_status_max_images,
            port: i32::from(self.config.port),
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
        (network, problems)
    }

    fn signals(&self) -> Signals {
        let memory = self.facts.memory().value();
        let mut out = Signals::from([("memory.available", (machine::memory_info("MemAvailable").min(memory), memory))]);
        if let Some(disk) = machine::disk(&self.root_dir) {
            out.insert("nodefs.available", (disk.free, disk.total));
            out.insert("imagefs.available", (disk.free, disk.total));
            if disk.inodes > 0 {
                out.insert("nodefs.inodesFree", (disk.inodes_free, disk.inodes));
            }
        }
        out
    }

    fn thresholds(&self) -> BTreeMap<String, Threshold> {
        thresholds(&self.config)
    }

    async fn report(
        &self,
        client: &kube::Client,
        observed: &Observed,
        written: Option<Written>,
    ) -> kube::Result<Written> {
        let nodes: Api<Node> = Api::all(client.clone());
        let Some(written) = written else { return self.register(&nodes, observed).await };
        let now = clock::now();
        let new = status::status(observed, &written.status, &now);
        let due = written.at.elapsed() >= self.config.node_status_report_frequency.0;
        if !due && !status::differs(&written.status, &new) {
            return Ok(written);
        }
        let after = self.patch(&nodes, &written.status, &new).await?;
        self.tell(&written.status, &after);
        Ok(Written { status: after, at: Instant::now() })
    }

    async fn patch(&self, nodes: &Api<Node>, old: &NodeStatus, new: &NodeStatus) -> kube::Result<NodeStatus> {
        let name = self.facts.name();
        let patch = Patch::Strategic(status::patch(old, new));
        let node = nodes.patch_status(&name, &PatchParams::default(), &patch).await?;
        self.facts.update(|f| f.labels = node.metadata.labels.clone().unwrap_or_default());
        Ok(node.status.unwrap_or_default())
    }

    /// Creates the node, or takes over the one that is there.
    async fn register(&self, nodes: &Api<Node>, observed: &Observed) -> kube::Result<Written> {
        let now = clock::now();
        let name = self.facts.name();
        let wanted =
            status::node(observed, &self.labels, self.provider.as_deref(), &self.config.register_with_taints, &now);
        let old = match nodes.get_opt(&name).await? {
            Some(node) => self.take_over(nodes, node, &wanted).await?,
            None if self.config.register_node => self.create(nodes, &wanted).await?,
            None => nodes.get(&name).await?,
        };
        let old_status = old.status.unwrap_or_default();
        let new = status::status(observed, &old_status, &now);
        let after = self.patch(nodes, &old_status, &new).await?;
        self.tell(&old_status, &after);
        Ok(Written { status: after, at: Instant::now() })
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

/// The apiserver's own words, without the object around them.
pub(super) fn message(e: &kube::Error) -> String {
    match e {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// The hard eviction thresholds by signal.
pub fn thresholds(config: &KubeletConfiguration) -> BTreeMap<String, Threshold> {
    config.eviction_hard.iter().filter_map(|(signal, limit)| Some((signal.clone(), Threshold::parse(limit)?))).collect()
}

/// What pods may have: the capacity without what is reserved and what eviction defends.
pub fn allocatable(capacity: &BTreeMap<String, Amount>, config: &KubeletConfiguration) -> BTreeMap<String, Amount> {
    let thresholds = thresholds(config);
    let reserved = |name: &str| -> Amount {
        let of = |map: &BTreeMap<String, String>| map.get(name).and_then(|a| Amount::parse(a)).unwrap_or_default();
        of(&config.kube_reserved) + of(&config.system_reserved)
    };
    let defended = |name: &str, capacity: Amount| {
        let signal = match name {
            "memory" => "memory.available",
            "ephemeral-storage" => "nodefs.available",
            _ => return Amount::default(),
        };
        thresholds.get(signal).map(|t| Amount::whole(t.of(capacity.value()))).unwrap_or_default()
    };
    let left = |name: &str, all: Amount| (all - reserved(name) - defended(name, all)).max(Amount::default());
    capacity.iter().map(|(name, all)| (name.clone(), left(name, *all))).collect()
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
