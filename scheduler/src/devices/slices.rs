//! ResourceSlices and DeviceClasses, read once when they arrive.

use super::{Amounts, amount};
use crate::model::selector::{Labels, NodeSelector};
use apimachinery::quantity::Quantity;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::resource::v1 as resource;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A device in all the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId {
    /// Whose.
    pub driver: Arc<str>,
    /// In which of the driver's pools.
    pub pool: Arc<str>,
    /// Its name there.
    pub device: Arc<str>,
}

impl std::fmt::Display for DeviceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.driver, self.pool, self.device)
    }
}

/// Devices of one pool.
#[derive(Debug)]
pub struct Slice {
    /// The object's name.
    pub name: String,
    /// Whose.
    pub driver: Arc<str>,
    /// Of which pool.
    pub pool: Arc<str>,
    /// Of which generation of the pool.
    pub generation: i64,
    /// How many slices that generation has.
    pub count: i64,
    /// From where all of its devices are reached.
    pub reach: Reach,
    /// What it offers.
    pub devices: Vec<Device>,
    /// What devices of the pool draw from together.
    pub counters: Vec<CounterSet>,
}

/// From which nodes something is reached.
#[derive(Debug)]
pub enum Reach {
    /// This one.
    Node(String),
    /// All.
    All,
    /// Those of the selector, which is kept as it was written, too.
    Selected(NodeSelector, core::NodeSelector),
    /// Each device says so itself.
    PerDevice,
    /// It says nothing that this version knows.
    Unknown,
}

impl Reach {
    fn of(node: Option<&String>, all: Option<bool>, selector: Option<&core::NodeSelector>, each: Option<bool>) -> Self {
        match (node.filter(|name| !name.is_empty()), selector) {
            (Some(name), _) => Self::Node(name.clone()),
            (None, _) if all == Some(true) => Self::All,
            (None, Some(selector)) => Self::Selected(NodeSelector::of_terms(selector), selector.clone()),
            (None, None) if each == Some(true) => Self::PerDevice,
            (None, None) => Self::Unknown,
        }
    }

    /// Whether it is reached from the node; what is per device is not, as a whole.
    pub fn includes(&self, name: &str, labels: &Labels) -> bool {
        match self {
            Self::Node(only) => only == name,
            Self::All => true,
            Self::Selected(selector, _) => selector.matches(name, labels),
            Self::PerDevice | Self::Unknown => false,
        }
    }
}

/// A device.
#[derive(Debug)]
pub struct Device {
    /// Which.
    pub id: DeviceId,
    /// From where it is reached, where that is per device.
    pub reach: Reach,
    /// What it is like.
    pub attributes: BTreeMap<String, Attribute>,
    /// What it has.
    pub capacity: BTreeMap<String, Capacity>,
    /// What it draws from its pool.
    pub consumes: Vec<CounterSet>,
    /// What claims have to tolerate.
    pub taints: Vec<resource::DeviceTaint>,
    /// Whether several claims may have parts of it.
    pub is_shared: bool,
    /// Whether a claim that has it can be used on that node only.
    pub binds_to_node: bool,
    /// What has to become true before a pod is bound.
    pub binding_conditions: Option<Vec<String>>,
    /// What must not become true before.
    pub binding_failure_conditions: Option<Vec<String>>,
}

/// What a device is like in one respect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// A whole number.
    Int(i64),
    /// A flag.
    Bool(bool),
    /// A text.
    Text(String),
    /// A semantic version.
    Version(String),
    /// A list or what comes later, which is behind a gate that is off.
    Unsupported,
}

impl Attribute {
    fn of(attribute: &resource::DeviceAttribute) -> Self {
        let resource::DeviceAttribute { int, bool, string, version, .. } = attribute;
        match (int, bool, string, version) {
            (Some(number), ..) => Self::Int(*number),
            (_, Some(set), ..) => Self::Bool(*set),
            (_, _, Some(text), _) => Self::Text(text.clone()),
            (_, _, _, Some(version)) => Self::Version(version.clone()),
            (None, None, None, None) => Self::Unsupported,
        }
    }
}

/// How much of something a device has.
#[derive(Debug)]
pub struct Capacity {
    /// All of it.
    pub value: Quantity,
    /// How much of it a claim may ask for.
    pub policy: Option<Policy>,
}

/// How much a claim may ask for.
#[derive(Debug)]
pub struct Policy {
    /// What a claim gets that says nothing.
    pub default: Option<Quantity>,
    /// What else is allowed.
    pub valid: Valid,
}

