//! Which objects a quota is about: pure.

use crate::lookup::text;
use crate::pod::containers;
use apimachinery::Value;
use apimachinery::resources::ResourceInfo;

/// Whether all of the quota's scopes fit the object. Scopes are about pods.
pub(super) fn covers(quota: &Value, resource: &ResourceInfo, object: &Value) -> bool {
    let scopes = quota.pointer("/spec/scopes").and_then(Value::as_array);
    let expressions = quota.pointer("/spec/scopeSelector/matchExpressions").and_then(Value::as_array);
    let is_pod = resource.group.is_empty() && resource.plural == "pods";
    let plain = scopes.into_iter().flatten().map(|scope| (scope.as_str().unwrap_or_default(), &Value::Null));
    let selected = expressions.into_iter().flatten().map(|e| (text(e, "/scopeName"), e));
    let mut all = plain.chain(selected);
    all.all(|(scope, expression)| is_pod && fits(scope, expression, object))
}

fn fits(scope: &str, expression: &Value, pod: &Value) -> bool {
    match scope {
        "Terminating" => is_terminating(pod),
        "NotTerminating" => !is_terminating(pod),
        "BestEffort" => is_best_effort(pod),
        "NotBestEffort" => !is_best_effort(pod),
        "PriorityClass" => has_class(expression, text(pod, "/spec/priorityClassName")),
        "CrossNamespacePodAffinity" => crosses_namespaces(pod),
        _ => false,
    }
}

fn is_terminating(pod: &Value) -> bool {
    pod.pointer("/spec/activeDeadlineSeconds").and_then(Value::as_i64).is_some_and(|s| s >= 0)
}

fn is_best_effort(pod: &Value) -> bool {
    let asks = |c: &Value| ["requests", "limits"].iter().any(|list| asks_for(c.pointer(&format!("/resources/{list}"))));
    !containers(pod, &["containers", "initContainers"]).any(asks)
}

fn asks_for(list: Option<&Value>) -> bool {
    ["cpu", "memory"].iter().any(|name| list.and_then(|l| l.get(*name)).is_some_and(|amount| amount != "0"))
}

fn has_class(expression: &Value, class: &str) -> bool {
    let named = || {
        let values = expression.get("values").and_then(Value::as_array);
        values.into_iter().flatten().any(|value| value == class)
    };
    match text(expression, "/operator") {
        "In" => named(),
        "NotIn" => !named(),
        "DoesNotExist" => class.is_empty(),
        _ => !class.is_empty(),
    }
}

fn crosses_namespaces(pod: &Value) -> bool {
    let kinds = ["podAffinity", "podAntiAffinity"];
    let lists = ["requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"];
    kinds.iter().flat_map(|kind| lists.iter().map(move |list| format!("/spec/affinity/{kind}/{list}"))).any(|pointer| {
        let terms = pod.pointer(&pointer).and_then(Value::as_array).into_iter().flatten();
        terms.into_iter().map(|term| term.get("podAffinityTerm").unwrap_or(term)).any(|term| {
            let names = term.get("namespaces").and_then(Value::as_array).is_some_and(|n| !n.is_empty());
            names || term.get("namespaceSelector").is_some()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::context;
    use serde_json::json;

    #[test]
    fn scopes_choose_pods() {
        let cx = context("/pods", "", "u");
        let plain = json!({"spec": {"containers": [{}]}});
        let timed = json!({"spec": {"activeDeadlineSeconds": 5, "priorityClassName": "high",
            "containers": [{"resources": {"requests": {"cpu": "1"}}}]}});
        for (spec, on_plain, on_timed) in [
            (json!({}), true, true),
            (json!({"scopes": ["Terminating"]}), false, true),
            (json!({"scopes": ["NotTerminating", "BestEffort"]}), true, false),
            (json!({"scopes": ["NotBestEffort"]}), false, true),
            (
                json!({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}}),
                false,
                true,
            ),
        ] {
            let quota = json!({"spec": spec});
            let got = (covers(&quota, &cx.resource, &plain), covers(&quota, &cx.resource, &timed));
            assert_eq!(got, (on_plain, on_timed), "{quota}");
        }
        let other = context("/configmaps", "", "u");
        assert!(!covers(&json!({"spec": {"scopes": ["BestEffort"]}}), &other.resource, &json!({})));
    }
}
