//! Brings the cluster up.

use crate::api::Api;
use crate::layout::{BRIDGE, DNS_IP, HOST_IP, Layout, PAUSE_IMAGE, node_name};
use crate::progress::step;
use crate::{certificates, configs, plan, supervise};
use anyhow::{Context, bail};
use serde_json::Value;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long the whole cluster may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pause between two looks at a condition.
const LOOK: Duration = Duration::from_millis(50);

/// Makes the files, starts the supervisor, and waits until the node is ready and DNS answers.
pub fn run(layout: &Layout, binaries: &Path, deploy: &Path) -> anyhow::Result<()> {
    let binaries = std::path::absolute(binaries)?;
    for folder in ["pki", "config/manifests", "config/cni", "logs", "run", "etcd"] {
        std::fs::create_dir_all(layout.root().join(folder)).with_context(|| format!("making {folder}"))?;
    }
    // etcd insists on a folder that nobody else reads.
    std::fs::set_permissions(layout.data("etcd"), std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    step("certificates", || certificates::ensure(layout))?;
    step("configuration", || configs::write(layout))?;
    step("network", network)?;
    step("processes", || start(layout, &binaries))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let api = Api::new(layout)?;
    step("apiserver", || runtime.block_on(until("the apiserver", async || ready(&api).await)))?;
    step("first objects", || runtime.block_on(objects(&api)))?;
    step("container runtime", || pause_image(layout, deploy))?;
    step("node", || runtime.block_on(until("the node", async || node_ready(&api).await)))?;
    step("DNS", || runtime.block_on(until("DNS", async || dns_answers().await)))?;
    let config = layout.admin_kubeconfig();
    println!("The cluster is up. Use it with:\n\n  export KUBECONFIG={}\n  kubectl get nodes\n", config.display());
    Ok(())
}

/// The bridge that carries the machine's cluster address, and forwarding between pods and it.
fn network() -> anyhow::Result<()> {
    let exists = Path::new("/sys/class/net").join(BRIDGE).exists();
    if !exists {
        command("ip", &["link", "add", BRIDGE, "type", "bridge"])?;
    }
    command("ip", &["addr", "replace", &format!("{HOST_IP}/24"), "dev", BRIDGE])?;
    command("ip", &["link", "set", BRIDGE, "up"])?;
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("enabling forwarding")?;
    // Without the module bridged traffic is not filtered, and there is nothing to enable.
    Command::new("modprobe").arg("br_netfilter").stderr(Stdio::null()).status().ok();
    std::fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", "1").ok();
    Ok(())
}

/// Starts the supervisor, unless one runs this very plan.
fn start(layout: &Layout, binaries: &Path) -> anyhow::Result<()> {
    let wanted = serde_json::to_string_pretty(&plan::processes(layout, binaries))?;
    let file = layout.run("plan.json");
    if let Some(pid) = supervise::running(layout) {
        if std::fs::read_to_string(&file).is_ok_and(|current| current == wanted) {
            return Ok(());
        }
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        wait_for("the old supervisor to end", || supervise::running(layout).is_none())?;
    }
    std::fs::write(&file, wanted)?;
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
    let started = Instant::now();
    while !condition().await {
        if started.elapsed() > PATIENCE {
            bail!("{what} did not come within {PATIENCE:?}; the logs are in the state folder");
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

async fn ready(api: &Api) -> bool {
    api.request("GET", "/readyz", None).await.is_ok_and(|(status, _)| status == 200)
}

/// The objects of `deploy/manifests`: collection, name, manifest.
async fn objects(api: &Api) -> anyhow::Result<()> {
    const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
    let dns = configs::substitute(include_str!("../../manifests/dns.yaml"));
    let access = configs::substitute(include_str!("../../manifests/kubelet-access.yaml"));
    let places = [
        format!("{RBAC}/clusterroles"),
        format!("{RBAC}/clusterrolebindings"),
        "/api/v1/namespaces/kube-system/services".into(),
        "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices".into(),
    ];
    for (manifest, collection) in dns.split("\n---\n").zip(&places) {
        api.ensure(collection, "kube-dns", manifest).await?;
    }
    api.ensure(&places[1], "system:kube-apiserver-to-kubelet", &access).await
}

/// Puts the pause image into containerd, if it is not there.
fn pause_image(layout: &Layout, deploy: &Path) -> anyhow::Result<()> {
    let socket = layout.containerd_socket();
    wait_for("containerd", || ctr(&socket, &["version"]).is_ok())?;
    if ctr(&socket, &["images", "list", "--quiet"])?.lines().any(|line| line == PAUSE_IMAGE) {
        return Ok(());
    }
    let archive = layout.run("pause.tar");
    let archive_text = archive.display().to_string();
    command(&deploy.join("images/pause").display().to_string(), &[PAUSE_IMAGE, &archive_text])?;
    ctr(&socket, &["images", "import", &archive_text])?;
    std::fs::remove_file(archive).ok();
    Ok(())
}

fn ctr(socket: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let socket = socket.display().to_string();
    let mut all = vec!["--address", socket.as_str(), "--namespace", "k8s.io"];
    all.extend(arguments);
    command("ctr", &all)
}

fn command(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(arguments).output().with_context(|| format!("running {program}"))?;
    if !output.status.success() {
        bail!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn node_ready(api: &Api) -> bool {
    let node = api.get(&format!("/api/v1/nodes/{}", node_name())).await.unwrap_or_default();
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
