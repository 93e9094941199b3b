use super::*;
use crate::devices::{Class, Slice};
use crate::model::builders::{node, pod};
use crate::plugins::testing::{cluster as nodes, rejections, scores};
use serde_json::{Value, json};

fn plugin() -> DynamicResources {
    DynamicResources::new(&DynamicResourcesArgs::default())
}

fn typed<T: serde::de::DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).expect("of its type")
}

/// Two nodes, `n1` with one device and `n2` with two, and a third without any.
fn cluster() -> Cluster {
    let mut cluster = nodes(vec![("n1", node().facts()), ("n2", node().facts()), ("n3", node().facts())], vec![]);
    for (node, devices) in [("n1", json!([{"name": "a"}])), ("n2", json!([{"name": "a"}, {"name": "b"}]))] {
        let pool = json!({"name": node, "generation": 1, "resourceSliceCount": 1});
        let spec = json!({"driver": "d.example.com", "pool": pool, "nodeName": node, "devices": devices});
        cluster.devices.set_slice(Slice::of(&typed(json!({"metadata": {"name": node}, "spec": spec}))));
    }
    let class = json!({"metadata": {"name": "gpu"}, "spec": {"extendedResourceName": "example.com/gpu"}});
    cluster.devices.set_class(Class::of(&typed(class)));
    cluster
}

fn key(name: &str) -> ClaimKey {
    ClaimKey { namespace: Arc::from("default"), name: Arc::from(name) }
}

fn add(cluster: &mut Cluster, name: &str, requests: Value, more: Value) {
    let mut claim = json!({"metadata": {"namespace": "default", "name": name, "uid": name, "resourceVersion": "1"},
        "spec": {"devices": {"requests": requests}}});
    for (field, value) in more.as_object().expect("an object") {
        claim[field] = value.clone();
    }
    cluster.devices.claims.set(&key(name), Arc::new(typed(claim)));
}

