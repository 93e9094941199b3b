//! The checks of the levels, latest version: pure.
//!
//! Upstream: `pod-security-admission/policy/check_*.go`.

use crate::lookup::text;
use crate::pod::containers;
use apimachinery::{Value, sysctl};

const LISTS: &[&str] = &["initContainers", "containers", "ephemeralContainers"];
/// What containers may add under the baseline level.
const CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
const SELINUX_TYPES: &[&str] = &["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
const VOLUMES: &[&str] = &[
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// A level of the standards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    pub(super) fn parse(text: &str) -> Option<Self> {
        [Level::Privileged, Level::Baseline, Level::Restricted].into_iter().find(|level| level.as_str() == text)
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        }
    }
}

type Check = fn(&Value) -> Option<String>;

const BASELINE: &[Check] =
    &[host_namespaces, host_path_volumes, host_ports, host_process, privileged, proc_mount, selinux, sysctls];
/// Replaced by stricter ones in the restricted level.
const BASELINE_ONLY: &[Check] = &[baseline_capabilities, baseline_seccomp];
const RESTRICTED: &[Check] = &[escalation, capabilities, volumes, non_root, root_user, seccomp];

/// What the level has against a pod.
pub(super) fn run(level: Level, pod: &Value) -> Vec<String> {
    let checks: &[&[Check]] = match level {
        Level::Privileged => &[],
        Level::Baseline => &[BASELINE, BASELINE_ONLY],
        Level::Restricted => &[BASELINE, RESTRICTED],
    };
    checks.iter().copied().flatten().filter_map(|check| check(pod)).collect()
}

/// The names of the containers of which `wrong` holds, as a phrase: `container "a"`.
fn offenders(pod: &Value, wrong: impl Fn(&Value) -> bool) -> Option<String> {
    let names: Vec<String> =
        containers(pod, LISTS).filter(|c| wrong(c)).map(|c| format!("{:?}", text(c, "/name"))).collect();
    match names.as_slice() {
        [] => None,
        [one] => Some(format!("container {one}")),
        many => Some(format!("containers {}", many.join(", "))),
    }
}

fn is(value: &Value, pointer: &str, wanted: bool) -> bool {
    value.pointer(pointer).and_then(Value::as_bool) == Some(wanted)
}

fn listed<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn host_namespaces(pod: &Value) -> Option<String> {
    let all = ["hostNetwork", "hostPID", "hostIPC"];
    let used: Vec<String> =
        all.iter().filter(|n| is(pod, &format!("/spec/{n}"), true)).map(|n| format!("{n}=true")).collect();
    (!used.is_empty()).then(|| format!("host namespaces ({})", used.join(", ")))
}

fn host_path_volumes(pod: &Value) -> Option<String> {
    let paths = listed(pod, "/spec/volumes").filter(|v| v.get("hostPath").is_some());
    let names: Vec<String> = paths.map(|v| format!("{:?}", text(v, "/name"))).collect();
    let word = if names.len() == 1 { "volume" } else { "volumes" };
    (!names.is_empty()).then(|| format!("hostPath volumes ({word} {})", names.join(", ")))
}

fn host_ports(pod: &Value) -> Option<String> {
    let port = |p: &Value| p.get("hostPort").and_then(Value::as_i64).filter(|p| *p != 0);
    let who = offenders(pod, |c| listed(c, "/ports").any(|p| port(p).is_some()))?;
    let ports: Vec<String> =
        containers(pod, LISTS).flat_map(|c| listed(c, "/ports")).filter_map(port).map(|p| p.to_string()).collect();
    let word = if ports.len() == 1 { "hostPort" } else { "hostPorts" };
    let verb = if who.starts_with("containers") { "use" } else { "uses" };
    Some(format!("hostPort ({who} {verb} {word} {})", ports.join(", ")))
}

