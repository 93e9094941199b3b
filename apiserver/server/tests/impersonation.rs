//! Acting as somebody else, on a server that asks RBAC.

mod support;

use apimachinery::Value;
use apiserver_registry::UserInfo;
use apiserver_server::authorization::Selected;
use apiserver_server::query::Query;
use apiserver_server::request_info::RequestInfo;
use http::{HeaderMap, Method, StatusCode};
use serde_json::json;
use std::collections::BTreeMap;
use support::{Answer, NOBODY, TestServer};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// Allows a subject what `rules` say, each as verbs, group, resources and names.
async fn allow(server: &TestServer, subject: Value, rules: &[(&[&str], &str, &str, &[&str])]) {
    let rule = |(verbs, group, resource, names): &(&[&str], &str, &str, &[&str])| json!({"verbs": verbs, "apiGroups": [group], "resources": [resource], "resourceNames": names});
    let rules: Vec<Value> = rules.iter().map(rule).collect();
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "acting"}, "rules": rules});
    server.create(&format!("{RBAC}/clusterroles"), role).await;
    let reference = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "acting"});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "acting"}, "roleRef": reference, "subjects": [subject]});
    server.create(&format!("{RBAC}/clusterrolebindings"), binding).await;
}

fn nobody() -> Value {
    json!({"kind": "User", "name": "nobody", "apiGroup": "rbac.authorization.k8s.io"})
}

async fn act(server: &TestServer, path: &str, headers: &[(&str, &str)]) -> Answer {
    let who = format!("Bearer {NOBODY}");
    let headers: Vec<_> = [("authorization", &*who)].into_iter().chain(headers.iter().copied()).collect();
    server.ask(Method::GET, path, &headers, "").await
}

/// What `you` hears of a list that only the impersonation of is allowed.
fn refused_as(user: &str) -> String {
    format!(
        "configmaps is forbidden: User {user:?} cannot list resource \"configmaps\" in API group \"\" in the namespace \
         \"default\""
    )
}

#[tokio::test]
async fn users_are_acted_as_for_what_is_allowed() {
    let server = TestServer::with_rbac().await;
    let group = "authentication.k8s.io";
    allow(
        &server,
        nobody(),
        &[
            (&["impersonate:user-info"], group, "users", &["you"]),
            (&["impersonate:user-info"], group, "groups", &["g"]),
            (&["impersonate-on:user-info:list"], "", "configmaps", &[]),
            (&["impersonate"], "", "users", &["old"]),
        ],
    )
    .await;
    let user = "impersonate-user";
    // What came of the first answer is there for the others.
    while act(&server, MAPS, &[(user, "you")]).await.message() != refused_as("you") {}
    let on = |verb: &str, what: &str| format!("User \"nobody\" cannot impersonate{verb} resource {what}");
    let in_group = "in API group \"authentication.k8s.io\" at the cluster scope";
    for (path, headers, want) in [
        (MAPS.to_owned(), vec![(user, "you"), ("impersonate-group", "g")], refused_as("you")),
        (
            format!("{MAPS}/x"),
            vec![(user, "you")],
            format!(
                "configmaps \"x\" is forbidden: {}",
                on("-on:user-info:get", "\"configmaps\" in API group \"\" in the namespace \"default\"")
            ),
        ),
        (
            MAPS.to_owned(),
            vec![(user, "you"), ("impersonate-group", "h")],
            format!("groups.{group} \"h\" is forbidden: {}", on(":user-info", &format!("\"groups\" {in_group}"))),
        ),
        (
            MAPS.to_owned(),
            vec![(user, "other")],
            format!("users.{group} \"other\" is forbidden: {}", on(":user-info", &format!("\"users\" {in_group}"))),
        ),
        // As it always was: for any request.
        (MAPS.to_owned(), vec![(user, "old")], refused_as("old")),
        (
            "/version/x".to_owned(),
            vec![(user, "old")],
            "forbidden: User \"old\" cannot get path \"/version/x\"".to_owned(),
        ),
        // From now on it is tried first, and what is said is what it says.
        (
            MAPS.to_owned(),
            vec![(user, "other")],
            "users \"other\" is forbidden: User \"nobody\" cannot impersonate resource \"users\" in API group \"\" at the \
             cluster scope"
                .to_owned(),
        ),
    ] {
        let answer = act(&server, &path, &headers).await;
        assert_eq!((answer.status, answer.message()), (StatusCode::FORBIDDEN, want));
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    }
}

#[tokio::test]
async fn what_was_allowed_holds_for_a_moment() {
    let server = TestServer::with_rbac().await;
    let on = &["impersonate-on:user-info:list"][..];
    let rules =
        [(&["impersonate:user-info"][..], "authentication.k8s.io", "users", &[][..]), (on, "", "configmaps", &[])];
    allow(&server, nobody(), &rules).await;
    let you = [("impersonate-user", "you")];
    while act(&server, MAPS, &you).await.message() != refused_as("you") {}
    let binding = format!("{RBAC}/clusterrolebindings/acting");
    assert_eq!(server.ask(Method::DELETE, &binding, &[], "").await.status, StatusCode::OK);
    // Another request, which nobody has asked for before.
    let mut asked = 0;
    loop {
        asked += 1;
        let answer = act(&server, &format!("/api/v1/namespaces/n{asked}/configmaps"), &you).await;
        if answer.message().contains("impersonate-on:user-info:list") {
            break;
        }
    }
    assert_eq!(act(&server, MAPS, &you).await.message(), refused_as("you"));
}

#[tokio::test]
async fn pods_act_as_their_own_nodes() {
    let server = TestServer::with_rbac().await;
    let robot = json!({"kind": "ServiceAccount", "name": "robot", "namespace": "ops"});
    allow(
        &server,
        robot,
        &[
            (&["impersonate:associated-node"], "authentication.k8s.io", "nodes", &[]),
            (&["impersonate-on:associated-node:list"], "", "configmaps", &[]),
        ],
    )
    .await;
    let on = |node: &str| UserInfo {
        name: "system:serviceaccount:ops:robot".into(),
        groups: vec!["system:serviceaccounts".into()],
        extra: BTreeMap::from([("authentication.kubernetes.io/node-name".into(), vec![node.into()])]),
        ..UserInfo::default()
    };
    let query = Query::default();
    let info = RequestInfo::parse(&Method::GET, MAPS, &query).expect("a path");
    let effective = async |robot: &UserInfo, node: &str| {
        let headers: HeaderMap =
            [(http::HeaderName::from_static("impersonate-user"), node.parse().expect("a value"))].into_iter().collect();
        server.server.impersonation.effective(robot, &headers, || Selected::of(&info, &query)).await
    };
    let acting = loop {
        if let Ok(Some(acting)) = effective(&on("n1"), "system:node:n1").await {
            break acting;
        }
    };
    assert_eq!(acting.constraint, Some("impersonate:associated-node"));
    assert_eq!(acting.user.groups, ["system:nodes", "system:authenticated"]);
    // Remembered for all nodes, each pod on its own.
    let acting = effective(&on("n2"), "system:node:n2").await.expect("allowed").expect("a node");
    assert_eq!(acting.user.name, "system:node:n2");
    let refusal = effective(&on("n2"), "system:node:n1").await.expect_err("another's node");
    assert!(refusal.message.contains("cannot impersonate-on:arbitrary-node:list"), "{}", refusal.message);
}
