//! `reservedMemory`: what the system keeps of each NUMA node.
//!
//! Upstream: `getSystemReservedMemory` of `pkg/kubelet/cm/memorymanager/memory_manager.go`.

use super::demand::{Bytes, is_memory};
use super::machine::MEMORY;
use crate::placement::numa::Node;
use crate::resources::Amount;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is kept of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct MemoryReservation {
    pub numa_node: i32,
    /// By resource.
    pub limits: BTreeMap<String, String>,
}

/// A reservation that does not fit the machine or the rest of the configuration; worded as upstream does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReservedError {
    #[error("the reserved memory configuration references a NUMA node {0} that does not exist on this machine")]
    NoNode(i32),
    #[error(
        "the total amount {total:?} of type {resource:?} is not equal to the value {node:?} determined by Node Allocatable feature"
    )]
    Total { total: String, resource: String, node: String },
    #[error("[memorymanager] you should specify the system reserved memory")]
    Nothing,
    #[error("could not covert a variable of type Quantity to int64")]
    Quantity,
}

/// The bytes that are reserved of each node. `node` is what is not allocatable of the whole machine.
///
/// # Errors
/// A node is not there, the sums differ, or nothing is reserved.
pub fn by_node(
    nodes: &[Node],
    node: &BTreeMap<String, Amount>,
    reserved: &[MemoryReservation],
) -> Result<BTreeMap<usize, Bytes>, ReservedError> {
    let mut out: BTreeMap<usize, Bytes> = nodes.iter().map(|node| (node.id, Bytes::new())).collect();
    let mut totals: BTreeMap<String, Amount> = BTreeMap::new();
    for reservation in reserved {
        let id = usize::try_from(reservation.numa_node).ok();
        let Some(of) = id.and_then(|id| out.get_mut(&id)) else {
            return Err(ReservedError::NoNode(reservation.numa_node));
        };
        for (resource, text) in &reservation.limits {
            let amount = Amount::parse(text).ok_or(ReservedError::Quantity)?;
            let total = totals.entry(resource.clone()).or_default();
            *total = *total + amount;
            of.insert(resource.clone(), u64::try_from(amount.value()).map_err(|_| ReservedError::Quantity)?);
        }
    }
    let names = totals.keys().chain(node.keys().filter(|name| is_memory(name)));
    for resource in names {
        let of = |map: &BTreeMap<String, Amount>| map.get(resource).copied().unwrap_or_default();
        let (total, node) = (of(&totals), of(node));
        if total != node {
            let text = |amount: Amount| amount.value().to_string();
            return Err(ReservedError::Total { total: text(total), resource: resource.clone(), node: text(node) });
        }
    }
    let memory = out.values().filter_map(|of| of.get(MEMORY)).any(|bytes| *bytes > 0);
    if memory { Ok(out) } else { Err(ReservedError::Nothing) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_have_to_be_those_of_the_node() {
        let nodes = [0, 1].map(|id| Node { id, ..Node::default() });
        let memory =
            |bytes| BTreeMap::from([("memory".to_owned(), Amount::whole(bytes)), ("cpu".to_owned(), Amount::whole(1))]);
        let of = |numa_node, bytes: &str| MemoryReservation {
            numa_node,
            limits: [("memory".to_owned(), bytes.to_owned())].into(),
        };
        let both = [of(0, "1Ki"), of(1, "24")];
        let got = by_node(&nodes, &memory(1048), &both).unwrap();
        assert_eq!([got[&0]["memory"], got[&1]["memory"]], [1024, 24]);
        let refusal =
            |bytes, reserved: &[MemoryReservation]| by_node(&nodes, &memory(bytes), reserved).unwrap_err().to_string();
        assert_eq!(
            refusal(1000, &both),
            "the total amount \"1048\" of type \"memory\" is not equal to the value \"1000\" determined by Node Allocatable feature"
        );
        let none = "the reserved memory configuration references a NUMA node 2 that does not exist on this machine";
        assert_eq!(refusal(0, &[of(2, "1")]), none);
        assert_eq!(refusal(0, &[]), "[memorymanager] you should specify the system reserved memory");
    }
}
