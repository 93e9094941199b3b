//! Classes, claims and slices, right and wrong.

use super::*;
use serde_json::json;

fn texts(check: impl FnOnce(&mut Report)) -> Vec<String> {
    let mut report = Report::default();
    check(&mut report);
    report.finish().iter().map(ToString::to_string).collect()
}

/// An object with another value at one place.
fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    match object.pointer_mut(parent).expect(pointer) {
        Value::Array(list) => list[key.parse::<usize>().expect("an index")] = value,
        other => other[key] = value,
    }
    object
}

#[test]
fn classes() {
    let object = json!({"spec": {"selectors": [{"cel": {"expression": "true"}}], "extendedResourceName": "a.b/c",
        "config": [{"opaque": {"driver": "D.example.com", "parameters": {"a": "b"}}}]}});
    assert_eq!(texts(|out| class(&object, out)), [""; 0]);
    for (pointer, value, want) in [
        ("/spec/selectors/0", json!({}), "spec.selectors[0].cel: Required value"),
        (
            "/spec/extendedResourceName",
            json!("cpu"),
            "spec.extendedResourceName: Invalid value: \"cpu\": must be a valid extended resource name",
        ),
        ("/spec/config/0", json!({}), "spec.config[0].opaque: Required value"),
        ("/spec/config/0/opaque/driver", json!(""), "spec.config[0].opaque.driver: Required value"),
        (
            "/spec/config/0/opaque/parameters",
            json!([]),
            "spec.config[0].opaque.parameters: Invalid value: \"<value omitted>\": must be a valid JSON object",
        ),
        (
            "/spec/config/0/opaque/parameters",
            json!({"a": "x".repeat(10 * 1024)}),
            "spec.config[0].opaque.parameters: Too long: may not be more than 10240 bytes",
        ),
        ("/spec/config", json!(vec![json!({}); 33]), "spec.config: Too many: 33: must have at most 32 items"),
    ] {
        assert_eq!(texts(|out| class(&with(object.clone(), pointer, value), out)), [want]);
    }
    let long = with(object, "/spec/config/0/opaque/parameters", json!({"a": "x".repeat(10 * 1024)}));
    assert_eq!(texts(|out| class_update(&long, &long, out)), [""; 0], "what is stored stays");
}

fn new_claim() -> Value {
    json!({"spec": {"devices": {
        "requests": [
            {"name": "r", "exactly": {"deviceClassName": "c", "allocationMode": "ExactCount", "count": 1,
                "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoSchedule"}]}},
            {"name": "q", "firstAvailable": [{"name": "s", "deviceClassName": "c", "allocationMode": "All"}]}],
        "constraints": [{"requests": ["r", "q/s"], "matchAttribute": "x.com/y"}],
        "config": [{"requests": ["q"], "opaque": {"driver": "d", "parameters": {}}}]}}})
}

#[test]
fn claims_and_templates() {
    assert_eq!(texts(|out| claim(&new_claim(), out)), [""; 0]);
    assert_eq!(texts(|out| claim_template(&json!({"spec": {"spec": new_claim()["spec"]}}), out)), [""; 0]);
    for (pointer, value, want) in [
        ("/requests/0/exactly/deviceClassName", json!(""), "requests[0].exactly.deviceClassName: Required value"),
        (
            "/requests/0/exactly/count",
            json!(0),
            "requests[0].exactly.count: Invalid value: 0: must be greater than zero",
        ),
        (
            "/requests/1/firstAvailable/0/count",
            json!(1),
            "requests[1].firstAvailable[0].count: Invalid value: 1: must not be specified when allocationMode is 'All'",
        ),
        (
            "/requests/0/exactly/allocationMode",
            json!("Some"),
            "requests[0].exactly.allocationMode: Unsupported value: \"Some\": supported values: \"All\", \"ExactCount\"",
        ),
        (
            "/requests/0/exactly/tolerations/0/value",
            json!("x"),
            "requests[0].exactly.tolerations[0].value: Invalid value: \"x\": must be empty for operator `Exists`",
        ),
        (
            "/requests/0/exactly/tolerations/0/operator",
            json!(""),
            "requests[0].exactly.tolerations[0].operator: Required value",
        ),
        (
            "/requests/0/exactly",
            json!(null),
            "requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required",
        ),
        (
            "/requests/0/firstAvailable",
            json!([{}]),
            "requests[0]: Invalid value: null: exactly one of `exactly` or `firstAvailable` is required, but multiple \
             fields are set",
        ),
        ("/constraints/0/requests/1", json!("r"), "constraints[0].requests[1]: Duplicate value: \"r\""),
        (
            "/constraints/0/requests/1",
            json!("q/t"),
            "constraints[0].requests[1]: Invalid value: \"q/t\": must be the name of a request in the claim or the \
             name of a request and a subrequest separated by '/'",
        ),
        (
            "/constraints/0/matchAttribute",
            json!("y"),
            "constraints[0].matchAttribute: Invalid value: \"y\": a fully qualified name must be a domain and a name \
             separated by a slash",
        ),
        (
            "/constraints/0/matchAttribute",
            json!(null),
            "constraints[0]: Required value: exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, \
             but multiple fields are set",
        ),
    ] {
        let object = with(new_claim(), &format!("/spec/devices{pointer}"), value);
        assert_eq!(texts(|out| claim(&object, out)), [format!("spec.devices.{want}")]);
    }
}

