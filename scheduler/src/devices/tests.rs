//! What claims get: pools, requests, constraints, taints, counters, shares.

use super::*;
use crate::model::selector::Labels;
use k8s_openapi::api::resource::v1 as resource;
use serde_json::{Value, json};
use std::sync::Arc;

const DRIVER: &str = "gpu.example.com";

fn typed<T: serde::de::DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).expect("of its type")
}

/// A slice of pool `p` on node `n`, with fields of its specification replaced.
fn slice(name: &str, devices: Value, changes: Value) -> Slice {
    let mut spec = json!({"driver": DRIVER, "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1},
        "nodeName": "n", "devices": devices});
    for (field, value) in changes.as_object().expect("an object") {
        spec[field] = value.clone();
    }
    Slice::of(&typed(json!({"metadata": {"name": name}, "spec": spec})))
}

fn world(slices: Vec<Slice>) -> Devices {
    let mut devices = Devices::default();
    slices.into_iter().for_each(|slice| devices.set_slice(slice));
    let selector = json!([{"cel": {"expression": format!("device.driver == '{DRIVER}'")}}]);
    for (name, spec) in [("any", json!({})), ("gpu", json!({"selectors": selector}))] {
        devices.set_class(Class::of(&typed(json!({"metadata": {"name": name}, "spec": spec}))));
    }
    devices
}

fn claim(devices: Value) -> resource::ResourceClaim {
    typed(json!({"metadata": {"namespace": "ns", "name": "c", "uid": "c"}, "spec": {"devices": devices}}))
}

/// A claim with one request, with fields replaced.
fn exactly(changes: Value) -> resource::ResourceClaim {
    claim(json!({"requests": [request("r", changes)]}))
}

