//! Pods: what the server adds to a new one, quality of service, and what each endpoint may change.
//!
//! Upstream: `pkg/registry/core/pod/strategy.go`, `pkg/apis/core/helper/qos`.

mod apparmor;
pub(crate) mod gated;
mod selectors;

use super::{member, text};
use crate::Context;
use crate::strategy::*;
use apimachinery::quantity::Quantity;
use apimachinery::{Map, Value};
use serde_json::json;
use std::collections::HashMap;

pub(crate) const STRATEGY: Strategy = Strategy {
    generation: Generation::Members(&["spec"]),
    ending: Ending::Graceful,
    deleted: Deleted::Object,
    prepare_create: create,
    prepare_update: |new, old| gated::drop_fields(member(new, "spec"), old.get("spec")),
    prepare_status: status,
    ..DEFAULT
};

fn create(cx: &Context, pod: &mut Value) {
    gated::drop_fields(member(pod, "spec"), None);
    selectors::take_labels(pod);
    apparmor::annotations_to_fields(cx, pod);
    let class = quality_of_service(pod);
    let gated = pod.pointer("/spec/schedulingGates").and_then(Value::as_array).is_some_and(|g| !g.is_empty());
    let mut status = Map::new();
    status.insert("phase".into(), "Pending".into());
    status.insert("qosClass".into(), class.into());
    if gated {
        let condition = json!({"type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
            "lastProbeTime": null, "lastTransitionTime": apimachinery::time::now()});
        status.insert("conditions".into(), json!([condition]));
    }
    if let Some(map) = pod.as_object_mut() {
        map.insert("status".into(), Value::Object(status));
    }
}

/// A status keeps the owners, the quality of service, and the generations it was observed at.
fn status(new: &mut Value, old: &Value) {
    copy_meta(new, old, &["ownerReferences"]);
    let before = old.get("status").and_then(Value::as_object);
    let status = member(new, "status");
    for key in ["qosClass", "observedGeneration"] {
        if let (false, Some(value)) = (status.contains_key(key), before.and_then(|s| s.get(key))) {
            status.insert(key.into(), value.clone());
        }
    }
    keep_observed_generations(status, before);
}

fn keep_observed_generations(status: &mut Map, before: Option<&Map>) {
    let conditions = |map: &Map| map.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut known: HashMap<String, Value> = HashMap::new();
    for condition in before.map(conditions).unwrap_or_default() {
        if let Some(generation) = condition.get("observedGeneration") {
            known.insert(text(&condition, "/type").to_owned(), generation.clone());
        }
    }
    if known.is_empty() {
        return;
    }
    for condition in status.get_mut("conditions").and_then(Value::as_array_mut).into_iter().flatten() {
        if let (None, Some(generation)) = (condition.get("observedGeneration"), known.get(text(condition, "/type"))) {
            condition["observedGeneration"] = generation.clone();
        }
    }
}

/// `Guaranteed`, `Burstable` or `BestEffort`, from the requests and limits of cpu and memory.
pub(crate) fn quality_of_service(pod: &Value) -> &'static str {
    let spec = pod.get("spec");
    let list = |key: &str| spec.and_then(|s| s.get(key)).and_then(Value::as_array).into_iter().flatten();
    let whole = spec.and_then(|s| s.get("resources")).filter(|r| has_amounts(r));
    let resources: Vec<Option<&Value>> = match whole {
        Some(resources) => vec![Some(resources)],
        None => list("containers").chain(list("initContainers")).map(|c| c.get("resources")).collect(),
    };
    if !resources.iter().flatten().any(|r| has_amounts(r)) {
        return "BestEffort";
    }
    match resources.iter().all(|r| r.is_some_and(is_guaranteed)) {
        true => "Guaranteed",
        false => "Burstable",
    }
}

fn amount(resources: &Value, kind: &str, name: &str) -> Option<Quantity> {
    let quantity: Quantity = resources.get(kind)?.get(name)?.as_str()?.parse().ok()?;
    (!quantity.is_zero()).then_some(quantity)
}

fn has_amounts(resources: &Value) -> bool {
    ["requests", "limits"]
        .iter()
        .any(|kind| ["cpu", "memory"].iter().any(|name| amount(resources, kind, name).is_some()))
}

/// Both limits are set, and requests are the same (which defaulting makes them, if absent).
fn is_guaranteed(resources: &Value) -> bool {
    ["cpu", "memory"].iter().all(|name| {
        let limit = amount(resources, "limits", name);
        let request = amount(resources, "requests", name).or(limit);
        limit.is_some() && limit == request
    })
}

/// `/ephemeralcontainers` changes nothing but these containers.
pub(crate) fn keep_ephemeral_containers_only(new: &mut Value, old: &Value) {
    let wanted = new.pointer("/spec/ephemeralContainers").cloned();
    keep_all_but(new, old, &["metadata"]);
    copy_meta(new, old, &["labels", "annotations", "finalizers", "ownerReferences"]);
    crate::metadata::set_or_remove(member(new, "spec"), "ephemeralContainers", wanted.as_ref());
    STRATEGY.bump_generation(new, old);
}

