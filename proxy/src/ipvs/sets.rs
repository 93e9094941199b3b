//! The sets of addresses and ports that rules match, in the kernel's `ipset`.
//!
//! Upstream: `pkg/proxy/ipvs/ipset.go`; names and types are its own.

use crate::model::{Family, Protocol};
use component::program::{ProgramError, run};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// A set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Set {
    /// Endpoints on this node that may reach themselves through their Service.
    LoopBack,
    ClusterIp,
    ExternalIp,
    ExternalIpLocal,
    LoadBalancer,
    LoadBalancerLocal,
    /// Load balancers' addresses that only some sources may reach.
    Guarded,
    SourceCidr,
    SourceIp,
    NodePort(Protocol),
    NodePortLocal(Protocol),
    HealthCheck,
    /// Addresses on the interface of Services.
    Addresses,
}

/// An entry in the words of `ipset`.
pub(super) type Entry = (Set, String);

impl Set {
    pub(super) const ALL: [Self; 17] = [
        Self::LoopBack,
        Self::ClusterIp,
        Self::ExternalIp,
        Self::ExternalIpLocal,
        Self::LoadBalancer,
        Self::LoadBalancerLocal,
        Self::Guarded,
        Self::SourceCidr,
        Self::SourceIp,
        Self::NodePort(Protocol::Tcp),
        Self::NodePortLocal(Protocol::Tcp),
        Self::NodePort(Protocol::Udp),
        Self::NodePortLocal(Protocol::Udp),
        Self::NodePort(Protocol::Sctp),
        Self::NodePortLocal(Protocol::Sctp),
        Self::HealthCheck,
        Self::Addresses,
    ];

    /// The name in the kernel, which has room for 31 characters.
    pub(super) fn name(self, family: Family) -> String {
        let prefix = match family {
            Family::V4 => "KUBE-",
            Family::V6 => "KUBE-6-",
        };
        let mut name = format!("{prefix}{}", self.facts().0);
        name.truncate(31);
        name
    }

    /// What rules say of it.
    pub(super) fn comment(self) -> &'static str {
        self.facts().2
    }

    fn facts(self) -> (&'static str, &'static str, &'static str) {
        use Protocol::{Sctp, Tcp, Udp};
        match self {
            Self::LoopBack => (
                "LOOP-BACK",
                "hash:ip,port,ip",
                "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose",
            ),
            Self::ClusterIp => {
                ("CLUSTER-IP", "hash:ip,port", "Kubernetes service cluster ip + port for masquerade purpose")
            }
            Self::ExternalIp => (
                "EXTERNAL-IP",
                "hash:ip,port",
                "Kubernetes service external ip + port for masquerade and filter purpose",
            ),
            Self::ExternalIpLocal => (
                "EXTERNAL-IP-LOCAL",
                "hash:ip,port",
                "Kubernetes service external ip + port with externalTrafficPolicy=local",
            ),
            Self::LoadBalancer => ("LOAD-BALANCER", "hash:ip,port", "Kubernetes service lb portal"),
            Self::LoadBalancerLocal => (
                "LOAD-BALANCER-LOCAL",
                "hash:ip,port",
                "Kubernetes service load balancer ip + port with externalTrafficPolicy=local",
            ),
            Self::Guarded => (
                "LOAD-BALANCER-FW",
                "hash:ip,port",
                "Kubernetes service load balancer ip + port for load balancer with sourceRange",
            ),
            Self::SourceCidr => (
                "LOAD-BALANCER-SOURCE-CIDR",
                "hash:ip,port,net",
                "Kubernetes service load balancer ip + port + source cidr for packet filter purpose",
            ),
            Self::SourceIp => (
                "LOAD-BALANCER-SOURCE-IP",
                "hash:ip,port,ip",
                "Kubernetes service load balancer ip + port + source IP for packet filter purpose",
            ),
            Self::NodePort(Tcp) => {
                ("NODE-PORT-TCP", "bitmap:port", "Kubernetes nodeport TCP port for masquerade purpose")
            }
            Self::NodePortLocal(Tcp) => {
                ("NODE-PORT-LOCAL-TCP", "bitmap:port", "Kubernetes nodeport TCP port with externalTrafficPolicy=local")
            }
            Self::NodePort(Udp) => {
                ("NODE-PORT-UDP", "bitmap:port", "Kubernetes nodeport UDP port for masquerade purpose")
            }
            Self::NodePortLocal(Udp) => {
                ("NODE-PORT-LOCAL-UDP", "bitmap:port", "Kubernetes nodeport UDP port with externalTrafficPolicy=local")
            }
            // A port alone cannot be told by protocol here.
            Self::NodePort(Sctp) => (
                "NODE-PORT-SCTP-HASH",
                "hash:ip,port",
                "Kubernetes nodeport SCTP port for masquerade purpose with type 'hash ip:port'",
            ),
            Self::NodePortLocal(Sctp) => (
                "NODE-PORT-LOCAL-SCTP-HASH",
                "hash:ip,port",
                "Kubernetes nodeport SCTP port with externalTrafficPolicy=local with type 'hash ip:port'",
            ),
            Self::HealthCheck => ("HEALTH-CHECK-NODE-PORT", "bitmap:port", "Kubernetes health check node port"),
            Self::Addresses => ("IPVS-IPS", "hash:ip", "Addresses on the ipvs interface"),
        }
    }
}