fn new_slice() -> Value {
    json!({"spec": {"driver": "d.example.com", "pool": {"name": "p", "resourceSliceCount": 1}, "nodeName": "n",
        "devices": [{"name": "a", "attributes": {"v": {"version": "1.0.0-a.1+b"}, "x.com/y": {"int": 1}},
            "capacity": {"mem": {"value": "1Gi"}}, "taints": [{"key": "a", "effect": "None"}]}]}})
}

#[test]
fn slices() {
    assert_eq!(texts(|out| slice(&new_slice(), out)), [""; 0]);
    assert_eq!(texts(|out| slice_update(&new_slice(), &new_slice(), out)), [""; 0]);
    for (pointer, value, want) in [
        ("/driver", json!(""), "spec.driver: Required value"),
        ("/pool/name", json!(""), "spec.pool.name: Required value"),
        (
            "/pool/generation",
            json!(-1),
            "spec.pool.generation: Invalid value: -1: must be greater than or equal to zero",
        ),
        (
            "/nodeName",
            json!(null),
            "spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is \
             required",
        ),
        (
            "/allNodes",
            json!(true),
            "spec: Invalid value: \"{`nodeName`, `allNodes`}\": exactly one of `nodeName`, `nodeSelector`, `allNodes`, \
             `perDeviceNodeSelection` is required, but multiple fields are set",
        ),
        ("/allNodes", json!(false), "spec.allNodes: Invalid value: false: must be either unset or set to true"),
        (
            "/devices/0/allNodes",
            json!(true),
            "spec.devices[0]: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if \
             `perDeviceNodeSelection` is set to true in the ResourceSlice spec",
        ),
        (
            "/devices/0/attributes/v/version",
            json!("1.0"),
            "spec.devices[0].attributes[v].version: Invalid value: \"1.0\": must be a string compatible with \
             semver.org spec 2.0.0",
        ),
        (
            "/devices/0/attributes/v",
            json!({}),
            "spec.devices[0].attributes[v]: Invalid value: \"\": exactly one value must be specified",
        ),
        (
            "/devices/0/attributes/v/int",
            json!(1),
            "spec.devices[0].attributes[v]: Invalid value: {\"IntValue\":1,\"BoolValue\":null,\"StringValue\":null,\
             \"VersionValue\":\"1.0.0-a.1+b\",\"IntValues\":null,\"BoolValues\":null,\"StringValues\":null,\
             \"VersionValues\":null}: exactly one value must be specified",
        ),
        ("/devices/0/taints/0/effect", json!(""), "spec.devices[0].taints[0].effect: Required value"),
        (
            "/devices/0/capacity/mem/requestPolicy",
            json!({}),
            "spec.devices[0].capacity[mem].requestPolicy: Forbidden: allowMultipleAllocations must be true",
        ),
        (
            "/devices/0/bindingConditions",
            json!(["a"]),
            "spec.devices[0].bindingFailureConditions: Invalid value: null: bindingFailureConditions are required to \
             use bindingConditions",
        ),
        (
            "/devices/0/consumesCounters",
            json!([{"counterSet": "c"}]),
            "spec.devices[0].consumesCounters[0].counters: Required value",
        ),
    ] {
        assert_eq!(texts(|out| slice(&with(new_slice(), &format!("/spec{pointer}"), value), out)), [want]);
    }
    let moved = with(new_slice(), "/spec/pool/name", json!("q"));
    assert_eq!(
        texts(|out| slice_update(&moved, &new_slice(), out)),
        ["spec.pool.name: Invalid value: \"q\": field is immutable"]
    );
}

