//! Which objects a quota is about.

use super::Resource;
use crate::tree::Tree as _;
use apimachinery::Value;

/// Whether all of the quota's scopes fit the object. Scopes are about pods, and one about claims;
/// a quota that has any is about nothing else.
pub fn covers(quota: &Value, resource: Resource<'_>, object: &Value) -> bool {
    scopes(quota).all(|(scope, expression)| fits(scope, expression, resource, object))
}

/// The scopes of a quota, each with its requirement; plain ones have none.
fn scopes(quota: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let spec = quota.at("spec").unwrap_or(&Value::Null);
    let plain = spec.texts("scopes").map(|scope| (scope, &Value::Null));
    let expressions = spec.at("scopeSelector").map(|selector| selector.items("matchExpressions")).unwrap_or_default();
    plain.chain(expressions.iter().map(|expression| (expression.text("scopeName"), expression)))
}

/// Whether a requirement (`scopeName`, `operator`, `values`) fits the object.
pub fn fits_requirement(requirement: &Value, resource: Resource<'_>, object: &Value) -> bool {
    fits(requirement.text("scopeName"), requirement, resource, object)
}

/// The names of those scopes of a quota that fit the object, be the quota about it or not.
pub fn fitting<'a>(
    quota: &'a Value,
    resource: Resource<'a>,
    object: &'a Value,
) -> impl Iterator<Item = &'a str> + use<'a> {
    scopes(quota).filter(move |(scope, expression)| fits(scope, expression, resource, object)).map(|(scope, _)| scope)
}

fn fits(scope: &str, expression: &Value, resource: Resource<'_>, object: &Value) -> bool {
    if resource.is_core("persistentvolumeclaims") {
        return scope == "VolumeAttributesClass" && has_attributes_class(expression, object);
    }
    resource.is_core("pods") && fits_pod(scope, expression, object)
}

fn fits_pod(scope: &str, expression: &Value, pod: &Value) -> bool {
    match scope {
        "Terminating" => is_terminating(pod),
        "NotTerminating" => !is_terminating(pod),
        "BestEffort" => is_best_effort(pod),
        "NotBestEffort" => !is_best_effort(pod),
        "PriorityClass" => {
            let class = pod.at("spec").map(|spec| spec.text("priorityClassName")).unwrap_or_default();
            selects(expression, Some(class).filter(|class| !class.is_empty()))
        }
        "CrossNamespacePodAffinity" => crosses_namespaces(pod),
        _ => false,
    }
}

fn is_terminating(pod: &Value) -> bool {
    pod.pointer("/spec/activeDeadlineSeconds").and_then(Value::as_i64).is_some_and(|s| s >= 0)
}

/// Neither the pod nor any of its containers asks for cpu or memory.
fn is_best_effort(pod: &Value) -> bool {
    let Some(spec) = pod.at("spec") else { return true };
    if spec.has("resources") && asks(spec) {
        return false;
    }
    let mut containers = spec.items("containers").iter().chain(spec.items("initContainers"));
    !containers.any(asks)
}

fn asks(container: &Value) -> bool {
    let Some(resources) = container.at("resources") else { return false };
    ["requests", "limits"].iter().flat_map(|list| resources.entries(list)).any(|(name, amount)| {
        matches!(name, "cpu" | "memory")
            && amount
                .as_str()
                .and_then(|a| a.parse::<apimachinery::quantity::Quantity>().ok())
                .is_some_and(|a| !a.is_zero())
    })
}

/// Whether a requirement selects this class, or the want of one. `NotIn` fits where there is none.
fn selects(expression: &Value, class: Option<&str>) -> bool {
    let named = || class.is_some_and(|class| expression.texts("values").any(|value| value == class));
    match expression.text("operator") {
        "In" => named(),
        "NotIn" => !named(),
        "DoesNotExist" => class.is_none(),
        _ => class.is_some(),
    }
}

