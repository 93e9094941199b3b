//! What an object uses of a quota.

use super::{
    Amounts, COUNTED, OF_DEVICE_CLASS, OF_STORAGE_CLASS, Resource, amounts_of_pod, count, is_extended, is_plain,
};
use crate::placement::requests::amounts;
use crate::tree::Tree as _;
use apimachinery::Value;
use apimachinery::quantity::Quantity;
use std::collections::BTreeMap;

/// The most devices that a claim on all devices can get.
const ALL_DEVICES: i64 = 32;
const BETA_STORAGE_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// The amounts by quota name.
pub fn of(resource: Resource<'_>, object: &Value) -> Amounts {
    let mut used = Amounts::new();
    if object.is_null() {
        return used;
    }
    used.insert(format!("count/{}", resource.name()), count(1));
    match (resource.group, resource.plural) {
        // Storage holds it still, but it needs no node any more.
        ("", "pods") if is_over(object) => return used,
        ("", "pods") => add_pod(&mut used, object),
        ("", "services") => add_service(&mut used, object),
        ("", "persistentvolumeclaims") => add_claim(&mut used, object),
        ("resource.k8s.io", "resourceclaims") => add_devices(&mut used, object),
        _ => {}
    }
    if resource.group.is_empty() && COUNTED.contains(&resource.plural) {
        used.insert(resource.plural.to_owned(), count(1));
    }
    used
}

/// Whether a pod has ended.
pub fn is_over(pod: &Value) -> bool {
    pod.at("status").is_some_and(|status| matches!(status.text("phase"), "Failed" | "Succeeded"))
}

fn add_pod(used: &mut Amounts, pod: &Value) {
    let (requests, limits) = amounts_of_pod(pod);
    for (name, amount) in requests {
        let is_huge = name.starts_with("hugepages-");
        if is_plain(&name) || is_huge || is_extended(&name) {
            used.insert(format!("requests.{name}"), amount);
        }
        if is_plain(&name) || is_huge {
            used.insert(name, amount);
        }
    }
    for (name, amount) in limits.into_iter().filter(|(name, _)| is_plain(name)) {
        used.insert(format!("limits.{name}"), amount);
    }
}

fn add_service(used: &mut Amounts, service: &Value) {
    let Some(spec) = service.at("spec") else { return };
    let ports = spec.items("ports");
    let fixed = ports.iter().filter(|port| port.int("nodePort") != 0).count();
    let allocates = spec.get("allocateLoadBalancerNodePorts").and_then(Value::as_bool) != Some(false);
    let (balancers, nodeports) = match spec.text("type") {
        "NodePort" => (0, ports.len()),
        // The ports are not allocated yet: what is intended counts.
        "LoadBalancer" if allocates => (1, ports.len()),
        "LoadBalancer" => (1, fixed),
        _ => return,
    };
    used.insert("services.nodeports".to_owned(), count(i64::try_from(nodeports).unwrap_or(i64::MAX)));
    if balancers > 0 {
        used.insert("services.loadbalancers".to_owned(), count(balancers));
    }
}

fn add_claim(used: &mut Amounts, claim: &Value) {
    let size = storage(claim);
    if let Some(size) = size {
        used.insert("requests.storage".to_owned(), size);
    }
    let annotations = claim.at("metadata").and_then(|meta| meta.at("annotations"));
    let beta = annotations.and_then(|annotations| annotations.get(BETA_STORAGE_CLASS)).and_then(Value::as_str);
    let class = beta.or_else(|| claim.at("spec").map(|spec| spec.text("storageClassName"))).unwrap_or_default();
    if !class.is_empty() {
        let of_class = |what: &str| format!("{class}{OF_STORAGE_CLASS}{what}");
        used.insert(of_class("persistentvolumeclaims"), count(1));
        if let Some(size) = size {
            used.insert(of_class("requests.storage"), size);
        }
    }
}

/// Whole bytes that a claim asks for, or was given while it shrinks.
fn storage(claim: &Value) -> Option<Quantity> {
    let asked = claim.pointer("/spec/resources").map(|r| amounts(r, "requests"))?;
    let asked = asked.get("storage").copied()?;
    let allocated = claim.at("status").map(|status| amounts(status, "allocatedResources")).unwrap_or_default();
    let size = allocated.get("storage").copied().map_or(asked, |allocated| allocated.max(asked));
    let whole = size.milli_value() % 1000 == 0 || size.milli_value() == i64::MAX;
    Some(if whole { size } else { Quantity::from_units(size.value(), size.format()) })
}

