//! Pods and pod templates.
//!
//! Upstream: `pkg/apis/core/validation/validation.go`, `ValidatePodSpec` and around it.

mod affinity;
mod annotations;
mod claims;
mod containers;
mod dns;
mod env;
mod ephemeral;
mod gated;
mod kept;
mod mounts;
mod os;
mod probes;
mod resize;
pub(super) mod resources;
mod restart;
mod security;
mod spread;
mod status;
mod tolerations;
pub(super) mod update;
pub(super) mod volumes;

pub(super) use affinity::node_selector;
pub use annotations::app_armor_field;
pub(super) use ephemeral::ephemeral_containers;
pub use resize::qos;
pub(super) use resize::resize;
pub(super) use status::status;
pub(super) use tolerations::{of_class as tolerations_of_class, taint};

use super::check::{At, Report};
use super::meta;
use super::names::{self, label_key_errors, subdomain};
use super::values::labels;
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use kept::{Kept, Rule, all_containers, own_users};

const METADATA: At<'static> = At::root("metadata");
const SPEC: At<'static> = At::root("spec");

/// What holds for one pod specification.
struct Context<'a> {
    spec: &'a Value,
    /// The pod itself, where it is not a template of pods.
    pod: Option<&'a Value>,
    grace: Option<i64>,
    restart_policy: &'a str,
    kept: Kept,
    /// Positions of volumes that are wrong: containers do not find them.
    wrong_volumes: Vec<usize>,
}

impl Context<'_> {
    fn volume(&self, name: &str) -> Option<&Value> {
        let volumes = self.spec.items("volumes").iter().enumerate();
        let mut right = volumes.filter(|(index, _)| !self.wrong_volumes.contains(index));
        right.find(|(_, volume)| volume.text("name") == name).map(|(_, volume)| volume)
    }
}

/// The specification of a pod, which may be absent.
fn spec_of(pod: &Value) -> &Value {
    pod.at("spec").unwrap_or(&Value::Null)
}

/// A new pod, its metadata aside.
pub(super) fn create(new: &Value, out: &mut Report) {
    pod(new, Kept::NOTHING, out);
    let spec = spec_of(new);
    if !spec.items("ephemeralContainers").is_empty() {
        out.forbidden(&SPEC.child("ephemeralContainers"), "cannot be set on create");
    }
    if !spec.text("nodeName").is_empty() && !spec.items("schedulingGates").is_empty() {
        out.forbidden(&SPEC.child("nodeName"), "cannot be set until all schedulingGates have been cleared");
    }
    annotations::profiles_match(&SPEC, new.annotations(), spec, out);
}

/// A changed pod for itself, its metadata aside: what the stored one breaks, it may break.
fn changed(new: &Value, old: &Value, out: &mut Report) {
    leniently(old, out, |kept, out| pod(new, kept, out));
}

/// Checks strictly, and again only if something is wrong that may have been wrong before.
fn leniently(old: &Value, out: &mut Report, check: impl Fn(Kept, &mut Report)) {
    let mut found = Report::default();
    check(Kept::NOTHING, &mut found);
    if !found.is_empty() {
        let kept = Kept::of(old.annotations(), spec_of(old));
        if kept != Kept::NOTHING {
            found = Report::default();
            check(kept, &mut found);
        }
    }
    out.append(found);
}

fn pod(pod: &Value, kept: Kept, out: &mut Report) {
    let spec_value = spec_of(pod);
    annotations::check(&METADATA.child("annotations"), pod.annotations(), spec_value, kept, out);
    spec(&SPEC, spec_value, Some(pod), kept, out);
    if spec_value.text("serviceAccountName").is_empty() {
        tokens_without_account(&SPEC, spec_value, out);
    }
    containers::images(&SPEC, spec_value, out);
}

/// A new pod template: labels, annotations and specification.
pub(super) fn template(at: &At<'_>, template: &Value, out: &mut Report) {
    template_keeping(at, template, Kept::NOTHING, out);
}

/// A pod template in place of another one: what that one breaks, it may break.
pub(super) fn template_change(at: &At<'_>, new: &Value, old: &Value, out: &mut Report) {
    leniently(old, out, |kept, out| template_keeping(at, new, kept, out));
}

/// Upstream names labels and annotations without the metadata that they are in.
fn template_keeping(at: &At<'_>, template: &Value, kept: Kept, out: &mut Report) {
    let metadata = template.metadata();
    labels(&at.child("labels"), metadata.and_then(|m| m.object("labels")), out);
    let annotations_at = at.child("annotations");
    meta::annotations(&annotations_at, template.annotations(), out);
    let spec_value = spec_of(template);
    annotations::check(&annotations_at, template.annotations(), spec_value, kept, out);
    let at = at.child("spec");
    spec(&at, spec_value, None, kept, out);
    annotations::profiles_match(&at, template.annotations(), spec_value, out);
    if !spec_value.items("ephemeralContainers").is_empty() {
        out.forbidden(&at.child("ephemeralContainers"), "ephemeral containers not allowed in pod template");
    }
}

