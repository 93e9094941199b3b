//! Claims, persistent volumes and what is known of the storage behind them: as the apiserver shows
//! them, and over it what was decided here but is not shown yet.
//!
//! Upstream: `pkg/scheduler/util/assumecache`, `plugins/volumebinding/assume_cache.go`.

use super::selector::{Labels, NodeSelector, PodSelector};
use super::volumes::{ClaimKey, Disk};
use apimachinery::quantity::Quantity;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::storage::v1 as storage;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// On a claim: the node for which its volume is to be made.
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// On a claim: that it is bound for good.
pub const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// On a volume: that it was not the user who bound it.
pub const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// On claims and volumes of old: their class.
pub const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";
/// On a CSINode: the plugins that CSI drivers took over from.
pub const MIGRATED_PLUGINS: &str = "storage.alpha.kubernetes.io/migrated-plugins";
/// The provisioner of classes that make no volumes.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// A claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Namespace and name.
    pub key: ClaimKey,
    /// Unique over time.
    pub uid: String,
    /// As last seen.
    pub resource_version: String,
    /// The class; empty for none.
    pub class: String,
    /// Its volume; empty while it has none.
    pub volume: String,
    /// Whether its volume is gone.
    pub is_lost: bool,
    /// Whether it is being deleted.
    pub is_terminating: bool,
    /// Whether it is bound for good.
    pub is_bound: bool,
    /// The node for which its volume is to be made.
    pub selected_node: Option<String>,
    /// The pod that owns it, by UID.
    pub owner: Option<String>,
    /// What a volume must have.
    pub demand: Demand,
}

/// What a claim demands of a volume, but for the class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Bytes; `None` if it says nothing.
    pub size: Option<i64>,
    /// Each is needed.
    pub access_modes: Vec<String>,
    /// The volume's labels.
    pub selector: Option<PodSelector>,
    /// Whether it is to be a block device.
    pub is_block: bool,
    /// The class of attributes; empty for none.
    pub attributes_class: String,
}

/// Whom a volume is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRef {
    /// The claim.
    pub key: ClaimKey,
    /// Its UID; empty if the user who bound the volume did not say.
    pub uid: String,
}

/// What is behind a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A CSI driver.
    Csi {
        /// Its name.
        driver: String,
        /// What it calls the volume.
        handle: String,
    },
    /// A plugin of the past.
    Disk(Disk),
    /// Something that nobody counts.
    Other,
}

/// A persistent volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Name.
    pub name: String,
    /// Unique over time.
    pub uid: String,
    /// As last seen.
    pub resource_version: String,
    /// Its labels.
    pub labels: Labels,
    /// The class; empty for none.
    pub class: String,
    /// Bytes.
    pub capacity: i64,
    /// What it can do.
    pub access_modes: Vec<String>,
    /// Whether it is a block device.
    pub is_block: bool,
    /// The class of attributes; empty for none.
    pub attributes_class: String,
    /// Whom it is for.
    pub claim: Option<ClaimRef>,
    /// Which nodes reach it; `None` for all.
    pub affinity: Option<NodeSelector>,
    /// Whether it is free.
    pub is_available: bool,
    /// Whether it is being deleted.
    pub is_terminating: bool,
    /// What is behind it.
    pub source: Source,
}

/// When volumes of a class are bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindingMode {
    /// At once, by the controller.
    Immediate,
    /// When a pod needs them, by the scheduler.
    WaitForFirstConsumer,
}

/// A storage class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Who makes volumes.
    pub provisioner: String,
    /// When they are bound.
    pub mode: BindingMode,
    /// Alternatives, each of which is a list of labels and their values; any node if empty.
    pub topologies: Vec<Vec<(String, Vec<String>)>>,
}

/// What a node's CSI drivers say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsiNode {
    /// How many volumes each takes, of those that say.
    pub limits: BTreeMap<String, i64>,
    /// The plugins that drivers took over from.
    pub migrated: BTreeSet<String>,
}

/// How much a driver has left for a class in a part of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// The class.
    pub class: String,
    /// Which nodes reach it; `None` for none.
    pub topology: Option<PodSelector>,
    /// The largest volume, in bytes; `None` if unknown, which is taken for nothing.
    pub largest: Option<i64>,
}

/// A volume on its way to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The node.
    pub node: String,
    /// The CSI driver.
    pub driver: String,
    /// The volume.
    pub volume: String,
}

