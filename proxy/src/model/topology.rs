//! Which of a port's endpoints get its traffic on this node.
//!
//! Upstream: `pkg/proxy/topology.go`.

use super::{Endpoint, NodeFacts, Policy, ServicePort};
use std::net::SocketAddr;

/// The endpoints chosen for a port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// For traffic under the policy `Cluster`.
    pub cluster: Vec<SocketAddr>,
    /// For traffic under the policy `Local`.
    pub local: Vec<SocketAddr>,
    /// Whether anybody anywhere could answer: if not, traffic is rejected and not dropped.
    pub has_any: bool,
    /// Endpoints on this node that are ready, for the health check port.
    pub local_ready: usize,
}

/// Chooses among all endpoints of a port.
pub fn choose(node: &NodeFacts, port: &ServicePort, endpoints: Vec<Endpoint>) -> Choice {
    let cluster = match uses(port, Policy::Cluster) {
        true => hinted(node, usable(&endpoints, |_| true)),
        false => Vec::new(),
    };
    let local = match uses(port, Policy::Local) {
        true => usable(&endpoints, |e| e.is_local),
        false => Vec::new(),
    };
    Choice {
        has_any: endpoints.iter().any(|e| e.ready || (e.serving && e.terminating)),
        local_ready: endpoints.iter().filter(|e| e.ready && e.is_local).count(),
        cluster: addresses(cluster),
        local: addresses(local),
    }
}

fn addresses(endpoints: Vec<&Endpoint>) -> Vec<SocketAddr> {
    endpoints.into_iter().map(|e| e.address).collect()
}

/// Whether some traffic of the port follows this policy. Traffic from this node's pods to an
/// external address of a `Local` port goes anywhere, so that `Cluster` counts there, too.
fn uses(port: &ServicePort, policy: Policy) -> bool {
    let is_external = port.node_port.is_some() || !port.external_ips.is_empty();
    port.internal == policy || is_external && (policy == Policy::Cluster || port.external == policy)
}

/// The ready endpoints; if there are none, those that still answer while they end.
fn usable(endpoints: &[Endpoint], test: impl Fn(&Endpoint) -> bool) -> Vec<&Endpoint> {
    let ready: Vec<_> = endpoints.iter().filter(|e| e.ready && test(e)).collect();
    match ready.is_empty() {
        true => endpoints.iter().filter(|e| e.serving && e.terminating && test(e)).collect(),
        false => ready,
    }
}

/// The endpoints hinted for this node, or else this zone, if every endpoint carries such a hint
/// and one is for us; otherwise all.
fn hinted<'a>(node: &NodeFacts, endpoints: Vec<&'a Endpoint>) -> Vec<&'a Endpoint> {
    let by_node = subset(&endpoints, |e| &e.nodes, &node.name);
    by_node.or_else(|| subset(&endpoints, |e| &e.zones, &node.zone)).unwrap_or(endpoints)
}

fn subset<'a>(
    endpoints: &[&'a Endpoint],
    hints: impl Fn(&Endpoint) -> &Vec<String>,
    wanted: &String,
) -> Option<Vec<&'a Endpoint>> {
    if wanted.is_empty() || endpoints.iter().any(|e| hints(e).is_empty()) {
        return None;
    }
    let ours: Vec<_> = endpoints.iter().filter(|e| hints(e).contains(wanted)).copied().collect();
    (!ours.is_empty()).then_some(ours)
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
        let cases: [(&serde_json::Value, &[&str], &[u8], &[u8]); 8] = [
            (&cluster, &["ready", "ready local"], &[0, 1], &[]),
            (&cluster, &["", "ready"], &[1], &[]),
            (&cluster, &["serving terminating", ""], &[0], &[]),
            (&cluster, &["serving terminating", "ready"], &[1], &[]),
            (&internal_local, &["ready", "ready local"], &[], &[1]),
            (&external_local, &["ready", "local serving terminating"], &[0], &[1]),
            (&cluster, &["ready zone=a", "ready zone=b"], &[0], &[]),
            (&cluster, &["ready zone=a", "ready"], &[0, 1], &[]),
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
    fn nobody_at_all_is_known() {
        let port = port(json!({"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}));
        assert!(!choose(&NodeFacts::default(), &port, vec![endpoint(0, "")]).has_any);
        assert!(choose(&NodeFacts::default(), &port, vec![endpoint(0, "ready")]).has_any);
    }
}
