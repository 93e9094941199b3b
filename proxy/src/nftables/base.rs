//! What is there whatever the Services are: the table, its base chains, sets, maps, and the rules that
//! lead from packets into them.

use super::elements::Container;
use super::transaction::{address_type, table};
use crate::backend::{LocalTraffic, Settings};
use crate::model::Family;
use ipnet::IpNet;
use std::fmt::Write as _;
use std::net::IpAddr;

/// The chain that rejects.
pub(super) const REJECT: &str = "reject-chain";
const CLUSTER_IPS_CHECK: &str = "cluster-ips-check";

/// Chains that hang on the kernel's hooks: name, type, hook, priority. Those before address
/// translation see the address that was asked for.
const HOOKED: [(&str, &str, &str, &str); 8] = [
    ("filter-prerouting-pre-dnat", "filter", "prerouting", "-110"),
    ("filter-output-pre-dnat", "filter", "output", "-110"),
    ("filter-input", "filter", "input", "0"),
    ("filter-forward", "filter", "forward", "0"),
    ("filter-output", "filter", "output", "0"),
    ("nat-prerouting", "nat", "prerouting", "-100"),
    ("nat-output", "nat", "output", "-100"),
    ("nat-postrouting", "nat", "postrouting", "100"),
];

/// From where a packet comes to a chain of ours, and which ones. Kernels before 5.9 can reject only in
/// input, forward and output.
const JUMPS: [(&str, &str, &str); 11] = [
    ("filter-input", "ct state new ", "nodeport-endpoints-check"),
    ("filter-input", "ct state new ", "service-endpoints-check"),
    ("filter-forward", "ct state new ", "service-endpoints-check"),
    ("filter-output", "ct state new ", "service-endpoints-check"),
    ("filter-prerouting-pre-dnat", "ct state new ", "firewall-check"),
    ("filter-output-pre-dnat", "ct state new ", "firewall-check"),
    ("nat-output", "", "services"),
    ("nat-prerouting", "", "services"),
    ("nat-postrouting", "", "masquerading"),
    ("filter-forward", "ct state new ", CLUSTER_IPS_CHECK),
    ("filter-output", "ct state new ", CLUSTER_IPS_CHECK),
];

/// The commands that bring the table into its base state, with empty maps. `addresses` are those that
/// node ports answer on; `None` is every local one. `anew` makes the hooked chains again, which is how
/// their priorities change.
pub(super) fn text(settings: &Settings, addresses: Option<&[IpAddr]>, cidrs: &[IpNet], anew: bool) -> String {
    let mut base = Base { family: settings.family, text: String::new() };
    base.command(format_args!("add table {} {{ comment \"rules for kube-proxy\" ; }}", table(settings.family)));
    base.chains(anew);
    base.containers();
    base.text.push_str(&cluster_ips_check(settings.family, cidrs));
    base.masquerading(settings);
    base.node_port_addresses(addresses);
    base.checks(addresses.is_some());
    base.services(settings, addresses.is_some());
    base.text
}

/// The commands that fill the chain for addresses of Services that no rule has translated.
pub(super) fn cluster_ips_check(family: Family, cidrs: &[IpNet]) -> String {
    let (table, ip) = (table(family), keyword(family));
    let mut text = format!(
        "add chain {table} {CLUSTER_IPS_CHECK}\nflush chain {table} {CLUSTER_IPS_CHECK}\n\
         add rule {table} {CLUSTER_IPS_CHECK} {ip} daddr @cluster-ips reject comment \"Reject traffic to invalid ports of ClusterIPs\"\n"
    );
    if !cidrs.is_empty() {
        let cidrs: Vec<_> = cidrs.iter().map(ToString::to_string).collect();
        let _ = writeln!(
            text,
            "add rule {table} {CLUSTER_IPS_CHECK} {ip} daddr {{ {} }} drop comment \"Drop traffic to unallocated ClusterIPs\"",
            cidrs.join(" , ")
        );
    }
    text
}