fn exactly(count: i64) -> Value {
    json!([{"name": "r", "exactly": {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": count}}])
}

fn with_claim(name: &str) -> Pod {
    pod("p").spec("resourceClaims", json!([{"name": "mine", "resourceClaimName": name}])).build()
}

fn rejected(cluster: &Cluster, pod: &Pod) -> Vec<String> {
    rejections(&plugin(), cluster, pod)
}

#[test]
fn nodes_without_enough_devices_are_rejected() {
    let mut cluster = cluster();
    add(&mut cluster, "one", exactly(1), json!({}));
    add(&mut cluster, "two", exactly(2), json!({}));
    assert_eq!(rejected(&cluster, &with_claim("one")), ["n3!: cannot allocate all claims"]);
    let none = |node: &str| format!("{node}!: cannot allocate all claims");
    assert_eq!(rejected(&cluster, &with_claim("two")), [none("n1"), none("n3")]);
    let plan = plugin().plan(&cluster, &with_claim("two"), 1).unwrap();
    assert_eq!(
        plan.claims[0].allocation.as_ref().unwrap().devices.as_ref().unwrap().results.as_ref().unwrap().len(),
        2
    );
    // Devices that are reserved for one pod are not there for the next.
    plan.taken().for_each(|(key, allocation)| cluster.devices.claims.reserve(key, Arc::clone(allocation)));
    assert_eq!(rejected(&cluster, &with_claim("one")), [none("n2"), none("n3")]);
    let refused = plugin().admit(&cluster, &with_claim("two"));
    assert_eq!(refused.unwrap_err(), "resource claim default/two is in the process of being allocated");
}

#[test]
fn a_pod_waits_for_claims_and_classes_that_are_not_there() {
    let mut cluster = cluster();
    add(
        &mut cluster,
        "dying",
        exactly(1),
        json!({"metadata": {"namespace": "default", "name": "dying",
        "deletionTimestamp": "2026-01-01T00:00:00Z"}}),
    );
    add(
        &mut cluster,
        "unclassed",
        json!([{"name": "r", "firstAvailable": [{"name": "s", "deviceClassName": "nonesuch"}]}]),
        json!({}),
    );
    add(&mut cluster, "others", exactly(1), json!({}));
    let made = |name: Option<&str>| {
        let statuses = name.map(|name| json!([{"name": "mine", "resourceClaimName": name}])).unwrap_or(json!([]));
        let pod = json!({"metadata": {"namespace": "default", "name": "p", "uid": "p"},
            "spec": {"containers": [], "resourceClaims": [{"name": "mine", "resourceClaimTemplateName": "t"}]},
            "status": {"resourceClaimStatuses": statuses}});
        Pod::of(&typed(pod))
    };
    for (pod, why) in [
        (with_claim("nonesuch"), "could not find ResourceClaim \"default/nonesuch\""),
        (with_claim("dying"), "resourceclaim \"dying\" is being deleted"),
        (with_claim("unclassed"), "request r/s: device class nonesuch does not exist"),
        (made(None), "pod \"default/p\": ResourceClaim not created yet"),
        (made(Some("others")), "ResourceClaim default/others was not created for Pod default/p (Pod is not owner)"),
    ] {
        assert_eq!(plugin().admit(&cluster, &pod).unwrap_err(), why);
    }
    assert_eq!(are_there(&cluster, &with_claim("unclassed")), Ok(()), "classes are looked at when it is tried");
}

#[test]
fn a_claim_that_has_devices_keeps_the_pod_with_them_until_nobody_needs_it() {
    let mut cluster = cluster();
    let on = |node: &str| json!({"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]});
    let status = |users: Value| json!({"status": {"reservedFor": users, "allocation": {"nodeSelector": on("n2"), "devices": {}}}});
    add(&mut cluster, "bound", exactly(1), status(json!([{"resource": "pods", "name": "x", "uid": "x"}])));
    let elsewhere = |node: &str| format!("{node}!: resourceclaim not available on the node");
    assert_eq!(rejected(&cluster, &with_claim("bound")), [elsewhere("n1"), elsewhere("n3")]);
    let relief_of = |cluster: &Cluster| {
        let mut candidates = Candidates::new(&[0, 2]);
        plugin().filter(cluster, &with_claim("bound"), &mut candidates);
        plugin().relief(cluster, &with_claim("bound"), &Diagnosis::new(2, candidates.rejected)).message()
    };
    assert_eq!(relief_of(&cluster), "still not schedulable");
    add(&mut cluster, "bound", exactly(1), status(json!([])));
    assert_eq!(relief_of(&cluster), "deallocation of ResourceClaim completed");
    let nothing = plugin().relief(&cluster, &pod("plain").build(), &Diagnosis::new(0, Vec::new()));
    assert_eq!(nothing.message(), "no new claims to deallocate");
}

#[test]
fn a_selector_that_fails_ends_the_decision() {
    let mut cluster = cluster();
    let selector = json!([{"cel": {"expression": "device.attributes['d.example.com'].nonesuch"}}]);
    add(
        &mut cluster,
        "broken",
        json!([{"name": "r", "exactly": {"deviceClassName": "gpu", "selectors": selector}}]),
        json!({}),
    );
    let mut candidates = Candidates::new(cluster.nodes.live());
    plugin().filter(&cluster, &with_claim("broken"), &mut candidates);
    let why = "running \"DynamicResources\" filter plugin: claim default/broken: selector #0: CEL runtime error: no such key: nonesuch";
    assert_eq!((candidates.failure.as_deref(), candidates.nodes.len()), (Some(why), 0));
}

#[test]
fn nodes_with_earlier_alternatives_are_better() {
    let mut cluster = cluster();
    let sub = |name: &str, count: i64| json!({"name": name, "deviceClassName": "gpu", "allocationMode": "ExactCount", "count": count});
    add(&mut cluster, "either", json!([{"name": "r", "firstAvailable": [sub("two", 2), sub("one", 1)]}]), json!({}));
    assert_eq!(scores(&plugin(), &cluster, &with_claim("either")), [87, 100, 0]);
    add(&mut cluster, "plain", exactly(1), json!({}));
    assert!(!Score::concerns(&plugin(), &cluster, &with_claim("plain")));
}

#[test]
fn a_node_may_take_only_so_long() {
    let mut cluster = cluster();
    add(&mut cluster, "one", exactly(1), json!({}));
    let hasty = DynamicResourcesArgs { filter_timeout: typed(json!("1ns")), ..DynamicResourcesArgs::default() };
    let late = DynamicResources::new(&hasty).plan(&cluster, &with_claim("one"), 0).unwrap_err();
    assert!(late.starts_with("running Reserve plugin \"DynamicResources\": node n1: "), "{late}");
    let patient = DynamicResourcesArgs { filter_timeout: typed(json!("0s")), ..DynamicResourcesArgs::default() };
    assert!(DynamicResources::new(&patient).plan(&cluster, &with_claim("one"), 0).is_ok());
}

#[test]
fn devices_that_need_preparation_may_fail_or_take_too_long() {
    let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
    let claim = |conditions: Value| {
        let result = json!({"request": "r", "driver": "d", "pool": "p", "device": "x",
            "bindingConditions": ["Ready"], "bindingFailureConditions": ["Broken"]});
        let status = json!({"allocation": {"allocationTimestamp": "1970-01-01T00:00:00Z", "devices": {"results": [result]}},
            "devices": [{"driver": "d", "pool": "p", "device": "x", "conditions": conditions}]});
        typed::<resource::ResourceClaim>(json!({"metadata": {"name": "c"}, "spec": {}, "status": status}))
    };
    let condition = |kind: &str| json!({"type": kind, "status": "True", "reason": "R", "message": "m", "lastTransitionTime": "1970-01-01T00:00:00Z"});
    for (conditions, seconds, want) in [
        (json!([]), 10, Readiness::Waiting),
        (json!([]), 601, Readiness::Late),
        (json!([condition("Ready")]), 601, Readiness::Ready),
        (
            json!([condition("Ready"), condition("Broken")]),
            10,
            Readiness::Failed("device binding failed: claim=c, reason=R, message=\"m\"".into()),
        ),
    ] {
        assert_eq!(readiness::of(&claim(conditions), at(seconds), Duration::from_secs(600)), want);
    }
}

#[test]
fn extended_resources_become_a_claim_where_no_plugin_offers_them() {
    let mut cluster = cluster();
    let facts = node().allocatable("example.com/gpu", "4").facts();
    cluster.nodes.set("n3", facts);
    let limits = |count: &str| json!({"requests": {"cpu": "1", "example.com/gpu": count}});
    let containers = |init: &str, main: &str| {
        pod("p")
            .spec("initContainers", json!([{"name": "i", "resources": limits(init)}]))
            .spec("containers", json!([{"name": "c", "resources": limits(main)}]))
            .build()
    };
    let two = containers("1", "2");
    assert!(Filter::concerns(&plugin(), &cluster, &two));
    assert_eq!(rejected(&cluster, &two), ["n1!: cannot allocate all claims"]);
    assert!(plugin().plan(&cluster, &two, 2).unwrap().extended.is_none(), "a device plugin offers it");
    let extended = plugin().plan(&cluster, &two, 1).unwrap().extended.unwrap();
    let requests = extended.claim.spec.devices.unwrap().requests.unwrap();
    let shown: Vec<_> = requests.iter().map(|r| (r.name.as_str(), r.exactly.as_ref().unwrap().count)).collect();
    assert_eq!(shown, [("container-1-request-1", Some(2))], "the init container uses the other's");
    let mapped: Vec<_> =
        extended.mappings.iter().map(|m| (m.container_name.as_str(), m.request_name.as_str())).collect();
    assert_eq!(mapped, [("c", "container-1-request-1"), ("i", "container-1-request-1")]);
    let more = plugin()
        .plan(&cluster, &containers("2", "1"), 1)
        .unwrap()
        .extended
        .unwrap()
        .claim
        .spec
        .devices
        .unwrap()
        .requests
        .unwrap();
    let shown: Vec<_> = more.iter().map(|r| (r.name.as_str(), r.exactly.as_ref().unwrap().count)).collect();
    assert_eq!(shown, [("container-0-request-1", Some(1)), ("container-1-request-1", Some(1))]);
}
