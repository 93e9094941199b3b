//! Slices before and after, as sizes.

use super::*;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};

fn service(spec: Value) -> Service {
    let mut full = json!({"clusterIP": "10.0.0.1", "ipFamilies": ["IPv4"], "selector": {"a": "b"},
                          "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]});
    full.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(
        json!({"metadata": {"name": "web", "namespace": "n", "uid": "s", "labels": {"team": "x"}}, "spec": full}),
    )
    .unwrap()
}

fn pod(index: usize, ready: bool, terminating: bool) -> Arc<Pod> {
    let deleted = terminating.then_some("2026-01-01T00:00:00Z");
    let ready = if ready { "True" } else { "False" };
    Arc::new(
        serde_json::from_value(json!({
            "metadata": {"name": format!("p{index:04}"), "namespace": "n", "uid": format!("u{index}"), "deletionTimestamp": deleted},
            "spec": {"containers": [], "nodeName": "n1"},
            "status": {"phase": "Running", "podIP": format!("10.1.{}.{}", index / 256, index % 256),
                       "conditions": [{"type": "Ready", "status": ready}]}
        }))
        .unwrap(),
    )
}

fn node(name: &str) -> Option<Arc<Node>> {
    let node = json!({"metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": "z1"}}});
    Some(Arc::new(serde_json::from_value(node).unwrap()))
}

fn run(service: &Service, pods: &[Arc<Pod>], slices: Vec<Arc<EndpointSlice>>) -> Vec<Change> {
    let groups = desired(service, pods, node);
    plan(Observed { service, groups, slices, trigger: None, per_slice: 100 })
}

/// Does what the changes say, names included.
fn apply(changes: Vec<Change>, slices: &mut Vec<Arc<EndpointSlice>>) {
    for change in changes {
        match change {
            Change::Create(mut slice) => {
                slice.metadata.name = Some(format!("web-{}", slices.len()));
                slices.push(Arc::new(*slice));
            }
            Change::Update { before, after } => {
                slices.retain(|slice| !Arc::ptr_eq(slice, &before));
                slices.push(Arc::new(*after));
            }
            Change::Delete(gone) => slices.retain(|slice| !Arc::ptr_eq(slice, &gone)),
        }
    }
}

fn sizes(slices: &[Arc<EndpointSlice>]) -> Vec<usize> {
    let mut sizes: Vec<_> = slices.iter().map(|slice| count(slice)).collect();
    sizes.sort_unstable();
    sizes
}

#[test]
fn slices_hold_a_hundred_and_change_little() {
    let service = service(json!({}));
    let pods: Vec<_> = (0..250).map(|index| pod(index, true, false)).collect();
    let mut slices = Vec::new();
    apply(run(&service, &pods, slices.clone()), &mut slices);
    assert_eq!(sizes(&slices), [50, 100, 100]);
    assert!(run(&service, &pods, slices.clone()).is_empty());

    let fewer: Vec<_> = pods.iter().skip(1).cloned().chain([pod(900, true, false)]).collect();
    let changes = run(&service, &fewer, slices.clone());
    assert_eq!(changes.len(), 1, "the new endpoint takes the free place");
    apply(changes, &mut slices);
    assert_eq!(sizes(&slices), [50, 100, 100]);
}

#[test]
fn a_service_without_endpoints_keeps_an_empty_slice() {
    let service = service(json!({}));
    let mut slices = Vec::new();
    apply(run(&service, &[], slices.clone()), &mut slices);
    assert_eq!(sizes(&slices), [0]);
    assert!(run(&service, &[], slices.clone()).is_empty());
    apply(run(&service, &[pod(1, true, false)], slices.clone()), &mut slices);
    assert_eq!(sizes(&slices), [1]);
    apply(run(&service, &[], slices.clone()), &mut slices);
    assert_eq!(sizes(&slices), [0]);
}

#[test]
fn conditions_of_endpoints() {
    let table = [
        (json!({}), true, false, [true, true, false]),
        (json!({}), false, false, [false, false, false]),
        (json!({}), true, true, [false, true, true]),
        (json!({"publishNotReadyAddresses": true}), false, true, [true, false, true]),
    ];
    for (spec, ready, terminating, expected) in table {
        let groups = desired(&service(spec), &[pod(1, ready, terminating)], node);
        let conditions = groups[0].endpoints[0].conditions.clone().unwrap();
        let found = [conditions.ready, conditions.serving, conditions.terminating].map(Option::unwrap);
        assert_eq!(found, expected, "ready {ready}, terminating {terminating}");
    }
}

#[test]
fn a_slice_says_whose_it_is() {
    let changes = run(&service(json!({"clusterIP": "None"})), &[pod(1, true, false)], Vec::new());
    let [Change::Create(slice)] = &changes[..] else { panic!("{changes:?}") };
    let labels = slice.metadata.labels.as_ref().unwrap();
    assert_eq!(labels[SERVICE_NAME], "web");
    assert_eq!(labels[MANAGED_BY], MANAGER);
    assert_eq!(labels[serving::HEADLESS], "");
    assert_eq!(labels["team"], "x");
    assert_eq!(slice.endpoints.as_ref().unwrap()[0].zone.as_deref(), Some("z1"));
    assert_eq!(slice.ports.as_ref().unwrap()[0].port, Some(8080));
    assert_eq!(slice.metadata.owner_references.as_ref().unwrap()[0].kind, "Service");
}

#[test]
fn both_families_have_their_slices() {
    let changes = run(&service(json!({"ipFamilies": ["IPv4", "IPv6"]})), &[pod(1, true, false)], Vec::new());
    let types: Vec<_> = changes
        .iter()
        .map(|change| match change {
            Change::Create(slice) => (slice.address_type.as_str(), count(slice)),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(types, [("IPv4", 1), ("IPv6", 0)]);
}

#[test]
fn traffic_distribution_gives_hints() {
    let groups = desired(&service(json!({"trafficDistribution": "PreferClose"})), &[pod(1, true, false)], node);
    let hints = groups[0].endpoints[0].hints.clone().unwrap();
    assert_eq!(hints.for_zones.unwrap()[0].name, "z1");
    assert_eq!(hints.for_nodes, None);
}
