//! The status of each container of a pod.

use super::{Observed, Probed, Progress};
use crate::clock;
use crate::pod::{PodExt, RestartPolicy, is_sidecar};
use crate::runtime::{ContainerRecord, ContainerState as State};
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
    ContainerUser, LinuxContainerUser, VolumeMountStatus,
};

/// What a container is to its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs before the main ones, or beside them as a sidecar.
    Init,
    /// A main one that waits for the init containers.
    AfterInit,
    /// A main one.
    Main,
    /// Added to a running pod.
    Ephemeral,
}

/// Statuses in the order of the spec.
pub fn statuses(
    o: &Observed<'_>,
    containers: &[Container],
    old: &[ContainerStatus],
    role: Role,
) -> Vec<ContainerStatus> {
    containers.iter().map(|c| status(o, c, old.iter().find(|s| s.name == c.name), role)).collect()
}

fn status(o: &Observed<'_>, container: &Container, old: Option<&ContainerStatus>, role: Role) -> ContainerStatus {
    let mut records = o.record.containers.iter().filter(|r| r.name == container.name);
    let mut out = match records.next() {
        Some(newest) => from_record(o, container, newest, old, role),
        None => without_record(o, container, old, role),
    };
    if out.last_state.as_ref().is_none_or(|s| s == &ContainerState::default()) {
        let previous = records.find(|r| r.state == State::Exited).map(|r| terminated(o, r));
        out.last_state = Some(previous.or_else(|| old.and_then(|s| s.last_state.clone())).unwrap_or_default());
    }
    if let Some(waiting) = o.waiting.get(&container.name).filter(|_| will_restart(o, container, &out, role)) {
        let state = out.state.take().unwrap_or_default();
        if state.terminated.is_some() {
            out.last_state = Some(state);
        }
        out.state = Some(waiting_state(&waiting.reason, &waiting.message));
        out.ready = false;
        out.started = Some(false);
    }
    out
}

fn from_record(
    o: &Observed<'_>,
    container: &Container,
    r: &ContainerRecord,
    old: Option<&ContainerStatus>,
    role: Role,
) -> ContainerStatus {
    let probed = o.probed.get(&r.id).copied().unwrap_or(Probed { started: false, ready: false });
    let running = r.state == State::Running;
    let state = match r.state {
        State::Running => ContainerState {
            running: Some(ContainerStateRunning { started_at: clock::from_nanos(r.started_at) }),
            ..ContainerState::default()
        },
        State::Exited => terminated(o, r),
        State::Created => default_waiting(role),
        State::Unknown => lost(old).unwrap_or_else(|| default_waiting(role)),
    };
    let done = state.terminated.as_ref().is_some_and(|t| t.exit_code == 0);
    let ready = match role {
        Role::Init if !is_sidecar(container) => done,
        Role::Ephemeral => false,
        _ => running && probed.started && probed.ready,
    };
    let has = || o.applied.get(&r.id).cloned().or_else(|| container.resources.clone()).unwrap_or_default();
    let resources = running.then(has);
    ContainerStatus {
        name: container.name.clone(),
        image: r.image.clone(),
        image_id: r.image_id.clone(),
        container_id: Some(runtime_id(&r.id)),
        restart_count: i32::try_from(r.restart_count).unwrap_or(i32::MAX),
        state: Some(state),
        ready,
        started: Some(running && (probed.started || role == Role::Ephemeral)),
        allocated_resources: container.resources.as_ref().and_then(|r| r.requests.clone()).filter(|r| !r.is_empty()),
        resources: resources.or_else(|| old.and_then(|s| s.resources.clone())),
        user: r.user.as_ref().map(user),
        volume_mounts: mounts(container),
        ..ContainerStatus::default()
    }
}

fn without_record(
    o: &Observed<'_>,
    container: &Container,
    old: Option<&ContainerStatus>,
    role: Role,
) -> ContainerStatus {
    let fresh = ContainerStatus {
        name: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        image_id: String::new(),
        restart_count: old.map_or(0, |s| s.restart_count),
        started: Some(false),
        volume_mounts: mounts(container),
        ..ContainerStatus::default()
    };
    let ended = old.and_then(|s| s.state.as_ref()).filter(|s| s.terminated.is_some());
    if let (Some(old), Some(_)) = (old, ended) {
        // The runtime forgot it; what is known of its end stays true.
        return ContainerStatus { ready: old.ready && role == Role::Init, started: Some(false), ..old.clone() };
    }
    let vanished = (o.progress != Progress::Running).then(|| lost(old)).flatten();
    ContainerStatus { state: Some(vanished.unwrap_or_else(|| default_waiting(role))), ..fresh }
}

