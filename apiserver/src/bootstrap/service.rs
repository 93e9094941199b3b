//! The `kubernetes` Service in `default`, and where it leads: this server.
//!
//! Upstream: `pkg/controlplane/controller/kubernetesservice`, `pkg/controlplane/reconcilers`.

use super::{BootstrapError, create, ensure};
use apimachinery::Value;
use apiserver_registry::Registry;
use component::Supervisor;
use ipnet::IpNet;
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// How often the objects are looked at, as upstream.
const INTERVAL: Duration = Duration::from_secs(10);

/// Where clients in the cluster reach this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `--advertise-address`, or an address of this machine.
    pub address: IpAddr,
    /// `--secure-port`.
    pub port: u16,
}

/// Writes the Service and its endpoints, and writes them again when they change.
pub async fn keep_service(registry: Arc<Registry>, endpoint: Endpoint, supervisor: Supervisor) {
    while !supervisor.is_stopping() {
        if let Err(error) = reconcile(&registry, endpoint).await {
            tracing::warn!(%error, cause = error.source().map(tracing::field::display), "kubernetes service");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

use std::error::Error as _;

async fn reconcile(registry: &Registry, endpoint: Endpoint) -> Result<(), BootstrapError> {
    create(registry, service(&registry.options.service_ranges, endpoint.port)).await?;
    ensure(registry, endpoints(endpoint), &["subsets"]).await?;
    ensure(registry, slice(endpoint), &["endpoints", "ports"]).await
}

fn service(ranges: &[IpNet], port: u16) -> Value {
    let mut spec = json!({
        "type": "ClusterIP", "sessionAffinity": "None", "ipFamilyPolicy": "SingleStack",
        "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": port}],
    });
    if let Some(address) = ranges.first().and_then(first_address) {
        spec["clusterIP"] = address.to_string().into();
        spec["clusterIPs"] = json!([address.to_string()]);
        spec["ipFamilies"] = json!([if address.is_ipv4() { "IPv4" } else { "IPv6" }]);
    }
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "kubernetes", "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": spec,
    })
}

/// The first address of a range that a service can have.
fn first_address(range: &IpNet) -> Option<IpAddr> {
    match range.network() {
        IpAddr::V4(network) => Some(IpAddr::V4(u32::from(network).checked_add(1)?.into())),
        IpAddr::V6(network) => Some(IpAddr::V6(u128::from(network).checked_add(1)?.into())),
    }
}

fn endpoints(endpoint: Endpoint) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": "kubernetes", "namespace": "default",
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": [{
            "addresses": [{"ip": endpoint.address.to_string()}],
            "ports": [{"name": "https", "port": endpoint.port, "protocol": "TCP"}],
        }],
    })
}

fn slice(endpoint: Endpoint) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": if endpoint.address.is_ipv4() { "IPv4" } else { "IPv6" },
        "endpoints": [{"addresses": [endpoint.address.to_string()], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": endpoint.port, "protocol": "TCP"}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_has_the_first_address() {
        for (range, want) in [("10.96.0.0/16", "10.96.0.1"), ("10.96.7.9/16", "10.96.0.1"), ("fd00::/108", "fd00::1")] {
            let service = service(&[range.parse().expect("a range")], 6443);
            assert_eq!(service["spec"]["clusterIP"], want);
        }
    }
}