/// An object as shown, and as decided over it.
#[derive(Debug)]
struct Entry<T> {
    shown: Arc<T>,
    /// Gone as soon as something newer is shown.
    assumed: Option<Arc<T>>,
}

impl<T> Entry<T> {
    fn current(&self) -> &Arc<T> {
        self.assumed.as_ref().unwrap_or(&self.shown)
    }
}

/// All of it.
#[derive(Debug, Default)]
pub struct Storage {
    claims: HashMap<ClaimKey, Entry<Claim>>,
    volumes: HashMap<String, Entry<Volume>>,
    by_class: HashMap<String, BTreeSet<String>>,
    /// Classes by name.
    pub classes: HashMap<String, Class>,
    /// By node name.
    pub csi_nodes: HashMap<String, CsiNode>,
    /// Drivers that say how much they have left.
    pub tracked_drivers: BTreeSet<String>,
    /// By namespace and name.
    pub capacities: BTreeMap<String, Capacity>,
    attachments: HashMap<String, Attachment>,
    /// Names of attachments by node.
    attached: HashMap<String, BTreeSet<String>>,
}

impl Storage {
    /// A claim, with what is decided about it.
    pub fn claim(&self, key: &ClaimKey) -> Option<&Arc<Claim>> {
        self.claims.get(key).map(Entry::current)
    }

    /// A claim as the apiserver shows it.
    pub fn shown_claim(&self, key: &ClaimKey) -> Option<&Arc<Claim>> {
        self.claims.get(key).map(|entry| &entry.shown)
    }

    /// A volume, with what is decided about it.
    pub fn volume(&self, name: &str) -> Option<&Arc<Volume>> {
        self.volumes.get(name).map(Entry::current)
    }

    /// A volume as the apiserver shows it.
    pub fn shown_volume(&self, name: &str) -> Option<&Arc<Volume>> {
        self.volumes.get(name).map(|entry| &entry.shown)
    }

    /// The volumes of a class, by name.
    pub fn volumes_of(&self, class: &str) -> impl Iterator<Item = &Arc<Volume>> {
        self.by_class.get(class).into_iter().flatten().filter_map(|name| self.volume(name))
    }

    /// A claim's new state; gives the last one.
    pub fn set_claim(&mut self, claim: Claim) -> Option<Arc<Claim>> {
        let entry = Entry { shown: Arc::new(claim), assumed: None };
        match self.claims.get_mut(&entry.shown.key) {
            Some(known) if known.shown.resource_version == entry.shown.resource_version => {
                Some(Arc::clone(&known.shown))
            }
            _ => self.claims.insert(entry.shown.key.clone(), entry).map(|old| old.shown),
        }
    }

    /// A claim that is gone.
    pub fn remove_claim(&mut self, key: &ClaimKey) {
        self.claims.remove(key);
    }

    /// A volume's new state; gives the last one.
    pub fn set_volume(&mut self, volume: Volume) -> Option<Arc<Volume>> {
        if let Some(known) = self.volumes.get(&volume.name)
            && known.shown.resource_version == volume.resource_version
        {
            return Some(Arc::clone(&known.shown));
        }
        let old = self.remove_volume(&volume.name);
        self.by_class.entry(volume.class.clone()).or_default().insert(volume.name.clone());
        self.volumes.insert(volume.name.clone(), Entry { shown: Arc::new(volume), assumed: None });
        old
    }

    /// A volume that is gone; gives its last state.
    pub fn remove_volume(&mut self, name: &str) -> Option<Arc<Volume>> {
        let shown = self.volumes.remove(name)?.shown;
        if let Some(names) = self.by_class.get_mut(&shown.class) {
            names.remove(name);
            if names.is_empty() {
                self.by_class.remove(&shown.class);
            }
        }
        Some(shown)
    }

    /// The volumes that are, or are being, attached to a node.
    pub fn attachments_of(&self, node: &str) -> impl Iterator<Item = &Attachment> {
        self.attached.get(node).into_iter().flatten().filter_map(|name| self.attachments.get(name))
    }

    /// An attachment's new state; `None` if it is gone.
    pub fn set_attachment(&mut self, name: &str, attachment: Option<Attachment>) {
        if let Some(old) = self.attachments.remove(name)
            && let Some(names) = self.attached.get_mut(&old.node)
        {
            names.remove(name);
            if names.is_empty() {
                self.attached.remove(&old.node);
            }
        }
        if let Some(attachment) = attachment {
            self.attached.entry(attachment.node.clone()).or_default().insert(name.to_owned());
            self.attachments.insert(name.to_owned(), attachment);
        }
    }

