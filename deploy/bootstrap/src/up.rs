//! Brings the cluster up.

use crate::api::Api;
use crate::control_plane::{self, ControlPlane};
use crate::images::{self, Image};
use crate::layout::{Cluster, DNS_IP, Host, Layout, Node, Place};
use crate::network::PodNetwork;
use crate::progress::step;
use crate::{certificates, configs, host, network, plan, supervise, units};
use anyhow::{Context, bail, ensure};
use rustix::process::{Signal, kill_process};
use serde_json::Value;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long the whole cluster may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pause between two looks at a condition.
const LOOK: Duration = Duration::from_millis(50);
/// Servers of the cluster's DNS, unless there are fewer nodes.
const MOST_DNS: usize = 2;

/// How one gets to the dashboard.
const DASHBOARD_HELP: &str = "The dashboard, at port 8443 of this machine:\n\n  \
    kubectl -n kubernetes-dashboard port-forward service/kubernetes-dashboard 8443:443\n";

/// What `up` is asked for.
pub struct Request<'a> {
    /// Folder of the binaries.
    pub binaries: &'a Path,
    /// Folder of this repository's `deploy`.
    pub deploy: &'a Path,
    /// So many master hosts behind a load balancer, instead of this machine as the only master.
    pub masters: Option<u8>,
    /// So many node hosts, instead of this machine as the node.
    pub nodes: Option<u8>,
    /// How pods of different nodes reach each other.
    pub network: PodNetwork,
    /// How the control plane runs.
    pub control_plane: ControlPlane,
    /// Whether the cluster measures what pods use.
    pub metrics: bool,
    /// Whether the dashboard runs.
    pub dashboard: bool,
}

/// Makes the files, starts the supervisor, and waits until the nodes are ready and DNS answers.
pub fn run(layout: &Layout, request: &Request<'_>) -> anyhow::Result<()> {
    let binaries = std::path::absolute(request.binaries)?;
    request.check()?;
    let cluster = Cluster::new(layout.clone(), request.masters, request.nodes);
    check_members(&cluster)?;
    folders(&cluster)?;
    step("certificates", || certificates::ensure(&cluster))?;
    step("configuration", || configs::write(&cluster, request.network))?;
    step("network", || network::ensure(&cluster))?;
    step("static pods", || control_plane::write(&cluster, &binaries, request.control_plane))?;
    step("processes", || start(&cluster, &binaries, request.control_plane))?;
    let mut images = images(&cluster, &binaries, request.control_plane, request.network);
    let program = |name: &str| Image::of_program(name, binaries.join(name));
    images.metrics = request.metrics.then(|| program("metrics-server"));
    images.dashboard = request.dashboard.then(|| program("kube-dashboard"));
    finish(&cluster, &images, request.deploy)
}

impl Request<'_> {
    fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.control_plane == ControlPlane::Processes || self.nodes.is_none(),
            "a control plane of static pods runs on this machine as the node, not beside node hosts"
        );
        ensure!(
            self.network == PodNetwork::Routes || self.nodes.is_some(),
            "flannel runs on node hosts: say how many with --nodes"
        );
        ensure!(
            self.masters.is_none() || self.nodes.is_some(),
            "master hosts come with node hosts: say how many with --nodes"
        );
        Ok(())
    }
}

/// The members of a store know each other from its first start.
pub(crate) fn check_members(cluster: &Cluster) -> anyhow::Result<()> {
    let former = Cluster::former_masters(&cluster.layout);
    let names: Vec<&str> = cluster.masters.iter().map(|master| master.name.as_str()).collect();
    ensure!(
        former.is_empty() || former == names,
        "the store's members are {}; their number cannot be changed by up",
        former.join(", ")
    );
    Ok(())
}

/// Makes a cluster of processes that others have started, such as systemd: images, first objects, the
/// pod network.
pub fn complete(layout: &Layout, binaries: &Path, deploy: &Path) -> anyhow::Result<()> {
    let (binaries, cluster) = (std::path::absolute(binaries)?, Cluster::new(layout.clone(), None, None));
    step("network", || network::ensure(&cluster))?;
    let images = images(&cluster, &binaries, ControlPlane::Processes, PodNetwork::Routes);
    finish(&cluster, &images, deploy)
}

