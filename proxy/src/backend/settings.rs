//! What rules depend on beyond the plan.

use crate::model::Family;
use ipnet::IpNet;
use std::net::IpAddr;

/// What the rules of one family depend on beyond the plan, from `KubeProxyConfiguration` and the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The family of the rules.
    pub family: Family,
    /// `masqueradeAll`.
    pub masquerade_all: bool,
    /// The packet mark `1 << masqueradeBit`.
    pub masquerade_mark: u32,
    /// How traffic from this node's pods is told apart.
    pub local: LocalTraffic,
    /// Where node ports answer.
    pub node_ports: NodePorts,
    /// `iptables.localhostNodePorts`.
    pub localhost_node_ports: bool,
    /// Drop packets that conntrack calls invalid.
    pub drop_invalid: bool,
    /// Packets can be counted by name (iptables).
    pub counters: bool,
    /// The node's address, if it is known.
    pub node_ip: Option<IpAddr>,
    /// What only ipvs needs.
    pub ipvs: IpvsSettings,
}

/// What only ipvs needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpvsSettings {
    /// How endpoints are chosen.
    pub scheduler: String,
    /// Virtual servers in these ranges are somebody else's.
    pub exclude: Vec<IpNet>,
}

impl Default for IpvsSettings {
    fn default() -> Self {
        Self { scheduler: "rr".to_owned(), exclude: Vec::new() }
    }
}

/// How traffic from this node's pods is told apart (`detectLocalMode`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LocalTraffic {
    /// Not at all.
    #[default]
    Unknown,
    /// By its source address.
    Cidr(IpNet),
    /// By the bridge that it comes from.
    Bridge(String),
    /// By how the name of the interface that it comes from begins.
    Prefix(String),
}

/// The addresses that node ports answer on (`nodePortAddresses`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NodePorts {
    /// All of this node.
    #[default]
    Everywhere,
    /// Those of this node in these ranges.
    Within(Vec<IpNet>),
}

impl NodePorts {
    /// Of the configured ranges those of one family; none of this family, or one with everything, is
    /// no restriction.
    pub fn of(family: Family, ranges: &[IpNet]) -> Self {
        let own: Vec<_> = ranges.iter().filter(|net| family.has(&net.addr())).map(IpNet::trunc).collect();
        match own.is_empty() || own.iter().any(|net| net.prefix_len() == 0) {
            true => Self::Everywhere,
            false => Self::Within(own),
        }
    }

    /// Whether `127.0.0.1` is among the addresses.
    pub fn has_loopback(&self) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Within(ranges) => ranges.iter().any(|net| net.contains(&IpAddr::from([127, 0, 0, 1]))),
        }
    }

    /// Of the node's addresses those that node ports answer on; `None` is all of them.
    pub fn select(&self, node: impl FnOnce() -> Vec<IpAddr>) -> Option<Vec<IpAddr>> {
        match self {
            Self::Everywhere => None,
            Self::Within(ranges) => {
                Some(node().into_iter().filter(|ip| ranges.iter().any(|net| net.contains(ip))).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_select_addresses_of_their_family() {
        let ranges: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].iter().filter_map(|r| r.parse().ok()).collect();
        let node = || ["10.1.2.3", "192.168.0.1"].iter().filter_map(|ip| ip.parse().ok()).collect::<Vec<IpAddr>>();
        let v4 = NodePorts::of(Family::V4, &ranges);
        assert_eq!(v4.select(node), Some(vec![IpAddr::from([10, 1, 2, 3])]));
        assert!(!v4.has_loopback());
        assert_eq!(NodePorts::of(Family::V6, &ranges[..1]).select(node), None);
        assert_eq!(NodePorts::of(Family::V4, &["0.0.0.0/0".parse().expect("a CIDR")]), NodePorts::Everywhere);
    }
}
