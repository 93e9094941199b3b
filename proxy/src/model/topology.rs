//! Which of a port's endpoints get its traffic on this node.
//!
//! Upstream: `pkg/proxy/topology.go`.

use super::{Endpoint, NodeFacts, Policy, ServicePort};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// The endpoints chosen for a port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// For traffic under the policy `Cluster`.
    pub cluster: Vec<SocketAddr>,
    /// For traffic under the policy `Local`.
    pub local: Vec<SocketAddr>,
    /// Those of both that are on this node: they may reach themselves through their Service.
    pub here: Vec<SocketAddr>,
    /// Whether anybody anywhere could answer: if not, traffic is rejected and not dropped.
    pub has_any: bool,
    /// Addresses on this node that are ready, for the health check port.
    pub local_ready: BTreeSet<IpAddr>,
    /// All that answer, whether they are chosen or not: connections to them go on.
    pub serving: BTreeSet<SocketAddr>,
}

impl Choice {
    /// The endpoints that traffic can reach from this node, each once.
    pub fn reachable(&self) -> impl Iterator<Item = &SocketAddr> {
        self.cluster.iter().chain(self.local.iter().filter(|address| !self.cluster.contains(address)))
    }
}

/// Chooses among all endpoints of a port.
pub fn choose(node: &NodeFacts, port: &ServicePort, endpoints: Vec<Endpoint>) -> Choice {
    let cluster = match uses(port, Policy::Cluster) {
        true => usable(&endpoints, hinted(node, &endpoints)),
        false => Vec::new(),
    };
    let local = match uses(port, Policy::Local) {
        true => usable(&endpoints, |e| e.is_local),
        false => Vec::new(),
    };
    let ready_here = endpoints.iter().filter(|e| e.ready && e.is_local);
    let mut choice = Choice {
        has_any: endpoints.iter().any(|e| e.ready || (e.serving && e.terminating)),
        local_ready: ready_here.map(|e| e.address.ip()).collect(),
        serving: endpoints.iter().filter(|e| e.serving).map(|e| e.address).collect(),
        cluster: cluster.into_iter().map(|e| e.address).collect(),
        local: local.into_iter().map(|e| e.address).collect(),
        here: Vec::new(),
    };
    let here: BTreeSet<_> = endpoints.iter().filter(|e| e.is_local).map(|e| e.address).collect();
    choice.here = choice.reachable().filter(|address| here.contains(address)).copied().collect();
    choice
}

/// Whether some traffic of the port follows this policy. Traffic from this node's pods to an
/// external address of a `Local` port goes anywhere, so that `Cluster` counts there, too.
fn uses(port: &ServicePort, policy: Policy) -> bool {
    port.internal == policy || port.is_external() && (policy == Policy::Cluster || port.external == policy)
}

/// The ready endpoints that pass; if there are none, those that still answer while they end. The
/// latter are taken wherever they are hinted for, but only from this node if the test is about that.
fn usable(endpoints: &[Endpoint], test: impl Fn(&Endpoint) -> bool) -> Vec<&Endpoint> {
    let ready: Vec<_> = endpoints.iter().filter(|e| e.ready && test(e)).collect();
    match ready.is_empty() {
        true => endpoints.iter().filter(|e| e.serving && e.terminating && test(e)).collect(),
        false => ready,
    }
}

