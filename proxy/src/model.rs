//! What traffic should go where: a pure function of Services, EndpointSlices and this node.
//!
//! Upstream: `pkg/proxy/{serviceport,endpointslicecache,topology}.go`.

mod endpoints;
mod planner;
mod services;
mod topology;

pub use endpoints::{Endpoint, endpoints_of};
pub use planner::Planner;
pub use services::service_ports;
pub use topology::{Choice, choose};

use ipnet::IpNet;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use std::cmp::Ordering;
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
    /// The name that metrics and health answers use: `IPv4`.
    pub fn as_str(self) -> &'static str {
        match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        }
    }

    /// The family of an address.
    pub fn of(ip: &IpAddr) -> Self {
        if ip.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Family::V4 => Family::V6,
            Family::V6 => Family::V4,
        }
    }

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
    /// `spec.externalIPs`.
    pub external_ips: Vec<IpAddr>,
    /// Addresses of load balancers, which `source_ranges` protect.
    pub balancer_ips: Vec<IpAddr>,
    /// `spec.loadBalancerSourceRanges`; empty allows everybody.
    pub source_ranges: Vec<IpNet>,
    /// Seconds that a client sticks to an endpoint (`sessionAffinity: ClientIP`).
    pub affinity_seconds: Option<u32>,
    /// Who answers traffic to the cluster IP.
    pub internal: Policy,
    /// Who answers traffic from outside.
    pub external: Policy,
    /// Port for load balancers to ask whether this node has endpoints.
    pub health_check_port: Option<u16>,
}

impl ServicePort {
    /// Whether the port can be reached by another way than its cluster IP.
    pub fn is_external(&self) -> bool {
        self.node_port.is_some() || !self.external_ips.is_empty() || !self.balancer_ips.is_empty()
    }

    /// All addresses that belong to the port: the cluster IP, external ones, load balancers'.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        std::iter::once(self.cluster_ip)
            .chain(self.external_ips.iter().copied())
            .chain(self.balancer_ips.iter().copied())
    }

    /// Whether only some sources may reach the load balancers' addresses.
    pub fn is_guarded(&self) -> bool {
        !self.balancer_ips.is_empty() && !self.source_ranges.is_empty()
    }

    /// Who may reach the load balancers' addresses, on a node with this address. Where a balancer's
    /// address is one of the node's own, the node asks with that address as its source.
    pub fn allowed_sources(&self, node: Option<IpAddr>) -> Vec<IpNet> {
        let mut allowed = self.source_ranges.clone();
        if node.is_some_and(|ip| self.source_ranges.iter().any(|net| net.contains(&ip))) {
            allowed.extend(self.balancer_ips.iter().map(|ip| IpNet::from(*ip)));
        }
        allowed
    }
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

/// What becomes of traffic of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes to an endpoint, under this policy.
    Served(Policy),
    /// Dropped: only nodes with endpoints answer, and this one has none. A balancer may try elsewhere.
    Dropped,
    /// Rejected: nobody anywhere can answer.
    Rejected,
}

impl PortPlan {
    /// What becomes of traffic to the cluster IP.
    pub fn internal(&self) -> Fate {
        self.fate(self.service.internal)
    }

    /// What becomes of traffic from outside the cluster.
    pub fn external(&self) -> Fate {
        self.fate(self.service.external)
    }

    fn fate(&self, policy: Policy) -> Fate {
        match policy {
            _ if !self.choice.has_any => Fate::Rejected,
            Policy::Local if self.choice.local.is_empty() => Fate::Dropped,
            policy => Fate::Served(policy),
        }
    }
}

/// Everything the rules of one family say, in a stable order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// All ports, by name. A port that does not change stays the same allocation.
    pub ports: BTreeMap<PortName, Arc<PortPlan>>,
    /// Ranges of cluster IPs; traffic to an address of theirs that no Service has is dropped.
    pub service_cidrs: Vec<IpNet>,
}

/// A port that differs between two plans.
#[derive(Clone, Copy, Debug)]
pub struct PortChange<'a> {
    /// The port.
    pub name: &'a PortName,
    /// What it was.
    pub old: Option<&'a Arc<PortPlan>>,
    /// What it is.
    pub new: Option<&'a Arc<PortPlan>>,
}

impl Plan {
    /// The ports that differ from those of an earlier plan, in name order. Equal allocations are not
    /// looked into, so that this costs little when little changed.
    pub fn changes<'a>(&'a self, earlier: &'a Plan) -> impl Iterator<Item = PortChange<'a>> {
        let mut old = earlier.ports.iter().peekable();
        let mut new = self.ports.iter().peekable();
        let pairs = std::iter::from_fn(move || {
            let order = match (old.peek(), new.peek()) {
                (None, None) => return None,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((old, _)), Some((new, _))) => old.cmp(new),
            };
            let old = if order.is_le() { old.next() } else { None };
            let new = if order.is_ge() { new.next() } else { None };
            let (name, _) = old.or(new)?;
            Some(PortChange { name, old: old.map(|(_, plan)| plan), new: new.map(|(_, plan)| plan) })
        });
        pairs.filter(|change| match (change.old, change.new) {
            (Some(old), Some(new)) => !Arc::ptr_eq(old, new) && old != new,
            _ => true,
        })
    }
}

/// Works out the plan of one family. `slices_of` gives a Service's EndpointSlices.
pub fn plan<'a>(
    family: Family,
    node: &NodeFacts,
    services: impl Iterator<Item = &'a Service>,
    slices_of: impl Fn(&Service) -> Vec<Arc<EndpointSlice>>,
) -> Plan {
    let mut planner = Planner::new(family, node.clone());
    for service in services {
        planner.update(&planner::key(service), Some(service), &slices_of(service));
    }
    planner.into_plan()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn planned(names: &[(&str, u16)]) -> Plan {
        let services: Vec<Service> = names
            .iter()
            .map(|(name, port)| {
                serde_json::from_value(json!({"metadata": {"namespace": "n", "name": name},
                    "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": port}]}}))
                .expect("a Service")
            })
            .collect();
        plan(Family::V4, &NodeFacts::default(), services.iter(), |_| Vec::new())
    }

    #[test]
    fn changes_are_what_came_went_or_differs() {
        let before = planned(&[("a", 1), ("b", 1), ("c", 1)]);
        let after = planned(&[("a", 1), ("b", 2), ("d", 1)]);
        let found: Vec<_> =
            after.changes(&before).map(|c| (c.name.service.clone(), c.old.is_some(), c.new.is_some())).collect();
        assert_eq!(found, [("b".into(), true, true), ("c".into(), true, false), ("d".into(), false, true)]);
        assert_eq!(after.changes(&after.clone()).count(), 0);
    }

    #[test]
    fn a_node_in_the_ranges_reaches_balancers_by_their_own_address() {
        let service = serde_json::from_value(json!({"metadata": {"namespace": "n", "name": "s"}, "spec": {
            "type": "LoadBalancer", "clusterIP": "10.96.0.1", "ports": [{"port": 80}],
            "loadBalancerSourceRanges": ["192.168.0.7/24"]},
            "status": {"loadBalancer": {"ingress": [{"ip": "5.6.7.8"}]}}}))
        .expect("a Service");
        let port = service_ports(Family::V4, &service).remove(0);
        let allowed = |node: &str| {
            let allowed = port.allowed_sources(node.parse().ok());
            allowed.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(allowed("10.0.0.1"), ["192.168.0.0/24"]);
        assert_eq!(allowed("192.168.0.1"), ["192.168.0.0/24", "5.6.7.8/32"]);
    }
}