/// Gives the processes what they need to be a cluster, and waits until they are one.
fn finish(cluster: &Cluster, images: &Images, deploy: &Path) -> anyhow::Result<()> {
    let Cluster { layout, nodes, .. } = cluster;
    step("container runtime", || fill(layout, nodes, images, deploy))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let api = Api::new(layout)?;
    step("apiserver", || runtime.block_on(until("the apiserver", async || ready(&api).await)))?;
    step("first objects", || runtime.block_on(objects(&api, images, nodes.len())))?;
    step("pod network", || runtime.block_on(pod_network(&api, cluster, images.network())))?;
    for node in nodes {
        step(&node.name, || runtime.block_on(until(&node.name, async || node_ready(&api, &node.name).await)))?;
    }
    step("DNS", || runtime.block_on(until("DNS", async || dns_answers().await)))?;
    let config = layout.admin_kubeconfig();
    println!("The cluster is up. Use it with:\n\n  export KUBECONFIG={}\n  kubectl get nodes\n", config.display());
    if images.dashboard.is_some() {
        println!("{DASHBOARD_HELP}");
    }
    Ok(())
}

/// Makes the files and starts nothing: certificates, configuration, and the environment files of the
/// units of a machine that is control plane and node.
pub fn files(layout: &Layout, environment: &Path) -> anyhow::Result<()> {
    let cluster = Cluster::new(layout.clone(), None, None);
    folders(&cluster)?;
    step("certificates", || certificates::ensure(&cluster))?;
    step("configuration", || configs::write(&cluster, PodNetwork::Routes))?;
    let processes = plan::of_cluster(&cluster, Path::new("/usr/bin"), ControlPlane::Processes);
    step("environment files", || units::write(&processes, environment))
}

pub(crate) fn folders(cluster: &Cluster) -> anyhow::Result<()> {
    for root in cluster.hosts().map(|host| host.layout).chain([&cluster.layout]) {
        for folder in ["pki", "config/manifests", "config/cni", "logs", "run"] {
            std::fs::create_dir_all(root.root().join(folder)).with_context(|| format!("making {folder}"))?;
        }
    }
    for master in &cluster.masters {
        let data = master.layout.data("etcd");
        std::fs::create_dir_all(&data).context("making etcd")?;
        // etcd insists on a folder that nobody else reads.
        std::fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    }
    Ok(())
}

/// Lets the supervisors follow their plans: the hosts' first, which start with this machine's.
fn start(cluster: &Cluster, binaries: &Path, control_plane: ControlPlane) -> anyhow::Result<()> {
    let layout = &cluster.layout;
    for master in cluster.masters.iter().filter(|master| master.place == Place::Host) {
        follow(layout, master.host(), &plan::of_master(cluster, master, binaries))?;
    }
    for node in cluster.nodes.iter().filter(|node| node.place == Place::Host) {
        follow(layout, node.host(), &plan::of_node(binaries, node))?;
    }
    let changed = write_plan(layout, &plan::of_cluster(cluster, binaries, control_plane))?;
    match supervise::running(layout) {
        Some(_) if !changed => Ok(()),
        Some(pid) => kill_process(pid, Signal::HUP).context("telling the supervisor"),
        None => start_supervisor(layout),
    }
}

/// Gives a host its plan, now if it runs.
fn follow(layout: &Layout, host: Host<'_>, plan: &[plan::Process]) -> anyhow::Result<()> {
    let changed = write_plan(host.layout, plan)?;
    if let Some(outside) = supervise::processes(layout).get(host.name).filter(|_| changed) {
        host::reload(*outside);
    }
    Ok(())
}

/// Whether the plan is another one than before.
fn write_plan(layout: &Layout, plan: &[plan::Process]) -> anyhow::Result<bool> {
    let (file, wanted) = (layout.run("plan.json"), serde_json::to_string_pretty(plan)?);
    let changed = !std::fs::read_to_string(&file).is_ok_and(|current| current == wanted);
    if changed {
        std::fs::write(&file, wanted).context("writing the plan")?;
    }
    Ok(changed)
}

fn start_supervisor(layout: &Layout) -> anyhow::Result<()> {
    let log = std::fs::File::options().create(true).append(true).open(layout.log("supervisor"))?;
    let mut supervisor = Command::new(std::env::current_exe()?);
    supervisor.arg("supervise").arg("--dir").arg(layout.root());
    supervisor.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
    supervisor.spawn().context("starting the supervisor")?;
    wait_for("the supervisor", || supervise::running(layout).is_some())
}

