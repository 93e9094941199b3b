//! Tables of rollouts: sizes before, sizes after.

use super::*;
use crate::objects::conditions;
use serde_json::{Value, json};

const NOW: &str = "2026-01-01T00:10:00Z";

/// A replica set: image, size, ready (and available) pods, revision.
struct Given(&'static str, i32, i32, i64);

fn deployment(spec: Value) -> Deployment {
    let mut full = json!({
        "replicas": 3, "progressDeadlineSeconds": 600, "revisionHistoryLimit": 10,
        "selector": {"matchLabels": {"app": "web"}},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "new"}]}}
    });
    full.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(
        json!({"metadata": {"name": "web", "namespace": "n", "uid": "d", "generation": 2}, "spec": full}),
    )
    .unwrap()
}

fn set(index: usize, given: &Given, desired: i32, most: i32) -> Arc<ReplicaSet> {
    let Given(image, size, ready, revision) = given;
    Arc::new(
        serde_json::from_value(json!({
            "metadata": {"name": format!("web-{image}"), "namespace": "n", "uid": image, "generation": 1,
                "creationTimestamp": format!("2026-01-01T00:0{index}:00Z"),
                "annotations": {
                    "deployment.kubernetes.io/revision": revision.to_string(),
                    "deployment.kubernetes.io/desired-replicas": desired.to_string(),
                    "deployment.kubernetes.io/max-replicas": most.to_string()}},
            "spec": {"replicas": size, "selector": {}, "template": {
                "metadata": {"labels": {"app": "web", "pod-template-hash": "x"}},
                "spec": {"containers": [{"name": "c", "image": image}]}}},
            "status": {"replicas": size, "readyReplicas": ready, "availableReplicas": ready, "observedGeneration": 1}
        }))
        .unwrap(),
    )
}

fn observe(spec: Value, sets: &[Given], desired: i32, most: i32) -> Observed {
    Observed {
        deployment: Arc::new(deployment(spec)),
        sets: sets.iter().enumerate().map(|(index, given)| set(index, given, desired, most)).collect(),
        pods: Vec::new(),
        now: NOW.parse().unwrap(),
    }
}

/// The sizes that the plan gives, `new` for a set that is created.
fn sizes(plan: &Plan) -> Vec<(String, i32)> {
    let mut sizes: Vec<_> = plan
        .changes
        .iter()
        .filter_map(|change| match change {
            Change::Create(set) => Some(("created".to_owned(), sets::size(set))),
            Change::Update { before, after } if sets::size(before) != sets::size(after) => {
                Some((after.metadata.uid.clone().unwrap(), sets::size(after)))
            }
            _ => None,
        })
        .collect();
    sizes.sort();
    sizes
}

fn check(spec: Value, given: &[Given], expected: &[(&str, i32)]) {
    let replicas = spec.get("replicas").and_then(Value::as_i64).unwrap_or(3) as i32;
    let plan = plan(&observe(spec, given, replicas, replicas + 1));
    let expected: Vec<_> = expected.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect();
    assert_eq!(sizes(&plan), expected);
}

#[test]
fn the_first_set_gets_the_full_size() {
    check(json!({}), &[], &[("created", 3)]);
}

#[test]
fn a_new_template_surges_by_one() {
    check(json!({}), &[Given("old", 3, 3, 1)], &[("created", 1)]);
}

#[test]
fn old_pods_go_as_new_ones_become_available() {
    check(json!({}), &[Given("old", 3, 3, 1), Given("new", 1, 0, 2)], &[]);
    check(json!({}), &[Given("old", 3, 3, 1), Given("new", 1, 1, 2)], &[("old", 2)]);
    check(json!({}), &[Given("old", 2, 2, 1), Given("new", 1, 1, 2)], &[("new", 2)]);
    check(json!({}), &[Given("old", 1, 1, 1), Given("new", 3, 3, 2)], &[("old", 0)]);
}

#[test]
fn broken_old_pods_go_first() {
    check(json!({}), &[Given("old", 3, 1, 1), Given("new", 1, 1, 2)], &[("old", 2)]);
    let loose = json!({"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 2}}});
    check(loose, &[Given("broken", 2, 0, 1), Given("old", 1, 1, 2), Given("new", 0, 0, 3)], &[("broken", 0)]);
}

#[test]
fn recreate_waits_for_the_old_pods() {
    let recreate = || json!({"strategy": {"type": "Recreate"}});
    check(recreate(), &[Given("old", 3, 3, 1)], &[("old", 0)]);
    check(recreate(), &[Given("old", 0, 0, 1)], &[("created", 3)]);

    let mut observed = observe(recreate(), &[Given("old", 0, 0, 1)], 3, 3);
    let pod = json!({"metadata": {"ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-old", "uid": "old", "controller": true}]},
                     "status": {"phase": "Running"}});
    observed.pods.push(Arc::new(serde_json::from_value(pod).unwrap()));
    assert!(sizes(&plan(&observed)).is_empty());
}

