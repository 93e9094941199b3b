//! Which part of the cluster's CIDR a node gets.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use k8s_openapi::api::core::v1::Node;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// More subnets than this of one cluster CIDR are not managed (upstream's limit).
const MOST: u64 = 1 << 16;

/// One cluster CIDR, cut into subnets of one size.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    net: IpNet,
    mask: u8,
    taken: BTreeSet<u64>,
    /// Where the search goes on, so that a freed subnet is not given away at once.
    next: u64,
}

/// There is no free subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("CIDR allocation failed; there are no remaining CIDRs left to allocate in the accepted range")]
pub(super) struct Exhausted;

impl Pool {
    /// `None` if the mask does not fit. What overlaps a Service CIDR is never given away.
    pub(super) fn new(net: IpNet, mask: u8, services: &[IpNet]) -> Option<Self> {
        (mask >= net.prefix_len() && mask <= net.max_prefix_len()).then_some(())?;
        let mut pool = Self { net, mask, taken: BTreeSet::new(), next: 0 };
        services.iter().for_each(|service| pool.occupy(*service));
        Some(pool)
    }

    fn count(&self) -> u64 {
        1_u64.checked_shl((self.mask - self.net.prefix_len()).into()).unwrap_or(MOST).min(MOST)
    }

    fn host_bits(&self) -> u32 {
        u32::from(self.net.max_prefix_len() - self.mask)
    }

    fn subnet(&self, index: u64) -> IpNet {
        // Both addresses lie within `net`, whose prefix is checked: the masks fit.
        let offset = u128::from(index).checked_shl(self.host_bits()).unwrap_or(0);
        match self.net.network() {
            IpAddr::V4(base) => {
                let address = u32::from(base).wrapping_add(u32::try_from(offset).unwrap_or(0));
                IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::from(address), self.mask))
            }
            IpAddr::V6(base) => {
                IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from(u128::from(base).wrapping_add(offset)), self.mask))
            }
        }
    }

    fn index(&self, address: IpAddr) -> u64 {
        let bits = |address: IpAddr| match address {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address),
        };
        let offset = bits(address).saturating_sub(bits(self.net.network()));
        let index = offset.checked_shr(self.host_bits()).unwrap_or(0);
        u64::try_from(index).unwrap_or(u64::MAX)
    }

    /// The subnets that `net` overlaps; empty if it lies elsewhere.
    fn overlapped(&self, net: IpNet) -> std::ops::Range<u64> {
        if self.net.contains(&net) {
            return self.index(net.network())..(self.index(net.broadcast()).saturating_add(1)).min(self.count());
        }
        if net.contains(&self.net) { 0..self.count() } else { 0..0 }
    }

    fn occupy(&mut self, net: IpNet) {
        self.taken.extend(self.overlapped(net));
    }

    fn release(&mut self, net: IpNet) {
        for index in self.overlapped(net) {
            self.taken.remove(&index);
        }
    }

    fn allocate(&mut self) -> Result<IpNet, Exhausted> {
        let count = self.count();
        let index =
            (self.next..count).chain(0..self.next).find(|index| !self.taken.contains(index)).ok_or(Exhausted)?;
        self.taken.insert(index);
        self.next = (index + 1) % count;
        Ok(self.subnet(index))
    }
}

/// The pools of all families, in the order of `--cluster-cidr`.
#[derive(Debug)]
pub(super) struct Pools {
    pools: Vec<Pool>,
}

impl Pools {
    pub(super) fn new(pools: Vec<Pool>) -> Self {
        Self { pools }
    }

    /// The node has its CIDRs already: nobody else may get them.
    pub(super) fn take(&mut self, node: &Node) {
        for net in cidrs(node) {
            self.pools.iter_mut().for_each(|pool| pool.occupy(net));
        }
    }

    /// The node is gone.
    pub(super) fn free(&mut self, node: &Node) {
        for net in cidrs(node) {
            self.pools.iter_mut().for_each(|pool| pool.release(net));
        }
    }

    /// What a node without CIDRs gets; nothing if it has some, or is going.
    pub(super) fn assign(&mut self, node: &Node) -> Result<Vec<IpNet>, Exhausted> {
        if !cidrs(node).is_empty() || node.metadata.deletion_timestamp.is_some() {
            return Ok(Vec::new());
        }
        let mut assigned = Vec::new();
        for index in 0..self.pools.len() {
            match self.pools[index].allocate() {
                Ok(net) => assigned.push(net),
                Err(exhausted) => {
                    self.give_back(&assigned);
                    return Err(exhausted);
                }
            }
        }
        Ok(assigned)
    }

    /// An assignment could not be written.
    pub(super) fn give_back(&mut self, nets: &[IpNet]) {
        for net in nets {
            self.pools.iter_mut().for_each(|pool| pool.release(*net));
        }
    }
}

fn cidrs(node: &Node) -> Vec<IpNet> {
    let Some(spec) = &node.spec else { return Vec::new() };
    let all: Vec<&str> = spec.pod_cidrs.iter().flatten().chain(&spec.pod_cidr).map(String::as_str).collect();
    all.into_iter().filter_map(|net| net.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(cidr: Option<&str>) -> Node {
        serde_json::from_value(json!({"metadata": {"name": "n"}, "spec": {"podCIDR": cidr}})).unwrap()
    }

    fn pools(net: &str, mask: u8, services: &[&str]) -> Pools {
        let services: Vec<IpNet> = services.iter().map(|net| net.parse().unwrap()).collect();
        Pools::new(vec![Pool::new(net.parse().unwrap(), mask, &services).unwrap()])
    }

    fn assign(pools: &mut Pools) -> Result<String, Exhausted> {
        pools.assign(&node(None)).map(|nets| nets[0].to_string())
    }

    #[test]
    fn subnets_in_order_until_there_are_none() {
        let mut pools = pools("10.244.0.0/22", 24, &[]);
        pools.take(&node(Some("10.244.1.0/24")));
        let given: Vec<_> = (0..3).map(|_| assign(&mut pools).unwrap()).collect();
        assert_eq!(given, ["10.244.0.0/24", "10.244.2.0/24", "10.244.3.0/24"]);
        assert_eq!(assign(&mut pools), Err(Exhausted));
        pools.free(&node(Some("10.244.1.0/24")));
        assert_eq!(assign(&mut pools).as_deref(), Ok("10.244.1.0/24"));
    }

    #[test]
    fn service_addresses_are_not_given_away() {
        let mut pools = pools("10.0.0.0/22", 24, &["10.0.0.0/23", "192.168.0.0/16"]);
        assert_eq!(assign(&mut pools).as_deref(), Ok("10.0.2.0/24"));
    }

    #[test]
    fn a_node_with_a_cidr_keeps_it() {
        assert!(pools("10.244.0.0/16", 24, &[]).assign(&node(Some("10.244.7.0/24"))).unwrap().is_empty());
    }

    #[test]
    fn version_6_and_masks_that_do_not_fit() {
        let mut pools = pools("fd00:10::/48", 64, &[]);
        assert_eq!(assign(&mut pools).as_deref(), Ok("fd00:10::/64"));
        assert_eq!(assign(&mut pools).as_deref(), Ok("fd00:10:0:1::/64"));
        assert!(Pool::new("10.0.0.0/24".parse().unwrap(), 16, &[]).is_none());
        assert!(Pool::new("10.0.0.0/24".parse().unwrap(), 64, &[]).is_none());
    }
}
