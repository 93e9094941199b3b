//! Cases of strategic merge patches, and what holds for all of them.

use super::*;
use apimachinery::gvk::GroupVersionKind;
use proptest::prelude::*;
use serde_json::json;

fn ty(group: &'static str, kind: &'static str) -> TypeRef {
    Schema::builtin().kind(&GroupVersionKind::new(group, "v1", kind)).expect("built in")
}

fn pod(target: &Value, patch: &Value) -> Result<Value, PatchError> {
    apply(&ty("", "Pod"), json!({ "spec": target }), &json!({ "spec": patch })).map(|mut pod| pod["spec"].take())
}

#[test]
fn members_merge_and_null_removes() {
    let target = json!({"nodeSelector": {"a": "1", "b": "2"}, "hostname": "h", "priority": 1});
    let patch = json!({"nodeSelector": {"b": null, "c": "3"}, "hostname": null, "priority": 2, "nodeName": null});
    assert_eq!(pod(&target, &patch), Ok(json!({"nodeSelector": {"a": "1", "c": "3"}, "priority": 2})));
}

#[test]
fn lists_merge_by_key() {
    let target = json!({"containers": [{"name": "a", "image": "1", "args": ["x"]}, {"name": "b", "image": "1"}]});
    for (patch, want) in [
        (
            json!({"containers": [{"name": "b", "image": "2"}]}),
            json!([{"name": "a", "image": "1", "args": ["x"]}, {"name": "b", "image": "2"}]),
        ),
        (
            json!({"containers": [{"name": "a", "args": ["y"], "image": null}]}),
            json!([{"name": "a", "args": ["y"]}, {"name": "b", "image": "1"}]),
        ),
        (
            json!({"containers": [{"name": "c", "image": "3", "command": null}]}),
            // New elements go in front and keep their nulls, as upstream has it.
            json!([{"name": "c", "image": "3", "command": null}, {"name": "a", "image": "1", "args": ["x"]}, {"name": "b", "image": "1"}]),
        ),
        (
            json!({"containers": [{"$patch": "delete", "name": "a"}, {"name": "d"}]}),
            json!([{"name": "d"}, {"name": "b", "image": "1"}]),
        ),
        (json!({"containers": [{"$patch": "replace"}, {"name": "z"}]}), json!([{"name": "z"}])),
    ] {
        assert_eq!(pod(&target, &patch), Ok(json!({ "containers": want })), "{patch}");
    }
}

#[test]
fn the_patch_may_give_the_order() {
    let target = json!({"containers": [{"name": "a"}, {"name": "server"}, {"name": "b"}]});
    let order = |names: &[&str]| names.iter().map(|n| json!({ "name": n })).collect::<Vec<Value>>();
    for (names, changed, want) in [
        (&["b", "a"][..], json!([]), vec!["server", "b", "a"]),
        (&["a", "b"], json!([]), vec!["a", "server", "b"]),
        (&["new", "a", "b"], json!([{"name": "new"}]), vec!["new", "a", "server", "b"]),
        (&["b"], json!([{"$patch": "delete", "name": "a"}]), vec!["server", "b"]),
    ] {
        let patch = json!({"$setElementOrder/containers": order(names), "containers": changed});
        assert_eq!(pod(&target, &patch), Ok(json!({ "containers": order(&want) })), "{names:?}");
    }
    let wrong = json!({"$setElementOrder/containers": order(&["a"]), "containers": [{"name": "x"}]});
    assert!(matches!(pod(&target, &wrong), Err(PatchError::Failed(_))));
    let absent = json!({"$setElementOrder/volumes": order(&["a"])});
    assert_eq!(pod(&target, &absent), Ok(target.clone()));
}

#[test]
fn scalars_merge_as_sets() {
    let finalizers = |target: Value, patch: Value| {
        let merged = apply(&ty("", "ConfigMap"), json!({ "metadata": target }), &json!({ "metadata": patch }));
        merged.map(|mut object| object["metadata"].take())
    };
    let target = json!({"finalizers": ["a", "b"]});
    for (patch, want) in [
        (json!({"finalizers": ["b", "c"]}), json!(["a", "b", "c"])),
        (json!({"$deleteFromPrimitiveList/finalizers": ["a", "x"]}), json!(["b"])),
        (
            json!({"$deleteFromPrimitiveList/finalizers": ["a"], "$setElementOrder/finalizers": ["c", "b"], "finalizers": ["c"]}),
            json!(["c", "b"]),
        ),
    ] {
        assert_eq!(finalizers(target.clone(), patch.clone()), Ok(json!({ "finalizers": want })), "{patch}");
    }
    // A list without a strategy is replaced.
    assert_eq!(
        pod(
            &json!({"containers": [{"name": "a", "args": ["x"]}]}),
            &json!({"containers": [{"name": "a", "args": ["y"]}]})
        ),
        Ok(json!({"containers": [{"name": "a", "args": ["y"]}]}))
    );
}

