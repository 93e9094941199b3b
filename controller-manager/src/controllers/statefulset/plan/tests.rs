//! Steps, statuses, claims and histories, case by case.

use super::steps::Why;
use super::*;
use crate::objects::history::HASH_LABEL;
use k8s_openapi::api::apps::v1::ControllerRevision;
use serde_json::{Value, json};

const NOW: &str = "2026-01-01T01:00:00Z";

fn set(spec: Value, status: Value) -> Arc<StatefulSet> {
    let mut all = json!({"replicas": 3, "serviceName": "svc", "selector": {"matchLabels": {"a": "b"}},
        "podManagementPolicy": "OrderedReady", "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}});
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let set = json!({"metadata": {"name": "web", "namespace": "n", "uid": "u", "generation": 2}, "spec": all, "status": status});
    Arc::new(serde_json::from_value(set).unwrap())
}

/// `name/revision/state`, where the state is a phase, `Ready`, or `Leaving`.
fn pod(text: &str) -> Arc<Pod> {
    let [name, revision, state] = text.split('/').collect::<Vec<_>>()[..] else { panic!("{text}") };
    let (phase, ready) = match state {
        "Ready" | "Leaving" => ("Running", "True"),
        phase => (phase, "False"),
    };
    let deleted = (state == "Leaving").then_some(NOW);
    Arc::new(
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "n", "uid": name, "deletionTimestamp": deleted,
                "labels": {HASH_LABEL: revision, "statefulset.kubernetes.io/pod-name": name}},
            "spec": {"containers": []},
            "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:59:50Z"}]}
        }))
        .unwrap(),
    )
}

fn observe(spec: Value, status: Value, pods: &[&str]) -> Observed {
    let set = set(spec, status);
    let version = |name: &str| Version { name: name.into(), template: set.spec.as_ref().unwrap().template.clone() };
    Observed {
        pods: pods.iter().map(|text| pod(text)).collect(),
        claims: HashMap::new(),
        current: version("old"),
        update: version("new"),
        collisions: 0,
        now: NOW.parse().unwrap(),
        set,
    }
}

fn describe(steps: &[Step]) -> String {
    let name = |pod: &Pod| pod.metadata.name.clone().unwrap_or_default();
    let word = |step: &Step| match step {
        Step::Create(pod) => format!("+{}/{}", name(pod), super::steps::revision(pod)),
        Step::Delete(pod, Why::Ended) => format!("-{} ended", name(pod)),
        Step::Delete(pod, Why::Surplus) => format!("-{} surplus", name(pod)),
        Step::Delete(pod, Why::Update) => format!("-{} update", name(pod)),
        Step::MakeClaims(pod) => format!("claims {}", name(pod)),
        Step::Conform(pod) => format!("conform {}", name(pod)),
        Step::Retain(pod) => format!("retain {}", name(pod)),
    };
    steps.iter().map(word).collect::<Vec<_>>().join(", ")
}

#[test]
fn ordered_sets_do_one_thing_at_a_time() {
    let table: [(Value, &[&str], &str); 15] = [
        (json!({}), &[], "+web-0/new"),
        (json!({}), &["web-0/new/Ready"], "+web-1/new"),
        (json!({}), &["web-0/new/Running"], ""),
        (json!({}), &["web-0/new/Pending"], "claims web-0"),
        (json!({}), &["web-0/new/Leaving"], ""),
        (json!({}), &["web-0/new/Failed"], "-web-0 ended"),
        (json!({}), &["web-1/new/Ready"], "+web-0/new"),
        (json!({"replicas": 1}), &["web-0/new/Ready", "web-1/new/Ready", "web-2/new/Ready"], "-web-2 surplus"),
        (json!({"replicas": 1}), &["web-0/new/Ready", "web-1/new/Running", "web-2/new/Ready"], "-web-2 surplus"),
        (json!({"replicas": 1}), &["web-0/new/Ready", "web-1/new/Running", "web-2/new/Running"], ""),
        (json!({"replicas": 1}), &["web-0/new/Ready", "web-1/new/Ready", "web-2/new/Leaving"], ""),
        (json!({"replicas": 1, "ordinals": {"start": 4}}), &[], "+web-4/new"),
        (json!({"replicas": 1, "minReadySeconds": 10}), &["web-0/old/Ready"], "-web-0 update"),
        (json!({"replicas": 2, "minReadySeconds": 11}), &["web-0/new/Ready"], ""),
        (json!({"replicas": 0}), &["web-0/new/Ready"], "-web-0 surplus"),
    ];
    for (spec, pods, expected) in table {
        let observed = observe(spec.clone(), json!({}), pods);
        assert_eq!(describe(&steps(&observed)), expected, "{spec} {pods:?}");
    }
}

