//! Devices that plugins bring: who has which, and what the containers need to use them.
//!
//! [`Devices`] is the handle. What is decided is decided in [`ledger`], which is pure; each plugin
//! has a task that listens to it. Admissions take turns, because a plugin is asked between the
//! choice of a device and its grant.
//! Upstream: `pkg/kubelet/cm/devicemanager`.

pub mod checkpoint;
pub mod ledger;
pub mod metrics;
pub mod plugin;
pub mod pod_resources;
pub mod registration;
mod turn;

use crate::placement::hints::Mask;
use crate::pod::PodExt;
use crate::resources::Amount;
use component::Supervisor;
use k8s_openapi::api::core::v1::{Container, Pod, ResourceStatus};
use ledger::{Amounts, Choice, Ids, Ledger, Refusal};
use metrics::Counts;
use parking_lot::Mutex;
use plugin::{Plugin, PluginError};
use proto::deviceplugin as api;
use proto::podresources as listed;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

pub use turn::Turn;

/// Where plugins look for the kubelet, whatever its `--root-dir` is.
pub const FOLDER: &str = "/var/lib/kubelet/device-plugins";
/// More resources than a node has plugins for.
const MOST_RESOURCES: usize = 512;

/// Why a pod does not get its devices.
#[derive(Debug, thiserror::Error)]
pub enum AllocateError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Plugin(#[from] PluginError),
    #[error("endpoint {0} has been stopped")]
    Stopped(String),
    #[error("no devices found allocated in local cache for pod {pod}, container {container}, resource {resource}")]
    NoneGranted { pod: String, container: String, resource: String },
}

/// Why a plugin is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("the ResourceName {0:?} is invalid")]
    Name(String),
    #[error("there are plugins for {MOST_RESOURCES} resources already")]
    TooMany,
    #[error(transparent)]
    Plugin(#[from] PluginError),
}

/// What the devices of a container ask of the runtime.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Equipment {
    pub envs: BTreeMap<String, String>,
    pub mounts: Vec<api::Mount>,
    pub devices: Vec<api::DeviceSpec>,
    pub annotations: BTreeMap<String, String>,
    pub cdi_devices: Vec<String>,
}

/// The node's devices. Cheap to clone.
#[derive(Clone)]
pub struct Devices(Arc<Shared>);

struct Shared {
    folder: PathBuf,
    ledger: Mutex<Ledger>,
    plugins: Mutex<HashMap<String, (u64, Plugin)>>,
    /// Numbers connections: what an earlier one says does not count.
    connections: AtomicU64,
    /// One admission at a time.
    turn: tokio::sync::Mutex<()>,
    /// There was no checkpoint: the node is a new one, whatever its object says.
    new_node: AtomicBool,
    bell: Box<dyn Fn(&str) + Send + Sync>,
    supervisor: Supervisor,
    counts: Counts,
}

