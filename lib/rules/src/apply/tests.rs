//! Writes and applies in sequence, as clients make them.

use super::testing::ty;
use super::*;
use proptest::prelude::*;
use serde_json::json;

const NOW: &str = "2026-01-01T00:00:00Z";

fn with_writer<T>(kind: (&str, &str), manager: &str, run: impl FnOnce(&Writer<'_>) -> T) -> T {
    let (ty, _) = ty(kind.0, "v1", kind.1);
    let api_version = apimachinery::gvk::api_version(kind.0, "v1");
    run(&Writer {
        manager,
        api_version: &api_version,
        subresource: "",
        now: NOW,
        ty: &ty,
        reset: Reset(&[&["status"]]),
        convert: &|_, _| None,
    })
}

const MAP: (&str, &str) = ("", "ConfigMap");
const DEPLOYMENT: (&str, &str) = ("apps", "Deployment");

/// An object that has been stored.
fn stored(mut object: Value) -> Value {
    object.set_meta("uid", "u");
    object
}

fn create(kind: (&str, &str), manager: &str, mut object: Value) -> Value {
    with_writer(kind, manager, |writer| track(writer, &Value::Null, &mut object));
    apimachinery::codec::fields::open(&mut object);
    stored(object)
}

fn update(kind: (&str, &str), manager: &str, live: &Value, change: impl FnOnce(&mut Value)) -> Value {
    let mut new = live.clone();
    change(&mut new);
    with_writer(kind, manager, |writer| track(writer, live, &mut new));
    new
}

fn put(kind: (&str, &str), manager: &str, live: &Value, config: &Value) -> Value {
    stored(with_writer(kind, manager, |writer| apply(writer, live, config, false)).expect("applied"))
}

fn force(kind: (&str, &str), manager: &str, live: &Value, config: &Value) -> Value {
    stored(with_writer(kind, manager, |writer| apply(writer, live, config, true)).expect("applied"))
}

fn conflict(kind: (&str, &str), manager: &str, live: &Value, config: &Value) -> String {
    with_writer(kind, manager, |writer| apply(writer, live, config, false)).expect_err("a conflict").to_string()
}

/// The fields of each manager, by name and operation.
fn managers(object: &Value) -> Value {
    let list = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let named = list.map(|entry| {
        let key = format!(
            "{} {}",
            entry["manager"].as_str().unwrap_or_default(),
            entry["operation"].as_str().unwrap_or_default()
        );
        (key, entry["fieldsV1"].clone())
    });
    Value::Object(named.collect())
}

fn config_map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n"}, "data": data})
}

#[test]
fn creates_and_updates_are_tracked() {
    let live = create(MAP, "one", config_map(json!({"a": "1", "b": "2"})));
    let entry = &live["metadata"]["managedFields"][0];
    let want = json!({"manager": "one", "operation": "Update", "apiVersion": "v1", "time": NOW, "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": {".": {}, "f:a": {}, "f:b": {}}}});
    assert_eq!(entry, &want);
    let live = update(MAP, "two", &live, |new| new["data"] = json!({"a": "1", "b": "3", "c": "4"}));
    let want =
        json!({"one Update": {"f:data": {".": {}, "f:a": {}}}, "two Update": {"f:data": {"f:b": {}, "f:c": {}}}});
    assert_eq!(managers(&live), want);
    let live = update(MAP, "three", &live, |new| new["data"] = json!({"b": "3"}));
    assert_eq!(managers(&live), json!({"one Update": {"f:data": {}}, "two Update": {"f:data": {"f:b": {}}}}));
    assert_eq!(update(MAP, "four", &live, |_| {}), live);
}

#[test]
fn a_repeated_write_renews_the_time_only() {
    let mut live = create(MAP, "one", config_map(json!({"a": "1"})));
    live["metadata"]["managedFields"][0]["time"] = "2020-01-01T00:00:00Z".into();
    let new = update(MAP, "one", &live, |new| new["data"]["a"] = "2".into());
    assert_eq!(managers(&new), managers(&live));
    assert_eq!(new["metadata"]["managedFields"][0]["time"], NOW);
}

