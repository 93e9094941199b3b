//! From pods, namespaces and policies to the table of one node. Pure.
//!
//! A packet of an isolated pod goes through the pod's chain for what it sends, then through the
//! receiver's. A pod's chain tries the chains of the policies that select it and drops the rest; pods
//! that the same policies select share it. What peers select is a set of addresses: a pod that comes or
//! goes is one element.

use super::pod::Pod;
use super::ruleset::{BASE, Kind, Ruleset, protocol};
use crate::config::Family;
use apimachinery::selector::LabelSelector;
use ipnet::IpNet;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// The chain that every forwarded packet ends in: the receiver's side.
const RECEIVE: &str = "to-pods";
/// Chains by sender.
const BY_SENDER: &str = "by-sender";
/// Chains by receiver.
const BY_RECEIVER: &str = "by-receiver";
/// Each isolated pod as sender and receiver: none is kept from itself.
const ITSELF: &str = "itself";

/// What IPv6 has in the place of ARP.
const DISCOVERY: &str = "nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert";

/// What a table is made of.
#[derive(Clone, Copy, Debug)]
pub struct Cluster<'a> {
    /// The node whose table it is.
    pub node: &'a str,
    /// All pods.
    pub pods: &'a [Arc<Pod>],
    /// All namespaces.
    pub namespaces: &'a [Arc<Namespace>],
    /// All policies.
    pub policies: &'a [Arc<NetworkPolicy>],
}

/// A side of a pod's traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    /// What it receives.
    Ingress,
    /// What it sends.
    Egress,
}

impl Side {
    /// How chains of it begin.
    fn word(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    /// Where the peer's address stands.
    fn peer(self) -> &'static str {
        match self {
            Self::Ingress => "saddr",
            Self::Egress => "daddr",
        }
    }

    /// What happens to allowed packets: those sent have to be received, too.
    fn allowed(self) -> &'static str {
        match self {
            Self::Ingress => "accept",
            Self::Egress => "goto to-pods",
        }
    }
}

/// The table of a family. Without policies for the node's pods it lets everything pass.
pub fn plan(family: Family, cluster: &Cluster<'_>) -> Ruleset {
    let mut planner = Planner { family, cluster, by_namespace: BTreeMap::new(), ruleset: Ruleset::default() };
    for pod in cluster.pods {
        planner.by_namespace.entry(pod.namespace()).or_default().push(pod);
    }
    planner.base();
    let isolated = planner.policies();
    planner.pods(isolated);
    planner.ruleset
}

struct Planner<'a> {
    family: Family,
    cluster: &'a Cluster<'a>,
    by_namespace: BTreeMap<&'a str, Vec<&'a Pod>>,
    ruleset: Ruleset,
}

/// The policies' chains for each side of an address that they isolate.
type Isolated = BTreeMap<(Side, IpAddr), BTreeSet<String>>;

impl<'a> Planner<'a> {
    fn base(&mut self) {
        let ip = protocol(self.family);
        for map in [BY_SENDER, BY_RECEIVER] {
            self.ruleset.set(map, Kind::Verdicts);
        }
        self.ruleset.set(ITSELF, Kind::Pairs);
        let mut first = vec!["ct state established,related accept".to_owned()];
        if self.family == Family::V6 {
            // Without it pods of one bridge, whose frames pass here, would not find each other or the node.
            first.push(format!("icmpv6 type {{ {DISCOVERY} }} accept"));
        }
        first.extend([
            format!("{ip} saddr . {ip} daddr @{ITSELF} accept"),
            format!("{ip} saddr vmap @{BY_SENDER}"),
            format!("jump {RECEIVE}"),
        ]);
        self.ruleset.chains.insert(BASE.to_owned(), first);
        let second = vec![format!("{ip} daddr vmap @{BY_RECEIVER}"), "accept".to_owned()];
        self.ruleset.chains.insert(RECEIVE.to_owned(), second);
    }

    /// Writes the chains of the policies that select pods of this node.
    fn policies(&mut self) -> Isolated {
        let mut isolated = Isolated::new();
        for policy in self.cluster.policies {
            let (Some(namespace), Some(name), Some(spec)) =
                (&policy.metadata.namespace, &policy.metadata.name, &policy.spec)
            else {
                continue;
            };
            let selector = spec.pod_selector.clone().unwrap_or_default();
            let addresses: Vec<IpAddr> = self.selected(namespace, &selector);
            if addresses.is_empty() {
                continue;
            }
            for side in sides(spec) {
                let chain = name_of(side.word(), &[namespace, name]);
                let rules = self.rules(side, namespace, spec);
                self.ruleset.chains.insert(chain.clone(), rules);
                for address in &addresses {
                    isolated.entry((side, *address)).or_default().insert(chain.clone());
                }
            }
        }
        isolated
    }

