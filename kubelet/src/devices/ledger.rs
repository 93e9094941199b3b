//! Which devices there are and who has them: pure.
//!
//! Upstream: `pkg/kubelet/cm/devicemanager/{manager,pod_devices}.go`.

mod nodes;

use super::checkpoint::{Data, Entry};
use k8s_openapi::api::core::v1::{ResourceHealth, ResourceStatus};
use prost::Message;
use proto::deviceplugin as api;
use proto::podresources as listed;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long a plugin may be gone before its resource is no more.
const GRACE: Duration = Duration::from_secs(5 * 60);
/// The NUMA node of devices that have none.
const NO_NODE: i64 = -1;

/// Names of devices.
pub type Ids = BTreeSet<String>;

/// Why a container does not get its devices; worded as upstream does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("pod {pod:?} container {container:?} changed request for resource {resource:?} from {had} to {wanted}")]
    Changed { pod: String, container: String, resource: String, had: usize, wanted: usize },
    #[error("cannot allocate unregistered device {0}")]
    Unregistered(String),
    #[error("no healthy devices present; cannot allocate unhealthy devices {0}")]
    NoneHealthy(String),
    #[error("previously allocated devices are no longer healthy; cannot allocate unhealthy devices {0}")]
    NoLongerHealthy(String),
    #[error("requested number of devices unavailable for {resource}. Requested: {wanted}, Available: {free}")]
    TooFew { resource: String, wanted: usize, free: usize },
}

/// What is to be done for one resource of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It has what it needs.
    Nothing,
    /// It gets these; the plugin was not to be asked.
    These(Ids),
    /// The plugin may say which it prefers.
    Open(Open),
}

/// A choice that is left to the plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Devices of init containers that ended, which are taken again.
    pub taken: Ids,
    pub free: Ids,
    /// How many there are to be in all.
    pub size: usize,
    /// Those of the free ones that are the last to be taken.
    pub last: Ids,
}

impl Open {
    /// The preferred ones that are free first, then any.
    pub fn close(self, preferred: &Ids) -> Ids {
        let mut out = self.taken;
        let (first, rest): (Vec<_>, Vec<_>) = self.free.iter().partition(|id| preferred.contains(*id));
        let (last, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(|id| self.last.contains(*id));
        let order = first.into_iter().chain(rest).chain(last);
        for id in order {
            if out.len() < self.size {
                out.insert(id.clone());
            }
        }
        out
    }
}

#[derive(Clone, Debug)]
struct Device {
    /// What the plugin said last.
    reported: bool,
    /// Whether it can be had: not while its plugin is gone.
    healthy: bool,
    nodes: Vec<i64>,
}

#[derive(Debug, Default)]
struct Resource {
    devices: BTreeMap<String, Device>,
    /// When its plugin went; `None` while it is there.
    stopped: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Grant {
    devices: BTreeMap<i64, Vec<String>>,
    response: api::ContainerAllocateResponse,
}

impl Grant {
    fn ids(&self) -> Ids {
        self.devices.values().flatten().cloned().collect()
    }
}

type Grants = BTreeMap<String, BTreeMap<String, Grant>>;

/// How much of each resource the node has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    pub capacity: BTreeMap<String, i64>,
    pub allocatable: BTreeMap<String, i64>,
}

/// Resources and grants.
#[derive(Debug, Default)]
pub struct Ledger {
    resources: BTreeMap<String, Resource>,
    /// Resources that had a plugin, which the node's status shows as 0.
    removed: BTreeSet<String>,
    /// By UID, then container, then resource.
    pods: BTreeMap<String, Grants>,
}

impl Ledger {
    /// Resources from before a restart have no devices until their plugins come back.
    pub fn restore(data: &Data, now: Instant) -> Self {
        let names = data.registered.iter().flatten().map(|(name, _)| name.clone());
        let resources = names.map(|name| (name, Resource { stopped: Some(now), ..Resource::default() })).collect();
        let mut ledger = Self { resources, ..Self::default() };
        for entry in data.entries.iter().flatten() {
            let response = entry.response().and_then(|b| api::ContainerAllocateResponse::decode(b.as_slice()).ok());
            let Some(response) = response else {
                tracing::warn!(uid = entry.pod, resource = entry.resource, "the plugin's answer cannot be read");
                continue;
            };
            let devices =
                entry.devices.iter().flatten().map(|(n, ids)| (*n, ids.clone().unwrap_or_default())).collect();
            ledger.insert(&entry.pod, &entry.container, &entry.resource, Grant { devices, response });
        }
        ledger
    }