/// Whether the program is there and the kernel has sets.
pub(super) async fn work() -> Result<(), ProgramError> {
    run("ipset", &["list", "-name"], "").await.map(drop)
}

/// Makes all sets, and gives what is in them.
pub(super) async fn read(family: Family) -> Result<BTreeSet<Entry>, ProgramError> {
    run("ipset", &["restore", "-exist"], &creation(family)).await?;
    Ok(parse(family, &run("ipset", &["save"], "").await?))
}

/// Adds or deletes entries.
pub(super) async fn change(verb: &str, family: Family, entries: &[&Entry]) -> Result<(), ProgramError> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut text = String::new();
    for (set, entry) in entries {
        let _ = writeln!(text, "{verb} {} {entry}", set.name(family));
    }
    run("ipset", &["restore", "-exist"], &text).await.map(drop)
}

/// Removes the sets. Without the program there is nothing to remove.
pub(super) async fn destroy(family: Family) -> Result<(), ProgramError> {
    let listed = match run("ipset", &["list", "-name"], "").await {
        Err(ProgramError::Run { .. }) => return Ok(()),
        listed => listed?,
    };
    let names = Set::ALL.map(|set| set.name(family));
    let there = listed.lines().filter(|name| names.iter().any(|own| own == name));
    let text: String = there.map(|name| format!("destroy {name}\n")).collect();
    run("ipset", &["restore"], &text).await.map(drop)
}

fn creation(family: Family) -> String {
    let mut text = String::new();
    let inet = if family == Family::V4 { "inet" } else { "inet6" };
    for set in Set::ALL {
        let kind = set.facts().1;
        let more = match kind {
            "bitmap:port" => "range 0-65535".to_owned(),
            _ => format!("family {inet} hashsize 1024 maxelem 65536"),
        };
        let _ = writeln!(text, "create {} {kind} {more}", set.name(family));
    }
    text
}

/// Reads what `ipset save` prints.
fn parse(family: Family, saved: &str) -> BTreeSet<Entry> {
    let names = Set::ALL.map(|set| (set.name(family), set));
    let added = saved.lines().filter_map(|line| line.strip_prefix("add ")?.split_once(' '));
    let ours = added.filter_map(|(name, entry)| {
        let (_, set) = names.iter().find(|(own, _)| own == name)?;
        Some((*set, entry.trim().to_owned()))
    });
    ours.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_has_a_name_of_its_own_that_fits() {
        for family in [Family::V4, Family::V6] {
            let names: BTreeSet<_> = Set::ALL.map(|set| set.name(family)).into();
            assert!(names.len() == Set::ALL.len() && names.iter().all(|name| name.len() <= 31), "{names:?}");
        }
        assert_eq!(Set::NodePortLocal(Protocol::Sctp).name(Family::V6), "KUBE-6-NODE-PORT-LOCAL-SCTP-HAS");
        let text = creation(Family::V6);
        assert!(text.contains("create KUBE-6-CLUSTER-IP hash:ip,port family inet6 hashsize 1024 maxelem 65536\n"));
        assert!(text.contains("create KUBE-6-NODE-PORT-TCP bitmap:port range 0-65535\n"));
    }

    #[test]
    fn only_our_sets_are_read() {
        let saved = "create KUBE-CLUSTER-IP hash:ip,port family inet\nadd KUBE-CLUSTER-IP 10.96.0.1,tcp:443\n\
                     add KUBE-6-CLUSTER-IP fd00::1,tcp:443\nadd OTHER 10.0.0.1\nadd\nadd KUBE-NODE-PORT-TCP 30080\n";
        let want =
            [(Set::ClusterIp, "10.96.0.1,tcp:443".to_owned()), (Set::NodePort(Protocol::Tcp), "30080".to_owned())];
        assert_eq!(parse(Family::V4, saved), want.into());
    }
}
