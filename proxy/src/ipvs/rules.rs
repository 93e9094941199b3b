//! The chains of iptables that go with the virtual servers: who is masqueraded, let in, refused.
//!
//! Upstream: `pkg/proxy/ipvs/proxier.go`; the chains and rules are its own.

use super::sets::Set;
use crate::backend::{LocalTraffic, Settings};
use crate::iptables::{Jump, delete_jump, program, restore};
use crate::model::{Family, Protocol};
use component::program::{ProgramError, run};
use std::fmt::Write as _;

const SERVICES: &str = "KUBE-SERVICES";
const POSTROUTING: &str = "KUBE-POSTROUTING";
const NODE_PORT: &str = "KUBE-NODE-PORT";
const LOAD_BALANCER: &str = "KUBE-LOAD-BALANCER";
const MARK_MASQ: &str = "KUBE-MARK-MASQ";
const FORWARD: &str = "KUBE-FORWARD";
const FIREWALL: &str = "KUBE-PROXY-FIREWALL";
const SOURCES: &str = "KUBE-SOURCE-RANGES-FIREWALL";
const FILTER: &str = "KUBE-IPVS-FILTER";
const OUT_FILTER: &str = "KUBE-IPVS-OUT-FILTER";

const NAT_CHAINS: [&str; 5] = [SERVICES, POSTROUTING, NODE_PORT, LOAD_BALANCER, MARK_MASQ];
const FILTER_CHAINS: [&str; 6] = [FORWARD, NODE_PORT, FIREWALL, SOURCES, FILTER, OUT_FILTER];

/// The rules in the kernel's own chains that lead into ours.
pub(super) fn jumps() -> Vec<Jump> {
    let jump = |table, from, to: &str, comment: &str| Jump {
        table,
        from,
        rule: ["-m", "comment", "--comment", comment, "-j", to].map(str::to_owned).to_vec(),
    };
    vec![
        jump("nat", "OUTPUT", SERVICES, "kubernetes service portals"),
        jump("nat", "PREROUTING", SERVICES, "kubernetes service portals"),
        jump("nat", "POSTROUTING", POSTROUTING, "kubernetes postrouting rules"),
        jump("filter", "FORWARD", FORWARD, "kubernetes forwarding rules"),
        jump("filter", "INPUT", NODE_PORT, "kubernetes health check rules"),
        jump("filter", "INPUT", FIREWALL, "kube-proxy firewall rules"),
        jump("filter", "FORWARD", FIREWALL, "kube-proxy firewall rules"),
        jump("filter", "INPUT", FILTER, "kubernetes ipvs access filter"),
        jump("filter", "OUTPUT", OUT_FILTER, "kubernetes ipvs access filter"),
    ]
}

/// Whether our chains are there.
pub(super) async fn are_there(family: Family) -> bool {
    run(program(family), &["-w", "5", "-t", "filter", "-S", FILTER], "").await.is_ok()
        && run(program(family), &["-w", "5", "-t", "nat", "-S", LOAD_BALANCER], "").await.is_ok()
}

/// Removes chains and jumps.
pub(super) async fn remove(family: Family) -> Result<(), ProgramError> {
    for jump in jumps() {
        delete_jump(family, &jump).await;
    }
    let mut text = String::new();
    for (table, chains) in [("nat", &NAT_CHAINS[..]), ("filter", &FILTER_CHAINS[..])] {
        let _ = writeln!(text, "*{table}");
        for chain in chains {
            let _ = writeln!(text, ":{chain} - [0:0]");
        }
        text.push_str("COMMIT\n");
    }
    restore(family, &text).await?;
    for (table, chains) in [("nat", &NAT_CHAINS[..]), ("filter", &FILTER_CHAINS[..])] {
        for chain in chains {
            // Another mode has chains of the same names; where they are in use they stay.
            let _ = run(program(family), &["-w", "5", "-t", table, "-X", chain], "").await;
        }
    }
    Ok(())
}

/// All rules, for `iptables-restore`. `has` says which sets have entries, and `refused` are the rules
/// that keep the node from balancers.
pub(super) fn text<'a>(
    settings: &Settings,
    has: impl Fn(Set) -> bool,
    refused: impl Iterator<Item = &'a String>,
) -> String {
    let mut rules = Rules { settings, has, nat: String::new(), filter: String::new() };
    rules.nat();
    rules.filter();
    for rule in refused {
        rules.filter_rule(OUT_FILTER, rule);
    }
    let chains = |names: &[&str]| names.iter().fold(String::new(), |all, name| all + &format!(":{name} - [0:0]\n"));
    format!(
        "*nat\n{}{}COMMIT\n*filter\n{}{}COMMIT\n",
        chains(&NAT_CHAINS),
        rules.nat,
        chains(&FILTER_CHAINS),
        rules.filter
    )
}

struct Rules<'a, H> {
    settings: &'a Settings,
    has: H,
    nat: String,
    filter: String,
}

