//! What one port adds to the table.

use super::base::{self, keyword};
use super::elements::{Container, Element};
use super::names;
use crate::backend::Settings;
use crate::model::{Fate, Policy, PortPlan};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// Chains, sets and elements of one port.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rules {
    /// Chains with their rules.
    pub(super) chains: BTreeMap<String, Vec<String>>,
    /// Sets that remember clients, with the seconds that they do.
    pub(super) sets: BTreeMap<String, u32>,
    /// Elements of sets and maps that all ports share.
    pub(super) elements: Vec<Element>,
}

struct Port<'a> {
    settings: &'a Settings,
    plan: &'a PortPlan,
    /// What the names of its chains have in common.
    name: String,
    ip: &'static str,
    protocol: &'static str,
    rules: Rules,
}

/// What the kernel shall have for a port.
pub(super) fn render(settings: &Settings, plan: &PortPlan) -> Rules {
    let name = &plan.service.name;
    let mut port = Port {
        settings,
        plan,
        name: names::of_port(name),
        ip: keyword(settings.family),
        protocol: name.protocol.as_str(),
        rules: Rules::default(),
    };
    port.elements();
    port.external();
    port.firewall();
    port.endpoints();
    port.rules
}

impl Port<'_> {
    fn elements(&mut self) {
        let service = &self.plan.service;
        self.element(Container::ClusterIps, service.cluster_ip.to_string(), String::new());
        let internal = match self.plan.internal() {
            Fate::Served(policy) => Some(self.chain(policy)),
            Fate::Dropped | Fate::Rejected => None,
        };
        let at = self.at(service.cluster_ip);
        self.lead(Container::ServiceIps, &at, internal.as_deref());
        self.refuse(Container::NoEndpointServices, at, self.plan.internal());
        let external = self.plan.choice.has_any.then(|| self.external_chain());
        for ip in service.external_ips.iter().chain(&service.balancer_ips) {
            let at = self.at(*ip);
            self.lead(Container::ServiceIps, &at, external.as_deref());
            self.refuse(Container::NoEndpointServices, at, self.plan.external());
        }
        if service.is_guarded() {
            let firewall = self.firewall_chain();
            for ip in &service.balancer_ips {
                let at = self.at(*ip);
                self.lead(Container::FirewallIps, &at, Some(&firewall));
            }
        }
        if let Some(port) = service.node_port {
            let at = format!("{} . {port}", self.protocol);
            self.lead(Container::ServiceNodePorts, &at, external.as_deref());
            self.refuse(Container::NoEndpointNodePorts, at, self.plan.external());
        }
        for address in &self.plan.choice.here {
            let (ip, port, protocol) = (address.ip(), address.port(), self.protocol);
            self.element(Container::HairpinConnections, format!("{ip} . {ip} . {protocol} . {port}"), String::new());
        }
    }

    fn element(&mut self, container: Container, key: String, value: String) {
        let element = Element { container, key, value };
        // An address can stand in a Service twice.
        if !self.rules.elements.contains(&element) {
            self.rules.elements.push(element);
        }
    }

    fn lead(&mut self, container: Container, at: &str, chain: Option<&str>) {
        if let Some(chain) = chain {
            self.element(container, at.to_owned(), format!(" : goto {chain}"));
        }
    }

    fn refuse(&mut self, container: Container, at: String, fate: Fate) {
        let verdict = match fate {
            Fate::Served(_) => return,
            Fate::Dropped => "drop".to_owned(),
            Fate::Rejected => format!("goto {}", base::REJECT),
        };
        self.element(container, at, format!(" comment \"{}\" : {verdict}", self.plan.service.name));
    }

    fn at(&self, ip: IpAddr) -> String {
        format!("{ip} . {} . {}", self.protocol, self.plan.service.port)
    }

    fn chain(&self, policy: Policy) -> String {
        match policy {
            Policy::Cluster => format!("service-{}", self.name),
            Policy::Local => format!("local-{}", self.name),
        }
    }

    fn external_chain(&self) -> String {
        format!("external-{}", self.name)
    }

    fn firewall_chain(&self) -> String {
        format!("firewall-{}", self.name)
    }

    fn rule(&mut self, chain: &str, rule: String) {
        self.rules.chains.entry(chain.to_owned()).or_default().push(rule);
    }

    /// What happens to traffic from outside before it is balanced.
    fn external(&mut self) {
        if !self.plan.service.is_external() || !self.plan.choice.has_any {
            return;
        }
        let chain = self.external_chain();
        let mark = base::mark(self.settings);
        if self.plan.service.external == Policy::Cluster {
            self.rule(&chain, format!("{mark} comment \"masquerade\""));
        } else {
            // Pods and the node itself reach any endpoint, as if they had asked for the cluster IP.
            let cluster = self.chain(Policy::Cluster);
            if let Some(local) = base::local(self.settings, true) {
                self.rule(&chain, format!("{local} goto {cluster} comment \"short-circuit pod traffic\""));
            }
            self.rule(&chain, format!("fib saddr type local {mark} comment \"masquerade local traffic\""));
            self.rule(&chain, format!("fib saddr type local goto {cluster} comment \"short-circuit local traffic\""));
        }
        if let Fate::Served(policy) = self.plan.external() {
            let to = self.chain(policy);
            self.rule(&chain, format!("goto {to}"));
        }
    }

    /// Only some may reach the addresses of load balancers.
    fn firewall(&mut self) {
        if self.plan.service.is_guarded() {
            let allowed = self.plan.service.allowed_sources(self.settings.node_ip);
            let allowed: Vec<_> = allowed.iter().map(ToString::to_string).collect();
            let rule = format!("{} saddr != {{ {} }} drop", self.ip, allowed.join(" , "));
            let chain = self.firewall_chain();
            self.rule(&chain, rule);
        }
    }

    fn endpoints(&mut self) {
        let plan = self.plan;
        let affinity = plan.service.affinity_seconds;
        for (policy, endpoints) in [(Policy::Cluster, &plan.choice.cluster), (Policy::Local, &plan.choice.local)] {
            if endpoints.is_empty() {
                continue;
            }
            let chain = self.chain(policy);
            match affinity {
                None => self.translate(&chain, endpoints),
                Some(_) => self.remember(&chain, endpoints),
            }
        }
        let Some(seconds) = affinity else { return };
        for address in plan.choice.reachable() {
            let name = names::of_endpoint(&plan.service.name, address);
            let chain = format!("endpoint-{name}");
            self.rule(&chain, format!("update @affinity-{name} {{ {} saddr }}", self.ip));
            self.rule(&chain, format!("meta l4proto {} dnat to {address}", self.protocol));
            self.rules.sets.insert(format!("affinity-{name}"), seconds);
        }
    }

    /// Each connection goes to any endpoint.
    fn translate(&mut self, chain: &str, endpoints: &[SocketAddr]) {
        let choices = endpoints.iter().enumerate().map(|(i, a)| format!("{i} : {} . {}", a.ip(), a.port()));
        let choices: Vec<_> = choices.collect();
        let rule = format!(
            "meta l4proto {} dnat {} addr . port to numgen random mod {} map {{ {} }}",
            self.protocol,
            self.ip,
            endpoints.len(),
            choices.join(" , ")
        );
        self.rule(chain, rule);
    }

    /// A client goes where it went before, and otherwise to any endpoint.
    fn remember(&mut self, chain: &str, endpoints: &[SocketAddr]) {
        let mut choices = Vec::new();
        for (i, address) in endpoints.iter().enumerate() {
            let name = names::of_endpoint(&self.plan.service.name, address);
            self.rule(chain, format!("{} saddr @affinity-{name} goto endpoint-{name}", self.ip));
            choices.push(format!("{i} : goto endpoint-{name}"));
        }
        self.rule(chain, format!("numgen random mod {} vmap {{ {} }}", endpoints.len(), choices.join(" , ")));
    }
}
