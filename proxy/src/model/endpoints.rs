//! Endpoints of a port, joined from the EndpointSlices of its Service.

use super::{Family, NodeFacts, PortName, Protocol};
use k8s_openapi::api::discovery::v1::{self as discovery, EndpointSlice};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// One address that may answer a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Address and target port.
    pub address: SocketAddr,
    /// On this node.
    pub is_local: bool,
    /// Takes new connections.
    pub ready: bool,
    /// Answers, though it may be about to end.
    pub serving: bool,
    /// Is about to end.
    pub terminating: bool,
    /// Zones that should use it; empty gives no hint.
    pub zones: Vec<String>,
    /// Nodes that should use it; empty gives no hint.
    pub nodes: Vec<String>,
}

/// The endpoints of a port, each address once, in address order.
pub fn endpoints_of(family: Family, node: &NodeFacts, port: &PortName, slices: &[Arc<EndpointSlice>]) -> Vec<Endpoint> {
    let mut found = BTreeMap::new();
    for slice in slices.iter().filter(|s| s.metadata.deletion_timestamp.is_none()) {
        let Some(number) = target_port(slice, port) else { continue };
        for endpoint in slice.endpoints.iter().flatten() {
            let ips = endpoint.addresses.first().and_then(|a| a.parse::<IpAddr>().ok());
            for ip in ips.into_iter().filter(|ip| family.has(ip)) {
                let address = SocketAddr::new(ip, number);
                let new = read(endpoint, address, node);
                // An address can stand in two slices while it is moved, and a new pod can have that
                // of one that is about to end: the one that goes on counts.
                if !new.terminating || !found.contains_key(&address) {
                    found.insert(address, new);
                }
            }
        }
    }
    found.into_values().collect()
}

fn target_port(slice: &EndpointSlice, name: &PortName) -> Option<u16> {
    let ports = slice.ports.iter().flatten();
    let mut named = ports.filter(|p| p.name.as_deref().unwrap_or_default() == name.port);
    let port = named.find(|p| Protocol::parse(p.protocol.as_deref()) == Some(name.protocol))?;
    u16::try_from(port.port?).ok().filter(|n| *n != 0)
}

fn read(endpoint: &discovery::Endpoint, address: SocketAddr, node: &NodeFacts) -> Endpoint {
    let conditions = endpoint.conditions.clone().unwrap_or_default();
    // Absent conditions count as upstream documents them: ready and serving, not terminating.
    let hints = endpoint.hints.as_ref();
    Endpoint {
        address,
        is_local: !node.name.is_empty() && endpoint.node_name.as_deref() == Some(node.name.as_str()),
        ready: conditions.ready.unwrap_or(true),
        serving: conditions.serving.unwrap_or(true),
        terminating: conditions.terminating.unwrap_or(false),
        zones: hints.and_then(|h| h.for_zones.as_ref()).into_iter().flatten().map(|z| z.name.clone()).collect(),
        nodes: hints.and_then(|h| h.for_nodes.as_ref()).into_iter().flatten().map(|n| n.name.clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn slice(value: serde_json::Value) -> Arc<EndpointSlice> {
        Arc::new(serde_json::from_value(value).expect("an EndpointSlice"))
    }

    fn name(port: &str) -> PortName {
        PortName { namespace: "ns".into(), service: "svc".into(), port: port.into(), protocol: Protocol::Tcp }
    }

    #[test]
    fn joins_slices_by_port_name_and_address() {
        let one = slice(json!({"addressType": "IPv4", "ports": [{"name": "http", "port": 8080}],
            "endpoints": [{"addresses": ["10.0.0.2"], "nodeName": "n1"}, {"addresses": ["10.0.0.1"], "conditions": {"ready": false, "serving": true, "terminating": true}}]}));
        let two =
            slice(json!({"addressType": "IPv4", "ports": [{"name": "http", "port": 8080}, {"name": "x", "port": 1}],
            "endpoints": [{"addresses": ["10.0.0.1"]}]}));
        let node = NodeFacts { name: "n1".into(), zone: String::new() };
        let found = endpoints_of(Family::V4, &node, &name("http"), &[one, two]);
        let seen: Vec<_> = found.iter().map(|e| (e.address.to_string(), e.is_local, e.ready)).collect();
        assert_eq!(seen, [("10.0.0.1:8080".into(), false, true), ("10.0.0.2:8080".into(), true, true)]);
    }

    #[test]
    fn ignores_other_ports_and_families() {
        let one = slice(
            json!({"addressType": "IPv4", "ports": [{"name": "http", "port": 80, "protocol": "UDP"}], "endpoints": [{"addresses": ["10.0.0.2"]}]}),
        );
        let node = NodeFacts::default();
        assert!(endpoints_of(Family::V4, &node, &name("http"), std::slice::from_ref(&one)).is_empty());
        assert!(endpoints_of(Family::V4, &node, &name("other"), std::slice::from_ref(&one)).is_empty());
        let udp = PortName { protocol: Protocol::Udp, ..name("http") };
        assert!(endpoints_of(Family::V6, &node, &udp, std::slice::from_ref(&one)).is_empty());
        assert_eq!(endpoints_of(Family::V4, &node, &udp, &[one]).len(), 1);
    }
}
