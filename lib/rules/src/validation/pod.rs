//! Pods and pod templates.
//!
//! Upstream: `pkg/apis/core/validation/validation.go`, `ValidatePodSpec` and around it.

mod affinity;
mod containers;
mod env;
mod mounts;
mod probes;
pub(super) mod resources;
mod security;
mod spread;
pub(super) mod update;
pub(super) mod volumes;

pub(super) use affinity::node_selector;

use super::check::{At, Report};
use super::meta;
use super::names::{self, label, label_key_errors, label_value_errors, subdomain};
use super::values::{ip, labels};
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

/// What holds for one pod specification.
struct Context<'a> {
    spec: &'a Value,
    /// A pod itself, not a template of pods.
    is_pod: bool,
    grace: Option<i64>,
    restart_policy: &'a str,
}

impl Context<'_> {
    fn volume(&self, name: &str) -> Option<&Value> {
        self.spec.items("volumes").iter().find(|v| v.text("name") == name)
    }
}

/// A new or changed pod, its metadata aside.
pub(super) fn pod(pod: &Value, out: &mut Report) {
    let Some(spec_value) = pod.at("spec") else {
        return out.required(&At::root("spec").child("containers"), "");
    };
    annotations(pod, spec_value, out);
    let at = At::root("spec");
    spec(&at, spec_value, true, out);
    if spec_value.text("serviceAccountName").is_empty() {
        tokens_without_account(&at, spec_value, out);
    }
}

/// What only a new pod may not have.
pub(super) fn create(new: &Value, out: &mut Report) {
    pod(new, out);
    let (at, spec) = (At::root("spec"), new.at("spec").unwrap_or(&Value::Null));
    // What has a version has been created: this is a subresource's change.
    if !spec.items("ephemeralContainers").is_empty() && new.resource_version().is_empty() {
        out.forbidden(&at.child("ephemeralContainers"), "cannot be set on create");
    }
    if !spec.text("nodeName").is_empty() && !spec.items("schedulingGates").is_empty() {
        out.forbidden(&at.child("nodeName"), "cannot be set until all schedulingGates have been cleared");
    }
}

/// A pod template: labels, annotations and specification.
pub(super) fn template(at: &At<'_>, template: &Value, out: &mut Report) {
    meta::template(&at.child("metadata"), template.metadata(), out);
    let at = at.child("spec");
    let spec_value = template.at("spec").unwrap_or(&Value::Null);
    spec(&at, spec_value, false, out);
    if !spec_value.items("ephemeralContainers").is_empty() {
        out.forbidden(&at.child("ephemeralContainers"), "ephemeral containers not allowed in pod template");
    }
}

/// A pod specification after defaulting.
fn spec(at: &At<'_>, spec: &Value, is_pod: bool, out: &mut Report) {
    let context = Context {
        spec,
        is_pod,
        grace: spec.at("terminationGracePeriodSeconds").and_then(Value::as_i64),
        restart_policy: spec.text("restartPolicy"),
    };
    if context.grace.is_none() {
        out.required(&at.child("terminationGracePeriodSeconds"), "");
    }
    volumes::all(&at.child("volumes"), spec.items("volumes"), out);
    containers::all(at, &context, out);
    resources::of_pod(at, spec, out);
    host_network(at, &context, out);
    out.one_of(&at.child("restartPolicy"), context.restart_policy, &["Always", "OnFailure", "Never"]);
    const DNS: [&str; 4] = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    out.one_of(&at.child("dnsPolicy"), spec.text("dnsPolicy"), &DNS);
    labels(&at.child("nodeSelector"), spec.object("nodeSelector"), out);
    security::pod(&at.child("securityContext"), spec, out);
    affinity::all(&at.child("affinity"), spec.at("affinity"), out);
    dns_config(at, spec, out);
    gates(at, spec, out);
    spread::all(&at.child("topologySpreadConstraints"), spec, out);
    host_users(at, spec, out);
    named(at, spec, out);
    tolerations(&at.child("tolerations"), spec.items("tolerations"), out);
    host_aliases(&at.child("hostAliases"), spec, out);
    out.one_of_or_empty(
        &at.child("preemptionPolicy"),
        spec.text("preemptionPolicy"),
        &["PreemptLowerPriority", "Never"],
    );
    resources::list(&at.child("overhead"), spec, "overhead", out);
    if let Some(os) = spec.at("os") {
        out.one_of(&at.child("os").child("name"), os.text("name"), &["linux", "windows"]);
    }
}