    /// What is kept over a restart.
    pub fn data(&self) -> Data {
        let mut entries = Vec::new();
        for (pod, containers) in &self.pods {
            for (container, grants) in containers {
                let of = |(name, g): (&String, &Grant)| {
                    Entry::new(pod, container, name, &g.devices, &g.response.encode_to_vec())
                };
                entries.extend(grants.iter().map(of));
            }
        }
        let registered = self.resources.iter().map(|(name, r)| (name.clone(), Some(r.healthy().into_iter().collect())));
        Data { entries: (!entries.is_empty()).then_some(entries), registered: Some(registered.collect()) }
    }

    /// How many resources have a plugin, or had one lately.
    pub fn resources(&self) -> usize {
        self.resources.len()
    }

    pub fn has(&self, resource: &str) -> bool {
        self.resources.contains_key(resource)
    }

    /// A plugin is there.
    pub fn connected(&mut self, resource: &str) {
        self.removed.remove(resource);
        self.resources.entry(resource.to_owned()).or_default().stopped = None;
    }

    /// A plugin is gone: none of its devices can be had.
    pub fn disconnected(&mut self, resource: &str, now: Instant) {
        if let Some(resource) = self.resources.get_mut(resource) {
            resource.stopped = Some(now);
            resource.devices.values_mut().for_each(|d| d.healthy = false);
        }
    }

    /// A plugin says which devices there are; the UIDs of pods for which something changed.
    pub fn report(&mut self, resource: &str, devices: Vec<api::Device>) -> BTreeSet<String> {
        let Some(known) = self.resources.get_mut(resource) else { return BTreeSet::new() };
        let fresh: BTreeMap<String, Device> = devices.into_iter().map(|d| (d.id.clone(), device(d))).collect();
        let old = std::mem::replace(&mut known.devices, fresh);
        let differs = |(id, d): &(&String, &Device)| old.get(*id).is_none_or(|o| o.reported != d.reported);
        let changed: Ids = known.devices.iter().filter(differs).map(|(id, _)| id.clone()).collect();
        let touched = |grants: &Grants| {
            let grants = grants.values().filter_map(|g| g.get(resource));
            grants.flat_map(Grant::ids).any(|id| changed.contains(&id))
        };
        self.pods.iter().filter(|(_, grants)| touched(grants)).map(|(uid, _)| uid.clone()).collect()
    }

    /// What the node has; resources whose plugins are gone for long are dropped, and are then 0.
    /// Says whether any was.
    pub fn amounts(&mut self, now: Instant) -> (Amounts, bool) {
        let gone = |r: &Resource| r.stopped.is_some_and(|at| now.saturating_duration_since(at) >= GRACE);
        let dropped: Vec<String> =
            self.resources.iter().filter(|(_, r)| gone(r)).map(|(name, _)| name.clone()).collect();
        for name in &dropped {
            self.resources.remove(name);
            self.removed.insert(name.clone());
        }
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let zero = || self.removed.iter().map(|name| (name.clone(), 0));
        let there = |n: fn(&Resource) -> usize| self.resources.iter().map(move |(name, r)| (name.clone(), count(n(r))));
        let amounts = Amounts {
            capacity: zero().chain(there(|r| r.devices.len())).collect(),
            allocatable: zero().chain(there(|r| r.healthy().len())).collect(),
        };
        (amounts, !dropped.is_empty())
    }

    /// Whether a plugin brings this resource, or brought it to a pod that is here.
    pub fn is_ours(&self, resource: &str) -> bool {
        self.has(resource) || self.pods.values().flat_map(BTreeMap::values).any(|g| g.contains_key(resource))
    }

