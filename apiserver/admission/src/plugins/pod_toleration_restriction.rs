//! `PodTolerationRestriction`: what pods of a namespace tolerate, and what they may.
//!
//! Upstream: `plugin/pkg/admission/podtolerationrestriction`, `pkg/util/tolerations`.

use crate::lookup::{get, text};
use crate::pod::{is_pod, spec};
use apimachinery::Value;
use apimachinery::gvk::GroupResource;
use apimachinery::meta::ObjectMeta;
use apimachinery::status::Status;
use apiserver_registry::Context;
use apiserver_registry::admission::{Attributes, Operation, Plugin};
use apiserver_storage::Store;
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;

/// Where a namespace says what its pods tolerate.
const DEFAULTS: &str = "scheduler.alpha.kubernetes.io/defaultTolerations";
/// And what they may tolerate.
const ALLOWED: &str = "scheduler.alpha.kubernetes.io/tolerationsWhitelist";
const MEMORY_PRESSURE: &str = "node.kubernetes.io/memory-pressure";

pub(crate) struct PodTolerationRestriction {
    store: Store,
    configuration: Configuration,
}

/// What holds in namespaces that say nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Configuration {
    default: Vec<Value>,
    whitelist: Vec<Value>,
}

impl PodTolerationRestriction {
    /// With its configuration, if there is one.
    ///
    /// # Errors
    /// A configuration of another form.
    pub(crate) fn new(store: Store, configuration: Option<&Value>) -> Result<Self, String> {
        let configuration = configuration.map(Configuration::deserialize).transpose();
        Ok(Self { store, configuration: configuration.map_err(|error| error.to_string())?.unwrap_or_default() })
    }

    /// The tolerations of an annotation of the namespace; `None` if it has no such annotation.
    async fn annotated(&self, context: &Context, annotation: &str) -> Result<Option<Vec<Value>>, Status> {
        let namespace = get(&self.store, ("", "v1", "namespaces"), "", &context.namespace).await?;
        let namespace =
            namespace.ok_or_else(|| Status::not_found(&GroupResource::new("", "namespaces"), &context.namespace))?;
        let value = namespace.value();
        let annotation = value.annotations().and_then(|all| all.get(annotation)).and_then(Value::as_str);
        match annotation {
            None => Ok(None),
            Some("") => Ok(Some(Vec::new())),
            Some(text) => serde_json::from_str(text).map(Some).map_err(Status::internal),
        }
    }
}

#[async_trait]
impl Plugin for PodTolerationRestriction {
    fn name(&self) -> &'static str {
        "PodTolerationRestriction"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        matches!(operation, Operation::Create | Operation::Update) && is_pod(context)
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let mut extra = match attributes.operation {
            Operation::Create => {
                let annotated = self.annotated(attributes.context, DEFAULTS).await?;
                annotated.unwrap_or_else(|| self.configuration.default.clone())
            }
            _ => Vec::new(),
        };
        let pod_spec = attributes.object.get("spec").unwrap_or(&Value::Null);
        // Pods that ask for nothing are the first to go when memory is short.
        if rules::validation::qos(pod_spec) != "BestEffort" {
            extra.push(json!({"key": MEMORY_PRESSURE, "operator": "Exists", "effect": "NoSchedule"}));
        }
        if !extra.is_empty() {
            let all = tolerations(attributes.object).into_iter().chain(extra).collect();
            spec(attributes.object).insert("tolerations".into(), Value::Array(merged(all)));
        }
        self.validate(attributes).await
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let tolerations = tolerations(attributes.object);
        if tolerations.is_empty() {
            return Ok(());
        }
        let annotated = self.annotated(attributes.context, ALLOWED).await?;
        let scope = if annotated.is_some() { "namespace" } else { "cluster" };
        let allowed = annotated.as_ref().unwrap_or(&self.configuration.whitelist);
        match allowed.is_empty() || tolerations.iter().all(|t| allowed.iter().any(|allowed| covers(allowed, t))) {
            true => Ok(()),
            false => Err(Status::internal(format!(
                "pod tolerations (possibly merged with namespace default tolerations) conflict with its {scope} whitelist"
            ))),
        }
    }
}

fn tolerations(pod: &Value) -> Vec<Value> {
    pod.pointer("/spec/tolerations").and_then(Value::as_array).cloned().unwrap_or_default()
}