#[test]
fn request_policies() {
    for (policy, want) in [
        (json!({"default": "1", "validValues": ["1", "2"]}), &[][..]),
        (json!({"default": "2", "validRange": {"min": "1", "max": "3", "step": "1"}}), &[]),
        (json!({"validValues": ["1"]}), &["default: Required value: required when validValues is defined"]),
        (
            json!({"default": "3", "validValues": ["2", "1"]}),
            &[
                "validValues[1]: Invalid value: \"1\": values must be sorted in ascending order",
                "validValues: Invalid value: \"3\": default value is not valid according to the requestPolicy",
            ],
        ),
        (
            json!({"default": "1", "validRange": {}}),
            &["validRange.min: Required value: required when validRange is defined"],
        ),
        (
            json!({"default": "5", "validRange": {"min": "1", "max": "3"}}),
            &["validRange.max: Invalid value: \"5\": default is more than max: 3"],
        ),
        (
            json!({"default": "2", "validRange": {"min": "1", "step": "2"}}),
            &["validRange.step: Invalid value: \"2\": value is not a multiple of a given step (2) from (1)"],
        ),
    ] {
        let capacity = json!({"value": "4", "requestPolicy": policy});
        let want: Vec<String> = want.iter().map(|text| format!("a.requestPolicy.{text}")).collect();
        assert_eq!(texts(|out| capacity::check(&At::root("a"), &capacity, true, out)), want, "{policy}");
    }
}

#[test]
fn statuses() {
    let claim = |status: Value| with(new_claim(), "/status", status);
    let result = json!({"request": "r", "driver": "d", "pool": "p", "device": "a"});
    let allocation = json!({"devices": {"results": [result]}});
    let consumer = json!({"resource": "pods", "name": "a", "uid": "1"});
    let device = json!({"driver": "d", "pool": "p", "device": "a"});
    let right = json!({"allocation": allocation, "reservedFor": [consumer], "devices": [device]});
    let none = claim(json!({}));
    assert_eq!(texts(|out| claim_status(&claim(right.clone()), &none, out)), [""; 0]);
    for (status, want) in [
        (
            json!({"reservedFor": [consumer]}),
            "status.reservedFor: Forbidden: may not be specified when `allocated` is not set",
        ),
        (
            with(right.clone(), "/reservedFor", json!([consumer, consumer])),
            "status.reservedFor[1]: Duplicate value: \"1\"",
        ),
        (with(right.clone(), "/reservedFor/0/uid", json!("")), "status.reservedFor[0].uid: Required value"),
        (
            with(right.clone(), "/devices/0/device", json!("b")),
            "status.devices[0]: Invalid value: {\"Driver\":\"d\",\"Pool\":\"p\",\"Device\":\"b\",\"ShareID\":\"\"}: must be an allocated device in the claim",
        ),
        (
            with(right.clone(), "/devices/0/networkData", json!({"ips": ["10.0.0.1"]})),
            "status.devices[0].networkData.ips[0]: Invalid value: \"10.0.0.1\": must be a valid address in CIDR form, \
             (e.g. 10.9.8.7/24 or 2001:db8::1/64)",
        ),
        (
            with(right.clone(), "/allocation/devices/results/0/shareID", json!("x")),
            "status.allocation.devices.results[0].shareID: Invalid value: \"x\": error validating uid: invalid UUID \
             length: 1",
        ),
        (
            with(right.clone(), "/allocation/devices/config", json!([{"opaque": {"driver": "d", "parameters": {}}}])),
            "status.allocation.devices.config[0].source: Required value",
        ),
    ] {
        let found = texts(|out| claim_status(&claim(status.clone()), &none, out));
        assert!(found.contains(&want.to_owned()), "{status}: {found:?}");
    }
    let other = with(right.clone(), "/allocation/devices/results/0/pool", json!("q"));
    assert!(
        texts(|out| claim_status(&claim(other), &claim(right), out)).iter().any(|t| t.ends_with("field is immutable"))
    );
}
