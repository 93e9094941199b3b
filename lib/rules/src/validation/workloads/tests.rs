//! Table tests of workloads.

use super::super::check::Report;
use super::*;
use serde_json::json;

fn found(check: impl FnOnce(&mut Report)) -> Vec<String> {
    let mut report = Report::default();
    check(&mut report);
    report.finish().iter().map(ToString::to_string).collect()
}

/// A value with other members at some paths; null removes one.
fn with(base: &Value, changes: &[(&str, Value)]) -> Value {
    let mut changed = base.clone();
    for &(pointer, ref value) in changes {
        let (parent, key) = pointer.rsplit_once('/').expect("a path");
        let parent = changed.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
        match value {
            Value::Null => parent.remove(key),
            value => parent.insert(key.to_owned(), value.clone()),
        };
    }
    changed
}

fn template() -> Value {
    let mut object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
        "spec": {"template": {"metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "a", "image": "b", "volumeMounts": []}]}}}});
    let resource = apimachinery::resources::find("apps", "v1", "deployments").expect("deployments");
    crate::defaults::apply(resource, &mut object);
    object["spec"]["template"].take()
}

fn set() -> Value {
    with(
        &json!({"metadata": {"name": "a"}, "spec": {"replicas": 1, "serviceName": "s",
            "podManagementPolicy": "Parallel", "updateStrategy": {"type": "OnDelete"},
            "selector": {"matchLabels": {"a": "b"}}}}),
        &[
            ("/spec/template", template()),
            ("/spec/template/spec/containers/0/volumeMounts", json!([{"name": "v", "mountPath": "/v"}])),
            (
                "/spec/volumeClaimTemplates",
                json!([{"metadata": {"name": "v"}, "spec": {"accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": "1Gi"}}}}]),
            ),
        ],
    )
}

#[test]
fn stateful_sets() {
    let forbidden = "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', \
                     'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                     'minReadySeconds' are forbidden";
    let bad_name = &json!("A");
    for (changes, created, updated) in [
        (vec![], vec![], vec![]),
        // The controller sets these, and a claim replaces a volume of its name.
        (
            vec![
                ("/spec/template/spec/hostname", bad_name.clone()),
                ("/spec/template/spec/subdomain", bad_name.clone()),
                ("/spec/template/spec/volumes", json!([{"name": "v"}])),
            ],
            vec![],
            vec![],
        ),
        (
            vec![("/spec/volumeClaimTemplates", json!(null))],
            vec!["spec.template.spec.containers[0].volumeMounts[0].name: Not found: \"v\""],
            vec!["spec.template.spec.containers[0].volumeMounts[0].name: Not found: \"v\"", forbidden],
        ),
        (
            vec![("/spec/volumeClaimTemplates/0/spec", json!({"accessModes": ["ReadWriteOnce"]}))],
            vec!["spec.volumeClaimTemplates[0].spec.resources[storage]: Required value"],
            vec![forbidden],
        ),
        (
            vec![("/spec/podManagementPolicy", json!("x")), ("/spec/ordinals", json!({"start": -1}))],
            vec![
                "spec.podManagementPolicy: Invalid value: \"x\": must be 'OrderedReady' or 'Parallel'",
                "spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0",
            ],
            vec![
                "spec.podManagementPolicy: Invalid value: \"x\": must be 'OrderedReady' or 'Parallel'",
                "spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0",
                forbidden,
            ],
        ),
        (
            vec![(
                "/spec/updateStrategy",
                json!({"type": "RollingUpdate", "rollingUpdate": {"partition": -1, "maxUnavailable": 0}}),
            )],
            vec![
                "spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0",
                "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: 0: cannot be 0",
            ],
            vec![
                "spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0",
                "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: 0: cannot be 0",
            ],
        ),
    ] {
        let new = with(&set(), &changes);
        assert_eq!(found(|out| stateful_set(&new, out)), created, "{changes:?}");
        assert_eq!(found(|out| stateful_set_update(&new, &set(), out)), updated, "{changes:?}");
    }
}

#[test]
fn wrong_templates_of_stored_sets_may_stay() {
    let wrong = with(&set(), &[("/spec/volumeClaimTemplates", json!(null)), ("/spec/serviceName", json!("A"))]);
    assert!(!found(|out| stateful_set(&wrong, out)).is_empty());
    let scaled = with(&wrong, &[("/spec/replicas", json!(3))]);
    assert_eq!(found(|out| stateful_set_update(&scaled, &wrong, out)), [""; 0]);
}