    /// Addresses of this node's pods that a policy selects.
    fn selected(&self, namespace: &str, selector: &meta::LabelSelector) -> Vec<IpAddr> {
        let Some(selector) = parsed(Some(selector)) else { return Vec::new() };
        let pods = self.by_namespace.get(namespace).into_iter().flatten();
        let pods = pods.filter(|pod| pod.is_on(self.cluster.node) && selector.matches(|label| pod.label(label)));
        pods.flat_map(|pod| pod.addresses(self.family)).collect()
    }

    /// Leads the isolated pods' packets into their chains.
    fn pods(&mut self, isolated: Isolated) {
        for ((side, address), policies) in isolated {
            let names: Vec<&str> = policies.iter().map(String::as_str).collect();
            let chain = name_of(&format!("pods-{}", side.word()), &names);
            let rules = || policies.iter().map(|policy| format!("jump {policy}")).chain(["drop".to_owned()]).collect();
            self.ruleset.chains.entry(chain.clone()).or_insert_with(rules);
            let map = if side == Side::Egress { BY_SENDER } else { BY_RECEIVER };
            self.ruleset.set(map, Kind::Verdicts).insert(format!("{address} : goto {chain}"));
            self.ruleset.set(ITSELF, Kind::Pairs).insert(format!("{address} . {address}"));
        }
    }

    /// What a policy allows on one side.
    fn rules(&mut self, side: Side, namespace: &str, spec: &NetworkPolicySpec) -> Vec<String> {
        let allowed: Vec<(Option<&[NetworkPolicyPeer]>, Option<&[NetworkPolicyPort]>)> = match side {
            Side::Ingress => {
                spec.ingress.iter().flatten().map(|rule| (rule.from.as_deref(), rule.ports.as_deref())).collect()
            }
            Side::Egress => {
                spec.egress.iter().flatten().map(|rule| (rule.to.as_deref(), rule.ports.as_deref())).collect()
            }
        };
        let mut rules = Vec::new();
        for (peers, ports) in allowed {
            let ports = self.ports(side, ports.unwrap_or_default());
            for peer in self.peers(side, namespace, peers.unwrap_or_default()) {
                for port in &ports {
                    let parts = [peer.as_str(), port.as_str(), side.allowed()];
                    rules.push(parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" "));
                }
            }
        }
        rules
    }

    /// What matches the peers; no peers are all.
    fn peers(&mut self, side: Side, namespace: &str, peers: &[NetworkPolicyPeer]) -> Vec<String> {
        if peers.is_empty() {
            return vec![String::new()];
        }
        peers
            .iter()
            .filter_map(|peer| match &peer.ip_block {
                Some(block) => self.block(side, block),
                None => self.pod_peer(side, namespace, peer),
            })
            .collect()
    }

    fn block(&self, side: Side, block: &IPBlock) -> Option<String> {
        let net =
            |text: &str| text.parse::<IpNet>().ok().filter(|net| self.family.has(net.addr())).map(|net| net.trunc());
        let cidr = net(&block.cidr)?;
        let field = format!("{} {}", protocol(self.family), side.peer());
        let mut text = if cidr.prefix_len() == 0 { String::new() } else { format!("{field} {cidr}") };
        let except: Vec<IpNet> = block.except.iter().flatten().filter_map(|text| net(text)).collect();
        if except.iter().any(|net| net.contains(&cidr)) {
            return None;
        }
        if !except.is_empty() {
            // Intervals of one set may not overlap.
            let except: Vec<String> = IpNet::aggregate(&except).iter().map(IpNet::to_string).collect();
            let space = if text.is_empty() { "" } else { " " };
            text += &format!("{space}{field} != {{ {} }}", except.join(", "));
        }
        Some(text)
    }

    /// A set with the addresses of the selected pods, wherever they run.
    fn pod_peer(&mut self, side: Side, namespace: &str, peer: &NetworkPolicyPeer) -> Option<String> {
        if peer.namespace_selector.is_none() && peer.pod_selector.is_none() {
            return None;
        }
        let key = |selector: &Option<meta::LabelSelector>| serde_json::to_string(selector).unwrap_or_default();
        // Two policies that select the same share the set.
        let own = if peer.namespace_selector.is_none() { namespace } else { "" };
        let set = name_of("peers", &[own, &key(&peer.namespace_selector), &key(&peer.pod_selector)]);
        if !self.ruleset.sets.contains_key(&set) {
            let addresses = self.peer_addresses(namespace, peer)?;
            *self.ruleset.set(&set, Kind::Addresses) = addresses;
        }
        Some(format!("{} {} @{set}", protocol(self.family), side.peer()))
    }

    fn peer_addresses(&self, namespace: &str, peer: &NetworkPolicyPeer) -> Option<BTreeSet<String>> {
        let everything = meta::LabelSelector::default();
        let pod_selector = parsed(Some(peer.pod_selector.as_ref().unwrap_or(&everything)))?;
        let namespaces: Vec<&str> = match &peer.namespace_selector {
            None => vec![namespace],
            Some(selector) => {
                let selector = parsed(Some(selector))?;
                let label = |namespace: &'a Namespace, name: &str| {
                    namespace.metadata.labels.as_ref().and_then(|labels| labels.get(name)).map(String::as_str)
                };
                let all = self.cluster.namespaces.iter().filter(|n| selector.matches(|name| label(n, name)));
                all.filter_map(|n| n.metadata.name.as_deref()).collect()
            }
        };
        let pods = namespaces.iter().filter_map(|name| self.by_namespace.get(name)).flatten();
        let pods = pods.filter(|pod| pod_selector.matches(|label| pod.label(label)));
        Some(pods.flat_map(|pod| pod.addresses(self.family)).map(|ip| ip.to_string()).collect())
    }

    /// What matches the ports; no ports are all. Numbers of a protocol make one match.
    fn ports(&mut self, side: Side, ports: &[NetworkPolicyPort]) -> Vec<String> {
        if ports.is_empty() {
            return vec![String::new()];
        }
        let (mut numbers, mut others) = (BTreeMap::<&str, Vec<(u16, u16)>>::new(), BTreeSet::new());
        for port in ports {
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            let Some((word, number)) = transport(protocol) else { continue };
            match &port.port {
                None => drop(others.insert(format!("meta l4proto {number}"))),
                Some(IntOrString::Int(first)) => {
                    let last = port.end_port.unwrap_or(*first);
                    if let (Ok(first), Ok(last)) = (u16::try_from(*first), u16::try_from(last)) {
                        numbers.entry(word).or_default().push((first, last));
                    }
                }
                Some(IntOrString::String(name)) => drop(others.insert(self.named(side, name, protocol, number))),
            }
        }
        let numbers = numbers.into_iter().map(|(word, ranges)| format!("{word} dport {{ {} }}", merged(ranges)));
        numbers.chain(others).collect()
    }

    /// A port's name means what the receiving pod says: a set of addresses with their ports.
    fn named(&mut self, side: Side, name: &str, protocol: &str, number: u8) -> String {
        let set = name_of("ports", &[side.word(), name, protocol]);
        if !self.ruleset.sets.contains_key(&set) {
            let receivers = self.cluster.pods.iter().filter(|pod| side == Side::Egress || pod.is_on(self.cluster.node));
            let elements = receivers.flat_map(|pod| {
                let ports: Vec<u16> = pod.ports(name, protocol).collect();
                let addresses = pod.addresses(self.family);
                addresses
                    .flat_map(move |ip| ports.clone().into_iter().map(move |port| format!("{ip} . {number} . {port}")))
            });
            *self.ruleset.set(&set, Kind::Ports) = elements.collect();
        }
        let ip = super::ruleset::protocol(self.family);
        format!("{ip} daddr . meta l4proto . th dport @{set}")
    }
}

