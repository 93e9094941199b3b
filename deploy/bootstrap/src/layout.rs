//! Where everything lies, and the cluster's fixed addresses.

use std::path::{Path, PathBuf};

/// Address of this machine on the cluster's own bridge, so that endpoints are never loopback.
pub const HOST_IP: &str = "10.198.0.1";
/// The device that carries [`HOST_IP`]: a bridge without ports, or the cable to the node hosts.
pub const BRIDGE: &str = "kube0";
/// What the addresses of the node hosts begin with; see [`Node::all`].
const NODE_NETWORK: &str = "10.198.0.";
/// Most node hosts.
pub const MAX_NODES: u8 = 200;
/// Most master hosts: etcd gets slower with more members, not safer.
pub const MAX_MASTERS: u8 = 7;
/// `--service-cluster-ip-range`.
pub const SERVICE_CIDR: &str = "10.96.0.0/16";
/// First address of the range: the Service `kubernetes`.
pub const API_IP: &str = "10.96.0.1";
/// The Service `kube-dns`.
pub const DNS_IP: &str = "10.96.0.10";
/// `--cluster-cidr`.
pub const POD_CIDR: &str = "10.244.0.0/16";
/// `--secure-port`.
pub const API_PORT: u16 = 6443;
/// etcd's client port.
pub const ETCD_PORT: u16 = 2379;
/// etcd's peer port.
pub const ETCD_PEER_PORT: u16 = 2380;
/// The image that holds a pod's namespaces.
pub const PAUSE_IMAGE: &str = "localhost/pause:3.10";

/// The state folder.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout of the state under `root`.
    pub fn new(root: PathBuf) -> Self {
        // Processes run elsewhere: paths must not depend on the working folder.
        Self { root: std::path::absolute(&root).unwrap_or(root) }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Keys and certificates.
    pub fn pki(&self, file: &str) -> PathBuf {
        self.root.join("pki").join(file)
    }

    /// Configuration files.
    pub fn config(&self, file: &str) -> PathBuf {
        self.root.join("config").join(file)
    }

    /// A process' log.
    pub fn log(&self, process: &str) -> PathBuf {
        self.root.join("logs").join(format!("{process}.log"))
    }

    /// A process' data.
    pub fn data(&self, process: &str) -> PathBuf {
        self.root.join(process)
    }

    /// Sockets and process IDs.
    pub fn run(&self, file: &str) -> PathBuf {
        self.root.join("run").join(file)
    }

    /// containerd's socket.
    pub fn containerd_socket(&self) -> PathBuf {
        self.run("containerd").join("containerd.sock")
    }

    /// The state of a node host.
    pub fn node(&self, name: &str) -> Self {
        Self { root: self.root.join("nodes").join(name) }
    }

    /// The state of a master host.
    pub fn master(&self, name: &str) -> Self {
        Self { root: self.root.join("masters").join(name) }
    }

    /// The administrator's kubeconfig.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.root.join("admin.conf")
    }
}

/// A cluster: where its state lies, who its masters are, and its nodes.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The state folder.
    pub layout: Layout,
    /// At least one.
    pub masters: Vec<Master>,
    /// At least one.
    pub nodes: Vec<Node>,
}

/// A machine of the cluster that is made of namespaces on this one.
#[derive(Clone, Copy, Debug)]
pub struct Host<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its address on the cluster's own network.
    pub ip: &'a str,
    /// Its state.
    pub layout: &'a Layout,
}

impl Cluster {
    /// A cluster of so many master hosts and node hosts; this machine is what has none.
    pub fn new(layout: Layout, masters: Option<u8>, nodes: Option<u8>) -> Self {
        Self { masters: Master::all(&layout, masters), nodes: Node::all(&layout, nodes), layout }
    }

    /// The names of the masters that have data of the store.
    pub fn former_masters(layout: &Layout) -> Vec<String> {
        let machine = Self::new(layout.clone(), None, None).masters.into_iter();
        let hosts = Self::new(layout.clone(), Some(MAX_MASTERS), None).masters.into_iter();
        let has_data = |master: &Master| master.layout.data("etcd").join("member").exists();
        machine.chain(hosts).filter(has_data).map(|master| master.name).collect()
    }

    /// The master hosts and the node hosts.
    pub fn hosts(&self) -> impl Iterator<Item = Host<'_>> {
        let masters = self.masters.iter().filter(|master| master.place == Place::Host).map(Master::host);
        masters.chain(self.nodes.iter().filter(|node| node.place == Place::Host).map(Node::host))
    }

    /// Whether the apiservers are behind a load balancer on this machine.
    pub fn is_balanced(&self) -> bool {
        self.masters.iter().all(|master| master.place == Place::Host)
    }
}

/// Where a node or a master runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On this machine itself.
    Machine,
    /// A host of its own, made of namespaces.
    Host,
}

