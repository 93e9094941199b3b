//! Rules that lead traffic of Services to the proxy's own sockets, as text for `iptables-restore`.
//!
//! Upstream had chains for containers, for the host and for node ports (`pkg/proxy/userspace/proxier.go` of v1.25);
//! here one does, as all go to the same address.

use crate::backend::Settings;
use crate::iptables::Jump;
use crate::model::{Fate, PortPlan, Protocol};
use std::fmt::Write as _;
use std::net::IpAddr;

/// The chain, in `nat` and in `filter`.
pub(super) const CHAIN: &str = "KUBE-PORTALS";

/// A port, and where the proxy listens for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Led<'a> {
    pub(super) plan: &'a PortPlan,
    /// For traffic to the cluster IP.
    pub(super) inner: Option<u16>,
    /// For traffic from outside.
    pub(super) outer: Option<u16>,
}

/// The kernel's chains that lead into ours.
pub(super) fn jumps() -> Vec<Jump> {
    let jump = |table, from| Jump { table, from, rule: ["-j", CHAIN].map(str::to_owned).to_vec() };
    [("nat", "PREROUTING"), ("nat", "OUTPUT"), ("filter", "INPUT"), ("filter", "FORWARD"), ("filter", "OUTPUT")]
        .map(|(table, from)| jump(table, from))
        .to_vec()
}

/// All rules. `addresses` are those that node ports answer on; `None` is every local one.
pub(super) fn text<'a>(
    settings: &Settings,
    addresses: Option<&[IpAddr]>,
    ports: impl Iterator<Item = Led<'a>>,
) -> String {
    let mut rules = Rules { settings, addresses, nat: String::new(), filter: String::new() };
    for port in ports {
        rules.port(port);
    }
    format!("*nat\n:{CHAIN} - [0:0]\n{}COMMIT\n*filter\n:{CHAIN} - [0:0]\n{}COMMIT\n", rules.nat, rules.filter)
}

/// Removes the chains, once nothing leads to them.
pub(super) fn removal() -> String {
    ["nat", "filter"].map(|table| format!("*{table}\n:{CHAIN} - [0:0]\n-X {CHAIN}\nCOMMIT\n")).concat()
}

struct Rules<'a> {
    settings: &'a Settings,
    addresses: Option<&'a [IpAddr]>,
    nat: String,
    filter: String,
}

impl Rules<'_> {
    fn port(&mut self, led: Led<'_>) {
        let (service, plan) = (&led.plan.service, led.plan);
        let protocol = service.name.protocol;
        self.lead(&to(service.cluster_ip, service.port, protocol), led.inner, plan.internal(), led.plan);
        for ip in &service.external_ips {
            self.lead(&to(*ip, service.port, protocol), led.outer, plan.external(), led.plan);
        }
        for ip in &service.balancer_ips {
            self.balancer(*ip, led);
        }
        if let Some(port) = service.node_port {
            for target in self.node_port(port, protocol) {
                self.lead(&target, led.outer, plan.external(), led.plan);
            }
        }
        for port in led.inner.into_iter().chain(led.outer.filter(|outer| led.inner != Some(*outer))) {
            // Who finds the socket itself gets around what guards the Service.
            let at = at_port(port, protocol);
            let _ = writeln!(self.filter, "-A {CHAIN} {at} -m conntrack ! --ctstate DNAT -j DROP");
        }
    }

    /// Traffic to a target goes to the proxy, or nowhere.
    fn lead(&mut self, target: &str, portal: Option<u16>, fate: Fate, plan: &PortPlan) {
        let name = format!("-m comment --comment \"{}\"", plan.service.name);
        match (fate, portal) {
            (Fate::Served(_), Some(port)) => {
                let _ = writeln!(self.nat, "-A {CHAIN} {target} {name} -j {}", self.verdict(port));
            }
            (Fate::Dropped, _) => {
                let _ = writeln!(self.filter, "-A {CHAIN} {target} {name} -j DROP");
            }
            (Fate::Rejected | Fate::Served(_), _) => {
                let _ = writeln!(self.filter, "-A {CHAIN} {target} {name} -j REJECT");
            }
        }
    }

    /// Only some may reach a load balancer's address, if the Service says so.
    fn balancer(&mut self, ip: IpAddr, led: Led<'_>) {
        let service = &led.plan.service;
        let target = to(ip, service.port, service.name.protocol);
        if !service.is_guarded() {
            return self.lead(&target, led.outer, led.plan.external(), led.plan);
        }
        for net in
            service.allowed_sources(self.settings.node_ip).iter().filter(|net| net.addr().is_ipv4() == ip.is_ipv4())
        {
            self.lead(&format!("-s {net} {target}"), led.outer, led.plan.external(), led.plan);
        }
        let _ = writeln!(self.filter, "-A {CHAIN} {target} -j DROP");
    }

    fn verdict(&self, port: u16) -> String {
        match self.settings.node_ip {
            Some(ip) if ip.is_ipv6() => format!("DNAT --to-destination [{ip}]:{port}"),
            Some(ip) => format!("DNAT --to-destination {ip}:{port}"),
            None => format!("REDIRECT --to-ports {port}"),
        }
    }

    fn node_port(&self, port: u16, protocol: Protocol) -> Vec<String> {
        let at = at_port(port, protocol);
        match self.addresses {
            None => vec![format!("-m addrtype --dst-type LOCAL {at}")],
            Some(addresses) => addresses.iter().map(|ip| to(*ip, port, protocol)).collect(),
        }
    }
}

fn at_port(port: u16, protocol: Protocol) -> String {
    let protocol = protocol.as_str();
    format!("-p {protocol} -m {protocol} --dport {port}")
}

fn to(ip: IpAddr, port: u16, protocol: Protocol) -> String {
    format!("-d {ip} {}", at_port(port, protocol))
}