fn annotations(pod: &Value, spec: &Value, out: &mut Report) {
    const MIRROR: &str = "kubernetes.io/config.mirror";
    const COST: &str = "controller.kubernetes.io/pod-deletion-cost";
    let metadata = At::root("metadata");
    let at = metadata.child("annotations");
    let get = |key| pod.annotations().and_then(|a| a.at(key)).and_then(Value::as_str);
    if let Some(value) = get(MIRROR)
        && spec.text("nodeName").is_empty()
    {
        out.invalid(&at.key(MIRROR), value, "must set spec.nodeName if mirror pod annotation is set");
    }
    if let Some(cost) = get(COST)
        && (cost.starts_with('+') || cost.parse::<i32>().is_err())
    {
        out.invalid(&at.key(COST), cost, "must be a 32bit integer");
    }
}

fn tokens_without_account(at: &At<'_>, spec: &Value, out: &mut Report) {
    let volumes = at.child("volumes");
    for (index, volume) in spec.items("volumes").iter().enumerate() {
        let sources = volume.at("projected").map(|p| p.items("sources")).unwrap_or_default();
        for (source, _) in sources.iter().enumerate().filter(|(_, s)| s.has("serviceAccountToken")) {
            let projected = volumes.index(index);
            let projected = projected.child("projected");
            let sources = projected.child("sources");
            out.forbidden(
                &sources.index(source).child("serviceAccountToken"),
                "must not be specified when serviceAccountName is not set",
            );
        }
    }
}

/// On the host's network a container's port is the host's.
fn host_network(at: &At<'_>, context: &Context<'_>, out: &mut Report) {
    if !context.spec.flag("hostNetwork") {
        return;
    }
    let at = at.child("containers");
    for (index, container) in context.spec.items("containers").iter().enumerate() {
        let container_at = at.index(index);
        let ports = container_at.child("ports");
        for (index, port) in container.items("ports").iter().enumerate() {
            let (host, own) = (port.int("hostPort"), port.int("containerPort"));
            if (context.is_pod || host != 0) && host != own {
                let detail = "must match `containerPort` when `hostNetwork` is true";
                out.invalid(&ports.index(index).child("hostPort"), host, detail);
            }
        }
    }
}

fn host_users(at: &At<'_>, spec: &Value, out: &mut Report) {
    if spec.at("hostUsers").and_then(Value::as_bool) != Some(false) {
        return;
    }
    for (field, name) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if spec.flag(field) {
            out.forbidden(&at.child(name), "when `pod.Spec.HostUsers` is false");
        }
    }
}

/// Names of other things, and the host name.
fn named(at: &At<'_>, spec: &Value, out: &mut Report) {
    for key in ["serviceAccountName", "nodeName", "priorityClassName", "runtimeClassName"] {
        if !spec.text(key).is_empty() {
            out.invalid_each(&at.child(key), spec.text(key), subdomain(spec.text(key)));
        }
    }
    if let Some(seconds) = spec.at("activeDeadlineSeconds").and_then(Value::as_i64)
        && let Some(finding) = names::in_range(seconds, 1, i32::MAX.into())
    {
        out.invalid(&at.child("activeDeadlineSeconds"), seconds, finding);
    }
    for key in ["hostname", "subdomain"] {
        if !spec.text(key).is_empty() {
            out.invalid_each(&at.child(key), spec.text(key), label(spec.text(key)));
        }
    }
}

/// Readiness and scheduling gates.
fn gates(at: &At<'_>, spec: &Value, out: &mut Report) {
    let readiness = at.child("readinessGates");
    for (index, gate) in spec.items("readinessGates").iter().enumerate() {
        let kind = gate.text("conditionType");
        out.invalid_each(&readiness.index(index).child("conditionType"), kind, label_key_errors(kind));
    }
    let scheduling = at.child("schedulingGates");
    let gates = spec.items("schedulingGates");
    for (index, gate) in gates.iter().enumerate() {
        out.invalid_each(&scheduling.index(index), gate.text("name"), label_key_errors(gate.text("name")));
        if gates[..index].iter().any(|g| g.text("name") == gate.text("name")) {
            out.duplicate(&scheduling.index(index), gate.text("name"));
        }
    }
}

