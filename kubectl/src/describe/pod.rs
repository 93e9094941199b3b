//! Pods.

use super::containers::{self, Whose, quantity};
use super::sections::{Sections, shown};
use super::source::{Source, Subject};
use super::times::{since, stamp};
use super::{template, volumes};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::quantity::Quantity;
use rules::tree::Tree;
use std::collections::BTreeMap;

const MIRROR: &str = "kubernetes.io/config.mirror";

/// The events about a pod of any kind: those about a mirror are about what it mirrors.
pub(super) async fn events(source: &Source<'_>, pod: &Value) -> Vec<Value> {
    let mirrored = pod.annotations().and_then(|a| a.get(MIRROR)?.as_str());
    let subject = Subject { kind: "", uid: mirrored.unwrap_or(pod.uid()), ..Subject::of(pod) };
    source.events_about(subject).await.unwrap_or_default()
}

pub(super) fn write(out: &mut Sections, pod: &Value) {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    head(out, pod, spec, status);
    network(out, pod, status);
    if spec.has("resources") {
        out.line(0, "Resources:");
        containers::resources(out, 1, spec.at("resources"));
    }
    for (title, specs, statuses) in [
        ("Init Containers", "initContainers", "initContainerStatuses"),
        ("Containers", "containers", "containerStatuses"),
        ("Ephemeral Containers", "ephemeralContainers", "ephemeralContainerStatuses"),
    ] {
        if specs == "containers" || !spec.items(specs).is_empty() {
            containers::write(out, title, spec.items(specs), Whose::Pod { pod, statuses: status.items(statuses) });
        }
    }
    conditions(out, spec, status);
    volumes::write(out, spec.items("volumes"), "");
    out.field(0, "QoS Class", quality(spec, status));
    out.labels("Node-Selectors", spec.object("nodeSelector"));
    template::tolerations(out, "Tolerations", spec);
    template::spread(out, spec, "");
    template::scheduling_group(out, spec, "");
}

fn head(out: &mut Sections, pod: &Value, spec: &Value, status: &Value) {
    out.field(0, "Name", pod.name());
    out.field(0, "Namespace", pod.namespace());
    if let Some(priority) = spec.at("priority") {
        out.field(0, "Priority", shown(priority));
    }
    out.field_if(0, "Priority Class Name", spec.text("priorityClassName"));
    out.field_if(0, "Runtime Class Name", spec.text("runtimeClassName"));
    out.field_if(0, "Service Account", spec.text("serviceAccountName"));
    match spec.text("nodeName") {
        "" => out.field(0, "Node", "<none>"),
        node => out.field(0, "Node", format_args!("{node}/{}", status.text("hostIP"))),
    }
    if status.has("startTime") {
        out.field(0, "Start Time", stamp(status.text("startTime")));
    }
    out.labels("Labels", pod.labels());
    out.annotations("Annotations", pod.annotations());
    let phase = status.text("phase");
    if pod.is_deleting() && !matches!(phase, "Failed" | "Succeeded") {
        let lasts = since(out.now, pod.meta_str("deletionTimestamp"));
        out.field(0, "Status", format_args!("Terminating (lasts {lasts})"));
        let grace = pod["metadata"].int("deletionGracePeriodSeconds");
        out.field(0, "Termination Grace Period", format_args!("{grace}s"));
    } else {
        out.field(0, "Status", phase);
    }
    out.field_if(0, "Reason", status.text("reason"));
    out.field_if(0, "Message", status.text("message"));
    if let Some(profile) = spec.at("securityContext").and_then(|c| c.at("seccompProfile")) {
        out.field(0, "SeccompProfile", profile.text("type"));
        if profile.text("type") == "Localhost" {
            out.field(0, "LocalhostProfile", profile.text("localhostProfile"));
        }
    }
}

