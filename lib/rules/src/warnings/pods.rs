//! Pods and pod templates.
//!
//! Upstream: `pkg/api/pod/warnings.go`, `pkg/registry/core/pod/strategy.go`.

mod affinity;
mod containers;
mod paths;
mod ports;
mod volumes;

use super::Sink;
use super::addresses::address;
use super::labels::deprecated_keys;
use super::resources::fraction;
use crate::tree::Tree;
use crate::validation::check::At;
use crate::validation::names;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use std::collections::HashSet;

const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const DEAD_ANNOTATIONS: [(&str, &str); 3] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        r#"non-functional in v1.16+; use the "priorityClassName" field instead"#,
    ),
    ("security.alpha.kubernetes.io/sysctls", r#"non-functional in v1.11+; use the "sysctls" field instead"#),
    ("security.alpha.kubernetes.io/unsafe-sysctls", r#"non-functional in v1.11+; use the "sysctls" field instead"#),
];

/// Where a pod stands.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// It is the object itself.
    Pod,
    /// It is a template at this member.
    Template(&'a At<'a>),
}

impl<'a> Place<'a> {
    fn child(&self, name: &'a str) -> At<'a> {
        match self {
            Self::Pod => At::root(name),
            Self::Template(at) => at.child(name),
        }
    }

    fn annotation(&self, key: &str) -> String {
        self.child("metadata").child("annotations").key(key).path().to_string()
    }
}

/// A new pod.
pub(super) fn create(pod: &Value, warn: &mut Sink<'_>) {
    host_name(pod, "the Pod's hostname", warn);
    check(Place::Pod, pod, warn);
}

/// A pod template at this member.
pub(super) fn template(at: &At<'_>, template: &Value, warn: &mut Sink<'_>) {
    check(Place::Template(at), template, warn);
}

/// The name of an object, which becomes the name of hosts.
pub(super) fn host_name(object: &Value, of: &str, warn: &mut Sink<'_>) {
    let findings = names::label(object.name());
    if !findings.is_empty() {
        let findings = findings.join(" ");
        warn(format!(
            "metadata.name: this is used in {of}, which can result in surprising behavior; a DNS label is recommended: [{findings}]"
        ));
    }
}

/// The addresses in a pod's status.
pub(super) fn status(pod: &Value, warn: &mut Sink<'_>) {
    let Some(status) = pod.at("status") else { return };
    for list in ["podIPs", "hostIPs"] {
        let root = At::root("status");
        let at = root.child(list);
        for (index, one) in status.items(list).iter().enumerate() {
            address(&at.index(index).child("ip"), one.text("ip"), warn);
        }
    }
}

fn check(place: Place<'_>, pod: &Value, warn: &mut Sink<'_>) {
    let nothing = Value::Null;
    let spec = pod.at("spec").unwrap_or(&nothing);
    let at = place.child("spec");
    for (label, instead) in deprecated_keys(spec, "nodeSelector") {
        warn(format!("{}: {instead}", at.child("nodeSelector").key(label).path()));
    }
    affinity::nodes(&at, spec, warn);
    affinity::spread(&at, spec, warn);
    for (key, instead) in DEAD_ANNOTATIONS {
        if has_annotation(pod, key) {
            warn(format!("{}: {instead}", place.annotation(key)));
        }
    }
    volumes::all(&at.child("volumes"), spec, warn);
    paths::overlaps(spec, warn);
    twice(&at.child("hostAliases"), spec.items("hostAliases"), "ip", warn);
    let secrets = at.child("imagePullSecrets");
    twice(&secrets, spec.items("imagePullSecrets"), "name", warn);
    unnamed(&secrets, spec.items("imagePullSecrets"), warn);
    for name in ["memory", "ephemeral-storage"] {
        fraction(&at.child("overhead"), spec.at("overhead"), name, warn);
    }
    let has_profile = spec.at("securityContext").is_some_and(|c| c.has("seccompProfile"));
    if !has_profile && has_annotation(pod, SECCOMP_POD) {
        let path = place.annotation(SECCOMP_POD);
        warn(format!("{path}: non-functional in v1.27+; use the \"seccompProfile\" field instead"));
    }
    containers::all(place, pod, spec, warn);
    ports::all(&at, spec, warn);
    if spec.int("terminationGracePeriodSeconds") < 0 {
        let path = at.child("terminationGracePeriodSeconds").path();
        warn(format!("{path}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    affinity::pods(&at, spec, warn);
    addresses(&at, spec, warn);
}

fn has_annotation(pod: &Value, key: &str) -> bool {
    pod.annotations().is_some_and(|all| all.contains_key(key))
}

/// Elements that say the same as one before them.
fn twice(at: &At<'_>, list: &[Value], key: &str, warn: &mut Sink<'_>) {
    let mut seen = HashSet::with_capacity(list.len());
    for (index, one) in list.iter().enumerate() {
        let text = one.text(key);
        if !seen.insert(text) {
            warn(format!("{}: duplicate {key} {text:?}", at.index(index).child(key).path()));
        }
    }
}

fn unnamed(at: &At<'_>, list: &[Value], warn: &mut Sink<'_>) {
    for (index, _) in list.iter().enumerate().filter(|(_, one)| one.text("name").is_empty()) {
        warn(format!("{}: invalid empty name \"\"", at.index(index).child("name").path()));
    }
}

fn addresses(at: &At<'_>, spec: &Value, warn: &mut Sink<'_>) {
    let config = at.child("dnsConfig");
    let servers = config.child("nameservers");
    for (index, server) in spec.at("dnsConfig").into_iter().flat_map(|c| c.texts("nameservers")).enumerate() {
        address(&servers.index(index), server, warn);
    }
    let aliases = at.child("hostAliases");
    for (index, alias) in spec.items("hostAliases").iter().enumerate() {
        address(&aliases.index(index).child("ip"), alias.text("ip"), warn);
    }
}

#[cfg(test)]
mod tests;
