//! The node's conditions, in upstream's words.

use crate::eviction::Pressure;
use k8s_openapi::api::core::v1::NodeCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::collections::BTreeSet;

/// What the node's health follows from.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// What is running out.
    pub pressures: BTreeSet<Pressure>,
    /// Why the node is not ready, if it is not.
    pub problems: Vec<String>,
}

/// The four conditions, with the time of each one's last change.
pub fn all(health: &Health, old: &[NodeCondition], now: &Time) -> Vec<NodeCondition> {
    let [memory, disk, pid] =
        [Pressure::Memory, Pressure::Disk, Pressure::Pid].map(|pressure| health.pressures.contains(&pressure));
    let yes_no = |yes: bool| if yes { "True" } else { "False" };
    let (memory_text, disk_text, pid_text) = (
        if memory {
            ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available")
        } else {
            ("KubeletHasSufficientMemory", "kubelet has sufficient memory available")
        },
        if disk {
            ("KubeletHasDiskPressure", "kubelet has disk pressure")
        } else {
            ("KubeletHasNoDiskPressure", "kubelet has no disk pressure")
        },
        if pid {
            ("KubeletHasInsufficientPID", "kubelet has insufficient PID available")
        } else {
            ("KubeletHasSufficientPID", "kubelet has sufficient PID available")
        },
    );
    let problems = match &health.problems[..] {
        [one] => one.clone(),
        // As upstream prints several errors as one.
        several => format!("[{}]", several.join(", ")),
    };
    let ready = if health.problems.is_empty() {
        ("KubeletReady", "kubelet is posting ready status")
    } else {
        ("KubeletNotReady", problems.as_str())
    };
    [
        ("MemoryPressure", yes_no(memory), memory_text),
        ("DiskPressure", yes_no(disk), disk_text),
        ("PIDPressure", yes_no(pid), pid_text),
        ("Ready", yes_no(health.problems.is_empty()), ready),
    ]
    .map(|(kind, status, (reason, message))| condition(kind, status, reason, message, old, now))
    .into()
}

fn condition(
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
    old: &[NodeCondition],
    now: &Time,
) -> NodeCondition {
    let since = old.iter().find(|c| c.type_ == kind && c.status == status).and_then(|c| c.last_transition_time.clone());
    NodeCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_heartbeat_time: Some(now.clone()),
        last_transition_time: Some(since.unwrap_or_else(|| now.clone())),
    }
}

/// The event that tells of a condition's change.
pub fn event(c: &NodeCondition) -> &'static str {
    match (c.type_.as_str(), c.status.as_str()) {
        ("MemoryPressure", "True") => "NodeHasInsufficientMemory",
        ("MemoryPressure", _) => "NodeHasSufficientMemory",
        ("DiskPressure", "True") => "NodeHasDiskPressure",
        ("DiskPressure", _) => "NodeHasNoDiskPressure",
        ("PIDPressure", "True") => "NodeHasInsufficientPID",
        ("PIDPressure", _) => "NodeHasSufficientPID",
        (_, "True") => "NodeReady",
        _ => "NodeNotReady",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status<'a>(all: &'a [NodeCondition], kind: &str) -> (&'a str, &'a str) {
        let c = all.iter().find(|c| c.type_ == kind).unwrap();
        (&c.status, c.reason.as_deref().unwrap())
    }

    #[test]
    fn healthy_short_and_broken() {
        let now = crate::clock::now();
        let got = all(&Health::default(), &[], &now);
        assert_eq!(status(&got, "Ready"), ("True", "KubeletReady"));
        assert_eq!(status(&got, "MemoryPressure"), ("False", "KubeletHasSufficientMemory"));
        let health = Health { pressures: [Pressure::Memory].into(), problems: vec!["a".into(), "b".into()] };
        let got = all(&health, &got, &now);
        assert_eq!(status(&got, "MemoryPressure"), ("True", "KubeletHasInsufficientMemory"));
        assert_eq!(status(&got, "DiskPressure"), ("False", "KubeletHasNoDiskPressure"));
        assert_eq!(status(&got, "Ready"), ("False", "KubeletNotReady"));
        assert_eq!(got[3].message.as_deref(), Some("[a, b]"));
    }
}
