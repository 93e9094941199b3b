//! Server-side apply and managed fields over HTTP.

mod support;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use support::{Answer, TestServer};

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/default/deployments/web";
const MAP: &str = "/api/v1/namespaces/default/configmaps/a";

async fn apply(server: &TestServer, path: &str, query: &str, body: &str) -> Answer {
    let path = format!("{path}?{query}");
    server.ask(Method::PATCH, &path, &[("content-type", "application/apply-patch+yaml")], body.to_owned()).await
}

async fn merge(server: &TestServer, path: &str, body: Value) -> Answer {
    server.ask(Method::PATCH, path, &[("content-type", "application/merge-patch+json")], body.to_string()).await
}

fn deployment(replicas: Option<u32>, image: &str) -> String {
    let replicas = replicas.map(|n| format!("  replicas: {n}\n")).unwrap_or_default();
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n{replicas}  selector:\n    matchLabels: {{a: b}}\n  \
         template:\n    metadata:\n      labels: {{a: b}}\n    spec:\n      containers:\n      - name: c\n        image: {image}\n        \
         ports:\n        - containerPort: 80\n"
    )
}

/// Managers by name, operation and subresource.
fn managers(object: &Value) -> Vec<String> {
    let list = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    list.iter()
        .map(|entry| {
            ["manager", "operation", "subresource"].map(|key| text(entry, key)).join(" ").trim_end().to_owned()
        })
        .collect()
}

