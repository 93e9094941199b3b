//! The options of `flanneld`. Each can also come from the environment: `FLANNELD_IP_MASQ`.
//!
//! Upstream: `main.go`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

/// The options.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Contact the Kubernetes API for subnet assignment instead of etcd, which is not built.
    #[arg(long, action = clap::ArgAction::Set, default_value_t = false)]
    pub kube_subnet_mgr: bool,
    /// Path to a kubeconfig file; the pod's service account if empty.
    #[arg(long)]
    pub kubeconfig_file: Option<PathBuf>,
    /// Prefix of the node's annotations; at most one slash.
    #[arg(long, default_value = "flannel.alpha.coreos.com")]
    pub kube_annotation_prefix: String,
    /// Path to the network configuration file.
    #[arg(long, default_value = "/etc/kube-flannel/net-conf.json")]
    pub net_config_path: PathBuf,
    /// File that the CNI plugin reads the node's part of the network from.
    #[arg(long, default_value = "/run/flannel/subnet.env")]
    pub subnet_file: PathBuf,
    /// Interface (name or address) for traffic between nodes; the first match of several counts.
    #[arg(long)]
    pub iface: Vec<String>,
    /// Regular expression of that interface's name or address, tried after --iface.
    #[arg(long)]
    pub iface_regex: Vec<String>,
    /// Take the interface that leads to this address.
    #[arg(long)]
    pub iface_can_reach: Option<IpAddr>,
    /// Address at which other nodes reach this one.
    #[arg(long)]
    pub public_ip: Option<Ipv4Addr>,
    /// IPv6 address at which other nodes reach this one.
    #[arg(long)]
    pub public_ipv6: Option<Ipv6Addr>,
    /// Masquerade what leaves the pods' network.
    #[arg(long, action = clap::ArgAction::Set, default_value_t = false)]
    pub ip_masq: bool,
    /// Do not randomise the ports of masqueraded connections.
    #[arg(long, action = clap::ArgAction::Set, default_value_t = false)]
    pub ip_masq_fully_random_disable: bool,
    /// Accept forwarded traffic of the pods' network.
    #[arg(long, action = clap::ArgAction::Set, default_value_t = true)]
    pub iptables_forward_rules: bool,
    /// Seconds between two looks at rules, routes and device.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub iptables_resync: u64,
    /// Refuse traffic to addresses of this node's part that no pod has.
    #[arg(long, action = clap::ArgAction::Set, default_value_t = false)]
    pub ip_blackhole_route: bool,
    /// Say in the node's conditions that the network is there.
    #[arg(long, action = clap::ArgAction::Set, default_value_t = true)]
    pub set_node_network_unavailable: bool,
    /// Address of the health endpoint.
    #[arg(long, default_value = "0.0.0.0")]
    pub healthz_ip: IpAddr,
    /// Port of the health endpoint; 0 serves none.
    #[arg(long, default_value_t = 0)]
    pub healthz_port: u16,
    /// Enforce network policies on this node's pods; needs to read pods, namespaces and network policies.
    #[arg(long, action = clap::ArgAction::Set, default_value_t = false)]
    pub network_policies: bool,
}
