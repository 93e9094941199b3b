//! Cluster IPs: an address is taken by creating its `IPAddress` object.
//!
//! Upstream: `pkg/registry/core/service/ipallocator/ipallocator.go`.

use super::families::Family;
use super::ranges::Ranges;
use apimachinery::meta::ObjectMeta;
use apimachinery::resources::{self, ResourceInfo};
use apimachinery::{Value, time};
use apiserver_storage::{Change, StorageError, Store};
use ipnet::IpNet;
use rand::RngExt;
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// Who made an `IPAddress`, in its label.
const MANAGER: &str = "ipallocator.k8s.io";
/// How many addresses are tried, at most, before the range counts as full.
const ATTEMPTS: u128 = 70_000;

/// Why an address is not to be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum AddressError {
    #[error("provided IP is already allocated")]
    Taken,
    #[error("the provided network does not match the current range")]
    Mismatch,
    #[error("range is full")]
    Full,
    /// An address belongs to a service by its name.
    #[error("IPAddress.networking.k8s.io {:?} is invalid: spec.parentRef.name: Required value", .0.to_string())]
    OfNobody(IpAddr),
    #[error("this server does not serve IP addresses")]
    NotServed,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

#[derive(Debug)]
pub(super) struct Addresses {
    store: Store,
    ranges: Ranges,
}

impl Addresses {
    pub(super) fn new(store: Store, ranges: Vec<IpNet>) -> Self {
        Self { ranges: Ranges::new(store.clone(), ranges), store }
    }

    /// The cluster's families, the default one first.
    pub(super) fn families(&self) -> Vec<Family> {
        self.ranges.families()
    }

    /// Takes this address for a service. One that the service has already is taken again.
    pub(super) async fn take(&self, service: &Value, address: IpAddr, dry_run: bool) -> Result<(), AddressError> {
        self.ranges.check(address)?;
        match self.reserve(service, address, dry_run).await {
            Err(AddressError::Taken) if self.is_owner(service, address) => Ok(()),
            result => result,
        }
    }

    /// Takes the address that a service has already, whatever its range.
    pub(super) async fn adopt(&self, service: &Value, address: IpAddr) -> Result<(), AddressError> {
        match self.reserve(service, address, false).await {
            Err(AddressError::Taken) if self.is_owner(service, address) => Ok(()),
            result => result,
        }
    }

    /// Takes a random free address of a family, from the first range that has one.
    pub(super) async fn take_any(
        &self,
        service: &Value,
        family: Family,
        dry_run: bool,
    ) -> Result<IpAddr, AddressError> {
        for range in self.ranges.of(family) {
            match self.take_from(service, &range, dry_run).await {
                Err(AddressError::Full) => {}
                result => return result,
            }
        }
        Err(AddressError::Full)
    }

    /// Takes a random free address of a range. Its lower part is left for services that choose their
    /// address, as long as there is room above.
    async fn take_from(&self, service: &Value, range: &IpNet, dry_run: bool) -> Result<IpAddr, AddressError> {
        let size = size(range);
        let offset = dynamic_offset(size);
        let start = offset + random_below(size - offset);
        let upper = (start..size).chain(offset..start);
        for index in upper.chain(0..offset).take(ATTEMPTS as usize) {
            let address = nth(range, index + 1);
            match self.reserve(service, address, dry_run).await {
                Err(AddressError::Taken) => {}
                result => return result.map(|()| address),
            }
        }
        Err(AddressError::Full)
    }

    /// Gives an address back.
    pub(super) async fn free(&self, address: IpAddr) {
        let Ok(resource) = resource() else { return };
        let key = resource.key("", &address.to_string());
        let gone = async |_: &Arc<apiserver_storage::Object>| Ok::<_, StorageError>(Change::Delete(None));
        match self.store.update(resource, &key, None, gone).await {
            Ok(_) | Err(StorageError::NotFound { .. }) => {}
            Err(error) => tracing::warn!(%address, %error, "cluster IP was not freed; the next start frees it"),
        }
    }

