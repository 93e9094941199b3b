//! Where everything lies, and the cluster's fixed addresses.

use std::path::{Path, PathBuf};

/// Address of this machine on the cluster's own bridge, so that endpoints are never loopback.
pub const HOST_IP: &str = "10.198.0.1";
/// The bridge that carries [`HOST_IP`].
pub const BRIDGE: &str = "kube0";
/// `--service-cluster-ip-range`.
pub const SERVICE_CIDR: &str = "10.96.0.0/16";
/// First address of the range: the Service `kubernetes`.
pub const API_IP: &str = "10.96.0.1";
/// The Service `kube-dns`.
pub const DNS_IP: &str = "10.96.0.10";
/// `--cluster-cidr`.
pub const POD_CIDR: &str = "10.244.0.0/16";
/// The part of it that the one node of this machine has: the node IPAM gives it to the first node.
pub const NODE_POD_CIDR: &str = "10.244.0.0/24";
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

    /// The administrator's kubeconfig.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.root.join("admin.conf")
    }
}

/// This node's name: the host's, in lower case.
pub fn node_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" | "(none)" => "node-0".into(),
        name => name.to_ascii_lowercase(),
    }
}
