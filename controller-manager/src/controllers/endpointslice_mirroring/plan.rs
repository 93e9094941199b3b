//! Which slices mirror Endpoints: one per set of ports and address family.

use crate::objects::{StringMap, owner};
use client::ObjectKey;
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort as OldPort, EndpointSubset, Endpoints, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::net::IpAddr;
use std::sync::Arc;

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
pub(super) const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
const TRIGGER_TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The Endpoints that a slice mirrors; `None` if it is another's slice.
pub(super) fn mirrored_from(slice: &EndpointSlice) -> Option<ObjectKey> {
    let labels = slice.metadata.labels.as_ref()?;
    (labels.get(MANAGED_BY).map(String::as_str) == Some(MANAGER)).then_some(())?;
    Some(ObjectKey { namespace: slice.metadata.namespace.clone()?, name: labels.get(SERVICE_NAME)?.clone() })
}

/// Whether the Endpoints are to be mirrored: a Service needs them, and nobody else makes its slices.
pub(super) fn is_mirrored(endpoints: &Endpoints, service: Option<&Service>) -> bool {
    let has = |map: &Option<StringMap>, key: &str| map.as_ref().and_then(|map| map.get(key)).cloned();
    let skips = has(&endpoints.metadata.labels, SKIP).as_deref() == Some("true");
    let elects = has(&endpoints.metadata.annotations, LEADER).is_some();
    let selects = |service: &Service| service.spec.as_ref().is_some_and(|spec| spec.selector.is_some());
    !skips && !elects && service.is_some_and(|service| !selects(service))
}

/// What the mirror should show.
#[derive(Debug, Default)]
pub(super) struct Desired {
    groups: Vec<Group>,
    /// Addresses that are no IP.
    pub(super) invalid: usize,
    /// Addresses beyond what one subset may have.
    pub(super) surplus: usize,
}

/// Endpoints that share a slice.
#[derive(Debug)]
struct Group {
    address_type: &'static str,
    ports: Vec<EndpointPort>,
    endpoints: Vec<Endpoint>,
}

/// What slices should show of Endpoints, at most `most` addresses of each subset.
pub(super) fn desired(endpoints: &Endpoints, most: usize) -> Desired {
    let mut desired = Desired::default();
    for subset in repacked(endpoints.subsets.as_deref().unwrap_or_default()) {
        let ports: Vec<EndpointPort> = subset.ports.iter().map(port).collect();
        let mut added = 0;
        for (address, ready) in subset.addresses {
            if added >= most {
                desired.surplus += 1;
                continue;
            }
            match endpoint(&address, ready) {
                Some((address_type, endpoint)) => {
                    desired.add(address_type, &ports, endpoint);
                    added += 1;
                }
                None => desired.invalid += 1,
            }
        }
    }
    desired
}

impl Desired {
    fn add(&mut self, address_type: &'static str, ports: &[EndpointPort], endpoint: Endpoint) {
        let group = self.groups.iter_mut().find(|group| group.address_type == address_type && group.ports == ports);
        match group {
            Some(group) => group.endpoints.push(endpoint),
            None => self.groups.push(Group { address_type, ports: ports.to_vec(), endpoints: vec![endpoint] }),
        }
    }
}

/// A subset whose addresses all have all of its ports, and no other subset's.
struct Packed {
    ports: Vec<OldPort>,
    /// And whether they are ready.
    addresses: Vec<(EndpointAddress, bool)>,
}

/// Each address once, with all ports that any subset gives it; an address that is ready anywhere
/// with a port is ready with it.
fn repacked(subsets: &[EndpointSubset]) -> Vec<Packed> {
    let mut by_address: Vec<(EndpointAddress, bool, Vec<OldPort>)> = Vec::new();
    for subset in subsets {
        let ready = subset.addresses.iter().flatten().map(|address| (address, true));
        let unready = subset.not_ready_addresses.iter().flatten().map(|address| (address, false));
        for (address, is_ready) in ready.chain(unready) {
            let same = |(known, known_ready, _): &&mut (EndpointAddress, bool, Vec<OldPort>)| {
                known.ip == address.ip && uid(known) == uid(address) && *known_ready == is_ready
            };
            let ports = match by_address.iter_mut().find(same) {
                Some((_, _, ports)) => ports,
                None => {
                    by_address.push((address.clone(), is_ready, Vec::new()));
                    let Some((_, _, ports)) = by_address.last_mut() else { continue };
                    ports
                }
            };
            for port in subset.ports.iter().flatten() {
                if !ports.contains(port) {
                    ports.push(port.clone());
                }
            }
        }
    }
    let mut packed: Vec<Packed> = Vec::new();
    for (address, ready, mut ports) in by_address {
        ports.sort_by(|a, b| (&a.name, a.port, &a.protocol).cmp(&(&b.name, b.port, &b.protocol)));
        match packed.iter_mut().find(|subset| subset.ports == ports) {
            Some(subset) => subset.addresses.push((address, ready)),
            None => packed.push(Packed { ports, addresses: vec![(address, ready)] }),
        }
    }
    // Ready ones first: they are the last to be left out.
    packed.iter_mut().for_each(|subset| subset.addresses.sort_by_key(|(_, ready)| !ready));
    packed
}

