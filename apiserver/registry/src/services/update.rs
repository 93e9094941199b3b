//! What an update of a service carries over from before, and what goes with its old type: pure.
//!
//! Upstream: `pkg/registry/core/service/storage/storage.go` (`patchAllocatedValues`),
//! `pkg/registry/core/service/strategy.go` (`dropTypeDependentFields`).

use super::ports::{self, node_port, wants_health_check};
use crate::strategies::{member, text};
use apimachinery::Value;
use std::collections::HashMap;

/// What a write leaves to the server before anything is handed out: an update that leaves allocated
/// addresses and ports out keeps them, and both forms of the address agree.
pub(super) fn begin(new: &mut Value, old: Option<&Value>) {
    match old {
        Some(old) => {
            keep_allocated(new, old);
            follow_single(new, old);
        }
        None if has(new, "clusterIP") && !has(new, "clusterIPs") => list_single(new),
        None => {}
    }
}

fn keep_allocated(new: &mut Value, old: &Value) {
    if is_reachable(new) && is_reachable(old) {
        for key in ["clusterIP", "clusterIPs"] {
            if !has(new, key) {
                copy(new, old, key);
            }
        }
    }
    if ports::wants_ports(new) && ports::wants_ports(old) {
        keep_ports(new, old);
    }
    if wants_health_check(new) && wants_health_check(old) && !has(new, "healthCheckNodePort") {
        copy(new, old, "healthCheckNodePort");
    }
}

/// Clients of old know `clusterIP` only: if it alone changes, the list follows.
fn follow_single(new: &mut Value, old: &Value) {
    let (now, before) = (text(new, "/spec/clusterIP"), text(old, "/spec/clusterIP"));
    if now == before {
        if !has(new, "clusterIPs") {
            copy(new, old, "clusterIPs");
        }
    } else if same(new, old, "clusterIPs") {
        match now {
            "" => remove(new, &["clusterIPs"]),
            _ => list_single(new),
        }
    }
}

fn list_single(service: &mut Value) {
    let single = vec![Value::from(text(service, "/spec/clusterIP"))];
    member(service, "spec").insert("clusterIPs".into(), single.into());
}

/// Ports without a node port get the one that the port of this name had, unless another has it now.
fn keep_ports(new: &mut Value, old: &Value) {
    let entries = old.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten();
    let before: HashMap<&str, u16> =
        entries.filter_map(|entry| Some((text(entry, "/name"), node_port(entry)?))).collect();
    let used: Vec<u16> =
        ports::in_list(new).into_iter().filter(|port| before.values().any(|before| before == port)).collect();
    let list = member(new, "spec").get_mut("ports").and_then(Value::as_array_mut);
    for entry in list.into_iter().flatten().filter(|entry| node_port(entry).is_none()) {
        if let Some(port) = before.get(text(entry, "/name")).filter(|port| !used.contains(port)) {
            entry["nodePort"] = (*port).into();
        }
    }
}

/// An update that changes the type drops what the new type has not, unless it changes that, too, which
/// validation refuses.
pub(super) fn drop_type_dependent(new: &mut Value, old: &Value) {
    if is_reachable(old) && !is_reachable(new) {
        if same(new, old, "clusterIP") && same(new, old, "clusterIPs") {
            remove(new, &["clusterIP", "clusterIPs"]);
        }
        for key in ["ipFamilies", "ipFamilyPolicy"] {
            remove_same(new, old, key);
        }
    }
    if has_node_ports(old) && !has_node_ports(new) {
        drop_ports(new, old);
    }
    if wants_health_check(old) && !wants_health_check(new) {
        remove_same(new, old, "healthCheckNodePort");
    }
    if is_balanced(old) && !is_balanced(new) {
        remove_same(new, old, "allocateLoadBalancerNodePorts");
        remove_same(new, old, "loadBalancerClass");
    }
    if is_external(old) && !is_external(new) {
        remove_same(new, old, "externalTrafficPolicy");
    }
    if !is_balanced(new) && new.pointer("/status/loadBalancer/ingress").is_some() {
        new["status"]["loadBalancer"] = Value::Object(apimachinery::Map::new());
    }
}

/// Node ports that were carried along from before go with the type, unless the update adds others.
fn drop_ports(new: &mut Value, old: &Value) {
    let before = ports::in_list(old);
    if !ports::in_list(new).iter().all(|port| before.contains(port)) {
        return;
    }
    let list = member(new, "spec").get_mut("ports").and_then(Value::as_array_mut);
    for entry in list.into_iter().flatten().filter_map(Value::as_object_mut) {
        entry.remove("nodePort");
    }
}

fn type_of(service: &Value) -> &str {
    text(service, "/spec/type")
}

fn is_reachable(service: &Value) -> bool {
    type_of(service) != "ExternalName"
}

fn is_balanced(service: &Value) -> bool {
    type_of(service) == "LoadBalancer"
}

fn has_node_ports(service: &Value) -> bool {
    matches!(type_of(service), "NodePort" | "LoadBalancer")
}

