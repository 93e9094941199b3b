//! The configuration files of the components, as functions of the layout.

use crate::host::CNI_PLUGINS;
use crate::layout::{
    API_PORT, Cluster, DNS_IP, HOST_IP, Layout, Master, Node, PAUSE_IMAGE, POD_CIDR, Place, machine_name,
};
use crate::network::PodNetwork;
use anyhow::Context;
use serde_json::{Value, json};
use std::path::Path;

/// Bit of CAP_SYS_RESOURCE in a capability mask.
const SYS_RESOURCE: u32 = 24;

/// Writes every file that can be written before the nodes have registered.
pub fn write(cluster: &Cluster, network: PodNetwork) -> anyhow::Result<()> {
    let layout = &cluster.layout;
    if cluster.is_balanced() {
        put(&layout.config("haproxy.cfg"), &load_balancer(layout, &cluster.masters))?;
    }
    if cluster.nodes.iter().all(|node| node.place == Place::Host) {
        // No node tells its proxy which address is this machine's.
        put(&layout.config("proxy.yaml"), &pretty(&proxy(layout, &machine_name(), HOST_IP)))?;
    }
    put(&layout.config("resolv.conf"), &resolv_conf())?;
    for node in &cluster.nodes {
        let own = &node.layout;
        put(&own.config("kubelet.yaml"), &pretty(&kubelet(layout, own)))?;
        put(&own.config("proxy.yaml"), &pretty(&proxy(own, &node.name, "0.0.0.0")))?;
        put(&own.config("containerd.toml"), &containerd(layout, own, network, has_sys_resource()))?;
        if network == PodNetwork::Flannel {
            plugins(own)?;
        }
    }
    Ok(())
}

/// Writes a node's pod network, once its part of the pods' addresses is known.
pub fn write_pod_network(node: &Node, cidr: &str) -> anyhow::Result<()> {
    put(&node.layout.config("cni/10-pods.conflist"), &pretty(&cni(&node.layout, cidr)))
}

/// Where the system's CNI plugins lie.
const SYSTEM_PLUGINS: &str = "/usr/lib/cni";

/// Puts the system's plugins beside those that a pod installs.
fn plugins(layout: &Layout) -> anyhow::Result<()> {
    let folder = layout.data(CNI_PLUGINS);
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    for plugin in std::fs::read_dir(SYSTEM_PLUGINS).with_context(|| format!("reading {SYSTEM_PLUGINS}"))? {
        let plugin = plugin?;
        let link = folder.join(plugin.file_name());
        if !link.exists() {
            std::os::unix::fs::symlink(plugin.path(), &link).with_context(|| format!("making {}", link.display()))?;
        }
    }
    Ok(())
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn put(path: &Path, text: &str) -> anyhow::Result<()> {
    if std::fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// A load balancer in front of the masters' apiservers, which have to say that they are ready. What runs
/// over one that is not any more is cut off, so that clients turn to another one.
fn load_balancer(layout: &Layout, masters: &[Master]) -> String {
    let servers: String =
        masters.iter().map(|master| format!("    server {} {}:{API_PORT}\n", master.name, master.ip)).collect();
    format!(
        r"global
    log stdout format raw daemon
    user haproxy
    group haproxy
defaults
    mode tcp
    log global
    option dontlognull
    timeout connect 3s
    timeout check 3s
    # A watch may say nothing for long, and so may somebody at a terminal: as long as kubelets wait.
    timeout client 4h
    timeout server 4h
frontend kube-apiserver
    bind 127.0.0.1:{API_PORT}
    bind {HOST_IP}:{API_PORT}
    default_backend masters
backend masters
    balance leastconn
    option httpchk GET /readyz
    http-check expect status 200
    option redispatch
    retries 3
    default-server check check-ssl verify required ca-file {ca} inter 1s fall 2 rise 2 on-marked-down shutdown-sessions
{servers}",
        ca = layout.pki("ca.crt").display(),
    )
}

fn kubelet(cluster: &Layout, layout: &Layout) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "address": "0.0.0.0",
        "authentication": {
            "anonymous": {"enabled": false}, "webhook": {"enabled": true},
            "x509": {"clientCAFile": cluster.pki("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "clusterDNS": [DNS_IP], "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": format!("unix://{}", layout.containerd_socket().display()),
        "failSwapOn": false, "failCgroupV1": false,
        "staticPodPath": layout.config("manifests"),
        "tlsCertFile": layout.pki("kubelet.crt"), "tlsPrivateKeyFile": layout.pki("kubelet.key"),
        "resolvConf": cluster.config("resolv.conf"),
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%"},
        "enforceNodeAllocatable": ["pods"],
    })
}

fn proxy(layout: &Layout, node: &str, address: &str) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        "bindAddress": address, "clusterCIDR": POD_CIDR, "mode": "iptables",
        "clientConnection": {"kubeconfig": layout.config("proxy.conf")},
        "hostnameOverride": node,
        "conntrack": {"maxPerCore": 0, "min": 0},
        "healthzBindAddress": "127.0.0.1:10256", "metricsBindAddress": "127.0.0.1:10249",
    })
}

