//! What has to be done so that the runtime holds what the pod asks for: a pure function of the
//! pod, what the runtime has, and what the probes say.
//!
//! Upstream: `computePodActions` in `pkg/kubelet/kuberuntime`.

use crate::pod::{PodExt, RestartPolicy, is_sidecar};
use crate::runtime::{ContainerRecord, ContainerState, PodRecord, labels};
use k8s_openapi::api::core::v1::{Container, ContainerRestartRule, Pod};
use std::collections::HashSet;

/// Why a container is stopped, in the words of its event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KillReason {
    /// Its definition changed.
    SpecChanged,
    /// A probe gave it up.
    FailedProbe(&'static str),
    /// Its resources change, and it has to begin anew for that.
    Resized,
}

/// A container to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kill {
    pub id: String,
    pub name: String,
    pub reason: KillReason,
}

/// The sandbox that the pod is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SandboxAction {
    /// It is there.
    Keep { id: String },
    /// Whatever is there goes, and a new one is made.
    Create { attempt: u32 },
    /// The pod needs none any more.
    None,
}

/// Everything to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actions {
    pub sandbox: SandboxAction,
    pub kill: Vec<Kill>,
    /// Names of containers to start, in order; init containers before main ones.
    pub start: Vec<String>,
}

/// What the probes have given up, by container id.
#[derive(Clone, Debug, Default)]
pub struct ProbeVerdicts {
    pub failed_liveness: HashSet<String>,
    pub failed_startup: HashSet<String>,
    /// Containers that are up as far as their startup probe is concerned.
    pub started: HashSet<String>,
}

/// What to do for a pod that is to run.
pub fn compute(pod: &Pod, record: &PodRecord, probes: &ProbeVerdicts) -> Actions {
    let Some(sandbox) = usable_sandbox(record) else { return without_sandbox(pod, record) };
    let mut plan = Plan { pod, record, probes, sandbox: &sandbox, kill: Vec::new(), start: Vec::new() };
    if plan.init_containers() {
        plan.main_containers();
    }
    plan.ephemeral_containers();
    let (kill, start) = (plan.kill, plan.start);
    Actions { sandbox: SandboxAction::Keep { id: sandbox.clone() }, kill, start }
}

fn usable_sandbox(record: &PodRecord) -> Option<String> {
    let one_ready = record.sandboxes.iter().filter(|s| s.ready).count() == 1;
    record.ready_sandbox().filter(|s| one_ready && (s.host_network || !s.ips.is_empty())).map(|s| s.id.clone())
}

/// A new sandbox, unless nothing would be started in it.
fn without_sandbox(pod: &Pod, record: &PodRecord) -> Actions {
    let wanted: Vec<String> = main_containers(pod)
        .filter(|c| record.container(&c.name).is_none_or(|r| should_restart(pod, c, r)))
        .map(|c| c.name.clone())
        .collect();
    let attempt = record.sandboxes.first().map_or(0, |s| s.attempt + 1);
    if attempt > 0 && wanted.is_empty() {
        return Actions { sandbox: SandboxAction::None, kill: Vec::new(), start: Vec::new() };
    }
    let start = match pod.init_containers().first() {
        Some(first) => vec![first.name.clone()],
        None => wanted,
    };
    Actions { sandbox: SandboxAction::Create { attempt }, kill: Vec::new(), start }
}

fn main_containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    PodExt::spec(pod).containers.iter()
}

struct Plan<'a> {
    pod: &'a Pod,
    record: &'a PodRecord,
    probes: &'a ProbeVerdicts,
    sandbox: &'a str,
    kill: Vec<Kill>,
    start: Vec<String>,
}

