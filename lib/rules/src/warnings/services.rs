//! Services, endpoints and endpoint slices.
//!
//! Upstream: `pkg/api/service/warnings.go`, `pkg/registry/{core/endpoint,discovery/endpointslice}`.

use super::Sink;
use super::addresses::{address, range};
use crate::tree::Tree;
use crate::validation::check::At;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

const SPEC: At<'static> = At::root("spec");
const TOPOLOGY_HINTS: &str = "service.kubernetes.io/topology-aware-hints";

pub(super) fn service(service: &Value, warn: &mut Sink<'_>) {
    if service.annotations().is_some_and(|all| all.contains_key(TOPOLOGY_HINTS)) {
        let instead = "service.kubernetes.io/topology-mode";
        warn(format!("annotation {TOPOLOGY_HINTS} is deprecated, please use {instead} instead"));
    }
    let Some(spec) = service.at("spec") else { return };
    let kind = spec.text("type");
    let is_headless = kind == "ClusterIP" && spec.text("clusterIP") == "None";
    if !matches!(spec.text("clusterIP"), "" | "None") {
        addresses(spec, "clusterIPs", warn);
    }
    if is_headless {
        headless(spec, warn);
    }
    addresses(spec, "externalIPs", warn);
    let has_external = !spec.items("externalIPs").is_empty();
    if has_external && !is_headless && kind != "ExternalName" {
        warn("spec.externalIPs is deprecated and may no longer be implemented in some clusters".into());
    }
    address(&SPEC.child("loadBalancerIP"), spec.text("loadBalancerIP"), warn);
    let at = SPEC.child("loadBalancerSourceRanges");
    for (index, text) in spec.texts("loadBalancerSourceRanges").enumerate() {
        range(&at.index(index), text, warn);
    }
    if kind == "ExternalName" && has_external {
        warn(r#"spec.externalIPs is ignored when spec.type is "ExternalName""#.into());
    }
    if kind != "ExternalName" && !spec.text("externalName").is_empty() {
        warn(r#"spec.externalName is ignored when spec.type is not "ExternalName""#.into());
    }
    if spec.text("trafficDistribution") == "PreferClose" {
        warn(r#"spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone""#.into());
    }
}

fn headless(spec: &Value, warn: &mut Sink<'_>) {
    let ignored = [
        (!spec.text("loadBalancerIP").is_empty(), "loadBalancerIP"),
        (!spec.items("externalIPs").is_empty(), "externalIPs"),
        (spec.text("sessionAffinity") != "None", "SessionAffinity"),
    ];
    for (_, name) in ignored.into_iter().filter(|(there, _)| *there) {
        warn(format!("spec.{name} is ignored for headless services"));
    }
}

fn addresses(spec: &Value, key: &str, warn: &mut Sink<'_>) {
    let at = SPEC.child(key);
    for (index, text) in spec.texts(key).enumerate() {
        address(&at.index(index), text, warn);
    }
}

/// The addresses in the status of a service or an ingress.
pub(super) fn balancer(object: &Value, warn: &mut Sink<'_>) {
    let root = At::root("status");
    let balancer = root.child("loadBalancer");
    let at = balancer.child("ingress");
    let points = object.at("status").and_then(|status| status.at("loadBalancer")).map(|b| b.items("ingress"));
    for (index, point) in points.unwrap_or_default().iter().enumerate() {
        address(&at.index(index), point.text("ip"), warn);
    }
}

/// Who made an object, from its label.
fn manager<'a>(object: &'a Value, label: &str) -> &'a str {
    object.labels().and_then(|all| all.get(label)).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn endpoints(endpoints: &Value, warn: &mut Sink<'_>) {
    // Its addresses are right.
    if manager(endpoints, "endpoints.kubernetes.io/managed-by") == "endpoint-controller" {
        return;
    }
    let at = At::root("subsets");
    for (index, subset) in endpoints.items("subsets").iter().enumerate() {
        let at = at.index(index);
        for list in ["addresses", "notReadyAddresses"] {
            let at = at.child(list);
            for (index, one) in subset.items(list).iter().enumerate() {
                address(&at.index(index).child("ip"), one.text("ip"), warn);
            }
        }
    }
}

pub(super) fn address_type(slice: &Value, warn: &mut Sink<'_>) {
    if slice.text("addressType") == "FQDN" {
        warn("spec.addressType: FQDN endpoints are deprecated".into());
    }
}

pub(super) fn slice(slice: &Value, warn: &mut Sink<'_>) {
    const CONTROLLERS: [&str; 2] = ["endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"];
    if CONTROLLERS.contains(&manager(slice, "endpointslice.kubernetes.io/managed-by")) {
        return;
    }
    let at = At::root("endpoints");
    for (index, endpoint) in slice.items("endpoints").iter().enumerate() {
        let at = at.index(index);
        let at = at.child("addresses");
        for (index, text) in endpoint.texts("addresses").enumerate() {
            address(&at.index(index), text, warn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(spec: Value) -> Vec<String> {
        let mut said = Vec::new();
        service(&json!({"spec": spec}), &mut |text| said.push(text));
        said
    }

    #[test]
    fn services() {
        assert!(said(json!({"type": "ClusterIP", "clusterIP": "10.0.0.1", "sessionAffinity": "None"})).is_empty());
        assert_eq!(
            said(
                json!({"type": "ClusterIP", "clusterIP": "None", "externalIPs": ["1.2.3.4"], "sessionAffinity": "ClientIP"})
            ),
            [
                "spec.externalIPs is ignored for headless services",
                "spec.SessionAffinity is ignored for headless services"
            ]
        );
        assert_eq!(
            said(
                json!({"type": "NodePort", "externalIPs": ["1.2.3.4"], "externalName": "a", "trafficDistribution": "PreferClose"})
            ),
            [
                "spec.externalIPs is deprecated and may no longer be implemented in some clusters",
                "spec.externalName is ignored when spec.type is not \"ExternalName\"",
                "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"",
            ]
        );
    }

    #[test]
    fn controllers_know_what_they_write() {
        let of = |label: &str| {
            let mut said = Vec::new();
            let object = json!({"metadata": {"labels": {"endpointslice.kubernetes.io/managed-by": label}},
                "endpoints": [{"addresses": ["FD00::1"]}]});
            slice(&object, &mut |text| said.push(text));
            said.len()
        };
        assert_eq!((of("me"), of("endpointslice-controller.k8s.io")), (1, 0));
    }
}
