//! Commands of the binary against a server that says what it is told to say.

#[path = "support/answers.rs"]
mod answers;

use answers::serve;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::{Command, Output};

fn run(server: SocketAddr, line: &str) -> (String, String, Option<i32>) {
    let home = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-rs"));
    command.env("KUBECONFIG", "/dev/null").env("HOME", home.path()).arg(format!("--server=http://{server}"));
    let output: Output = command.args(line.split(' ')).output().expect("runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

/// Discovery of pods, nodes and deployments.
fn discovery(path: &str) -> Option<Value> {
    let resource = |plural: &str, singular: &str, kind: &str, scope: &str| {
        json!({"resource": plural, "singularResource": singular,
        "responseKind": {"kind": kind}, "scope": scope, "verbs": ["get", "list", "watch"]})
    };
    match path {
        "/api" => Some(
            json!({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": ""}, "versions": [{"version": "v1", "resources": [
            resource("pods", "pod", "Pod", "Namespaced"), resource("nodes", "node", "Node", "Cluster")]}]}]}),
        ),
        "/apis" => Some(json!({"kind": "APIGroupDiscoveryList", "items": [
            {"metadata": {"name": "apps"}, "versions": [{"version": "v1", "resources": [resource("deployments", "deployment", "Deployment", "Namespaced")]}]},
            {"metadata": {"name": "metrics.k8s.io"}, "versions": [{"version": "v1beta1", "resources": [resource("pods", "", "PodMetrics", "Namespaced")]}]}]})),
        _ => None,
    }
}

#[test]
fn can_i_says_yes_and_no() {
    fn answers(method: &str, path: &str, body: &Value) -> Option<Value> {
        match (method, path) {
            ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews") => {
                let attributes = &body["spec"]["resourceAttributes"];
                let allowed = attributes["resource"] == "deployments"
                    && attributes["group"] == "apps"
                    && attributes["verb"] == "get";
                Some(
                    json!({"kind": "SelfSubjectAccessReview", "status": {"allowed": allowed, "reason": if allowed { "" } else { "so it is" }}}),
                )
            }
            _ => discovery(path),
        }
    }
    let server = serve(answers);
    assert_eq!(run(server, "auth can-i get deployments"), ("yes\n".into(), String::new(), Some(0)));
    assert_eq!(run(server, "auth can-i get pods"), ("no - so it is\n".into(), String::new(), Some(1)));
    assert_eq!(run(server, "auth can-i get pods -q"), (String::new(), String::new(), Some(1)));
    let (out, err, code) = run(server, "auth can-i get nodes");
    assert_eq!((out.as_str(), code), ("no - so it is\n", Some(1)));
    assert_eq!(err, "Warning: resource 'nodes' is not namespace scoped\n\n");
}

#[test]
fn waiting_ends_when_the_watch_says_so() {
    fn answers(_: &str, path: &str, _: &Value) -> Option<Value> {
        let pod = |ready: &str| {
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default", "resourceVersion": "5"},
            "status": {"conditions": [{"type": "Ready", "status": ready}]}})
        };
        match path {
            "/api/v1/namespaces/default/pods/p" => Some(pod("False")),
            path if path.contains("watch=true") => Some(json!({"type": "MODIFIED", "object": pod("True")})),
            path if path.starts_with("/api/v1/namespaces/default/pods?") => {
                Some(json!({"kind": "PodList", "metadata": {"resourceVersion": "5"}, "items": [pod("False")]}))
            }
            path => discovery(path),
        }
    }
    let server = serve(answers);
    assert_eq!(
        run(server, "wait pod/p --for=condition=Ready"),
        ("pod/p condition met\n".into(), String::new(), Some(0))
    );
    assert_eq!(run(server, "wait pod/q --for=delete"), (String::new(), String::new(), Some(0)));
    let (_, err, code) = run(server, "wait pod/p --for=condition=Ready --timeout=0");
    assert_eq!((err.as_str(), code), ("error: condition not met for pods/p\n", Some(1)));
}