/// A bridge that all pods of the node are on, and port mappings for host ports.
fn cni(layout: &Layout, cidr: &str) -> Value {
    json!({
        "cniVersion": "1.0.0", "name": "pods",
        "plugins": [
            {"type": "bridge", "bridge": "cni0", "isGateway": true, "isDefaultGateway": true, "ipMasq": false, "hairpinMode": true,
             "ipam": {"type": "host-local", "dataDir": layout.data("cni"), "ranges": [[{"subnet": cidr}]]}},
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
}

/// The registries of all nodes are described in one folder, `config/certs.d`.
/// Without CAP_SYS_RESOURCE runc cannot lower a score, and every sandbox would fail.
fn containerd(cluster: &Layout, layout: &Layout, network: PodNetwork, may_lower_scores: bool) -> String {
    let (root, state) = (layout.data("containerd"), layout.run("containerd"));
    let (plugins, cni) = match network {
        PodNetwork::Routes => (SYSTEM_PLUGINS, layout.config("cni")),
        PodNetwork::Flannel => ("/opt/cni/bin", "/etc/cni/net.d".into()),
    };
    format!(
        r#"version = 2
root = "{root}"
state = "{state}"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "{socket}"
[ttrpc]
  address = "{socket}.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  restrict_oom_score_adj = {restrict}
  enable_unprivileged_ports = true
  enable_unprivileged_icmp = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{cni}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{certs}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{opt}"
"#,
        root = root.display(),
        state = state.display(),
        socket = layout.containerd_socket().display(),
        restrict = !may_lower_scores,
        cni = cni.display(),
        certs = cluster.config("certs.d").display(),
        opt = root.join("opt").display(),
    )
}

/// The host's servers, without loopback ones, which pods could not reach.
fn resolv_conf() -> String {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let usable = |l: &&str| {
        l.starts_with("search") || l.strip_prefix("nameserver").is_some_and(|s| !s.trim().starts_with("127."))
    };
    let lines: Vec<&str> = text.lines().map(str::trim).filter(usable).collect();
    format!("{}\n", lines.join("\n"))
}

fn has_sys_resource() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask =
        status.lines().find_map(|l| l.strip_prefix("CapEff:")).and_then(|m| u64::from_str_radix(m.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> SYS_RESOURCE & 1 == 1)
}

/// The manifest of the cluster's DNS.
pub fn dns(image: &str, replicas: usize) -> String {
    include_str!("../../manifests/dns.yaml")
        .replace("${DNS_IP}", DNS_IP)
        .replace("${DNS_IMAGE}", image)
        .replace("${DNS_REPLICAS}", &replicas.to_string())
}

/// The manifest of the pod network.
pub fn flannel(image: &str) -> String {
    include_str!("../../manifests/flannel.yaml").replace("${FLANNEL_IMAGE}", image).replace("${POD_CIDR}", POD_CIDR)
}

/// The manifest of what measures.
pub fn metrics(image: &str) -> String {
    include_str!("../../manifests/metrics-server.yaml").replace("${METRICS_SERVER_IMAGE}", image)
}

/// The manifest of the dashboard.
pub fn dashboard(image: &str) -> String {
    include_str!("../../manifests/dashboard.yaml").replace("${DASHBOARD_IMAGE}", image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_restricted_only_where_they_must_be() {
        let layout = Layout::new("/state".into());
        let file = |may_lower| containerd(&layout, &layout, PodNetwork::Routes, may_lower);
        assert!(file(false).contains("restrict_oom_score_adj = true"));
        assert!(file(true).contains("restrict_oom_score_adj = false"));
    }

    #[test]
    fn the_runtime_looks_where_the_network_is_installed() {
        let layout = Layout::new("/state".into());
        let file = |network| containerd(&layout, &layout, network, true);
        assert!(file(PodNetwork::Routes).contains("bin_dir = \"/usr/lib/cni\"\n    conf_dir = \"/state/config/cni\""));
        assert!(file(PodNetwork::Flannel).contains("bin_dir = \"/opt/cni/bin\"\n    conf_dir = \"/etc/cni/net.d\""));
    }

    #[test]
    fn every_master_is_behind_the_load_balancer() {
        let cluster = Cluster::new(Layout::new("/state".into()), Some(3), Some(1));
        let text = load_balancer(&cluster.layout, &cluster.masters);
        assert!(text.ends_with(
            "    server master-1 10.198.0.2:6443\n    server master-2 10.198.0.3:6443\n    server master-3 10.198.0.4:6443\n"
        ));
        assert!(text.contains("ca-file /state/pki/ca.crt "));
    }

    #[test]
    fn files_are_written_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a/b");
        put(&path, "x").expect("written");
        let first = std::fs::metadata(&path).and_then(|m| m.modified()).expect("a time");
        put(&path, "x").expect("written");
        assert_eq!(std::fs::metadata(&path).and_then(|m| m.modified()).expect("a time"), first);
    }

    #[test]
    fn manifests_have_no_names_left() {
        assert!(!dns("localhost/x:1", 2).contains("${"));
        assert!(!flannel("localhost/x:1").contains("${"));
        assert!(!metrics("localhost/x:1").contains("${"));
        assert!(!dashboard("localhost/x:1").contains("${"));
    }
}
