//! This node as the apiserver has it: its addresses, its pods' ranges.
//!
//! Upstream: `pkg/proxy/node.go`, `cmd/kube-proxy/app/server.go`.

use crate::backend::{IpvsSettings, LocalTraffic, NodePorts, Settings};
use crate::config::ProxyConfig;
use crate::model::Family;
use client::Informer;
use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How long the node may take to get addresses. Rules can do without.
const ADDRESSES: Duration = Duration::from_secs(30);
/// How long it may take to get ranges for pods, where they say what is local.
const RANGES: Duration = Duration::from_secs(300);

/// The node does not become what the configuration needs.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// It never came.
    #[error("timeout waiting for node {0:?} to exist")]
    Missing(String),
    /// It got no range.
    #[error("timeout waiting for PodCIDR allocation on node {0:?}")]
    NoRanges(String),
}

/// What is known of the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its addresses, one per family, the primary one first.
    pub addresses: Vec<IpAddr>,
    /// Ranges of its pods.
    pub ranges: Vec<IpNet>,
}

impl Facts {
    /// Reads them from the object. As upstream, internal addresses come before external ones.
    pub fn of(node: &Node) -> Self {
        let all = || node.status.iter().filter_map(|status| status.addresses.as_ref()).flatten();
        let of_type = |wanted: &'static str| {
            all().filter(move |a| a.type_ == wanted).filter_map(|a| a.address.parse::<IpAddr>().ok())
        };
        let mut addresses: Vec<IpAddr> = Vec::new();
        for ip in of_type("InternalIP").chain(of_type("ExternalIP")) {
            if !addresses.iter().any(|known| known.is_ipv4() == ip.is_ipv4()) {
                addresses.push(ip);
            }
        }
        let spec = node.spec.as_ref();
        let ranges = spec.and_then(|spec| spec.pod_cidrs.as_ref()).into_iter().flatten();
        Self { addresses, ranges: ranges.filter_map(|range| range.parse().ok()).collect() }
    }

    /// The family to use where there is only one.
    pub fn primary(&self, bind: IpAddr) -> Family {
        let specified = Some(bind).filter(|ip| !ip.is_unspecified());
        specified.as_ref().or_else(|| self.addresses.first()).map_or(Family::V4, Family::of)
    }

    /// The node's address in a family.
    pub fn address(&self, family: Family, bind: IpAddr) -> Option<IpAddr> {
        let specified = Some(bind).filter(|ip| !ip.is_unspecified());
        specified.iter().chain(&self.addresses).find(|ip| family.has(ip)).copied()
    }
}

/// Waits for the node's addresses, unless `bind` says which one counts, and for its ranges, if they matter.
///
/// Upstream waits for the addresses in any case; a machine that is no node would wait in vain.
pub async fn wait(node: &Informer<Node>, name: &str, bind: IpAddr, config: &ProxyConfig) -> Result<Facts, NodeError> {
    let changed = Arc::new(Notify::new());
    let tell = Arc::clone(&changed);
    node.subscribe(move |_| tell.notify_one());
    let facts = || node.get("", name).map(|node| Facts::of(&node)).unwrap_or_default();
    let until = |time: Duration, test: fn(&Facts) -> bool| {
        let changed = Arc::clone(&changed);
        async move {
            let good = async {
                while !test(&facts()) {
                    changed.notified().await;
                }
            };
            tokio::time::timeout(time, good).await.is_ok()
        }
    };
    if bind.is_unspecified() && !until(ADDRESSES, |facts| !facts.addresses.is_empty()).await {
        tracing::error!(node = name, "timed out waiting for node to exist and to be assigned IPs");
    }
    if config.detect_local_mode == "NodeCIDR" && !until(RANGES, |facts| !facts.ranges.is_empty()).await {
        let name = name.to_owned();
        return Err(if node.get("", &name).is_some() { NodeError::NoRanges(name) } else { NodeError::Missing(name) });
    }
    Ok(facts())
}

/// Ends the daemon when the ranges of the node's pods change, where rules depend on them.
pub fn watch_ranges(node: &Informer<Node>, known: Vec<IpNet>, ended: Arc<Notify>) {
    node.subscribe(move |change| {
        let now = Facts::of(change.object()).ranges;
        if now != known {
            tracing::error!(?now, ?known, "PodCIDRs changed for the node");
            ended.notify_one();
        }
    });
}