#[test]
fn events_and_metrics_are_tables() {
    fn answers(_: &str, path: &str, _: &Value) -> Option<Value> {
        let event = |name: &str, time: &str, kind: &str| {
            json!({"metadata": {"name": name, "namespace": "default"}, "type": kind, "reason": "R",
            "lastTimestamp": time, "message": name, "involvedObject": {"kind": "Pod", "name": "p"}})
        };
        match path {
            path if path.starts_with("/api/v1/namespaces/default/events") => {
                Some(json!({"kind": "EventList", "metadata": {}, "items": [
                event("second", "2026-01-02T00:00:00Z", "Warning"), event("first", "2026-01-01T00:00:00Z", "Normal")]}))
            }
            "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods" => Some(json!({"kind": "List", "items": [
                {"metadata": {"name": "p", "namespace": "default"}, "containers": [{"name": "c", "usage": {"cpu": "12500u", "memory": "2048Ki"}}]}]})),
            path => discovery(path),
        }
    }
    let server = serve(answers);
    let (out, _, _) = run(server, "events");
    let want = "LAST SEEN   TYPE      REASON   OBJECT   MESSAGE\n<unknown>   Normal    R        Pod/p    first\n<unknown>   Warning   R        Pod/p    second\n";
    assert_eq!(out, want);
    assert!(!run(server, "events --types=Normal").0.contains("second"));
    assert_eq!(run(server, "events --types=x").1, "error: valid --types are Normal or Warning\n");
    let want = "NAME   CPU(cores)   MEMORY(bytes)   \np      13m          2Mi             \n";
    assert_eq!(run(server, "top pod"), (want.into(), String::new(), Some(0)));
}

#[test]
fn why_joins_status_and_events() {
    fn answers(_: &str, path: &str, _: &Value) -> Option<Value> {
        match path {
            "/api/v1/namespaces/default/pods/p" => Some(
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default", "uid": "u"},
                "spec": {}, "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available"}]}}),
            ),
            path if path.starts_with("/api/v1/namespaces/default/events") => Some(json!({"kind": "List", "items": [
                {"type": "Warning", "reason": "FailedScheduling", "lastTimestamp": "2026-01-01T00:00:00Z", "message": "0/1 nodes are available"}]})),
            _ => None,
        }
    }
    let (out, err, code) = run(serve(answers), "why pod p");
    assert_eq!(
        out,
        "pod/p is Pending.\n- no node takes it\n    condition PodScheduled=False (Unschedulable): 0/1 nodes are available\n    event FailedScheduling (2026-01-01T00:00:00Z): 0/1 nodes are available\n",
        "{err}"
    );
    assert_eq!(code, Some(0));
}

#[test]
fn debugging_patches_the_pod() {
    fn answers(method: &str, path: &str, body: &Value) -> Option<Value> {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"}, "spec": {"containers": [{"name": "c"}]}});
        match (method, path) {
            ("GET", "/api/v1/namespaces/default/pods/p") => Some(pod),
            ("PATCH", "/api/v1/namespaces/default/pods/p/ephemeralcontainers") => {
                let container = &body["spec"]["ephemeralContainers"][0];
                assert_eq!((&container["name"], &container["command"]), (&json!("d"), &json!(["sh", "-c", "x"])));
                Some(pod)
            }
            _ => None,
        }
    }
    let server = serve(answers);
    let done = run(server, "debug p --image=busybox -c d -- sh -c x");
    assert_eq!(done, (String::new(), String::new(), Some(0)));
    let (_, err, code) = run(server, "debug q --image=busybox");
    assert!(err.starts_with("Error from server (NotFound)") && code == Some(1), "{err}");
}