#[test]
fn clients_may_leave_out_set_and_reset_managed_fields() {
    let live = create(MAP, "one", config_map(json!({"a": "1"})));
    let without = update(MAP, "two", &live, |new| drop(new.metadata_mut().remove(MANAGED_FIELDS)));
    assert_eq!(managers(&without), managers(&live));
    let renamed = update(MAP, "two", &live, |new| new["metadata"][MANAGED_FIELDS][0]["manager"] = "other".into());
    assert_eq!(managers(&renamed), json!({"other Update": {"f:data": {".": {}, "f:a": {}}}}));
    let garbled = update(MAP, "two", &live, |new| new["metadata"][MANAGED_FIELDS][0]["fieldsType"] = "V2".into());
    assert_eq!(managers(&garbled), managers(&live));
    for reset in [json!([]), json!([{}])] {
        let bare = update(MAP, "two", &live, |new| new["metadata"][MANAGED_FIELDS] = reset);
        assert_eq!(bare["metadata"].get(MANAGED_FIELDS), None);
        let still = update(MAP, "two", &bare, |new| new["data"]["b"] = "2".into());
        assert_eq!(still["metadata"].get(MANAGED_FIELDS), None);
        let config = config_map(json!({"b": "3"}));
        let live = force(MAP, "three", &bare, &config);
        let want = json!({"before-first-apply Update": {"f:data": {".": {}, "f:a": {}}}, "three Apply": {"f:data": {"f:b": {}}}});
        assert_eq!(managers(&live), want);
    }
}

#[test]
fn what_is_no_longer_applied_goes() {
    let live = put(MAP, "one", &Value::Null, &config_map(json!({"a": "1", "b": "2", "c": "3"})));
    let live = put(MAP, "two", &live, &config_map(json!({"b": "2"})));
    let live = update(MAP, "three", &live, |new| new["data"]["d"] = "4".into());
    let live = put(MAP, "one", &live, &config_map(json!({"a": "1"})));
    assert_eq!(live["data"], json!({"a": "1", "b": "2", "d": "4"}));
    let want = json!({"one Apply": {"f:data": {"f:a": {}}}, "two Apply": {"f:data": {"f:b": {}}},
        "three Update": {"f:data": {"f:d": {}}}});
    assert_eq!(managers(&live), want);
    let again = put(MAP, "one", &live, &config_map(json!({"a": "1"})));
    assert_eq!(again, live);
}

#[test]
fn list_elements_are_applied_one_by_one() {
    let deployment = |containers: Value| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "n"},
            "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"spec": {"containers": containers}}}})
    };
    let two = deployment(json!([{"name": "x", "image": "1"}, {"name": "y", "image": "1"}]));
    let live = put(DEPLOYMENT, "one", &Value::Null, &two);
    let live = update(DEPLOYMENT, "two", &live, |new| {
        new["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["z"]);
        new["spec"]["replicas"] = 3.into();
    });
    let live = put(DEPLOYMENT, "one", &live, &deployment(json!([{"name": "x", "image": "2"}])));
    assert_eq!(live["spec"]["template"]["spec"]["containers"], json!([{"name": "x", "image": "2", "args": ["z"]}]));
    assert_eq!(live["spec"]["replicas"], 3);
}

#[test]
fn others_fields_are_conflicts_unless_forced() {
    let live = create(MAP, "x", config_map(json!({"a": "1", "b": "2"})));
    let config = config_map(json!({"a": "2"}));
    assert_eq!(
        conflict(MAP, "one", &live, &config),
        "Apply failed with 1 conflict: conflict with \"x\" using v1: .data.a"
    );
    let same = put(MAP, "one", &live, &config_map(json!({"a": "1"})));
    assert_eq!(managers(&same)["one Apply"], json!({"f:data": {"f:a": {}}}));
    assert_eq!(managers(&same)["x Update"], managers(&live)["x Update"]);
    let forced = force(MAP, "one", &live, &config);
    let want = json!({"one Apply": {"f:data": {"f:a": {}}}, "x Update": {"f:data": {".": {}, "f:b": {}}}});
    assert_eq!((managers(&forced), &forced["data"]), (want, &json!({"a": "2", "b": "2"})));
}

