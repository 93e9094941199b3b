//! Where cluster IPs come from: the ranges of all ServiceCIDRs that are ready.
//!
//! Upstream: `pkg/registry/core/service/ipallocator/cidrallocator.go`, `pkg/api/servicecidr`.

use super::addresses::AddressError;
use super::families::Family;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::resources;
use apiserver_storage::Store;
use ipnet::IpNet;
use std::net::IpAddr;

/// IPv6 ranges that are larger are not allocated from.
const MIN_IPV6_PREFIX: u8 = 64;

/// The ranges of a cluster.
#[derive(Debug)]
pub(super) struct Ranges {
    store: Store,
    /// The server's own, the default one first: the cluster's families, and what is used until
    /// there is a ServiceCIDR.
    own: Vec<IpNet>,
}

impl Ranges {
    pub(super) fn new(store: Store, own: Vec<IpNet>) -> Self {
        Self { store, own }
    }

    /// The cluster's families, the default one first.
    pub(super) fn families(&self) -> Vec<Family> {
        self.own.iter().map(|range| Family::of_address(range.addr())).collect()
    }

    /// Whether an address may be taken.
    pub(super) fn check(&self, address: IpAddr) -> Result<(), AddressError> {
        match self.ready().iter().any(|range| usable(range, address)) {
            true => Ok(()),
            false => Err(AddressError::Mismatch),
        }
    }

    /// The ranges of a family that addresses may be taken from.
    pub(super) fn of(&self, family: Family) -> Vec<IpNet> {
        let mut ranges = self.ready();
        ranges.retain(|range| Family::of_address(range.addr()) == family);
        ranges
    }

    fn ready(&self) -> Vec<IpNet> {
        let objects = resources::find("networking.k8s.io", "v1", "servicecidrs")
            .map(|resource| self.store.cached_list(resource, None))
            .unwrap_or_default();
        match objects.is_empty() {
            true => self.own.clone(),
            false => {
                let objects: Vec<Value> = objects.iter().map(|object| object.value()).collect();
                ready(&objects)
            }
        }
    }
}

/// The ranges of ServiceCIDRs that are ready, each once.
fn ready(objects: &[Value]) -> Vec<IpNet> {
    let mut ranges: Vec<IpNet> = Vec::new();
    for object in objects.iter().filter(|object| is_ready(object) && !object.is_deleting()) {
        let texts = object.pointer("/spec/cidrs").and_then(Value::as_array).into_iter().flatten();
        for range in texts.filter_map(|text| text.as_str()?.parse::<IpNet>().ok()).filter(is_allocated_from) {
            if !ranges.contains(&range) {
                ranges.push(range);
            }
        }
    }
    ranges
}

fn is_ready(object: &Value) -> bool {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let is = |condition: &Value, key: &str, want: &str| condition.get(key).and_then(Value::as_str) == Some(want);
    conditions.into_iter().any(|condition| is(condition, "type", "Ready") && is(condition, "status", "True"))
}

fn is_allocated_from(range: &IpNet) -> bool {
    matches!(range, IpNet::V4(_)) || range.prefix_len() >= MIN_IPV6_PREFIX
}

/// Whether a range has the address, and not as its first or IPv4's broadcast.
fn usable(range: &IpNet, address: IpAddr) -> bool {
    let broadcast = matches!(range, IpNet::V4(v4) if IpAddr::from(v4.broadcast()) == address);
    range.contains(&address) && range.network() != address && !broadcast
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cidr(ranges: &[&str], status: &str) -> Value {
        json!({"spec": {"cidrs": ranges}, "status": {"conditions": [{"type": "Ready", "status": status}]}})
    }

    #[test]
    fn only_ready_ranges_count() {
        let mut going = cidr(&["10.4.0.0/24"], "True");
        going["metadata"] = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        let all = [
            cidr(&["10.1.0.0/24", "fd00:1::/112"], "True"),
            cidr(&["10.2.0.0/24"], "False"),
            cidr(&["10.1.0.0/24", "nonsense", "fd00::/48"], "True"),
            json!({"spec": {"cidrs": ["10.3.0.0/24"]}}),
            going,
        ];
        let texts: Vec<String> = ready(&all).iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["10.1.0.0/24", "fd00:1::/112"]);
    }

    #[test]
    fn the_ends_of_a_range_are_not_used() {
        let range: IpNet = "10.0.0.0/24".parse().expect("a range");
        for (address, want) in [("10.0.0.0", false), ("10.0.0.1", true), ("10.0.0.255", false), ("10.0.1.1", false)] {
            assert_eq!(usable(&range, address.parse().expect("an address")), want, "{address}");
        }
    }
}