    /// Counts a volume as the claim's.
    pub fn assume_bound(&mut self, name: &str, claim: &Claim) {
        if let Some(entry) = self.volumes.get_mut(name) {
            let mut volume = Volume::clone(entry.current());
            volume.claim = Some(ClaimRef { key: claim.key.clone(), uid: claim.uid.clone() });
            entry.assumed = Some(Arc::new(volume));
        }
    }

    /// Counts a claim's volume as to be made for the node.
    pub fn assume_selected(&mut self, key: &ClaimKey, node: &str) {
        if let Some(entry) = self.claims.get_mut(key) {
            let mut claim = Claim::clone(entry.current());
            claim.selected_node = Some(node.to_owned());
            entry.assumed = Some(Arc::new(claim));
        }
    }

    /// Takes back what was decided about a volume.
    pub fn restore_volume(&mut self, name: &str) {
        if let Some(entry) = self.volumes.get_mut(name) {
            entry.assumed = None;
        }
    }

    /// Takes back what was decided about a claim.
    pub fn restore_claim(&mut self, key: &ClaimKey) {
        if let Some(entry) = self.claims.get_mut(key) {
            entry.assumed = None;
        }
    }
}

impl Claim {
    /// From the API's form.
    pub fn of(claim: &core::PersistentVolumeClaim) -> Self {
        let meta = &claim.metadata;
        let empty = core::PersistentVolumeClaimSpec::default();
        let spec = claim.spec.as_ref().unwrap_or(&empty);
        let annotation = |name: &str| meta.annotations.as_ref().and_then(|all| all.get(name));
        let mut owners = meta.owner_references.iter().flatten().filter(|owner| owner.controller == Some(true));
        Self {
            key: ClaimKey {
                namespace: Arc::from(meta.namespace.as_deref().unwrap_or_default()),
                name: Arc::from(meta.name.as_deref().unwrap_or_default()),
            },
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone().unwrap_or_default(),
            class: annotation(BETA_CLASS).or(spec.storage_class_name.as_ref()).cloned().unwrap_or_default(),
            volume: spec.volume_name.clone().unwrap_or_default(),
            is_lost: claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Lost"),
            is_terminating: meta.deletion_timestamp.is_some(),
            is_bound: annotation(BIND_COMPLETED).is_some() && spec.volume_name.as_ref().is_some_and(|v| !v.is_empty()),
            selected_node: annotation(SELECTED_NODE).cloned(),
            owner: owners.next().map(|owner| owner.uid.clone()),
            demand: Demand::of(spec),
        }
    }

    /// Whether a pod may be the only one that uses its volume.
    pub fn is_for_one_pod(&self) -> bool {
        self.demand.access_modes.iter().any(|mode| mode == "ReadWriteOncePod")
    }
}

impl Demand {
    fn of(spec: &core::PersistentVolumeClaimSpec) -> Self {
        let requests = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        Self {
            size: requests.and_then(|requests| requests.get("storage")).map(bytes),
            access_modes: spec.access_modes.clone().unwrap_or_default(),
            selector: PodSelector::of(spec.selector.as_ref()),
            is_block: spec.volume_mode.as_deref() == Some("Block"),
            attributes_class: spec.volume_attributes_class_name.clone().unwrap_or_default(),
        }
    }
}

impl Volume {
    /// From the API's form.
    pub fn of(volume: &core::PersistentVolume) -> Self {
        let meta = &volume.metadata;
        let empty = core::PersistentVolumeSpec::default();
        let spec = volume.spec.as_ref().unwrap_or(&empty);
        let annotation = |name: &str| meta.annotations.as_ref().and_then(|all| all.get(name));
        let required = spec.node_affinity.as_ref().and_then(|affinity| affinity.required.as_ref());
        Self {
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone().unwrap_or_default(),
            labels: meta.labels.clone().unwrap_or_default(),
            class: annotation(BETA_CLASS).or(spec.storage_class_name.as_ref()).cloned().unwrap_or_default(),
            capacity: spec.capacity.as_ref().and_then(|capacity| capacity.get("storage")).map_or(0, bytes),
            access_modes: spec.access_modes.clone().unwrap_or_default(),
            is_block: spec.volume_mode.as_deref() == Some("Block"),
            attributes_class: spec.volume_attributes_class_name.clone().unwrap_or_default(),
            claim: spec.claim_ref.as_ref().map(ClaimRef::of),
            affinity: required.map(NodeSelector::of_terms),
            is_available: volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Available"),
            is_terminating: meta.deletion_timestamp.is_some(),
            source: Source::of(spec),
        }
    }