/// The sides that a policy isolates.
fn sides(spec: &NetworkPolicySpec) -> Vec<Side> {
    let types = spec.policy_types.as_deref().unwrap_or_default();
    let has = |name: &str| types.iter().any(|kind| kind == name);
    let has_egress = spec.egress.as_ref().is_some_and(|rules| !rules.is_empty());
    let ingress = types.is_empty() || has("Ingress");
    let egress = if types.is_empty() { has_egress } else { has("Egress") };
    [(Side::Ingress, ingress), (Side::Egress, egress)].into_iter().filter(|(_, on)| *on).map(|(side, _)| side).collect()
}

/// A selector that cannot be read selects nothing; the apiserver takes none.
fn parsed(selector: Option<&meta::LabelSelector>) -> Option<LabelSelector> {
    let value = serde_json::to_value(selector).ok()?;
    LabelSelector::from_value(&value).ok().flatten()
}

/// nft's word for a protocol, and its number: the words of others stand in a file that may be missing.
fn transport(protocol: &str) -> Option<(&'static str, u8)> {
    match protocol {
        "TCP" => Some(("tcp", 6)),
        "UDP" => Some(("udp", 17)),
        "SCTP" => Some(("sctp", 132)),
        _ => None,
    }
}

/// Ranges without overlap, as nft writes them.
fn merged(mut ranges: Vec<(u16, u16)>) -> String {
    ranges.retain(|(first, last)| first <= last);
    ranges.sort_unstable();
    let mut merged: Vec<(u16, u16)> = Vec::new();
    for (first, last) in ranges {
        match merged.last_mut() {
            Some((_, end)) if u32::from(first) <= u32::from(*end) + 1 => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
    }
    let text = |(first, last): (u16, u16)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    merged.into_iter().map(text).collect::<Vec<_>>().join(", ")
}

/// A name that nft takes and that no two keys share.
fn name_of(kind: &str, key: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in key {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    let digest = digest.finalize();
    digest[..12].iter().fold(format!("{kind}-"), |name, byte| name + &format!("{byte:02x}"))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
