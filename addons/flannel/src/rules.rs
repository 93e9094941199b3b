//! The chains of iptables: what leaves the pods' network is masqueraded, what belongs to it is
//! forwarded. Made again when somebody removed or changed them.
//!
//! Upstream: `pkg/trafficmngr/iptables/iptables.go`.

use crate::config::Family;
use crate::program::{ProgramError, run};
use ipnet::IpNet;
use std::fmt::Write as _;

/// The mark of packets that kube-proxy masquerades itself.
const PROXY_MARK: &str = "0x4000/0x4000";

/// A chain of ours, and the chain of the system that leads to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    table: &'static str,
    name: &'static str,
    /// The system's chain.
    from: &'static str,
    comment: &'static str,
    /// Rules without their chain.
    rules: Vec<String>,
}

/// What is masqueraded when it leaves a node whose part of `network` is `subnet`.
pub fn masquerade(network: IpNet, subnet: IpNet, random: bool) -> Chain {
    let comment = "flanneld masq";
    let multicast = if network.addr().is_ipv4() { "224.0.0.0/4" } else { "ff00::/8" };
    let masquerade = if random { "MASQUERADE --random-fully" } else { "MASQUERADE" };
    let rules = [
        // What the proxy masquerades already.
        (format!("-m mark --mark {PROXY_MARK}"), "RETURN"),
        // Pods see each other's own addresses.
        (format!("-s {subnet} -d {network}"), "RETURN"),
        (format!("-s {network} -d {subnet}"), "RETURN"),
        // What comes from outside to a pod of this node was received here.
        (format!("! -s {network} -d {subnet}"), "RETURN"),
        (format!("-s {network} ! -d {multicast}"), masquerade),
        // What the node itself sends to other nodes' pods.
        (format!("! -s {network} -d {network}"), masquerade),
    ];
    let rules = rules.map(|(matching, target)| format!("{matching} -m comment --comment \"{comment}\" -j {target}"));
    Chain { table: "nat", name: "FLANNEL-POSTRTG", from: "POSTROUTING", comment, rules: rules.to_vec() }
}

/// What is forwarded even if forwarding is refused otherwise.
pub fn forward(network: IpNet) -> Chain {
    let comment = "flanneld forward";
    let rules = ["-s", "-d"].map(|side| format!("{side} {network} -m comment --comment \"{comment}\" -j ACCEPT"));
    Chain { table: "filter", name: "FLANNEL-FWD", from: "FORWARD", comment, rules: rules.to_vec() }
}

impl Chain {
    /// Input of `iptables-restore`. Declaring a chain empties it.
    fn restore(&self) -> String {
        let mut text = format!("*{}\n:{} - [0:0]\n", self.table, self.name);
        for rule in &self.rules {
            let _ = writeln!(text, "-A {} {rule}", self.name);
        }
        text.push_str("COMMIT\n");
        text
    }
}

/// A chain in the kernel.
#[derive(Debug)]
pub struct Keeper {
    family: Family,
    /// What was written, and how the kernel shows it.
    applied: Option<(Chain, String)>,
}

impl Keeper {
    /// Nothing is known of the kernel's state yet.
    pub fn new(family: Family) -> Self {
        Self { family, applied: None }
    }

    /// Makes the chain in the kernel `wanted`, if it is not. Whether something was written.
    pub async fn ensure(&mut self, wanted: &Chain) -> Result<bool, ProgramError> {
        let shown = self.show(wanted).await;
        let is_right =
            matches!((&self.applied, &shown), (Some((chain, then)), Ok(now)) if chain == wanted && then == now);
        if is_right && self.has_jump(wanted).await {
            return Ok(false);
        }
        self.applied = None;
        let program = self.program("iptables-restore", "ip6tables-restore");
        run(program, &["-w", "5", "--noflush"], &wanted.restore()).await?;
        if !self.has_jump(wanted).await {
            self.jump("-A", wanted).await?;
        }
        self.applied = Some((wanted.clone(), self.show(wanted).await?));
        Ok(true)
    }

    async fn show(&self, chain: &Chain) -> Result<String, ProgramError> {
        self.iptables(&["-t", chain.table, "-S", chain.name]).await
    }

    async fn has_jump(&self, chain: &Chain) -> bool {
        self.jump("-C", chain).await.is_ok()
    }

    async fn jump(&self, operation: &str, chain: &Chain) -> Result<String, ProgramError> {
        let comment = ["-m", "comment", "--comment", chain.comment];
        let [m, module, option, text] = comment;
        self.iptables(&["-t", chain.table, operation, chain.from, m, module, option, text, "-j", chain.name]).await
    }

    async fn iptables(&self, arguments: &[&str]) -> Result<String, ProgramError> {
        let arguments: Vec<&str> = ["-w", "5"].into_iter().chain(arguments.iter().copied()).collect();
        run(self.program("iptables", "ip6tables"), &arguments, "").await
    }

    fn program(&self, v4: &'static str, v6: &'static str) -> &'static str {
        match self.family {
            Family::V4 => v4,
            Family::V6 => v6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_masqueraded() {
        let chain = masquerade("10.244.0.0/16".parse().unwrap(), "10.244.3.0/24".parse().unwrap(), true);
        assert_eq!(
            chain.restore(),
            "*nat\n:FLANNEL-POSTRTG - [0:0]\n\
             -A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment \"flanneld masq\" -j RETURN\n\
             -A FLANNEL-POSTRTG -s 10.244.3.0/24 -d 10.244.0.0/16 -m comment --comment \"flanneld masq\" -j RETURN\n\
             -A FLANNEL-POSTRTG -s 10.244.0.0/16 -d 10.244.3.0/24 -m comment --comment \"flanneld masq\" -j RETURN\n\
             -A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d 10.244.3.0/24 -m comment --comment \"flanneld masq\" -j RETURN\n\
             -A FLANNEL-POSTRTG -s 10.244.0.0/16 ! -d 224.0.0.0/4 -m comment --comment \"flanneld masq\" -j MASQUERADE --random-fully\n\
             -A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d 10.244.0.0/16 -m comment --comment \"flanneld masq\" -j MASQUERADE --random-fully\n\
             COMMIT\n"
        );
        let chain = masquerade("fd00:10::/48".parse().unwrap(), "fd00:10::/64".parse().unwrap(), false);
        assert!(chain.rules[4].contains("! -d ff00::/8"), "{chain:?}");
        assert!(chain.rules[4].ends_with("-j MASQUERADE"), "{chain:?}");
    }

    #[test]
    fn what_is_forwarded() {
        assert_eq!(
            forward("10.244.0.0/16".parse().unwrap()).restore(),
            "*filter\n:FLANNEL-FWD - [0:0]\n\
             -A FLANNEL-FWD -s 10.244.0.0/16 -m comment --comment \"flanneld forward\" -j ACCEPT\n\
             -A FLANNEL-FWD -d 10.244.0.0/16 -m comment --comment \"flanneld forward\" -j ACCEPT\nCOMMIT\n"
        );
    }
}
