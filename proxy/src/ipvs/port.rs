//! What one port wants: virtual servers with real ones, entries of sets, addresses.

use super::director::{Key, PERSISTENT, Traits, WITH_PORT};
use super::sets::{Entry, Set};
use crate::backend::Settings;
use crate::model::{Policy, PortPlan, Protocol};
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// This node's addresses, as far as ports depend on them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    /// All of them: an address that the node has anyway is not bound a second time.
    pub(super) all: BTreeSet<IpAddr>,
    /// Those that node ports answer on.
    pub(super) node_ports: Vec<IpAddr>,
}

/// What one port wants in the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) servers: BTreeMap<Key, Server>,
    pub(super) entries: BTreeSet<Entry>,
    /// Addresses on the interface of Services.
    pub(super) addresses: BTreeSet<IpAddr>,
    /// Rules that keep this node from balancers that it may not reach.
    pub(super) refused: BTreeSet<String>,
}

/// A virtual server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) traits: Traits,
    pub(super) reals: BTreeSet<SocketAddr>,
}

/// What a port wants on a node with these addresses.
pub(super) fn render(settings: &Settings, node: &Node, plan: &PortPlan) -> Wanted {
    let mut port = Port { settings, node, plan, wanted: Wanted::default() };
    port.hairpin();
    port.cluster_ip();
    for ip in &plan.service.external_ips {
        port.external_ip(*ip);
    }
    for ip in &plan.service.balancer_ips {
        port.balancer(*ip);
    }
    port.node_port();
    if let Some(number) = plan.service.health_check_port {
        port.wanted.entries.insert((Set::HealthCheck, number.to_string()));
    }
    port.wanted
}

struct Port<'a> {
    settings: &'a Settings,
    node: &'a Node,
    plan: &'a PortPlan,
    wanted: Wanted,
}

impl Port<'_> {
    fn hairpin(&mut self) {
        for at in &self.plan.choice.here {
            let entry = format!("{},{}", self.entry(at.ip(), at.port()), at.ip());
            self.wanted.entries.insert((Set::LoopBack, entry));
        }
    }

    fn cluster_ip(&mut self) {
        let service = &self.plan.service;
        self.add(Set::ClusterIp, service.cluster_ip, service.port);
        self.bind(service.cluster_ip);
        self.serve(SocketAddr::new(service.cluster_ip, service.port), service.internal);
    }

    fn external_ip(&mut self, ip: IpAddr) {
        let service = &self.plan.service;
        let set = match service.external {
            Policy::Cluster => Set::ExternalIp,
            Policy::Local => Set::ExternalIpLocal,
        };
        self.add(set, ip, service.port);
        self.bind_if_foreign(ip);
        self.serve(SocketAddr::new(ip, service.port), service.external);
    }

    fn balancer(&mut self, ip: IpAddr) {
        let service = &self.plan.service;
        self.add(Set::LoadBalancer, ip, service.port);
        if service.external == Policy::Local {
            self.add(Set::LoadBalancerLocal, ip, service.port);
        }
        if !service.source_ranges.is_empty() {
            self.guard(ip);
        }
        self.bind_if_foreign(ip);
        self.serve(SocketAddr::new(ip, service.port), service.external);
    }

    fn guard(&mut self, ip: IpAddr) {
        let service = &self.plan.service;
        let to = self.entry(ip, service.port);
        self.add(Set::Guarded, ip, service.port);
        for range in &service.source_ranges {
            self.wanted.entries.insert((Set::SourceCidr, format!("{to},{}", short(range))));
        }
        if self.settings.node_ip.is_some_and(|own| service.source_ranges.iter().any(|net| net.contains(&own))) {
            self.wanted.entries.insert((Set::SourceIp, format!("{to},{ip}")));
        } else {
            // The node asks with the balancer's address as its own.
            let (protocol, port) = (service.name.protocol.as_str(), service.port);
            let rule = format!("-s {ip} -m ipvs --vaddr {ip} --vproto {protocol} --vport {port} -j DROP");
            self.wanted.refused.insert(rule);
        }
    }

    fn node_port(&mut self) {
        let service = &self.plan.service;
        let Some(number) = service.node_port.filter(|_| !self.node.node_ports.is_empty()) else { return };
        let protocol = service.name.protocol;
        let sets = match service.external {
            Policy::Cluster => [Some(Set::NodePort(protocol)), None],
            Policy::Local => [Some(Set::NodePort(protocol)), Some(Set::NodePortLocal(protocol))],
        };
        for set in sets.into_iter().flatten() {
            match protocol {
                Protocol::Sctp => self.node.node_ports.iter().for_each(|ip| self.add(set, *ip, number)),
                _ => drop(self.wanted.entries.insert((set, number.to_string()))),
            }
        }
        for ip in &self.node.node_ports {
            self.serve(SocketAddr::new(*ip, number), service.external);
        }
    }

    /// A virtual server with the endpoints under a policy. Without any on this node those of others
    /// take their place: pods and the node itself reach them.
    fn serve(&mut self, at: SocketAddr, policy: Policy) {
        let choice = &self.plan.choice;
        let chosen = match policy {
            Policy::Local if !choice.local.is_empty() => &choice.local,
            _ => &choice.cluster,
        };
        let mut flags = 0;
        if self.plan.service.affinity_seconds.is_some() {
            flags |= PERSISTENT;
        }
        if self.settings.ipvs.scheduler == "mh" {
            flags |= WITH_PORT;
        }
        let traits = Traits {
            scheduler: self.settings.ipvs.scheduler.clone(),
            flags,
            timeout: self.plan.service.affinity_seconds.unwrap_or(0),
        };
        let key = Key { protocol: self.plan.service.name.protocol, at };
        self.wanted.servers.insert(key, Server { traits, reals: chosen.iter().copied().collect() });
    }

    fn bind_if_foreign(&mut self, ip: IpAddr) {
        if !self.node.all.contains(&ip) {
            self.bind(ip);
        }
    }

    fn bind(&mut self, ip: IpAddr) {
        self.wanted.addresses.insert(ip);
        self.wanted.entries.insert((Set::Addresses, ip.to_string()));
    }

    fn add(&mut self, set: Set, ip: IpAddr, port: u16) {
        let entry = self.entry(ip, port);
        self.wanted.entries.insert((set, entry));
    }

    fn entry(&self, ip: IpAddr, port: u16) -> String {
        format!("{ip},{}:{port}", self.plan.service.name.protocol.as_str())
    }
}

/// As the kernel shows it: the range of one address is that address.
fn short(range: &IpNet) -> String {
    match range.prefix_len() == range.max_prefix_len() {
        true => range.addr().to_string(),
        false => range.to_string(),
    }
}
