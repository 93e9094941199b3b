//! Who is asking and what they may, through the binary: RBAC from the first moment, no escalation,
//! passwords, bootstrap tokens, service account tokens that end with what they are bound to.

mod support;

use apimachinery::Value;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::{Method, StatusCode};
use serde_json::json;
use std::path::Path;
use support::{ADMIN, Server, file};
use testkit::etcd::Etcd;

const ALICE: &str = "Bearer alice-token";
const SCHEDULER: &str = "Bearer scheduler-token";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

fn arguments(folder: &Path) -> Vec<String> {
    let tokens = "admin-token,admin,u0,system:masters\nalice-token,alice,u1,\"dev,ops\"\nscheduler-token,system:kube-scheduler,u2\n";
    let tokens = file(folder, "tokens.csv", tokens);
    let passwords = file(folder, "passwords.csv", "secret,bob,u3,dev\n");
    let key = pki::key::Key::generate(pki::key::Algorithm::EcdsaP256).expect("a key").to_pem();
    let key = file(folder, "sa.key", &key);
    vec![
        "--authorization-mode=Node,RBAC".into(),
        format!("--token-auth-file={}", tokens.display()),
        format!("--basic-auth-file={}", passwords.display()),
        "--enable-bootstrap-token-auth".into(),
        "--service-account-issuer=https://issuer.example".into(),
        format!("--service-account-signing-key-file={}", key.display()),
        format!("--service-account-key-file={}", key.display()),
    ]
}

#[tokio::test]
async fn who_asks_and_what_they_may() {
    if !Etcd::is_installed() {
        println!("skipped: etcd is not installed");
        return;
    }
    let etcd = Etcd::start().expect("etcd");
    let server = Server::start(&etcd, arguments).await;
    // Not a moment after the start: what components may do is only being written.
    assert_eq!(server.get(SCHEDULER, "/api/v1/nodes").await.status, StatusCode::OK);
    server.ready().await;
    nobody_grants_what_they_lack(&server).await;
    passwords_and_bootstrap_tokens(&server).await;
    tokens_end_with_their_objects(&server).await;
}

async fn nobody_grants_what_they_lack(server: &Server) {
    let rules = json!([{"verbs": ["*"], "apiGroups": ["rbac.authorization.k8s.io"],
        "resources": ["roles", "rolebindings"]}, {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]);
    server.create(&format!("{RBAC}/clusterroles"), role("ClusterRole", "granter", rules)).await;
    let to_alice = json!([{"kind": "User", "name": "alice", "apiGroup": "rbac.authorization.k8s.io"}]);
    server.create(&format!("{RBAC}/clusterrolebindings"), binding("ClusterRoleBinding", "granter", to_alice)).await;
    let roles = format!("{RBAC}/namespaces/default/roles");
    let held = json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]);
    let granted = server.ask(ALICE, Method::POST, &roles, role("Role", "held", held)).await;
    // Held through `*` on roles: `escalate` is a verb too.
    assert_eq!(granted.status, StatusCode::CREATED, "{granted:?}");
    let all_but_escalate = json!({"rules": [
        {"verbs": ["get", "create", "update", "patch"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"]},
        {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]});
    let patched = server.ask(ADMIN, Method::PATCH, &format!("{RBAC}/clusterroles/granter"), all_but_escalate).await;
    assert_eq!(patched.status, StatusCode::OK, "{patched:?}");
    let refused = loop {
        let more = json!([{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "secrets"]}]);
        let answer = server.ask(ALICE, Method::POST, &roles, role("Role", "more", more)).await;
        // Until the index has seen the change, alice still holds `escalate`.
        match answer.status {
            StatusCode::CREATED => {
                server.ask(ADMIN, Method::DELETE, &format!("{roles}/more"), Value::Null).await;
            }
            _ => break answer,
        }
    };
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let want = "roles.rbac.authorization.k8s.io \"more\" is forbidden: user \"alice\" (groups=[\"dev\" \"ops\" \"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"list\"]}\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"list\"]}";
    assert_eq!(refused.message(), want);
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    let to_dev = json!([{"kind": "Group", "name": "dev", "apiGroup": "rbac.authorization.k8s.io"}]);
    let refused =
        server.ask(ALICE, Method::POST, &bindings, binding("RoleBinding", "cluster-admin", to_dev.clone())).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let missing = server.ask(ALICE, Method::POST, &bindings, binding("RoleBinding", "nothing", to_dev)).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND, "{missing:?}");
}

