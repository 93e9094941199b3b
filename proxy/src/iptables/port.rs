//! The rules of one port.

use super::base::{EXTERNAL_SERVICES, FIREWALL, MARK_MASQ, NODE_PORTS, SERVICES};
use super::table::Tables;
use super::{Options, names};
use crate::model::{Policy, PortPlan};
use std::net::{IpAddr, SocketAddr};

/// Names that the rules of a port share.
struct Port<'a> {
    options: &'a Options,
    plan: &'a PortPlan,
    /// `namespace/service:port`.
    name: String,
    protocol: &'static str,
    cluster_chain: String,
    local_chain: String,
    external_chain: String,
}

pub(super) fn render(options: &Options, plan: &PortPlan, tables: &mut Tables) {
    let name = plan.service.name.to_string();
    let protocol = plan.service.name.protocol.as_str();
    let port = Port {
        cluster_chain: names::service(&name, protocol),
        local_chain: names::local(&name, protocol),
        external_chain: names::external(&name, protocol),
        options,
        plan,
        name,
        protocol,
    };
    port.render(tables);
}

impl Port<'_> {
    fn render(&self, tables: &mut Tables) {
        let service = &self.plan.service;
        let choice = &self.plan.choice;
        self.endpoint_chains(tables);
        if !choice.cluster.is_empty() {
            self.balance(tables, &self.cluster_chain, &choice.cluster);
        }
        if !choice.local.is_empty() {
            self.balance(tables, &self.local_chain, &choice.local);
        }
        self.cluster_ip(tables);
        let is_external = service.node_port.is_some() || !service.external_ips.is_empty();
        if is_external && choice.has_any {
            self.external(tables);
        } else if is_external {
            self.reject_external(tables, "has no endpoints", "REJECT");
        }
    }

    /// The chain that traffic to the cluster IP goes to, if there is anybody to answer.
    fn internal_chain(&self) -> Option<&str> {
        let choice = &self.plan.choice;
        match self.plan.service.internal {
            Policy::Cluster => (!choice.cluster.is_empty()).then_some(self.cluster_chain.as_str()),
            Policy::Local => (!choice.local.is_empty()).then_some(self.local_chain.as_str()),
        }
    }

    fn cluster_ip(&self, tables: &mut Tables) {
        let service = &self.plan.service;
        let to = self.to(service.cluster_ip, service.port);
        let Some(chain) = self.internal_chain() else {
            let (why, target) = match self.plan.choice.has_any {
                true => ("has no local endpoints", "DROP"),
                false => ("has no endpoints", "REJECT"),
            };
            tables.filter.rule(SERVICES, format!(r#"-m comment --comment "{} {why}" {to} -j {target}"#, self.name));
            return;
        };
        let comment = format!(r#"-m comment --comment "{} cluster IP""#, self.name);
        tables.nat.rule(SERVICES, format!("{comment} {to} -j {chain}"));
        let masquerade = match (self.options.masquerade_all, self.options.cluster_cidr.as_str()) {
            (true, _) => format!("{comment} {to} -j {MARK_MASQ}"),
            (false, "") => return,
            (false, cidr) => format!("{comment} {to} ! -s {cidr} -j {MARK_MASQ}"),
        };
        tables.nat.add(chain).insert(0, masquerade);
    }

    fn external(&self, tables: &mut Tables) {
        let service = &self.plan.service;
        self.external_rules(tables);
        if let Some(port) = service.node_port {
            let rule = format!(
                "-m comment --comment {} {} --dport {port} -j {}",
                self.name,
                self.matches(),
                self.external_chain
            );
            tables.nat.rule(NODE_PORTS, rule);
        }
        for ip in &service.external_ips {
            let is_balancer = service.balancer_ips.contains(ip);
            let kind = if is_balancer { "loadbalancer" } else { "external" };
            let comment = format!(r#"-m comment --comment "{} {kind} IP""#, self.name);
            let to = self.to(*ip, service.port);
            let guarded = is_balancer && !service.source_ranges.is_empty();
            let chain = if guarded { self.firewall(tables, *ip) } else { self.external_chain.clone() };
            tables.nat.rule(SERVICES, format!("{comment} {to} -j {chain}"));
        }
    }

    /// What happens to traffic from outside before it is balanced.
    fn external_rules(&self, tables: &mut Tables) {
        let (name, chain) = (&self.name, &self.external_chain);
        let cluster = (!self.plan.choice.cluster.is_empty()).then_some(&self.cluster_chain);
        let nat = &mut tables.nat;
        nat.add(chain.as_str());
        if self.plan.service.external == Policy::Cluster {
            nat.rule(
                chain,
                format!(r#"-m comment --comment "masquerade traffic for {name} external destinations" -j {MARK_MASQ}"#),
            );
            if let Some(cluster) = cluster {
                nat.rule(chain, format!("-j {cluster}"));
            }
            return;
        }
        // Pods and the node itself reach any endpoint, as if they had asked for the cluster IP.
        if let Some(cluster) = cluster {
            if !self.options.cluster_cidr.is_empty() {
                let from = &self.options.cluster_cidr;
                nat.rule(
                    chain,
                    format!(
                        r#"-m comment --comment "pod traffic for {name} external destinations" -s {from} -j {cluster}"#
                    ),
                );
            }
            nat.rule(chain, format!(r#"-m comment --comment "masquerade LOCAL traffic for {name} external destinations" -m addrtype --src-type LOCAL -j {MARK_MASQ}"#));
            nat.rule(chain, format!(r#"-m comment --comment "route LOCAL traffic for {name} external destinations" -m addrtype --src-type LOCAL -j {cluster}"#));
        }
        match self.plan.choice.local.is_empty() {
            false => nat.rule(chain, format!("-j {}", self.local_chain)),
            true => self.drop_external(tables),
        }
    }

    /// Without endpoints here a packet is dropped and not rejected: the balancer may try elsewhere.
    fn drop_external(&self, tables: &mut Tables) {
        self.reject_external(tables, "has no local endpoints", "DROP");
    }

    fn reject_external(&self, tables: &mut Tables, why: &str, target: &str) {
        let service = &self.plan.service;
        let comment = format!(r#"-m comment --comment "{} {why}""#, self.name);
        if let Some(port) = service.node_port {
            let to = format!("-m addrtype --dst-type LOCAL {} --dport {port}", self.matches());
            tables.filter.rule(EXTERNAL_SERVICES, format!("{comment} {to} -j {target}"));
        }
        for ip in &service.external_ips {
            tables.filter.rule(EXTERNAL_SERVICES, format!("{comment} {} -j {target}", self.to(*ip, service.port)));
        }
    }

    /// The chain that lets only the allowed sources through to a load balancer's address.
    fn firewall(&self, tables: &mut Tables, ip: IpAddr) -> String {
        let chain = names::firewall(&self.name, self.protocol);
        let comment = format!(r#"-m comment --comment "{} loadbalancer IP""#, self.name);
        if tables.nat.get(&chain).is_none() {
            for range in &self.plan.service.source_ranges {
                tables.nat.rule(&chain, format!("{comment} -s {range} -j {}", self.external_chain));
            }
            tables.nat.rule(
                &chain,
                format!(r#"-m comment --comment "other traffic to {} will be dropped by {FIREWALL}""#, self.name),
            );
        }
        let dropped = format!(
            r#"-m comment --comment "{} traffic not accepted by {chain}" {} -j DROP"#,
            self.name,
            self.to(ip, self.plan.service.port)
        );
        tables.filter.rule(FIREWALL, dropped);
        chain
    }

    /// Spreads connections evenly; a client with affinity goes where it went before.
    fn balance(&self, tables: &mut Tables, chain: &str, endpoints: &[SocketAddr]) {
        tables.nat.add(chain);
        if let Some(seconds) = self.plan.service.affinity_seconds {
            for address in endpoints {
                let endpoint = self.endpoint(address);
                tables.nat.rule(
                    chain,
                    format!(r#"-m comment --comment "{} -> {address}" -m recent --name {endpoint} --rcheck --seconds {seconds} --reap -j {endpoint}"#, self.name),
                );
            }
        }
        for (i, address) in endpoints.iter().enumerate() {
            let left = endpoints.len() - i;
            let chance = match left {
                1 => String::new(),
                n => format!(" -m statistic --mode random --probability {:.10}", 1.0 / n as f64),
            };
            tables.nat.rule(
                chain,
                format!(r#"-m comment --comment "{} -> {address}"{chance} -j {}"#, self.name, self.endpoint(address)),
            );
        }
    }

    fn endpoint_chains(&self, tables: &mut Tables) {
        let choice = &self.plan.choice;
        for address in choice.cluster.iter().chain(choice.local.iter().filter(|a| !choice.cluster.contains(a))) {
            let chain = self.endpoint(address);
            let comment = format!("-m comment --comment {}", self.name);
            // A pod that reaches itself through its Service must not see its own address.
            tables.nat.rule(&chain, format!("{comment} -s {} -j {MARK_MASQ}", address.ip()));
            let remember = match self.plan.service.affinity_seconds {
                Some(_) => format!(" -m recent --name {chain} --set"),
                None => String::new(),
            };
            tables
                .nat
                .rule(&chain, format!("{comment}{remember} {} -j DNAT --to-destination {address}", self.matches()));
        }
    }

    fn endpoint(&self, address: &SocketAddr) -> String {
        names::endpoint(&self.name, self.protocol, &address.to_string())
    }

    fn matches(&self) -> String {
        format!("-m {0} -p {0}", self.protocol)
    }

    fn to(&self, ip: IpAddr, port: u16) -> String {
        format!("{} -d {ip} --dport {port}", self.matches())
    }
}