/// `/resize` changes nothing but the resources of the pod, and those and the resize policies of containers. A pod with
/// other containers than before is left as it is, for validation to refuse.
pub(crate) fn keep_resources_only(new: &mut Value, old: &Value) {
    let mut spec = old.get("spec").cloned().unwrap_or_default();
    for list in ["containers", "initContainers"] {
        let wanted = new.pointer(&format!("/spec/{list}")).and_then(Value::as_array);
        let present = spec.get_mut(list).and_then(Value::as_array_mut);
        match (wanted, present) {
            (Some(wanted), Some(present)) if same_names(wanted, present) => take_resources(present, wanted),
            (None, None) => {}
            _ => return,
        }
    }
    if let Some(spec) = spec.as_object_mut() {
        crate::metadata::set_or_remove(spec, "resources", new.pointer("/spec/resources"));
    }
    keep_all_but(new, old, &["metadata", "spec"]);
    copy_meta(new, old, &["labels", "annotations", "finalizers", "ownerReferences"]);
    new["spec"] = spec;
    STRATEGY.bump_generation(new, old);
}

fn same_names(a: &[Value], b: &[Value]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.get("name") == b.get("name"))
}

fn take_resources(present: &mut [Value], wanted: &[Value]) {
    for (container, wanted) in present.iter_mut().zip(wanted) {
        if let Some(map) = container.as_object_mut() {
            crate::metadata::set_or_remove(map, "resources", wanted.get("resources"));
            crate::metadata::set_or_remove(map, "resizePolicy", wanted.get("resizePolicy"));
        }
    }
}

/// The grace period of a pod's deletion: what the request says, else what the pod says; none if
/// nothing runs.
pub(crate) fn grace_seconds(pod: &Value, requested: Option<i64>) -> i64 {
    let declared = pod.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64);
    let unscheduled = text(pod, "/spec/nodeName").is_empty();
    let terminal = matches!(text(pod, "/status/phase"), "Failed" | "Succeeded");
    match (unscheduled || terminal, requested.or(declared).unwrap_or(0)) {
        (true, _) => 0,
        // A negative period is as good as none, but gives the kubelet its turn.
        (false, period) if period < 0 => 1,
        (false, period) => period,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(containers: Value) -> Value {
        json!({"spec": {"containers": containers}})
    }

    #[test]
    fn classes_follow_requests_and_limits() {
        let both = json!({"cpu": "1", "memory": "1Gi"});
        for (containers, want) in [
            (json!([{}]), "BestEffort"),
            (json!([{"resources": {"requests": {"cpu": "0"}}}]), "BestEffort"),
            (json!([{"resources": {"requests": {"cpu": "100m"}}}]), "Burstable"),
            (json!([{"resources": {"limits": both}}]), "Guaranteed"),
            (json!([{"resources": {"limits": both, "requests": {"cpu": "1000m", "memory": "1024Mi"}}}]), "Guaranteed"),
            (json!([{"resources": {"limits": both, "requests": {"cpu": "1"}}}, {}]), "Burstable"),
            (json!([{"resources": {"limits": {"cpu": "1"}}}]), "Burstable"),
            (json!([{"resources": {"requests": {"example.com/a": "1"}}}]), "BestEffort"),
        ] {
            assert_eq!(quality_of_service(&pod(containers.clone())), want, "{containers}");
        }
    }

    #[test]
    fn grace_periods() {
        let running = json!({"spec": {"nodeName": "n", "terminationGracePeriodSeconds": 30}});
        let done = json!({"spec": {"nodeName": "n"}, "status": {"phase": "Failed"}});
        for (pod, requested, want) in [
            (&running, None, 30),
            (&running, Some(5), 5),
            (&running, Some(-3), 1),
            (&running, Some(0), 0),
            (&done, Some(9), 0),
            (&json!({"spec": {}}), Some(9), 0),
        ] {
            assert_eq!(grace_seconds(pod, requested), want);
        }
    }

    #[test]
    fn resizing_changes_resources_only() {
        let old = json!({"metadata": {"generation": 1}, "spec": {"containers": [{"name": "a", "image": "x"}]}});
        let mut new = json!({"metadata": {"generation": 1, "labels": {"a": "b"}},
            "spec": {"nodeName": "n", "containers": [{"name": "a", "image": "y", "resources": {"limits": {"cpu": "1"}}}]}});
        keep_resources_only(&mut new, &old);
        let want = json!({"metadata": {"generation": 2},
            "spec": {"containers": [{"name": "a", "image": "x", "resources": {"limits": {"cpu": "1"}}}]}});
        assert_eq!(new, want);
    }

    #[test]
    fn a_status_keeps_what_old_kubelets_drop() {
        let old = json!({"metadata": {"ownerReferences": [1]}, "status": {"qosClass": "Burstable",
            "conditions": [{"type": "Ready", "observedGeneration": 3}]}});
        let mut new = json!({"metadata": {}, "status": {"conditions": [{"type": "Ready"}]}});
        status(&mut new, &old);
        assert_eq!(new, old);
    }
}
