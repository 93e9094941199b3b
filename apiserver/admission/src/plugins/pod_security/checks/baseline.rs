//! The baseline: no known way to more rights on the node.
//!
//! Upstream: `pod-security-admission/policy/check_*.go`.

use super::{
    Check, Finding, Profiles, all, flag, found, has_own_users, is, joined, listed, member, named, offenders, plural,
    proc_mount, setters, texts, uses,
};
use crate::lookup::text;
use apimachinery::go::quoted;
use apimachinery::{Value, sysctl};
use std::collections::BTreeSet;

/// In the order of their names.
pub(super) const CHECKS: &[Check] = &[
    check("appArmorProfile", 0, |pod, _| app_armor(pod)),
    check("capabilities_baseline", 0, |pod, _| capabilities(pod)),
    check("hostNamespaces", 0, |pod, _| host_namespaces(pod)),
    check("hostPathVolumes", 0, |pod, _| host_path_volumes(pod)),
    check("hostPorts", 0, |pod, _| host_ports(pod)),
    check("hostProbesAndHostLifecycle", 34, |pod, _| hosts_of_probes(pod)),
    check("privileged", 0, |pod, _| privileged(pod)),
    check("procMount", 0, |pod, minor| if minor >= 35 && has_own_users(pod) { None } else { proc_mount(pod) }),
    check("seLinuxOptions", 0, selinux),
    check("seccompProfile_baseline", 0, seccomp),
    check("sysctls", 0, sysctls),
    check("windowsHostProcess", 0, |pod, _| host_process(pod)),
];

const fn check(id: &'static str, since: u32, run: super::Run) -> Check {
    Check { id, since, run, replaces: "" }
}

/// What containers may add.
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

const SELINUX_TYPES: &[&str] = &["", "container_t", "container_init_t", "container_kvm_t"];
/// Another one, since 1.31.
const SELINUX_ENGINE: &str = "container_engine_t";

/// Kernel parameters that came later than 1.0, each with its version.
const LATER_SYSCTLS: &[(&str, u32)] = &[
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_wmem", 32),
];

const APP_ARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP_ANNOTATION: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER_ANNOTATION: &str = "container.seccomp.security.alpha.kubernetes.io/";

fn annotations(pod: &Value) -> impl Iterator<Item = (&String, &str)> {
    let annotations = pod.pointer("/metadata/annotations").and_then(Value::as_object);
    annotations.into_iter().flatten().filter_map(|(key, value)| Some((key, value.as_str()?)))
}

fn app_armor(pod: &Value) -> Option<Finding> {
    let kind = |value: &Value, pointer: &str| {
        let kind = text(member(value, pointer)?, "/type");
        (!matches!(kind, "RuntimeDefault" | "Localhost")).then(|| kind.to_owned())
    };
    let of_pod = kind(pod, "/spec/securityContext/appArmorProfile");
    let of = |container: &Value| kind(container, "/securityContext/appArmorProfile");
    let wrong = offenders(pod, |c| of(c).is_some());
    let mut who: Vec<String> = setters(of_pod.is_some(), &wrong).into_iter().collect();
    let kinds: BTreeSet<String> = of_pod.into_iter().chain(all(pod).filter_map(of)).collect();
    let mut values: Vec<String> = kinds.into_iter().collect();
    let is_allowed = |value: &str| value.is_empty() || value == "runtime/default" || value.starts_with("localhost/");
    let annotated: BTreeSet<String> = annotations(pod)
        .filter(|(key, value)| key.starts_with(APP_ARMOR_ANNOTATION) && !is_allowed(value))
        .map(|(key, value)| format!("{key}={}", quoted(value)))
        .collect();
    if !annotated.is_empty() {
        who.push(plural("annotation", annotated.len()));
        values.extend(annotated);
    }
    let reason = plural("forbidden AppArmor profile", values.len());
    (!who.is_empty()).then(|| Finding {
        reason,
        detail: format!("{} must not set AppArmor profile type to {}", who.join(" and "), joined(&values)),
    })
}

fn capabilities(pod: &Value) -> Option<Finding> {
    let wrong =
        |c: &Value| texts(c, "/securityContext/capabilities/add").find(|name| !CAPABILITIES.contains(name)).is_some();
    let who = named(&offenders(pod, wrong))?;
    let added = all(pod).flat_map(|c| texts(c, "/securityContext/capabilities/add"));
    let names: BTreeSet<&str> = added.filter(|name| !CAPABILITIES.contains(name)).collect();
    found(
        "non-default capabilities",
        format!("{who} must not include {} in securityContext.capabilities.add", joined(&names)),
    )
}

fn host_namespaces(pod: &Value) -> Option<Finding> {
    let all = ["hostNetwork", "hostPID", "hostIPC"];
    let used: Vec<String> =
        all.iter().filter(|n| is(pod, &format!("/spec/{n}"), true)).map(|n| format!("{n}=true")).collect();
    (!used.is_empty()).then(|| Finding { reason: "host namespaces".to_owned(), detail: used.join(", ") })
}

fn host_path_volumes(pod: &Value) -> Option<Finding> {
    let paths = listed(pod, "/spec/volumes").filter(|v| member(v, "/hostPath").is_some());
    let names: Vec<&str> = paths.map(|v| text(v, "/name")).collect();
    let detail = format!("{} {}", plural("volume", names.len()), joined(&names));
    (!names.is_empty()).then(|| Finding { reason: "hostPath volumes".to_owned(), detail })
}