impl Devices {
    /// What the checkpoint in `folder` tells. `bell` is rung with the UID of a pod whose devices
    /// changed their health.
    pub fn load(folder: &Path, supervisor: Supervisor, bell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let read = checkpoint::read(&folder.join(checkpoint::FILE));
        let new_node = matches!(read, Ok(None));
        let data = read.unwrap_or_else(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "it is not known which devices pods have");
            None
        });
        Self(Arc::new(Shared {
            folder: folder.to_owned(),
            ledger: Mutex::new(Ledger::restore(&data.unwrap_or_default(), Instant::now())),
            plugins: Mutex::default(),
            connections: AtomicU64::new(0),
            turn: tokio::sync::Mutex::default(),
            new_node: AtomicBool::new(new_node),
            bell: Box::new(bell),
            supervisor,
            counts: Counts::default(),
        }))
    }

    /// What is counted of plugins, and of who asks what pods have.
    pub fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// Where plugins have their sockets.
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// Whether extended resources on the node's object are left from another life; true once.
    pub fn take_new_node(&self) -> bool {
        self.0.new_node.swap(false, Ordering::Relaxed)
    }

    /// A plugin for a resource listens on this socket.
    ///
    /// # Errors
    /// It does not, or the resource is none.
    pub async fn connect(&self, resource: &str, socket: &Path) -> Result<(), ConnectError> {
        if !is_extended(resource) {
            return Err(ConnectError::Name(resource.to_owned()));
        }
        let plugin = Plugin::connect(socket).await?;
        let number = self.0.connections.fetch_add(1, Ordering::Relaxed);
        {
            let mut ledger = self.0.ledger.lock();
            if !ledger.has(resource) && ledger.resources() >= MOST_RESOURCES {
                return Err(ConnectError::TooMany);
            }
            ledger.connected(resource);
            self.0.plugins.lock().insert(resource.to_owned(), (number, plugin.clone()));
        }
        tracing::info!(resource, socket = %socket.display(), "device plugin connected");
        let (devices, resource) = (self.clone(), resource.to_owned());
        self.0.supervisor.spawn_until_stop("device-plugin", async move {
            devices.listen(&resource, number, plugin).await;
        });
        Ok(())
    }

    /// Listens until the plugin is gone, or another one came in its place.
    async fn listen(&self, resource: &str, number: u64, plugin: Plugin) {
        let ended = match plugin.watch().await {
            Ok(mut stream) => loop {
                match stream.message().await {
                    Ok(Some(said)) if self.is_current(resource, number) => self.report(resource, said.devices),
                    Ok(Some(_)) => return,
                    Ok(None) => break None,
                    Err(status) => break Some(status),
                }
            },
            Err(status) => Some(status),
        };
        tracing::warn!(resource, status = ?ended, "ListAndWatch ended unexpectedly for device plugin");
        if self.is_current(resource, number) {
            self.disconnect(resource);
        }
    }

    fn is_current(&self, resource: &str, number: u64) -> bool {
        self.0.plugins.lock().get(resource).is_some_and(|(current, _)| *current == number)
    }

    fn report(&self, resource: &str, devices: Vec<api::Device>) {
        let touched = {
            let mut ledger = self.0.ledger.lock();
            let touched = ledger.report(resource, devices);
            self.save(&ledger);
            touched
        };
        touched.iter().for_each(|uid| (self.0.bell)(uid));
    }

    /// A resource's plugin is gone.
    pub fn disconnect(&self, resource: &str) {
        self.0.plugins.lock().remove(resource);
        self.0.ledger.lock().disconnected(resource, Instant::now());
    }

    /// What the node has now.
    pub fn amounts(&self) -> Amounts {
        let mut ledger = self.0.ledger.lock();
        let (amounts, dropped) = ledger.amounts(Instant::now());
        if dropped {
            self.save(&ledger);
        }
        amounts
    }

    /// Whether a pod asks for devices.
    pub fn concern(&self, pod: &Pod) -> bool {
        let spec = PodExt::spec(pod);
        let mut all = pod.init_containers().iter().chain(&spec.containers);
        all.any(|container| !self.wanted(pod, container).is_empty())
    }

    /// Begins the admission of a pod. `runs` says that the pod ran before this kubelet did.
    pub async fn turn(&self, runs: bool) -> Turn<'_> {
        Turn { devices: self, _alone: self.0.turn.lock().await, runs, reusable: BTreeMap::new() }
    }

    /// Chooses the devices of all containers of a pod, wherever they are.
    ///
    /// # Errors
    /// Not all can be had.
    pub async fn allocate(&self, pod: &Pod, runs: bool) -> Result<(), AllocateError> {
        let mut turn = self.turn(runs).await;
        for container in pod.init_containers().iter().chain(&PodExt::spec(pod).containers) {
            turn.allocate(pod, container, None).await?;
        }
        Ok(())
    }

    async fn allocate_container(
        &self,
        pod: &Pod,
        container: &Container,
        (reusable, nodes): (&BTreeMap<String, Ids>, Option<Mask>),
        runs: bool,
    ) -> Result<(), AllocateError> {
        let owner = (pod.uid(), container.name.as_str());
        for (resource, wanted) in self.wanted(pod, container) {
            let none = Ids::new();
            let reusable = reusable.get(&resource).unwrap_or(&none);
            let choice = {
                let ledger = self.0.ledger.lock();
                match ledger.choose(owner, &resource, wanted, reusable, runs)? {
                    Choice::Open(open) => ledger.align(&resource, open, nodes),
                    decided => decided,
                }
            };
            let ids = match choice {
                Choice::Nothing => continue,
                Choice::These(ids) => ids,
                Choice::Open(open) => {
                    let available = open.free.union(&open.taken).cloned().collect();
                    let taken = open.taken.iter().cloned().collect();
                    let preferred = self.plugin(&resource)?.preferred(available, taken, wanted).await?;
                    open.close(&preferred.into_iter().collect())
                }
            };
            let (plugin, asked) = (self.plugin(&resource)?, Instant::now());
            let response = plugin.allocate(ids.iter().cloned().collect()).await;
            self.0.counts.allocated(&resource, asked);
            let response = response?;
            let mut ledger = self.0.ledger.lock();
            ledger.grant(owner, &resource, ids, response);
            self.save(&ledger);
        }
        Ok(())
    }

    fn plugin(&self, resource: &str) -> Result<Plugin, AllocateError> {
        let plugin = self.0.plugins.lock().get(resource).map(|(_, plugin)| plugin.clone());
        plugin.ok_or_else(|| AllocateError::Stopped(resource.to_owned()))
    }

    /// The resources that a container has from plugins, and how many of each.
    fn wanted(&self, pod: &Pod, container: &Container) -> Vec<(String, usize)> {
        let limits = container.resources.iter().flat_map(|r| r.limits.iter().flatten());
        let ledger = self.0.ledger.lock();
        let ours = limits.filter(|(name, _)| ledger.is_ours(name) && !is_claimed(pod, container, name));
        ours.map(|(name, q)| (name.clone(), usize::try_from(Amount::of(q).value()).unwrap_or(0))).collect()
    }

    /// What a container that is about to start needs. Plugins that want to know of it are told.
    ///
    /// # Errors
    /// A plugin refuses, or devices that are not granted yet cannot be had.
    pub async fn equip(&self, pod: &Pod, container: &Container) -> Result<Equipment, AllocateError> {
        let owner = (pod.uid(), container.name.as_str());
        for (resource, _) in self.wanted(pod, container).into_iter().filter(|(_, count)| *count > 0) {
            let granted = || self.0.ledger.lock().granted(owner.0, owner.1, &resource);
            if granted().is_none() {
                // Its plugin came after the pod.
                let _turn = self.0.turn.lock().await;
                self.allocate_container(pod, container, (&BTreeMap::new(), None), false).await?;
            }
            let ids = granted().ok_or_else(|| AllocateError::NoneGranted {
                pod: owner.0.to_owned(),
                container: owner.1.to_owned(),
                resource: resource.clone(),
            })?;
            // A plugin that is gone is not told.
            let Ok(plugin) = self.plugin(&resource) else { continue };
            if plugin.wants_starts() {
                plugin.pre_start(ids.into_iter().collect()).await?;
            }
        }
        Ok(equipment(self.0.ledger.lock().responses(owner.0, owner.1)))
    }

    /// A pod has ended: its devices are free again.
    pub fn release(&self, uid: &str) {
        let mut ledger = self.0.ledger.lock();
        if ledger.release(uid) {
            self.save(&ledger);
        }
    }

    /// No other pods than these are on the node.
    pub fn keep_only(&self, uids: &BTreeSet<String>) {
        let mut ledger = self.0.ledger.lock();
        if ledger.keep_only(uids) {
            self.save(&ledger);
        }
    }

    /// The health of a pod's devices, by container.
    pub fn health(&self, uid: &str) -> BTreeMap<String, Vec<ResourceStatus>> {
        self.0.ledger.lock().health(uid)
    }

    /// A container's devices, for the pod resources API.
    pub fn listed(&self, uid: &str, container: &str) -> Vec<listed::ContainerDevices> {
        self.0.ledger.lock().listed(uid, container)
    }

    /// All healthy devices, for the pod resources API.
    pub fn all_listed(&self) -> Vec<listed::ContainerDevices> {
        self.0.ledger.lock().all_listed()
    }

    fn save(&self, ledger: &Ledger) {
        if let Err(error) = checkpoint::write(&self.0.folder.join(checkpoint::FILE), ledger.data()) {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot keep which devices pods have");
        }
    }
}

