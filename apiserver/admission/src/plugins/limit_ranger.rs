//! `LimitRanger`: a namespace's defaults and bounds for what containers, pods and claims ask for.
//!
//! Upstream: `plugin/pkg/admission/limitranger/admission.go`.

use crate::denial::forbidden;
use crate::lookup::{list, text};
use crate::pod::{containers, containers_mut, is_pod, map};
use apimachinery::meta::ObjectMeta;
use apimachinery::quantity::Quantity;
use apimachinery::status::Status;
use apimachinery::{Map, Value};
use apiserver_registry::Context;
use apiserver_registry::admission::{Attributes, Operation, Plugin};
use apiserver_storage::Store;
use async_trait::async_trait;
use rules::placement::requests::{Amounts, PodAmounts, amounts};
use serde_json::json;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";
const LISTS: [&str; 2] = ["containers", "initContainers"];

pub(crate) struct LimitRanger {
    store: Store,
}

impl LimitRanger {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    /// The limits of the request's namespace, of each range in it.
    fn limits(&self, context: &Context) -> Vec<Vec<Value>> {
        let ranges = list(&self.store, ("", "v1", "limitranges"), Some(&context.namespace));
        let limits =
            |range: Value| range.pointer("/spec/limits").and_then(Value::as_array).cloned().unwrap_or_default();
        ranges.iter().map(|range| limits(range.value())).collect()
    }
}

#[async_trait]
impl Plugin for LimitRanger {
    fn name(&self) -> &'static str {
        "LimitRanger"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        let claims = context.resource.plural == "persistentvolumeclaims" && context.subresource.is_none();
        match operation {
            Operation::Create => is_pod(context) || claims,
            // A pod's resources change on `/resize` only; claims can grow.
            Operation::Update => claims || resizes_pod(context),
            _ => false,
        }
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let is_meant = is_pod(attributes.context) || resizes_pod(attributes.context);
        if !is_meant || attributes.old_object.is_deleting() {
            return Ok(());
        }
        let limits = self.limits(attributes.context);
        apply_defaults(attributes.object, &limits.concat());
        Ok(())
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        if attributes.old_object.is_deleting() {
            return Ok(());
        }
        let context = attributes.context;
        let check = if is_pod(context) || resizes_pod(context) { check_pod } else { check_claim };
        for limits in self.limits(attributes.context) {
            let errors: Vec<String> = limits.iter().flat_map(|limit| check(attributes.object, limit)).collect();
            match errors.as_slice() {
                [] => {}
                [one] => return Err(forbidden(attributes, one)),
                many => return Err(forbidden(attributes, &format!("[{}]", many.join(", ")))),
            }
        }
        Ok(())
    }
}

fn resizes_pod(context: &Context) -> bool {
    context.subresource_name() == "resize" && context.resource.group.is_empty() && context.resource.plural == "pods"
}

/// Sets what containers leave out, and notes on the pod what was set.
fn apply_defaults(pod: &mut Value, limits: &[Value]) {
    let of_containers = || limits.iter().filter(|limit| text(limit, "/type") == "Container");
    let mut notes = Vec::new();
    for (kind, word) in [("containers", "container"), ("initContainers", "init container")] {
        for container in containers_mut(pod, kind) {
            let name = container.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            for limit in of_containers() {
                for (defaults, list, what) in
                    [("defaultRequest", "requests", "request"), ("default", "limits", "limit")]
                {
                    let set = fill(container, limit.get(defaults), list);
                    if !set.is_empty() {
                        notes.push(format!("{} {what} for {word} {name}", set.join(", ")));
                    }
                }
            }
        }
    }
    if !notes.is_empty() {
        let note = format!("LimitRanger plugin set: {}", notes.join("; "));
        let annotations = pod.metadata_mut().entry("annotations").or_insert_with(|| json!({}));
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(ANNOTATION.into(), note.into());
        }
    }
}

fn fill(container: &mut Map, defaults: Option<&Value>, list: &str) -> Vec<String> {
    let mut set = Vec::new();
    for (name, amount) in defaults.and_then(Value::as_object).into_iter().flatten() {
        let resources = container.entry("resources").or_insert_with(|| json!({}));
        let amounts = map(resources, list);
        if !amounts.contains_key(name) {
            amounts.insert(name.clone(), amount.clone());
            set.push(name.clone());
        }
    }
    set
}

fn check_pod(pod: &Value, limit: &Value) -> Vec<String> {
    match text(limit, "/type") {
        "Container" => containers(pod, &LISTS)
            .flat_map(|container| {
                let resources = container.get("resources").unwrap_or(&Value::Null);
                check(limit, "Container", &amounts(resources, "requests"), &amounts(resources, "limits"))
            })
            .collect(),
        "Pod" => {
            let spec = pod.get("spec").unwrap_or(&Value::Null);
            let (requests, limits) =
                (PodAmounts::of(spec).containers_total(), PodAmounts::limits_of(spec).containers_total());
            check(limit, "Pod", &requests, &limits)
        }
        _ => Vec::new(),
    }
}