    async fn reserve(&self, service: &Value, address: IpAddr, dry_run: bool) -> Result<(), AddressError> {
        let resource = resource()?;
        let key = resource.key("", &address.to_string());
        if self.store.cached(resource, &key).is_some() {
            return Err(AddressError::Taken);
        }
        if dry_run {
            return Ok(());
        }
        if service.name().is_empty() {
            return Err(AddressError::OfNobody(address));
        }
        match self.store.create(resource, &key, object(service, address), None).await {
            Ok(_) => Ok(()),
            Err(StorageError::Exists { .. }) => Err(AddressError::Taken),
            Err(error) => Err(error.into()),
        }
    }

    fn is_owner(&self, service: &Value, address: IpAddr) -> bool {
        let Ok(resource) = resource() else { return false };
        let held = self.store.cached(resource, &resource.key("", &address.to_string())).map(|held| held.value());
        let parent = held.as_ref().and_then(|held| held.pointer("/spec/parentRef"));
        let is = |key: &str, wanted: &str| parent.and_then(|p| p.get(key)).and_then(Value::as_str) == Some(wanted);
        is("resource", "services") && is("name", service.name()) && is("namespace", service.namespace())
    }
}

fn resource() -> Result<&'static Arc<ResourceInfo>, AddressError> {
    resources::find("networking.k8s.io", "v1", "ipaddresses").ok_or(AddressError::NotServed)
}

fn object(service: &Value, address: IpAddr) -> Value {
    json!({
        "kind": "IPAddress", "apiVersion": "networking.k8s.io/v1",
        "metadata": {
            "name": address.to_string(), "uid": uuid::Uuid::new_v4().to_string(), "creationTimestamp": time::now(),
            "labels": {
                "ipaddress.kubernetes.io/ip-family": Family::of_address(address).as_str(),
                "ipaddress.kubernetes.io/managed-by": MANAGER,
            },
        },
        "spec": {"parentRef": {"resource": "services", "namespace": service.namespace(), "name": service.name()}},
    })
}

/// How many addresses a range has for services: all but the first, and but IPv4's broadcast.
fn size(range: &IpNet) -> u128 {
    let bits = u32::from(range.max_prefix_len() - range.prefix_len());
    let all = 1_u128.checked_shl(bits).unwrap_or(u128::MAX);
    match range {
        IpNet::V4(_) => all.saturating_sub(2),
        IpNet::V6(_) => all.saturating_sub(1),
    }
}

/// The `index`th address after the range's first.
pub(super) fn nth(range: &IpNet, index: u128) -> IpAddr {
    match range.network() {
        IpAddr::V4(first) => Ipv4Addr::from(u32::from(first).wrapping_add(index as u32)).into(),
        IpAddr::V6(first) => Ipv6Addr::from(u128::from(first).wrapping_add(index)).into(),
    }
}

/// Where addresses for services that do not choose begin.
fn dynamic_offset(size: u128) -> u128 {
    const STEP: u128 = 16;
    const MAX: u128 = 256;
    if size <= STEP { 0 } else { (size / STEP).clamp(STEP, MAX) }
}

fn random_below(end: u128) -> u128 {
    if end <= 1 { 0 } else { rand::rng().random_range(0..end) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().expect("a range")
    }

    #[test]
    fn ranges_have_sizes() {
        for (range, want, offset) in
            [("10.96.0.0/16", 65534, 256), ("10.0.0.0/24", 254, 16), ("10.0.0.0/28", 14, 0), ("fd00::/112", 65535, 256)]
        {
            assert_eq!((size(&net(range)), dynamic_offset(size(&net(range)))), (want, offset), "{range}");
        }
        assert_eq!(nth(&net("10.96.0.0/16"), 1).to_string(), "10.96.0.1");
        assert_eq!(nth(&net("fd00::/112"), 10).to_string(), "fd00::a");
    }
}