fn uid(address: &EndpointAddress) -> Option<&str> {
    address.target_ref.as_ref()?.uid.as_deref()
}

fn port(port: &OldPort) -> EndpointPort {
    EndpointPort {
        name: Some(port.name.clone().unwrap_or_default()),
        port: Some(port.port),
        protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
        app_protocol: port.app_protocol.clone(),
    }
}

fn endpoint(address: &EndpointAddress, ready: bool) -> Option<(&'static str, Endpoint)> {
    let ip = parse(&address.ip)?;
    let endpoint = Endpoint {
        addresses: vec![ip.to_string()],
        conditions: Some(EndpointConditions { ready: Some(ready), ..EndpointConditions::default() }),
        hostname: address.hostname.clone().filter(|hostname| !hostname.is_empty()),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Endpoint::default()
    };
    Some((if ip.is_ipv6() { "IPv6" } else { "IPv4" }, endpoint))
}

/// An address, also with leading zeros in its numbers, which old objects may have.
fn parse(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| {
        let numbers: Vec<&str> = text.split('.').map(|n| n.trim_start_matches('0')).collect();
        let plain: Vec<&str> = numbers.iter().map(|n| if n.is_empty() { "0" } else { n }).collect();
        text.contains('.').then(|| plain.join(".").parse().ok())?
    })
}

/// A change of one slice.
pub(super) type Change = crate::scaffold::changes::Change<EndpointSlice>;

/// Decides what to write, given the slices that mirror these Endpoints now.
pub(super) fn plan(endpoints: &Endpoints, desired: Desired, slices: Vec<Arc<EndpointSlice>>) -> Vec<Change> {
    let (mut left, mut made, mut changes) = (slices, Vec::new(), Vec::new());
    for group in desired.groups {
        let is_of = |slice: &EndpointSlice| {
            slice.address_type == group.address_type && slice.ports.as_deref().unwrap_or_default() == group.ports
        };
        match left.iter().position(|slice| is_of(slice)) {
            Some(at) => changes.extend(update(endpoints, left.remove(at), group)),
            None => made.push(group),
        }
    }
    for group in made {
        // A slice that would go is used again; its address type can never change.
        match left.iter().position(|slice| slice.address_type == group.address_type) {
            Some(at) => changes.extend(update(endpoints, left.remove(at), group)),
            None => changes.push(Change::Create(Box::new(slice(endpoints, group)))),
        }
    }
    changes.extend(left.into_iter().map(Change::Delete));
    changes
}

fn update(endpoints: &Endpoints, before: Arc<EndpointSlice>, group: Group) -> Option<Change> {
    let mut after = slice(endpoints, group);
    let shape = |slice: &EndpointSlice| {
        let mut endpoints = slice.endpoints.clone().unwrap_or_default();
        endpoints.sort_by(|a, b| a.addresses.cmp(&b.addresses));
        (endpoints, slice.ports.clone(), slice.metadata.labels.clone(), slice.metadata.annotations.clone())
    };
    if shape(&before) == shape(&after) {
        return None;
    }
    let owners = after.metadata.owner_references.take();
    after.metadata = ObjectMeta {
        labels: after.metadata.labels.take(),
        annotations: after.metadata.annotations.take(),
        owner_references: owners,
        ..before.metadata.clone()
    };
    Some(Change::Update { before, after: Box::new(after) })
}