#[test]
fn a_rollback_takes_the_old_set_and_the_next_revision() {
    let plan = plan(&observe(json!({}), &[Given("new", 0, 0, 1), Given("old", 3, 3, 2)], 3, 4));
    assert_eq!(sizes(&plan), [("new".to_owned(), 1)]);
    assert_eq!(plan.revision.as_deref(), Some("3"));
}

#[test]
fn scaling_during_a_rollout_is_shared_in_proportion() {
    let table: [(i32, &[Given], &[(&str, i32)]); 3] = [
        (20, &[Given("old", 8, 8, 1), Given("new", 3, 0, 2)], &[("new", 6), ("old", 15)]),
        (5, &[Given("old", 8, 8, 1), Given("new", 3, 0, 2)], &[("new", 2), ("old", 4)]),
        (0, &[Given("old", 8, 8, 1), Given("new", 3, 0, 2)], &[("new", 0), ("old", 0)]),
    ];
    for (replicas, given, expected) in table {
        let plan = plan(&observe(json!({"replicas": replicas}), given, 10, 11));
        let expected: Vec<_> = expected.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect();
        assert_eq!(sizes(&plan), expected, "to {replicas}");
    }
}

#[test]
fn a_paused_deployment_scales_but_does_not_roll() {
    let plan = plan(&observe(json!({"paused": true, "replicas": 5}), &[Given("old", 3, 3, 1)], 3, 4));
    assert_eq!(sizes(&plan), [("old".to_owned(), 5)]);
    let reason = conditions::find(plan.status.conditions.as_deref().unwrap(), "Progressing").unwrap().reason.clone();
    assert_eq!(reason.as_deref(), Some("DeploymentPaused"));
}

#[test]
fn a_complete_rollout_says_so_and_cleans_up() {
    let given = [Given("a", 0, 0, 1), Given("b", 0, 0, 2), Given("new", 3, 3, 3)];
    let mut observed = observe(json!({"revisionHistoryLimit": 1}), &given, 3, 4);
    let deployment = Arc::make_mut(&mut observed.deployment);
    deployment.status = Some(DeploymentStatus { updated_replicas: Some(3), ..Default::default() });
    let plan = plan(&observed);
    let conditions = plan.status.conditions.as_deref().unwrap();
    let progress = conditions::find(conditions, "Progressing").unwrap();
    assert_eq!(progress.reason.as_deref(), Some("NewReplicaSetAvailable"));
    assert_eq!(progress.message.as_deref(), Some("ReplicaSet \"web-new\" has successfully progressed."));
    assert!(conditions::is_true(conditions, "Available"));
    let deleted: Vec<_> = plan.changes.iter().filter(|change| matches!(change, Change::Delete(_))).collect();
    assert_eq!(deleted.len(), 1);
    assert!(matches!(deleted[0], Change::Delete(set) if set.metadata.uid.as_deref() == Some("a")));
    assert_eq!(plan.again, None);
}

#[test]
fn a_stuck_rollout_times_out() {
    let progress = |at: &str| json!([{"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated", "lastUpdateTime": at}]);
    let reason_at = |at: &str| {
        let mut observed = observe(json!({}), &[Given("old", 3, 3, 1), Given("new", 1, 0, 2)], 3, 4);
        let status = json!({"replicas": 4, "updatedReplicas": 1, "readyReplicas": 3, "availableReplicas": 3, "conditions": progress(at)});
        Arc::make_mut(&mut observed.deployment).status = Some(serde_json::from_value(status).unwrap());
        let plan = plan(&observed);
        let progress = conditions::find(plan.status.conditions.as_deref().unwrap(), "Progressing").unwrap();
        (progress.reason.clone().unwrap(), plan.again)
    };
    assert_eq!(reason_at("2026-01-01T00:05:00Z"), ("ReplicaSetUpdated".into(), Some(SignedDuration::from_secs(301))));
    assert_eq!(reason_at("2025-12-31T23:59:00Z"), ("ProgressDeadlineExceeded".into(), None));
}

#[test]
fn a_made_set_carries_hash_and_owner() {
    let plan = plan(&observe(json!({}), &[], 3, 4));
    let [Change::Create(set)] = &plan.changes[..] else { panic!("{:?}", plan.changes) };
    let hash = &set.metadata.labels.as_ref().unwrap()["pod-template-hash"];
    assert_eq!(set.metadata.name, Some(format!("web-{hash}")));
    let spec = set.spec.as_ref().unwrap();
    assert_eq!(&spec.selector.match_labels.as_ref().unwrap()["pod-template-hash"], hash);
    assert_eq!(set.metadata.annotations.as_ref().unwrap()["deployment.kubernetes.io/max-replicas"], "4");
    assert_eq!(plan.revision.as_deref(), Some("1"));
}