#[tokio::test]
async fn applying_creates_and_then_changes() {
    let server = TestServer::start().await;
    let made = apply(&server, DEPLOYMENT, "fieldManager=one", &deployment(Some(2), "i:1")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let made = made.json();
    assert_eq!(managers(&made), ["one Apply"]);
    let fields = &made["metadata"]["managedFields"][0]["fieldsV1"];
    let want = json!({"f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": {
        "f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:name": {},
            "f:image": {}, "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}}}}});
    assert_eq!(fields, &want);
    let again = apply(&server, DEPLOYMENT, "fieldManager=one", &deployment(Some(2), "i:1")).await;
    assert_eq!((again.status, again.json()), (StatusCode::OK, made.clone()), "nothing has changed");
    let dry = apply(&server, DEPLOYMENT, "fieldManager=one&dryRun=All", &deployment(None, "i:2")).await.json();
    assert_eq!(
        (&dry["spec"]["replicas"], &dry["metadata"]["resourceVersion"]),
        (&json!(1), &made["metadata"]["resourceVersion"])
    );
    let less = apply(&server, DEPLOYMENT, "fieldManager=one", &deployment(None, "i:2")).await.json();
    assert_eq!((&less["spec"]["replicas"], &less["metadata"]["generation"]), (&json!(1), &json!(2)));
    assert_eq!(less["spec"]["template"]["spec"]["containers"][0]["image"], "i:2");
}

#[tokio::test]
async fn others_fields_are_refused_unless_forced() {
    let server = TestServer::start().await;
    apply(&server, DEPLOYMENT, "fieldManager=one", &deployment(Some(1), "i:1")).await;
    let scaled = merge(&server, &format!("{DEPLOYMENT}?fieldManager=x"), json!({"spec": {"replicas": 3}})).await.json();
    assert_eq!(managers(&scaled), ["one Apply", "x Update"]);
    let refused = apply(&server, DEPLOYMENT, "fieldManager=one", &deployment(Some(1), "i:1")).await;
    let status = refused.json();
    assert_eq!(
        (refused.status, &status["message"], &status["reason"]),
        (
            StatusCode::CONFLICT,
            &json!("Apply failed with 1 conflict: conflict with \"x\" using apps/v1: .spec.replicas"),
            &json!("Conflict")
        )
    );
    let cause = json!([{"reason": "FieldManagerConflict", "message": "conflict with \"x\" using apps/v1", "field": ".spec.replicas"}]);
    assert_eq!(status["details"], json!({ "causes": cause }));
    let forced = apply(&server, DEPLOYMENT, "fieldManager=one&force=true", &deployment(Some(1), "i:1")).await.json();
    assert_eq!((managers(&forced), &forced["spec"]["replicas"]), (vec!["one Apply".to_owned()], &json!(1)));
}

#[tokio::test]
async fn malformed_applies_are_refused() {
    let server = TestServer::start().await;
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    for (query, body, code, want) in [
        ("", map.to_owned(), 422, "fieldManager: Required value: is required for apply patch"),
        ("fieldManager=m", format!("{map}dat: {{}}\n"), 500, ".dat: field not declared in schema"),
        ("fieldManager=m", "a: [".to_owned(), 400, "error decoding YAML: "),
        ("fieldManager=m", deployment(None, "i"), 400, "invalid object type: apps/v1, Kind=Deployment"),
        ("fieldManager=m", map.replace("{name: a}", "{name: b}"), 400, "the name of the object (b) does not match"),
        (
            "fieldManager=m",
            map.replace("{name: a}", "{name: a, managedFields: []}"),
            400,
            "metadata.managedFields must be nil",
        ),
        (
            "fieldManager=m",
            map.replace("{name: a}", "{name: a, uid: u}"),
            409,
            "uid mismatch: the provided object specified uid u",
        ),
        (
            "fieldManager=m&fieldValidation=Strict",
            format!("{map}data: {{x: a, x: b}}\n"),
            400,
            "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  line 4: key \"x\" already set in map",
        ),
    ] {
        let answer = apply(&server, MAP, query, &body).await;
        assert_eq!(answer.status.as_u16(), code, "{}", answer.text());
        assert!(answer.message().contains(want), "{}", answer.message());
    }
    let forced = merge(&server, &format!("{MAP}?force=true"), json!({})).await;
    assert_eq!(forced.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn every_write_is_tracked_for_its_manager() {
    let server = TestServer::start().await;
    let made = apply(&server, DEPLOYMENT, "fieldManager=one", &deployment(Some(1), "i:1")).await.json();
    let status = json!({"status": {"replicas": 1}});
    merge(&server, &format!("{DEPLOYMENT}/status?fieldManager=controller"), status).await;
    let scale = json!({"spec": {"replicas": 5}});
    merge(&server, &format!("{DEPLOYMENT}/scale?fieldManager=scaler"), scale).await;
    let object = server.get(DEPLOYMENT).await.json();
    assert_eq!(managers(&object), ["one Apply", "scaler Update scale", "controller Update status"]);
    let fields = |at: usize| &object["metadata"]["managedFields"][at]["fieldsV1"];
    assert_eq!(fields(0)["f:spec"].get("f:replicas"), None);
    assert_eq!(fields(1), &json!({"f:spec": {"f:replicas": {}}}));
    assert_eq!(fields(2), &json!({"f:status": {"f:replicas": {}}}));
    assert_ne!(object["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
    let scale = "apiVersion: autoscaling/v1\nkind: Scale\nmetadata: {name: web}\nspec: {replicas: 2}\n";
    let refused = apply(&server, &format!("{DEPLOYMENT}/scale"), "fieldManager=one", scale).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text());
    let forced = apply(&server, &format!("{DEPLOYMENT}/scale"), "fieldManager=one&force=true", scale).await;
    assert_eq!((forced.status, &forced.json()["spec"]["replicas"]), (StatusCode::OK, &json!(2)), "{}", forced.text());
    let object = server.get(DEPLOYMENT).await.json();
    // Who joins by the scale has no time there, and so comes first.
    assert_eq!(managers(&object), ["one Apply scale", "one Apply", "controller Update status"]);
}

#[tokio::test]
async fn clients_may_reset_managed_fields() {
    let server = TestServer::start().await;
    let map = server.config_map("a").await;
    assert_eq!(map["metadata"]["managedFields"][0]["operation"], "Update");
    for reset in [json!([]), json!([{}])] {
        apply(&server, MAP, "fieldManager=m", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: y}\n")
            .await;
        let bare = merge(&server, MAP, json!({"metadata": {"managedFields": reset}})).await.json();
        assert_eq!(bare["metadata"].get("managedFields"), None, "{bare}");
    }
}
