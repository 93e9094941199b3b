//! Priority and fairness on the way of requests, large answers compressed.

mod support;

use apiserver_fairness::Fairness;
use apiserver_server::Options;
use flate2::read::MultiGzDecoder;
use http::{Method, StatusCode};
use serde_json::json;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use support::TestServer;

/// A server with `seats` seats and a schema that sorts `nobody` into a level without queues.
async fn server(seats: usize) -> TestServer {
    let fairness = Arc::new(Fairness::new(seats, Duration::from_secs(60)));
    let server = TestServer::with(Options::default(), Some(fairness.clone())).await;
    let registry = server.server.registry.clone();
    server.supervisor.spawn_until_stop("fairness", async move { fairness.run(&registry).await });
    server
}

#[tokio::test]
async fn responses_say_how_they_were_classified() {
    let server = server(10).await;
    let level = json!({"apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "PriorityLevelConfiguration",
        "metadata": {"name": "l"}, "spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 10,
            "limitResponse": {"type": "Reject"}}}});
    let base = "/apis/flowcontrol.apiserver.k8s.io/v1";
    let level = server.create(&format!("{base}/prioritylevelconfigurations"), level).await;
    let schema = json!({"apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema", "metadata": {"name": "s"},
        "spec": {"matchingPrecedence": 7, "priorityLevelConfiguration": {"name": "l"}, "rules": [{
            "subjects": [{"kind": "User", "user": {"name": "nobody"}}],
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true,
                "namespaces": ["*"]}]}]}});
    let schema = server.create(&format!("{base}/flowschemas"), schema).await;
    let nobody = [("authorization", "Bearer nobody-token")];
    let classified = async {
        loop {
            // Refused, and classified all the same.
            let answer = server.ask(Method::GET, "/api/v1/nodes", &nobody, "").await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN);
            if answer.headers["x-kubernetes-pf-flowschema-uid"] == schema["metadata"]["uid"].as_str().expect("a UID") {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(Duration::from_secs(10), classified).await.expect("in time");
    assert_eq!(answer.headers["x-kubernetes-pf-prioritylevel-uid"], level["metadata"]["uid"].as_str().expect("a UID"));
    let found = async {
        loop {
            let schema = server.get(&format!("{base}/flowschemas/s")).await.json();
            if schema["status"]["conditions"][0]["reason"] == "Found" {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), found).await.expect("a condition in time");
    let dump = server.get("/debug/api_priority_and_fairness/dump_priority_levels").await;
    assert!(dump.text().contains("\nl "), "{}", dump.text());
    server.supervisor.stop();
}

#[tokio::test]
async fn large_lists_are_compressed_for_those_who_ask() {
    let server = TestServer::start().await;
    for i in 0..20 {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("c{i}")},
            "data": {"k": "v".repeat(16 * 1024)}});
        server.create("/api/v1/namespaces/default/configmaps", object).await;
    }
    let path = "/api/v1/namespaces/default/configmaps";
    let plain = server.get(path).await;
    assert!(!plain.headers.contains_key("content-encoding"));
    let gzip = server.ask(Method::GET, path, &[("accept-encoding", "gzip")], "").await;
    assert_eq!(gzip.headers["content-encoding"], "gzip");
    assert!(gzip.body.len() * 10 < plain.body.len());
    let mut text = String::new();
    MultiGzDecoder::new(&gzip.body[..]).read_to_string(&mut text).expect("gzip");
    assert_eq!(text, plain.text());
    let small = server.ask(Method::GET, &format!("{path}/c1"), &[("accept-encoding", "gzip")], "").await;
    assert!(!small.headers.contains_key("content-encoding"));
}
