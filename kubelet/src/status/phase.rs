//! A pod's phase from the states of its containers.

use crate::pod::{RestartPolicy, is_sidecar};
use k8s_openapi::api::core::v1::{Container, ContainerStatus, PodSpec};

/// How many containers are in which state.
#[derive(Default)]
struct Tally {
    waiting: usize,
    running: usize,
    stopped: usize,
    succeeded: usize,
}

/// The phase. `stopped` says that nothing runs and nothing will be started again.
pub fn of(spec: &PodSpec, init: &[ContainerStatus], main: &[ContainerStatus], stopped: bool) -> &'static str {
    let policy = RestartPolicy::parse(spec.restart_policy.as_deref());
    let begun = main.iter().any(has_begun);
    if init_failed(spec, init) && policy == RestartPolicy::Never {
        return "Failed";
    }
    if !begun && !initialized(spec, init) {
        return if stopped && !init.is_empty() && init.iter().any(has_begun) { "Failed" } else { "Pending" };
    }
    let t = tally(spec, main);
    match t {
        Tally { waiting: 1.., .. } => "Pending",
        Tally { running: 1.., .. } => "Running",
        Tally { stopped: 1.., .. } if stopped => {
            if t.stopped == t.succeeded {
                "Succeeded"
            } else {
                "Failed"
            }
        }
        Tally { stopped: 1.., .. } => ended(policy, &t),
        _ => "Pending",
    }
}

/// Whether every init container is through, or up if it is a sidecar.
pub fn initialized(spec: &PodSpec, init: &[ContainerStatus]) -> bool {
    spec.init_containers.iter().flatten().all(|c| init.iter().any(|s| s.name == c.name && is_through(c, s)))
}

/// Whether this init container does not hold up the next one.
pub fn is_through(container: &Container, status: &ContainerStatus) -> bool {
    if is_sidecar(container) {
        return status.started == Some(true);
    }
    let code = |s: &Option<k8s_openapi::api::core::v1::ContainerState>| {
        s.as_ref().and_then(|s| s.terminated.as_ref()).map(|t| t.exit_code)
    };
    code(&status.state) == Some(0)
}

fn has_begun(s: &ContainerStatus) -> bool {
    let state = s.state.as_ref();
    state.is_some_and(|s| s.running.is_some() || s.terminated.is_some())
        || s.last_state.as_ref().is_some_and(|s| s.terminated.is_some())
}

fn init_failed(spec: &PodSpec, init: &[ContainerStatus]) -> bool {
    spec.init_containers.iter().flatten().filter(|c| !is_sidecar(c)).any(|c| {
        let status = init.iter().find(|s| s.name == c.name);
        let ended = status.and_then(|s| s.state.as_ref()).and_then(|s| s.terminated.as_ref());
        ended.is_some_and(|t| t.exit_code != 0)
    })
}

fn tally(spec: &PodSpec, main: &[ContainerStatus]) -> Tally {
    let mut t = Tally::default();
    for container in &spec.containers {
        let Some(status) = main.iter().find(|s| s.name == container.name) else {
            t.waiting += 1;
            continue;
        };
        let state = status.state.clone().unwrap_or_default();
        match (state.running, state.terminated) {
            (Some(_), _) => t.running += 1,
            (None, Some(ended)) => {
                t.stopped += 1;
                t.succeeded += usize::from(ended.exit_code == 0);
            }
            // Waiting to be started again counts as stopped: the pod has been running.
            (None, None) if status.last_state.as_ref().is_some_and(|s| s.terminated.is_some()) => t.stopped += 1,
            (None, None) => t.waiting += 1,
        }
    }
    t
}

fn ended(policy: RestartPolicy, t: &Tally) -> &'static str {
    match policy {
        RestartPolicy::Always => "Running",
        _ if t.stopped == t.succeeded => "Succeeded",
        RestartPolicy::Never => "Failed",
        RestartPolicy::OnFailure => "Running",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{ContainerState, ContainerStateRunning, ContainerStateTerminated};

    /// `r` running, `w` waiting, `c` waiting after a crash, a digit: ended with it.
    fn status(name: &str, state: char) -> ContainerStatus {
        let ended = |exit_code| ContainerState {
            terminated: Some(ContainerStateTerminated { exit_code, ..ContainerStateTerminated::default() }),
            ..ContainerState::default()
        };
        let running =
            || ContainerState { running: Some(ContainerStateRunning::default()), ..ContainerState::default() };
        let (state, last) = match state {
            'r' => (running(), None),
            'w' => (ContainerState::default(), None),
            'c' => (ContainerState::default(), Some(ended(1))),
            n => (ended(n.to_digit(10).unwrap() as i32), None),
        };
        ContainerStatus { name: name.into(), state: Some(state), last_state: last, ..ContainerStatus::default() }
    }

    fn phase(policy: &str, init: &str, main: &str, stopped: bool) -> &'static str {
        let statuses = |of: &str| of.char_indices().map(|(i, c)| status(&i.to_string(), c)).collect::<Vec<_>>();
        let named = |n: usize| (0..n).map(|i| Container { name: i.to_string(), ..Container::default() }).collect();
        let spec = PodSpec {
            restart_policy: Some(policy.into()),
            init_containers: Some(named(init.len())),
            containers: named(main.len()),
            ..PodSpec::default()
        };
        of(&spec, &statuses(init), &statuses(main), stopped)
    }

    #[test]
    fn table() {
        for (policy, init, main, stopped, want) in [
            ("Always", "", "w", false, "Pending"),
            ("Always", "", "rw", false, "Pending"),
            ("Always", "", "rr", false, "Running"),
            ("Always", "", "rc", false, "Running"),
            ("Always", "", "c", false, "Running"),
            ("Always", "", "00", false, "Running"),
            ("Always", "", "00", true, "Succeeded"),
            ("Always", "", "01", true, "Failed"),
            ("OnFailure", "", "00", false, "Succeeded"),
            ("OnFailure", "", "01", false, "Running"),
            ("Never", "", "00", false, "Succeeded"),
            ("Never", "", "01", false, "Failed"),
            ("Never", "", "r1", false, "Running"),
            ("Always", "r", "w", false, "Pending"),
            ("Always", "0w", "w", false, "Pending"),
            ("Always", "1", "w", false, "Pending"),
            ("Never", "1", "w", false, "Failed"),
            ("Always", "0", "r", false, "Running"),
            ("Always", "w", "r", false, "Running"),
        ] {
            assert_eq!(phase(policy, init, main, stopped), want, "{policy} {init} {main} {stopped}");
        }
    }
}
