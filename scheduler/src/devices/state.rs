//! What the apiserver shows of claims, classes and slices, with what this scheduler has reserved and
//! not yet seen there.
//!
//! Upstream: `pkg/scheduler/framework/plugins/dynamicresources/{dra_manager,allocateddevices}.go`.

use super::slices::{Class, DeviceId, Slice};
use super::{Amounts, Selectors};
use crate::model::volumes::ClaimKey;
use k8s_openapi::api::resource::v1 as resource;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The prefix of the extended resource that every class has by its name.
const BY_NAME: &str = "deviceclass.resource.kubernetes.io/";

/// Slices, classes, and claims.
#[derive(Debug, Default)]
pub struct Devices {
    slices: BTreeMap<String, Slice>,
    /// Slices for one node each, by node.
    on_node: HashMap<String, BTreeSet<String>>,
    /// Slices for several nodes.
    shared: BTreeSet<String>,
    /// All slices, by driver and pool.
    of_pool: HashMap<Arc<str>, HashMap<Arc<str>, BTreeSet<String>>>,
    classes: HashMap<String, Class>,
    /// Classes by the extended resource that they stand for.
    extended: HashMap<String, String>,
    /// The claims.
    pub claims: Claims,
    /// Expressions, compiled.
    pub selectors: Selectors,
}

impl Devices {
    /// A new or changed slice.
    pub fn set_slice(&mut self, slice: Slice) {
        self.remove_slice(&slice.name);
        let name = slice.name.clone();
        match &slice.reach {
            super::slices::Reach::Node(node) if !slice.is_of_counters() => {
                self.on_node.entry(node.clone()).or_default().insert(name.clone());
            }
            _ => drop(self.shared.insert(name.clone())),
        }
        let pools = self.of_pool.entry(Arc::clone(&slice.driver)).or_default();
        pools.entry(Arc::clone(&slice.pool)).or_default().insert(name.clone());
        self.slices.insert(name, slice);
    }

    /// A slice that is gone.
    pub fn remove_slice(&mut self, name: &str) {
        let Some(slice) = self.slices.remove(name) else { return };
        self.shared.remove(name);
        if let super::slices::Reach::Node(node) = &slice.reach
            && let Some(names) = self.on_node.get_mut(node)
        {
            names.remove(name);
            if names.is_empty() {
                self.on_node.remove(node);
            }
        }
        if let Some(pools) = self.of_pool.get_mut(&slice.driver)
            && let Some(names) = pools.get_mut(&slice.pool)
        {
            names.remove(name);
            if names.is_empty() {
                pools.remove(&slice.pool);
            }
            if pools.is_empty() {
                self.of_pool.remove(&slice.driver);
            }
        }
    }

    /// The slices that may be for a node: its own, and those for several.
    pub fn slices_for(&self, node: &str) -> impl Iterator<Item = &Slice> {
        let own = self.on_node.get(node).into_iter().flatten();
        own.chain(&self.shared).filter_map(|name| self.slices.get(name))
    }

    /// All slices of a pool.
    pub fn slices_of(&self, driver: &str, pool: &str) -> impl Iterator<Item = &Slice> {
        let names = self.of_pool.get(driver).and_then(|pools| pools.get(pool)).into_iter().flatten();
        names.filter_map(|name| self.slices.get(name))
    }

    /// A new or changed class; whether it stands for another extended resource than before.
    pub fn set_class(&mut self, class: Class) -> bool {
        let old = self.classes.insert(class.name.clone(), class);
        self.map_extended();
        old.is_none_or(|old| {
            self.classes
                .get(&old.name)
                .is_none_or(|new| new.spec.extended_resource_name != old.spec.extended_resource_name)
        })
    }

    /// A class that is gone.
    pub fn remove_class(&mut self, name: &str) {
        self.classes.remove(name);
        self.map_extended();
    }

    /// A class.
    pub fn class(&self, name: &str) -> Option<&Class> {
        self.classes.get(name)
    }