    /// Whether a node with these labels reaches it.
    pub fn is_reached_from(&self, labels: &Labels) -> bool {
        // Upstream compares labels only: a term on the node's name matches no node.
        self.affinity.as_ref().is_none_or(|affinity| affinity.matches("", labels))
    }

    /// Whether it is meant for the claim.
    pub fn is_for(&self, claim: &Claim) -> bool {
        let meant = self.claim.as_ref().filter(|meant| meant.key == claim.key);
        meant.is_some_and(|meant| meant.uid.is_empty() || meant.uid == claim.uid)
    }
}

impl ClaimRef {
    fn of(reference: &core::ObjectReference) -> Self {
        let key = ClaimKey {
            namespace: Arc::from(reference.namespace.as_deref().unwrap_or_default()),
            name: Arc::from(reference.name.as_deref().unwrap_or_default()),
        };
        Self { key, uid: reference.uid.clone().unwrap_or_default() }
    }
}

impl Source {
    fn of(spec: &core::PersistentVolumeSpec) -> Self {
        match (&spec.csi, Disk::of_persistent(spec)) {
            (Some(csi), _) => Self::Csi { driver: csi.driver.clone(), handle: csi.volume_handle.clone() },
            (None, Some(disk)) => Self::Disk(disk),
            (None, None) => Self::Other,
        }
    }
}

impl Class {
    /// From the API's form.
    pub fn of(class: &storage::StorageClass) -> Self {
        let terms = class.allowed_topologies.iter().flatten();
        let topologies = terms.map(|term| {
            let labels = term.match_label_expressions.iter().flatten();
            labels.map(|label| (label.key.clone(), label.values.clone())).collect()
        });
        Self {
            provisioner: class.provisioner.clone(),
            mode: match class.volume_binding_mode.as_deref() {
                Some("WaitForFirstConsumer") => BindingMode::WaitForFirstConsumer,
                _ => BindingMode::Immediate,
            },
            topologies: topologies.collect(),
        }
    }

    /// Whether somebody makes volumes of it.
    pub fn provisions(&self) -> bool {
        !matches!(self.provisioner.as_str(), "" | NO_PROVISIONER)
    }

    /// Whether volumes can be made for a node with these labels.
    pub fn allows(&self, labels: &Labels) -> bool {
        let has = |(key, values): &(String, Vec<String>)| labels.get(key).is_some_and(|value| values.contains(value));
        self.topologies.is_empty() || self.topologies.iter().any(|term| !term.is_empty() && term.iter().all(has))
    }
}

impl CsiNode {
    /// From the API's form.
    pub fn of(node: &storage::CSINode) -> Self {
        let limits = node.spec.drivers.iter().filter_map(|driver| {
            let count = driver.allocatable.as_ref().and_then(|allocatable| allocatable.count)?;
            Some((driver.name.clone(), i64::from(count)))
        });
        let migrated = node.metadata.annotations.as_ref().and_then(|all| all.get(MIGRATED_PLUGINS));
        let migrated = migrated.map(String::as_str).unwrap_or_default().split(',').filter(|name| !name.is_empty());
        Self { limits: limits.collect(), migrated: migrated.map(str::to_owned).collect() }
    }
}

impl Capacity {
    /// From the API's form.
    pub fn of(capacity: &storage::CSIStorageCapacity) -> Self {
        Self {
            class: capacity.storage_class_name.clone(),
            topology: PodSelector::of(capacity.node_topology.as_ref()),
            largest: capacity.maximum_volume_size.as_ref().or(capacity.capacity.as_ref()).map(bytes),
        }
    }
}

impl Attachment {
    /// From the API's form; `None` for those of volumes without a name.
    pub fn of(attachment: &storage::VolumeAttachment) -> Option<Self> {
        let spec = &attachment.spec;
        let volume = spec.source.persistent_volume_name.clone()?;
        Some(Self { node: spec.node_name.clone(), driver: spec.attacher.clone(), volume })
    }
}

/// Upwards; zero if unreadable.
fn bytes(text: &Text) -> i64 {
    text.0.parse().map_or(0, |quantity: Quantity| quantity.value())
}

#[cfg(test)]
#[path = "storage_tests.rs"]
mod tests;