/// A container that ran and of which nothing is left to ask about.
fn lost(old: Option<&ContainerStatus>) -> Option<ContainerState> {
    old?.state.as_ref()?.running.as_ref()?;
    Some(ContainerState {
        terminated: Some(ContainerStateTerminated {
            reason: Some("ContainerStatusUnknown".into()),
            message: Some("The container could not be located when the pod was terminated".into()),
            exit_code: 137,
            ..ContainerStateTerminated::default()
        }),
        ..ContainerState::default()
    })
}

fn terminated(o: &Observed<'_>, r: &ContainerRecord) -> ContainerState {
    let text = |t: &str| (!t.is_empty()).then(|| t.to_owned());
    let reason = match (r.reason.as_str(), r.exit_code) {
        ("", 0) => "Completed",
        ("", _) => "Error",
        (reason, _) => reason,
    };
    ContainerState {
        terminated: Some(ContainerStateTerminated {
            exit_code: r.exit_code,
            reason: Some(reason.to_owned()),
            message: o.messages.get(&r.id).cloned().or_else(|| text(&r.message)),
            started_at: clock::from_nanos(r.started_at),
            finished_at: clock::from_nanos(r.finished_at),
            container_id: Some(runtime_id(&r.id)),
            signal: None,
        }),
        ..ContainerState::default()
    }
}

fn will_restart(o: &Observed<'_>, container: &Container, status: &ContainerStatus, role: Role) -> bool {
    if o.progress != Progress::Running {
        return false;
    }
    let state = status.state.clone().unwrap_or_default();
    match (state.running, state.terminated) {
        (Some(_), _) => false,
        (None, None) => true,
        (None, Some(ended)) => restarts(policy(o, container, role), ended.exit_code),
    }
}

fn policy(o: &Observed<'_>, container: &Container, role: Role) -> RestartPolicy {
    let pod = o.pod.restart_policy();
    match role {
        Role::Ephemeral => RestartPolicy::Never,
        Role::Init if is_sidecar(container) => RestartPolicy::Always,
        Role::Init if pod == RestartPolicy::Always => RestartPolicy::OnFailure,
        _ => container.restart_policy.as_deref().map_or(pod, |p| RestartPolicy::parse(Some(p))),
    }
}

fn restarts(policy: RestartPolicy, exit_code: i32) -> bool {
    match policy {
        RestartPolicy::Always => true,
        RestartPolicy::OnFailure => exit_code != 0,
        RestartPolicy::Never => false,
    }
}

fn default_waiting(role: Role) -> ContainerState {
    waiting_state(
        if role == Role::AfterInit || role == Role::Init { "PodInitializing" } else { "ContainerCreating" },
        "",
    )
}

fn waiting_state(reason: &str, message: &str) -> ContainerState {
    ContainerState {
        waiting: Some(ContainerStateWaiting {
            reason: Some(reason.to_owned()),
            message: (!message.is_empty()).then(|| message.to_owned()),
        }),
        ..ContainerState::default()
    }
}

fn runtime_id(id: &str) -> String {
    format!("containerd://{id}")
}

fn user((uid, gid, groups): &(i64, i64, Vec<i64>)) -> ContainerUser {
    ContainerUser {
        linux: Some(LinuxContainerUser { uid: *uid, gid: *gid, supplemental_groups: Some(groups.clone()) }),
    }
}

fn mounts(container: &Container) -> Option<Vec<VolumeMountStatus>> {
    let mounts = container.volume_mounts.as_ref().filter(|m| !m.is_empty())?;
    let status = |m: &k8s_openapi::api::core::v1::VolumeMount| VolumeMountStatus {
        name: m.name.clone(),
        mount_path: m.mount_path.clone(),
        read_only: m.read_only.filter(|r| *r),
        recursive_read_only: (m.read_only == Some(true)).then(|| "Disabled".to_owned()),
        volume_status: None,
    };
    Some(mounts.iter().map(status).collect())
}
