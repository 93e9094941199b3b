//! The priority levels and flow schemas that upstream starts with.
//!
//! Upstream: `apiserver/pkg/apis/flowcontrol/bootstrap/default.go`.

use super::{BootstrapError, context, create, ensure};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apiserver_registry::{Registry, Verb};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Name, nominal shares, lendable percent, and queues, hand size of a queuing level.
const LEVELS: &[(&str, i64, i64, Option<(i64, i64)>)] = &[
    ("system", 30, 33, Some((64, 6))),
    ("node-high", 40, 25, Some((64, 6))),
    ("leader-election", 10, 0, Some((16, 4))),
    ("workload-high", 40, 50, Some((128, 6))),
    ("workload-low", 100, 90, Some((128, 6))),
    ("global-default", 20, 50, Some((128, 6))),
    ("catch-all", 5, 0, None),
];
const QUEUE_LENGTH: i64 = 50;

pub(super) fn objects() -> Vec<Value> {
    let mut objects: Vec<Value> = LEVELS.iter().map(|(n, s, l, q)| limited(n, *s, *l, *q)).collect();
    objects.push(level(
        "exempt",
        json!({"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}}),
    ));
    objects.extend(schemas());
    objects
}

/// Annotation that says whether this server may change the spec of an object it once made.
const AUTO_UPDATE: &str = "apf.kubernetes.io/autoupdate-spec";
/// How often the objects are looked at, as upstream.
const INTERVAL: Duration = Duration::from_secs(60);

/// Writes missing objects, and brings those up to date that nobody has made their own.
pub async fn keep_flow_control(registry: Arc<Registry>) {
    loop {
        for object in objects() {
            if let Err(error) = keep(&registry, object).await {
                tracing::debug!(%error, "flow control object");
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn keep(registry: &Registry, wanted: Value) -> Result<(), BootstrapError> {
    let cx = context(&wanted, Verb::Update)?;
    let Some(current) = registry.store.cached(&cx.resource, &cx.resource.key("", wanted.name())) else {
        return create(registry, wanted).await;
    };
    let current = current.value();
    if current.get("spec") == wanted.get("spec") || !may_update(&current) {
        return Ok(());
    }
    ensure(registry, wanted, &["spec"]).await
}

/// Mandatory objects always; others while the annotation says so, or as long as nobody has changed
/// them if it says nothing.
fn may_update(object: &Value) -> bool {
    if MANDATORY.contains(&object.name()) {
        return true;
    }
    match object.annotations().and_then(|a| a.get(AUTO_UPDATE)).and_then(Value::as_str) {
        Some("true") => true,
        Some("false") => false,
        _ => object.generation() <= 1,
    }
}

/// Objects without which requests could not be sorted at all.
const MANDATORY: &[&str] = &["exempt", "catch-all"];

fn level(name: &str, spec: Value) -> Value {
    object("PriorityLevelConfiguration", name, spec)
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": kind,
        "metadata": {"name": name, "annotations": {AUTO_UPDATE: "true"}},
        "spec": spec,
    })
}

fn limited(name: &str, shares: i64, lendable: i64, queues: Option<(i64, i64)>) -> Value {
    let response = match queues {
        Some((queues, hand)) => json!({
            "type": "Queue", "queuing": {"queues": queues, "handSize": hand, "queueLengthLimit": QUEUE_LENGTH},
        }),
        None => json!({"type": "Reject"}),
    };
    let limited = json!({"nominalConcurrencyShares": shares, "limitResponse": response, "lendablePercent": lendable});
    level(name, json!({"type": "Limited", "limited": limited}))
}

/// How a schema tells the flows of its users apart.
#[derive(Clone, Copy)]
enum By {
    Nothing,
    User,
    Namespace,
}

fn schemas() -> Vec<Value> {
    let everybody = || vec![group("system:unauthenticated"), group("system:authenticated")];
    let controllers =
        || vec![user("system:kube-controller-manager"), user("system:kube-scheduler"), accounts("kube-system")];
    let node = || vec![group("system:nodes")];
    let leases = json!({"verbs": ["get", "create", "update"], "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"], "namespaces": ["*"]});
    let node_status = json!({"verbs": ["*"], "apiGroups": [""], "resources": ["nodes", "nodes/status"],
        "clusterScope": true, "namespaces": ["*"]});
    let node_leases = json!({"verbs": ["*"], "apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
        "namespaces": ["*"]});
    let probes = json!({"subjects": everybody(), "nonResourceRules": [
        {"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}]});
    vec![
        schema("exempt", "exempt", 1, By::Nothing, anything(vec![group("system:masters")])),
        schema("probes", "exempt", 2, By::Nothing, probes),
        schema(
            "system-leader-election",
            "leader-election",
            100,
            By::User,
            json!({"subjects": controllers(), "resourceRules": [leases]}),
        ),
        schema(
            "system-node-high",
            "node-high",
            400,
            By::User,
            json!({"subjects": node(), "resourceRules": [node_status, node_leases]}),
        ),
        schema("system-nodes", "system", 500, By::User, anything(node())),
        schema(
            "kube-controller-manager",
            "workload-high",
            800,
            By::Namespace,
            anything(vec![user("system:kube-controller-manager")]),
        ),
        schema("kube-scheduler", "workload-high", 800, By::Namespace, anything(vec![user("system:kube-scheduler")])),
        schema(
            "kube-system-service-accounts",
            "workload-high",
            900,
            By::Namespace,
            anything(vec![accounts("kube-system")]),
        ),
        schema("service-accounts", "workload-low", 9000, By::User, anything(vec![group("system:serviceaccounts")])),
        schema("global-default", "global-default", 9900, By::User, anything(everybody())),
        schema("catch-all", "catch-all", 10000, By::User, anything(everybody())),
    ]
}

fn schema(name: &str, level: &str, precedence: i64, by: By, rule: Value) -> Value {
    let mut spec = json!({
        "priorityLevelConfiguration": {"name": level}, "matchingPrecedence": precedence, "rules": [rule],
    });
    match by {
        By::Nothing => {}
        By::User => spec["distinguisherMethod"] = json!({"type": "ByUser"}),
        By::Namespace => spec["distinguisherMethod"] = json!({"type": "ByNamespace"}),
    }
    object("FlowSchema", name, spec)
}

fn anything(subjects: Vec<Value>) -> Value {
    json!({
        "subjects": subjects,
        "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"]}],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
    })
}

fn group(name: &str) -> Value {
    json!({"kind": "Group", "group": {"name": name}})
}

fn user(name: &str) -> Value {
    json!({"kind": "User", "user": {"name": name}})
}

fn accounts(namespace: &str) -> Value {
    json!({"kind": "ServiceAccount", "serviceAccount": {"namespace": namespace, "name": "*"}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_belong_to_whoever_changed_them() {
        let object = |name: &str, annotation: Value, generation: i64| json!({"metadata": {"name": name, "generation": generation, "annotations": {AUTO_UPDATE: annotation}}});
        for (object, want) in [
            (object("system", "true".into(), 5), true),
            (object("system", "false".into(), 1), false),
            (object("system", Value::Null, 1), true),
            (object("system", Value::Null, 2), false),
            (object("exempt", "false".into(), 2), true),
        ] {
            assert_eq!(may_update(&object), want, "{object}");
        }
    }

    /// The specs of a fresh upstream cluster.
    #[test]
    fn matches_a_fresh_cluster() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/kubernetes-1.36/fresh-cluster.json");
        let Ok(text) = std::fs::read_to_string(file) else {
            println!("skipped: no fresh cluster to compare with");
            return;
        };
        let fresh: Value = serde_json::from_str(&text).expect("json");
        let ours = objects();
        for want in fresh["items"].as_array().expect("a list") {
            if want["apiVersion"] != "flowcontrol.apiserver.k8s.io/v1" {
                continue;
            }
            let same = |o: &&Value| o["kind"] == want["kind"] && o["metadata"]["name"] == want["metadata"]["name"];
            let got = ours.iter().find(same).expect("an object of the same name");
            assert_eq!(got["spec"], want["spec"], "{}", want["metadata"]["name"]);
        }
        assert_eq!(ours.len(), 19);
    }
}
