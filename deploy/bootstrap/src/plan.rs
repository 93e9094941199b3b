//! Which processes run, with which arguments, in which order.

use crate::control_plane::ControlPlane;
use crate::layout::{API_PORT, Cluster, ETCD_PEER_PORT, ETCD_PORT, Host, Master, Node, POD_CIDR, Place, SERVICE_CIDR};
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

/// A digest of the program's identity and of the files that `--flag=/path` or `/path` names.
fn inputs(program: &Path, arguments: &[String]) -> u64 {
    let mut digest = DefaultHasher::new();
    hash_program(program, &mut digest);
    for path in arguments.iter().map(|a| Path::new(a.split_once('=').map_or(a.as_str(), |(_, value)| value))) {
        if path.is_absolute() && path.is_file() {
            std::fs::read(path).unwrap_or_default().hash(&mut digest);
        }
    }
    digest.finish()
}

/// The processes of this machine in the order in which they start; they stop in reverse.
pub fn of_cluster(cluster: &Cluster, binaries: &Path, control_plane: ControlPlane) -> Vec<Process> {
    let (layout, mut processes) = (&cluster.layout, Vec::new());
    for master in &cluster.masters {
        match (master.place, control_plane) {
            (Place::Host, _) => processes.push(entered(binaries, master.host())),
            (Place::Machine, ControlPlane::Processes) => processes.extend(of_master(cluster, master, binaries)),
            (Place::Machine, ControlPlane::StaticPods) => {}
        }
    }
    if cluster.is_balanced() {
        let arguments = ["-db", "-f"].map(str::to_owned).into_iter();
        let arguments = arguments.chain([layout.config("haproxy.cfg").display().to_string()]).collect();
        processes.push(Process::new("haproxy", "/usr/sbin/haproxy".into(), arguments));
    }
    for node in &cluster.nodes {
        match node.place {
            Place::Machine => processes.extend(of_node(binaries, node)),
            Place::Host => processes.push(entered(binaries, node.host())),
        }
    }
    // The machine reaches Services also when it is no node.
    if cluster.nodes.iter().all(|node| node.place == Place::Host) {
        let arguments = vec![flag("config", layout.config("proxy.yaml"))];
        processes.push(Process::new("kube-proxy", binaries.join("kube-proxy"), arguments));
    }
    processes
}

/// A host of namespaces, whose own supervisor runs what is in it.
fn entered(binaries: &Path, host: Host<'_>) -> Process {
    let arguments = vec!["host".into(), flag("dir", host.layout.root()), format!("--node={}", host.name)];
    Process::new(host.name, binaries.join("bootstrap"), arguments)
}

