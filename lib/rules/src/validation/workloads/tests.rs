//! Table tests of workloads.

use super::super::testing::{found, with};
use super::*;
use serde_json::json;

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

#[test]
fn daemon_sets() {
    let base = with(
        &json!({"metadata": {"name": "a"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "updateStrategy": {
            "type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}}}),
        &[("/spec/template", template())],
    );
    let rolling = |rolling: Value| vec![("/spec/updateStrategy/rollingUpdate", rolling)];
    for (changes, want) in [
        (vec![], vec![]),
        (
            rolling(json!({"maxUnavailable": "0%", "maxSurge": "x"})),
            vec![
                "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: \"x\": a valid percent string",
                "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0",
            ],
        ),
        (
            rolling(json!({"maxUnavailable": 0, "maxSurge": "101%"})),
            vec!["spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: \"101%\": must not be greater than 100%"],
        ),
        (
            vec![("/spec/updateStrategy", json!({"type": "x"}))],
            vec![
                "spec.updateStrategy: Unsupported value: {\"Type\":\"x\",\"RollingUpdate\":null}: supported values: \"RollingUpdate\", \"OnDelete\"",
            ],
        ),
        (
            vec![("/spec/selector", json!(null))],
            vec!["spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match"],
        ),
    ] {
        let errors = found(|out| daemon_set(&with(&base, &changes), out));
        assert_eq!(errors.len(), want.len(), "{errors:?}");
        assert!(errors.iter().zip(&want).all(|(error, want)| error.starts_with(want)), "{errors:?}");
    }
}

#[test]
fn statuses() {
    let of = |status: Value| json!({"status": status});
    type Check = fn(&Value, &Value, &mut super::super::check::Report);
    for (check, old, new, want) in [
        (status::deployment as Check, json!({}), json!({"replicas": 1, "readyReplicas": 1}), vec![]),
        (
            status::deployment,
            json!({"collisionCount": 2}),
            json!({"availableReplicas": 1}),
            vec![
                "status.availableReplicas: Invalid value: 1: cannot be greater than status.replicas",
                "status.availableReplicas: Invalid value: 1: cannot be greater than readyReplicas",
                "status.collisionCount: Invalid value: 0: cannot be decremented",
            ],
        ),
        (
            status::stateful_set,
            json!({}),
            json!({"replicas": 2, "availableReplicas": 1, "currentReplicas": 3}),
            vec![
                "status.currentReplicas: Invalid value: 3: cannot be greater than status.replicas",
                "status.availableReplicas: Invalid value: 1: cannot be greater than status.readyReplicas",
            ],
        ),
        (
            status::replica_set,
            json!({}),
            json!({"fullyLabeledReplicas": -1}),
            vec!["status.fullyLabeledReplicas: Invalid value: -1: must be greater than or equal to 0"],
        ),
        (
            status::daemon_set,
            json!({"collisionCount": 1}),
            json!({"collisionCount": 1, "numberReady": -1}),
            vec!["status.numberReady: Invalid value: -1: must be greater than or equal to 0"],
        ),
    ] {
        assert_eq!(found(|out| check(&of(new.clone()), &of(old), out)), want, "{new}");
    }
}