/// A test for the endpoints hinted for this node, or else this zone, if every ready endpoint carries
/// such a hint and one is for us; otherwise all pass.
fn hinted<'a>(node: &'a NodeFacts, endpoints: &[Endpoint]) -> impl Fn(&Endpoint) -> bool + use<'a> {
    let ours = |hints: fn(&Endpoint) -> &Vec<String>, wanted: &String| {
        let mut ready = endpoints.iter().filter(|e| e.ready).peekable();
        let hints_all = ready.peek().is_some() && ready.clone().all(|e| !hints(e).is_empty());
        !wanted.is_empty() && hints_all && ready.any(|e| hints(e).contains(wanted))
    };
    let by_node = ours(|e| &e.nodes, &node.name);
    let by_zone = !by_node && ours(|e| &e.zones, &node.zone);
    move |endpoint| match (by_node, by_zone) {
        (true, _) => endpoint.nodes.contains(&node.name),
        (false, true) => endpoint.zones.contains(&node.zone),
        (false, false) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Family, service_ports};
    use serde_json::json;

    fn port(spec: serde_json::Value) -> ServicePort {
        let service = serde_json::from_value(json!({"metadata": {"name": "s", "namespace": "n"}, "spec": spec}))
            .expect("a Service");
        service_ports(Family::V4, &service).remove(0)
    }

    fn endpoint(last: u8, state: &str) -> Endpoint {
        Endpoint {
            address: SocketAddr::from(([10, 0, 0, last], 80)),
            is_local: state.contains("local"),
            ready: state.contains("ready"),
            serving: state.contains("ready") || state.contains("serving"),
            terminating: state.contains("terminating"),
            zones: state.split(' ').filter_map(|w| w.strip_prefix("zone=")).map(str::to_owned).collect(),
            nodes: state.split(' ').filter_map(|w| w.strip_prefix("node=")).map(str::to_owned).collect(),
        }
    }

    fn last(addresses: &[SocketAddr]) -> Vec<u8> {
        addresses.iter().map(|a| if let std::net::IpAddr::V4(ip) = a.ip() { ip.octets()[3] } else { 0 }).collect()
    }

    #[test]
    fn chooses_endpoints() {
        let cluster = json!({"clusterIP": "10.96.0.1", "ports": [{"port": 80}]});
        let internal_local =
            json!({"clusterIP": "10.96.0.1", "internalTrafficPolicy": "Local", "ports": [{"port": 80}]});
        let external_local = json!({"clusterIP": "10.96.0.1", "externalTrafficPolicy": "Local", "ports": [{"port": 80, "nodePort": 30000}]});
        let node = NodeFacts { name: "n1".into(), zone: "a".into() };
        let cases: [(&serde_json::Value, &[&str], &[u8], &[u8]); 11] = [
            (&cluster, &["ready", "ready local"], &[0, 1], &[]),
            (&cluster, &["", "ready"], &[1], &[]),
            (&cluster, &["serving terminating", ""], &[0], &[]),
            (&cluster, &["serving terminating", "ready"], &[1], &[]),
            (&internal_local, &["ready", "ready local"], &[], &[1]),
            (&external_local, &["ready", "local serving terminating"], &[0], &[1]),
            (&cluster, &["ready zone=a", "ready zone=b"], &[0], &[]),
            (&cluster, &["ready zone=a", "ready"], &[0, 1], &[]),
            // Only ready endpoints say whether hints count, and without any nobody is hinted.
            (&cluster, &["ready zone=a", "serving terminating", "ready zone=b"], &[0], &[]),
            (&cluster, &["serving terminating zone=a", "serving terminating zone=b"], &[0, 1], &[]),
            (&cluster, &["ready zone=b", "ready zone=c"], &[0, 1], &[]),
        ];
        for (spec, states, want_cluster, want_local) in cases {
            let endpoints = states.iter().zip(0..).map(|(s, i)| endpoint(i, s)).collect();
            let choice = choose(&node, &port(spec.clone()), endpoints);
            assert_eq!(
                (last(&choice.cluster), last(&choice.local)),
                (want_cluster.to_vec(), want_local.to_vec()),
                "{spec} {states:?}"
            );
        }
    }

    #[test]
    fn node_hints_come_before_zone_hints() {
        let node = NodeFacts { name: "n1".into(), zone: "a".into() };
        let endpoints = vec![endpoint(0, "ready zone=a node=n2"), endpoint(1, "ready zone=a node=n1")];
        let port = port(json!({"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}));
        assert_eq!(last(&choose(&node, &port, endpoints).cluster), [1]);
    }

    #[test]
    fn endpoints_on_this_node_are_known() {
        let node = NodeFacts { name: "n1".into(), zone: String::new() };
        let endpoints = vec![endpoint(0, "ready local"), endpoint(1, "ready"), endpoint(2, "local serving")];
        let port = port(json!({"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}));
        let choice = choose(&node, &port, endpoints);
        assert_eq!(last(&choice.here), [0]);
        assert_eq!(choice.local_ready, BTreeSet::from([IpAddr::from([10, 0, 0, 0])]));
        assert_eq!(choice.serving.len(), 3);
    }

    #[test]
    fn nobody_at_all_is_known() {
        let port = port(json!({"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}));
        assert!(!choose(&NodeFacts::default(), &port, vec![endpoint(0, "")]).has_any);
        assert!(choose(&NodeFacts::default(), &port, vec![endpoint(0, "ready")]).has_any);
    }
}