fn wait_for(what: &str, condition: impl Fn() -> bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(until(what, async || condition()))
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) -> anyhow::Result<()> {
    some(what, async || condition().await.then_some(())).await
}

/// Looks until there is a value.
async fn some<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> anyhow::Result<T> {
    let started = Instant::now();
    loop {
        if let Some(value) = look().await {
            return Ok(value);
        }
        if started.elapsed() > PATIENCE {
            bail!("{what} did not come within {PATIENCE:?}; the logs are in the state folder");
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn ready(api: &Api) -> bool {
    api.request("GET", "/readyz", None).await.is_ok_and(|(status, _)| status == 200)
}

/// Collection and name of each object in a manifest.
type Places = &'static [(&'static str, &'static str)];

const DNS: Places = &[
    ("/api/v1/namespaces/kube-system/serviceaccounts", "cluster-dns"),
    ("/apis/rbac.authorization.k8s.io/v1/clusterroles", "system:cluster-dns"),
    ("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", "system:cluster-dns"),
    ("/api/v1/namespaces/kube-system/configmaps", "cluster-dns"),
    ("/api/v1/namespaces/kube-system/services", "kube-dns"),
    ("/apis/apps/v1/namespaces/kube-system/deployments", "cluster-dns"),
];
const FLANNEL: Places = &[
    ("/api/v1/namespaces", "kube-flannel"),
    ("/api/v1/namespaces/kube-flannel/serviceaccounts", "flannel"),
    ("/apis/rbac.authorization.k8s.io/v1/clusterroles", "flannel"),
    ("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", "flannel"),
    ("/api/v1/namespaces/kube-flannel/configmaps", "kube-flannel-cfg"),
    ("/apis/apps/v1/namespaces/kube-flannel/daemonsets", "kube-flannel-ds"),
];
const METRICS: Places = &[
    ("/api/v1/namespaces/kube-system/serviceaccounts", "metrics-server"),
    ("/apis/rbac.authorization.k8s.io/v1/clusterroles", "system:aggregated-metrics-reader"),
    ("/apis/rbac.authorization.k8s.io/v1/clusterroles", "system:metrics-server"),
    ("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", "system:metrics-server"),
    ("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", "metrics-server:system:auth-delegator"),
    ("/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/rolebindings", "metrics-server-auth-reader"),
    ("/api/v1/namespaces/kube-system/services", "metrics-server"),
    ("/apis/apps/v1/namespaces/kube-system/deployments", "metrics-server"),
    ("/apis/apiregistration.k8s.io/v1/apiservices", "v1beta1.metrics.k8s.io"),
];
const DASHBOARD: Places = &[
    ("/api/v1/namespaces", "kubernetes-dashboard"),
    ("/api/v1/namespaces/kubernetes-dashboard/serviceaccounts", "kubernetes-dashboard"),
    ("/api/v1/namespaces/kubernetes-dashboard/services", "kubernetes-dashboard"),
    ("/apis/apps/v1/namespaces/kubernetes-dashboard/deployments", "kubernetes-dashboard"),
];
const KUBELET_ACCESS: Places =
    &[("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", "system:kube-apiserver-to-kubelet")];

/// Applies the objects of `deploy/manifests`.
async fn objects(api: &Api, images: &Images, nodes: usize) -> anyhow::Result<()> {
    let dns = configs::dns(images.dns.name(), nodes.clamp(1, MOST_DNS));
    let access = include_str!("../../manifests/kubelet-access.yaml");
    let flannel = images.flannel.as_ref().map(|image| configs::flannel(image.name()));
    let flannel = flannel.as_deref().map(|manifest| (manifest, FLANNEL));
    let metrics = images.metrics.as_ref().map(|image| configs::metrics(image.name()));
    let metrics = metrics.as_deref().map(|manifest| (manifest, METRICS));
    let dashboard = images.dashboard.as_ref().map(|image| configs::dashboard(image.name()));
    let dashboard = dashboard.as_deref().map(|manifest| (manifest, DASHBOARD));
    let always = [(access, KUBELET_ACCESS), (dns.as_str(), DNS)];
    for (manifest, places) in always.into_iter().chain(flannel).chain(metrics).chain(dashboard) {
        for (object, (collection, name)) in manifest.split("\n---\n").zip(places) {
            api.apply(collection, name, object).await?;
        }
    }
    Ok(())
}

/// The images that the cluster itself needs.
struct Images {
    dns: Image,
    /// The pod network's, if it is the one that needs an image.
    flannel: Option<Image>,
    /// What measures, if it is wanted.
    metrics: Option<Image>,
    /// The web pages', if they are wanted.
    dashboard: Option<Image>,
    others: Vec<Image>,
}

impl Images {
    fn network(&self) -> PodNetwork {
        if self.flannel.is_some() { PodNetwork::Flannel } else { PodNetwork::Routes }
    }
}

fn images(cluster: &Cluster, binaries: &Path, control_plane: ControlPlane, network: PodNetwork) -> Images {
    let mut others = vec![Image::pause()];
    if control_plane == ControlPlane::StaticPods {
        let processes = cluster.masters.iter().flat_map(|master| plan::of_master(cluster, master, binaries));
        others.extend(processes.map(|p| Image::of_program(&p.name, p.program)));
    }
    let dns = Image::of_program("cluster-dns", binaries.join("cluster-dns"));
    let flannel = (network == PodNetwork::Flannel).then(|| Image::of_flannel(binaries));
    Images { dns, flannel, metrics: None, dashboard: None, others }
}

/// Puts the images into every node's containerd.
fn fill(layout: &Layout, nodes: &[Node], images: &Images, deploy: &Path) -> anyhow::Result<()> {
    for node in nodes {
        wait_for("containerd", || images::runtime_answers(node))?;
    }
    let folder = layout.run("");
    let optional = [&images.flannel, &images.metrics, &images.dashboard].into_iter().flatten();
    let all = images.others.iter().chain([&images.dns]).chain(optional);
    all.into_iter().try_for_each(|image| image.ensure(nodes, deploy, &folder))
}

/// Gives every node the part of the pods' addresses that it was assigned when it registered.
async fn pod_network(api: &Api, cluster: &Cluster, network: PodNetwork) -> anyhow::Result<()> {
    let mut assigned = Vec::with_capacity(cluster.nodes.len());
    for node in cluster.nodes.iter().cloned() {
        let what = format!("the pod CIDR of {}", node.name);
        let cidr = some(&what, async || cidr(api, &node.name).await).await?;
        if network == PodNetwork::Routes {
            configs::write_pod_network(&node, &cidr)?;
        }
        assigned.push((node, cidr));
    }
    network::route(cluster, &assigned, network)
}

async fn cidr(api: &Api, node: &str) -> Option<String> {
    let node = api.get(&format!("/api/v1/nodes/{node}")).await.ok()?;
    Some(node.pointer("/spec/podCIDR")?.as_str()?.to_owned())
}

async fn node_ready(api: &Api, node: &str) -> bool {
    let node = api.get(&format!("/api/v1/nodes/{node}")).await.unwrap_or_default();
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
    let is_ready = |c: &Value| c["type"] == "Ready" && c["status"] == "True";
    conditions.is_some_and(|list| list.iter().any(is_ready))
}

/// Asks the Service's address for the name of the API, as a pod would.
async fn dns_answers() -> bool {
    let Ok(socket) = tokio::net::UdpSocket::bind("0.0.0.0:0").await else { return false };
    if socket.connect((DNS_IP, 53)).await.is_err()
        || socket.send(&question("kubernetes.default.svc.cluster.local")).await.is_err()
    {
        return false;
    }
    let mut answer = [0; 512];
    let received = tokio::time::timeout(Duration::from_millis(500), socket.recv(&mut answer)).await;
    // No error, at least one answer.
    matches!(received, Ok(Ok(length)) if length > 12 && answer[3] & 0x0f == 0 && answer[7] > 0)
}

/// A DNS question for the IPv4 address of `name`.
fn question(name: &str) -> Vec<u8> {
    let mut message = vec![0x4b, 0x38, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_as_a_resolver_does() {
        let bytes = question("a.bc");
        assert_eq!(&bytes[12..], b"\x01a\x02bc\0\0\x01\0\x01");
    }
}
