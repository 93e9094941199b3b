//! Nodes, updates and statuses, case by case.

use super::*;
use k8s_openapi::api::apps::v1::ControllerRevision;
use serde_json::{Value, json};

const NOW: &str = "2026-01-01T01:00:00Z";

fn set(strategy: Value) -> Arc<DaemonSet> {
    Arc::new(
        serde_json::from_value(json!({
            "metadata": {"name": "d", "namespace": "n", "uid": "u", "generation": 2},
            "spec": {"selector": {"matchLabels": {"a": "b"}}, "updateStrategy": strategy, "revisionHistoryLimit": 1,
                "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}}
        }))
        .unwrap(),
    )
}

fn rolling(unavailable: Value, surge: Value) -> Value {
    json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": unavailable, "maxSurge": surge}})
}

fn node(name: &str, tainted: bool) -> Arc<Node> {
    let taints = if tainted { json!([{"key": "x", "effect": "NoExecute"}]) } else { json!([]) };
    Arc::new(serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"taints": taints}})).unwrap())
}

/// `name/node/hash/state`, where the state is a phase, `Ready`, or `Leaving`.
fn pod(text: &str) -> Arc<Pod> {
    let [name, node, hash, state] = text.split('/').collect::<Vec<_>>()[..] else { panic!("{text}") };
    let (phase, ready) = match state {
        "Ready" | "Leaving" => ("Running", "True"),
        phase => (phase, "False"),
    };
    let deleted = (state == "Leaving").then_some(NOW);
    Arc::new(
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "n", "labels": {HASH_LABEL: hash}, "deletionTimestamp": deleted,
                "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"containers": [], "nodeName": node},
            "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:30:00Z"}]}
        }))
        .unwrap(),
    )
}

fn observe(strategy: Value, nodes: &[&str], pods: &[&str]) -> Observed {
    let nodes = nodes.iter().map(|name| node(name, name.starts_with("bad"))).collect();
    let pods: Vec<_> = pods.iter().map(|text| pod(text)).collect();
    Observed::new(set(strategy), &pods, nodes, "new".into(), NOW.parse().unwrap())
}

fn names(pods: &[Arc<Pod>]) -> Vec<&str> {
    let mut names: Vec<_> = pods.iter().filter_map(|pod| pod.metadata.name.as_deref()).collect();
    names.sort_unstable();
    names
}

#[test]
fn one_pod_a_node() {
    let table: [(Value, &[&str], &[&str], &[&str]); 9] = [
        (json!(0), &[], &["n1", "n2"], &[]),
        (json!(0), &["a/n1/new/Ready"], &["n2"], &[]),
        (json!(0), &["a/n1/new/Ready", "b/n1/new/Ready", "c/n2/old/Ready"], &[], &["b"]),
        (json!(0), &["a/n1/new/Leaving", "c/n2/old/Ready"], &[], &[]),
        (json!(0), &["a/n1/new/Failed", "b/n2/new/Succeeded"], &[], &["a", "b"]),
        (json!(0), &["a/n1/new/Ready", "b/n2/new/Ready", "c/bad/new/Ready"], &[], &["c"]),
        (json!(1), &["a/n1/new/Leaving", "b/n2/new/Ready"], &["n1"], &[]),
        (json!(1), &["a/n1/old/Ready", "b/n1/new/Pending", "c/n2/new/Ready"], &[], &[]),
        (json!(1), &["a/n1/old/Ready", "b/n1/new/Ready", "c/n2/new/Ready"], &[], &["a"]),
    ];
    for (surge, pods, create, delete) in table {
        let observed = observe(rolling(json!(1), surge), &["n1", "n2", "bad"], pods);
        let plan = manage(&observed, &mut Backoffs::default());
        assert_eq!(
            (&plan.create[..], names(&plan.delete)),
            (&create.iter().map(ToString::to_string).collect::<Vec<_>>()[..], delete.to_vec()),
            "{pods:?}"
        );
    }
}

#[test]
fn a_failed_pod_is_not_replaced_at_once_again() {
    let mut backoffs = Backoffs::default();
    let observed = observe(rolling(json!(1), json!(0)), &["n1"], &["a/n1/new/Failed"]);
    let first = manage(&observed, &mut backoffs);
    assert_eq!(first.notes[0].text, "Found failed daemon pod n/a on node n1, will try to kill it");
    let second = manage(&observed, &mut backoffs);
    assert_eq!((second.delete.len(), second.again), (0, Some(SignedDuration::from_secs(1))));
}

