//! Profiles: what rights a debugging container has.
//!
//! Upstream: `kubectl/pkg/cmd/debug/profiles.go`.

use crate::cli::debug::Debug;
use anyhow::bail;
use apimachinery::Value;
use serde_json::{Value as Json, json};

/// A profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Profile {
    /// What there was before profiles.
    Legacy,
    /// Something for everyone.
    General,
    /// Nothing that the baseline policy forbids.
    Baseline,
    /// Nothing that the restricted policy forbids.
    Restricted,
    /// For networks.
    Netadmin,
    /// Everything.
    Sysadmin,
}

/// Where the container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// In a pod of its own on a node.
    Node,
    /// In a copy of a pod.
    Copy,
    /// In the pod itself.
    Ephemeral,
}

impl Profile {
    pub(super) fn parse(name: &str) -> anyhow::Result<Self> {
        match name {
            "legacy" => Ok(Profile::Legacy),
            "general" => Ok(Profile::General),
            "baseline" => Ok(Profile::Baseline),
            "restricted" => Ok(Profile::Restricted),
            "netadmin" => Ok(Profile::Netadmin),
            "sysadmin" => Ok(Profile::Sysadmin),
            other => bail!("unknown profile: {other}"),
        }
    }

    /// Gives the container of a name in a list of the pod's its rights, and changes the pod to fit.
    pub(super) fn apply(self, pod: &mut Json, list: &str, name: &str, style: Style, flags: &Debug) {
        let Some(container) = container(pod, list, name) else { return };
        match self {
            Profile::Legacy => {}
            Profile::General if style == Style::Node => drop_context(container),
            Profile::General => add(container, &["SYS_PTRACE"]),
            Profile::Baseline => drop_context(container),
            Profile::Restricted => {
                container["securityContext"] = json!({
                    "runAsNonRoot": true, "allowPrivilegeEscalation": false,
                    "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}});
            }
            Profile::Netadmin => add(container, &["NET_ADMIN", "NET_RAW"]),
            Profile::Sysadmin => container["securityContext"]["privileged"] = true.into(),
        }
        match style {
            Style::Node => {
                if matches!(self, Profile::Legacy | Profile::General | Profile::Sysadmin) {
                    mount_root(pod, list, name);
                }
                if matches!(self, Profile::Legacy | Profile::General | Profile::Sysadmin | Profile::Netadmin) {
                    for namespace in ["hostNetwork", "hostPID", "hostIPC"] {
                        pod["spec"][namespace] = true.into();
                    }
                }
            }
            Style::Copy if self == Profile::Legacy => remove(&mut pod["metadata"], "labels"),
            Style::Copy => {
                strip(pod, flags);
                if pod["spec"]["shareProcessNamespace"].is_null() {
                    pod["spec"]["shareProcessNamespace"] = true.into();
                }
            }
            Style::Ephemeral => {}
        }
    }
}

fn container<'a>(pod: &'a mut Json, list: &str, name: &str) -> Option<&'a mut Json> {
    pod["spec"][list].as_array_mut()?.iter_mut().find(|c| c["name"] == name)
}

fn drop_context(container: &mut Json) {
    remove(container, "securityContext");
}

fn remove(value: &mut Value, key: &str) {
    if let Some(map) = value.as_object_mut() {
        map.remove(key);
    }
}

fn add(container: &mut Json, capabilities: &[&str]) {
    let added = &mut container["securityContext"]["capabilities"]["add"];
    let mut all = added.as_array().cloned().unwrap_or_default();
    all.extend(capabilities.iter().map(|c| (*c).into()));
    *added = all.into();
}

/// The node's root folder at `/host`.
fn mount_root(pod: &mut Json, list: &str, name: &str) {
    push(&mut pod["spec"]["volumes"], json!({"name": "host-root", "hostPath": {"path": "/"}}));
    if let Some(container) = container(pod, list, name) {
        push(&mut container["volumeMounts"], json!({"name": "host-root", "mountPath": "/host"}));
    }
}

fn push(list: &mut Json, item: Json) {
    let mut all = list.as_array().cloned().unwrap_or_default();
    all.push(item);
    *list = all.into();
}

/// What a copy has not, so that nobody takes it for the pod.
fn strip(pod: &mut Json, flags: &Debug) {
    for (key, keep) in [("labels", flags.keep_labels), ("annotations", flags.keep_annotations)] {
        if !keep {
            remove(&mut pod["metadata"], key);
        }
    }
    if !flags.keep_init_containers {
        remove(&mut pod["spec"], "initContainers");
    }
    let probes = [
        ("livenessProbe", flags.keep_liveness),
        ("readinessProbe", flags.keep_readiness),
        ("startupProbe", flags.keep_startup),
    ];
    for container in pod["spec"]["containers"].as_array_mut().into_iter().flatten() {
        for (probe, _) in probes.iter().filter(|(_, keep)| !keep) {
            remove(container, probe);
        }
    }
}
