//! The status of pods: computed from what the runtime holds, written by one writer.
//!
//! Upstream: `pkg/kubelet/kubelet_pods.go`, `pkg/kubelet/status`.

pub mod conditions;
pub mod containers;
pub mod patch;
pub mod phase;
pub mod writer;

pub use writer::StatusWriter;

use crate::clock;
use crate::pod::PodExt;
use crate::resize::{Applied, Standing};
use crate::resources::QosClass;
use crate::runtime::PodRecord;
use conditions::Readiness;
use k8s_openapi::api::core::v1::{HostIP, Pod, PodIP, PodStatus, ResourceStatus};
use std::collections::{BTreeMap, HashMap};

/// Why a container waits: the reason and message of its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub reason: String,
    pub message: String,
}

/// What the probes say of one container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probed {
    pub started: bool,
    pub ready: bool,
}

/// An end that the kubelet gave the pod, whatever its containers did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub reason: String,
    pub message: String,
    /// Seconds that its containers get, instead of the pod's own.
    pub grace: Option<i64>,
    /// Whether it is a disruption: the pod did nothing that its own limits forbid.
    pub disruption: bool,
}

/// How far the pod is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Containers are started and kept.
    Running,
    /// They are being stopped.
    Stopping,
    /// None runs, and none will.
    Stopped,
}

/// Everything that a status follows from.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    pub pod: &'a Pod,
    pub record: &'a PodRecord,
    /// The last status that was computed.
    pub old: &'a PodStatus,
    pub waiting: &'a HashMap<String, Waiting>,
    /// By container id.
    pub probed: &'a HashMap<String, Probed>,
    /// Termination messages by container id.
    pub messages: &'a HashMap<String, String>,
    pub verdict: Option<&'a Verdict>,
    pub progress: Progress,
    pub host_ips: &'a [String],
    /// What running containers have.
    pub applied: &'a Applied,
    /// Where a change of the pod's resources stands.
    pub standing: &'a Standing,
    /// The health of devices, by container.
    pub devices: &'a BTreeMap<String, Vec<ResourceStatus>>,
}

/// The pod's status.
pub fn generate(o: &Observed<'_>) -> PodStatus {
    let spec = PodExt::spec(o.pod);
    let old = |list: &Option<Vec<_>>| list.clone().unwrap_or_default();
    let has_init = !o.pod.init_containers().is_empty();
    let init =
        containers::statuses(o, o.pod.init_containers(), &old(&o.old.init_container_statuses), containers::Role::Init);
    let role =
        if has_init && !phase::initialized(spec, &init) { containers::Role::AfterInit } else { containers::Role::Main };
    let mut main = containers::statuses(o, &spec.containers, &old(&o.old.container_statuses), role);
    for status in &mut main {
        status.allocated_resources_status = o.devices.get(&status.name).cloned();
    }
    let ephemeral = o.pod.ephemeral_containers();
    let ephemeral =
        containers::statuses(o, &ephemeral, &old(&o.old.ephemeral_container_statuses), containers::Role::Ephemeral);
    let stopped = o.progress == Progress::Stopped;
    let phase = match (o.verdict, o.pod.phase()) {
        (Some(_), _) => "Failed",
        (None, done @ ("Succeeded" | "Failed")) => done,
        (None, _) => phase::of(spec, &init, &main, stopped),
    };
    let ips = pod_ips(o);
    let conditions = |readiness: &Readiness<'_>| {
        let all = conditions::all(readiness, o.pod, o.old);
        let all = conditions::with_resize(all, o.standing, o.pod);
        conditions::with_disruption(all, o.verdict, o.pod)
    };
    let readiness = Readiness { pod: o.pod, phase, init: &init, main: &main, has_sandbox: has_sandbox(o) };
    PodStatus {
        phase: Some(phase.to_owned()),
        conditions: Some(conditions(&readiness)),
        reason: o.verdict.map(|v| v.reason.clone()).or_else(|| o.old.reason.clone()),
        message: o.verdict.map(|v| v.message.clone()).or_else(|| o.old.message.clone()),
        host_ip: o.host_ips.first().cloned(),
        host_ips: Some(o.host_ips.iter().map(|ip| HostIP { ip: ip.clone() }).collect()),
        pod_ip: ips.first().cloned(),
        pod_ips: (!ips.is_empty()).then(|| ips.iter().map(|ip| PodIP { ip: ip.clone() }).collect()),
        start_time: Some(o.old.start_time.clone().unwrap_or_else(clock::now)),
        init_container_statuses: (!init.is_empty()).then_some(init),
        container_statuses: Some(main),
        ephemeral_container_statuses: (!ephemeral.is_empty()).then_some(ephemeral),
        qos_class: Some(QosClass::of(o.pod).name().to_owned()),
        observed_generation: o.pod.generation(),
        resources: Some(spec.resources.clone().unwrap_or_default()),
        ..PodStatus::default()
    }
}

/// A pod keeps its addresses to the end; on the node's network it has the node's.
fn pod_ips(o: &Observed<'_>) -> Vec<String> {
    if o.pod.is_host_network() {
        return o.host_ips.to_vec();
    }
    let now = o.record.ips();
    if !now.is_empty() {
        return now;
    }
    o.old.pod_ips.iter().flatten().map(|ip| ip.ip.clone()).collect()
}

fn has_sandbox(o: &Observed<'_>) -> bool {
    o.record.ready_sandbox().is_some_and(|s| s.host_network || !s.ips.is_empty())
}

#[cfg(test)]
mod tests;
