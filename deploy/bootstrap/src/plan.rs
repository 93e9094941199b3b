//! Which processes run, with which arguments, in which order.

use crate::control_plane::ControlPlane;
use crate::layout::{API_PORT, ETCD_PEER_PORT, ETCD_PORT, HOST_IP, Layout, Node, POD_CIDR, Place, SERVICE_CIDR};
use serde::{Deserialize, Serialize};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// One process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Name, also of its log.
    pub name: String,
    /// Program.
    pub program: PathBuf,
    /// Arguments.
    pub arguments: Vec<String>,
    /// What the program and the files named by the arguments held when the plan was made: a process
    /// whose inputs changed is started again.
    pub inputs: u64,
}

impl Process {
    fn new(name: &str, program: PathBuf, arguments: Vec<String>) -> Self {
        let inputs = inputs(&program, &arguments);
        Self { name: name.into(), program, arguments, inputs }
    }
}

/// A digest of a program's identity.
pub fn program_digest(program: &Path) -> u64 {
    let mut digest = DefaultHasher::new();
    hash_program(program, &mut digest);
    digest.finish()
}

fn hash_program(program: &Path, digest: &mut DefaultHasher) {
    if let Ok(metadata) = std::fs::metadata(program) {
        (metadata.len(), metadata.modified().ok()).hash(digest);
    }
}

/// A digest of the program's identity and of the files that `--flag=/path` names.
fn inputs(program: &Path, arguments: &[String]) -> u64 {
    let mut digest = DefaultHasher::new();
    hash_program(program, &mut digest);
    for path in arguments.iter().filter_map(|a| a.split_once('=')).map(|(_, value)| Path::new(value)) {
        if path.is_absolute() && path.is_file() {
            std::fs::read(path).unwrap_or_default().hash(&mut digest);
        }
    }
    digest.finish()
}

/// The processes of this machine in the order in which they start; they stop in reverse.
pub fn of_cluster(layout: &Layout, binaries: &Path, nodes: &[Node], control_plane: ControlPlane) -> Vec<Process> {
    let ours = |name: &str, arguments| Process::new(name, binaries.join(name), arguments);
    let mut processes = match control_plane {
        ControlPlane::Processes => of_control_plane(layout, binaries),
        ControlPlane::StaticPods => Vec::new(),
    };
    for node in nodes {
        match node.place {
            Place::Machine => processes.extend(of_node(binaries, node)),
            Place::Host => processes.push(Process::new(&node.name, binaries.join("bootstrap"), host(node))),
        }
    }
    // The machine reaches Services also when it is no node.
    if nodes.iter().all(|node| node.place == Place::Host) {
        processes.push(ours("kube-proxy", vec![flag("config", layout.config("proxy.yaml"))]));
    }
    processes
}

/// The processes of the control plane in the order in which they start.
pub fn of_control_plane(layout: &Layout, binaries: &Path) -> Vec<Process> {
    let ours = |name: &str, arguments| Process::new(name, binaries.join(name), arguments);
    vec![
        Process::new("etcd", "/usr/bin/etcd".into(), etcd(layout)),
        ours("kube-apiserver", apiserver(layout)),
        ours("kube-controller-manager", controller_manager(layout)),
        ours("kube-scheduler", scheduler(layout)),
    ]
}

/// The processes of a node in the order in which they start.
pub fn of_node(binaries: &Path, node: &Node) -> Vec<Process> {
    let layout = &node.layout;
    let ours = |name: &str, arguments| Process::new(name, binaries.join(name), arguments);
    vec![
        Process::new("containerd", "containerd".into(), vec![flag("config", layout.config("containerd.toml"))]),
        ours("kubelet", kubelet(node)),
        ours("kube-proxy", vec![flag("config", layout.config("proxy.yaml"))]),
    ]
}

fn host(node: &Node) -> Vec<String> {
    vec!["host".into(), flag("dir", node.layout.root()), format!("--node={}", node.name)]
}

fn flag(name: &str, value: impl AsRef<Path>) -> String {
    format!("--{name}={}", value.as_ref().display())
}

fn etcd(layout: &Layout) -> Vec<String> {
    let client = format!("https://127.0.0.1:{ETCD_PORT}");
    let peer = format!("https://127.0.0.1:{ETCD_PEER_PORT}");
    let mut arguments = vec![
        "--name=etcd-0".into(),
        flag("data-dir", layout.data("etcd")),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=etcd-0={peer}"),
        "--client-cert-auth".into(),
        "--peer-client-cert-auth".into(),
        format!("--quota-backend-bytes={}", 8_u64 << 30),
        // The apiserver compacts.
        "--auto-compaction-retention=0".into(),
    ];
    for prefix in ["", "peer-"] {
        arguments.push(flag(&format!("{prefix}cert-file"), layout.pki("etcd.crt")));
        arguments.push(flag(&format!("{prefix}key-file"), layout.pki("etcd.key")));
        arguments.push(flag(&format!("{prefix}trusted-ca-file"), layout.pki("etcd-ca.crt")));
    }
    arguments
}