#[test]
fn parallel_sets_do_all_at_once() {
    let spec = |replicas: i32| json!({"replicas": replicas, "podManagementPolicy": "Parallel"});
    let table: [(i32, &[&str], &str); 3] = [
        (3, &[], "+web-0/new, +web-1/new, +web-2/new"),
        (2, &["web-0/new/Failed"], "-web-0 ended, +web-1/new"),
        (1, &["web-0/new/Running", "web-1/new/Running", "web-2/new/Ready"], "-web-2 surplus, -web-1 surplus"),
    ];
    for (replicas, pods, expected) in table {
        assert_eq!(describe(&steps(&observe(spec(replicas), json!({}), pods))), expected, "{pods:?}");
    }
}

#[test]
fn updates() {
    let rolling = |partition: i32, most: Value| json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": partition, "maxUnavailable": most}}});
    let old = ["web-0/old/Ready", "web-1/old/Ready", "web-2/old/Ready"];
    let table: [(Value, &[&str], &str); 9] = [
        (rolling(0, json!(null)), &old, "-web-2 update"),
        (rolling(0, json!(null)), &["web-0/old/Ready", "web-1/old/Ready", "web-2/new/Ready"], "-web-1 update"),
        (rolling(2, json!(null)), &["web-0/old/Ready", "web-1/old/Ready", "web-2/new/Ready"], ""),
        (rolling(3, json!(null)), &old, ""),
        (rolling(0, json!(2)), &old, "-web-2 update, -web-1 update"),
        (rolling(0, json!("10%")), &old, "-web-2 update"),
        (rolling(1, json!(null)), &["web-1/new/Ready", "web-2/new/Ready"], "+web-0/old"),
        (json!({"updateStrategy": {"type": "OnDelete"}}), &old, ""),
        (rolling(0, json!(null)), &["web-0/old/Ready", "web-1/old/Ready", "web-2/new/Running"], ""),
    ];
    for (spec, pods, expected) in table {
        assert_eq!(describe(&steps(&observe(spec.clone(), json!({}), pods))), expected, "{spec} {pods:?}");
    }
}

#[test]
fn a_dying_set_does_nothing() {
    let mut observed = observe(json!({}), json!({}), &["web-0/new/Failed"]);
    let mut dying = (*observed.set).clone();
    dying.metadata.deletion_timestamp = Some(serde_json::from_value(json!(NOW)).unwrap());
    observed.set = Arc::new(dying);
    assert!(steps(&observed).is_empty());
}

#[test]
fn the_status_counts() {
    let pods = ["web-0/new/Ready", "web-1/old/Ready", "web-2/old/Running"];
    let observed = observe(json!({"minReadySeconds": 30}), json!({}), &pods);
    let after = status(&observed, &[]);
    assert_eq!((after.replicas, after.ready_replicas, after.available_replicas), (3, Some(2), Some(0)));
    assert_eq!((after.current_replicas, after.updated_replicas), (Some(2), Some(1)));
    assert_eq!(after.current_revision.as_deref(), Some("old"));
    let room = Step::Delete(pod("web-1/old/Ready"), Why::Update);
    assert_eq!(status(&observed, &[room]).current_replicas, Some(1));
    let all_new = observe(json!({}), json!({}), &["web-0/new/Ready", "web-1/new/Ready", "web-2/new/Ready"]);
    let after = status(&all_new, &[]);
    assert_eq!((after.current_revision.as_deref(), after.current_replicas), (Some("new"), Some(3)));
}

#[test]
fn a_pod_and_its_claims() {
    let spec = json!({"volumeClaimTemplates": [{"metadata": {"name": "data", "labels": {"x": "y"}}, "spec": {}}]});
    let set = set(spec, json!({}));
    let template = serde_json::from_value(json!({"spec": {"containers": [], "volumes": [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]}})).unwrap();
    let made = super::pod::pod(&set, &template, "web-5d4", 7);
    assert_eq!(made.metadata.name.as_deref(), Some("web-7"));
    let labels = made.metadata.labels.clone().unwrap();
    assert_eq!(labels["statefulset.kubernetes.io/pod-name"], "web-7");
    assert_eq!(labels["apps.kubernetes.io/pod-index"], "7");
    assert_eq!(labels[HASH_LABEL], "web-5d4");
    let spec = made.spec.clone().unwrap();
    assert_eq!((spec.hostname.as_deref(), spec.subdomain.as_deref()), (Some("web-7"), Some("svc")));
    let volumes = spec.volumes.unwrap();
    assert_eq!(volumes.len(), 2);
    assert_eq!(volumes[0].persistent_volume_claim.as_ref().unwrap().claim_name, "data-web-7");
    assert!(identity::has_identity(&set, &made) && identity::has_storage(&set, &made));
    let claim = &claims(&set, &made)[0];
    assert_eq!(claim.metadata.name.as_deref(), Some("data-web-7"));
    assert_eq!(claim.metadata.labels.as_ref().unwrap().len(), 2);
}