fn slice(endpoints: &Endpoints, group: Group) -> EndpointSlice {
    let name = endpoints.metadata.name.clone().unwrap_or_default();
    let mut labels = endpoints.metadata.labels.clone().unwrap_or_default();
    labels.insert(SERVICE_NAME.to_owned(), name.clone());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    let mut annotations = endpoints.metadata.annotations.clone().unwrap_or_default();
    annotations.retain(|key, _| key != TRIGGER_TIME && key != LAST_APPLIED);
    EndpointSlice {
        address_type: group.address_type.to_owned(),
        ports: Some(group.ports),
        endpoints: Some(group.endpoints),
        metadata: ObjectMeta {
            generate_name: Some(format!("{name}-")),
            namespace: endpoints.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
            owner_references: Some(vec![owner::controller_ref(endpoints)]),
            ..ObjectMeta::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn endpoints(meta: Value, subsets: Value) -> Endpoints {
        let mut endpoints: Endpoints = serde_json::from_value(json!({"metadata": meta, "subsets": subsets})).unwrap();
        endpoints.metadata.name.get_or_insert("web".into());
        endpoints
    }

    fn service(spec: Value) -> Service {
        serde_json::from_value(json!({"metadata": {"name": "web"}, "spec": spec})).unwrap()
    }

    fn made(endpoints: &Endpoints) -> Vec<Arc<EndpointSlice>> {
        let changes = plan(endpoints, desired(endpoints, 1000), Vec::new());
        let slice = |(number, change): (usize, Change)| match change {
            Change::Create(mut slice) => {
                slice.metadata.name = Some(format!("web-{number}"));
                Arc::new(*slice)
            }
            other => panic!("not created: {other:?}"),
        };
        changes.into_iter().enumerate().map(slice).collect()
    }

    #[test]
    fn only_what_a_service_without_selector_needs() {
        let plain = endpoints(json!({}), json!([]));
        assert!(is_mirrored(&plain, Some(&service(json!({})))));
        assert!(!is_mirrored(&plain, Some(&service(json!({"selector": {"a": "b"}})))));
        assert!(!is_mirrored(&plain, None));
        let skipped = endpoints(json!({"labels": {SKIP: "true"}}), json!([]));
        let leader = endpoints(json!({"annotations": {LEADER: "x"}}), json!([]));
        assert!(!is_mirrored(&skipped, Some(&service(json!({})))) && !is_mirrored(&leader, Some(&service(json!({})))));
    }

    #[test]
    fn a_slice_per_family_and_ports() {
        let endpoints = endpoints(
            json!({"labels": {"a": "b"}, "annotations": {TRIGGER_TIME: "x", LAST_APPLIED: "x", "keep": "1"}}),
            json!([{"addresses": [{"ip": "10.0.0.1", "hostname": "h"}, {"ip": "fd00::1"}, {"ip": "no"}],
                "notReadyAddresses": [{"ip": "10.0.0.02"}], "ports": [{"port": 80}]},
                {"addresses": [{"ip": "10.0.0.1"}], "ports": [{"name": "x", "port": 81}]}]),
        );
        assert_eq!(desired(&endpoints, 1000).invalid, 1);
        let slices = made(&endpoints);
        let shown: Vec<_> = slices
            .iter()
            .map(|slice| {
                let addresses: Vec<_> = slice.endpoints.iter().flatten().map(|e| e.addresses[0].clone()).collect();
                (slice.address_type.as_str(), slice.ports.as_ref().unwrap().len(), addresses.join(" "))
            })
            .collect();
        let want = [("IPv4", 2, "10.0.0.1".to_owned()), ("IPv6", 1, "fd00::1".into()), ("IPv4", 1, "10.0.0.2".into())];
        assert_eq!(shown, want);
        assert_eq!(slices[0].metadata.annotations, Some([("keep".to_owned(), "1".to_owned())].into()));
        assert_eq!(slices[0].metadata.labels.as_ref().unwrap()[MANAGED_BY], MANAGER);
        assert_eq!(slices[2].endpoints.as_ref().unwrap()[0].conditions.as_ref().unwrap().ready, Some(false));
    }

    #[test]
    fn a_mirror_follows() {
        let subset = |ip: &str, port: i32| json!([{"addresses": [{"ip": ip}], "ports": [{"port": port}]}]);
        let first = endpoints(json!({}), subset("10.0.0.1", 80));
        let slices = made(&first);
        assert!(plan(&first, desired(&first, 1000), slices.clone()).is_empty());
        for moved in [endpoints(json!({}), subset("10.0.0.2", 80)), endpoints(json!({}), subset("10.0.0.1", 81))] {
            let changes = plan(&moved, desired(&moved, 1000), slices.clone());
            assert!(matches!(&changes[..], [Change::Update { .. }]), "{changes:?}");
        }
        let empty = endpoints(json!({}), json!([]));
        assert!(matches!(&plan(&empty, desired(&empty, 1000), slices)[..], [Change::Delete(_)]));
    }

    #[test]
    fn a_subset_is_cut_off() {
        let ips: Vec<_> = (1..=5).map(|n| json!({"ip": format!("10.0.0.{n}")})).collect();
        let endpoints = endpoints(json!({}), json!([{"addresses": ips, "ports": [{"port": 80}]}]));
        let desired = desired(&endpoints, 3);
        assert_eq!((desired.groups[0].endpoints.len(), desired.surplus), (3, 2));
    }
}