#[test]
fn retain_keys_drops_the_others() {
    let deployment = |target: Value, patch: Value| {
        apply(&ty("apps", "Deployment"), json!({"spec": {"strategy": target}}), &json!({"spec": {"strategy": patch}}))
            .map(|mut object| object["spec"]["strategy"].take())
    };
    let rolling = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}});
    assert_eq!(
        deployment(rolling.clone(), json!({"$retainKeys": ["type"], "type": "Recreate"})),
        Ok(json!({"type": "Recreate"}))
    );
    let wrong = deployment(rolling.clone(), json!({"$retainKeys": [], "type": "Recreate"}));
    assert!(matches!(wrong, Err(PatchError::Malformed(_))));
    let volumes = json!({"volumes": [{"name": "v", "emptyDir": {}}]});
    let patch = json!({"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/"}}]});
    assert_eq!(pod(&volumes, &patch), Ok(json!({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]})));
}

#[test]
fn objects_obey_directives() {
    let target = json!({"securityContext": {"runAsUser": 1}, "containers": []});
    let replaced = pod(&target, &json!({"securityContext": {"$patch": "replace", "runAsGroup": 2}}));
    assert_eq!(replaced, Ok(json!({"securityContext": {"runAsGroup": 2}, "containers": []})));
    let deleted = pod(&target, &json!({"securityContext": {"$patch": "delete"}}));
    assert_eq!(deleted, Ok(json!({"securityContext": {}, "containers": []})));
    let added = pod(
        &json!({}),
        &json!({"affinity": {"$patch": "delete"}, "securityContext": {"$retainKeys": ["a"], "x": null, "runAsUser": 3}}),
    );
    // Without a target only `$patch` is a directive.
    assert_eq!(added, Ok(json!({"securityContext": {"$retainKeys": ["a"], "runAsUser": 3}})));
    let list = pod(&json!({}), &json!({"containers": [{"$patch": "replace"}, {"name": "a"}]}));
    assert_eq!(list, Ok(json!({"containers": [{"name": "a"}]})));
    let wrong = pod(&target, &json!({"securityContext": {"$patch": "explode"}}));
    assert!(matches!(wrong, Err(PatchError::Failed(_))));
}

#[test]
fn nonsense_is_refused() {
    let target = json!({"containers": [{"name": "a"}]});
    for patch in [
        json!({"containers": [{"image": "no name"}]}),
        json!({"$setElementOrder/containers": "a"}),
        json!({"$deleteFromPrimitiveList": ["a"]}),
        json!({"containers": [{"name": "a"}, 5]}),
        json!({"containers": [{"name": "b", "$patch": "merge"}]}),
    ] {
        let refused = pod(&target, &patch);
        assert!(matches!(refused, Err(PatchError::Malformed(_) | PatchError::Failed(_))), "{patch}");
    }
    assert!(apply(&ty("", "Pod"), json!({}), &json!([])).is_err());
    let ignored = json!({"$deleteFromPrimitiveList/containers": 1, "$deleteFromPrimitiveList/x": ["a"]});
    assert_eq!(pod(&target, &ignored), Ok(target));
}