    /// What a container has of one resource.
    pub fn granted(&self, pod: &str, container: &str, resource: &str) -> Option<Ids> {
        self.pods.get(pod)?.get(container)?.get(resource).map(Grant::ids)
    }

    /// What a container has of all.
    pub fn all_granted(&self, pod: &str, container: &str) -> BTreeMap<String, Ids> {
        let grants = self.pods.get(pod).and_then(|p| p.get(container));
        grants.into_iter().flatten().map(|(name, grant)| (name.clone(), grant.ids())).collect()
    }

    /// Chooses devices for one resource of a container. `runs` says that the pod ran before this
    /// kubelet did: what it has then is not judged again.
    ///
    /// # Errors
    /// There are not enough.
    pub fn choose(
        &self,
        (pod, container): (&str, &str),
        resource: &str,
        wanted: usize,
        reusable: &Ids,
        runs: bool,
    ) -> Result<Choice, Refusal> {
        let had = self.granted(pod, container, resource);
        if let Some(had) = had.as_ref().map(BTreeSet::len).filter(|n| *n != wanted) {
            let (pod, container, resource) = (pod.to_owned(), container.to_owned(), resource.to_owned());
            return Err(Refusal::Changed { pod, container, resource, had, wanted });
        }
        if runs {
            return Ok(Choice::Nothing);
        }
        let known = self.resources.get(resource).ok_or_else(|| Refusal::Unregistered(resource.to_owned()))?;
        let healthy = known.healthy();
        if healthy.is_empty() {
            return Err(Refusal::NoneHealthy(resource.to_owned()));
        }
        if let Some(had) = had {
            let fit = had.is_subset(&healthy);
            return if fit { Ok(Choice::Nothing) } else { Err(Refusal::NoLongerHealthy(resource.to_owned())) };
        }
        if wanted == 0 {
            return Ok(Choice::Nothing);
        }
        let taken: Ids = reusable.iter().take(wanted).cloned().collect();
        let needed = wanted - taken.len();
        if needed == 0 {
            return Ok(Choice::These(taken));
        }
        let free: Ids = healthy.difference(&self.in_use(resource)).filter(|id| !taken.contains(*id)).cloned().collect();
        if free.len() < needed {
            return Err(Refusal::TooFew { resource: resource.to_owned(), wanted: needed, free: free.len() });
        }
        Ok(Choice::Open(Open { taken, free, size: wanted, last: Ids::new() }))
    }

    fn in_use(&self, resource: &str) -> Ids {
        let grants = self.pods.values().flat_map(BTreeMap::values).filter_map(|g| g.get(resource));
        grants.flat_map(Grant::ids).collect()
    }

    /// A container has these, and its runtime is to do what the plugin answered.
    pub fn grant(
        &mut self,
        (pod, container): (&str, &str),
        resource: &str,
        ids: Ids,
        response: api::ContainerAllocateResponse,
    ) {
        let mut devices: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        let known = self.resources.get(resource);
        for id in ids {
            let nodes = known.and_then(|r| r.devices.get(&id)).map(|d| d.nodes.clone()).unwrap_or_default();
            let nodes = if nodes.is_empty() { vec![NO_NODE] } else { nodes };
            nodes.into_iter().for_each(|node| devices.entry(node).or_default().push(id.clone()));
        }
        self.insert(pod, container, resource, Grant { devices, response });
    }

    fn insert(&mut self, pod: &str, container: &str, resource: &str, grant: Grant) {
        let containers = self.pods.entry(pod.to_owned()).or_default();
        containers.entry(container.to_owned()).or_default().insert(resource.to_owned(), grant);
    }

    /// A pod has ended: its devices are free. Says whether it had some.
    pub fn release(&mut self, pod: &str) -> bool {
        self.pods.remove(pod).is_some()
    }

    /// Frees what other pods had. Says whether they had some.
    pub fn keep_only(&mut self, pods: &BTreeSet<String>) -> bool {
        let before = self.pods.len();
        self.pods.retain(|uid, _| pods.contains(uid));
        self.pods.len() != before
    }

    /// What the plugins answered for a container, resource by resource.
    pub fn responses(&self, pod: &str, container: &str) -> Vec<api::ContainerAllocateResponse> {
        let grants = self.pods.get(pod).and_then(|p| p.get(container));
        grants.into_iter().flat_map(BTreeMap::values).map(|grant| grant.response.clone()).collect()
    }