    /// The class that stands for an extended resource.
    pub fn class_of_resource(&self, resource: &str) -> Option<&Class> {
        match resource.strip_prefix(BY_NAME) {
            Some(name) => self.classes.get(name),
            None => self.extended.get(resource).and_then(|name| self.classes.get(name)),
        }
    }

    /// Of several classes with the same extended resource the newest counts, then the first by name.
    fn map_extended(&mut self) {
        let mut classes: Vec<_> = self.classes.values().collect();
        classes.sort_by(|a, b| a.created.cmp(&b.created).then_with(|| b.name.cmp(&a.name)));
        let named = classes.into_iter().filter_map(|class| {
            let resource = class.spec.extended_resource_name.clone().filter(|name| !name.is_empty())?;
            Some((resource, class.name.clone()))
        });
        self.extended = named.collect();
    }
}

/// What is known of a claim.
#[derive(Debug, Default)]
struct Known {
    /// As the apiserver shows it.
    shown: Option<Arc<resource::ResourceClaim>>,
    /// What has been done about it since.
    since: Since,
}

/// What this scheduler has done about a claim that the apiserver does not show yet.
#[derive(Debug, Default)]
enum Since {
    /// Nothing.
    #[default]
    Nothing,
    /// It gets these devices; becomes Written, or Nothing if that cannot be written.
    Pending(Arc<resource::AllocationResult>),
    /// This was written; becomes Nothing when the apiserver shows it.
    Written(Arc<resource::ResourceClaim>),
}

impl Known {
    fn current(&self) -> Option<&Arc<resource::ResourceClaim>> {
        match (&self.since, &self.shown) {
            (Since::Written(claim), _) => Some(claim),
            (Since::Nothing | Since::Pending(_), shown) => shown.as_ref(),
        }
    }

    fn allocation(&self) -> Option<&resource::AllocationResult> {
        match &self.since {
            Since::Pending(allocation) => Some(allocation),
            Since::Nothing | Since::Written(_) => self.current().and_then(|claim| allocation(claim)),
        }
    }
}

/// What a claim has.
pub fn allocation(claim: &resource::ResourceClaim) -> Option<&resource::AllocationResult> {
    claim.status.as_ref()?.allocation.as_ref()
}

/// The claims, and which devices they have.
#[derive(Debug, Default)]
pub struct Claims {
    known: HashMap<ClaimKey, Known>,
    /// Devices that a claim has for itself, and how many do: two schedulers may have allocated one.
    taken: HashMap<DeviceId, u32>,
    /// Devices of which claims have parts.
    parts: HashMap<DeviceId, Parts>,
}

#[derive(Debug, Default)]
struct Parts {
    count: u32,
    amounts: Amounts,
}

impl Claims {
    /// A claim that the apiserver shows.
    pub fn set(&mut self, key: &ClaimKey, claim: Arc<resource::ResourceClaim>) {
        self.change(key, |known| {
            if let Since::Written(written) = &known.since
                && (written.metadata.uid != claim.metadata.uid || version(written) <= version(&claim))
            {
                known.since = Since::Nothing;
            }
            known.shown = Some(claim);
        });
    }

    /// A claim that is gone. Devices that are pending for it stay taken until that ends.
    pub fn remove(&mut self, key: &ClaimKey) {
        self.change(key, |known| {
            known.shown = None;
            if let Since::Written(_) = known.since {
                known.since = Since::Nothing;
            }
        });
    }

    /// A claim as it is after all that is known.
    pub fn get(&self, key: &ClaimKey) -> Option<&Arc<resource::ResourceClaim>> {
        self.known.get(key).and_then(Known::current)
    }

    /// Whether devices are pending for the claim.
    pub fn is_pending(&self, key: &ClaimKey) -> bool {
        self.known.get(key).is_some_and(|known| matches!(known.since, Since::Pending(_)))
    }