fn role(kind: &str, name: &str, rules: Value) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "rules": rules})
}

fn binding(kind: &str, role: &str, subjects: Value) -> Value {
    let role_ref = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role});
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": role},
        "roleRef": role_ref, "subjects": subjects})
}

async fn passwords_and_bootstrap_tokens(server: &Server) {
    let who = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    let bob = server.ask(&basic("bob:secret"), Method::POST, who, review.clone()).await;
    assert_eq!(
        bob.json()["status"]["userInfo"],
        json!({"username": "bob", "uid": "u3", "groups": ["dev", "system:authenticated"]})
    );
    let wrong = server.ask(&basic("bob:guess"), Method::POST, who, review.clone()).await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert_eq!(wrong.headers["www-authenticate"], "Basic realm=\"kubernetes-master\"");
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
        "metadata": {"name": "bootstrap-token-abcdef"}, "stringData": {"token-id": "abcdef",
        "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true"}});
    server.create("/api/v1/namespaces/kube-system/secrets", secret).await;
    let joined = server.ask("Bearer abcdef.0123456789abcdef", Method::POST, who, review).await;
    assert_eq!(
        joined.json()["status"]["userInfo"],
        json!({"username": "system:bootstrap:abcdef", "groups": ["system:bootstrappers", "system:authenticated"]})
    );
}

async fn tokens_end_with_their_objects(server: &Server) {
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    server.create(accounts, json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}})).await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bound"}});
    server.create("/api/v1/namespaces/default/secrets", secret).await;
    let request = |target: Value| json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"boundObjectRef": target}});
    let issue = async |target: Value| {
        let issued = server.create(&format!("{accounts}/robot/token"), request(target)).await;
        issued["status"]["token"].as_str().expect("a token").to_owned()
    };
    let free = issue(Value::Null).await;
    let bound = issue(json!({"apiVersion": "v1", "kind": "Secret", "name": "bound"})).await;
    let review = async |token: &str| {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
        server.create("/apis/authentication.k8s.io/v1/tokenreviews", review).await["status"].clone()
    };
    for token in [&free, &bound] {
        let status = review(token).await;
        assert_eq!(status["user"]["username"], "system:serviceaccount:default:robot");
        assert_eq!(status["audiences"], json!(["https://issuer.example"]));
        let id = &status["user"]["extra"]["authentication.kubernetes.io/credential-id"][0];
        assert!(id.as_str().is_some_and(|id| id.starts_with("JTI=")), "{status}");
    }
    server.ask(ADMIN, Method::DELETE, "/api/v1/namespaces/default/secrets/bound", Value::Null).await;
    // The words of all who know tokens, as upstream joins them.
    let error = "[invalid bearer token, service account token has been invalidated]";
    assert_eq!(review(&bound).await["error"], error);
    assert_eq!(review(&free).await["authenticated"], true);
    server.ask(ADMIN, Method::DELETE, &format!("{accounts}/robot"), Value::Null).await;
    server.create(accounts, json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}})).await;
    let error = review(&free).await["error"].as_str().unwrap_or_default().to_owned();
    assert!(error.contains("does not match claim"), "{error}");
    assert_eq!(server.get(&format!("Bearer {free}"), "/version").await.status, StatusCode::UNAUTHORIZED);
}
