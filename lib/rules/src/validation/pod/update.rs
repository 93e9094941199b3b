//! Changes of pods.

use super::super::check::{At, Report, same};
use super::super::names::{in_range, label_key_errors, subdomain};
use super::super::values::ip;
use crate::placement::requests::{Amounts, amounts};
use crate::tree::{Fill, Tree};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

const CHANGEABLE: &str = "pod updates may not change fields other than \
    `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
    `spec.tolerations` (only additions to existing tolerations),\
    `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
const SPEC: At<'static> = At::root("spec");
/// Marks the copy of a pod that a kubelet has from elsewhere.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// A change of the specification.
pub(in super::super) fn update(new: &Value, old: &Value, out: &mut Report) {
    mirror(new, old, out);
    let (new, old) = (new.at("spec").unwrap_or(&Value::Null), old.at("spec").unwrap_or(&Value::Null));
    for list in ["containers", "initContainers"] {
        if new.items(list).len() != old.items(list).len() {
            return out.forbidden(&SPEC.child(list), "pod updates may not add or remove containers");
        }
    }
    if !deadline(new, old, out) {
        return;
    }
    tolerations(new, old, out);
    gates(new, old, out);
    if same(Some(new), Some(old)) {
        return;
    }
    let mut rest = new.clone();
    undo_allowed(&mut rest, old);
    if !old.items("schedulingGates").is_empty() {
        gated(&mut rest, new, old, out);
    }
    if !same(Some(&rest), Some(old)) {
        out.forbidden(&SPEC, format!("{CHANGEABLE}\n{}", difference(&rest, old)));
    }
}

fn mirror(new: &Value, old: &Value, out: &mut Report) {
    let metadata = At::root("metadata");
    let at = metadata.child("annotations");
    let get = |pod: &Value| pod.annotations().and_then(|a| a.get(MIRROR)).cloned();
    match (get(new), get(old)) {
        (new, Some(old)) if new.as_ref() != Some(&old) => {
            out.forbidden(&at.key(MIRROR), "may not remove or update mirror pod annotation");
        }
        (Some(_), None) => out.forbidden(&at.key(MIRROR), "may not add mirror pod annotation"),
        _ => {}
    }
}

/// The deadline may only come closer. Whether it makes sense to look further.
fn deadline(new: &Value, old: &Value, out: &mut Report) -> bool {
    let at = SPEC.child("activeDeadlineSeconds");
    let get = |spec: &Value| spec.at("activeDeadlineSeconds").and_then(Value::as_i64);
    match (get(new), get(old)) {
        (Some(new), old) => {
            if let Some(finding) = in_range(new, 0, i32::MAX.into()) {
                out.invalid(&at, new, finding);
                return false;
            }
            if old.is_some_and(|old| old < new) {
                out.invalid(&at, new, "must be less than or equal to previous value");
                return false;
            }
        }
        (None, Some(_)) => {
            out.invalid(&at, &Value::Null, "must not update from a positive integer to nil value");
        }
        (None, None) => {}
    }
    true
}

fn tolerations(new: &Value, old: &Value, out: &mut Report) {
    let but_seconds = |toleration: &Value| {
        let mut toleration = toleration.clone();
        toleration.as_object_mut().map(|t| t.remove("tolerationSeconds"));
        toleration
    };
    let new: Vec<Value> = new.items("tolerations").iter().map(but_seconds).collect();
    let kept = |old: &Value| new.iter().any(|new| same(Some(new), Some(&but_seconds(old))));
    if !old.items("tolerations").iter().all(kept) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        out.forbidden(&SPEC.child("tolerations"), detail);
    }
}

fn gates(new: &Value, old: &Value, out: &mut Report) {
    let at = SPEC.child("schedulingGates");
    for (index, gate) in new.items("schedulingGates").iter().enumerate() {
        let name = gate.text("name");
        if !old.items("schedulingGates").iter().any(|g| g.text("name") == name) {
            let detail = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            out.forbidden(&at.index(index).child("name"), detail);
        }
    }
}

/// Takes back the changes that are allowed.
fn undo_allowed(rest: &mut Value, old: &Value) {
    for list in ["containers", "initContainers"] {
        for (container, old) in rest.each(list).iter_mut().zip(old.items(list)) {
            restore(container, old, "image");
        }
    }
    for key in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        restore(rest, old, key);
    }
    if old.int("terminationGracePeriodSeconds") < 0 && rest.int("terminationGracePeriodSeconds") == 1 {
        restore(rest, old, "terminationGracePeriodSeconds");
    }
}

fn restore(rest: &mut Value, old: &Value, key: &str) {
    let Some(members) = rest.members() else { return };
    match old.at(key) {
        Some(value) => members.insert(key.to_owned(), value.clone()),
        None => members.remove(key),
    };
}

/// While a pod is not yet to be scheduled, its nodes may be narrowed down.
fn gated(rest: &mut Value, new: &Value, old: &Value, out: &mut Report) {
    let kept = old.entries("nodeSelector").all(|(k, v)| new.at("nodeSelector").and_then(|s| s.at(k)) == Some(v));
    if !kept {
        let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        let value = new.at("nodeSelector").unwrap_or(&Value::Null);
        out.invalid(&SPEC.child("nodeSelector"), value, detail);
    }
    restore(rest, old, "nodeSelector");
    let required = |spec: &Value| {
        let affinity = spec.at("affinity")?.at("nodeAffinity")?;
        affinity.at("requiredDuringSchedulingIgnoredDuringExecution").cloned()
    };
    let narrower = match (required(old), required(new)) {
        (Some(old), Some(new)) => narrows(&new, &old),
        (Some(_), None) => false,
        (None, _) => true,
    };
    if narrower {
        take_node_affinity(rest, old);
    }
}

/// Whether each term of the new selector asks for all that its old one did.
fn narrows(new: &Value, old: &Value) -> bool {
    let (new, old) = (new.items("nodeSelectorTerms"), old.items("nodeSelectorTerms"));
    let within = |old: &Value, new: &Value, key: &str| old.items(key).iter().all(|o| new.items(key).contains(o));
    let term = |(old, new): (&Value, &Value)| within(old, new, "matchExpressions") && within(old, new, "matchFields");
    new.len() == old.len() && old.iter().zip(new).all(term)
}

fn take_node_affinity(rest: &mut Value, old: &Value) {
    match old.at("affinity") {
        Some(affinity) => {
            if let Some(own) = rest.made("affinity") {
                restore(own, affinity, "nodeAffinity");
            }
        }
        None => {
            let bare = rest.at("affinity").is_some_and(|a| !a.has("podAffinity") && !a.has("podAntiAffinity"));
            if bare {
                rest.members().map(|m| m.remove("affinity"));
            }
        }
    }
}

/// The members that differ, with their values before and after.
fn difference(new: &Value, old: &Value) -> String {
    let empty = apimachinery::Map::new();
    let (new, old) = (new.as_object().unwrap_or(&empty), old.as_object().unwrap_or(&empty));
    let mut keys: Vec<&String> = new.keys().chain(old.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let show = |sign: char, key: &str, value: Option<&Value>| value.map(|v| format!("{sign} {key}: {v}\n"));
    let changed = keys.into_iter().filter(|key| !same(new.get(*key), old.get(*key)));
    changed.flat_map(|key| [show('-', key, old.get(key)), show('+', key, new.get(key))]).flatten().collect()
}

/// A change of the ephemeral containers: they can only become more.
pub(in super::super) fn ephemeral_containers(new: &Value, old: &Value, out: &mut Report) {
    mirror(new, old, out);
    if old.annotations().is_some_and(|a| a.contains_key(MIRROR)) {
        return out.forbidden(&At::root(""), "static pods do not support ephemeral containers");
    }
    let at = SPEC.child("ephemeralContainers");
    let list = |pod: &Value| pod.at("spec").map(|s| s.items("ephemeralContainers").to_vec()).unwrap_or_default();
    let new = list(new);
    for container in list(old) {
        let name = container.text("name");
        match new.iter().find(|c| c.text("name") == name) {
            None => {
                let detail = format!("existing ephemeral containers {name:?} may not be removed\n");
                out.forbidden(&at, detail);
            }
            Some(other) if !same(Some(other), Some(&container)) => {
                let changes = difference(other, &container);
                let detail = format!("existing ephemeral containers {name:?} may not be changed\n{changes}");
                out.forbidden(&at, detail);
            }
            Some(_) => {}
        }
    }
}

/// A change of the containers' resources: the quality of service stays.
pub(in super::super) fn resize(new: &Value, old: &Value, out: &mut Report) {
    if old.annotations().is_some_and(|a| a.contains_key(MIRROR)) {
        return out.forbidden(&At::root(""), "static pods cannot be resized");
    }
    let (new, old) = (new.at("spec").unwrap_or(&Value::Null), old.at("spec").unwrap_or(&Value::Null));
    if qos(new) != qos(old) {
        out.invalid(&SPEC, qos(new), "Pod QOS Class may not change as a result of resizing");
    }
    let at = SPEC.child("containers");
    for (index, container) in new.items("containers").iter().enumerate() {
        let Some(before) = old.items("containers").get(index) else { continue };
        for list in ["limits", "requests"] {
            let amounts = |container: &Value| container.at("resources").map(|r| amounts(r, list)).unwrap_or_default();
            let (now, then) = (amounts(container), amounts(before));
            let changed = now.iter().filter(|(k, v)| then.get(*k) != Some(v)).map(|(k, _)| k);
            let gone = then.keys().filter(|k| !now.contains_key(*k));
            let at = at.index(index);
            let at = at.child("resources");
            if changed.chain(gone.clone()).any(|name| name != "cpu" && name != "memory") {
                out.forbidden(&at.child(list), "only cpu and memory resources are mutable");
            } else if gone.count() > 0 {
                out.forbidden(&at.child(list), format!("resource {list} cannot be removed"));
            }
        }
    }
}

/// The quality of service that a pod's requests and limits come to.
fn qos(spec: &Value) -> &'static str {
    let all = ["containers", "initContainers"].into_iter().flat_map(|list| spec.items(list));
    let lists: Vec<_> = all
        .map(|c| c.at("resources").map(|r| (amounts(r, "requests"), amounts(r, "limits"))).unwrap_or_default())
        .collect();
    let counted = |list: &Amounts| ["cpu", "memory"].iter().any(|name| list.get(*name).is_some_and(|a| !a.is_zero()));
    let exact = |(requests, limits): &(Amounts, Amounts)| {
        ["cpu", "memory"].iter().all(|name| limits.contains_key(*name) && requests.get(*name) == limits.get(*name))
    };
    match () {
        () if !lists.iter().any(|(requests, limits)| counted(requests) || counted(limits)) => "BestEffort",
        () if lists.iter().all(exact) => "Guaranteed",
        () => "Burstable",
    }
}

/// A change of the status.
pub(in super::super) fn status(new: &Value, old: &Value, out: &mut Report) {
    mirror(new, old, out);
    let at = At::root("status");
    let node = |pod: &Value| pod.at("spec").map_or("", |s| s.text("nodeName")).to_owned();
    if node(new) != node(old) {
        out.forbidden(&at.child("nodeName"), "may not be changed directly");
    }
    let policy = old.at("spec").map_or("", |s| s.text("restartPolicy"));
    let sidecars: Vec<&str> = old.at("spec").map(sidecars).unwrap_or_default();
    let (new, old) = (new.at("status").unwrap_or(&Value::Null), old.at("status").unwrap_or(&Value::Null));
    conditions(new, out);
    let nominated = new.text("nominatedNodeName");
    if !nominated.is_empty() && nominated != old.text("nominatedNodeName") {
        out.invalid_each(&at.child("nominatedNodeName"), nominated, subdomain(nominated));
    }
    // A pod that was stored without a class may be told its class.
    if !old.text("qosClass").is_empty() {
        out.immutable(&at.child("qosClass"), new.at("qosClass"), old.at("qosClass"));
    }
    transitions(&at.child("containerStatuses"), new, old, ("containerStatuses", policy, &[]), out);
    transitions(&at.child("initContainerStatuses"), new, old, ("initContainerStatuses", policy, &sidecars), out);
    transitions(&at.child("ephemeralContainerStatuses"), new, old, ("ephemeralContainerStatuses", "Never", &[]), out);
    addresses(&at, new, out);
}

fn sidecars(spec: &Value) -> Vec<&str> {
    let init = spec.items("initContainers").iter();
    init.filter(|c| c.text("restartPolicy") == "Always").map(|c| c.text("name")).collect()
}

fn conditions(status: &Value, out: &mut Report) {
    let metadata = At::root("metadata");
    let at = metadata.child("conditions");
    for (index, condition) in status.items("conditions").iter().enumerate() {
        let kind = condition.text("type");
        if !["PodScheduled", "Ready", "Initialized"].contains(&kind) {
            out.invalid_each(&at.index(index).child("Type"), kind, label_key_errors(kind));
        }
    }
}

/// What has ended for good cannot run again.
fn transitions(at: &At<'_>, new: &Value, old: &Value, which: (&str, &str, &[&str]), out: &mut Report) {
    let (list, policy, restartable) = which;
    if policy == "Always" {
        return;
    }
    let terminated = |status: &Value| status.at("state").and_then(|s| s.at("terminated")).cloned();
    for (index, status) in old.items(list).iter().enumerate() {
        let Some(end) = terminated(status) else { continue };
        let name = status.text("name");
        if end.int("exitCode") != 0 && policy == "OnFailure" || restartable.contains(&name) {
            continue;
        }
        if new.items(list).iter().any(|s| s.text("name") == name && terminated(s).is_none()) {
            out.forbidden(&at.index(index).child("state"), "may not be transitioned to non-terminated state");
        }
    }
}

fn addresses(at: &At<'_>, status: &Value, out: &mut Report) {
    for list in ["podIPs", "hostIPs"] {
        let at = at.child(list);
        let ips: Vec<&str> = status.items(list).iter().map(|a| a.text("ip")).collect();
        for (index, address) in ips.iter().enumerate() {
            ip(&at.index(index), address, out);
        }
        let families = ips.iter().filter(|ip| ip.contains(':')).count();
        if ips.len() > 2 || ips.len() == 2 && families != 1 {
            let value = status.at(list).unwrap_or(&Value::Null);
            out.invalid(&at, value, "may specify no more than one IP for each IP family");
        }
    }
    if let Some(first) = status.items("hostIPs").first()
        && first.text("ip") != status.text("hostIP")
    {
        let at = at.child("hostIPs");
        out.invalid(&at.index(0).child("ip"), first.text("ip"), "must be equal to `hostIP`");
    }
}