/// The settings for rules of one family.
pub fn settings(config: &ProxyConfig, facts: &Facts, family: Family, bind: IpAddr, liberal: bool) -> Settings {
    let of_mode = config.of_mode();
    let node_ports = NodePorts::of(family, &node_port_ranges(config, facts, bind));
    Settings {
        family,
        masquerade_all: of_mode.masquerade_all,
        masquerade_mark: 1 << of_mode.masquerade_bit,
        local: local(config, facts, family),
        localhost_node_ports: config.iptables.localhost_node_ports && node_ports.has_loopback(),
        node_ports,
        drop_invalid: !liberal,
        counters: false,
        node_ip: facts.address(family, bind),
        ipvs: IpvsSettings {
            scheduler: config.ipvs_scheduler().to_owned(),
            exclude: config.ipvs.exclude_cidrs.iter().flatten().filter_map(|range| range.parse().ok()).collect(),
        },
    }
}

fn node_port_ranges(config: &ProxyConfig, facts: &Facts, bind: IpAddr) -> Vec<IpNet> {
    let ranges = config.node_port_addresses.as_deref().unwrap_or_default();
    match ranges {
        [primary] if primary == "primary" => {
            let own = [Family::V4, Family::V6].into_iter().filter_map(|family| facts.address(family, bind));
            own.filter(|ip| !ip.is_loopback()).map(IpNet::from).collect()
        }
        ranges => ranges.iter().filter_map(|range| range.parse().ok()).collect(),
    }
}

fn local(config: &ProxyConfig, facts: &Facts, family: Family) -> LocalTraffic {
    let first = |ranges: Vec<IpNet>| ranges.into_iter().find(|net| family.has(&net.addr()));
    let range = match config.detect_local_mode.as_str() {
        "BridgeInterface" => return LocalTraffic::Bridge(config.detect_local.bridge_interface.clone()),
        "InterfaceNamePrefix" => return LocalTraffic::Prefix(config.detect_local.interface_name_prefix.clone()),
        "NodeCIDR" => first(facts.ranges.clone()),
        _ => first(config.cluster_cidrs().iter().filter_map(|range| range.trim().parse().ok()).collect()),
    };
    range.map_or(LocalTraffic::Unknown, LocalTraffic::Cidr)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn facts() -> Facts {
        let node = json!({"metadata": {"name": "n"}, "spec": {"podCIDRs": ["10.244.3.0/24", "fd00:3::/64"]},
            "status": {"addresses": [{"type": "Hostname", "address": "n"}, {"type": "ExternalIP", "address": "5.6.7.8"},
                {"type": "InternalIP", "address": "10.0.0.3"}, {"type": "InternalIP", "address": "fd01::3"}]}});
        Facts::of(&serde_json::from_value(node).expect("a Node"))
    }

    #[test]
    fn the_nodes_addresses_say_its_primary_family() {
        let (any, own) = (IpAddr::from([0, 0, 0, 0]), "fd01::9".parse().expect("an address"));
        let facts = facts();
        assert_eq!(facts.addresses, ["10.0.0.3", "fd01::3"].map(|ip| ip.parse::<IpAddr>().expect("an address")));
        assert_eq!((facts.primary(any), facts.primary(own)), (Family::V4, Family::V6));
        assert_eq!(facts.address(Family::V6, any), Some("fd01::3".parse().expect("an address")));
        assert_eq!(facts.address(Family::V6, own), Some(own));
        assert_eq!(Facts::default().primary(any), Family::V4);
    }

    #[test]
    fn the_configuration_says_what_is_local() {
        let with = |mode: &str, family| {
            let mut config = ProxyConfig {
                detect_local_mode: mode.into(),
                cluster_cidr: "10.244.0.0/16".into(),
                ..ProxyConfig::default()
            };
            config.detect_local.bridge_interface = "cni0".into();
            config.detect_local.interface_name_prefix = "veth".into();
            local(&config, &facts(), family)
        };
        let cidr = |text: &str| LocalTraffic::Cidr(text.parse().expect("a CIDR"));
        assert_eq!(with("ClusterCIDR", Family::V4), cidr("10.244.0.0/16"));
        assert_eq!(with("ClusterCIDR", Family::V6), LocalTraffic::Unknown);
        assert_eq!(with("NodeCIDR", Family::V6), cidr("fd00:3::/64"));
        assert_eq!(with("BridgeInterface", Family::V6), LocalTraffic::Bridge("cni0".into()));
        assert_eq!(with("InterfaceNamePrefix", Family::V4), LocalTraffic::Prefix("veth".into()));
    }

    #[test]
    fn primary_means_the_nodes_own_addresses() {
        let config = ProxyConfig { node_port_addresses: Some(vec!["primary".into()]), ..ProxyConfig::default() };
        let settings = |family| settings(&config, &facts(), family, IpAddr::from([0, 0, 0, 0]), true);
        let v4 = settings(Family::V4);
        assert_eq!(v4.node_ports, NodePorts::Within(vec!["10.0.0.3/32".parse().expect("a CIDR")]));
        assert!(!v4.localhost_node_ports && !v4.drop_invalid);
        assert_eq!(settings(Family::V6).node_ports, NodePorts::Within(vec!["fd01::3/128".parse().expect("a CIDR")]));
    }
}
