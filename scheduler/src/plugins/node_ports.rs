//! A host port is taken once per protocol and address.

use crate::cluster::Cluster;
use crate::framework::{Candidates, Event, Filter, Rejection};
use crate::model::Pod;
use crate::model::pod::HostPort;

/// The plugin.
#[derive(Debug)]
pub(super) struct NodePorts;

impl Filter for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
    }

    fn concerns(&self, _cluster: &Cluster, pod: &Pod) -> bool {
        !pod.host_ports.is_empty()
    }

    fn filter(&self, cluster: &Cluster, pod: &Pod, candidates: &mut Candidates) {
        candidates.retain(self.name(), |node| {
            let taken = &cluster.nodes.ports[node as usize];
            match pod.host_ports.iter().any(|port| taken.iter().any(|other| collide(port, other))) {
                true => Err(Rejection::resolvable("node(s) didn't have free ports for the requested pod ports")),
                false => Ok(()),
            }
        });
    }

    fn is_woken_by(&self, event: &Event) -> bool {
        matches!(event, Event::NodeAdded | Event::PodRemoved)
    }
}

/// The address that means all contains every other.
fn collide(a: &HostPort, b: &HostPort) -> bool {
    let is_all = |address: &str| matches!(address, "" | "0.0.0.0" | "::");
    a.port == b.port && a.protocol == b.protocol && (is_all(&a.address) || is_all(&b.address) || a.address == b.address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builders::{node, pod};
    use crate::plugins::testing::{cluster, rejections};

    #[test]
    fn ports_collide_by_protocol_and_address() {
        let port =
            |protocol: &str, address: &str, port| HostPort { protocol: protocol.into(), address: address.into(), port };
        let table = [
            (port("TCP", "", 80), port("TCP", "10.0.0.1", 80), true),
            (port("TCP", "10.0.0.2", 80), port("TCP", "10.0.0.1", 80), false),
            (port("TCP", "10.0.0.1", 80), port("TCP", "0.0.0.0", 80), true),
            (port("UDP", "", 80), port("TCP", "", 80), false),
            (port("TCP", "", 81), port("TCP", "", 80), false),
        ];
        for (a, b, expected) in table {
            assert_eq!(collide(&a, &b), expected, "{a:?} {b:?}");
        }
    }

    #[test]
    fn a_taken_port_rejects_the_node() {
        let taken = pod("other").host_port(80).on("a").build();
        let cluster = cluster(vec![("a", node().facts()), ("b", node().facts())], vec![taken]);
        let wanted = rejections(&NodePorts, &cluster, &pod("p").host_port(80).build());
        assert_eq!(wanted, ["a: node(s) didn't have free ports for the requested pod ports"]);
        assert!(rejections(&NodePorts, &cluster, &pod("p").host_port(81).build()).is_empty());
    }
}