#[test]
fn errors_are_in_upstreams_words() {
    let target = json!({"containers": [{"name": "a"}], "nodeSelector": {"a": "b"}, "securityContext": {}});
    for (patch, want) in [
        (json!({"$setElementOrder/containers": "a"}), "expected a []interface {}, but received a string"),
        (json!({"$setElementOrder/x": ["a"]}), "unable to find api field in struct PodSpec for the json field \"x\""),
        (json!({"$setElementOrder/hostname": []}), "expected slice or array type, but got: struct"),
        (json!({"$setElementOrder": []}), "invalid patch format of setElementOrder list"),
        (json!({"$deleteFromPrimitiveList": []}), "invalid patch format of primitive list"),
        (json!({"$retainKeys": 1}), "invalid patch format of retainKeys"),
        (json!({"$retainKeys": [{}]}), "runtime error: hash of unhashable type map[string]interface {}"),
        (json!({"nodeSelector": {"$setElementOrder/a": ["b"]}}), "expected a []interface {}, but received a string"),
        (
            json!({"nodeSelector": {"$setElementOrder/c": ["b"]}}),
            "merging an object in json but data type is not struct, instead is: map",
        ),
        (json!({"containers": [5]}), "list element types are not identical: [[map[name:a]] [5]]"),
        (json!({"containers": [{"x": null}]}), "map: map[x:<nil>] does not contain declared merge key: name"),
        (
            json!({"$setElementOrder/containers": ["a"], "containers": [{"name": "a"}]}),
            "expected a map[string]interface {}, but received a string",
        ),
        (
            json!({"$setElementOrder/containers": [{"name": "b"}], "containers": [{"name": "a"}]}),
            "The order in patch list:\n[map[name:a]]\n doesn't match $setElementOrder list:\n[map[name:b]]\n",
        ),
        (json!({"securityContext": {"$patch": 5}}), "unknown patch type: %!s(int64=5) in map: map[$patch:5]"),
        (json!({"securityContext": {"$patch": "merge"}}), "unknown patch type: merge in map: map[$patch:merge]"),
    ] {
        assert_eq!(pod(&target, &patch).map_err(|error| error.to_string()), Err(want.to_owned()), "{patch}");
    }
}

#[test]
fn what_is_left_of_a_patch_is_what_upstream_quotes() {
    let target = json!({"spec": {"containers": [{"name": "a"}], "nodeSelector": {"x": "y"}}});
    let mut patch = json!({"spec": {
        "$retainKeys": ["containers", "nodeSelector", "affinity", "volumes"],
        "$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "a", "image": null}],
        "nodeSelector": {"x": null}, "affinity": {"a": null, "b": {"$patch": "delete"}, "c": {"d": null}},
        "volumes": [{"$patch": "delete"}, {"name": null}],
    }});
    apply_using(&ty("", "Pod"), target, &mut patch).expect("applies");
    let want =
        json!({"spec": {"nodeSelector": {"x": null}, "affinity": {"c": {}}, "volumes": [{"$patch": "delete"}, {}]}});
    assert_eq!(patch, want);
}

/// Names of list elements, each once.
fn names() -> impl Strategy<Value = Vec<String>> {
    prop::collection::btree_set("[a-f]", 0..6).prop_map(|set| set.into_iter().collect::<Vec<_>>()).prop_shuffle()
}

proptest! {
    #[test]
    fn merging_the_same_patch_twice_changes_nothing_more(old in names(), new in names()) {
        let list = |names: &[String], image: &str| names.iter().map(|n| json!({"name": n, "image": image})).collect::<Vec<_>>();
        let patch = json!({ "containers": list(&new, "new") });
        let once = pod(&json!({ "containers": list(&old, "old") }), &patch).expect("merges");
        let twice = pod(&once, &patch).expect("merges");
        prop_assert_eq!(&once, &twice);
        // Nobody is lost, and everybody in the patch is new.
        let merged = once["containers"].as_array().cloned().unwrap_or_default();
        let all: std::collections::BTreeSet<&String> = old.iter().chain(&new).collect();
        prop_assert_eq!(merged.len(), all.len());
        let is_new = |item: &Value| new.iter().any(|n| item["name"] == n.as_str());
        prop_assert!(merged.iter().all(|item| (item["image"] == "new") == is_new(item)));
    }

    #[test]
    fn the_order_asked_for_is_kept(old in names(), order in names()) {
        // Upstream refuses to order nothing.
        prop_assume!(!old.is_empty());
        let list = |names: &[String]| names.iter().map(|n| json!({ "name": n })).collect::<Vec<_>>();
        let patch = json!({"$setElementOrder/containers": list(&order)});
        let merged = pod(&json!({ "containers": list(&old) }), &patch).expect("merges");
        let got: Vec<&str> = merged["containers"].as_array().into_iter().flatten().filter_map(|c| c["name"].as_str()).collect();
        let of = |names: &[String]| names.iter().filter(|n| old.contains(n) && order.contains(n)).cloned().collect::<Vec<_>>();
        let kept: Vec<String> = got.iter().map(|n| (*n).to_owned()).filter(|n| order.contains(n)).collect();
        prop_assert_eq!(kept, of(&order));
    }
}