fn network(out: &mut Sections, pod: &Value, status: &Value) {
    out.field(0, "IP", status.text("podIP"));
    match status.items("podIPs") {
        [] => out.field(0, "IPs", "<none>"),
        addresses => {
            out.line(0, "IPs:");
            addresses.iter().for_each(|address| out.field(1, "IP", address.text("ip")));
        }
    }
    controlled_by(out, pod);
    out.field_if(0, "NominatedNodeName", status.text("nominatedNodeName"));
}

/// The owner that manages an object.
pub(super) fn controlled_by(out: &mut Sections, object: &Value) {
    if let Some(owner) = object.controller() {
        out.field(0, "Controlled By", format_args!("{}/{}", owner.kind, owner.name));
    }
}

fn conditions(out: &mut Sections, spec: &Value, status: &Value) {
    let conditions = status.items("conditions");
    if !spec.items("readinessGates").is_empty() {
        out.line(0, "Readiness Gates:");
        out.line(1, "Type\tStatus");
        for gate in spec.items("readinessGates") {
            let kind = gate.text("conditionType");
            let found = conditions.iter().find(|c| c.text("type") == kind);
            let status = found.map_or("<none>", |c| c.text("status"));
            out.line(1, format_args!("{kind} \t{status} "));
        }
    }
    if !conditions.is_empty() {
        out.line(0, "Conditions:");
        out.line(1, "Type\tStatus");
        for condition in conditions {
            out.line(1, format_args!("{} \t{} ", condition.text("type"), condition.text("status")));
        }
    }
}

/// The quality of service: as the server says, or else as it would.
fn quality<'a>(spec: &Value, status: &'a Value) -> &'a str {
    match status.text("qosClass") {
        "" => computed_quality(spec),
        class => class,
    }
}

fn computed_quality(spec: &Value) -> &'static str {
    let parts: Vec<&Value> = match spec.has("resources") {
        true => vec![spec],
        false => spec.items("containers").iter().chain(spec.items("initContainers")).collect(),
    };
    let (mut requests, mut limits, mut limited) = (BTreeMap::new(), BTreeMap::new(), true);
    for part in parts {
        let resources = &part["resources"];
        sum(&mut requests, resources, "requests");
        let count = sum(&mut limits, resources, "limits");
        limited &= count == 2 || spec.has("resources") && !resources.has("limits");
    }
    let equal = requests.iter().all(|(name, amount)| limits.get(name) == Some(amount));
    match () {
        () if requests.is_empty() && limits.is_empty() => "BestEffort",
        () if limited && equal && requests.len() == limits.len() => "Guaranteed",
        () => "Burstable",
    }
}

/// Adds what counts; says of how many kinds it is.
fn sum<'a>(total: &mut BTreeMap<&'a str, Quantity>, resources: &'a Value, list: &str) -> usize {
    let amounts = resources.entries(list).map(|(name, amount)| (name, quantity(Some(amount))));
    let counts = amounts
        .filter(|(name, amount)| matches!(*name, "cpu" | "memory") && !amount.is_zero() && !amount.is_negative());
    counts
        .map(|(name, amount)| {
            let held = total.get(name).copied().unwrap_or(Quantity::ZERO);
            total.insert(name, held + amount);
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quality_of_service() {
        let with = |requests: Value, limits: Value| json!({"resources": {"requests": requests, "limits": limits}});
        let both = json!({"cpu": "1", "memory": "1Gi"});
        for (containers, want) in [
            (json!([{}]), "BestEffort"),
            (json!([with(json!({"cpu": "1"}), json!({}))]), "Burstable"),
            (json!([with(both.clone(), both.clone())]), "Guaranteed"),
            (json!([with(both.clone(), both.clone()), {}]), "Burstable"),
        ] {
            assert_eq!(quality(&json!({"containers": containers}), &Value::Null), want);
        }
        assert_eq!(quality(&with(both.clone(), both), &Value::Null), "Guaranteed");
        assert_eq!(quality(&Value::Null, &json!({"qosClass": "Burstable"})), "Burstable");
    }
}
