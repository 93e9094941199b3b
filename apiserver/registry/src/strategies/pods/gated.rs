//! Members of pod specifications that are not kept while their feature is off, unless the stored object has one.
//!
//! Upstream: `dropDisabledFields` in `pkg/api/pod/util.go`, with the gates as they are in v1.36.

use apimachinery::{Map, Value};

/// Projected sources that are off.
const SOURCES: [&str; 2] = ["clusterTrustBundle", "podCertificate"];

/// Takes out of a specification what is off.
pub(crate) fn drop_fields(spec: &mut Map, old: Option<&Value>) {
    for kind in SOURCES {
        if sources(spec).any(|source| source.contains_key(kind)) && !old_sources(old).any(|s| s.contains_key(kind)) {
            sources(spec).for_each(|source| {
                source.remove(kind);
            });
        }
    }
    if spec.contains_key("schedulingGroup") && old.is_none_or(|old| !has(old, "schedulingGroup")) {
        spec.remove("schedulingGroup");
    }
    if lifecycles(spec).any(|l| l.contains_key("stopSignal")) && !old_has_signals(old) {
        drop_signals(spec);
    }
}

/// The same of the template that the object has at this member.
pub(crate) fn drop_template_fields(object: &mut Value, old: &Value, template: &str) {
    let old = old.pointer(template).and_then(|t| t.get("spec"));
    if let Some(spec) = object.pointer_mut(template).and_then(|t| t.get_mut("spec")).and_then(Value::as_object_mut) {
        drop_fields(spec, old);
    }
}

const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

fn has(object: &Value, key: &str) -> bool {
    object.get(key).is_some_and(|value| !value.is_null())
}

fn list<'a>(object: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    object.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn list_mut<'a>(object: &'a mut Map, key: &str) -> impl Iterator<Item = &'a mut Map> {
    object.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

fn sources(spec: &mut Map) -> impl Iterator<Item = &mut Map> {
    let projected = list_mut(spec, "volumes").filter_map(|v| v.get_mut("projected")?.as_object_mut());
    projected.flat_map(|projected| list_mut(projected, "sources"))
}

fn old_sources(old: Option<&Value>) -> impl Iterator<Item = &Map> {
    let volumes = old.into_iter().flat_map(|old| list(old, "volumes"));
    let projected = volumes.filter_map(|v| v.get("projected"));
    projected.flat_map(|p| list(p, "sources")).filter_map(Value::as_object)
}

fn lifecycles(spec: &Map) -> impl Iterator<Item = &Map> {
    let containers = CONTAINERS.into_iter().filter_map(|list| spec.get(list)?.as_array()).flatten();
    containers.filter_map(|container| container.get("lifecycle")?.as_object())
}

fn old_has_signals(old: Option<&Value>) -> bool {
    old.and_then(Value::as_object).is_some_and(|old| lifecycles(old).any(|l| l.contains_key("stopSignal")))
}

/// A lifecycle with nothing but a signal goes with it.
fn drop_signals(spec: &mut Map) {
    for key in CONTAINERS {
        for container in list_mut(spec, key) {
            let Some(lifecycle) = container.get_mut("lifecycle").and_then(Value::as_object_mut) else { continue };
            if lifecycle.remove("stopSignal").is_some() && lifecycle.is_empty() {
                container.remove("lifecycle");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_off_goes_unless_it_was_there() {
        let spec = json!({
            "schedulingGroup": {"podGroupName": "g"},
            "volumes": [{"name": "v", "projected": {"sources": [{"clusterTrustBundle": {"path": "p"}}, {"secret": {}}]}}],
            "containers": [{"name": "a", "lifecycle": {"stopSignal": "SIGINT"}},
                {"name": "b", "lifecycle": {"stopSignal": "SIGINT", "preStop": {}}}],
        });
        let mut new = json!({"template": {"spec": spec}});
        drop_template_fields(&mut new, &Value::Null, "/template");
        let want = json!({
            "volumes": [{"name": "v", "projected": {"sources": [{}, {"secret": {}}]}}],
            "containers": [{"name": "a"}, {"name": "b", "lifecycle": {"preStop": {}}}],
        });
        assert_eq!(new["template"]["spec"], want);
        let old = json!({"template": {"spec": spec}});
        let mut kept = old.clone();
        drop_template_fields(&mut kept, &old, "/template");
        assert_eq!(kept, old);
    }
}