fn check_claim(claim: &Value, limit: &Value) -> Vec<String> {
    if text(limit, "/type") != "PersistentVolumeClaim" {
        return Vec::new();
    }
    let requests = claim.pointer("/spec/resources").map(|r| amounts(r, "requests")).unwrap_or_default();
    let bounds = |key: &str| {
        amounts(limit, key).into_iter().filter_map(|(name, bound)| Some((bound, *requests.get(&name)?, name)))
    };
    let low = bounds("min").filter(|(min, asked, _)| asked < min);
    let low = low.map(|(min, asked, name)| {
        format!("minimum {name} usage per PersistentVolumeClaim is {min}, but request is {asked}")
    });
    let high = bounds("max").filter(|(max, asked, _)| asked > max);
    let high = high.map(|(max, asked, name)| {
        format!("maximum {name} usage per PersistentVolumeClaim is {max}, but request is {asked}")
    });
    low.chain(high).collect()
}

/// What is wrong with these amounts, in upstream's words.
fn check(limit: &Value, kind: &str, requests: &Amounts, limits: &Amounts) -> Vec<String> {
    let mut errors = Vec::new();
    for (name, min) in amounts(limit, "min") {
        let (request, bound) = (requests.get(&name), limits.get(&name));
        let words = format!("minimum {name} usage per {kind} is {min}");
        match (request, bound) {
            (None, _) => errors.push(format!("{words}.  No request is specified")),
            (Some(request), _) if *request < min => errors.push(format!("{words}, but request is {request}")),
            (_, Some(bound)) if *bound < min => errors.push(format!("{words}, but limit is {bound}")),
            _ => {}
        }
    }
    for (name, max) in amounts(limit, "max") {
        let (request, bound) = (requests.get(&name), limits.get(&name));
        let words = format!("maximum {name} usage per {kind} is {max}");
        match (request, bound) {
            (_, None) => errors.push(format!("{words}.  No limit is specified")),
            (_, Some(bound)) if *bound > max => errors.push(format!("{words}, but limit is {bound}")),
            (Some(request), _) if *request > max => errors.push(format!("{words}, but request is {request}")),
            _ => {}
        }
    }
    for (name, ratio) in amounts(limit, "maxLimitRequestRatio") {
        errors.extend(check_ratio(kind, &name, ratio, requests.get(&name), limits.get(&name)));
    }
    errors
}

fn check_ratio(
    kind: &str,
    name: &str,
    ratio: Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let words = format!("{name} max limit to request ratio per {kind} is {ratio}");
    match (request, limit) {
        (Some(request), _) if request.is_zero() => {
            Some(format!("{words}, but no request is specified or request is 0"))
        }
        (None, _) => Some(format!("{words}, but no request is specified or request is 0")),
        (_, None) => Some(format!("{words}, but no limit is specified or limit is 0")),
        (Some(request), Some(limit)) => {
            let actual = limit.milli_value() as f64 / request.milli_value() as f64;
            (actual * 1000.0 > ratio.milli_value() as f64)
                .then(|| format!("{words}, but provided ratio is {actual:.6}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Cluster, create};

    async fn plugin(limit: Value) -> (Cluster, LimitRanger) {
        let cluster = Cluster::start().await;
        let range = json!({"metadata": {"name": "r", "namespace": "ns"}, "spec": {"limits": [limit]}});
        cluster.add("/limitranges", range).await;
        let plugin = LimitRanger::new(cluster.store.clone());
        (cluster, plugin)
    }

    fn pod(resources: Value) -> Value {
        json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "resources": resources}]}})
    }

    #[tokio::test]
    async fn fills_in_what_is_left_out() {
        let limit = json!({"type": "Container", "default": {"cpu": "500m", "memory": "1Gi"}, "defaultRequest": {"cpu": "100m"}});
        let (_cluster, plugin) = plugin(limit).await;
        let made = create(&plugin, "/pods", pod(json!({"limits": {"cpu": "1"}}))).await.expect("admitted");
        let resources = &made["spec"]["containers"][0]["resources"];
        assert_eq!(*resources, json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}}));
        let note = "LimitRanger plugin set: cpu request for container c; memory limit for container c";
        assert_eq!(made["metadata"]["annotations"][ANNOTATION], note);
    }

    #[tokio::test]
    async fn bounds_hold() {
        let limit = json!({"type": "Container", "min": {"cpu": "100m"}, "max": {"cpu": "1"}, "maxLimitRequestRatio": {"cpu": "2"}});
        let (_cluster, plugin) = plugin(limit).await;
        for (request, limit, why) in [
            ("500m", "1", None),
            ("50m", "100m", Some("minimum cpu usage per Container is 100m, but request is 50m")),
            ("1", "2", Some("maximum cpu usage per Container is 1, but limit is 2")),
            ("100m", "1", Some("cpu max limit to request ratio per Container is 2, but provided ratio is 10.000000")),
        ] {
            let made =
                create(&plugin, "/pods", pod(json!({"requests": {"cpu": request}, "limits": {"cpu": limit}}))).await;
            match why {
                None => drop(made.expect("admitted")),
                Some(why) => assert_eq!(made.expect_err("refused").message, format!("pods \"p\" is forbidden: {why}")),
            }
        }
    }
}