fn apiserver(layout: &Layout) -> Vec<String> {
    let pki = |name: &str, file: &str| flag(name, layout.pki(file));
    vec![
        format!("--etcd-servers=https://127.0.0.1:{ETCD_PORT}"),
        pki("etcd-cafile", "etcd-ca.crt"),
        pki("etcd-certfile", "apiserver-etcd-client.crt"),
        pki("etcd-keyfile", "apiserver-etcd-client.key"),
        format!("--secure-port={API_PORT}"),
        "--bind-address=0.0.0.0".into(),
        format!("--advertise-address={HOST_IP}"),
        pki("tls-cert-file", "apiserver.crt"),
        pki("tls-private-key-file", "apiserver.key"),
        pki("client-ca-file", "ca.crt"),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
        pki("service-account-key-file", "sa.pub"),
        pki("service-account-signing-key-file", "sa.key"),
        "--authorization-mode=Node,RBAC".into(),
        "--enable-admission-plugins=NodeRestriction".into(),
        format!("--service-cluster-ip-range={SERVICE_CIDR}"),
        pki("kubelet-client-certificate", "apiserver-kubelet-client.crt"),
        pki("kubelet-client-key", "apiserver-kubelet-client.key"),
        "--kubelet-preferred-address-types=InternalIP,Hostname".into(),
        pki("requestheader-client-ca-file", "front-proxy-ca.crt"),
        "--requestheader-allowed-names=front-proxy-client".into(),
        "--requestheader-username-headers=X-Remote-User".into(),
        "--requestheader-group-headers=X-Remote-Group".into(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".into(),
        pki("proxy-client-cert-file", "front-proxy-client.crt"),
        pki("proxy-client-key-file", "front-proxy-client.key"),
        "--allow-privileged=true".into(),
        "--enable-aggregator-routing=true".into(),
    ]
}

/// A component that checks its own clients by asking the apiserver.
fn with_kubeconfig(layout: &Layout, file: &str) -> Vec<String> {
    let names = ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"];
    let mut arguments: Vec<String> = names.iter().map(|name| flag(name, layout.config(file))).collect();
    arguments.push("--bind-address=127.0.0.1".into());
    arguments
}

fn controller_manager(layout: &Layout) -> Vec<String> {
    let pki = |name: &str, file: &str| flag(name, layout.pki(file));
    let mut arguments = with_kubeconfig(layout, "controller-manager.conf");
    arguments.extend([
        pki("service-account-private-key-file", "sa.key"),
        pki("root-ca-file", "ca.crt"),
        pki("cluster-signing-cert-file", "ca.crt"),
        pki("cluster-signing-key-file", "ca.key"),
        "--use-service-account-credentials=true".into(),
        "--allocate-node-cidrs=true".into(),
        format!("--cluster-cidr={POD_CIDR}"),
        format!("--service-cluster-ip-range={SERVICE_CIDR}"),
        "--leader-elect=true".into(),
    ]);
    arguments
}

fn scheduler(layout: &Layout) -> Vec<String> {
    let mut arguments = with_kubeconfig(layout, "scheduler.conf");
    arguments.push("--leader-elect=true".into());
    arguments
}

fn kubelet(node: &Node) -> Vec<String> {
    let layout = &node.layout;
    vec![
        flag("config", layout.config("kubelet.yaml")),
        flag("kubeconfig", layout.config("kubelet.conf")),
        format!("--hostname-override={}", node.name),
        format!("--node-ip={}", node.ip),
        flag("root-dir", layout.data("kubelet")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(hosts: Option<u8>, control_plane: ControlPlane) -> Vec<String> {
        let layout = Layout::new("/state".into());
        let processes = of_cluster(&layout, Path::new("/bin"), &Node::all(&layout, hosts), control_plane);
        processes.into_iter().map(|p| p.name).collect()
    }

    #[test]
    fn a_machine_that_is_the_node_runs_everything() {
        assert_eq!(
            names(None, ControlPlane::Processes),
            [
                "etcd",
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
                "containerd",
                "kubelet",
                "kube-proxy"
            ]
        );
    }

    #[test]
    fn static_pods_take_the_place_of_processes() {
        let names = names(None, ControlPlane::StaticPods);
        assert_eq!(names, ["containerd", "kubelet", "kube-proxy"]);
    }

    #[test]
    fn node_hosts_run_the_node_s_daemons() {
        assert_eq!(
            names(Some(2), ControlPlane::Processes),
            ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "node-1", "node-2", "kube-proxy"]
        );
        let node = &Node::all(&Layout::new("/state".into()), Some(1))[0];
        let inside: Vec<String> = of_node(Path::new("/bin"), node).into_iter().map(|p| p.name).collect();
        assert_eq!(inside, ["containerd", "kubelet", "kube-proxy"]);
    }

    #[test]
    fn a_changed_file_changes_the_process() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config");
        std::fs::write(&file, "a").expect("written");
        let process = || Process::new("x", "/bin/x".into(), vec![flag("config", &file)]);
        let first = process();
        assert_eq!(first, process());
        std::fs::write(&file, "b").expect("written");
        assert_ne!(first, process());
    }
}
