//! What the runtime holds for a pod, in the kubelet's own terms.

use super::{RuntimeHealth, labels};
use proto::cri;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

/// A pod as the runtime knows it; newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodRecord {
    pub sandboxes: Vec<SandboxRecord>,
    pub containers: Vec<ContainerRecord>,
}

/// A pod's sandbox.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SandboxRecord {
    pub id: String,
    pub name: String,
    pub namespace: String,
    pub attempt: u32,
    pub ready: bool,
    pub created_at: i64,
    /// The pod's addresses, the primary one first; empty on the node's network.
    pub ips: Vec<String>,
    pub host_network: bool,
}

/// What a container is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ContainerState {
    /// Made, not started yet.
    Created,
    /// Its process runs.
    Running,
    /// Its process ended.
    Exited,
    /// The runtime lost track of it.
    #[default]
    Unknown,
}

/// A container, running or not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerRecord {
    pub id: String,
    pub name: String,
    pub sandbox: String,
    pub state: ContainerState,
    pub image: String,
    pub image_id: String,
    pub created_at: i64,
    pub started_at: i64,
    pub finished_at: i64,
    pub exit_code: i32,
    pub reason: String,
    pub message: String,
    /// `None` if this container was not made by a kubelet.
    pub hash: Option<u32>,
    pub restart_count: u32,
    pub message_path: String,
    pub message_policy: String,
    pub log_path: String,
    /// The host path behind the termination message, if it is mounted.
    pub message_host_path: Option<String>,
    pub user: Option<(i64, i64, Vec<i64>)>,
}

impl PodRecord {
    pub(super) fn sort(&mut self) {
        self.sandboxes.sort_by_key(|s| std::cmp::Reverse(s.created_at));
        self.containers.sort_by_key(|c| std::cmp::Reverse((c.created_at, c.restart_count)));
    }

    /// The sandbox that the pod lives in, if it is alive.
    pub fn ready_sandbox(&self) -> Option<&SandboxRecord> {
        self.sandboxes.first().filter(|s| s.ready)
    }

    /// The newest container of this name.
    pub fn container(&self, name: &str) -> Option<&ContainerRecord> {
        self.containers.iter().find(|c| c.name == name)
    }

    /// All containers whose process runs.
    pub fn running(&self) -> impl Iterator<Item = &ContainerRecord> {
        self.containers.iter().filter(|c| c.state == ContainerState::Running)
    }

    /// The pod's addresses.
    pub fn ips(&self) -> Vec<String> {
        self.sandboxes.first().map(|s| s.ips.clone()).unwrap_or_default()
    }
}

/// The cheap view of a pod: enough to see that something changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    pub name: String,
    pub namespace: String,
    /// State by sandbox id.
    pub sandboxes: BTreeMap<String, bool>,
    /// State by container id.
    pub containers: BTreeMap<String, ContainerState>,
}

pub(super) fn outlines(sandboxes: &[cri::PodSandbox], containers: &[cri::Container]) -> HashMap<String, Outline> {
    let mut out: HashMap<String, Outline> = HashMap::new();
    for sandbox in sandboxes {
        let Some(entry) = entry(&mut out, &sandbox.labels) else { continue };
        entry.sandboxes.insert(sandbox.id.clone(), sandbox.state() == cri::PodSandboxState::SandboxReady);
    }
    for container in containers {
        let Some(entry) = entry(&mut out, &container.labels) else { continue };
        entry.containers.insert(container.id.clone(), state(container.state()));
    }
    out
}

fn entry<'a>(out: &'a mut HashMap<String, Outline>, of: &HashMap<String, String>) -> Option<&'a mut Outline> {
    let uid = of.get(labels::POD_UID)?;
    let text = |key| of.get(key).cloned().unwrap_or_default();
    Some(out.entry(uid.clone()).or_insert_with(|| Outline {
        name: text(labels::POD_NAME),
        namespace: text(labels::POD_NAMESPACE),
        ..Outline::default()
    }))
}

/// Where a container that a kubelet made writes its log, below the folder of all logs.
pub(super) fn log_file(c: &cri::Container) -> Option<PathBuf> {
    let label = |key: &str| c.labels.get(key);
    let pod = [labels::POD_NAMESPACE, labels::POD_NAME, labels::POD_UID].map(label);
    let [Some(namespace), Some(name), Some(uid)] = pod else { return None };
    let restarts: u32 = c.annotations.get(labels::RESTART_COUNT)?.parse().ok()?;
    let folder = PathBuf::from(format!("{namespace}_{name}_{uid}"));
    Some(folder.join(label(labels::CONTAINER_NAME)?).join(format!("{restarts}.log")))
}