#[test]
fn unbound_pods_of_nodes_that_are_gone_go() {
    let unbound = json!({"metadata": {"name": "a"}, "spec": {"containers": [], "affinity": {"nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["gone"]}]}]}}}}});
    let unbound = Arc::new(serde_json::from_value(unbound).unwrap());
    let observed = Observed::new(set(json!({})), &[unbound], vec![], "new".into(), NOW.parse().unwrap());
    assert_eq!(names(&manage(&observed, &mut Backoffs::default()).delete), ["a"]);
}

#[test]
fn updates() {
    let old = ["a/n1/old/Ready", "b/n2/old/Ready", "c/n3/old/Ready"];
    let table: [(Value, &[&str], &[&str], &[&str]); 9] = [
        (rolling(json!(1), json!(0)), &old, &[], &["a"]),
        (rolling(json!("50%"), json!(0)), &old, &[], &["a", "b"]),
        (rolling(json!(0), json!(0)), &old, &[], &["a"]),
        (json!({"type": "OnDelete"}), &old, &[], &[]),
        (rolling(json!(1), json!(0)), &["a/n1/new/Pending", "b/n2/old/Ready", "c/n3/old/Ready"], &[], &[]),
        (rolling(json!(1), json!(0)), &["a/n1/new/Pending", "b/n2/old/Running", "c/n3/old/Ready"], &[], &["b"]),
        (rolling(json!(0), json!(1)), &old, &["n1"], &[]),
        (rolling(json!(0), json!(1)), &["a/n1/new/Pending", "b/n1/old/Ready", "c/n3/old/Ready"], &[], &[]),
        (rolling(json!(0), json!(1)), &["a/n1/new/Ready", "b/n1/old/Ready", "c/n3/old/Running"], &["n3"], &["b"]),
    ];
    for (strategy, pods, create, delete) in table {
        let plan = update(&observe(strategy.clone(), &["n1", "n2", "n3"], pods));
        assert_eq!(
            (plan.create, names(&plan.delete)),
            (create.iter().map(ToString::to_string).collect(), delete.to_vec()),
            "{strategy} {pods:?}"
        );
    }
}

#[test]
fn the_status_counts_nodes() {
    let pods = ["a/n1/new/Ready", "b/n2/old/Ready", "c/bad/new/Ready", "d/n3/new/Pending"];
    let (status, _) = status(&observe(json!({}), &["n1", "n2", "n3", "n4", "bad"], &pods));
    assert_eq!((status.desired_number_scheduled, status.current_number_scheduled), (4, 3));
    assert_eq!((status.number_misscheduled, status.number_ready), (1, 2));
    assert_eq!((status.number_available, status.number_unavailable), (Some(2), Some(2)));
    assert_eq!((status.updated_number_scheduled, status.observed_generation), (Some(2), Some(2)));
}

#[test]
fn a_pod_for_a_node() {
    let pod = super::pod(&set(json!({})), "h", "n1");
    assert_eq!(placement::target(&pod), Some("n1"));
    assert_eq!(pod.metadata.labels.as_ref().unwrap()[HASH_LABEL], "h");
    assert_eq!(pod.metadata.generate_name.as_deref(), Some("d-"));
    assert_eq!(pod.spec.unwrap().tolerations.unwrap().len(), 6);
}

#[test]
fn the_history() {
    let revision = |name: &str, number: i64, data: Value| -> Arc<ControllerRevision> {
        Arc::new(
            serde_json::from_value(
                json!({"metadata": {"name": name, "labels": {HASH_LABEL: name}}, "revision": number, "data": data}),
            )
            .unwrap(),
        )
    };
    let patch = json!({"x": 1});
    let all = vec![
        revision("one", 1, json!({})),
        revision("two", 2, patch.clone()),
        revision("three", 3, json!({"x": 3})),
        revision("four", 4, patch.clone()),
    ];
    let revisions = Revisions::new(all, &patch);
    assert_eq!(revisions.current.as_ref().unwrap().revision, 4);
    assert_eq!((revisions.doubles.len(), revisions.number), (1, 4));
    let gone = |pods: &[&str]| {
        let pods: Vec<_> = pods.iter().map(|text| pod(text)).collect();
        let gone = revisions.surplus(&set(json!({})), &pods);
        gone.iter().map(|one| one.revision).collect::<Vec<_>>()
    };
    assert_eq!(gone(&[]), [1]);
    assert_eq!(gone(&["a/n1/one/Ready"]), [3]);
}