impl<H: Fn(Set) -> bool> Rules<'_, H> {
    fn nat(&mut self) {
        // Who talks to loopback addresses talks to nobody of ours.
        let loopback = if self.settings.family == Family::V4 { "127.0.0.0/8" } else { "::1/128" };
        self.nat_rule(SERVICES, &format!("-s {loopback} -j RETURN"));
        self.if_any(Set::LoopBack, POSTROUTING, "dst,dst,src", "MASQUERADE");
        self.if_any(Set::LoadBalancer, SERVICES, "dst,dst", LOAD_BALANCER);
        self.if_any(Set::LoadBalancerLocal, LOAD_BALANCER, "dst,dst", "RETURN");
        for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
            self.node_port(Set::NodePortLocal(protocol), protocol, "RETURN");
            self.node_port(Set::NodePort(protocol), protocol, MARK_MASQ);
        }
        self.cluster_ips();
        self.external_ips(Set::ExternalIp, Some(MARK_MASQ));
        self.external_ips(Set::ExternalIpLocal, None);
        self.nat_rule(SERVICES, &format!("-m addrtype --dst-type LOCAL -j {NODE_PORT}"));
        self.nat_rule(LOAD_BALANCER, &format!("-j {MARK_MASQ}"));
        // Nothing that comes later may keep packets from their virtual server.
        for set in [Set::ClusterIp, Set::LoadBalancer] {
            if (self.has)(set) {
                self.nat_rule(SERVICES, &format!("{} dst,dst -j ACCEPT", self.matches(set)));
            }
        }
        let mark = self.settings.masquerade_mark;
        self.nat_rule(POSTROUTING, &format!("-m mark ! --mark {mark:#x}/{mark:#x} -j RETURN"));
        self.nat_rule(POSTROUTING, &format!("-j MARK --xor-mark {mark:#x}"));
        self.nat_rule(
            POSTROUTING,
            r#"-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully"#,
        );
        self.nat_rule(MARK_MASQ, &format!("-j MARK --or-mark {mark:#x}"));
    }

    fn cluster_ips(&mut self) {
        if !(self.has)(Set::ClusterIp) {
            return;
        }
        let from = match (self.settings.masquerade_all, &self.settings.local) {
            (true, _) => " dst,dst".to_owned(),
            (false, LocalTraffic::Cidr(range)) => format!(" dst,dst ! -s {range}"),
            (false, LocalTraffic::Bridge(name)) => format!(" dst,dst ! -i {name}"),
            (false, LocalTraffic::Prefix(prefix)) => format!(" dst,dst ! -i {prefix}+"),
            // The node itself asks with the Service's address as its own.
            (false, LocalTraffic::Unknown) => " src,dst".to_owned(),
        };
        let rule = format!("{}{from} -j {MARK_MASQ}", self.noted(Set::ClusterIp));
        self.nat_rule(SERVICES, &rule);
    }

    fn external_ips(&mut self, set: Set, masquerade: Option<&str>) {
        if !(self.has)(set) {
            return;
        }
        let to = format!("{} dst,dst", self.noted(set));
        if let Some(target) = masquerade {
            self.nat_rule(SERVICES, &format!("{to} -j {target}"));
        }
        // From outside, or to an address that this node has taken for its own.
        self.nat_rule(SERVICES, &format!("{to} -m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL -j ACCEPT"));
        self.nat_rule(SERVICES, &format!("{to} -m addrtype --dst-type LOCAL -j ACCEPT"));
    }

    fn node_port(&mut self, set: Set, protocol: Protocol, target: &str) {
        if (self.has)(set) {
            let direction = if protocol == Protocol::Sctp { "dst,dst" } else { "dst" };
            let rule = format!("-p {} {} {direction} -j {target}", protocol.as_str(), self.noted(set));
            self.nat_rule(NODE_PORT, &rule);
        }
    }

    fn if_any(&mut self, set: Set, chain: &str, direction: &str, target: &str) {
        if (self.has)(set) {
            let rule = format!("{} {direction} -j {target}", self.noted(set));
            self.nat_rule(chain, &rule);
        }
    }

    fn filter(&mut self) {
        for (set, chain, direction, target) in [
            (Set::Guarded, FIREWALL, "dst,dst", SOURCES),
            (Set::SourceCidr, SOURCES, "dst,dst,src", "RETURN"),
            (Set::SourceIp, SOURCES, "dst,dst,src", "RETURN"),
        ] {
            if (self.has)(set) {
                let rule = format!("{} {direction} -j {target}", self.noted(set));
                self.filter_rule(chain, &rule);
            }
        }
        self.filter_rule(SOURCES, "-j DROP");
        let mark = self.settings.masquerade_mark;
        self.filter_rule(
            FORWARD,
            &format!(
                r#"-m comment --comment "kubernetes forwarding rules" -m mark --mark {mark:#x}/{mark:#x} -j ACCEPT"#
            ),
        );
        self.filter_rule(
            FORWARD,
            r#"-m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"#,
        );
        let rule = format!("{} dst -j ACCEPT", self.noted(Set::HealthCheck));
        self.filter_rule(NODE_PORT, &rule);
        // All ports of a bound address would lead to this node's own servers.
        for set in [Set::LoadBalancer, Set::ClusterIp, Set::ExternalIp, Set::ExternalIpLocal] {
            let rule = format!("{} dst,dst -j RETURN", self.matches(set));
            self.filter_rule(FILTER, &rule);
        }
        let rule = format!("{} dst -j RETURN", self.matches(Set::HealthCheck));
        self.filter_rule(FILTER, &rule);
        let rule = format!("-m conntrack --ctstate NEW {} dst -j REJECT", self.matches(Set::Addresses));
        self.filter_rule(FILTER, &rule);
    }

    fn noted(&self, set: Set) -> String {
        format!(r#"-m comment --comment "{}" {}"#, set.comment(), self.matches(set))
    }

    fn matches(&self, set: Set) -> String {
        format!("-m set --match-set {}", set.name(self.settings.family))
    }

    fn nat_rule(&mut self, chain: &str, rule: &str) {
        let _ = writeln!(self.nat, "-A {chain} {rule}");
    }

    fn filter_rule(&mut self, chain: &str, rule: &str) {
        let _ = writeln!(self.filter, "-A {chain} {rule}");
    }
}