/// The keyword for addresses of a family.
pub(super) fn keyword(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

/// Marks a packet for masquerading.
pub(super) fn mark(settings: &Settings) -> String {
    format!("mark set mark or {:#010x}", settings.masquerade_mark)
}

/// Matches traffic from this node's pods (or all other traffic), if it can be told apart.
pub(super) fn local(settings: &Settings, is_local: bool) -> Option<String> {
    let not = if is_local { "" } else { "!= " };
    match &settings.local {
        LocalTraffic::Unknown => None,
        LocalTraffic::Cidr(cidr) => Some(format!("{} saddr {not}{cidr}", keyword(settings.family))),
        LocalTraffic::Bridge(name) => Some(format!("iifname {not}\"{name}\"")),
        LocalTraffic::Prefix(prefix) => Some(format!("iifname {not}\"{prefix}*\"")),
    }
}

struct Base {
    family: Family,
    text: String,
}

impl Base {
    fn command(&mut self, command: std::fmt::Arguments<'_>) {
        let _ = self.text.write_fmt(command);
        self.text.push('\n');
    }

    fn rule(&mut self, chain: &str, rule: std::fmt::Arguments<'_>) {
        let table = table(self.family);
        self.command(format_args!("add rule {table} {chain} {rule}"));
    }

    fn chains(&mut self, anew: bool) {
        let table = table(self.family);
        for (name, ..) in HOOKED.iter().filter(|_| anew) {
            self.command(format_args!("add chain {table} {name}\ndelete chain {table} {name}"));
        }
        for (name, kind, hook, priority) in HOOKED {
            self.command(format_args!(
                "add chain {table} {name} {{ type {kind} hook {hook} priority {priority} ; }}\nflush chain {table} {name}"
            ));
        }
        for name in [
            "nodeport-endpoints-check",
            "service-endpoints-check",
            "firewall-check",
            "services",
            "masquerading",
            CLUSTER_IPS_CHECK,
        ] {
            self.command(format_args!("add chain {table} {name}\nflush chain {table} {name}"));
        }
        for (from, matches, to) in JUMPS {
            self.rule(from, format_args!("{matches}jump {to}"));
        }
        let comment = "helper for @no-endpoint-services / @no-endpoint-nodeports";
        self.command(format_args!(
            "add chain {table} {REJECT} {{ comment \"{comment}\" ; }}\nflush chain {table} {REJECT}"
        ));
        self.rule(REJECT, format_args!("reject"));
    }

    fn containers(&mut self) {
        let (table, address) = (table(self.family), address_type(self.family));
        for container in Container::ALL {
            let (kind, comment) = match container {
                Container::ClusterIps => (address.to_owned(), "Active ClusterIPs"),
                Container::HairpinConnections => {
                    (format!("{address} . {address} . inet_proto . inet_service"), "service hairpin connections")
                }
                Container::ServiceIps => (
                    format!("{address} . inet_proto . inet_service : verdict"),
                    "ClusterIP, ExternalIP and LoadBalancer IP traffic",
                ),
                Container::FirewallIps => (
                    format!("{address} . inet_proto . inet_service : verdict"),
                    "destinations that are subject to LoadBalancerSourceRanges",
                ),
                Container::NoEndpointServices => (
                    format!("{address} . inet_proto . inet_service : verdict"),
                    "vmap to drop or reject packets to services with no endpoints",
                ),
                Container::NoEndpointNodePorts => (
                    "inet_proto . inet_service : verdict".to_owned(),
                    "vmap to drop or reject packets to service nodeports with no endpoints",
                ),
                Container::ServiceNodePorts => ("inet_proto . inet_service : verdict".to_owned(), "NodePort traffic"),
            };
            let (what, name) = (container.kind(), container.name());
            self.command(format_args!("add {what} {table} {name} {{ type {kind} ; comment \"{comment}\" ; }}"));
            self.command(format_args!("flush {what} {table} {name}"));
        }
    }

    fn masquerading(&mut self, settings: &Settings) {
        let (mark, ip) = (format!("{:#010x}", settings.masquerade_mark), keyword(self.family));
        // The mark goes, so that a packet that passes twice is not masqueraded twice.
        self.rule(
            "masquerading",
            format_args!("mark and {mark} != 0 mark set mark xor {mark} masquerade fully-random"),
        );
        // A pod that reaches itself through its Service must not see its own address.
        self.rule(
            "masquerading",
            format_args!(
                "ct status dnat {ip} saddr . {ip} daddr . meta l4proto . th dport @hairpin-connections masquerade fully-random"
            ),
        );
    }

    /// The set is there only if node ports answer on certain addresses.
    fn node_port_addresses(&mut self, addresses: Option<&[IpAddr]>) {
        let (table, kind) = (table(self.family), address_type(self.family));
        self.command(format_args!(
            "add set {table} nodeport-ips {{ type {kind} ; comment \"IPs that accept NodePort traffic\" ; }}"
        ));
        let Some(addresses) = addresses else {
            self.command(format_args!("delete set {table} nodeport-ips"));
            return;
        };
        self.command(format_args!("flush set {table} nodeport-ips"));
        // Loopback addresses cannot be translated.
        let addresses: Vec<_> = addresses.iter().filter(|ip| !ip.is_loopback()).map(ToString::to_string).collect();
        if !addresses.is_empty() {
            self.command(format_args!("add element {table} nodeport-ips {{ {} }}", addresses.join(" , ")));
        }
    }

    fn checks(&mut self, has_addresses: bool) {
        let ip = keyword(self.family);
        let service = format!("{ip} daddr . meta l4proto . th dport vmap");
        self.rule("service-endpoints-check", format_args!("{service} @no-endpoint-services"));
        let to = self.node_port(has_addresses);
        self.rule("nodeport-endpoints-check", format_args!("{to} meta l4proto . th dport vmap @no-endpoint-nodeports"));
        self.rule("firewall-check", format_args!("{service} @firewall-ips"));
    }

    fn node_port(&self, has_addresses: bool) -> String {
        let ip = keyword(self.family);
        match (has_addresses, self.family) {
            (true, _) => format!("{ip} daddr @nodeport-ips"),
            (false, Family::V4) => "ip daddr != 127.0.0.0/8".to_owned(),
            (false, Family::V6) => "ip6 daddr != ::1".to_owned(),
        }
    }

    fn services(&mut self, settings: &Settings, has_addresses: bool) {
        let (ip, mark) = (keyword(self.family), mark(settings));
        match (settings.masquerade_all, local(settings, false)) {
            (true, _) => self.rule(
                "services",
                format_args!("{ip} daddr @cluster-ips {mark} comment \"masquerade all clusterIP traffic\""),
            ),
            // Who asks from elsewhere asked this node: the answer has to come back through it.
            (false, Some(not_local)) => self.rule(
                "services",
                format_args!(
                    "{ip} daddr @cluster-ips {not_local} {mark} comment \"masquerade clusterIP traffic from outside cluster\""
                ),
            ),
            (false, None) => {}
        }
        self.rule("services", format_args!("{ip} daddr . meta l4proto . th dport vmap @service-ips"));
        let to = self.node_port(has_addresses);
        let is_local = if has_addresses { "" } else { "fib daddr type local " };
        self.rule("services", format_args!("{is_local}{to} meta l4proto . th dport vmap @service-nodeports"));
    }
}