fn host_process(pod: &Value) -> Option<String> {
    let pointer = "/securityContext/windowsOptions/hostProcess";
    let who = match is(pod, &format!("/spec{pointer}"), true) {
        true => Some("pod".to_owned()),
        false => offenders(pod, |c| is(c, pointer, true)),
    };
    who.map(|who| format!("hostProcess ({who} must not set securityContext.windowsOptions.hostProcess=true)"))
}

fn privileged(pod: &Value) -> Option<String> {
    let who = offenders(pod, |c| is(c, "/securityContext/privileged", true))?;
    Some(format!("privileged ({who} must not set securityContext.privileged=true)"))
}

fn proc_mount(pod: &Value) -> Option<String> {
    let mount = |c: &Value| !matches!(text(c, "/securityContext/procMount"), "" | "Default");
    let who = offenders(pod, mount)?;
    Some(format!("procMount ({who} must not set securityContext.procMount to \"Unmasked\")"))
}

fn selinux(pod: &Value) -> Option<String> {
    let options = "/securityContext/seLinuxOptions";
    let wrong = |at: &Value, root: &str| {
        let member = |name: &str| text(at, &format!("{root}{options}/{name}")).to_owned();
        !SELINUX_TYPES.contains(&member("type").as_str()) || !member("user").is_empty() || !member("role").is_empty()
    };
    let who = match wrong(pod, "/spec") {
        true => Some("pod".to_owned()),
        false => offenders(pod, |c| wrong(c, "")),
    };
    who.map(|who| format!("seLinuxOptions ({who} set forbidden securityContext.seLinuxOptions)"))
}

fn sysctls(pod: &Value) -> Option<String> {
    let set = listed(pod, "/spec/securityContext/sysctls").map(|s| text(s, "/name"));
    let wrong: Vec<&str> = set.filter(|name| !sysctl::SAFE.contains(name)).collect();
    (!wrong.is_empty()).then(|| format!("forbidden sysctls ({})", wrong.join(", ")))
}

fn baseline_capabilities(pod: &Value) -> Option<String> {
    let wrong = |c: &Value| -> Vec<String> {
        let added = listed(c, "/securityContext/capabilities/add").filter_map(Value::as_str);
        added.filter(|name| !CAPABILITIES.contains(name)).map(|name| format!("{name:?}")).collect()
    };
    let who = offenders(pod, |c| !wrong(c).is_empty())?;
    let mut names: Vec<String> = containers(pod, LISTS).flat_map(wrong).collect();
    names.sort();
    names.dedup();
    Some(format!(
        "non-default capabilities ({who} must not include {} in securityContext.capabilities.add)",
        names.join(", ")
    ))
}

fn capabilities(pod: &Value) -> Option<String> {
    let undropped = offenders(pod, |c| !listed(c, "/securityContext/capabilities/drop").any(|name| name == "ALL"));
    let adds = |c: &Value| listed(c, "/securityContext/capabilities/add").any(|name| name != "NET_BIND_SERVICE");
    let adding = offenders(pod, adds);
    let undropped = undropped.map(|who| format!("{who} must set securityContext.capabilities.drop=[\"ALL\"]"));
    let adding = adding.map(|who| format!("{who} must not add capabilities other than \"NET_BIND_SERVICE\""));
    let found: Vec<String> = undropped.into_iter().chain(adding).collect();
    (!found.is_empty()).then(|| format!("unrestricted capabilities ({})", found.join("; ")))
}

fn baseline_seccomp(pod: &Value) -> Option<String> {
    let pointer = "/securityContext/seccompProfile/type";
    let who = match text(pod, &format!("/spec{pointer}")) == "Unconfined" {
        true => Some("pod".to_owned()),
        false => offenders(pod, |c| text(c, pointer) == "Unconfined"),
    };
    who.map(|who| format!("seccompProfile ({who} must not set securityContext.seccompProfile.type to \"Unconfined\")"))
}