    /// All claims of a namespace; few ask, and only for pods with extended resources.
    pub fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &Arc<resource::ResourceClaim>> {
        self.known.iter().filter(move |(key, _)| &*key.namespace == namespace).filter_map(|(_, known)| known.current())
    }

    /// Takes devices for the claim before that is written.
    pub fn reserve(&mut self, key: &ClaimKey, allocation: Arc<resource::AllocationResult>) {
        self.change(key, |known| known.since = Since::Pending(allocation));
    }

    /// Gives pending devices back.
    pub fn unreserve(&mut self, key: &ClaimKey) {
        self.change(key, |known| {
            if let Since::Pending(_) = known.since {
                known.since = Since::Nothing;
            }
        });
    }

    /// A claim that was made here, and is not shown yet.
    pub fn created(&mut self, key: &ClaimKey, claim: Arc<resource::ResourceClaim>) {
        self.change(key, |known| {
            if known.shown.is_none() {
                known.since = Since::Written(claim);
            }
        });
    }

    /// The claim as it was written; it is gone if it is not shown any more.
    pub fn written(&mut self, key: &ClaimKey, claim: Arc<resource::ResourceClaim>) {
        self.change(key, |known| {
            let shown = known.shown.as_ref().or(match &known.since {
                Since::Written(created) => Some(created),
                Since::Nothing | Since::Pending(_) => None,
            });
            let is_shown = shown.is_none_or(|shown| version(shown) >= version(&claim));
            known.since = if is_shown { Since::Nothing } else { Since::Written(claim) };
        });
    }

    /// Whether a claim has the device for itself.
    pub fn has(&self, device: &DeviceId) -> bool {
        self.taken.contains_key(device)
    }

    /// How much of the device claims have, if they have parts of it.
    pub fn amounts(&self, device: &DeviceId) -> Option<&Amounts> {
        self.parts.get(device).map(|parts| &parts.amounts)
    }

    fn change(&mut self, key: &ClaimKey, change: impl FnOnce(&mut Known)) {
        let mut known = self.known.remove(key).unwrap_or_default();
        if let Some(allocation) = known.allocation() {
            self.count(allocation, false);
        }
        change(&mut known);
        if let Some(allocation) = known.allocation() {
            self.count(allocation, true);
        }
        if known.shown.is_some() || !matches!(known.since, Since::Nothing) {
            self.known.insert(key.clone(), known);
        }
    }

    fn count(&mut self, allocation: &resource::AllocationResult, is_more: bool) {
        for result in allocation.devices.iter().flat_map(|devices| devices.results.iter().flatten()) {
            // Who looks after a device does not take it.
            if result.admin_access == Some(true) {
                continue;
            }
            let id = DeviceId {
                driver: Arc::from(result.driver.as_str()),
                pool: Arc::from(result.pool.as_str()),
                device: Arc::from(result.device.as_str()),
            };
            if result.share_id.is_some() {
                let amounts = super::amounts(result.consumed_capacity.iter().flatten());
                self.count_part(id, &amounts, is_more);
            } else {
                let count = self.taken.entry(id.clone()).or_default();
                *count = if is_more { *count + 1 } else { count.saturating_sub(1) };
                if *count == 0 {
                    self.taken.remove(&id);
                }
            }
        }
    }

    fn count_part(&mut self, id: DeviceId, amounts: &Amounts, is_more: bool) {
        let parts = self.parts.entry(id.clone()).or_default();
        parts.count = if is_more { parts.count + 1 } else { parts.count.saturating_sub(1) };
        for (name, amount) in amounts {
            let known = parts.amounts.entry(name.clone()).or_insert(apimachinery::quantity::Quantity::ZERO);
            *known = if is_more { *known + *amount } else { *known - *amount };
        }
        if parts.count == 0 {
            self.parts.remove(&id);
        }
    }
}

/// Versions of one apiserver are numbers that grow.
fn version(claim: &resource::ResourceClaim) -> u64 {
    claim.metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}
