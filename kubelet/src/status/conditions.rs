//! The kubelet's conditions of a pod; those of others are kept.

use super::{Verdict, phase};
use crate::clock;
use crate::pod::PodExt;
use crate::resize::{self, Progress, Standing};
use crate::workers::preemption;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition, PodStatus};

const OWN: [&str; 5] = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];

/// The condition of a pod that is ended for reasons outside of it, and the kubelet's reason.
pub const DISRUPTION: &str = "DisruptionTarget";
pub const BY_KUBELET: &str = "TerminationByKubelet";

/// What the conditions follow from.
#[derive(Debug)]
pub struct Readiness<'a> {
    pub pod: &'a Pod,
    pub phase: &'a str,
    pub init: &'a [ContainerStatus],
    pub main: &'a [ContainerStatus],
    pub has_sandbox: bool,
}

enum Answer {
    True,
    TrueFor(&'static str),
    False(&'static str, String),
}

/// All conditions, with the time of each one's last change.
pub fn all(r: &Readiness<'_>, pod: &Pod, old: &PodStatus) -> Vec<PodCondition> {
    let ready = containers_ready(r);
    let sandbox = if r.has_sandbox { Answer::True } else { Answer::False("", String::new()) };
    let pod_ready = pod_ready(r, &ready, old);
    let answers = [sandbox, initialized(r), pod_ready, ready, Answer::True];
    let known = old.conditions.as_deref().unwrap_or_default();
    let mut out: Vec<_> = OWN.iter().zip(answers).map(|(kind, a)| condition(kind, a, pod, known)).collect();
    out.extend(known.iter().filter(|c| !OWN.contains(&c.type_.as_str())).cloned());
    out
}

/// Adds that the kubelet ends the pod for the node's sake.
pub fn with_disruption(mut all: Vec<PodCondition>, verdict: Option<&Verdict>, pod: &Pod) -> Vec<PodCondition> {
    let Some(verdict) = verdict.filter(|v| v.disruption) else { return all };
    let old = all.iter().position(|c| c.type_ == DISRUPTION).map(|index| all.remove(index));
    let since = old.filter(|c| c.status == "True").and_then(|c| c.last_transition_time);
    let message = if verdict.reason == preemption::REASON { preemption::CONDITION } else { &verdict.message };
    all.push(PodCondition {
        type_: DISRUPTION.to_owned(),
        status: "True".to_owned(),
        reason: Some(BY_KUBELET.to_owned()),
        message: Some(message.to_owned()),
        last_transition_time: Some(since.unwrap_or_else(clock::now)),
        last_probe_time: None,
        observed_generation: pod.generation(),
    });
    all
}

/// Says where a change of the pod's resources stands; says nothing if there is none.
pub fn with_resize(mut all: Vec<PodCondition>, standing: &Standing, pod: &Pod) -> Vec<PodCondition> {
    let (old, mut all): (Vec<_>, Vec<_>) = all.drain(..).partition(|c| is_of_resize(&c.type_));
    let text = |t: &str| (!t.is_empty()).then(|| t.to_owned());
    let mut add = |kind: &str, reason: &str, message: &str| {
        let since = old.iter().find(|c| c.type_ == kind).and_then(|c| c.last_transition_time.clone());
        all.push(PodCondition {
            type_: kind.to_owned(),
            status: "True".to_owned(),
            reason: text(reason),
            message: text(message),
            last_transition_time: Some(since.unwrap_or_else(clock::now)),
            last_probe_time: None,
            observed_generation: pod.generation(),
        });
    };
    if let Some(refusal) = &standing.pending {
        add(resize::PENDING, refusal.reason, &refusal.message);
    }
    match &standing.progress {
        Some(Progress::Going) => add(resize::IN_PROGRESS, "", ""),
        Some(Progress::Failed(why)) => add(resize::IN_PROGRESS, "Error", why),
        None => {}
    }
    all
}

/// Whether conditions of this type tell of a change of the pod's resources.
pub fn is_of_resize(kind: &str) -> bool {
    matches!(kind, resize::PENDING | resize::IN_PROGRESS)
}

/// Whether the kubelet owns conditions of this type.
pub fn is_own(kind: &str) -> bool {
    OWN.contains(&kind)
}

fn initialized(r: &Readiness<'_>) -> Answer {
    if r.phase == "Succeeded" {
        return Answer::TrueFor("PodCompleted");
    }
    let spec = PodExt::spec(r.pod);
    let begun = r.main.iter().any(|s| s.started == Some(true) || s.restart_count > 0);
    let incomplete: Vec<&str> = spec
        .init_containers
        .iter()
        .flatten()
        .filter(|c| !r.init.iter().any(|s| s.name == c.name && phase::is_through(c, s)))
        .map(|c| c.name.as_str())
        .collect();
    if incomplete.is_empty() || begun {
        return Answer::True;
    }
    let message = format!("containers with incomplete status: [{}]", incomplete.join(" "));
    Answer::False("ContainersNotInitialized", message)
}

fn containers_ready(r: &Readiness<'_>) -> Answer {
    match r.phase {
        "Succeeded" => return Answer::False("PodCompleted", String::new()),
        "Failed" => return Answer::False("PodFailed", String::new()),
        _ => {}
    }
    let spec = PodExt::spec(r.pod);
    let sidecars = spec.init_containers.iter().flatten().filter(|c| crate::pod::is_sidecar(c));
    let named = sidecars.map(|c| (c, r.init)).chain(spec.containers.iter().map(|c| (c, r.main)));
    let mut unknown = Vec::new();
    let mut unready = Vec::new();
    for (container, statuses) in named {
        match statuses.iter().find(|s| s.name == container.name) {
            None => unknown.push(container.name.as_str()),
            Some(s) if !s.ready => unready.push(container.name.as_str()),
            Some(_) => {}
        }
    }
    let mut messages = Vec::new();
    if !unknown.is_empty() {
        messages.push(format!("containers with unknown status: [{}]", unknown.join(" ")));
    }
    if !unready.is_empty() {
        messages.push(format!("containers with unready status: [{}]", unready.join(" ")));
    }
    if messages.is_empty() { Answer::True } else { Answer::False("ContainersNotReady", messages.join(", ")) }
}

fn pod_ready(r: &Readiness<'_>, containers: &Answer, old: &PodStatus) -> Answer {
    if let Answer::False(reason, message) = containers {
        return Answer::False(reason, message.clone());
    }
    let has = |kind: &str| old.conditions.iter().flatten().find(|c| c.type_ == kind);
    let gates = PodExt::spec(r.pod).readiness_gates.iter().flatten();
    let wrong = gates.filter_map(|g| match has(&g.condition_type) {
        None => Some(format!("corresponding condition of pod readiness gate \"{}\" does not exist.", g.condition_type)),
        Some(c) if c.status != "True" => {
            Some(format!("the status of pod readiness gate \"{}\" is not \"True\", but {}", g.condition_type, c.status))
        }
        Some(_) => None,
    });
    let wrong: Vec<_> = wrong.collect();
    if wrong.is_empty() { Answer::True } else { Answer::False("ReadinessGatesNotReady", wrong.join(", ")) }
}

fn condition(kind: &str, answer: Answer, pod: &Pod, known: &[PodCondition]) -> PodCondition {
    let (status, reason, message) = match answer {
        Answer::True => ("True", "", String::new()),
        Answer::TrueFor(reason) => ("True", reason, String::new()),
        Answer::False(reason, message) => ("False", reason, message),
    };
    let old = known.iter().find(|c| c.type_ == kind);
    let since = old.filter(|c| c.status == status).and_then(|c| c.last_transition_time.clone());
    let text = |t: &str| (!t.is_empty()).then(|| t.to_owned());
    PodCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: text(reason),
        message: text(&message),
        last_transition_time: Some(since.unwrap_or_else(clock::now)),
        last_probe_time: None,
        observed_generation: pod.generation(),
    }
}