/// A pod specification after defaulting.
fn spec(at: &At<'_>, spec: &Value, pod: Option<&Value>, kept: Kept, out: &mut Report) {
    let mut context = Context {
        spec,
        pod,
        grace: spec.at("terminationGracePeriodSeconds").and_then(Value::as_i64),
        restart_policy: spec.text("restartPolicy"),
        kept,
        wrong_volumes: Vec::new(),
    };
    if context.grace.is_none() {
        out.required(&at.child("terminationGracePeriodSeconds"), "");
    }
    context.wrong_volumes = volumes::all(&at.child("volumes"), &context, out);
    claims::of_pod(&at.child("resourceClaims"), spec, pod, out);
    containers::all(at, &context, out);
    resources::of_pod(at, spec, kept, out);
    host_network(at, &context, out);
    out.one_of(&at.child("restartPolicy"), context.restart_policy, &["Always", "OnFailure", "Never"]);
    const DNS: [&str; 4] = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    out.one_of(&at.child("dnsPolicy"), spec.text("dnsPolicy"), &DNS);
    labels(&at.child("nodeSelector"), spec.object("nodeSelector"), out);
    security::pod(&at.child("securityContext"), spec, kept, out);
    affinity::all(&at.child("affinity"), spec.at("affinity"), kept, out);
    dns::config(at, spec, out);
    gates(at, spec, out);
    spread::all(&at.child("topologySpreadConstraints"), spec, kept, out);
    os::host_processes(at, spec, out);
    host_users(at, spec, kept, out);
    dns::hostname_override(at, spec, out);
    named(at, spec, &["serviceAccountName", "nodeName"], out);
    deadline(at, spec, out);
    dns::hostname(at, spec, out);
    tolerations::all(&at.child("tolerations"), spec.items("tolerations"), kept, out);
    dns::host_aliases(&at.child("hostAliases"), spec, out);
    named(at, spec, &["priorityClassName"], out);
    if let Some(class) = spec.at("runtimeClassName").and_then(Value::as_str) {
        out.invalid_each(&at.child("runtimeClassName"), class, subdomain(class));
    }
    if let Some(policy) = spec.at("preemptionPolicy").and_then(Value::as_str) {
        out.one_of(&at.child("preemptionPolicy"), policy, &["PreemptLowerPriority", "Never"]);
    }
    resources::overhead(at, spec, kept, out);
    os::check(at, spec, out);
    scheduling_group(at, spec, out);
    env::file_volumes(at, spec, out);
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
            if (context.pod.is_some() || host != 0) && host != own {
                let detail = "must match `containerPort` when `hostNetwork` is true";
                out.invalid(&ports.index(index).child("hostPort"), host, detail);
            }
        }
    }
}

fn host_users(at: &At<'_>, spec: &Value, kept: Kept, out: &mut Report) {
    if !own_users(spec) {
        return;
    }
    const DETAIL: &str = "when `hostUsers` is false";
    for (field, name) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        let may = field == "hostNetwork" && kept.has(Rule::HostNetworkUsers);
        if spec.flag(field) && !may {
            out.forbidden(&at.child(name), DETAIL);
        }
    }
    let with_devices = all_containers(spec).filter(|(_, _, c)| !c.items("volumeDevices").is_empty());
    for (list, index, _) in with_devices.filter(|_| !kept.has(Rule::DeviceUsers)) {
        out.forbidden(&at.child(list).index(index).child("volumeDevices"), DETAIL);
    }
}

/// Names of other things, where there are any.
fn named(at: &At<'_>, spec: &Value, keys: &[&str], out: &mut Report) {
    for key in keys.iter().filter(|key| !spec.text(key).is_empty()) {
        out.invalid_each(&at.child(key), spec.text(key), subdomain(spec.text(key)));
    }
}

fn deadline(at: &At<'_>, spec: &Value, out: &mut Report) {
    if let Some(seconds) = spec.at("activeDeadlineSeconds").and_then(Value::as_i64)
        && let Some(finding) = names::in_range(seconds, 1, i32::MAX.into())
    {
        out.invalid(&at.child("activeDeadlineSeconds"), seconds, finding);
    }
}

/// The group that a pod is scheduled with.
fn scheduling_group(at: &At<'_>, spec: &Value, out: &mut Report) {
    let Some(group) = spec.at("schedulingGroup") else { return };
    let at = at.child("schedulingGroup");
    match group.at("podGroupName").and_then(Value::as_str) {
        None => out.invalid(&at.child("podGroupName"), &Value::Null, "must specify one of: `podGroupName`"),
        Some(name) => out.invalid_each(&at.child("podGroupName"), name, subdomain(name)),
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

#[cfg(test)]
mod tests;