fn add_devices(used: &mut Amounts, claim: &Value) {
    let requests = claim.pointer("/spec/devices").map(|devices| devices.items("requests")).unwrap_or_default();
    for request in requests {
        let mut largest: BTreeMap<String, i64> = BTreeMap::new();
        let alternatives = request.items("firstAvailable").iter().chain(request.at("exactly"));
        for alternative in alternatives {
            let devices = match alternative.text("allocationMode") {
                "All" => ALL_DEVICES,
                _ => alternative.int("count"),
            };
            let most = largest.entry(format!("{}{OF_DEVICE_CLASS}", alternative.text("deviceClassName"))).or_default();
            *most = (*most).max(devices);
        }
        let largest = largest.into_iter().map(|(name, devices)| (name, count(devices))).collect();
        super::add(used, &largest);
    }
}

/// What containers of a pod leave unsaid though the quota limits it: `limits.cpu for: a,b`. A pod
/// that asks for something as a whole need not say it for each of them.
pub fn unspecified(resource: Resource<'_>, object: &Value, hard: &Amounts) -> Vec<String> {
    let Some(spec) = object.at("spec").filter(|_| resource.is_core("pods")) else { return Vec::new() };
    if spec.at("resources").is_some_and(|r| ["requests", "limits"].iter().any(|list| !r.lacks(list))) {
        return Vec::new();
    }
    let mut missing = Vec::new();
    for limited in hard.keys() {
        let (list, name) = match limited.split_once('.') {
            Some((list @ ("requests" | "limits"), name)) => (list, name),
            _ => ("requests", limited.as_str()),
        };
        if !matches!(name, "cpu" | "memory") {
            continue;
        }
        let all = spec.items("containers").iter().chain(spec.items("initContainers"));
        let lacking = all.filter(|c| c.pointer(&format!("/resources/{list}/{name}")).is_none());
        let mut names: Vec<&str> = lacking.map(|c| c.text("name")).collect();
        names.sort_unstable();
        names.dedup();
        if !names.is_empty() {
            missing.push(format!("{limited} for: {}", names.join(",")));
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn core(plural: &str) -> Resource<'_> {
        Resource { group: "", plural }
    }

    /// Amounts as `name=amount`.
    fn printed(used: &Amounts) -> String {
        used.iter().map(|(name, amount)| format!("{name}={amount}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn objects_use_what_they_ask_for() {
        let pod = json!({"spec": {"containers": [{"resources": {"requests": {"cpu": "1", "example.com/a": "2"},
            "limits": {"memory": "1Gi"}}}]}});
        let balancer = |allocates: bool| {
            json!({"spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": allocates,
                "ports": [{"nodePort": 30000}, {}]}})
        };
        let claim = json!({"spec": {"storageClassName": "s", "resources": {"requests": {"storage": "1500m"}}},
            "status": {"allocatedResources": {"storage": "1"}}});
        for (resource, object, want) in [
            (core("pods"), pod, "count/pods=1 cpu=1 limits.memory=1Gi pods=1 requests.cpu=1 requests.example.com/a=2"),
            (core("pods"), json!({"status": {"phase": "Failed"}}), "count/pods=1"),
            (
                core("services"),
                balancer(true),
                "count/services=1 services=1 services.loadbalancers=1 services.nodeports=2",
            ),
            (
                core("services"),
                balancer(false),
                "count/services=1 services=1 services.loadbalancers=1 services.nodeports=1",
            ),
            (
                core("persistentvolumeclaims"),
                claim,
                "count/persistentvolumeclaims=1 persistentvolumeclaims=1 requests.storage=2 \
                 s.storageclass.storage.k8s.io/persistentvolumeclaims=1 s.storageclass.storage.k8s.io/requests.storage=2",
            ),
            (
                Resource { group: "resource.k8s.io", plural: "resourceclaims" },
                json!({"spec": {"devices": {"requests": [
                    {"exactly": {"deviceClassName": "g", "allocationMode": "ExactCount", "count": 2}},
                    {"firstAvailable": [{"deviceClassName": "g", "allocationMode": "ExactCount", "count": 1},
                        {"deviceClassName": "h", "allocationMode": "All"}]}]}}}),
                "count/resourceclaims.resource.k8s.io=1 g.deviceclass.resource.k8s.io/devices=3 \
                 h.deviceclass.resource.k8s.io/devices=32",
            ),
            (Resource { group: "apps", plural: "deployments" }, json!({}), "count/deployments.apps=1"),
        ] {
            assert_eq!(printed(&of(resource, &object)), want);
        }
    }

    #[test]
    fn containers_say_what_is_limited() {
        let hard: Amounts = [("limits.cpu".to_owned(), count(1)), ("pods".to_owned(), count(1))].into();
        let containers = json!([{"name": "b"}, {"name": "a"}, {"name": "c", "resources": {"limits": {"cpu": "1"}}}]);
        let pod = json!({"spec": {"containers": containers}});
        assert_eq!(unspecified(core("pods"), &pod, &hard), ["limits.cpu for: a,b"]);
        let whole = json!({"spec": {"containers": containers, "resources": {"requests": {"cpu": "1"}}}});
        assert!(unspecified(core("pods"), &whole, &hard).is_empty());
        assert!(unspecified(core("services"), &pod, &hard).is_empty());
    }
}
