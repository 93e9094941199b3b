//! Which processes run, with which arguments, in which order.

use crate::layout::{API_PORT, ETCD_PEER_PORT, ETCD_PORT, HOST_IP, Layout, POD_CIDR, SERVICE_CIDR, node_name};
use serde::{Deserialize, Serialize};
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
}

/// All processes in the order in which they start; they stop in reverse.
pub fn processes(layout: &Layout, binaries: &Path) -> Vec<Process> {
    let ours =
        |name: &str, arguments: Vec<String>| Process { name: name.into(), program: binaries.join(name), arguments };
    vec![
        Process { name: "etcd".into(), program: "etcd".into(), arguments: etcd(layout) },
        Process {
            name: "containerd".into(),
            program: "containerd".into(),
            arguments: vec!["--config".into(), show(&layout.config("containerd.toml"))],
        },
        ours("kube-apiserver", apiserver(layout)),
        ours("kube-controller-manager", controller_manager(layout)),
        ours("kube-scheduler", scheduler(layout)),
        ours("kubelet", kubelet(layout)),
        ours("kube-proxy", vec![flag("config", layout.config("proxy.yaml"))]),
        ours("cluster-dns", dns(layout)),
    ]
}

fn show(path: &Path) -> String {
    path.display().to_string()
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

fn kubelet(layout: &Layout) -> Vec<String> {
    vec![
        flag("config", layout.config("kubelet.yaml")),
        flag("kubeconfig", layout.config("kubelet.conf")),
        format!("--hostname-override={}", node_name()),
        format!("--node-ip={HOST_IP}"),
        flag("root-dir", layout.data("kubelet")),
    ]
}

fn dns(layout: &Layout) -> Vec<String> {
    vec![
        flag("kubeconfig", layout.config("dns.conf")),
        format!("--listen={HOST_IP}:53"),
        flag("resolv-conf", layout.config("resolv.conf")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_component_has_its_process() {
        let processes = processes(&Layout::new("/state".into()), Path::new("/bin"));
        let names: Vec<&str> = processes.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "etcd",
                "containerd",
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
                "kubelet",
                "kube-proxy",
                "cluster-dns"
            ]
        );
        assert!(processes.iter().all(|p| p.arguments.iter().all(|a| a.starts_with('-') || a.starts_with('/'))));
    }
}
