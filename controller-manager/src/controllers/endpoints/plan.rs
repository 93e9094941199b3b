//! What a Service's Endpoints should be.

use crate::objects::{StringMap, pods, serving};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";
/// The most addresses that one object may hold.
const CAPACITY: usize = 1000;

/// What to write.
#[derive(Debug)]
pub(super) enum Change {
    Nothing,
    Create(Box<Endpoints>),
    Update(Box<Endpoints>),
}

pub(super) fn plan(
    service: &Service,
    found: &[Arc<Pod>],
    current: Option<&Endpoints>,
    trigger: Option<Timestamp>,
) -> Change {
    let mut wanted = current.cloned().unwrap_or_else(|| Endpoints {
        metadata: ObjectMeta {
            name: service.metadata.name.clone(),
            namespace: service.metadata.namespace.clone(),
            ..ObjectMeta::default()
        },
        subsets: None,
    });
    let mut addresses = addresses(service, found);
    let is_over = truncate(&mut addresses);
    wanted.subsets = Some(pack(addresses)).filter(|subsets| !subsets.is_empty());
    wanted.metadata.labels = Some(labels(service));
    let annotations = wanted.metadata.annotations.get_or_insert_default();
    match is_over {
        true => annotations.insert(OVER_CAPACITY.to_owned(), "truncated".to_owned()),
        false => annotations.remove(OVER_CAPACITY),
    };
    if current.is_some_and(|current| is_same(current, &wanted)) {
        return Change::Nothing;
    }
    let annotations = wanted.metadata.annotations.get_or_insert_default();
    match trigger {
        Some(at) => annotations.insert(serving::TRIGGER_TIME.to_owned(), at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        None => annotations.remove(serving::TRIGGER_TIME),
    };
    if annotations.is_empty() {
        wanted.metadata.annotations = None;
    }
    match current {
        None => Change::Create(Box::new(wanted)),
        Some(_) => Change::Update(Box::new(wanted)),
    }
}

/// Whether this controller made them.
pub(super) fn is_ours(endpoints: &Endpoints) -> bool {
    let labels = endpoints.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(MANAGED_BY)).is_some_and(|manager| manager == MANAGER)
}

/// Whether nothing differs but the time of the last change.
fn is_same(current: &Endpoints, wanted: &Endpoints) -> bool {
    let over = |endpoints: &Endpoints| {
        endpoints.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(OVER_CAPACITY))
    };
    let subsets = |endpoints: &Endpoints| endpoints.subsets.clone().unwrap_or_default();
    current.metadata.labels == wanted.metadata.labels
        && over(current) == over(wanted)
        && subsets(current) == subsets(wanted)
}

fn labels(service: &Service) -> StringMap {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(serving::HEADLESS);
    if service.spec.as_ref().is_some_and(serving::is_headless) {
        labels.insert(serving::HEADLESS.to_owned(), String::new());
    }
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    labels
}

/// One pod's address with its ports.
struct Found {
    address: EndpointAddress,
    ports: Vec<EndpointPort>,
    ready: bool,
}

fn addresses(service: &Service, found: &[Arc<Pod>]) -> Vec<Found> {
    let all = serving::publishes_unready(service);
    let mut addresses: Vec<_> = found
        .iter()
        .filter(|pod| serving::has_endpoint(pod) && (all || !pods::is_terminating(pod)))
        .filter_map(|pod| address(service, pod, all))
        .collect();
    addresses.sort_by(|a, b| a.address.ip.cmp(&b.address.ip));
    addresses
}

fn address(service: &Service, pod: &Pod, all: bool) -> Option<Found> {
    let wants_v6 = is_v6(service);
    let ip = serving::addresses(pod).into_iter().find(|ip| ip.is_ipv6() == wants_v6)?;
    let ports = ports(service, pod);
    let has_ports = service.spec.as_ref().is_some_and(|spec| spec.ports.iter().flatten().next().is_some());
    // A Service with ports is of no use on a pod that has none of them.
    if ports.is_empty() && has_ports {
        return None;
    }
    let address = EndpointAddress {
        ip: ip.to_string(),
        hostname: serving::hostname(pod, service),
        node_name: Some(pods::node(pod).to_owned()).filter(|name| !name.is_empty()),
        target_ref: Some(serving::target(pod)),
    };
    Some(Found { address, ports, ready: all || pods::is_ready(pod) })
}

/// Endpoints have one family: the Service's first.
fn is_v6(service: &Service) -> bool {
    let Some(spec) = &service.spec else { return false };
    match spec.ip_families.iter().flatten().next() {
        Some(family) => family == "IPv6",
        None => matches!(spec.cluster_ip.as_deref().map(str::parse::<IpAddr>), Some(Ok(IpAddr::V6(_)))),
    }
}