fn host_ports(pod: &Value) -> Option<Finding> {
    let port = |p: &Value| p.get("hostPort").and_then(Value::as_i64).filter(|p| *p != 0);
    let names = offenders(pod, |c| listed(c, "/ports").any(|p| port(p).is_some()));
    let who = named(&names)?;
    let ports = all(pod).flat_map(|c| listed(c, "/ports")).filter_map(port);
    let ports: BTreeSet<String> = ports.map(|p| p.to_string()).collect();
    let (count, list) = (ports.len(), ports.into_iter().collect::<Vec<_>>().join(", "));
    found("hostPort", format!("{who} {} {} {list}", uses(names.len()), plural("hostPort", count)))
}

fn hosts_of_probes(pod: &Value) -> Option<Finding> {
    const HANDLERS: [&str; 5] =
        ["/livenessProbe", "/readinessProbe", "/startupProbe", "/lifecycle/postStart", "/lifecycle/preStop"];
    let hosts = |container: &Value| -> Vec<String> {
        let places = HANDLERS.iter().flat_map(|handler| ["httpGet", "tcpSocket"].map(|kind| (handler, kind)));
        let hosts = places.map(|(handler, kind)| text(container, &format!("{handler}/{kind}/host")).to_owned());
        hosts.filter(|host| !host.is_empty()).collect()
    };
    let mut names = offenders(pod, |c| !hosts(c).is_empty());
    names.sort();
    names.dedup();
    let who = named(&names)?;
    let hosts: BTreeSet<String> = all(pod).flat_map(hosts).collect();
    let what = plural("probe or lifecycle host", hosts.len());
    found("probe or lifecycle host", format!("{who} {} {what} {}", uses(names.len()), joined(&hosts)))
}

fn privileged(pod: &Value) -> Option<Finding> {
    let who = named(&offenders(pod, |c| is(c, "/securityContext/privileged", true)))?;
    found("privileged", format!("{who} must not set securityContext.privileged=true"))
}

fn selinux(pod: &Value, minor: u32) -> Option<Finding> {
    let is_allowed = |kind: &str| SELINUX_TYPES.contains(&kind) || minor >= 31 && kind == SELINUX_ENGINE;
    let is_wrong = |options: &Value| {
        !is_allowed(text(options, "/type")) || !text(options, "/user").is_empty() || !text(options, "/role").is_empty()
    };
    let of_pod = member(pod, "/spec/securityContext/seLinuxOptions").filter(|options| is_wrong(options));
    let of = |c: &Value| member(c, "/securityContext/seLinuxOptions").is_some_and(is_wrong);
    let who = setters(of_pod.is_some(), &offenders(pod, of))?;
    let wrong: Vec<&Value> = of_pod
        .into_iter()
        .chain(
            all(pod).filter_map(|c| member(c, "/securityContext/seLinuxOptions")).filter(|options| is_wrong(options)),
        )
        .collect();
    let kinds: BTreeSet<&str> = wrong.iter().map(|o| text(o, "/type")).filter(|kind| !is_allowed(kind)).collect();
    let mut why = Vec::new();
    if !kinds.is_empty() {
        why.push(format!("{} {}", plural("type", kinds.len()), joined(&kinds)));
    }
    for key in ["user", "role"] {
        if wrong.iter().any(|options| !text(options, &format!("/{key}")).is_empty()) {
            why.push(format!("{key} may not be set"));
        }
    }
    found("seLinuxOptions", format!("{who} set forbidden securityContext.seLinuxOptions: {}", why.join("; ")))
}

fn seccomp(pod: &Value, minor: u32) -> Option<Finding> {
    if minor >= 19 {
        return Profiles::of(pod).finding();
    }
    let is_allowed = |v: &str| matches!(v, "runtime/default" | "docker/default") || v.starts_with("localhost/");
    let names: Vec<String> = all(pod).map(|c| format!("{SECCOMP_CONTAINER_ANNOTATION}{}", text(c, "/name"))).collect();
    let wrong: BTreeSet<String> = annotations(pod)
        .filter(|(key, value)| (*key == SECCOMP_ANNOTATION || names.contains(key)) && !is_allowed(value))
        .map(|(key, value)| format!("{key}={}", quoted(value)))
        .collect();
    let word = plural("annotation", wrong.len());
    let list = wrong.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    (!wrong.is_empty())
        .then(|| Finding { reason: "seccompProfile".to_owned(), detail: format!("forbidden {word} {list}") })
}

fn sysctls(pod: &Value, minor: u32) -> Option<Finding> {
    let since = |name: &str| LATER_SYSCTLS.iter().find(|(later, _)| *later == name).map_or(0, |(_, since)| *since);
    let is_allowed = |name: &str| sysctl::SAFE.contains(&name) && since(name) <= minor;
    let set = listed(pod, "/spec/securityContext/sysctls").map(|s| text(s, "/name"));
    let wrong: Vec<&str> = set.filter(|name| !is_allowed(name)).collect();
    (!wrong.is_empty()).then(|| Finding { reason: "forbidden sysctls".to_owned(), detail: wrong.join(", ") })
}

fn host_process(pod: &Value) -> Option<Finding> {
    let pointer = "/securityContext/windowsOptions/hostProcess";
    let by_pod = flag(pod, &format!("/spec{pointer}")) == Some(true);
    let who = setters(by_pod, &offenders(pod, |c| is(c, pointer, true)))?;
    found("hostProcess", format!("{who} must not set securityContext.windowsOptions.hostProcess=true"))
}
