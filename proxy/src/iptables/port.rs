//! The rules of one port.

use super::base::{EXTERNAL_SERVICES, FIREWALL, MARK_MASQ, NODE_PORTS, SERVICES};
use super::table::Tables;
use super::{counters, names};
use crate::backend::{LocalTraffic, Settings};
use crate::model::{Family, Fate, Policy, PortPlan};
use std::net::{IpAddr, SocketAddr};

/// Names that the rules of a port share.
struct Port<'a> {
    settings: &'a Settings,
    plan: &'a PortPlan,
    /// `namespace/service:port`.
    name: String,
    protocol: &'static str,
    cluster_chain: String,
    local_chain: String,
    external_chain: String,
}

/// What one port adds to the tables: chains of its own, and rules of the base chains.
pub(super) fn render(settings: &Settings, plan: &PortPlan) -> Tables {
    let name = plan.service.name.to_string();
    let protocol = plan.service.name.protocol.as_str();
    let port = Port {
        cluster_chain: names::service(&name, protocol),
        local_chain: names::local(&name, protocol),
        external_chain: names::external(&name, protocol),
        settings,
        plan,
        name,
        protocol,
    };
    let mut tables = Tables::default();
    port.render(&mut tables);
    tables
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
        if service.is_external() && choice.has_any {
            self.external(tables);
        }
        self.refuse_external(tables);
        if let Some(port) = service.health_check_port {
            let rule = format!(
                r#"-m comment --comment "{} health check node port" -m tcp -p tcp --dport {port} -j ACCEPT"#,
                self.name
            );
            tables.filter.rule(NODE_PORTS, rule);
        }
    }

    fn cluster_ip(&self, tables: &mut Tables) {
        let service = &self.plan.service;
        let to = self.to(service.cluster_ip, service.port);
        let chain = match self.plan.internal() {
            Fate::Served(policy) => self.chain(policy),
            refused => {
                let (why, target) = refusal(refused);
                tables.filter.rule(SERVICES, format!(r#"-m comment --comment "{} {why}" {to} -j {target}"#, self.name));
                return;
            }
        };
        let comment = format!(r#"-m comment --comment "{} cluster IP""#, self.name);
        tables.nat.rule(SERVICES, format!("{comment} {to} -j {chain}"));
        let masquerade = match (self.settings.masquerade_all, not_local(&self.settings.local)) {
            (true, _) => format!("{comment} {to} -j {MARK_MASQ}"),
            (false, None) => return,
            (false, Some(from)) => format!("{comment} {to} {from} -j {MARK_MASQ}"),
        };
        tables.nat.add(chain).insert(0, masquerade);
    }

    fn chain(&self, policy: Policy) -> &str {
        match policy {
            Policy::Cluster => &self.cluster_chain,
            Policy::Local => &self.local_chain,
        }
    }

    fn external(&self, tables: &mut Tables) {
        let service = &self.plan.service;
        self.external_rules(tables);
        if let Some(port) = service.node_port {
            let settings = self.settings;
            if settings.counters && settings.localhost_node_ports && settings.family == Family::V4 {
                let rule = format!(
                    "-m comment --comment {} {} -d 127.0.0.0/8 --dport {port} -m nfacct --nfacct-name {} -j {}",
                    self.name,
                    self.matches(),
                    counters::LOCALHOST,
                    self.external_chain
                );
                tables.nat.rule(NODE_PORTS, rule);
            }
            let rule = format!(
                "-m comment --comment {} {} --dport {port} -j {}",
                self.name,
                self.matches(),
                self.external_chain
            );
            tables.nat.rule(NODE_PORTS, rule);
        }
        let balancer_chain = match service.is_guarded() {
            true => self.firewall(tables),
            false => self.external_chain.clone(),
        };
        let external = service.external_ips.iter().map(|ip| (ip, "external", &self.external_chain));
        let balancers = service.balancer_ips.iter().map(|ip| (ip, "loadbalancer", &balancer_chain));
        for (ip, kind, chain) in external.chain(balancers) {
            let to = self.to(*ip, service.port);
            tables.nat.rule(SERVICES, format!(r#"-m comment --comment "{} {kind} IP" {to} -j {chain}"#, self.name));
        }
    }

    /// What happens to traffic from outside before it is balanced.
    fn external_rules(&self, tables: &mut Tables) {
        let (name, chain, cluster) = (&self.name, &self.external_chain, &self.cluster_chain);
        let nat = &mut tables.nat;
        if self.plan.service.external == Policy::Cluster {
            nat.rule(
                chain,
                format!(r#"-m comment --comment "masquerade traffic for {name} external destinations" -j {MARK_MASQ}"#),
            );
        } else {
            // Pods and the node itself reach any endpoint, as if they had asked for the cluster IP.
            if let Some(from) = is_local(&self.settings.local) {
                nat.rule(
                    chain,
                    format!(
                        r#"-m comment --comment "pod traffic for {name} external destinations" {from} -j {cluster}"#
                    ),
                );
            }
            nat.rule(chain, format!(r#"-m comment --comment "masquerade LOCAL traffic for {name} external destinations" -m addrtype --src-type LOCAL -j {MARK_MASQ}"#));
            nat.rule(chain, format!(r#"-m comment --comment "route LOCAL traffic for {name} external destinations" -m addrtype --src-type LOCAL -j {cluster}"#));
        }
        if let Fate::Served(policy) = self.plan.external() {
            nat.rule(chain, format!("-j {}", self.chain(policy)));
        }
    }

    /// What is not translated on its way ends here.
    fn refuse_external(&self, tables: &mut Tables) {
        let service = &self.plan.service;
        let fate = self.plan.external();
        if matches!(fate, Fate::Served(_)) {
            return;
        }
        let (why, target) = refusal(fate);
        let comment = format!(r#"-m comment --comment "{} {why}""#, self.name);
        if let Some(port) = service.node_port {
            let to = format!("-m addrtype --dst-type LOCAL {} --dport {port}", self.matches());
            tables.filter.rule(EXTERNAL_SERVICES, format!("{comment} {to} -j {target}"));
        }
        for ip in service.external_ips.iter().chain(&service.balancer_ips) {
            tables.filter.rule(EXTERNAL_SERVICES, format!("{comment} {} -j {target}", self.to(*ip, service.port)));
        }
    }

    /// The chain that lets only the allowed sources through to load balancers' addresses.
    fn firewall(&self, tables: &mut Tables) -> String {
        let service = &self.plan.service;
        let chain = names::firewall(&self.name, self.protocol);
        let comment = format!(r#"-m comment --comment "{} loadbalancer IP""#, self.name);
        for range in service.allowed_sources(self.settings.node_ip) {
            tables.nat.rule(&chain, format!("{comment} -s {range} -j {}", self.external_chain));
        }
        tables.nat.rule(
            &chain,
            format!(r#"-m comment --comment "other traffic to {} will be dropped by {FIREWALL}""#, self.name),
        );
        for ip in &service.balancer_ips {
            let dropped = format!(
                r#"-m comment --comment "{} traffic not accepted by {chain}" {} -j DROP"#,
                self.name,
                self.to(*ip, service.port)
            );
            tables.filter.rule(FIREWALL, dropped);
        }
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
        for address in self.plan.choice.reachable() {
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

/// The words of a comment, and the target.
fn refusal(fate: Fate) -> (&'static str, &'static str) {
    match fate {
        Fate::Rejected => ("has no endpoints", "REJECT"),
        Fate::Dropped | Fate::Served(_) => ("has no local endpoints", "DROP"),
    }
}

/// Matches traffic from this node's pods, if it can be told apart.
fn is_local(local: &LocalTraffic) -> Option<String> {
    match local {
        LocalTraffic::Unknown => None,
        LocalTraffic::Cidr(cidr) => Some(format!("-s {cidr}")),
        LocalTraffic::Bridge(name) => Some(format!("-i {name}")),
        LocalTraffic::Prefix(prefix) => Some(format!("-i {prefix}+")),
    }
}

/// Matches all other traffic.
fn not_local(local: &LocalTraffic) -> Option<String> {
    is_local(local).map(|matches| format!("! {matches}"))
}
