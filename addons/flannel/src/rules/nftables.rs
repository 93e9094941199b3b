//! Rules as a table of nftables, with upstream's names.
//!
//! Upstream: `pkg/trafficmngr/nftables/nftables.go`, which returns more than iptables does on one of its
//! rules: here both kinds mean the same.

use super::{Chain, End, PROXY_MARK, Purpose, Rule, Target};
use crate::config::Family;
use component::program::{ProgramError, run};
use std::fmt::Write as _;

/// The family's word, and the table.
fn table(family: Family) -> [&'static str; 2] {
    match family {
        Family::V4 => ["ip", "flannel-ipv4"],
        Family::V6 => ["ip6", "flannel-ipv6"],
    }
}

/// The chain of a purpose, and where packets enter it.
const fn chain(purpose: Purpose) -> (&'static str, &'static str) {
    match purpose {
        Purpose::Masquerade => ("postrtg", "type nat hook postrouting priority srcnat"),
        Purpose::Forward => ("forward", "type filter hook forward priority filter"),
    }
}

/// Writes the chain in one transaction.
pub(super) async fn write(family: Family, chain: &Chain) -> Result<(), ProgramError> {
    run("nft", &["-f", "-"], &commands(family, chain)).await.map(drop)
}

/// The chain as the kernel shows it; an error if it is not there.
pub(super) async fn show(family: Family, purpose: Purpose) -> Result<String, ProgramError> {
    let [protocol, table] = table(family);
    run("nft", &["list", "chain", protocol, table, chain(purpose).0], "").await
}

/// Removes the chain, if it is there.
pub(super) async fn remove(family: Family, purpose: Purpose) {
    let ([protocol, table], name) = (table(family), chain(purpose).0);
    for operation in ["flush", "delete"] {
        let _ = run("nft", &[operation, "chain", protocol, table, name], "").await;
    }
}

fn commands(family: Family, wanted: &Chain) -> String {
    let ([protocol, table], (name, hook)) = (table(family), chain(wanted.purpose));
    let place = format!("{protocol} {table}");
    let mut text = format!("add table {place}\nadd chain {place} {name} {{ {hook}; }}\nflush chain {place} {name}\n");
    for rule in &wanted.rules {
        let _ = writeln!(text, "add rule {place} {name} {}{}", matches(protocol, rule), verdict(rule));
    }
    text
}

fn matches(protocol: &str, rule: &Rule) -> String {
    let end = |field: &str, end: &Option<End>| match end {
        Some(End { net, within: true }) => format!("{protocol} {field} {net} "),
        Some(End { net, within: false }) => format!("{protocol} {field} != {net} "),
        None => String::new(),
    };
    let mark = if rule.marked { format!("meta mark and {PROXY_MARK} == {PROXY_MARK} ") } else { String::new() };
    mark + &end("saddr", &rule.from) + &end("daddr", &rule.to)
}

fn verdict(rule: &Rule) -> &'static str {
    match rule.target {
        Target::Return => "return",
        Target::Accept => "accept",
        Target::Masquerade { random: true } => "masquerade fully-random",
        Target::Masquerade { random: false } => "masquerade",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{forward, masquerade};

    #[test]
    fn what_is_masqueraded() {
        let chain = masquerade("10.244.0.0/16".parse().unwrap(), "10.244.3.0/24".parse().unwrap(), true);
        assert_eq!(
            commands(Family::V4, &chain),
            "add table ip flannel-ipv4\n\
             add chain ip flannel-ipv4 postrtg { type nat hook postrouting priority srcnat; }\n\
             flush chain ip flannel-ipv4 postrtg\n\
             add rule ip flannel-ipv4 postrtg meta mark and 0x4000 == 0x4000 return\n\
             add rule ip flannel-ipv4 postrtg ip saddr 10.244.3.0/24 ip daddr 10.244.0.0/16 return\n\
             add rule ip flannel-ipv4 postrtg ip saddr 10.244.0.0/16 ip daddr 10.244.3.0/24 return\n\
             add rule ip flannel-ipv4 postrtg ip saddr != 10.244.0.0/16 ip daddr 10.244.3.0/24 return\n\
             add rule ip flannel-ipv4 postrtg ip saddr 10.244.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random\n\
             add rule ip flannel-ipv4 postrtg ip saddr != 10.244.0.0/16 ip daddr 10.244.0.0/16 masquerade fully-random\n"
        );
    }

    #[test]
    fn what_is_forwarded() {
        assert_eq!(
            commands(Family::V6, &forward("fd00:10::/48".parse().unwrap())),
            "add table ip6 flannel-ipv6\n\
             add chain ip6 flannel-ipv6 forward { type filter hook forward priority filter; }\n\
             flush chain ip6 flannel-ipv6 forward\n\
             add rule ip6 flannel-ipv6 forward ip6 saddr fd00:10::/48 accept\n\
             add rule ip6 flannel-ipv6 forward ip6 daddr fd00:10::/48 accept\n"
        );
    }
}
