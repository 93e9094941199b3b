//! What an object uses of a quota: pure.

use crate::lookup::text;
use crate::pod::containers;
use apimachinery::Value;
use apimachinery::quantity::{Format, Quantity};
use apimachinery::resources::ResourceInfo;
use rules::placement::requests::{Amounts, PodAmounts, amounts};

/// Resources of the core group that are counted under their own name.
const COUNTED: &[&str] = &[
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
];
/// Resources whose requests also count under their plain name.
const PLAIN: &[&str] = &["cpu", "memory", "ephemeral-storage"];

/// The amounts by quota name.
pub(super) fn of(resource: &ResourceInfo, object: &Value) -> Amounts {
    let mut used = Amounts::new();
    if object.is_null() {
        return used;
    }
    let is_core = resource.group.is_empty();
    used.insert(format!("count/{}", resource.group_resource()), count(1));
    match &*resource.plural {
        "pods" if is_core && is_over(object) => return Amounts::new(),
        "pods" if is_core => add_pod(&mut used, object.get("spec").unwrap_or(&Value::Null)),
        "services" if is_core => add_service(&mut used, object),
        "persistentvolumeclaims" if is_core => add_claim(&mut used, object),
        _ => {}
    }
    if is_core && COUNTED.contains(&&*resource.plural) {
        used.insert(resource.plural.to_string(), count(1));
    }
    used
}

fn count(n: i64) -> Quantity {
    Quantity::from_units(n, Format::DecimalSi)
}

fn is_over(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), "Failed" | "Succeeded")
}

fn add_pod(used: &mut Amounts, spec: &Value) {
    for (name, amount) in PodAmounts::of(spec).total() {
        if PLAIN.contains(&name.as_str()) || name.starts_with("hugepages-") {
            used.insert(name.clone(), amount);
        }
        used.insert(format!("requests.{name}"), amount);
    }
    for (name, amount) in PodAmounts::limits_of(spec).total_limits() {
        if PLAIN.contains(&name.as_str()) {
            used.insert(format!("limits.{name}"), amount);
        }
    }
}

fn add_service(used: &mut Amounts, service: &Value) {
    let ports = service.pointer("/spec/ports").and_then(Value::as_array).map_or(0, Vec::len) as i64;
    let allocates = service.pointer("/spec/allocateLoadBalancerNodePorts").and_then(Value::as_bool) != Some(false);
    match text(service, "/spec/type") {
        "NodePort" => drop(used.insert("services.nodeports".into(), count(ports))),
        "LoadBalancer" => {
            used.insert("services.loadbalancers".into(), count(1));
            used.insert("services.nodeports".into(), count(if allocates { ports } else { 0 }));
        }
        _ => {}
    }
}

fn add_claim(used: &mut Amounts, claim: &Value) {
    let size = claim.pointer("/spec/resources").map(|r| amounts(r, "requests")).and_then(|r| r.get("storage").copied());
    let class = text(claim, "/spec/storageClassName");
    if let Some(size) = size {
        used.insert("requests.storage".into(), size);
    }
    if !class.is_empty() {
        let of_class = |what: &str| format!("{class}.storageclass.storage.k8s.io/{what}");
        used.insert(of_class("persistentvolumeclaims"), count(1));
        if let Some(size) = size {
            used.insert(of_class("requests.storage"), size);
        }
    }
}

/// What containers of a pod leave unsaid though the quota limits it: `limits.cpu for: a,b`.
pub(super) fn unspecified(resource: &ResourceInfo, object: &Value, hard: &Amounts) -> Vec<String> {
    if !resource.group.is_empty() || resource.plural != "pods" {
        return Vec::new();
    }
    let mut missing = Vec::new();
    for limited in hard.keys() {
        let (list, name) = match limited.split_once('.') {
            Some((list @ ("requests" | "limits"), name)) => (list, name),
            _ => ("requests", limited.as_str()),
        };
        if !matches!(name, "cpu" | "memory") || object.pointer(&format!("/spec/resources/{list}/{name}")).is_some() {
            continue;
        }
        let all = containers(object, &["containers", "initContainers"]);
        let lacking = all.filter(|c| c.pointer(&format!("/resources/{list}/{name}")).is_none());
        let mut names: Vec<&str> = lacking.map(|c| text(c, "/name")).collect();
        names.sort_unstable();
        if !names.is_empty() {
            missing.push(format!("{limited} for: {}", names.join(",")));
        }
    }
    missing
}

/// Amounts as `name=amount`.
#[cfg(test)]
fn printed(used: &Amounts) -> Vec<String> {
    used.iter().map(|(name, amount)| format!("{name}={amount}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::context;
    use serde_json::json;

    #[test]
    fn objects_use_what_they_ask_for() {
        let pod = json!({"spec": {"containers": [{"resources": {"requests": {"cpu": "1", "example.com/a": "2"},
            "limits": {"memory": "1Gi"}}}]}});
        let service = json!({"spec": {"type": "LoadBalancer", "ports": [{}, {}]}});
        let claim = json!({"spec": {"storageClassName": "s", "resources": {"requests": {"storage": "1Gi"}}}});
        for (resource, object, want) in [
            ("/pods", pod, "count/pods=1 cpu=1 limits.memory=1Gi pods=1 requests.cpu=1 requests.example.com/a=2"),
            ("/pods", json!({"status": {"phase": "Failed"}}), ""),
            ("/services", service, "count/services=1 services=1 services.loadbalancers=1 services.nodeports=2"),
            (
                "/persistentvolumeclaims",
                claim,
                "count/persistentvolumeclaims=1 persistentvolumeclaims=1 requests.storage=1Gi \
                 s.storageclass.storage.k8s.io/persistentvolumeclaims=1 s.storageclass.storage.k8s.io/requests.storage=1Gi",
            ),
            ("apps/deployments", json!({}), "count/deployments.apps=1"),
        ] {
            let cx = context(resource, "", "u");
            assert_eq!(printed(&of(&cx.resource, &object)).join(" "), want);
        }
    }
}