/// All tolerations but those that another one covers; of equal ones the first stays.
fn merged(all: Vec<Value>) -> Vec<Value> {
    let mut merged: Vec<Value> = Vec::with_capacity(all.len());
    for (index, toleration) in all.iter().enumerate() {
        let is_covered = merged.iter().any(|kept| covers(kept, toleration))
            || all[index + 1..].iter().any(|later| later != toleration && covers(later, toleration));
        if !is_covered {
            merged.push(toleration.clone());
        }
    }
    merged
}

/// Whether one toleration tolerates all that another does.
fn covers(one: &Value, other: &Value) -> bool {
    if one == other {
        return true;
    }
    let member = |toleration: &'_ Value, name: &str| text(toleration, name).to_owned();
    let (key, operator, effect) = (member(one, "/key"), member(one, "/operator"), member(one, "/effect"));
    let seconds = |toleration: &Value| toleration.get("tolerationSeconds").and_then(Value::as_i64);
    if member(other, "/key") != key && !(key.is_empty() && operator == "Exists") {
        return false;
    }
    if member(other, "/effect") != effect && !effect.is_empty() {
        return false;
    }
    if effect == "NoExecute"
        && let Some(limit) = seconds(one)
        && seconds(other).is_none_or(|seconds| seconds > limit)
    {
        return false;
    }
    match operator.as_str() {
        "" | "Equal" => member(other, "/operator") == "Equal" && member(other, "/value") == member(one, "/value"),
        "Exists" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Cluster, create};

    async fn made(annotations: Value, tolerations: Value, requests: Value) -> Result<Value, String> {
        let cluster = Cluster::start().await;
        cluster.add("/namespaces", json!({"metadata": {"name": "ns", "annotations": annotations}})).await;
        let configuration = json!({"default": [{"key": "a", "operator": "Exists"}], "whitelist": []});
        let plugin =
            PodTolerationRestriction::new(cluster.store.clone(), Some(&configuration)).expect("a configuration");
        let pod = json!({"metadata": {"name": "p"}, "spec": {"tolerations": tolerations,
            "containers": [{"name": "c", "resources": {"requests": requests}}]}});
        create(&plugin, "/pods", pod).await.map(|pod| pod["spec"]["tolerations"].clone()).map_err(|s| s.message)
    }

    #[tokio::test]
    async fn tolerations_are_merged() {
        let exists = |key: &str| json!({"key": key, "operator": "Exists"});
        let narrow = json!({"key": "a", "operator": "Equal", "value": "v", "effect": "NoSchedule"});
        assert_eq!(made(json!({}), json!([narrow]), Value::Null).await, Ok(json!([exists("a")])));
        let pressure = json!({"key": MEMORY_PRESSURE, "operator": "Exists", "effect": "NoSchedule"});
        let own = json!({DEFAULTS: "[{\"key\": \"b\", \"operator\": \"Exists\"}]"});
        assert_eq!(made(own, Value::Null, json!({"cpu": "1"})).await, Ok(json!([exists("b"), pressure])));
        assert_eq!(made(json!({DEFAULTS: ""}), json!([exists("c")]), Value::Null).await, Ok(json!([exists("c")])));
    }

    #[tokio::test]
    async fn only_what_is_allowed_is_tolerated() {
        let allowed = json!({DEFAULTS: "", ALLOWED: "[{\"key\": \"a\", \"operator\": \"Exists\"}]"});
        let toleration = |key: &str| json!([{"key": key, "operator": "Equal", "value": "v"}]);
        made(allowed.clone(), toleration("a"), Value::Null).await.expect("allowed");
        let refused = made(allowed, toleration("b"), Value::Null).await.expect_err("not allowed");
        assert!(refused.ends_with("conflict with its namespace whitelist"), "{refused}");
    }

    #[test]
    fn some_tolerations_cover_others() {
        let lasting = |seconds: i64| json!({"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds});
        for (one, other, want) in [
            (json!({"operator": "Exists"}), lasting(5), true),
            (lasting(10), lasting(5), true),
            (lasting(5), lasting(10), false),
            (lasting(5), json!({"key": "k", "operator": "Exists", "effect": "NoExecute"}), false),
            (json!({"key": "k", "operator": "Exists", "effect": "NoSchedule"}), lasting(5), false),
            (json!({"key": "k", "value": "v"}), json!({"key": "k", "operator": "Equal", "value": "v"}), true),
        ] {
            assert_eq!(covers(&one, &other), want, "{one} {other}");
        }
    }
}
