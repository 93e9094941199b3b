//! Services.

use crate::tree::{Fill, Tree};
use apimachinery::Value;
use serde_json::json;

/// How long a client sticks to an endpoint: three hours.
const AFFINITY_SECONDS: i64 = 10_800;

pub(super) fn service(service: &mut Value) {
    let Some(spec) = service.inner("spec") else { return };
    session_affinity(spec);
    spec.fill_zero("type", "ClusterIP");
    spec.each("ports").iter_mut().for_each(port);
    let kind = spec.text("type").to_owned();
    let external = match kind.as_str() {
        "LoadBalancer" | "NodePort" => true,
        "ClusterIP" => !spec.lacks("externalIPs"),
        _ => false,
    };
    if external {
        spec.fill_zero("externalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer" | "ClusterIP") {
        spec.fill("internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        spec.fill("allocateLoadBalancerNodePorts", true);
        ip_modes(service);
    }
}

fn session_affinity(spec: &mut Value) {
    spec.fill_zero("sessionAffinity", "None");
    match spec.text("sessionAffinity") {
        "None" => {
            spec.members().map(|m| m.remove("sessionAffinityConfig"));
        }
        "ClientIP" => {
            let config = spec.made("sessionAffinityConfig").and_then(|c| c.made("clientIP"));
            if let Some(client) = config {
                client.fill("timeoutSeconds", AFFINITY_SECONDS);
            }
        }
        _ => {}
    }
}

fn port(port: &mut Value) {
    port.fill_zero("protocol", "TCP");
    if let Some(number) = port.at("port").cloned() {
        port.fill_zero("targetPort", number);
    }
}

fn ip_modes(service: &mut Value) {
    let Some(balancer) = service.inner("status").and_then(|s| s.inner("loadBalancer")) else { return };
    for ingress in balancer.each("ingress").iter_mut().filter(|i| !i.lacks("ip")) {
        ingress.fill("ipMode", json!("VIP"));
    }
}
