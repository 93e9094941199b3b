//! `RuntimeClass`: a pod pays for its runtime, and runs where that runtime is.
//!
//! Upstream: `plugin/pkg/admission/runtimeclass/admission.go`.

use crate::denial::forbidden;
use crate::lookup::{at, get};
use crate::pod::{is_pod, list, spec};
use apimachinery::status::{Reason, Status};
use apimachinery::{Map, Value};
use apiserver_registry::Context;
use apiserver_registry::admission::{Attributes, Operation, Plugin};
use apiserver_storage::Store;
use async_trait::async_trait;

pub(crate) struct RuntimeClass {
    store: Store,
}

impl RuntimeClass {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }
}

#[async_trait]
impl Plugin for RuntimeClass {
    fn name(&self) -> &'static str {
        "RuntimeClass"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        operation == Operation::Create && is_pod(context)
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let Some(name) = class_name(attributes.object).map(str::to_owned) else { return Ok(()) };
        if name.is_empty() {
            return Err(Status::plain(500, Reason::Unknown, "resource name may not be empty"));
        }
        let Some(class) = get(&self.store, CLASSES, "", &name).await? else {
            return Err(forbidden(attributes, &format!("pod rejected: RuntimeClass {name:?} not found")));
        };
        let class = class.value();
        let applied = set_overhead(attributes.object, &class).and_then(|()| place(attributes.object, &class));
        applied.map_err(|why| forbidden(attributes, &why))
    }

    /// Only a class says what a pod costs.
    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let class = match class_name(attributes.object) {
            None | Some("") => None,
            Some(name) => get(&self.store, CLASSES, "", name).await?,
        };
        let class = class.map(|class| class.value());
        let overhead = at(attributes.object, "/spec/overhead");
        match class.as_ref().and_then(|class| class.get("overhead")) {
            Some(defined) if amounts(defined.get("podFixed")) != amounts(overhead) => {
                Err(forbidden(attributes, OTHER_OVERHEAD))
            }
            None if overhead.is_some_and(Value::is_object) => {
                let why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
                Err(forbidden(attributes, why))
            }
            _ => Ok(()),
        }
    }
}

const CLASSES: (&str, &str, &str) = ("node.k8s.io", "v1", "runtimeclasses");
const OTHER_OVERHEAD: &str = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";

/// The class that the pod names, be it by an empty name.
fn class_name(pod: &Value) -> Option<&str> {
    at(pod, "/spec/runtimeClassName").and_then(Value::as_str)
}

/// What something costs; to cost nothing is to say nothing.
fn amounts(overhead: Option<&Value>) -> Option<&Map> {
    overhead.and_then(Value::as_object).filter(|amounts| !amounts.is_empty())
}

fn set_overhead(pod: &mut Value, class: &Value) -> Result<(), String> {
    let Some(defined) = class.get("overhead").filter(|overhead| overhead.is_object()) else { return Ok(()) };
    let fixed = amounts(defined.get("podFixed"));
    let own = amounts(at(pod, "/spec/overhead"));
    if own.is_some() && own != fixed {
        return Err(OTHER_OVERHEAD.into());
    }
    match fixed {
        Some(fixed) => spec(pod).insert("overhead".into(), fixed.clone().into()),
        None => spec(pod).remove("overhead"),
    };
    Ok(())
}

/// The class's node selector and tolerations on top of the pod's.
fn place(pod: &mut Value, class: &Value) -> Result<(), String> {
    let selector = class.pointer("/scheduling/nodeSelector").and_then(Value::as_object);
    if let Some(selector) = selector.filter(|s| !s.is_empty()) {
        let own = spec(pod).entry("nodeSelector").or_insert_with(|| Value::Object(Map::new()));
        for (key, value) in selector {
            match own.get(key) {
                Some(other) if other != value => {
                    return Err(format!(
                        "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {}; pod.spec.nodeSelector[{key}] = {}",
                        value.as_str().unwrap_or_default(),
                        other.as_str().unwrap_or_default()
                    ));
                }
                _ => own[key] = value.clone(),
            }
        }
    }
    let tolerations = class.pointer("/scheduling/tolerations").and_then(Value::as_array);
    for toleration in tolerations.into_iter().flatten() {
        let own = list(spec(pod), "tolerations");
        if !own.contains(toleration) {
            own.push(toleration.clone());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Cluster, create};
    use serde_json::json;

    #[tokio::test]
    async fn pods_take_on_what_their_class_says() {
        let cluster = Cluster::start().await;
        let class = json!({"metadata": {"name": "vm"}, "handler": "h", "overhead": {"podFixed": {"cpu": "100m"}},
            "scheduling": {"nodeSelector": {"vm": "yes"}, "tolerations": [{"key": "vm"}]}});
        cluster.add("node.k8s.io/runtimeclasses", class).await;
        let free = json!({"metadata": {"name": "free"}, "handler": "h", "overhead": {}});
        cluster.add("node.k8s.io/runtimeclasses", free).await;
        let plugin = RuntimeClass::new(cluster.store.clone());
        let pod = |spec: Value| json!({"metadata": {"name": "p"}, "spec": spec});
        let made = create(&plugin, "/pods", pod(json!({"runtimeClassName": "vm", "nodeSelector": {"a": "b"}}))).await;
        let want = json!({"runtimeClassName": "vm", "overhead": {"cpu": "100m"}, "nodeSelector": {"a": "b", "vm": "yes"},
            "tolerations": [{"key": "vm"}]});
        assert_eq!(made.expect("admitted")["spec"], want);
        let made = create(&plugin, "/pods", pod(json!({"runtimeClassName": "free", "overhead": {}}))).await;
        assert_eq!(made.expect("admitted")["spec"], json!({"runtimeClassName": "free"}));
        for (spec, why) in [
            (json!({"runtimeClassName": "x"}), "RuntimeClass \"x\" not found"),
            (json!({"overhead": {"cpu": "1"}}), "without corresponding RuntimeClass"),
            (json!({"overhead": {}}), "without corresponding RuntimeClass"),
            (json!({"runtimeClassName": "vm", "overhead": {"cpu": "1"}}), "doesn't match RuntimeClass's"),
            (json!({"runtimeClassName": "vm", "nodeSelector": {"vm": "no"}}), "conflict: "),
            (json!({"runtimeClassName": "free", "overhead": {"cpu": "1"}}), "doesn't match RuntimeClass's"),
            (json!({"runtimeClassName": ""}), "resource name may not be empty"),
        ] {
            let refused = create(&plugin, "/pods", pod(spec)).await.expect_err("refused");
            assert!(refused.message.contains(why), "{refused}");
        }
    }
}