    /// The health of what a pod's containers have, for their statuses.
    pub fn health(&self, pod: &str) -> BTreeMap<String, Vec<ResourceStatus>> {
        let containers = self.pods.get(pod).into_iter().flatten();
        containers
            .map(|(name, grants)| (name.clone(), grants.iter().map(|g| self.resource_status(g)).collect()))
            .collect()
    }

    fn resource_status(&self, (name, grant): (&String, &Grant)) -> ResourceStatus {
        let known = self.resources.get(name);
        let state = |id: &str| match known.and_then(|r| r.devices.get(id)) {
            Some(device) if !device.reported => "Unhealthy",
            _ => "Healthy",
        };
        let one = |id: String| ResourceHealth {
            health: Some(state(&id).to_owned()),
            resource_id: id,
            ..ResourceHealth::default()
        };
        let resources = grant.ids().into_iter().map(one).collect();
        ResourceStatus { name: name.clone(), resources: Some(resources) }
    }

    /// A container's devices as the pod resources API lists them: one by one and NUMA node by node.
    pub fn listed(&self, pod: &str, container: &str) -> Vec<listed::ContainerDevices> {
        let grants = self.pods.get(pod).and_then(|p| p.get(container)).into_iter().flatten();
        let one = |(name, grant): (&String, &Grant)| {
            let ids = grant.devices.iter().flat_map(|(node, ids)| ids.iter().map(move |id| (*node, id)));
            ids.map(|(node, id)| entry(name, id, Some(node).filter(|n| *n != NO_NODE))).collect::<Vec<_>>()
        };
        grants.flat_map(one).collect()
    }

