//! The endpoints that a Service's pods make, grouped by address type and ports.

use crate::objects::{pods, serving};
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointHints, EndpointPort, ForNode, ForZone};
use std::net::IpAddr;
use std::sync::Arc;

const ZONE: &str = "topology.kubernetes.io/zone";

/// Endpoints that can share a slice.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Group {
    /// `IPv4` or `IPv6`.
    pub(super) address_type: String,
    pub(super) ports: Vec<EndpointPort>,
    pub(super) endpoints: Vec<Endpoint>,
}

/// A node's zone.
pub(in super::super) fn zone(node: &Node) -> Option<&str> {
    node.metadata.labels.as_ref()?.get(ZONE).map(String::as_str)
}

/// The groups of a Service; each of its address types has one at least, which may be empty.
pub(in super::super) fn desired(
    service: &Service,
    pods: &[Arc<Pod>],
    node: impl Fn(&str) -> Option<Arc<Node>>,
) -> Vec<Group> {
    let mut pods: Vec<_> = pods.iter().filter(|pod| serving::has_endpoint(pod)).collect();
    pods.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    let mut groups = Vec::new();
    for address_type in address_types(service) {
        let first = groups.len();
        for pod in &pods {
            let Some(endpoint) = endpoint(service, pod, address_type, &node) else { continue };
            add(&mut groups, first, address_type, ports(service, pod), endpoint);
        }
        if groups.len() == first {
            groups.push(Group { address_type: address_type.to_owned(), ports: Vec::new(), endpoints: Vec::new() });
        }
    }
    groups
}

fn add(groups: &mut Vec<Group>, first: usize, address_type: &str, ports: Vec<EndpointPort>, endpoint: Endpoint) {
    match groups.iter_mut().skip(first).find(|group| group.ports == ports) {
        Some(group) => group.endpoints.push(endpoint),
        None => groups.push(Group { address_type: address_type.to_owned(), ports, endpoints: vec![endpoint] }),
    }
}

/// The Service's address families; one of before families existed is IPv4 unless its IP says else.
fn address_types(service: &Service) -> Vec<&str> {
    let Some(spec) = &service.spec else { return vec!["IPv4"] };
    let families: Vec<&str> = spec.ip_families.iter().flatten().map(String::as_str).collect();
    match (families.is_empty(), spec.cluster_ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok())) {
        (false, _) => families,
        (true, Some(IpAddr::V6(_))) => vec!["IPv6"],
        (true, _) => vec!["IPv4"],
    }
}

fn ports(service: &Service, pod: &Pod) -> Vec<EndpointPort> {
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    let mut ports: Vec<_> = ports
        .filter_map(|port| {
            Some(EndpointPort {
                name: Some(port.name.clone().unwrap_or_default()),
                port: Some(serving::target_port(pod, port)?),
                protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
                app_protocol: port.app_protocol.clone(),
            })
        })
        .collect();
    ports.dedup();
    ports
}

fn endpoint(
    service: &Service,
    pod: &Pod,
    address_type: &str,
    node: impl Fn(&str) -> Option<Arc<Node>>,
) -> Option<Endpoint> {
    let of_type = |ip: &IpAddr| ip.is_ipv6() == (address_type == "IPv6");
    let addresses: Vec<_> = serving::addresses(pod).iter().filter(|ip| of_type(ip)).map(ToString::to_string).collect();
    if addresses.is_empty() {
        return None;
    }
    let node_name = Some(pods::node(pod)).filter(|name| !name.is_empty());
    let zone = node_name.and_then(node).and_then(|node| zone(&node).map(str::to_owned));
    let (serves, terminates) = (pods::is_ready(pod), pods::is_terminating(pod));
    Some(Endpoint {
        addresses,
        conditions: Some(EndpointConditions {
            // Never ready while terminating, unless the Service asks for everything.
            ready: Some(serving::publishes_unready(service) || (serves && !terminates)),
            serving: Some(serves),
            terminating: Some(terminates),
        }),
        hints: hints(service, zone.as_deref(), node_name, serves && !terminates),
        hostname: serving::hostname(pod, service),
        node_name: node_name.map(str::to_owned),
        target_ref: Some(serving::target(pod)),
        zone,
        deprecated_topology: None,
    })
}

/// `spec.trafficDistribution`: whom the endpoint is meant for.
fn hints(service: &Service, zone: Option<&str>, node: Option<&str>, ready: bool) -> Option<EndpointHints> {
    let distribution = service.spec.as_ref()?.traffic_distribution.as_deref()?;
    if !ready || !matches!(distribution, "PreferClose" | "PreferSameZone" | "PreferSameNode") {
        return None;
    }
    let for_zones = zone.map(|zone| vec![ForZone { name: zone.to_owned() }]);
    let for_nodes = node.filter(|_| distribution == "PreferSameNode");
    let for_nodes = for_nodes.map(|node| vec![ForNode { name: node.to_owned() }]);
    (for_zones.is_some() || for_nodes.is_some()).then_some(EndpointHints { for_zones, for_nodes })
}
