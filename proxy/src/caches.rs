//! What the proxy watches: Services, EndpointSlices, ranges of cluster IPs, and its own node.

use crate::metrics::Metrics;
use crate::pending::Pending;
use client::informer::{Builder, Change, Scope};
use client::{Informer, ObjectKey};
use component::Supervisor;
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use std::sync::Arc;
use std::time::SystemTime;

/// Index of slices by `namespace/service`.
pub const BY_SERVICE: &str = "service";
/// The node's label that says its zone.
pub const ZONE: &str = "topology.kubernetes.io/zone";
/// Services of other proxies are theirs.
const SERVICES: &str = "!service.kubernetes.io/service-proxy-name";
/// Headless Services have no virtual address.
const WITH_ADDRESS: &str = "spec.clusterIP!=None";
const SLICES: &str = "!service.kubernetes.io/service-proxy-name,!service.kubernetes.io/headless";
/// When what led to these endpoints happened.
const TRIGGER: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// What the loops read; all families share it.
#[derive(Clone, Debug)]
pub struct Caches {
    /// All Services.
    pub services: Informer<Service>,
    /// All EndpointSlices, indexed by [`BY_SERVICE`].
    pub slices: Informer<EndpointSlice>,
    /// All ranges of cluster IPs.
    pub service_cidrs: Informer<ServiceCIDR>,
    /// This node's object.
    pub node: Informer<Node>,
}

/// Watches this node's object.
pub fn node(client: &kube::Client, name: &str, supervisor: &Supervisor) -> Informer<Node> {
    let own = Scope { field_selector: Some(format!("metadata.name={name}")), ..Scope::default() };
    let trim = |node: &mut Node| {
        if let Some(status) = &mut node.status {
            status.images = None;
            status.conditions = None;
        }
    };
    let (node, run) = Builder::<Node>::new(client.clone(), own).trim(trim).build();
    supervisor.spawn_until_stop("node", run);
    node
}

/// Watches everything else; `pending` is told of changes. `external_ips` says whether `spec.externalIPs` count.
pub fn open(
    client: &kube::Client,
    node: Informer<Node>,
    pending: &[Arc<Pending>],
    external_ips: bool,
    metrics: &Metrics,
    supervisor: &Supervisor,
) -> Caches {
    tell_of_zone(&node, pending.to_vec());
    Caches {
        services: services(client, pending.to_vec(), external_ips, metrics.clone(), supervisor),
        slices: slices(client, pending.to_vec(), metrics.clone(), supervisor),
        service_cidrs: service_cidrs(client, pending.to_vec(), supervisor),
        node,
    }
}

fn services(
    client: &kube::Client,
    pending: Vec<Arc<Pending>>,
    external_ips: bool,
    metrics: Metrics,
    supervisor: &Supervisor,
) -> Informer<Service> {
    let scope = Scope {
        label_selector: Some(SERVICES.to_owned()),
        field_selector: Some(WITH_ADDRESS.to_owned()),
        ..Scope::default()
    };
    let tell = move |change: &Change<Service>| {
        metrics.service_changed();
        pending.iter().for_each(|pending| pending.service(ObjectKey::of(&**change.object())));
    };
    let trim = move |service: &mut Service| trim_service(service, external_ips);
    let (services, run) = Builder::<Service>::new(client.clone(), scope).trim(trim).on_change(tell).build();
    supervisor.spawn_until_stop("services", run);
    services
}

fn slices(
    client: &kube::Client,
    pending: Vec<Arc<Pending>>,
    metrics: Metrics,
    supervisor: &Supervisor,
) -> Informer<EndpointSlice> {
    let scope = Scope { label_selector: Some(SLICES.to_owned()), ..Scope::default() };
    // What triggered endpoints of before our time says nothing about us.
    let started = SystemTime::now();
    let tell = move |change: &Change<EndpointSlice>| {
        metrics.endpoints_changed();
        let trigger = trigger(change.object()).filter(|at| *at > started);
        // A slice can go over to another Service.
        let old = if let Change::Updated(old, _) = change { service_of(old) } else { None };
        let new = service_of(change.object());
        for pending in &pending {
            if let Some(new) = &new {
                pending.endpoints(new.clone(), trigger);
            }
            if let Some(old) = old.as_ref().filter(|old| Some(*old) != new.as_ref()) {
                pending.endpoints(old.clone(), None);
            }
        }
    };
    let by_service = |slice: &EndpointSlice| service_of(slice).map(|key| key.to_string()).into_iter().collect();
    let builder = Builder::<EndpointSlice>::new(client.clone(), scope).index(BY_SERVICE, by_service);
    let (slices, run) = builder.trim(trim_slice).on_change(tell).build();
    supervisor.spawn_until_stop("endpoint slices", run);
    slices
}