fn request(name: &str, changes: Value) -> Value {
    let mut exactly = json!({"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 1});
    for (field, value) in changes.as_object().expect("an object") {
        exactly[field] = value.clone();
    }
    json!({"name": name, "exactly": exactly})
}

fn outcome(
    world: &Devices,
    claims: &[&resource::ResourceClaim],
) -> Result<Option<Vec<resource::AllocationResult>>, AllocateError> {
    let labels = Labels::from([("zone".to_owned(), "a".to_owned())]);
    allocate(world, Node { name: "n", labels: &labels }, claims, &|| false)
}

/// `request=device` of all claims, or why there is nothing.
fn got(world: &Devices, claims: &[&resource::ResourceClaim]) -> String {
    match outcome(world, claims) {
        Ok(None) => "nothing".to_owned(),
        Err(error) => error.to_string(),
        Ok(Some(results)) => {
            let devices =
                results.iter().flat_map(|result| result.devices.iter().flat_map(|d| d.results.iter().flatten()));
            devices.map(|result| format!("{}={}", result.request, result.device)).collect::<Vec<_>>().join(" ")
        }
    }
}

fn names(names: &[&str]) -> Value {
    names.iter().map(|name| json!({"name": name})).collect()
}

#[test]
fn devices_are_given_in_their_order_and_once() {
    let world = world(vec![slice("s", names(&["a", "b", "c"]), json!({}))]);
    let two = exactly(json!({"count": 2}));
    let table: [(&[&resource::ResourceClaim], &str); 4] = [
        (&[&exactly(json!({}))], "r=a"),
        (&[&two], "r=a r=b"),
        (&[&two, &exactly(json!({}))], "r=a r=b r=c"),
        (&[&two, &two], "nothing"),
    ];
    for (claims, want) in table {
        assert_eq!(got(&world, claims), want);
    }
    assert_eq!(got(&world, &[&exactly(json!({"allocationMode": "All", "count": 0}))]), "r=a r=b r=c");
}

#[test]
fn only_whole_and_current_pools_that_make_sense_are_used() {
    let pool = |generation: i64, count: i64| json!({"pool": {"name": "p", "generation": generation, "resourceSliceCount": count}});
    let all = exactly(json!({"allocationMode": "All", "count": 0}));
    let one = exactly(json!({}));
    let table = [
        ("whole", vec![slice("1", names(&["a"]), pool(1, 2)), slice("2", names(&["b"]), pool(1, 2))], "r=a", "r=a r=b"),
        (
            "incomplete",
            vec![slice("1", names(&["a"]), pool(1, 2))],
            "nothing",
            "claim ns/c, request r: asks for all devices, but resource pool gpu.example.com/p is currently being updated",
        ),
        (
            "replaced",
            vec![slice("1", names(&["old"]), pool(1, 1)), slice("2", names(&["new"]), pool(2, 1))],
            "r=new",
            "r=new",
        ),
        (
            "twice the same name",
            vec![slice("1", names(&["a"]), pool(1, 2)), slice("2", names(&["a"]), pool(1, 2))],
            "invalid resource pools were encountered",
            "claim ns/c, request r: asks for all devices, but resource pool gpu.example.com/p is currently invalid",
        ),
        ("none", vec![], "nothing", "nothing"),
    ];
    for (what, slices, of_one, of_all) in table {
        let world = world(slices);
        assert_eq!((got(&world, &[&one]).as_str(), got(&world, &[&all]).as_str()), (of_one, of_all), "{what}");
    }
    // A newer generation on other nodes makes what is here obsolete.
    let elsewhere = json!({"nodeName": "m", "pool": {"name": "p", "generation": 2, "resourceSliceCount": 2}});
    let world = world(vec![slice("1", names(&["a"]), pool(1, 2)), slice("2", names(&["b"]), elsewhere)]);
    assert_eq!(got(&world, &[&one]), "nothing");
}

#[test]
fn devices_are_reached_from_where_their_slices_say() {
    let term = |key: &str, values: Value| json!({"nodeSelectorTerms": [{"matchExpressions": [{"key": key, "operator": "In", "values": values}]}]});
    let in_zone = |zone: &str| json!({"nodeName": null, "nodeSelector": term("zone", json!([zone]))});
    let each = json!([{"name": "a", "nodeName": "m"}, {"name": "b", "nodeSelector": term("zone", json!(["a"]))}, {"name": "c", "allNodes": true}]);
    let each = |count: i64| {
        (
            exactly(json!({"count": count})),
            slice("s", each.clone(), json!({"nodeName": null, "perDeviceNodeSelection": true})),
        )
    };
    let name =
        json!({"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}]});
    let plain = |changes: Value| (exactly(json!({})), slice("s", names(&["a"]), changes));
    let table = [
        (plain(json!({})), "r=a", name),
        (plain(json!({"nodeName": "m"})), "nothing", Value::Null),
        (plain(json!({"nodeName": null, "allNodes": true})), "r=a", Value::Null),
        (plain(in_zone("a")), "r=a", term("zone", json!(["a"]))),
        (plain(in_zone("b")), "nothing", Value::Null),
        (each(1), "r=b", term("zone", json!(["a"]))),
        (each(2), "r=b r=c", term("zone", json!(["a"]))),
        (each(3), "nothing", Value::Null),
    ];
    for ((claim, slice), want, selector) in table {
        let world = world(vec![slice]);
        assert_eq!(got(&world, &[&claim]), want);
        let result = outcome(&world, &[&claim]).unwrap().and_then(|results| results.into_iter().next());
        let found = result.and_then(|result| result.node_selector);
        assert_eq!(found, (!selector.is_null()).then(|| typed(selector.clone())), "{want} {selector}");
    }
}

#[test]
fn selectors_see_attributes_and_capacity_by_domain() {
    let device = json!([{"name": "a", "attributes": {"model": {"string": "x"}, "cores": {"int": 8}, "fast": {"bool": true},
        "firmware": {"version": "1.2.3"}, "other.example.com/lane": {"int": 3}}, "capacity": {"memory": {"value": "2Gi"}}}]);
    let world = world(vec![slice("s", device, json!({}))]);
    for (expression, does) in [
        ("device.attributes['gpu.example.com'].model == 'x' && device.attributes['gpu.example.com'].cores > 7", true),
        ("device.attributes['gpu.example.com'].fast", true),
        ("device.attributes['gpu.example.com'].firmware.isGreaterThan(semver('1.2.0'))", true),
        ("device.attributes['other.example.com'].lane == 4", false),
        ("device.capacity['gpu.example.com'].memory.compareTo(quantity('2048Mi')) == 0", true),
        ("device.capacity['gpu.example.com'].memory.isGreaterThan(quantity('3Gi'))", false),
        ("'nonesuch.example.com' in device.attributes", false),
        ("'model' in device.attributes['nonesuch.example.com']", false),
        ("has(device.attributes['gpu.example.com'].model)", true),
        ("device.allowMultipleAllocations", false),
    ] {
        let claim = exactly(json!({"selectors": [{"cel": {"expression": expression}}]}));
        assert_eq!(got(&world, &[&claim]), if does { "r=a" } else { "nothing" }, "{expression}");
    }
    let broken =
        exactly(json!({"selectors": [{"cel": {"expression": "device.attributes['gpu.example.com'].nonesuch"}}]}));
    assert_eq!(got(&world, &[&broken]), "claim ns/c: selector #0: CEL runtime error: no such key: nonesuch");
    let unclassed = exactly(json!({"deviceClassName": "nonesuch"}));
    assert!(got(&world, &[&unclassed]).starts_with("claim ns/c, request r: could not retrieve device class nonesuch"));
}

#[test]
fn the_first_alternative_that_works_is_taken() {
    let world = world(vec![slice("s", names(&["a", "b"]), json!({}))]);
    let sub = |name: &str, count: i64| json!({"name": name, "deviceClassName": "gpu", "allocationMode": "ExactCount", "count": count});
    let list = |subs: Vec<Value>| {
        claim(json!({"requests": [{"name": "r", "firstAvailable": subs}],
        "constraints": [{"matchAttribute": "gpu.example.com/nonesuch", "requests": ["other"]}],
        "config": [{"requests": ["r/two"], "opaque": {"driver": DRIVER, "parameters": {"k": 2}}},
            {"requests": ["r/one"], "opaque": {"driver": DRIVER, "parameters": {"k": 1}}}]}))
    };
    let many = list(vec![sub("many", 40), sub("three", 3), sub("two", 2), sub("one", 1)]);
    assert_eq!(got(&world, &[&many]), "r/two=a r/two=b");
    let config = outcome(&world, &[&many]).unwrap().unwrap()[0].devices.clone().unwrap().config.unwrap();
    let sources: Vec<_> = config.iter().map(|c| (c.source.as_str(), c.requests.clone().unwrap())).collect();
    assert_eq!(sources, [("FromClaim", vec!["r/two".to_owned()])]);
    // An alternative that takes all but leaves nothing to the next claim is given up.
    assert_eq!(got(&world, &[&many, &exactly(json!({}))]), "r/one=a r=b");
}

#[test]
fn constraints_compare_attributes() {
    let device = |name: &str, numa: i64| json!({"name": name, "attributes": {"numa": {"int": numa}}});
    let devices = json!([device("a", 0), device("b", 1), device("c", 1), {"name": "d"}]);
    let world = world(vec![slice("s", devices, json!({}))]);
    let two = |constraint: Value| {
        claim(json!({"requests": [request("x", json!({})), request("y", json!({}))], "constraints": [constraint]}))
    };
    let numa = "gpu.example.com/numa";
    for (constraint, want) in [
        (json!({"matchAttribute": numa}), "x=b y=c"),
        (json!({"matchAttribute": numa, "requests": ["y"]}), "x=a y=b"),
        (json!({"distinctAttribute": numa}), "x=a y=b"),
        (json!({"matchAttribute": "gpu.example.com/nonesuch"}), "nothing"),
    ] {
        assert_eq!(got(&world, &[&two(constraint.clone())]), want, "{constraint}");
    }
    let all = claim(
        json!({"requests": [request("r", json!({"allocationMode": "All", "count": 0}))], "constraints": [{"matchAttribute": numa}]}),
    );
    let why = "claim ns/c, request r: cannot add device gpu.example.com/p/b because a claim constraint would not be satisfied";
    assert_eq!(got(&world, &[&all]), why);
}

#[test]
fn taints_have_to_be_tolerated_and_administrators_may_share() {
    let taint = |effect: &str| json!([{"name": "a", "taints": [{"key": "broken", "value": "yes", "effect": effect}]}]);
    let tolerate = |toleration: Value| exactly(json!({"tolerations": [toleration]}));
    let table = [
        ("NoSchedule", exactly(json!({})), "nothing"),
        ("NoExecute", exactly(json!({})), "nothing"),
        ("None", exactly(json!({})), "r=a"),
        ("NoSchedule", tolerate(json!({"key": "broken", "operator": "Exists"})), "r=a"),
        ("NoSchedule", tolerate(json!({"key": "broken", "operator": "Equal", "value": "no"})), "nothing"),
        ("NoSchedule", tolerate(json!({"operator": "Exists", "effect": "NoExecute"})), "nothing"),
    ];
    for (effect, claim, want) in table {
        assert_eq!(got(&world(vec![slice("s", taint(effect), json!({}))]), &[&claim]), want, "{effect} {claim:?}");
    }
    let world = world(vec![slice("s", names(&["a"]), json!({}))]);
    let admin = exactly(json!({"adminAccess": true}));
    assert_eq!(got(&world, &[&exactly(json!({})), &admin]), "r=a r=a");
    let result = outcome(&world, &[&admin]).unwrap().unwrap()[0].devices.clone().unwrap().results.unwrap();
    assert_eq!(result[0].admin_access, Some(true));
}

#[test]
fn parts_of_a_whole_draw_from_its_counters() {
    let draws = |name: &str, memory: &str| json!({"name": name, "consumesCounters": [{"counterSet": "whole", "counters": {"memory": {"value": memory}}}]});
    let pool = json!({"name": "p", "generation": 1, "resourceSliceCount": 2});
    let counters = json!([{"name": "whole", "counters": {"memory": {"value": "8Gi"}}}]);
    let slices = || {
        vec![
            slice(
                "1",
                json!([draws("all", "8Gi"), draws("half-0", "4Gi"), draws("half-1", "4Gi")]),
                json!({"pool": pool}),
            ),
            slice("2", json!([]), json!({"pool": pool, "sharedCounters": counters})),
        ]
    };
    let one = exactly(json!({}));
    let mut world = world(slices());
    assert_eq!(got(&world, &[&one]), "r=all");
    assert_eq!(got(&world, &[&exactly(json!({"count": 2}))]), "r=half-0 r=half-1");
    assert_eq!(got(&world, &[&exactly(json!({"count": 3}))]), "nothing");
    // What a claim has is not there any more.
    let taken = outcome(
        &world,
        &[&exactly(json!({"selectors": [{"cel": {"expression": "device.driver != ''"}}], "count": 2}))],
    );
    let taken = taken.unwrap().unwrap().remove(0);
    let key = crate::model::volumes::ClaimKey { namespace: Arc::from("ns"), name: Arc::from("other") };
    world.claims.reserve(&key, Arc::new(taken));
    assert_eq!(got(&world, &[&one]), "nothing");
    world.claims.unreserve(&key);
    assert_eq!(got(&world, &[&one]), "r=all");
    let wrong = vec![slice(
        "1",
        json!([draws("a", "1Gi")]),
        json!({"pool": {"name": "p", "generation": 1, "resourceSliceCount": 1}}),
    )];
    assert_eq!(got(&super::tests::world(wrong), &[&one]), "invalid resource pools were encountered");
}

#[test]
fn several_claims_share_a_device_until_its_capacity_is_gone() {
    let policy = json!({"default": "1Gi", "validRange": {"min": "1Gi", "step": "1Gi", "max": "6Gi"}});
    let device = json!([{"name": "a", "allowMultipleAllocations": true, "capacity": {"memory": {"value": "8Gi", "requestPolicy": policy}}}]);
    let mut world = world(vec![slice("s", device, json!({}))]);
    let ask = |memory: &str| exactly(json!({"capacity": {"requests": {"memory": memory}}}));
    assert_eq!(got(&world, &[&ask("7Gi")]), "nothing", "more than one may have");
    assert_eq!(got(&world, &[&exactly(json!({"capacity": {"requests": {"nonesuch": "1"}}}))]), "nothing");
    let first = outcome(&world, &[&ask("4500Mi")]).unwrap().unwrap().remove(0);
    let result = first.devices.clone().unwrap().results.unwrap().remove(0);
    assert_eq!(result.consumed_capacity.unwrap()["memory"].0, "5Gi", "rounded up");
    assert!(result.share_id.is_some());
    let key = crate::model::volumes::ClaimKey { namespace: Arc::from("ns"), name: Arc::from("other") };
    world.claims.reserve(&key, Arc::new(first));
    assert_eq!(got(&world, &[&ask("4Gi")]), "nothing");
    assert_eq!(got(&world, &[&ask("2Gi"), &exactly(json!({}))]), "r=a r=a", "the default is one");
    assert_eq!(got(&world, &[&ask("2Gi"), &ask("2Gi")]), "nothing");
    world.claims.unreserve(&key);
    assert_eq!(got(&world, &[&ask("4Gi"), &ask("4Gi")]), "r=a r=a");
}

#[test]
fn a_claim_has_no_more_than_so_many_devices() {
    let many: Vec<_> = (0..40).map(|i| format!("d{i:02}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let world = world(vec![slice("s", names(&many), json!({}))]);
    let why = "claim ns/c: number of requested devices 33 exceeds the claim limit of 32";
    assert_eq!(got(&world, &[&exactly(json!({"count": 33}))]), why);
    assert_eq!(got(&world, &[&exactly(json!({"count": 32}))]).split(' ').count(), 32);
}

#[test]
fn the_search_ends_when_it_takes_too_long() {
    let world = world(vec![slice("s", names(&["a"]), json!({}))]);
    let (claim, labels) = (exactly(json!({})), Labels::new());
    let node = Node { name: "n", labels: &labels };
    assert_eq!(allocate(&world, node, &[&claim], &|| true), Err(AllocateError::Late));
}

#[test]
fn what_is_written_counts_until_the_apiserver_shows_it() {
    let mut devices = world(vec![slice("s", names(&["a"]), json!({}))]);
    let key = crate::model::volumes::ClaimKey { namespace: Arc::from("ns"), name: Arc::from("c") };
    let shown = |version: &str, status: Value| {
        let mut claim = exactly(json!({}));
        claim.metadata.resource_version = Some(version.to_owned());
        claim.status = (!status.is_null()).then(|| typed(status));
        Arc::new(claim)
    };
    let one = exactly(json!({}));
    let allocation = outcome(&devices, &[&one]).unwrap().unwrap().remove(0);
    let status = json!({"allocation": serde_json::to_value(&allocation).unwrap()});
    devices.claims.set(&key, shown("1", Value::Null));
    devices.claims.reserve(&key, Arc::new(allocation));
    assert_eq!((got(&devices, &[&one]).as_str(), devices.claims.is_pending(&key)), ("nothing", true));
    devices.claims.written(&key, shown("3", status.clone()));
    // An older state, shown late, changes nothing.
    devices.claims.set(&key, shown("2", Value::Null));
    assert_eq!((got(&devices, &[&one]).as_str(), devices.claims.is_pending(&key)), ("nothing", false));
    devices.claims.set(&key, shown("4", status));
    assert_eq!(got(&devices, &[&one]), "nothing");
    devices.claims.set(&key, shown("5", Value::Null));
    assert_eq!(got(&devices, &[&one]), "r=a");
    devices.claims.remove(&key);
    assert_eq!(got(&devices, &[&one]), "r=a");
}
