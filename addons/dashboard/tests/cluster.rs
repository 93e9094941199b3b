//! Before a real apiserver: everybody sees what they may, and nothing else.

mod support;

use http::{Method, StatusCode};
use serde_json::json;
use support::{ADMIN, Cluster, Dashboard, VIEWER, is_possible};

#[tokio::test]
async fn viewers_have_their_own_rights() {
    if !is_possible() {
        return;
    }
    let cluster = Cluster::start().await;
    let dashboard = Dashboard::start(&cluster.kubeconfig(true), &[]).await;
    let admin = dashboard.log_in(json!({"token": ADMIN})).await;
    let viewer = dashboard.log_in(json!({"token": VIEWER})).await;
    let certified = dashboard.log_in(json!({"kubeconfig": cluster.kubeconfig(true)})).await;
    let pods = "/k8s/api/v1/namespaces/default/pods";
    for (cookie, user, status) in [(&admin, "admin", 200), (&certified, "carl", 200), (&viewer, "jane", 403)] {
        assert_eq!(dashboard.get(cookie, "/session").await.json()["user"], user);
        let listed = dashboard.get(cookie, pods).await;
        assert_eq!(listed.status, status, "{user}: {listed:?}");
    }
    let message = dashboard.get(&viewer, pods).await.message();
    assert_eq!(
        message,
        "pods is forbidden: User \"jane\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\""
    );
    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"b": "c"}}).to_string();
    let maps = "/k8s/api/v1/namespaces/default/configmaps";
    assert_eq!(dashboard.ask(&certified, Method::POST, maps, map.clone()).await.status, StatusCode::CREATED);
    assert_eq!(dashboard.ask(&viewer, Method::POST, maps, map).await.status, StatusCode::FORBIDDEN);
    assert_eq!(dashboard.get(&admin, &format!("{maps}/a")).await.json()["data"]["b"], "c");
    // The kubeconfig that names the server is an administrator's; that helps nobody.
    assert_eq!(dashboard.get("", pods).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn watches_go_on_from_where_they_were() {
    if !is_possible() {
        return;
    }
    let cluster = Cluster::start().await;
    let dashboard = Dashboard::start(&cluster.kubeconfig(false), &[]).await;
    let cookie = dashboard.log_in(json!({"token": ADMIN})).await;
    let maps = "/k8s/api/v1/namespaces/default/configmaps";
    let version = dashboard.get(&cookie, maps).await.json()["metadata"]["resourceVersion"]
        .as_str()
        .expect("a version")
        .to_owned();
    for name in ["a", "b"] {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        assert_eq!(dashboard.ask(&cookie, Method::POST, maps, map.to_string()).await.status, StatusCode::CREATED);
    }
    let path = format!("{maps}?watch=1&timeoutSeconds=1&resourceVersion={version}");
    let events = dashboard.get(&cookie, &path).await;
    let names = String::from_utf8_lossy(&events.body)
        .lines()
        .map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).expect("an event");
            event["object"]["metadata"]["name"].as_str().unwrap_or_default().to_owned()
        })
        .collect::<Vec<_>>();
    assert_eq!(names, ["a", "b"]);
    let documents =
        dashboard.ask(&cookie, Method::POST, "/documents", "apiVersion: v1\nkind: A\nmetadata: {name: x}\n").await;
    assert_eq!(documents.json()[0]["metadata"]["name"], "x");
    assert_eq!(dashboard.ask("", Method::POST, "/documents", "a: b").await.status, StatusCode::UNAUTHORIZED);
}