/// What is allowed.
#[derive(Debug)]
pub enum Valid {
    /// Anything.
    Any,
    /// From the least, in steps, to the most.
    Range {
        /// The least.
        least: Option<Quantity>,
        /// The most.
        most: Option<Quantity>,
        /// The steps.
        step: Option<Quantity>,
    },
    /// These, in ascending order.
    Values(Vec<Quantity>),
}

impl Policy {
    fn of(policy: &resource::CapacityRequestPolicy) -> Self {
        let read = |written: &Option<_>| written.as_ref().and_then(amount);
        let valid = match (&policy.valid_range, policy.valid_values.as_deref().unwrap_or_default()) {
            (Some(range), _) => {
                Valid::Range { least: amount(&range.min), most: read(&range.max), step: read(&range.step) }
            }
            (None, []) => Valid::Any,
            (None, values) => Valid::Values(values.iter().filter_map(amount).collect()),
        };
        Self { default: read(&policy.default), valid }
    }
}

/// Counters by name, and the set that they belong to.
#[derive(Debug)]
pub struct CounterSet {
    /// The set.
    pub name: String,
    /// The counters.
    pub counters: Amounts,
}

impl CounterSet {
    fn of(name: &str, counters: &BTreeMap<String, resource::Counter>) -> Self {
        Self { name: name.to_owned(), counters: super::amounts(counters.iter().map(|(name, c)| (name, &c.value))) }
    }
}

impl Slice {
    /// From the API's form.
    pub fn of(slice: &resource::ResourceSlice) -> Self {
        let spec = &slice.spec;
        let (driver, pool) = (Arc::from(spec.driver.as_str()), Arc::from(spec.pool.name.as_str()));
        let devices = spec.devices.iter().flatten().map(|device| Device::of(&driver, &pool, device)).collect();
        let (all, each) = (spec.all_nodes, spec.per_device_node_selection);
        Self {
            name: slice.metadata.name.clone().unwrap_or_default(),
            generation: spec.pool.generation,
            count: spec.pool.resource_slice_count,
            reach: Reach::of(spec.node_name.as_ref(), all, spec.node_selector.as_ref(), each),
            devices,
            counters: spec
                .shared_counters
                .iter()
                .flatten()
                .map(|set| CounterSet::of(&set.name, &set.counters))
                .collect(),
            driver,
            pool,
        }
    }

    /// Whether it says what the pool's devices draw from, and offers no devices itself.
    pub fn is_of_counters(&self) -> bool {
        !self.counters.is_empty()
    }
}

impl Device {
    fn of(driver: &Arc<str>, pool: &Arc<str>, device: &resource::Device) -> Self {
        let id =
            DeviceId { driver: Arc::clone(driver), pool: Arc::clone(pool), device: Arc::from(device.name.as_str()) };
        let capacity = device.capacity.iter().flatten().filter_map(|(name, capacity)| {
            let policy = capacity.request_policy.as_ref().map(Policy::of);
            Some((name.clone(), Capacity { value: amount(&capacity.value)?, policy }))
        });
        let consumes = device.consumes_counters.iter().flatten();
        Self {
            id,
            reach: Reach::of(device.node_name.as_ref(), device.all_nodes, device.node_selector.as_ref(), None),
            attributes: device.attributes.iter().flatten().map(|(k, v)| (k.clone(), Attribute::of(v))).collect(),
            capacity: capacity.collect(),
            consumes: consumes.map(|used| CounterSet::of(&used.counter_set, &used.counters)).collect(),
            taints: device.taints.clone().unwrap_or_default(),
            is_shared: device.allow_multiple_allocations == Some(true),
            binds_to_node: device.binds_to_node == Some(true),
            binding_conditions: device.binding_conditions.clone(),
            binding_failure_conditions: device.binding_failure_conditions.clone(),
        }
    }

    /// An attribute by its full name; the domain may be left out where it is the driver's.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.get(name).or_else(|| {
            let (domain, id) = name.split_once('/')?;
            if domain == &*self.id.driver { self.attributes.get(id) } else { None }
        })
    }
}

/// What administrators say about devices of one kind.
#[derive(Debug)]
pub struct Class {
    /// The object's name.
    pub name: String,
    /// When it was created; of two with one extended resource the newer counts.
    pub created: Option<jiff::Timestamp>,
    /// What it says.
    pub spec: resource::DeviceClassSpec,
}

impl Class {
    /// From the API's form.
    pub fn of(class: &resource::DeviceClass) -> Self {
        Self {
            name: class.metadata.name.clone().unwrap_or_default(),
            created: class.metadata.creation_timestamp.as_ref().map(|time| time.0),
            spec: class.spec.clone(),
        }
    }
}
