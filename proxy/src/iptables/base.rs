//! The chains that are there whatever the Services are.

use super::Options;
use super::table::{Jump, Tables};
use crate::model::Family;

pub(super) const SERVICES: &str = "KUBE-SERVICES";
pub(super) const EXTERNAL_SERVICES: &str = "KUBE-EXTERNAL-SERVICES";
pub(super) const NODE_PORTS: &str = "KUBE-NODEPORTS";
pub(super) const POSTROUTING: &str = "KUBE-POSTROUTING";
pub(super) const MARK_MASQ: &str = "KUBE-MARK-MASQ";
pub(super) const FORWARD: &str = "KUBE-FORWARD";
pub(super) const FIREWALL: &str = "KUBE-PROXY-FIREWALL";

/// The base chains with their fixed rules, and the jumps that lead to them.
pub(super) fn tables(options: &Options) -> Tables {
    let mut tables = Tables::default();
    for chain in [SERVICES, EXTERNAL_SERVICES, NODE_PORTS, FORWARD, FIREWALL] {
        tables.filter.add(chain);
    }
    for chain in [SERVICES, NODE_PORTS, POSTROUTING, MARK_MASQ] {
        tables.nat.add(chain);
    }
    forward_rules(options, &mut tables);
    masquerade_rules(options, &mut tables);
    tables.jumps = jumps();
    tables
}

/// Rules that must come after those of the ports.
pub(super) fn finish(options: &Options, tables: &mut Tables) {
    let note = r#"-m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain""#;
    if options.node_port_addresses.is_empty() {
        // Without route_localnet loopback addresses cannot be translated.
        let loopback = match (options.localhost_node_ports, options.family) {
            (true, Family::V4) => "",
            (false, Family::V4) => " ! -d 127.0.0.0/8",
            (_, Family::V6) => " ! -d ::1/128",
        };
        tables.nat.rule(SERVICES, format!("{note}{loopback} -m addrtype --dst-type LOCAL -j {NODE_PORTS}"));
    }
    for cidr in &options.node_port_addresses {
        tables.nat.rule(SERVICES, format!("{note} -d {cidr} -j {NODE_PORTS}"));
    }
}

fn forward_rules(options: &Options, tables: &mut Tables) {
    let mark = format!("{0:#x}/{0:#x}", options.masquerade_mark);
    if options.drop_invalid {
        tables.filter.rule(FORWARD, "-m conntrack --ctstate INVALID -j DROP");
    }
    tables.filter.rule(
        FORWARD,
        format!(r#"-m comment --comment "kubernetes forwarding rules" -m mark --mark {mark} -j ACCEPT"#),
    );
    tables.filter.rule(
        FORWARD,
        r#"-m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"#,
    );
}

fn masquerade_rules(options: &Options, tables: &mut Tables) {
    let mark = options.masquerade_mark;
    let random = if options.random_fully { " --random-fully" } else { "" };
    tables.nat.rule(POSTROUTING, format!("-m mark ! --mark {mark:#x}/{mark:#x} -j RETURN"));
    // The mark goes, so that a packet that passes twice is not masqueraded twice.
    tables.nat.rule(POSTROUTING, format!("-j MARK --xor-mark {mark:#x}"));
    tables.nat.rule(
        POSTROUTING,
        format!(r#"-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE{random}"#),
    );
    tables.nat.rule(MARK_MASQ, format!("-j MARK --or-mark {mark:#x}"));
}

fn jumps() -> Vec<Jump> {
    let new = ["-m", "conntrack", "--ctstate", "NEW"].as_slice();
    let jump = |table, from, to: &str, comment: &str, matches: &[&str]| Jump {
        table,
        from,
        rule: matches
            .iter()
            .copied()
            .chain(["-m", "comment", "--comment", comment, "-j", to])
            .map(str::to_owned)
            .collect(),
    };
    vec![
        jump("filter", "INPUT", EXTERNAL_SERVICES, "kubernetes externally-visible service portals", new),
        jump("filter", "FORWARD", EXTERNAL_SERVICES, "kubernetes externally-visible service portals", new),
        jump("filter", "INPUT", NODE_PORTS, "kubernetes health check service ports", &[]),
        jump("filter", "FORWARD", SERVICES, "kubernetes service portals", new),
        jump("filter", "OUTPUT", SERVICES, "kubernetes service portals", new),
        jump("filter", "FORWARD", FORWARD, "kubernetes forwarding rules", &[]),
        jump("filter", "INPUT", FIREWALL, "kubernetes load balancer firewall", new),
        jump("filter", "OUTPUT", FIREWALL, "kubernetes load balancer firewall", new),
        jump("filter", "FORWARD", FIREWALL, "kubernetes load balancer firewall", new),
        jump("nat", "OUTPUT", SERVICES, "kubernetes service portals", &[]),
        jump("nat", "PREROUTING", SERVICES, "kubernetes service portals", &[]),
        jump("nat", "POSTROUTING", POSTROUTING, "kubernetes postrouting rules", &[]),
    ]
}