impl<'a> Plan<'a> {
    /// The newest container of this name in the sandbox in use.
    fn current(&self, name: &str) -> Option<&'a ContainerRecord> {
        self.record.containers.iter().find(|c| c.name == name && c.sandbox == self.sandbox)
    }

    /// Goes on with the init containers; whether the main ones may run.
    fn init_containers(&mut self) -> bool {
        let begun = main_containers(self.pod).any(|c| self.current(&c.name).is_some());
        for container in self.pod.init_containers() {
            let through =
                if is_sidecar(container) { self.sidecar(container, begun) } else { begun || self.ordinary(container) };
            if !through && !begun {
                return false;
            }
        }
        true
    }

    fn ordinary(&mut self, container: &Container) -> bool {
        let Some(r) = self.current(&container.name) else {
            // One of an earlier sandbox does not count: its work may lie in volumes that are gone.
            self.start.push(container.name.clone());
            return false;
        };
        match r.state {
            ContainerState::Exited if r.exit_code == 0 => return true,
            ContainerState::Exited if self.pod.restart_policy() == RestartPolicy::Never => {}
            ContainerState::Running => {}
            _ => self.start.push(container.name.clone()),
        }
        false
    }

    fn sidecar(&mut self, container: &Container, begun: bool) -> bool {
        match self.current(&container.name) {
            Some(r) if r.state == ContainerState::Running => match self.verdict(container, r) {
                Some(reason) => {
                    self.replace(container, r, reason);
                    false
                }
                None => self.probes.started.contains(&r.id),
            },
            _ => {
                self.start.push(container.name.clone());
                begun
            }
        }
    }

    fn main_containers(&mut self) {
        for container in main_containers(self.pod) {
            match self.current(&container.name) {
                Some(r) if r.state == ContainerState::Running => {
                    if let Some(reason) = self.verdict(container, r) {
                        self.replace(container, r, reason);
                    }
                }
                Some(r) if !should_restart(self.pod, container, r) => {}
                None if self.ended_for_good(container) => {}
                _ => self.start.push(container.name.clone()),
            }
        }
    }

    /// Whether it ended in an earlier sandbox and is not to be started again.
    fn ended_for_good(&self, container: &Container) -> bool {
        self.record.container(&container.name).is_some_and(|r| !should_restart(self.pod, container, r))
    }

    fn ephemeral_containers(&mut self) {
        for container in self.pod.ephemeral_containers() {
            if self.record.container(&container.name).is_none() {
                self.start.push(container.name);
            }
        }
    }

    fn verdict(&self, container: &Container, r: &ContainerRecord) -> Option<KillReason> {
        if r.hash.is_some_and(|h| h != labels::hash(container)) {
            Some(KillReason::SpecChanged)
        } else if self.probes.failed_startup.contains(&r.id) {
            Some(KillReason::FailedProbe("startup"))
        } else if self.probes.failed_liveness.contains(&r.id) {
            Some(KillReason::FailedProbe("liveness"))
        } else {
            None
        }
    }

    fn replace(&mut self, container: &Container, r: &ContainerRecord, reason: KillReason) {
        let again = reason == KillReason::SpecChanged || restart_policy(self.pod, container) != RestartPolicy::Never;
        self.kill.push(Kill { id: r.id.clone(), name: container.name.clone(), reason });
        if again {
            self.start.push(container.name.clone());
        }
    }
}

/// Whether a container that is not running is to be started again.
pub fn should_restart(pod: &Pod, container: &Container, r: &ContainerRecord) -> bool {
    match r.state {
        ContainerState::Running => false,
        ContainerState::Created | ContainerState::Unknown => true,
        ContainerState::Exited => match rule(container, r.exit_code) {
            Some(restart) => restart,
            None => match restart_policy(pod, container) {
                RestartPolicy::Always => true,
                RestartPolicy::OnFailure => r.exit_code != 0,
                RestartPolicy::Never => false,
            },
        },
    }
}

/// The container's own policy, else the pod's.
pub fn restart_policy(pod: &Pod, container: &Container) -> RestartPolicy {
    container.restart_policy.as_deref().map_or(pod.restart_policy(), |p| RestartPolicy::parse(Some(p)))
}

fn rule(container: &Container, exit_code: i32) -> Option<bool> {
    let matches = |r: &&ContainerRestartRule| {
        r.exit_codes.as_ref().is_some_and(|codes| {
            let listed = codes.values.iter().flatten().any(|v| *v == exit_code);
            listed == (codes.operator == "In")
        })
    };
    container.restart_policy_rules.iter().flatten().find(matches).map(|r| r.action == "Restart")
}

#[cfg(test)]
mod tests;
