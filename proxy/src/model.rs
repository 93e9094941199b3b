//! What traffic should go where: a pure function of Services, EndpointSlices and this node.
//!
//! Upstream: `pkg/proxy/{serviceport,endpointslicecache,topology}.go`.

mod endpoints;
mod services;
mod topology;

pub use endpoints::{Endpoint, endpoints_of};
pub use services::service_ports;
pub use topology::{Choice, choose};

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// An address family; each has rules of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Whether the address is of this family.
    pub fn has(self, ip: &IpAddr) -> bool {
        ip.is_ipv4() == (self == Family::V4)
    }
}

/// A transport protocol that Services can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

impl Protocol {
    /// The name that rules use: `tcp`.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        }
    }

    /// From the API's `TCP`; TCP if absent.
    pub fn parse(text: Option<&str>) -> Option<Self> {
        match text.unwrap_or("TCP") {
            "TCP" => Some(Protocol::Tcp),
            "UDP" => Some(Protocol::Udp),
            "SCTP" => Some(Protocol::Sctp),
            _ => None,
        }
    }
}

/// The name of one port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortName {
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service.
    pub service: String,
    /// Name of the port; empty if it has none.
    pub port: String,
    /// Protocol, which tells ports of equal name apart.
    pub protocol: Protocol,
}

impl fmt::Display for PortName {
    /// `namespace/service:port`, as rule comments have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.service)?;
        if !self.port.is_empty() {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

/// Who may answer traffic of one kind (`internalTrafficPolicy`, `externalTrafficPolicy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Any endpoint.
    Cluster,
    /// Endpoints on this node only.
    Local,
}

/// One port of a Service in one address family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Its name.
    pub name: PortName,
    /// The virtual address.
    pub cluster_ip: IpAddr,
    /// The virtual port.
    pub port: u16,
    /// The port on every node, if any.
    pub node_port: Option<u16>,
    /// `spec.externalIPs` and the addresses of load balancers.
    pub external_ips: Vec<IpAddr>,
    /// Addresses of load balancers, which `source_ranges` protect.
    pub balancer_ips: Vec<IpAddr>,
    /// `spec.loadBalancerSourceRanges`; empty allows everybody.
    pub source_ranges: Vec<String>,
    /// Seconds that a client sticks to an endpoint (`sessionAffinity: ClientIP`).
    pub affinity_seconds: Option<u32>,
    /// Who answers traffic to the cluster IP.
    pub internal: Policy,
    /// Who answers traffic from outside.
    pub external: Policy,
    /// Port for load balancers to ask whether this node has endpoints.
    pub health_check_port: Option<u16>,
}

/// What the proxy knows of the node it runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// Node name.
    pub name: String,
    /// `topology.kubernetes.io/zone`, empty if unset.
    pub zone: String,
}

/// A port with the endpoints that its traffic goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortPlan {
    /// The port.
    pub service: ServicePort,
    /// Who answers.
    pub choice: Choice,
}

/// Everything the rules of one family say, in a stable order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// All ports, by name.
    pub ports: Vec<PortPlan>,
}

/// Works out the plan of one family. `slices_of` gives a Service's EndpointSlices.
pub fn plan<'a>(
    family: Family,
    node: &NodeFacts,
    services: impl Iterator<Item = &'a Service>,
    slices_of: impl Fn(&Service) -> Vec<Arc<EndpointSlice>>,
) -> Plan {
    let mut ports = BTreeMap::new();
    for service in services {
        let wanted = service_ports(family, service);
        if wanted.is_empty() {
            continue;
        }
        let slices = slices_of(service);
        for port in wanted {
            let endpoints = endpoints_of(family, node, &port.name, &slices);
            let choice = choose(node, &port, endpoints);
            ports.insert(port.name.clone(), PortPlan { service: port, choice });
        }
    }
    Plan { ports: ports.into_values().collect() }
}
