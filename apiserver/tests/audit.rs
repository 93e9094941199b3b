//! The audit log and encryption at rest, through the binary.

mod support;

use apimachinery::Value;
use hyper::{Method, StatusCode};
use serde_json::json;
use std::path::Path;
use support::{ADMIN, Server, file};
use testkit::etcd::Etcd;

const POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, nonResourceURLs: ["/readyz*"]}
- {level: Metadata, resources: [{group: "", resources: [secrets]}]}
- {level: RequestResponse, omitManagedFields: true, verbs: [create, update, patch, delete], namespaces: [default]}
- {level: Metadata, userGroups: ["system:unauthenticated"]}
- {level: Metadata, users: [bob]}
"#;

const ENCRYPTION: &str = "
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers: [{aescbc: {keys: [{name: key1, secret: c2VjcmV0IGlzIHNlY3VyZSwgSSB0aGluaz8hISEhISE=}]}}, {identity: {}}]
";

fn arguments(folder: &Path) -> Vec<String> {
    let tokens = file(folder, "tokens.csv", "admin-token,admin,u0,system:masters\nbob-token,bob,u1\n");
    let policy = file(folder, "policy.yaml", POLICY);
    let encryption = file(folder, "encryption.yaml", ENCRYPTION);
    let abac = json!({"apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy",
        "spec": {"user": "bob", "namespace": "*", "resource": "configmaps", "apiGroup": "*", "readonly": true}});
    let abac = file(folder, "abac.jsonl", &abac.to_string());
    vec![
        "--authorization-mode=ABAC,RBAC".into(),
        format!("--authorization-policy-file={}", abac.display()),
        format!("--token-auth-file={}", tokens.display()),
        format!("--audit-policy-file={}", policy.display()),
        format!("--audit-log-path={}", folder.join("audit.log").display()),
        format!("--encryption-provider-config={}", encryption.display()),
    ]
}

fn events(server: &Server) -> Vec<Value> {
    let text = std::fs::read_to_string(server.folder.path().join("audit.log")).expect("the log");
    text.lines().map(|line| serde_json::from_str(line).expect("an event")).collect()
}

#[tokio::test]
async fn requests_leave_a_trail_and_secrets_none() {
    if !Etcd::is_installed() {
        println!("skipped: etcd is not installed");
        return;
    }
    let etcd = Etcd::start().expect("etcd");
    let server = Server::start(&etcd, arguments).await;
    server.ready().await;
    let maps = "/api/v1/namespaces/default/configmaps";
    let object = |kind: &str, data: Value| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "a"}, "stringData": data.get("s"), "data": data.get("d")});
    server.create(maps, object("ConfigMap", json!({"d": {"k": "v"}}))).await;
    server.create("/api/v1/namespaces/default/secrets", object("Secret", json!({"s": {"k": "hidden-value"}}))).await;
    assert_eq!(server.get("Bearer bob-token", &format!("{maps}/a")).await.status, StatusCode::OK, "ABAC");
    let refused = server.ask("Bearer bob-token", Method::DELETE, &format!("{maps}/a"), Value::Null).await;
    assert!(refused.message().ends_with("in the namespace \"default\": No policy matched."), "{refused:?}");
    assert_eq!(server.get("Bearer wrong", maps).await.status, StatusCode::UNAUTHORIZED);
    let metrics = server.get(ADMIN, "/metrics").await.text();
    let sample = |name: &str| -> u64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        line.unwrap_or_else(|| panic!("no {name}: {metrics}"))
    };
    let events = events(&server);
    assert!(sample("apiserver_audit_event_total") >= events.len() as u64);
    assert!(sample("apiserver_audit_level_total{level=\"RequestResponse\"}") >= 2);
    assert!(sample("apiserver_audit_level_total{level=\"None\"}") >= 1);
    assert_eq!(sample("apiserver_audit_requests_rejected_total"), 0);
    assert!(!events.iter().any(|e| e["requestURI"].as_str().is_some_and(|u| u.starts_with("/readyz"))));
    let about = |user: &str, verb: &str, resource: &str| {
        let found = events
            .iter()
            .find(|e| e["user"]["username"] == user && e["verb"] == verb && e["objectRef"]["resource"] == resource);
        found.unwrap_or_else(|| panic!("{user} {verb} {resource}: {events:#?}"))
    };
    let created = about("admin", "create", "configmaps");
    assert_eq!((&created["level"], &created["stage"]), (&json!("RequestResponse"), &json!("ResponseComplete")));
    assert_eq!(created["requestObject"]["data"], json!({"k": "v"}));
    assert_eq!(created["responseObject"]["metadata"]["name"], "a");
    assert_eq!(created["responseStatus"]["code"], 201);
    assert_eq!(created["annotations"]["authorization.k8s.io/decision"], "allow");
    assert_eq!(created["objectRef"]["name"], "a");
    let secret = about("admin", "create", "secrets").to_string();
    assert!(!secret.contains("hidden-value") && !secret.contains("requestObject"), "{secret}");
    let refused = about("bob", "delete", "configmaps");
    assert_eq!(refused["annotations"]["authorization.k8s.io/decision"], "forbid");
    assert_eq!(
        (&refused["responseStatus"]["code"], &refused["responseStatus"]["reason"]),
        (&json!(403), &json!("Forbidden"))
    );
    // In clear through the API.
    let secret = server.get(ADMIN, "/api/v1/namespaces/default/secrets/a").await.json();
    assert_eq!(secret["data"]["k"], "aGlkZGVuLXZhbHVl");
}