fn seccomp(pod: &Value) -> Option<String> {
    if let Some(found) = baseline_seccomp(pod) {
        return Some(found);
    }
    let pointer = "/securityContext/seccompProfile/type";
    let fine = |profile: &str| matches!(profile, "RuntimeDefault" | "Localhost");
    if fine(text(pod, &format!("/spec{pointer}"))) {
        return None;
    }
    let who = offenders(pod, |c| !fine(text(c, pointer)))?;
    Some(format!(
        "seccompProfile (pod or {who} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
    ))
}

fn escalation(pod: &Value) -> Option<String> {
    let who = offenders(pod, |c| !is(c, "/securityContext/allowPrivilegeEscalation", false))?;
    Some(format!("allowPrivilegeEscalation != false ({who} must set securityContext.allowPrivilegeEscalation=false)"))
}

fn volumes(pod: &Value) -> Option<String> {
    let kind = |v: &Value| -> Option<String> {
        let members = v.as_object()?.keys().filter(|key| *key != "name");
        members.into_iter().find(|key| !VOLUMES.contains(&key.as_str())).cloned()
    };
    let mut found = listed(pod, "/spec/volumes").filter_map(|v| Some((text(v, "/name"), kind(v)?)));
    let (name, kind) = found.next()?;
    Some(format!("restricted volume types (volume {name:?} uses restricted volume type {kind:?})"))
}

fn non_root(pod: &Value) -> Option<String> {
    let pointer = "/securityContext/runAsNonRoot";
    let pod_says = is(pod, &format!("/spec{pointer}"), true);
    if let Some(who) = offenders(pod, |c| is(c, pointer, false)) {
        return Some(format!("runAsNonRoot != true ({who} must not set securityContext.runAsNonRoot=false)"));
    }
    let who = offenders(pod, |c| !pod_says && !is(c, pointer, true))?;
    Some(format!("runAsNonRoot != true (pod or {who} must set securityContext.runAsNonRoot=true)"))
}

fn root_user(pod: &Value) -> Option<String> {
    let root = |v: &Value, pointer: &str| v.pointer(pointer).and_then(Value::as_i64) == Some(0);
    let who = match root(pod, "/spec/securityContext/runAsUser") {
        true => Some("pod".to_owned()),
        false => offenders(pod, |c| root(c, "/securityContext/runAsUser")),
    };
    who.map(|who| format!("runAsUser=0 ({who} must not set runAsUser=0)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn good_pods_pass() {
        let pod = json!({"spec": {"securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "volumes": [{"name": "v", "emptyDir": {}}],
            "containers": [{"name": "c", "securityContext": {"allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}}]}});
        assert_eq!(run(Level::Restricted, &pod), Vec::<String>::new());
    }

    #[test]
    fn the_baseline_names_what_is_wrong() {
        for (spec, want) in [
            (json!({"hostNetwork": true, "hostPID": true}), "host namespaces (hostNetwork=true, hostPID=true)"),
            (json!({"volumes": [{"name": "v", "hostPath": {}}]}), "hostPath volumes (volume \"v\")"),
            (
                json!({"containers": [{"name": "c", "ports": [{"hostPort": 80}]}]}),
                "hostPort (container \"c\" uses hostPort 80)",
            ),
            (
                json!({"containers": [{"name": "c", "securityContext": {"privileged": true}}]}),
                "privileged (container \"c\" must not set securityContext.privileged=true)",
            ),
            (
                json!({"containers": [{"name": "c", "securityContext": {"capabilities": {"add": ["SYS_ADMIN", "CHOWN"]}}}]}),
                "non-default capabilities (container \"c\" must not include \"SYS_ADMIN\" in securityContext.capabilities.add)",
            ),
            (json!({"securityContext": {"sysctls": [{"name": "kernel.msgmax"}]}}), "forbidden sysctls (kernel.msgmax)"),
        ] {
            assert_eq!(run(Level::Baseline, &json!({"spec": spec})), vec![want.to_owned()]);
            assert!(run(Level::Privileged, &json!({"spec": spec})).is_empty());
        }
    }
}
