//! Rules as chains of iptables, with upstream's names.
//!
//! Upstream: `pkg/trafficmngr/iptables/iptables.go`.

use super::{Chain, End, PROXY_MARK, Purpose, Rule, Target};
use crate::config::Family;
use component::program::{ProgramError, run};
use std::fmt::Write as _;

/// Where the rules of a purpose stand.
struct Place {
    table: &'static str,
    /// Our chain.
    chain: &'static str,
    /// The system's chain that leads to it.
    from: &'static str,
    comment: &'static str,
}

const fn place(purpose: Purpose) -> Place {
    match purpose {
        Purpose::Masquerade => {
            Place { table: "nat", chain: "FLANNEL-POSTRTG", from: "POSTROUTING", comment: "flanneld masq" }
        }
        Purpose::Forward => {
            Place { table: "filter", chain: "FLANNEL-FWD", from: "FORWARD", comment: "flanneld forward" }
        }
    }
}

/// Writes the chain, and the jump to it if there is none.
pub(super) async fn write(family: Family, chain: &Chain) -> Result<(), ProgramError> {
    let program = if family == Family::V4 { "iptables-restore" } else { "ip6tables-restore" };
    run(program, &["-w", "5", "--noflush"], &restore(chain)).await?;
    let place = place(chain.purpose);
    if jump(family, "-C", &place).await.is_err() {
        jump(family, "-A", &place).await?;
    }
    Ok(())
}

/// The chain as the kernel shows it; an error if it is not there, or nothing leads to it.
pub(super) async fn show(family: Family, purpose: Purpose) -> Result<String, ProgramError> {
    let place = place(purpose);
    jump(family, "-C", &place).await?;
    iptables(family, &["-t", place.table, "-S", place.chain]).await
}

/// Removes the chain, if it is there.
pub(super) async fn remove(family: Family, purpose: Purpose) {
    let place = place(purpose);
    let _ = jump(family, "-D", &place).await;
    for operation in ["-F", "-X"] {
        let _ = iptables(family, &["-t", place.table, operation, place.chain]).await;
    }
}

async fn jump(family: Family, operation: &str, place: &Place) -> Result<String, ProgramError> {
    let Place { table, chain, from, comment } = place;
    iptables(family, &["-t", table, operation, from, "-m", "comment", "--comment", comment, "-j", chain]).await
}

async fn iptables(family: Family, arguments: &[&str]) -> Result<String, ProgramError> {
    let arguments: Vec<&str> = ["-w", "5"].into_iter().chain(arguments.iter().copied()).collect();
    run(if family == Family::V4 { "iptables" } else { "ip6tables" }, &arguments, "").await
}

/// Input of `iptables-restore`. Declaring a chain empties it.
fn restore(chain: &Chain) -> String {
    let Place { table, chain: name, comment, .. } = place(chain.purpose);
    let mut text = format!("*{table}\n:{name} - [0:0]\n");
    for rule in &chain.rules {
        let _ = writeln!(text, "-A {name} {}-m comment --comment \"{comment}\" -j {}", matches(rule), target(rule));
    }
    text.push_str("COMMIT\n");
    text
}

fn matches(rule: &Rule) -> String {
    let end = |option: &str, end: &Option<End>| match end {
        Some(End { net, within: true }) => format!("{option} {net} "),
        Some(End { net, within: false }) => format!("! {option} {net} "),
        None => String::new(),
    };
    let mark = if rule.marked { format!("-m mark --mark {PROXY_MARK}/{PROXY_MARK} ") } else { String::new() };
    mark + &end("-s", &rule.from) + &end("-d", &rule.to)
}

fn target(rule: &Rule) -> &'static str {
    match rule.target {
        Target::Return => "RETURN",
        Target::Accept => "ACCEPT",
        Target::Masquerade { random: true } => "MASQUERADE --random-fully",
        Target::Masquerade { random: false } => "MASQUERADE",
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
            restore(&chain),
            "*nat\n:FLANNEL-POSTRTG - [0:0]\n\
             -A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment \"flanneld masq\" -j RETURN\n\
             -A FLANNEL-POSTRTG -s 10.244.3.0/24 -d 10.244.0.0/16 -m comment --comment \"flanneld masq\" -j RETURN\n\
             -A FLANNEL-POSTRTG -s 10.244.0.0/16 -d 10.244.3.0/24 -m comment --comment \"flanneld masq\" -j RETURN\n\
             -A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d 10.244.3.0/24 -m comment --comment \"flanneld masq\" -j RETURN\n\
             -A FLANNEL-POSTRTG -s 10.244.0.0/16 ! -d 224.0.0.0/4 -m comment --comment \"flanneld masq\" -j MASQUERADE --random-fully\n\
             -A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d 10.244.0.0/16 -m comment --comment \"flanneld masq\" -j MASQUERADE --random-fully\n\
             COMMIT\n"
        );
        let text = restore(&masquerade("fd00:10::/48".parse().unwrap(), "fd00:10::/64".parse().unwrap(), false));
        assert!(text.contains("-s fd00:10::/48 ! -d ff00::/8 -m comment --comment \"flanneld masq\" -j MASQUERADE\n"));
    }

    #[test]
    fn what_is_forwarded() {
        assert_eq!(
            restore(&forward("10.244.0.0/16".parse().unwrap())),
            "*filter\n:FLANNEL-FWD - [0:0]\n\
             -A FLANNEL-FWD -s 10.244.0.0/16 -m comment --comment \"flanneld forward\" -j ACCEPT\n\
             -A FLANNEL-FWD -d 10.244.0.0/16 -m comment --comment \"flanneld forward\" -j ACCEPT\nCOMMIT\n"
        );
    }
}