/// A node of the cluster.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its address on the cluster's own network.
    pub ip: String,
    /// Where it runs.
    pub place: Place,
    /// Its state: the cluster's folder, or one below it.
    pub layout: Layout,
}

impl Node {
    /// The nodes of a cluster: this machine, or `hosts` node hosts.
    pub fn all(layout: &Layout, hosts: Option<u8>) -> Vec<Self> {
        match hosts {
            None => {
                vec![Self { name: machine_name(), ip: HOST_IP.into(), place: Place::Machine, layout: layout.clone() }]
            }
            Some(hosts) => (1..=hosts.min(MAX_NODES)).map(|number| Self::numbered(layout, number)).collect(),
        }
    }

    fn numbered(layout: &Layout, number: u8) -> Self {
        let name = format!("node-{number}");
        let ip = format!("{NODE_NETWORK}{}", 10 + u16::from(number));
        Self { layout: layout.node(&name), name, ip, place: Place::Host }
    }

    /// Its host, where it is one.
    pub fn host(&self) -> Host<'_> {
        Host { name: &self.name, ip: &self.ip, layout: &self.layout }
    }

    /// The apiserver's address as the node sees it.
    pub fn server(&self) -> String {
        match self.place {
            Place::Machine => format!("https://127.0.0.1:{API_PORT}"),
            Place::Host => format!("https://{HOST_IP}:{API_PORT}"),
        }
    }
}

/// A master: a member of etcd with an apiserver, a controller manager and a scheduler.
#[derive(Clone, Debug)]
pub struct Master {
    /// Its name, also as a member of etcd.
    pub name: String,
    /// The address at which the others reach it.
    pub ip: String,
    /// Where it runs.
    pub place: Place,
    /// Its state: the cluster's folder, or one below it.
    pub layout: Layout,
}

impl Master {
    /// The masters of a cluster: this machine, or `hosts` master hosts.
    pub fn all(layout: &Layout, hosts: Option<u8>) -> Vec<Self> {
        match hosts {
            None => {
                vec![Self { name: "etcd-0".into(), ip: HOST_IP.into(), place: Place::Machine, layout: layout.clone() }]
            }
            Some(hosts) => (1..=hosts.min(MAX_MASTERS)).map(|number| Self::numbered(layout, number)).collect(),
        }
    }

    fn numbered(layout: &Layout, number: u8) -> Self {
        let name = format!("master-{number}");
        let ip = format!("{NODE_NETWORK}{}", 1 + u16::from(number));
        Self { layout: layout.master(&name), name, ip, place: Place::Host }
    }

    /// Its host, where it is one.
    pub fn host(&self) -> Host<'_> {
        Host { name: &self.name, ip: &self.ip, layout: &self.layout }
    }

    /// The address of etcd's `port` as the other masters see it.
    pub fn etcd(&self, port: u16) -> String {
        match self.place {
            Place::Machine => format!("https://127.0.0.1:{port}"),
            Place::Host => format!("https://{}:{port}", self.ip),
        }
    }
}

/// This machine's name, in lower case.
pub fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" | "(none)" => "node-0".into(),
        name => name.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_hosts_have_names_addresses_and_folders_of_their_own() {
        let layout = Layout::new("/state".into());
        let nodes = Node::all(&layout, Some(2));
        let shown: Vec<_> = nodes.iter().map(|n| (n.name.as_str(), n.ip.as_str(), n.layout.root())).collect();
        assert_eq!(
            shown,
            [
                ("node-1", "10.198.0.11", Path::new("/state/nodes/node-1")),
                ("node-2", "10.198.0.12", Path::new("/state/nodes/node-2"))
            ]
        );
        assert_eq!(nodes[0].server(), "https://10.198.0.1:6443");
    }

    #[test]
    fn masters_and_nodes_share_no_address() {
        let layout = Layout::new("/state".into());
        let masters = Master::all(&layout, Some(MAX_MASTERS));
        assert_eq!(
            (masters[0].ip.as_str(), masters[0].layout.root()),
            ("10.198.0.2", Path::new("/state/masters/master-1"))
        );
        assert_eq!(masters[0].etcd(ETCD_PORT), "https://10.198.0.2:2379");
        let nodes = Node::all(&layout, Some(MAX_NODES));
        assert!(masters.iter().all(|master| nodes.iter().all(|node| node.ip != master.ip)));
        assert_eq!(Master::all(&layout, None)[0].etcd(ETCD_PORT), "https://127.0.0.1:2379");
    }

    #[test]
    fn without_node_hosts_the_machine_is_the_node() {
        let nodes = Node::all(&Layout::new("/state".into()), None);
        assert_eq!(nodes.len(), 1);
        assert_eq!((nodes[0].place, nodes[0].layout.root()), (Place::Machine, Path::new("/state")));
    }
}