    /// All healthy devices as the pod resources API lists them.
    pub fn all_listed(&self) -> Vec<listed::ContainerDevices> {
        let mut out = Vec::new();
        for (name, resource) in &self.resources {
            for (id, device) in resource.devices.iter().filter(|(_, d)| d.healthy) {
                if device.nodes.is_empty() {
                    out.push(entry(name, id, None));
                }
                out.extend(device.nodes.iter().map(|node| entry(name, id, Some(*node))));
            }
        }
        out
    }
}

impl Resource {
    fn healthy(&self) -> Ids {
        self.devices.iter().filter(|(_, d)| d.healthy).map(|(id, _)| id.clone()).collect()
    }
}

fn device(d: api::Device) -> Device {
    let healthy = d.health == "Healthy";
    let nodes = d.topology.into_iter().flat_map(|t| t.nodes).map(|n| n.id).collect();
    Device { reported: healthy, healthy, nodes }
}

fn entry(resource: &str, id: &str, node: Option<i64>) -> listed::ContainerDevices {
    let topology = node.map(|id| listed::TopologyInfo { nodes: vec![listed::NumaNode { id }] });
    listed::ContainerDevices { resource_name: resource.to_owned(), device_ids: vec![id.to_owned()], topology }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GPU: &str = "example.com/gpu";

    fn ids(names: &[&str]) -> Ids {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    fn devices(all: &[(&str, &str)]) -> Vec<api::Device> {
        all.iter().map(|(id, h)| api::Device { id: (*id).into(), health: (*h).into(), topology: None }).collect()
    }

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.connected(GPU);
        ledger.report(GPU, devices(&[("a", "Healthy"), ("b", "Healthy"), ("c", "Healthy"), ("d", "Unhealthy")]));
        ledger.grant(("other", "c"), GPU, ids(&["a"]), api::ContainerAllocateResponse::default());
        ledger
    }

    #[test]
    fn what_a_container_gets() {
        let open = |taken: &[&str], free: &[&str], size| {
            Ok(Choice::Open(Open { taken: ids(taken), free: ids(free), size, last: Ids::new() }))
        };
        let few = |wanted, free| Err(Refusal::TooFew { resource: GPU.into(), wanted, free });
        for (wanted, reusable, want) in [
            (0, &[][..], Ok(Choice::Nothing)),
            (1, &[], open(&[], &["b", "c"], 1)),
            (2, &["b"], open(&["b"], &["c"], 2)),
            (1, &["b", "c"], Ok(Choice::These(ids(&["b"])))),
            (3, &[], few(3, 2)),
            (3, &["b"], few(2, 1)),
        ] {
            assert_eq!(ledger().choose(("p", "c"), GPU, wanted, &ids(reusable), false), want, "{wanted} {reusable:?}");
        }
    }

    #[test]
    fn what_the_plugin_prefers_comes_first() {
        let open = Open { taken: ids(&["t"]), free: ids(&["a", "b", "c"]), size: 3, last: Ids::new() };
        for (preferred, want) in [
            (&[][..], &["a", "b", "t"][..]),
            (&["c"], &["a", "c", "t"]),
            (&["b", "c", "t"], &["b", "c", "t"]),
            (&["nobody knows it"], &["a", "b", "t"]),
        ] {
            assert_eq!(open.clone().close(&ids(preferred)), ids(want));
        }
    }

    #[test]
    fn refusals_are_worded_as_upstreams() {
        let mut ledger = ledger();
        let text = |l: &Ledger, resource: &str, wanted| {
            l.choose(("other", "c"), resource, wanted, &Ids::new(), false).map_err(|e| e.to_string())
        };
        let changed = format!("pod \"other\" container \"c\" changed request for resource {GPU:?} from 1 to 2");
        assert_eq!(text(&ledger, GPU, 2), Err(changed));
        assert_eq!(text(&ledger, GPU, 1), Ok(Choice::Nothing));
        assert_eq!(text(&ledger, "x.y/z", 1), Err("cannot allocate unregistered device x.y/z".into()));
        ledger.report(GPU, devices(&[("a", "Unhealthy"), ("b", "Healthy")]));
        let gone = "previously allocated devices are no longer healthy; cannot allocate unhealthy devices";
        assert_eq!(text(&ledger, GPU, 1), Err(format!("{gone} {GPU}")));
        ledger.disconnected(GPU, Instant::now());
        let none = format!("no healthy devices present; cannot allocate unhealthy devices {GPU}");
        assert_eq!(text(&ledger, GPU, 1), Err(none));
        assert_eq!(ledger.choose(("other", "c"), GPU, 1, &Ids::new(), true), Ok(Choice::Nothing), "it runs already");
    }

    #[test]
    fn a_plugin_that_is_gone_leaves_its_capacity_for_a_while() {
        let (mut ledger, now) = (ledger(), Instant::now());
        let counts = |l: &mut Ledger, at| {
            let amounts = l.amounts(at).0;
            (amounts.capacity.get(GPU).copied(), amounts.allocatable.get(GPU).copied())
        };
        assert_eq!(counts(&mut ledger, now), (Some(4), Some(3)));
        ledger.disconnected(GPU, now);
        assert_eq!(counts(&mut ledger, now), (Some(4), Some(0)));
        assert_eq!(counts(&mut ledger, now + GRACE), (Some(0), Some(0)));
        assert!(!ledger.has(GPU) && ledger.is_ours(GPU), "a pod still has one");
        ledger.connected(GPU);
        ledger.report(GPU, devices(&[("a", "Healthy")]));
        assert_eq!(counts(&mut ledger, now), (Some(1), Some(1)));
    }

    #[test]
    fn a_restart_keeps_grants_and_waits_for_plugins() {
        let before = ledger();
        let mut after = Ledger::restore(&before.data(), Instant::now());
        assert_eq!(after.granted("other", "c", GPU), Some(ids(&["a"])));
        assert_eq!(after.amounts(Instant::now()).0.capacity[GPU], 0);
        assert_eq!(after.data().entries, before.data().entries);
        after.connected(GPU);
        let touched = after.report(GPU, devices(&[("a", "Unhealthy")]));
        assert_eq!(touched, ids(&["other"]));
        let health = after.health("other")["c"][0].resources.clone().unwrap();
        assert_eq!((health[0].resource_id.as_str(), health[0].health.as_deref()), ("a", Some("Unhealthy")));
        assert!(after.keep_only(&Ids::new()) && !after.release("other"));
    }
}