pub(super) fn sandbox(s: cri::PodSandboxStatus) -> SandboxRecord {
    let metadata = s.metadata.clone().unwrap_or_default();
    let options = s.linux.as_ref().and_then(|l| l.namespaces.as_ref()).and_then(|n| n.options.as_ref());
    let host_network = options.is_some_and(|o| o.network() == cri::NamespaceMode::Node);
    let network = s.network.clone().unwrap_or_default();
    let more = network.additional_ips.into_iter().map(|ip| ip.ip);
    let ips = std::iter::once(network.ip).chain(more).filter(|ip| !ip.is_empty() && !host_network).collect();
    SandboxRecord {
        ready: s.state() == cri::PodSandboxState::SandboxReady,
        id: s.id,
        name: metadata.name,
        namespace: metadata.namespace,
        attempt: metadata.attempt,
        created_at: s.created_at,
        ips,
        host_network,
    }
}

pub(super) fn container(s: cri::ContainerStatus, sandbox: &str) -> ContainerRecord {
    let annotation = |key| s.annotations.get(key).cloned().unwrap_or_default();
    let message_path = annotation(labels::MESSAGE_PATH);
    let mounted = s.mounts.iter().find(|m| !message_path.is_empty() && m.container_path == message_path);
    let linux_user = s.user.as_ref().and_then(|u| u.linux.as_ref());
    ContainerRecord {
        name: s.labels.get(labels::CONTAINER_NAME).cloned().unwrap_or_default(),
        sandbox: sandbox.to_owned(),
        state: state(s.state()),
        image: s.image.as_ref().map(|i| i.image.clone()).unwrap_or_default(),
        image_id: if s.image_ref.is_empty() { s.image_id.clone() } else { s.image_ref.clone() },
        created_at: s.created_at,
        started_at: s.started_at,
        finished_at: s.finished_at,
        exit_code: s.exit_code,
        hash: u32::from_str_radix(&annotation(labels::HASH), 16).ok(),
        restart_count: annotation(labels::RESTART_COUNT).parse().unwrap_or(0),
        message_host_path: mounted.map(|m| m.host_path.clone()),
        message_policy: annotation(labels::MESSAGE_POLICY),
        message_path,
        log_path: s.log_path.clone(),
        user: linux_user.map(|u| (u.uid, u.gid, u.supplemental_groups.clone())),
        reason: s.reason,
        message: s.message,
        id: s.id,
    }
}

fn state(s: cri::ContainerState) -> ContainerState {
    match s {
        cri::ContainerState::ContainerCreated => ContainerState::Created,
        cri::ContainerState::ContainerRunning => ContainerState::Running,
        cri::ContainerState::ContainerExited => ContainerState::Exited,
        cri::ContainerState::ContainerUnknown => ContainerState::Unknown,
    }
}

pub(super) fn health(conditions: &[cri::RuntimeCondition]) -> RuntimeHealth {
    let wrong = |kind: &str, what: &str| match conditions.iter().find(|c| c.r#type == kind) {
        Some(c) if c.status => None,
        Some(c) => Some(format!("{what} not ready: {kind}=false reason:{} message:{}", c.reason, c.message)),
        None => Some(format!("{what} status is unknown")),
    };
    match wrong("RuntimeReady", "container runtime").or_else(|| wrong("NetworkReady", "container runtime network")) {
        Some(text) => RuntimeHealth::NotReady(text),
        None => RuntimeHealth::Ready,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(kind: &str, status: bool) -> cri::RuntimeCondition {
        cri::RuntimeCondition { r#type: kind.into(), status, reason: "R".into(), message: "m".into() }
    }

    #[test]
    fn health_needs_runtime_and_network() {
        let both = [condition("RuntimeReady", true), condition("NetworkReady", true)];
        assert_eq!(health(&both), RuntimeHealth::Ready);
        let no_network = [condition("RuntimeReady", true), condition("NetworkReady", false)];
        assert_eq!(
            health(&no_network),
            RuntimeHealth::NotReady(
                "container runtime network not ready: NetworkReady=false reason:R message:m".into()
            )
        );
        assert!(matches!(health(&[]), RuntimeHealth::NotReady(_)));
    }

    #[test]
    fn only_the_kubelets_own_are_outlined() {
        let label = |uid: &str| HashMap::from([(labels::POD_UID.to_owned(), uid.to_owned())]);
        let sandboxes = [cri::PodSandbox { id: "s".into(), labels: label("u"), ..Default::default() }];
        let containers = [
            cri::Container { id: "c".into(), labels: label("u"), state: 1, ..Default::default() },
            cri::Container { id: "foreign".into(), ..Default::default() },
        ];
        let got = outlines(&sandboxes, &containers);
        assert_eq!(got.len(), 1);
        assert_eq!(got["u"].containers["c"], ContainerState::Running);
        assert!(got["u"].sandboxes["s"]);
    }
}