#[test]
fn kubectl_takes_over_what_it_applied_before() {
    let last = config_map(json!({"a": "1", "b": "2"}));
    let mut object = last.clone();
    object["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration": last.to_string()});
    let live = create(MAP, "kubectl-client-side-apply", object);
    let config = config_map(json!({"a": "2"}));
    assert!(conflict(MAP, "helm", &live, &config).contains("kubectl-client-side-apply"));
    let taken = put(MAP, "kubectl", &live, &config);
    assert_eq!(taken["data"]["a"], "2");
    let annotation = &taken["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"];
    assert_eq!(annotation, &json!(format!("{config}\n")));
    // What has changed since is somebody else's.
    let live = update(MAP, "else", &live, |new| new["data"]["a"] = "9".into());
    assert_eq!(
        conflict(MAP, "kubectl", &live, &config),
        "Apply failed with 1 conflict: conflict with \"else\" using v1: .data.a"
    );
}

#[test]
fn configurations_must_fit() {
    for (config, want) in [
        (
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n"}, "dat": {}}),
            "failed to create typed patch object (n/a; /v1, Kind=ConfigMap): .dat: field not declared in schema",
        ),
        (json!({"metadata": {"managedFields": []}}), "metadata.managedFields must be nil"),
    ] {
        assert_eq!(conflict(MAP, "one", &Value::Null, &config), want);
    }
}

#[test]
fn nobody_manages_the_status_of_a_main_write() {
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "generateName": "g"},
        "spec": {"replicas": 1}, "status": {"replicas": 1}});
    let live = create(DEPLOYMENT, "", object);
    assert_eq!(
        managers(&live),
        json!({"unknown Update": {"f:metadata": {"f:generateName": {}}, "f:spec": {"f:replicas": {}}}})
    );
}

fn any_data() -> impl Strategy<Value = Value> {
    proptest::collection::btree_map("[a-d]", "[12]", 0..4).prop_map(|data| config_map(json!(data)))
}

/// Any tree, most of which fits no type.
fn any_tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-c]".prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let names = prop_oneof![
            "metadata",
            "spec",
            "containers",
            "name",
            "ports",
            "labels",
            "env",
            "finalizers",
            "managedFields",
            "f:a"
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((names, inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn applying_twice_is_applying_once(first in any_data(), second in any_data(), third in any_data()) {
        let live = force(MAP, "one", &Value::Null, &first);
        let live = force(MAP, "two", &live, &second);
        let live = force(MAP, "one", &live, &third);
        prop_assert_eq!(&force(MAP, "one", &live, &third), &live);
        for (key, value) in third["data"].as_object().expect("an object") {
            prop_assert_eq!(&live["data"][key], value);
        }
    }

    #[test]
    fn a_tracked_update_leaves_each_field_one_updater(first in any_data(), second in any_data()) {
        let live = create(MAP, "one", first);
        let new = update(MAP, "two", &live, |new| new["data"] = second["data"].clone());
        let (all, data) = (managers(&new), new["data"].as_object().expect("an object").clone());
        for key in data.keys() {
            let owners = ["one Update", "two Update"].iter().filter(|m| all[**m]["f:data"].get(format!("f:{key}")).is_some());
            prop_assert_eq!(owners.count(), 1, "{} in {}", key, all);
        }
    }

    #[test]
    fn nothing_panics(live in any_tree(), config in any_tree(), new in any_tree()) {
        with_writer(("", "Pod"), "kubectl", |writer| {
            let _ = apply(writer, &live, &config, true);
            let _ = apply(writer, &live, &config, false);
            let mut new = new;
            track(writer, &live, &mut new);
        });
    }
}