/// The processes of a master in the order in which they start.
pub fn of_master(cluster: &Cluster, master: &Master, binaries: &Path) -> Vec<Process> {
    let ours = |name: &str, arguments| Process::new(name, binaries.join(name), arguments);
    vec![
        Process::new("etcd", "/usr/bin/etcd".into(), etcd(cluster, master)),
        ours("kube-apiserver", apiserver(cluster, master)),
        ours("kube-controller-manager", controller_manager(cluster, master)),
        ours("kube-scheduler", scheduler(master)),
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

fn flag(name: &str, value: impl AsRef<Path>) -> String {
    format!("--{name}={}", value.as_ref().display())
}

fn etcd(cluster: &Cluster, master: &Master) -> Vec<String> {
    let own = |port| match master.place {
        Place::Machine => master.etcd(port),
        // The master's own apiserver comes by loopback.
        Place::Host => format!("https://127.0.0.1:{port},{}", master.etcd(port)),
    };
    let peer = master.etcd(ETCD_PEER_PORT);
    let mut arguments = vec![
        format!("--name={}", master.name),
        flag("data-dir", master.layout.data("etcd")),
        format!("--listen-client-urls={}", own(ETCD_PORT)),
        format!("--advertise-client-urls={}", master.etcd(ETCD_PORT)),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster={}", members(&cluster.masters)),
        "--client-cert-auth".into(),
        "--peer-client-cert-auth".into(),
        format!("--quota-backend-bytes={}", 8_u64 << 30),
        // The apiserver compacts.
        "--auto-compaction-retention=0".into(),
    ];
    for prefix in ["", "peer-"] {
        arguments.push(flag(&format!("{prefix}cert-file"), master.layout.pki("etcd.crt")));
        arguments.push(flag(&format!("{prefix}key-file"), master.layout.pki("etcd.key")));
        arguments.push(flag(&format!("{prefix}trusted-ca-file"), cluster.layout.pki("etcd-ca.crt")));
    }
    arguments
}

/// etcd's members as `--initial-cluster` wants them.
pub fn members(masters: &[Master]) -> String {
    let members: Vec<String> =
        masters.iter().map(|master| format!("{}={}", master.name, master.etcd(ETCD_PEER_PORT))).collect();
    members.join(",")
}

/// The members that a master's apiserver talks to, its own first.
fn etcd_servers(cluster: &Cluster, master: &Master) -> String {
    let others = cluster.masters.iter().filter(|other| other.name != master.name).map(|other| other.etcd(ETCD_PORT));
    let servers: Vec<String> = std::iter::once(format!("https://127.0.0.1:{ETCD_PORT}")).chain(others).collect();
    servers.join(",")
}

fn apiserver(cluster: &Cluster, master: &Master) -> Vec<String> {
    let shared = |name: &str, file: &str| flag(name, cluster.layout.pki(file));
    let own = |name: &str, file: &str| flag(name, master.layout.pki(file));
    vec![
        format!("--etcd-servers={}", etcd_servers(cluster, master)),
        shared("etcd-cafile", "etcd-ca.crt"),
        own("etcd-certfile", "apiserver-etcd-client.crt"),
        own("etcd-keyfile", "apiserver-etcd-client.key"),
        format!("--secure-port={API_PORT}"),
        "--bind-address=0.0.0.0".into(),
        format!("--advertise-address={}", master.ip),
        own("tls-cert-file", "apiserver.crt"),
        own("tls-private-key-file", "apiserver.key"),
        shared("client-ca-file", "ca.crt"),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
        shared("service-account-key-file", "sa.pub"),
        shared("service-account-signing-key-file", "sa.key"),
        "--authorization-mode=Node,RBAC".into(),
        "--enable-admission-plugins=NodeRestriction".into(),
        format!("--service-cluster-ip-range={SERVICE_CIDR}"),
        own("kubelet-client-certificate", "apiserver-kubelet-client.crt"),
        own("kubelet-client-key", "apiserver-kubelet-client.key"),
        "--kubelet-preferred-address-types=InternalIP,Hostname".into(),
        shared("requestheader-client-ca-file", "front-proxy-ca.crt"),
        "--requestheader-allowed-names=front-proxy-client".into(),
        "--requestheader-username-headers=X-Remote-User".into(),
        "--requestheader-group-headers=X-Remote-Group".into(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".into(),
        own("proxy-client-cert-file", "front-proxy-client.crt"),
        own("proxy-client-key-file", "front-proxy-client.key"),
        "--allow-privileged=true".into(),
        "--enable-aggregator-routing=true".into(),
    ]
}

/// A component that checks its own clients by asking the apiserver.
fn with_kubeconfig(master: &Master, file: &str) -> Vec<String> {
    let names = ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"];
    let mut arguments: Vec<String> = names.iter().map(|name| flag(name, master.layout.config(file))).collect();
    arguments.push("--bind-address=127.0.0.1".into());
    arguments
}

fn controller_manager(cluster: &Cluster, master: &Master) -> Vec<String> {
    let pki = |name: &str, file: &str| flag(name, cluster.layout.pki(file));
    let mut arguments = with_kubeconfig(master, "controller-manager.conf");
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

fn scheduler(master: &Master) -> Vec<String> {
    let mut arguments = with_kubeconfig(master, "scheduler.conf");
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
    use crate::layout::Layout;

    fn cluster(masters: Option<u8>, nodes: Option<u8>) -> Cluster {
        Cluster::new(Layout::new("/state".into()), masters, nodes)
    }

    fn names(cluster: &Cluster, control_plane: ControlPlane) -> Vec<String> {
        of_cluster(cluster, Path::new("/bin"), control_plane).into_iter().map(|p| p.name).collect()
    }

    #[test]
    fn a_machine_that_is_the_node_runs_everything() {
        assert_eq!(
            names(&cluster(None, None), ControlPlane::Processes),
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
        let names = names(&cluster(None, None), ControlPlane::StaticPods);
        assert_eq!(names, ["containerd", "kubelet", "kube-proxy"]);
    }

    #[test]
    fn node_hosts_run_the_node_s_daemons() {
        assert_eq!(
            names(&cluster(None, Some(2)), ControlPlane::Processes),
            ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "node-1", "node-2", "kube-proxy"]
        );
        let node = &cluster(None, Some(1)).nodes[0];
        let inside: Vec<String> = of_node(Path::new("/bin"), node).into_iter().map(|p| p.name).collect();
        assert_eq!(inside, ["containerd", "kubelet", "kube-proxy"]);
    }

    #[test]
    fn master_hosts_are_members_of_one_store_behind_a_load_balancer() {
        let cluster = cluster(Some(3), Some(1));
        assert_eq!(
            names(&cluster, ControlPlane::Processes),
            ["master-1", "master-2", "master-3", "haproxy", "node-1", "kube-proxy"]
        );
        let inside = of_master(&cluster, &cluster.masters[1], Path::new("/bin"));
        let has = |process: usize, argument: &str| inside[process].arguments.iter().any(|a| a == argument);
        assert!(has(0, "--name=master-2"));
        assert!(has(
            0,
            "--initial-cluster=master-1=https://10.198.0.2:2380,master-2=https://10.198.0.3:2380,master-3=https://10.198.0.4:2380"
        ));
        assert!(has(0, "--listen-client-urls=https://127.0.0.1:2379,https://10.198.0.3:2379"));
        assert!(has(0, "--cert-file=/state/masters/master-2/pki/etcd.crt"));
        assert!(has(1, "--etcd-servers=https://127.0.0.1:2379,https://10.198.0.2:2379,https://10.198.0.4:2379"));
        assert!(has(1, "--advertise-address=10.198.0.3") && has(1, "--client-ca-file=/state/pki/ca.crt"));
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
