//! The rules around the network: what leaves it is masqueraded, what belongs to it is forwarded. They
//! are made again when somebody removed or changed them.
//!
//! Upstream: `pkg/trafficmngr`.

mod iptables;
mod nftables;

use crate::config::Family;
use component::program::ProgramError;
use ipnet::IpNet;

/// What rules are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Addresses of what leaves the network are the node's.
    Masquerade,
    /// What belongs to the network passes.
    Forward,
}

/// An end of a packet's way: in this network, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    net: IpNet,
    within: bool,
}

/// What happens to a packet that matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// Nothing more here.
    Return,
    /// It passes.
    Accept,
    /// It gets the node's address, and a random port if told so.
    Masquerade {
        /// Whether the port is random.
        random: bool,
    },
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    /// Whether the packet has to bear the mark of those that kube-proxy masquerades.
    marked: bool,
    from: Option<End>,
    to: Option<End>,
    target: Target,
}

/// The bit of the packets' mark that kube-proxy uses.
const PROXY_MARK: &str = "0x4000";

/// The rules of one purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    purpose: Purpose,
    rules: Vec<Rule>,
}

/// What is masqueraded when it leaves a node whose part of `network` is `subnet`.
pub fn masquerade(network: IpNet, subnet: IpNet, random: bool) -> Chain {
    let within = |net| Some(End { net, within: true });
    let outside = |net| Some(End { net, within: false });
    let multicast = if network.addr().is_ipv4() { IpNet::V4(MULTICAST_V4) } else { IpNet::V6(MULTICAST_V6) };
    let rule = |from, to, target| Rule { marked: false, from, to, target };
    let masquerade = Target::Masquerade { random };
    let rules = vec![
        // What the proxy masquerades already.
        Rule { marked: true, from: None, to: None, target: Target::Return },
        // Pods see each other's own addresses.
        rule(within(subnet), within(network), Target::Return),
        rule(within(network), within(subnet), Target::Return),
        // What comes from outside to a pod of this node was received here.
        rule(outside(network), within(subnet), Target::Return),
        rule(within(network), outside(multicast), masquerade),
        // What the node itself sends to other nodes' pods.
        rule(outside(network), within(network), masquerade),
    ];
    Chain { purpose: Purpose::Masquerade, rules }
}

const MULTICAST_V4: ipnet::Ipv4Net = ipnet::Ipv4Net::new_assert(std::net::Ipv4Addr::new(224, 0, 0, 0), 4);
const MULTICAST_V6: ipnet::Ipv6Net =
    ipnet::Ipv6Net::new_assert(std::net::Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8);

/// What is forwarded even if forwarding is refused otherwise.
pub fn forward(network: IpNet) -> Chain {
    let end = Some(End { net: network, within: true });
    let rule = |from, to| Rule { marked: false, from, to, target: Target::Accept };
    Chain { purpose: Purpose::Forward, rules: vec![rule(end, None), rule(None, end)] }
}

/// The program that rules are written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `iptables` and `ip6tables`.
    Iptables,
    /// `nft`.
    Nftables,
}

/// A chain in the kernel.
#[derive(Debug)]
pub struct Keeper {
    kind: Kind,
    family: Family,
    purpose: Purpose,
    state: State,
}

/// What is known of the kernel's rules.
#[derive(Debug)]
enum State {
    /// Nothing: an earlier run may have left anything.
    Unknown,
    /// There are none.
    Absent,
    /// These were written, and the kernel showed them so.
    Written(Chain, String),
}

impl Keeper {
    /// Nothing is known of the kernel's rules yet.
    pub fn new(kind: Kind, family: Family, purpose: Purpose) -> Self {
        Self { kind, family, purpose, state: State::Unknown }
    }

    /// Makes the rules in the kernel `wanted`, if they are not. Whether something was written.
    pub async fn ensure(&mut self, wanted: Option<&Chain>) -> Result<bool, ProgramError> {
        if matches!(self.state, State::Unknown) {
            self.remove_others(wanted.is_none()).await;
        }
        let Some(wanted) = wanted else {
            self.state = State::Absent;
            return Ok(false);
        };
        if let State::Written(chain, then) = &self.state
            && chain == wanted
            && self.show().await.is_ok_and(|now| now == *then)
        {
            return Ok(false);
        }
        self.state = State::Absent;
        match self.kind {
            Kind::Iptables => iptables::write(self.family, wanted).await?,
            Kind::Nftables => nftables::write(self.family, wanted).await?,
        }
        self.state = State::Written(wanted.clone(), self.show().await?);
        Ok(true)
    }

    async fn show(&self) -> Result<String, ProgramError> {
        match self.kind {
            Kind::Iptables => iptables::show(self.family, self.purpose).await,
            Kind::Nftables => nftables::show(self.family, self.purpose).await,
        }
    }

    /// Removes what an earlier run with other settings may have left; mostly there is nothing.
    async fn remove_others(&self, own_too: bool) {
        if own_too || self.kind == Kind::Nftables {
            iptables::remove(self.family, self.purpose).await;
        }
        if own_too || self.kind == Kind::Iptables {
            nftables::remove(self.family, self.purpose).await;
        }
    }
}