/// Whether the container has the resource by a claim, which is no plugin's matter.
fn is_claimed(pod: &Pod, container: &Container, resource: &str) -> bool {
    let claim = pod.status.as_ref().and_then(|s| s.extended_resource_claim_status.as_ref());
    let mut mappings = claim.into_iter().flat_map(|c| &c.request_mappings);
    mappings.any(|m| m.container_name == container.name && m.resource_name == resource)
}

/// Whether a resource's name is one that a plugin may bring: qualified, and none of the API's own.
fn is_extended(resource: &str) -> bool {
    let Some((domain, name)) = resource.split_once('/') else { return false };
    let alphanumeric = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inside = |text: &str, more: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c));
    let ends = |text: &str| alphanumeric(text.chars().next()) && alphanumeric(text.chars().next_back());
    let label = |l: &str| ends(l) && inside(l, "-") && !l.chars().any(|c| c.is_ascii_uppercase());
    // In quotas the name has `requests.` before it and must still be one.
    let quota = "requests.".len();
    !resource.contains("kubernetes.io/")
        && !resource.starts_with("requests.")
        && domain.len() + quota <= 253
        && domain.split('.').all(label)
        && (1..=63).contains(&name.len())
        && ends(name)
        && inside(name, "-_.")
}

/// All answers together; what comes first stays.
fn equipment(responses: Vec<api::ContainerAllocateResponse>) -> Equipment {
    let mut out = Equipment::default();
    for response in responses {
        for (name, value) in response.envs {
            out.envs.entry(name).or_insert(value);
        }
        for (name, value) in response.annotations {
            out.annotations.entry(name).or_insert(value);
        }
        for mount in response.mounts {
            if !out.mounts.iter().any(|m| m.container_path == mount.container_path) {
                out.mounts.push(mount);
            }
        }
        for device in response.devices {
            if !out.devices.iter().any(|d| d.container_path == device.container_path) {
                out.devices.push(device);
            }
        }
        for cdi in response.cdi_devices {
            if !out.cdi_devices.contains(&cdi.name) {
                out.cdi_devices.push(cdi.name);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_resources_plugins_may_bring() {
        let long = format!("example.com/{}", "x".repeat(64));
        for (name, want) in [
            ("example.com/gpu", true),
            ("a.b/C_d.e", true),
            ("cpu", false),
            ("kubernetes.io/batteries", false),
            ("requests.example.com/gpu", false),
            ("Example.com/gpu", false),
            ("example.com/", false),
            ("example.com/-x", false),
            ("a/b/c", false),
            (long.as_str(), false),
        ] {
            assert_eq!(is_extended(name), want, "{name}");
        }
    }

    #[test]
    fn the_first_of_two_answers_stays() {
        let answer = |value: &str| api::ContainerAllocateResponse {
            envs: [("A".to_owned(), value.to_owned())].into(),
            mounts: vec![api::Mount { container_path: "/m".into(), host_path: value.into(), read_only: true }],
            devices: vec![api::DeviceSpec {
                container_path: "/dev/x".into(),
                host_path: value.into(),
                permissions: "r".into(),
            }],
            annotations: [("a".to_owned(), value.to_owned())].into(),
            cdi_devices: vec![api::CdiDevice { name: "v/c=1".into() }],
        };
        assert_eq!(equipment(vec![answer("1"), answer("2")]), equipment(vec![answer("1")]));
        assert_eq!(equipment(vec![answer("1")]).cdi_devices, ["v/c=1"]);
    }
}
