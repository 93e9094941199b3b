//! The cluster's own network below the pods: the machine's address on it, the cables to the hosts of
//! masters and nodes, and the routes to the pods of each node.
//!
//! Hosts hang on a bridge in a network namespace of its own, where bridged frames do not pass
//! the machine's packet filter. Everything is made only where it is missing.

use crate::command::{ip, quietly, run};
use crate::layout::{BRIDGE, Cluster, HOST_IP, Host, Node, Place};
use anyhow::Context;
use std::path::Path;

/// How pods of different nodes reach each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum PodNetwork {
    /// By routes that are written once, when the nodes have registered.
    #[default]
    Routes,
    /// By flannel, which runs as a pod of every node and follows them.
    Flannel,
}

/// The namespace of the bridge that connects the hosts.
const FABRIC: &str = "kube-fabric";
/// The bridge's name in there.
const FABRIC_BRIDGE: &str = "br0";
/// The machine's port on that bridge.
const MACHINE_PORT: &str = "machine";

/// The network namespace of a host.
pub fn namespace(host: &str) -> String {
    format!("kube-{host}")
}

/// Makes what the processes need before they start.
pub fn ensure(cluster: &Cluster) -> anyhow::Result<()> {
    match cluster.hosts().next() {
        None => machine_alone()?,
        Some(_) => {
            fabric()?;
            for it in cluster.hosts() {
                host(it).with_context(|| format!("the network of {}", it.name))?;
            }
        }
    }
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("enabling forwarding")?;
    // Without the module bridged traffic is not filtered, and there is nothing to enable.
    quietly("modprobe", &["br_netfilter"]);
    std::fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", "1").ok();
    Ok(())
}

/// A bridge without ports carries the machine's address.
fn machine_alone() -> anyhow::Result<()> {
    let device = Path::new("/sys/class/net").join(BRIDGE);
    if device.exists() && !device.join("bridge").exists() {
        ip(&format!("link delete {BRIDGE}"))?;
    }
    if !device.exists() {
        ip(&format!("link add {BRIDGE} type bridge"))?;
    }
    address_machine()
}

fn address_machine() -> anyhow::Result<()> {
    ip(&format!("addr replace {HOST_IP}/24 dev {BRIDGE}"))?;
    ip(&format!("link set {BRIDGE} up"))
}

/// The bridge of the hosts, and the machine's cable to it.
fn fabric() -> anyhow::Result<()> {
    ensure_namespace(FABRIC)?;
    if ip(&format!("-n {FABRIC} link show {FABRIC_BRIDGE}")).is_err() {
        ip(&format!("-n {FABRIC} link add {FABRIC_BRIDGE} type bridge"))?;
    }
    ip(&format!("-n {FABRIC} link set {FABRIC_BRIDGE} up"))?;
    quietly("ip", &["netns", "exec", FABRIC, "sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0"]);
    if ip(&format!("-n {FABRIC} link show {MACHINE_PORT}")).is_err() {
        // It may be the bridge of a machine that was a node itself.
        quietly("ip", &["link", "delete", BRIDGE]);
        ip(&format!("link add {BRIDGE} type veth peer name {MACHINE_PORT} netns {FABRIC}"))?;
    }
    plug(MACHINE_PORT)?;
    address_machine()
}

/// A host's namespace with its address, and its cable to the bridge.
fn host(host: Host<'_>) -> anyhow::Result<()> {
    let (name, port) = (namespace(host.name), host.name);
    ensure_namespace(&name)?;
    if ip(&format!("-n {FABRIC} link show {port}")).is_err() {
        ip(&format!("link add {port} netns {FABRIC} type veth peer name eth0 netns {name}"))?;
    }
    plug(port)?;
    ip(&format!("-n {name} addr replace {}/24 dev eth0", host.ip))?;
    ip(&format!("-n {name} link set lo up"))?;
    ip(&format!("-n {name} link set eth0 up"))?;
    ip(&format!("-n {name} route replace default via {HOST_IP}"))
}

fn ensure_namespace(name: &str) -> anyhow::Result<()> {
    if Path::new("/run/netns").join(name).exists() {
        return Ok(());
    }
    ip(&format!("netns add {name}"))
}

fn plug(port: &str) -> anyhow::Result<()> {
    ip(&format!("-n {FABRIC} link set {port} master {FABRIC_BRIDGE} up"))
}

/// Tells the machine and the master hosts where pods are, and every node host where those of the others
/// are, unless the nodes find out by themselves.
pub fn route(cluster: &Cluster, nodes: &[(Node, String)], network: PodNetwork) -> anyhow::Result<()> {
    for (node, cidr) in nodes.iter().filter(|(node, _)| node.place == Place::Host) {
        ip(&format!("route replace {cidr} via {}", node.ip))?;
        // Answers must not take the way through the machine, whose packet filter has not seen the questions.
        for master in cluster.masters.iter().filter(|master| master.place == Place::Host) {
            ip(&format!("-n {} route replace {cidr} via {}", namespace(&master.name), node.ip))?;
        }
        let others = nodes.iter().filter(|(other, _)| network == PodNetwork::Routes && other.name != node.name);
        for (other, _) in others {
            ip(&format!("-n {} route replace {cidr} via {}", namespace(&other.name), node.ip))?;
        }
    }
    Ok(())
}

/// Removes all of it, and what the pod network made on this machine.
pub fn remove(hosts: &[String]) {
    for bridge in ["cni0", BRIDGE] {
        quietly("ip", &["link", "delete", bridge]);
    }
    for name in hosts.iter().map(|host| namespace(host)).chain([FABRIC.to_owned()]) {
        quietly("ip", &["netns", "delete", &name]);
    }
    for name in run("ls", &["/run/netns"]).unwrap_or_default().lines().filter(|name| name.starts_with("cni-")) {
        // Pods of another cluster live in theirs.
        if run("ip", &["netns", "pids", name]).is_ok_and(|pids| pids.trim().is_empty()) {
            quietly("ip", &["netns", "delete", name]);
        }
    }
}