/// Whether a class that the claim has, had or is to have is selected.
fn has_attributes_class(expression: &Value, claim: &Value) -> bool {
    let pointers = [
        "/spec/volumeAttributesClassName",
        "/status/currentVolumeAttributesClassName",
        "/status/modifyVolumeStatus/targetVolumeAttributesClassName",
    ];
    let named = pointers.iter().filter_map(|pointer| claim.pointer(pointer)?.as_str()).filter(|name| !name.is_empty());
    let classes: Vec<&str> = named.collect();
    match classes.is_empty() {
        true => selects(expression, None),
        false => classes.iter().any(|class| selects(expression, Some(class))),
    }
}

fn crosses_namespaces(pod: &Value) -> bool {
    let kinds = ["podAffinity", "podAntiAffinity"];
    let lists = ["requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"];
    kinds.iter().flat_map(|kind| lists.iter().map(move |list| format!("/spec/affinity/{kind}/{list}"))).any(|pointer| {
        let terms = pod.pointer(&pointer).and_then(Value::as_array).into_iter().flatten();
        terms
            .map(|term| term.get("podAffinityTerm").unwrap_or(term))
            .any(|term| !term.items("namespaces").is_empty() || term.has("namespaceSelector"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PODS: Resource<'_> = Resource { group: "", plural: "pods" };

    fn class(operator: &str, values: &[&str]) -> Value {
        let requirement = json!({"scopeName": "PriorityClass", "operator": operator, "values": values});
        json!({"scopeSelector": {"matchExpressions": [requirement]}})
    }

    #[test]
    fn scopes_choose_pods() {
        let plain = json!({"spec": {"containers": [{"resources": {"limits": {"cpu": "0", "x/y": "1"}}}]}});
        let timed = json!({"spec": {"activeDeadlineSeconds": 5, "priorityClassName": "high",
            "affinity": {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution":
                [{"podAffinityTerm": {"namespaces": ["other"]}}]}},
            "containers": [{"resources": {"requests": {"cpu": "1"}}}]}});
        for (spec, on_plain, on_timed) in [
            (json!({}), true, true),
            (json!({"scopes": ["Terminating"]}), false, true),
            (json!({"scopes": ["NotTerminating", "BestEffort"]}), true, false),
            (json!({"scopes": ["NotBestEffort"]}), false, true),
            (json!({"scopes": ["CrossNamespacePodAffinity"]}), false, true),
            (json!({"scopes": ["VolumeAttributesClass"]}), false, false),
            (class("In", &["high"]), false, true),
            (class("NotIn", &["high"]), true, false),
            (class("Exists", &[]), false, true),
            (class("DoesNotExist", &[]), true, false),
        ] {
            let quota = json!({"spec": spec});
            let got = (covers(&quota, PODS, &plain), covers(&quota, PODS, &timed));
            assert_eq!(got, (on_plain, on_timed), "{quota}");
        }
        let other = Resource { group: "", plural: "configmaps" };
        assert!(!covers(&json!({"spec": {"scopes": ["BestEffort"]}}), other, &json!({})));
    }

    #[test]
    fn one_scope_chooses_claims() {
        let claims = Resource { group: "", plural: "persistentvolumeclaims" };
        let scoped = |operator: &str, values: &[&str]| {
            json!({"spec": {"scopeSelector": {"matchExpressions": [
                {"scopeName": "VolumeAttributesClass", "operator": operator, "values": values}]}}})
        };
        let moving =
            json!({"spec": {"volumeAttributesClassName": "b"}, "status": {"currentVolumeAttributesClassName": "a"}});
        for (quota, on_moving, on_plain) in [
            (scoped("Exists", &[]), true, false),
            (scoped("In", &["a"]), true, false),
            (scoped("In", &["c"]), false, false),
            (scoped("DoesNotExist", &[]), false, true),
        ] {
            assert_eq!(
                (covers(&quota, claims, &moving), covers(&quota, claims, &json!({}))),
                (on_moving, on_plain),
                "{quota}"
            );
        }
    }
}