#[test]
fn names_and_ordinals() {
    let set = set(json!({}), json!({}));
    for (name, member, canonical) in [
        ("web-0", true, true),
        ("web-12", true, true),
        ("web-01", true, false),
        ("web-x", false, false),
        ("web", false, false),
        ("web-1-2", false, false),
    ] {
        let pod = pod(&format!("{name}/new/Ready"));
        assert_eq!((is_member(&set, &pod), identity::has_identity(&set, &pod)), (member, canonical), "{name}");
    }
}

#[test]
fn who_owns_a_claim() {
    let of_set = || json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "u", "controller": true, "blockOwnerDeletion": true});
    let of_pod = |name: &str| json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": name, "controller": true, "blockOwnerDeletion": true});
    let stale =
        || json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "before", "controller": true});
    let other = || json!({"apiVersion": "v1", "kind": "X", "name": "x", "uid": "x", "controller": true});
    let table = [
        ("Retain", "Retain", "web-0", json!([]), None),
        ("Retain", "Retain", "web-0", json!([of_set()]), Some(json!([]))),
        ("Delete", "Retain", "web-0", json!([]), Some(json!([of_set()]))),
        ("Delete", "Retain", "web-9", json!([of_set()]), None),
        ("Retain", "Delete", "web-0", json!([]), None),
        ("Retain", "Delete", "web-9", json!([]), Some(json!([of_pod("web-9")]))),
        ("Delete", "Delete", "web-0", json!([of_pod("web-0")]), Some(json!([of_set()]))),
        ("Delete", "Delete", "web-9", json!([of_set()]), Some(json!([of_pod("web-9")]))),
        ("Delete", "Retain", "web-0", json!([stale()]), None),
        ("Delete", "Retain", "web-0", json!([other()]), None),
        ("Delete", "Retain", "web-0", json!([other(), of_set()]), Some(json!([other()]))),
    ];
    for (deleted, scaled, name, references, expected) in table {
        let set = set(
            json!({"persistentVolumeClaimRetentionPolicy": {"whenDeleted": deleted, "whenScaled": scaled}}),
            json!({}),
        );
        let claim = serde_json::from_value(json!({"metadata": {"ownerReferences": references}})).unwrap();
        let found = match owners(&set, &claim, &pod(&format!("{name}/new/Ready"))) {
            Owners::Stay => None,
            Owners::Become(owners) | Owners::Yield(owners) => Some(serde_json::to_value(owners).unwrap()),
        };
        assert_eq!(found, expected, "{deleted} {scaled} {name} {references}");
    }
}

#[test]
fn the_history() {
    let revision = |name: &str, number: i64, data: Value| -> Arc<ControllerRevision> {
        Arc::new(serde_json::from_value(json!({"metadata": {"name": name}, "revision": number, "data": data})).unwrap())
    };
    let patch = |image: &str| json!({"spec": {"template": {"$patch": "replace", "spec": {"containers": [{"image": image, "name": "c"}]}}}});
    let all = [revision("a", 1, patch("1")), revision("b", 2, patch("2")), revision("c", 3, patch("3"))];
    let name = |latest: Latest| match latest {
        Latest::Is(one) => one.metadata.name.clone().unwrap_or_default(),
        Latest::Renumber(one, number) => format!("{} as {number}", one.metadata.name.as_deref().unwrap_or_default()),
        Latest::Create(number) => format!("new {number}"),
    };
    assert_eq!(name(latest(&all, &patch("3"))), "c");
    assert_eq!(name(latest(&all, &patch("1"))), "a as 4");
    assert_eq!(name(latest(&all, &patch("9"))), "new 4");
    assert_eq!(name(latest(&[], &patch("9"))), "new 1");
    let mut in_other_words = patch("4");
    in_other_words["spec"]["template"]["metadata"] = json!({"creationTimestamp": null});
    let typed = crate::objects::history::template(&revision("d", 4, in_other_words.clone())).unwrap();
    let typed = crate::objects::history::patch(&typed);
    assert_eq!(name(latest(&[revision("d", 4, in_other_words)], &typed)), "d");
    let set = set(json!({"revisionHistoryLimit": 1}), json!({}));
    let gone = surplus(&set, &all, ["c", "c"], &[]);
    assert_eq!(gone.iter().map(|one| one.revision).collect::<Vec<_>>(), [1]);
    assert!(surplus(&set, &all, ["c", "c"], &[pod("web-0/a/Ready")]).is_empty());
}
