//! What the kubelet asks of a Pod object, in one place: identity, containers, deadlines.

use k8s_openapi::api::core::v1::{Container, EphemeralContainer, Pod, PodSpec};
use k8s_openapi::jiff::Timestamp;

/// Set on static pods and mirror pods: where the pod came from (`file`, `api`).
pub const CONFIG_SOURCE: &str = "kubernetes.io/config.source";
/// Set on static pods: the hash of the manifest.
pub const CONFIG_HASH: &str = "kubernetes.io/config.hash";
/// Set on mirror pods: the hash of the static pod they mirror.
pub const CONFIG_MIRROR: &str = "kubernetes.io/config.mirror";
/// When the kubelet first saw the pod.
pub const CONFIG_SEEN: &str = "kubernetes.io/config.seen";

/// From here on a pod is critical for its node (`system-node-critical`).
pub const CRITICAL_PRIORITY: i32 = 2_000_000_000;

const DEFAULT_GRACE: i64 = 30;

/// Accessors that hide the options of the wire type.
pub trait PodExt {
    fn uid(&self) -> &str;
    fn name(&self) -> &str;
    fn namespace(&self) -> &str;
    /// `None` only on a malformed pod; such pods are dropped at the source.
    fn spec(&self) -> &PodSpec;
    /// `name_namespace(uid)`, as messages and events print it.
    fn formatted(&self) -> String;
    fn annotation(&self, key: &str) -> Option<&str>;
    fn restart_policy(&self) -> RestartPolicy;
    fn is_host_network(&self) -> bool;
    fn is_being_deleted(&self) -> bool;
    fn deletion_grace(&self) -> Option<i64>;
    /// Seconds that the pod's containers get to stop by themselves.
    fn grace(&self) -> i64;
    fn is_static(&self) -> bool;
    fn is_mirror(&self) -> bool;
    fn is_critical(&self) -> bool;
    fn generation(&self) -> Option<i64>;
    fn phase(&self) -> &str;
    fn init_containers(&self) -> &[Container];
    /// Ephemeral containers in the shape of ordinary ones.
    fn ephemeral_containers(&self) -> Vec<Container>;
    fn container(&self, name: &str) -> Option<Container>;
    fn start_time(&self) -> Option<Timestamp>;
}

/// What happens to a container that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    /// It is started again.
    Always,
    /// It is started again unless it ended with code 0.
    OnFailure,
    /// It stays as it is.
    Never,
}

impl RestartPolicy {
    /// The policy of this name; unknown names are `Always`, the default.
    pub fn parse(name: Option<&str>) -> Self {
        match name {
            Some("Never") => Self::Never,
            Some("OnFailure") => Self::OnFailure,
            _ => Self::Always,
        }
    }
}

static EMPTY_SPEC: std::sync::LazyLock<PodSpec> = std::sync::LazyLock::new(PodSpec::default);

impl PodExt for Pod {
    fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or("default")
    }

    fn spec(&self) -> &PodSpec {
        self.spec.as_ref().unwrap_or(&EMPTY_SPEC)
    }

    fn formatted(&self) -> String {
        format!("{}_{}({})", self.name(), self.namespace(), self.uid())
    }

    fn annotation(&self, key: &str) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(key).map(String::as_str)
    }

    fn restart_policy(&self) -> RestartPolicy {
        RestartPolicy::parse(PodExt::spec(self).restart_policy.as_deref())
    }

    fn is_host_network(&self) -> bool {
        PodExt::spec(self).host_network == Some(true)
    }

    fn is_being_deleted(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    fn deletion_grace(&self) -> Option<i64> {
        self.metadata.deletion_grace_period_seconds
    }

    fn grace(&self) -> i64 {
        self.deletion_grace()
            .filter(|_| self.is_being_deleted())
            .or(PodExt::spec(self).termination_grace_period_seconds)
            .unwrap_or(DEFAULT_GRACE)
            .max(0)
    }

    fn is_static(&self) -> bool {
        self.annotation(CONFIG_SOURCE).is_some_and(|source| source != "api")
    }

    fn is_mirror(&self) -> bool {
        self.annotation(CONFIG_MIRROR).is_some()
    }

    fn is_critical(&self) -> bool {
        self.is_static() || PodExt::spec(self).priority.is_some_and(|p| p >= CRITICAL_PRIORITY)
    }

    fn generation(&self) -> Option<i64> {
        self.metadata.generation
    }

    fn phase(&self) -> &str {
        self.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or("Pending")
    }

    fn init_containers(&self) -> &[Container] {
        PodExt::spec(self).init_containers.as_deref().unwrap_or_default()
    }

    fn ephemeral_containers(&self) -> Vec<Container> {
        let all = PodExt::spec(self).ephemeral_containers.as_deref().unwrap_or_default();
        all.iter().map(as_container).collect()
    }

    fn container(&self, name: &str) -> Option<Container> {
        let spec = PodExt::spec(self);
        spec.containers
            .iter()
            .chain(self.init_containers())
            .find(|c| c.name == name)
            .cloned()
            .or_else(|| self.ephemeral_containers().into_iter().find(|c| c.name == name))
    }

    fn start_time(&self) -> Option<Timestamp> {
        self.status.as_ref()?.start_time.as_ref().map(|t| t.0)
    }
}

/// Whether an init container keeps running beside the main ones.
pub fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

fn as_container(e: &EphemeralContainer) -> Container {
    Container {
        name: e.name.clone(),
        image: e.image.clone(),
        command: e.command.clone(),
        args: e.args.clone(),
        working_dir: e.working_dir.clone(),
        env: e.env.clone(),
        env_from: e.env_from.clone(),
        volume_mounts: e.volume_mounts.clone(),
        termination_message_path: e.termination_message_path.clone(),
        termination_message_policy: e.termination_message_policy.clone(),
        image_pull_policy: e.image_pull_policy.clone(),
        security_context: e.security_context.clone(),
        stdin: e.stdin,
        stdin_once: e.stdin_once,
        tty: e.tty,
        ..Container::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

    fn pod(grace: Option<i64>, deletion: Option<i64>) -> Pod {
        Pod {
            metadata: ObjectMeta {
                deletion_timestamp: deletion.map(|_| Time(Timestamp::UNIX_EPOCH)),
                deletion_grace_period_seconds: deletion,
                ..ObjectMeta::default()
            },
            spec: Some(PodSpec { termination_grace_period_seconds: grace, ..PodSpec::default() }),
            ..Pod::default()
        }
    }

    #[test]
    fn the_grace_of_a_deletion_wins() {
        for (grace, deletion, want) in
            [(None, None, 30), (Some(5), None, 5), (Some(5), Some(1), 1), (Some(5), Some(0), 0), (Some(-3), None, 0)]
        {
            assert_eq!(pod(grace, deletion).grace(), want, "{grace:?} {deletion:?}");
        }
    }
}