fn service_cidrs(client: &kube::Client, pending: Vec<Arc<Pending>>, supervisor: &Supervisor) -> Informer<ServiceCIDR> {
    let tell = move |_: &Change<ServiceCIDR>| pending.iter().for_each(|pending| pending.other());
    let (cidrs, run) = Builder::<ServiceCIDR>::new(client.clone(), Scope::default()).on_change(tell).build();
    supervisor.spawn_until_stop("service CIDRs", run);
    cidrs
}

/// Of all that changes in a node only its zone concerns the rules.
fn tell_of_zone(node: &Informer<Node>, pending: Vec<Arc<Pending>>) {
    let zone = |node: &Node| node.metadata.labels.as_ref().and_then(|labels| labels.get(ZONE).cloned());
    node.subscribe(move |change| {
        let same = matches!(change, Change::Updated(old, new) if zone(old) == zone(new));
        if !same {
            pending.iter().for_each(|pending| pending.other());
        }
    });
}

/// Keeps what rules need: there can be very many.
fn trim_service(service: &mut Service, external_ips: bool) {
    service.metadata.annotations = None;
    service.metadata.owner_references = None;
    service.metadata.finalizers = None;
    let Some(spec) = &mut service.spec else { return };
    spec.selector = None;
    if !external_ips {
        spec.external_ips = None;
    }
}

/// Keeps what rules need: there can be very many.
fn trim_slice(slice: &mut EndpointSlice) {
    slice.metadata.owner_references = None;
    slice.metadata.generate_name = None;
    for endpoint in slice.endpoints.iter_mut().flatten() {
        endpoint.target_ref = None;
        endpoint.hostname = None;
        endpoint.deprecated_topology = None;
        endpoint.zone = None;
        endpoint.addresses.truncate(1);
    }
}

fn service_of(slice: &EndpointSlice) -> Option<ObjectKey> {
    let name = slice.metadata.labels.as_ref()?.get("kubernetes.io/service-name")?.clone();
    Some(ObjectKey { namespace: slice.metadata.namespace.clone().unwrap_or_default(), name })
}

fn trigger(slice: &EndpointSlice) -> Option<SystemTime> {
    let text = slice.metadata.annotations.as_ref()?.get(TRIGGER)?;
    text.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn caches_keep_what_rules_need() {
        let mut service: Service = serde_json::from_value(json!({"metadata": {"name": "s", "annotations": {"a": "b"}},
            "spec": {"clusterIP": "10.96.0.1", "externalIPs": ["5.6.7.8"], "selector": {"a": "b"}, "ports": [{"port": 80}]}}))
        .expect("a Service");
        trim_service(&mut service, true);
        let want = json!({"clusterIP": "10.96.0.1", "externalIPs": ["5.6.7.8"], "ports": [{"port": 80}]});
        assert_eq!(serde_json::to_value(&service.spec).expect("JSON"), want);
        trim_service(&mut service, false);
        assert_eq!(service.spec.and_then(|spec| spec.external_ips), None);
        let mut slice: EndpointSlice = serde_json::from_value(json!({"addressType": "IPv4", "endpoints": [{
            "addresses": ["10.0.0.1"], "nodeName": "n", "zone": "z", "targetRef": {"kind": "Pod"}, "conditions": {"ready": true},
            "hints": {"forZones": [{"name": "z"}]}}]}))
        .expect("an EndpointSlice");
        trim_slice(&mut slice);
        let want = json!([{"addresses": ["10.0.0.1"], "nodeName": "n", "conditions": {"ready": true}, "hints": {"forZones": [{"name": "z"}]}}]);
        assert_eq!(serde_json::to_value(&slice.endpoints).expect("JSON"), want);
    }

    #[test]
    fn a_slice_names_its_service_and_its_trigger() {
        let slice: EndpointSlice = serde_json::from_value(json!({"addressType": "IPv4", "endpoints": [], "metadata": {
            "namespace": "n", "labels": {"kubernetes.io/service-name": "s"},
            "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "2025-01-02T03:04:05Z"}}}))
        .expect("an EndpointSlice");
        assert_eq!(service_of(&slice).map(|key| key.to_string()), Some("n/s".into()));
        let since = trigger(&slice).and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        assert_eq!(since.map(|s| s.as_secs()), Some(1_735_787_045));
        assert_eq!(trigger(&EndpointSlice::default()), None);
    }
}