fn ports(service: &Service, pod: &Pod) -> Vec<EndpointPort> {
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    let mut ports: Vec<_> = ports
        .filter_map(|port| {
            Some(EndpointPort {
                name: port.name.clone().filter(|name| !name.is_empty()),
                port: serving::target_port(pod, port)?,
                protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
                app_protocol: port.app_protocol.clone(),
            })
        })
        .collect();
    ports.sort_by(|a, b| (&a.name, a.port, &a.protocol).cmp(&(&b.name, b.port, &b.protocol)));
    ports
}

/// Drops what is too much, the not ready first. Whether anything was.
fn truncate(found: &mut Vec<Found>) -> bool {
    if found.len() <= CAPACITY {
        return false;
    }
    found.sort_by_key(|found| !found.ready);
    found.truncate(CAPACITY);
    found.sort_by(|a, b| a.address.ip.cmp(&b.address.ip));
    true
}

/// One subset per list of ports.
fn pack(found: Vec<Found>) -> Vec<EndpointSubset> {
    let mut by_ports: BTreeMap<String, EndpointSubset> = BTreeMap::new();
    for Found { address, ports, ready } in found {
        let subset = by_ports.entry(format!("{ports:?}")).or_insert_with(|| EndpointSubset {
            ports: Some(ports).filter(|ports| !ports.is_empty()),
            ..EndpointSubset::default()
        });
        let list = if ready { &mut subset.addresses } else { &mut subset.not_ready_addresses };
        list.get_or_insert_default().push(address);
    }
    by_ports.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn service(spec: Value) -> Service {
        let mut full = json!({"clusterIP": "10.0.0.1", "ports": [
            {"name": "http", "port": 80, "targetPort": "web"}, {"name": "x", "port": 81, "targetPort": 81}]});
        full.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        serde_json::from_value(json!({"metadata": {"name": "web", "namespace": "n"}, "spec": full})).unwrap()
    }

    fn pod(name: &str, ip: &str, web: i32, ready: &str) -> Arc<Pod> {
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": name, "namespace": "n", "uid": name},
                "spec": {"nodeName": "n1", "containers": [{"name": "c", "ports": [{"name": "web", "containerPort": web}]}]},
                "status": {"phase": "Running", "podIP": ip, "conditions": [{"type": "Ready", "status": ready}]}
            }))
            .unwrap(),
        )
    }

    fn made(change: Change) -> Endpoints {
        match change {
            Change::Create(endpoints) | Change::Update(endpoints) => *endpoints,
            Change::Nothing => panic!("nothing to write"),
        }
    }

    #[test]
    fn subsets_are_by_ports_and_readiness() {
        let pods = [
            pod("a", "10.1.0.1", 8080, "True"),
            pod("b", "10.1.0.2", 8080, "False"),
            pod("c", "10.1.0.3", 9090, "True"),
        ];
        let endpoints = made(plan(&service(json!({})), &pods, None, None));
        let subsets = endpoints.subsets.clone().unwrap();
        assert_eq!(subsets.len(), 2);
        assert_eq!(subsets[0].addresses.as_ref().unwrap()[0].ip, "10.1.0.1");
        assert_eq!(subsets[0].not_ready_addresses.as_ref().unwrap()[0].ip, "10.1.0.2");
        assert_eq!(subsets[1].ports.as_ref().unwrap().iter().map(|p| p.port).collect::<Vec<_>>(), [9090, 81]);
        assert!(matches!(plan(&service(json!({})), &pods, Some(&endpoints), None), Change::Nothing));
    }

    #[test]
    fn unready_addresses_can_be_published() {
        let pods = [pod("b", "10.1.0.2", 8080, "False")];
        let endpoints = made(plan(&service(json!({"publishNotReadyAddresses": true})), &pods, None, None));
        assert_eq!(endpoints.subsets.unwrap()[0].addresses.as_ref().unwrap().len(), 1);
    }

    #[test]
    fn a_headless_service_is_labelled_and_may_have_no_ports() {
        let pods = [pod("a", "10.1.0.1", 8080, "True")];
        let endpoints = made(plan(&service(json!({"clusterIP": "None", "ports": []})), &pods, None, None));
        assert_eq!(endpoints.metadata.labels.unwrap()[serving::HEADLESS], "");
        assert_eq!(endpoints.subsets.unwrap()[0].ports, None);
    }

    #[test]
    fn too_many_addresses_are_cut() {
        let pods: Vec<_> = (0..1005)
            .map(|i| {
                pod(
                    &format!("p{i}"),
                    &format!("10.1.{}.{}", i / 200, i % 200 + 1),
                    80,
                    if i < 3 { "False" } else { "True" },
                )
            })
            .collect();
        let endpoints = made(plan(&service(json!({})), &pods, None, Some(Timestamp::UNIX_EPOCH)));
        let annotations = endpoints.metadata.annotations.unwrap();
        assert_eq!(annotations[OVER_CAPACITY], "truncated");
        assert_eq!(annotations[serving::TRIGGER_TIME], "1970-01-01T00:00:00Z");
        let subset = &endpoints.subsets.unwrap()[0];
        assert_eq!((subset.addresses.as_ref().unwrap().len(), subset.not_ready_addresses.is_none()), (1000, true));
    }
}