#[test]
fn fields_are_explained() {
    fn answers(_: &str, path: &str, _: &Value) -> Option<Value> {
        let kind = json!({"group": "", "version": "v1", "kind": "Pod"});
        match path {
            "/openapi/v3" => Some(json!({"paths": {"api/v1": {"serverRelativeURL": "/openapi/v3/api/v1?hash=1"}}})),
            "/openapi/v3/api/v1?hash=1" => Some(json!({
                "paths": {"/api/v1/namespaces/{namespace}/pods": {"get": {"x-kubernetes-group-version-kind": kind}}},
                "components": {"schemas": {"Pod": {"description": "A pod.", "x-kubernetes-group-version-kind": [kind],
                    "properties": {"spec": {"type": "string", "description": "Wanted."}}}}}})),
            path => discovery(path),
        }
    }
    let server = serve(answers);
    let want = "KIND:       Pod\nVERSION:    v1\n\nFIELD: spec <string>\n\n\nDESCRIPTION:\n    Wanted.\n    \n\n";
    assert_eq!(run(server, "explain pods.spec"), (want.into(), String::new(), Some(0)));
    let (_, err, code) = run(server, "explain pods.nothing");
    assert_eq!((err.as_str(), code), ("error: field \"nothing\" does not exist\n", Some(1)));
    assert_eq!(run(server, "explain nosuch").1, "the server doesn't have a resource type \"nosuch\"\n");
}

#[test]
fn types_of_other_servers_are_patched_as_their_documents_say() {
    fn answers(method: &str, path: &str, body: &Value) -> Option<Value> {
        let kind = json!({"group": "wardle.example.com", "version": "v1", "kind": "Flunder"});
        let flunder = |parts: Value| {
            json!({"apiVersion": "wardle.example.com/v1", "kind": "Flunder",
            "metadata": {"name": "f", "namespace": "default", "resourceVersion": "1"}, "parts": parts})
        };
        let parts = json!({"items": {"type": "object"}, "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "name"});
        match (method, path.split('?').next().unwrap_or_default()) {
            ("GET", "/apis") => {
                Some(json!({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": "wardle.example.com"},
                "versions": [{"version": "v1", "resources": [{"resource": "flunders", "singularResource": "flunder",
                    "responseKind": {"kind": "Flunder"}, "scope": "Namespaced", "verbs": ["get", "patch"]}]}]}]}))
            }
            ("GET", "/openapi/v3") => {
                Some(json!({"paths": {"apis/wardle.example.com/v1": {"serverRelativeURL": "/openapi/v3/wardle"}}}))
            }
            ("GET", "/openapi/v3/wardle") => Some(json!({
                "paths": {"/apis/wardle.example.com/v1/namespaces/{namespace}/flunders/{name}": {"patch": {
                    "x-kubernetes-group-version-kind": kind,
                    "requestBody": {"content": {"application/strategic-merge-patch+json": {}}}}}},
                "components": {"schemas": {"Flunder": {
                    "x-kubernetes-group-version-kind": [kind], "properties": {"parts": parts}}}}})),
            ("GET", "/apis/wardle.example.com/v1/namespaces/default/flunders/f") => {
                Some(flunder(json!([{"name": "a"}])))
            }
            ("PATCH", "/apis/wardle.example.com/v1/namespaces/default/flunders/f") => {
                // By the document, the list is merged; without it, it is replaced.
                let by_name = body["$setElementOrder/parts"] == json!([{"name": "b"}]);
                Some(flunder(if by_name { json!("merged") } else { body["parts"].clone() }))
            }
            _ => discovery(path),
        }
    }
    let server = serve(answers);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("flunder.yaml");
    std::fs::write(
        &file,
        "{apiVersion: wardle.example.com/v1, kind: Flunder, metadata: {name: f}, parts: [{name: b}]}",
    )
    .expect("written");
    let apply = |flags: &str| {
        run(server, &format!("apply --validate=false -f {} -o jsonpath={{.parts}} {flags}", file.display())).0
    };
    assert_eq!(apply("-n default"), "merged");
    assert_eq!(apply("--openapi-patch=false"), r#"[{"name":"b"}]"#);
}

#[test]
fn a_watch_may_take_as_long_as_it_was_given() {
    // A watch that stays open, and says nothing.
    fn answers(_: &str, path: &str, _: &Value) -> Option<Value> {
        if path.contains("watch=true") { Some(json!([])) } else { discovery(path) }
    }
    let server = serve(answers);
    assert_eq!(run(server, "events --watch --request-timeout=1"), (String::new(), String::new(), Some(0)));
    let (_, log, code) = run(server, "events --watch --request-timeout=1 -v=5");
    assert!(log.contains("\"Unable to decode an event from the watch stream\"") && log.contains("Timeout"), "{log}");
    assert_eq!(code, Some(0));
}
