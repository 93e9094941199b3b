//! Connections that outlive their endpoints: UDP flows keep going to an address that is gone
//! until their entry is removed. Everybody else's entries are left alone.
//!
//! Upstream: `pkg/proxy/conntrack`.

use crate::model::{Plan, PortPlan, Protocol};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use tokio::process::Command;

/// An entry, or a set of entries, to remove.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stale {
    /// Flows to this virtual address that were sent to this endpoint.
    ToEndpoint {
        /// The virtual address.
        virtual_ip: std::net::IpAddr,
        /// The endpoint.
        endpoint: SocketAddr,
    },
    /// Flows to this node port that were sent to this endpoint.
    NodePortToEndpoint {
        /// The node port.
        port: u16,
        /// The endpoint.
        endpoint: SocketAddr,
    },
    /// Flows to this virtual address that were sent nowhere, because nobody answered then.
    Nowhere {
        /// The virtual address and port.
        address: SocketAddr,
    },
}

/// What becomes stale when one plan replaces another.
pub fn stale(before: &Plan, after: &Plan) -> BTreeSet<Stale> {
    let by_name: BTreeMap<_, _> = after.ports.iter().map(|p| (&p.service.name, p)).collect();
    let earlier: BTreeMap<_, _> = before.ports.iter().map(|p| (&p.service.name, p)).collect();
    let mut stale = BTreeSet::new();
    for old in before.ports.iter().filter(is_udp) {
        let still: BTreeSet<_> = by_name.get(&old.service.name).map(|p| endpoints(p).collect()).unwrap_or_default();
        for endpoint in endpoints(old).filter(|e| !still.contains(e)) {
            for ip in addresses(old) {
                stale.insert(Stale::ToEndpoint { virtual_ip: ip, endpoint });
            }
            stale.extend(old.service.node_port.map(|port| Stale::NodePortToEndpoint { port, endpoint }));
        }
    }
    for new in after.ports.iter().filter(is_udp).filter(|p| endpoints(p).next().is_some()) {
        let answered = earlier.get(&new.service.name).is_some_and(|p| endpoints(p).next().is_some());
        if !answered {
            stale.extend(addresses(new).map(|ip| Stale::Nowhere { address: SocketAddr::new(ip, new.service.port) }));
        }
    }
    stale
}

fn is_udp(plan: &&PortPlan) -> bool {
    plan.service.name.protocol == Protocol::Udp
}

fn endpoints(plan: &PortPlan) -> impl Iterator<Item = SocketAddr> {
    plan.choice.cluster.iter().chain(&plan.choice.local).copied()
}

fn addresses(plan: &PortPlan) -> impl Iterator<Item = std::net::IpAddr> {
    std::iter::once(plan.service.cluster_ip).chain(plan.service.external_ips.iter().copied())
}

/// Removes entries. That there are none is no failure; that the tool is missing is told once.
pub async fn remove(stale: &BTreeSet<Stale>) {
    for entry in stale {
        let arguments = arguments(entry);
        match Command::new("conntrack").args(&arguments).output().await {
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot run conntrack: UDP flows to endpoints that are gone live until they time out");
                return;
            }
        }
    }
}

fn arguments(entry: &Stale) -> Vec<String> {
    let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    match entry {
        Stale::ToEndpoint { virtual_ip, endpoint } => {
            words(&["-D", "-p", "udp", "--orig-dst", &virtual_ip.to_string(), "--dst-nat", &endpoint.ip().to_string()])
        }
        Stale::NodePortToEndpoint { port, endpoint } => {
            words(&["-D", "-p", "udp", "--orig-port-dst", &port.to_string(), "--dst-nat", &endpoint.ip().to_string()])
        }
        Stale::Nowhere { address } => words(&[
            "-D",
            "-p",
            "udp",
            "--orig-dst",
            &address.ip().to_string(),
            "--orig-port-dst",
            &address.port().to_string(),
        ]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Choice, Family, service_ports};
    use serde_json::json;

    fn plan(protocol: &str, endpoints: &[&str]) -> Plan {
        let service = serde_json::from_value(json!({"metadata": {"name": "s", "namespace": "n"},
            "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 53, "protocol": protocol}]}}))
        .expect("a Service");
        let service = service_ports(Family::V4, &service).remove(0);
        let cluster = endpoints.iter().map(|e| e.parse().expect("an address")).collect();
        Plan { ports: vec![PortPlan { service, choice: Choice { cluster, ..Choice::default() } }] }
    }

    #[test]
    fn only_udp_flows_to_endpoints_that_are_gone() {
        let (one, two) = ("10.0.0.1:53", "10.0.0.2:53");
        let gone = stale(&plan("UDP", &[one, two]), &plan("UDP", &[two]));
        let endpoint = one.parse().expect("an address");
        assert_eq!(gone, BTreeSet::from([Stale::ToEndpoint { virtual_ip: [10, 96, 0, 1].into(), endpoint }]));
        assert!(stale(&plan("TCP", &[one]), &plan("TCP", &[])).is_empty());
        assert!(stale(&plan("UDP", &[one]), &plan("UDP", &[one, two])).is_empty());
    }

    #[test]
    fn flows_that_went_nowhere_start_anew() {
        let found = stale(&plan("UDP", &[]), &plan("UDP", &["10.0.0.1:53"]));
        assert_eq!(found, BTreeSet::from([Stale::Nowhere { address: "10.96.0.1:53".parse().expect("an address") }]));
    }

    #[test]
    fn a_service_that_is_gone_takes_its_flows_along() {
        let found = stale(&plan("UDP", &["10.0.0.1:53"]), &Plan::default());
        assert_eq!(found.len(), 1);
        let words = arguments(found.first().expect("one")).join(" ");
        assert_eq!(words, "-D -p udp --orig-dst 10.96.0.1 --dst-nat 10.0.0.1");
    }
}
