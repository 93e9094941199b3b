//! The `kubernetes` Service in `default`, and where it leads: to all API servers that live.
//!
//! Upstream: `pkg/controlplane/controller/kubernetesservice`, `pkg/controlplane/reconcilers`.

use super::{BootstrapError, MasterLeases, body, context, create, ensure};
use apimachinery::meta::ObjectMeta;
use apimachinery::{Value, resources::ResourceInfo};
use apiserver_registry::{Registry, Verb};
use component::Supervisor;
use ipnet::IpNet;
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// How often the objects are looked at, as upstream.
const INTERVAL: Duration = Duration::from_secs(10);
/// Longest time that a server which ends spends on saying so.
const FAREWELL: Duration = Duration::from_secs(2);

/// Where clients in the cluster reach this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `--advertise-address`, or an address of this machine.
    pub address: IpAddr,
    /// `--secure-port`.
    pub port: u16,
}

/// Keeps the Service and, with leases, its endpoints: until the supervisor stops, and then without
/// this server.
pub async fn keep_service(
    registry: Arc<Registry>,
    ports: Ports,
    leases: Option<MasterLeases>,
    supervisor: Supervisor,
    done: impl FnOnce(),
) {
    let port = ports.target;
    let mut done = Some(done);
    while !supervisor.is_stopping() {
        if let Err(error) = reconcile(&registry, ports, leases.as_ref()).await {
            tracing::warn!(%error, cause = error.source().map(tracing::field::display), "kubernetes service");
        }
        // As upstream, an address that nobody can be sent to does not keep the server from its work.
        done.take().into_iter().for_each(|done| done());
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = supervisor.stopping() => {}
        }
    }
    let Some(leases) = leases else { return };
    match tokio::time::timeout(FAREWELL, leave(&registry, port, &leases)).await {
        Ok(Ok(())) => tracing::info!("this server is no endpoint of the kubernetes service any more"),
        Ok(Err(error)) => tracing::warn!(%error, "cannot leave the kubernetes service"),
        Err(_) => tracing::warn!("cannot leave the kubernetes service in time"),
    }
}

use std::error::Error as _;

/// The ports of the Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Where this server listens.
    pub target: u16,
    /// `--kubernetes-service-node-port`; 0 is none.
    pub node: u16,
}

/// A Service that is there stays as it is, with another node port, too.
async fn reconcile(registry: &Registry, ports: Ports, leases: Option<&MasterLeases>) -> Result<(), BootstrapError> {
    let port = ports.target;
    create(registry, service(&registry.options.service_ranges, ports)).await?;
    let Some(leases) = leases else { return Ok(()) };
    leases.renew().await?;
    let live = leases.live().await?;
    // This server lives, so an empty list is no truth to act on.
    if live.is_empty() {
        return Err(BootstrapError::NobodyLives);
    }
    publish(registry, &live, port).await
}

async fn leave(registry: &Registry, port: u16, leases: &MasterLeases) -> Result<(), BootstrapError> {
    leases.remove().await?;
    publish(registry, &leases.live().await?, port).await
}

async fn publish(registry: &Registry, live: &[IpAddr], port: u16) -> Result<(), BootstrapError> {
    ensure(registry, endpoints(live, port), &["subsets"]).await?;
    ensure_slice(registry, slice(live, port)).await
}

/// A slice of another address family cannot be changed; it is made anew.
async fn ensure_slice(registry: &Registry, slice: Value) -> Result<(), BootstrapError> {
    let cx = context(&slice, Verb::Delete)?;
    let resource: &ResourceInfo = &cx.resource;
    let current = registry.store.cached(&cx.resource, &resource.key(slice.namespace(), slice.name()));
    if current.is_some_and(|current| current.value().get("addressType") != slice.get("addressType")) {
        let deleted = registry.delete(&cx, &json!({})).await;
        deleted.map_err(|source| BootstrapError::Refused { name: slice.name().to_owned(), source })?;
        let cx = context(&slice, Verb::Create)?;
        let created = registry.create(&cx, body(&slice)).await;
        return created.map(drop).map_err(|source| BootstrapError::Refused { name: slice.name().to_owned(), source });
    }
    ensure(registry, slice, &["endpoints", "ports"]).await
}

fn service(ranges: &[IpNet], ports: Ports) -> Value {
    let mut spec = json!({
        "type": "ClusterIP", "sessionAffinity": "None", "ipFamilyPolicy": "SingleStack",
        "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": ports.target}],
    });
    if ports.node != 0 {
        spec["type"] = "NodePort".into();
        spec["ports"][0]["nodePort"] = ports.node.into();
    }
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

fn endpoints(live: &[IpAddr], port: u16) -> Value {
    let addresses: Vec<Value> = live.iter().map(|ip| json!({"ip": ip.to_string()})).collect();
    let ports = json!([{"name": "https", "port": port, "protocol": "TCP"}]);
    let subsets = match addresses.is_empty() {
        true => json!([]),
        false => json!([{"addresses": addresses, "ports": ports}]),
    };
    json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": "kubernetes", "namespace": "default",
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": subsets,
    })
}

/// Of IPv6 if there is nothing else, as upstream.
fn slice(live: &[IpAddr], port: u16) -> Value {
    let v6 = !live.is_empty() && live.iter().all(IpAddr::is_ipv6);
    let of_family = live.iter().filter(|ip| ip.is_ipv6() == v6);
    let endpoint = |ip: &IpAddr| json!({"addresses": [ip.to_string()], "conditions": {"ready": true}});
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": if v6 { "IPv6" } else { "IPv4" },
        "endpoints": of_family.map(endpoint).collect::<Vec<_>>(),
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_has_the_first_address() {
        for (range, want) in [("10.96.0.0/16", "10.96.0.1"), ("10.96.7.9/16", "10.96.0.1"), ("fd00::/108", "fd00::1")] {
            let service = service(&[range.parse().expect("a range")], Ports { target: 6443, node: 0 });
            assert_eq!((&service["spec"]["clusterIP"], &service["spec"]["type"]), (&json!(want), &json!("ClusterIP")));
        }
    }

    #[test]
    fn the_service_may_have_a_node_port() {
        let spec = service(&[], Ports { target: 6443, node: 31000 })["spec"].take();
        assert_eq!((&spec["type"], &spec["ports"][0]["nodePort"]), (&json!("NodePort"), &json!(31000)));
    }

    #[test]
    fn all_live_servers_are_endpoints() {
        let live = |text: &[&str]| text.iter().map(|ip| ip.parse().expect("an address")).collect::<Vec<IpAddr>>();
        for (ips, family, count) in [
            (&["10.0.0.1", "10.0.0.2"][..], "IPv4", 2),
            (&["10.0.0.1", "fd00::1"], "IPv4", 1),
            (&["fd00::1"], "IPv6", 1),
            (&[], "IPv4", 0),
        ] {
            let (endpoints, slice) = (endpoints(&live(ips), 6443), slice(&live(ips), 6443));
            let addresses = endpoints["subsets"][0]["addresses"].as_array().map_or(0, Vec::len);
            assert_eq!((addresses, slice["addressType"].as_str()), (ips.len(), Some(family)));
            assert_eq!(slice["endpoints"].as_array().map(Vec::len), Some(count));
        }
    }
}