fn dns_config(at: &At<'_>, spec: &Value, out: &mut Report) {
    let at = at.child("dnsConfig");
    let nameservers_at = at.child("nameservers");
    let config = spec.at("dnsConfig");
    if spec.text("dnsPolicy") == "None" {
        let Some(config) = config else {
            return out.required(&at, "must provide `dnsConfig` when `dnsPolicy` is None");
        };
        if config.items("nameservers").is_empty() {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            return out.required(&nameservers_at, detail);
        }
    }
    let Some(config) = config else { return };
    if config.items("nameservers").len() > 3 {
        let list = config.at("nameservers").unwrap_or(&Value::Null);
        out.invalid(&nameservers_at, list, "must not have more than 3 nameservers");
    }
    for (index, server) in config.texts("nameservers").enumerate() {
        ip(&nameservers_at.index(index), server, out);
    }
    searches(&at.child("searches"), config, out);
    let options = at.child("options");
    for (index, _) in config.items("options").iter().enumerate().filter(|(_, o)| o.text("name").is_empty()) {
        out.required(&options.index(index), "must not be empty");
    }
}

fn searches(at: &At<'_>, config: &Value, out: &mut Report) {
    let searches: Vec<&str> = config.texts("searches").collect();
    let list = config.at("searches").unwrap_or(&Value::Null);
    if searches.len() > 32 {
        out.invalid(at, list, "must not have more than 32 search paths");
    }
    if searches.join(" ").len() > 2048 {
        out.invalid(at, list, "must not have more than 2048 characters (including spaces) in the search list");
    }
    for (index, search) in searches.into_iter().enumerate().filter(|(_, s)| *s != ".") {
        let name = search.strip_suffix('.').unwrap_or(search);
        out.invalid_each(&at.index(index), name, names::subdomain_with_underscore(name));
    }
}

fn host_aliases(at: &At<'_>, spec: &Value, out: &mut Report) {
    for (index, alias) in spec.items("hostAliases").iter().enumerate() {
        let at = at.index(index);
        ip(&at.child("ip"), alias.text("ip"), out);
        let hostnames = at.child("hostnames");
        for (index, name) in alias.texts("hostnames").enumerate() {
            out.invalid_each(&hostnames.index(index), name, subdomain(name));
        }
    }
}

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// The tolerations of a pod, or of a runtime class.
pub(super) fn tolerations(at: &At<'_>, tolerations: &[Value], out: &mut Report) {
    for (index, toleration) in tolerations.iter().enumerate() {
        self::toleration(&at.index(index), toleration, out);
    }
}

fn toleration(at: &At<'_>, toleration: &Value, out: &mut Report) {
    let (key, value) = (toleration.text("key"), toleration.text("value"));
    let (operator, operator_at) = (toleration.text("operator"), at.child("operator"));
    if !key.is_empty() {
        out.invalid_each(&at.child("key"), key, label_key_errors(key));
    } else if operator != "Exists" {
        out.invalid(
            &operator_at,
            operator,
            "operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
        );
    }
    let effect = toleration.text("effect");
    if toleration.has("tolerationSeconds") && effect != "NoExecute" {
        out.invalid(&at.child("effect"), effect, "effect must be 'NoExecute' when `tolerationSeconds` is set");
    }
    match operator {
        "" | "Equal" => {
            let findings = label_value_errors(value);
            if !findings.is_empty() {
                out.invalid(&operator_at, value, findings.join(";"));
            }
        }
        "Exists" if value.is_empty() => {}
        "Exists" => out.invalid(&operator_at, value, "value must be empty when `operator` is 'Exists'"),
        other => out.not_supported(&operator_at, other, &["Equal", "Exists"]),
    }
    out.one_of_or_empty(&at.child("effect"), effect, &EFFECTS);
}

/// A taint of a node.
pub(super) fn taint(at: &At<'_>, taint: &Value, out: &mut Report) {
    let (key, value) = (taint.text("key"), taint.text("value"));
    out.invalid_each(&at.child("key"), key, label_key_errors(key));
    let findings = label_value_errors(value);
    if !findings.is_empty() {
        out.invalid(&at.child("value"), value, findings.join(";"));
    }
    out.one_of(&at.child("effect"), taint.text("effect"), &EFFECTS);
}

#[cfg(test)]
mod tests;
