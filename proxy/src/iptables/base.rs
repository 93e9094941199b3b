//! The chains that are there whatever the Services are.

use super::counters;
use super::table::{Jump, Tables};
use crate::backend::Settings;
use crate::model::Family;
use std::net::IpAddr;

pub(super) const SERVICES: &str = "KUBE-SERVICES";
pub(super) const EXTERNAL_SERVICES: &str = "KUBE-EXTERNAL-SERVICES";
pub(super) const NODE_PORTS: &str = "KUBE-NODEPORTS";
pub(super) const POSTROUTING: &str = "KUBE-POSTROUTING";
pub(super) const MARK_MASQ: &str = "KUBE-MARK-MASQ";
pub(super) const FORWARD: &str = "KUBE-FORWARD";
pub(super) const FIREWALL: &str = "KUBE-PROXY-FIREWALL";
/// Chains that are there to be missed when somebody flushes the tables.
pub(super) const CANARY: &str = "KUBE-PROXY-CANARY";
/// The kubelet's, which writes the same rule.
const KUBELET_FIREWALL: &str = "KUBE-FIREWALL";

/// The base chains with their fixed rules, and the jumps that lead to them.
pub(super) fn tables(settings: &Settings) -> Tables {
    let mut tables = Tables::default();
    for chain in [SERVICES, EXTERNAL_SERVICES, NODE_PORTS, FORWARD, FIREWALL] {
        tables.filter.add(chain);
    }
    for chain in [SERVICES, NODE_PORTS, POSTROUTING, MARK_MASQ] {
        tables.nat.add(chain);
    }
    tables.filter.add(CANARY);
    tables.nat.add(CANARY);
    forward_rules(settings, &mut tables);
    masquerade_rules(settings, &mut tables);
    localnet_rule(settings, &mut tables);
    tables
}

/// Rules of `SERVICES` in `nat` that must come after those of the ports. `addresses` are those that
/// node ports answer on; `None` is every local one.
pub(super) fn finish(settings: &Settings, addresses: Option<&[IpAddr]>, services: &mut Vec<String>) {
    let note = r#"-m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain""#;
    let Some(addresses) = addresses else {
        // Without route_localnet loopback addresses cannot be translated.
        let loopback = match (settings.localhost_node_ports, settings.family) {
            (true, Family::V4) => "",
            (false, Family::V4) => " ! -d 127.0.0.0/8",
            (_, Family::V6) => " ! -d ::1/128",
        };
        services.push(format!("{note} -m addrtype --dst-type LOCAL{loopback} -j {NODE_PORTS}"));
        return;
    };
    let loopback_works = settings.localhost_node_ports && settings.family == Family::V4;
    for ip in addresses.iter().filter(|ip| loopback_works || !ip.is_loopback()) {
        services.push(format!("{note} -d {ip} -j {NODE_PORTS}"));
    }
}

/// Whether a chain is one of those that are there whatever the Services are, and ours alone.
pub(super) fn is_base(name: &str) -> bool {
    [SERVICES, EXTERNAL_SERVICES, NODE_PORTS, POSTROUTING, MARK_MASQ, FORWARD, FIREWALL, CANARY].contains(&name)
}

/// With `route_localnet` neighbours could reach what listens on loopback only.
fn localnet_rule(settings: &Settings, tables: &mut Tables) {
    if settings.family == Family::V4 && settings.localhost_node_ports {
        tables.filter.rule(
            KUBELET_FIREWALL,
            r#"-m comment --comment "block incoming localnet connections" -d 127.0.0.0/8 ! -s 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"#,
        );
        tables.jumps.extend(["INPUT", "OUTPUT"].map(|from| Jump {
            table: "filter",
            from,
            rule: ["-j", KUBELET_FIREWALL].map(str::to_owned).to_vec(),
        }));
    }
}

fn forward_rules(settings: &Settings, tables: &mut Tables) {
    let mark = format!("{0:#x}/{0:#x}", settings.masquerade_mark);
    if settings.drop_invalid {
        let count = match settings.counters {
            true => format!(" -m nfacct --nfacct-name {}", counters::INVALID),
            false => String::new(),
        };
        tables.filter.rule(FORWARD, format!("-m conntrack --ctstate INVALID{count} -j DROP"));
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

fn masquerade_rules(settings: &Settings, tables: &mut Tables) {
    let mark = settings.masquerade_mark;
    tables.nat.rule(POSTROUTING, format!("-m mark ! --mark {mark:#x}/{mark:#x} -j RETURN"));
    // The mark goes, so that a packet that passes twice is not masqueraded twice.
    tables.nat.rule(POSTROUTING, format!("-j MARK --xor-mark {mark:#x}"));
    tables.nat.rule(
        POSTROUTING,
        r#"-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully"#,
    );
    tables.nat.rule(MARK_MASQ, format!("-j MARK --or-mark {mark:#x}"));
}

/// The rules in the kernel's own chains that lead into ours.
pub(super) fn jumps() -> Vec<Jump> {
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
