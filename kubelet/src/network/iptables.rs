//! Chains of iptables that others rely on: one that shows which iptables the node uses, and one that keeps packets for
//! local addresses from coming in from outside.
//!
//! Upstream: `pkg/kubelet/kubelet_network_linux.go`, `pkg/util/iptables` (`Monitor`).

use component::program::{self, ProgramError};
use std::time::Duration;

/// How often it is looked whether somebody has flushed the rules.
const LOOK: Duration = Duration::from_secs(60);
/// A chain that goes when somebody flushes a table.
const CANARY: &str = "KUBE-KUBELET-CANARY";
const TABLES: [&str; 3] = ["mangle", "nat", "filter"];
const FIREWALL: &str = "KUBE-FIREWALL";
/// Seconds to wait for who else changes rules.
const WAIT: [&str; 2] = ["-w", "5"];

/// What is to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    Chain {
        table: &'static str,
        chain: &'static str,
    },
    /// `how` puts it first (`-I`) or last (`-A`) where it is missing.
    Rule {
        table: &'static str,
        how: &'static str,
        chain: &'static str,
        rule: Vec<&'static str>,
    },
}

/// Address families by their programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

/// Keeps the chains for ever; give it to the supervisor. A node without iptables needs none.
pub async fn keep() {
    let families = [Family::V4, Family::V6];
    futures::future::join_all(families.map(keep_family)).await;
}

async fn keep_family(family: Family) {
    if call(family, &["-t", "nat", "-S", "POSTROUTING", "1"]).await.is_err() {
        tracing::info!(?family, "No iptables support on this system; not creating the KUBE-IPTABLES-HINT chain");
        return;
    }
    loop {
        match prepare(family).await {
            Ok(()) => tracing::info!(?family, "Initialized iptables rules."),
            Err(error) => {
                tracing::info!(?family, %error, "Failed to initialize iptables rules; some functionality may be missing.");
                return;
            }
        }
        while is_whole(family).await {
            tokio::time::sleep(LOOK).await;
        }
        tracing::info!(?family, "somebody has flushed rules of iptables");
    }
}

async fn prepare(family: Family) -> Result<(), ProgramError> {
    let canaries = TABLES.map(|table| Wanted::Chain { table, chain: CANARY });
    for wanted in wanted(family).into_iter().chain(canaries) {
        if call(family, &wanted.look()).await.is_err() {
            call(family, &wanted.make()).await?;
        }
    }
    Ok(())
}

async fn is_whole(family: Family) -> bool {
    for table in TABLES {
        if call(family, &Wanted::Chain { table, chain: CANARY }.look()).await.is_err() {
            return false;
        }
    }
    true
}

fn wanted(family: Family) -> Vec<Wanted> {
    let mut all = vec![Wanted::Chain { table: "mangle", chain: "KUBE-IPTABLES-HINT" }];
    if family == Family::V6 {
        // Nothing is routed to local addresses there.
        return all;
    }
    let rule = |how, chain, rule| Wanted::Rule { table: "filter", how, chain, rule };
    let outside = vec![
        "-m",
        "comment",
        "--comment",
        "block incoming localnet connections",
        "--dst",
        "127.0.0.0/8",
        "!",
        "--src",
        "127.0.0.0/8",
        "-m",
        "conntrack",
        "!",
        "--ctstate",
        "RELATED,ESTABLISHED,DNAT",
        "-j",
        "DROP",
    ];
    all.extend([
        Wanted::Chain { table: "filter", chain: FIREWALL },
        rule("-I", "OUTPUT", vec!["-j", FIREWALL]),
        rule("-I", "INPUT", vec!["-j", FIREWALL]),
        rule("-A", FIREWALL, outside),
    ]);
    all
}

impl Wanted {
    /// Succeeds if it is there.
    fn look(&self) -> Vec<&str> {
        match self {
            Self::Chain { table, chain } => vec!["-t", table, "-S", chain, "1"],
            Self::Rule { table, chain, rule, .. } => [&["-t", table, "-C", chain], &rule[..]].concat(),
        }
    }

    /// Makes it.
    fn make(&self) -> Vec<&str> {
        match self {
            Self::Chain { table, chain } => vec!["-t", table, "-N", chain],
            Self::Rule { table, how, chain, rule } => [&["-t", table, how, chain], &rule[..]].concat(),
        }
    }
}

async fn call(family: Family, arguments: &[&str]) -> Result<String, ProgramError> {
    let program = match family {
        Family::V4 => "iptables",
        Family::V6 => "ip6tables",
    };
    program::run(program, &[&WAIT[..], arguments].concat(), "").await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_from_outside_do_not_reach_local_addresses() {
        let lines = |family| -> Vec<String> { wanted(family).iter().map(|wanted| wanted.make().join(" ")).collect() };
        assert_eq!(lines(Family::V6), ["-t mangle -N KUBE-IPTABLES-HINT"]);
        assert_eq!(
            lines(Family::V4),
            [
                "-t mangle -N KUBE-IPTABLES-HINT",
                "-t filter -N KUBE-FIREWALL",
                "-t filter -I OUTPUT -j KUBE-FIREWALL",
                "-t filter -I INPUT -j KUBE-FIREWALL",
                "-t filter -A KUBE-FIREWALL -m comment --comment block incoming localnet connections --dst 127.0.0.0/8 \
                 ! --src 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP",
            ]
        );
        let rule = &wanted(Family::V4)[2];
        assert_eq!(rule.look(), ["-t", "filter", "-C", "OUTPUT", "-j", "KUBE-FIREWALL"]);
    }
}