/// Upstream: `pkg/api/service/util.go` (`ExternallyAccessible`).
fn is_external(service: &Value) -> bool {
    let addresses = service.pointer("/spec/externalIPs").and_then(Value::as_array);
    has_node_ports(service) || type_of(service) == "ClusterIP" && addresses.is_some_and(|list| !list.is_empty())
}

fn field<'a>(service: &'a Value, key: &str) -> Option<&'a Value> {
    service.get("spec")?.get(key)
}

/// Whether a member is set to something: empty texts, lists and 0 are as good as absent.
fn has(service: &Value, key: &str) -> bool {
    match field(service, key) {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Number(number)) => number.as_i64() != Some(0),
        Some(_) => true,
    }
}

fn same(new: &Value, old: &Value, key: &str) -> bool {
    has(new, key) == has(old, key) && (!has(new, key) || field(new, key) == field(old, key))
}

fn copy(new: &mut Value, old: &Value, key: &str) {
    crate::metadata::set_or_remove(member(new, "spec"), key, field(old, key));
}

fn remove(service: &mut Value, keys: &[&str]) {
    let spec = member(service, "spec");
    keys.iter().for_each(|key| drop(spec.remove(*key)));
}

fn remove_same(new: &mut Value, old: &Value, key: &str) {
    if same(new, old, key) {
        remove(new, &[key]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn old() -> Value {
        json!({"spec": {"type": "NodePort", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "externalTrafficPolicy": "Cluster",
            "ports": [{"name": "a", "port": 80, "protocol": "TCP", "nodePort": 30000}]}})
    }

    fn prepare(new: &mut Value, old: &Value) {
        begin(new, Some(old));
        drop_type_dependent(new, old);
    }

    #[test]
    fn the_list_follows_the_single_address() {
        let mut new = old();
        new["spec"]["clusterIP"] = "10.0.0.2".into();
        begin(&mut new, Some(&old()));
        assert_eq!(new["spec"]["clusterIPs"], json!(["10.0.0.2"]));
        let mut first = json!({"spec": {"clusterIP": "None"}});
        begin(&mut first, None);
        assert_eq!(first["spec"]["clusterIPs"], json!(["None"]));
    }

    #[test]
    fn updates_keep_what_they_leave_out() {
        let mut new = json!({"spec": {"type": "NodePort", "externalTrafficPolicy": "Cluster",
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
            "ports": [{"name": "a", "port": 80, "protocol": "TCP"}]}});
        prepare(&mut new, &old());
        assert_eq!(new, old());
    }

    #[test]
    fn node_ports_follow_the_name_and_are_not_given_twice() {
        let mut new = old();
        new["spec"]["ports"] = json!([{"name": "a", "port": 81, "protocol": "TCP"}]);
        prepare(&mut new, &old());
        assert_eq!(new["spec"]["ports"][0]["nodePort"], 30000);
        new["spec"]["ports"] = json!([{"name": "a", "port": 80}, {"name": "b", "port": 81, "nodePort": 30000}]);
        prepare(&mut new, &old());
        assert_eq!(new["spec"]["ports"][0].get("nodePort"), None);
    }

    #[test]
    fn what_the_new_type_has_not_goes() {
        let mut plain = old();
        plain["spec"]["type"] = "ClusterIP".into();
        prepare(&mut plain, &old());
        assert_eq!(plain["spec"].get("externalTrafficPolicy"), None);
        assert_eq!(
            (plain["spec"]["ports"][0].get("nodePort"), &plain["spec"]["clusterIP"]),
            (None, &json!("10.0.0.1"))
        );
        let mut named = old();
        named["spec"]["type"] = "ExternalName".into();
        named["spec"]["externalName"] = "example.com".into();
        prepare(&mut named, &old());
        assert_eq!(
            named,
            json!({"spec": {"type": "ExternalName", "externalName": "example.com",
                "ports": [{"name": "a", "port": 80, "protocol": "TCP"}]}})
        );
    }

    #[test]
    fn what_is_changed_with_the_type_stays_for_validation() {
        let mut new = old();
        new["spec"]["type"] = "ClusterIP".into();
        new["spec"]["ports"][0]["nodePort"] = 30001.into();
        new["spec"]["externalTrafficPolicy"] = "Local".into();
        prepare(&mut new, &old());
        assert_eq!(
            (&new["spec"]["ports"][0]["nodePort"], text(&new, "/spec/externalTrafficPolicy")),
            (&json!(30001), "Local")
        );
    }

    #[test]
    fn a_balancer_takes_its_own_fields_along() {
        let balanced = json!({"spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": true,
            "loadBalancerClass": "x/y", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30009, "ports": []},
            "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}});
        let mut new = balanced.clone();
        new["spec"]["type"] = "NodePort".into();
        prepare(&mut new, &balanced);
        assert_eq!(
            new,
            json!({"spec": {"type": "NodePort", "externalTrafficPolicy": "Local", "ports": []},
                "status": {"loadBalancer": {}}})
        );
    }
}
