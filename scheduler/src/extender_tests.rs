use super::*;
use crate::model::builders::pod;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// An extender that answers one request, and the request that it got.
async fn asked<T>(
    change: impl FnOnce(&mut ExtenderConfig),
    answer: Value,
    ask: impl AsyncFnOnce(&Extender) -> T,
) -> (String, Value, T) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = ExtenderConfig {
        url_prefix: format!("http://{}/base/", listener.local_addr().unwrap()),
        filter_verb: "filter".into(),
        prioritize_verb: "prioritize".into(),
        preempt_verb: "preempt".into(),
        bind_verb: "bind".into(),
        weight: 2,
        node_cache_capable: true,
        ..ExtenderConfig::default()
    };
    change(&mut config);
    let extender = Extender::new(&config, "test/1").await.unwrap();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut got = Vec::new();
        let (head, body) = loop {
            got.push(stream.read_u8().await.unwrap());
            if got.ends_with(b"\r\n\r\n") {
                let head = String::from_utf8(got).unwrap();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                let mut body = vec![0; length.parse().unwrap()];
                stream.read_exact(&mut body).await.unwrap();
                break (head, body);
            }
        };
        let answer = answer.to_string();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
        (head.lines().next().unwrap().to_owned(), serde_json::from_slice(&body).unwrap())
    };
    let ((line, body), outcome) = tokio::join!(serve, ask(&extender));
    (line, body, outcome)
}

fn whole() -> core::Pod {
    serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "default", "uid": "1"}})).unwrap()
}

fn no_nodes(_: &str) -> Option<Arc<core::Node>> {
    None
}

fn names(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|&name| Arc::from(name)).collect()
}

#[tokio::test]
async fn nodes_are_left_out_by_name() {
    let answer =
        json!({"nodenames": ["b"], "failedNodes": {"a": "busy"}, "FailedAndUnresolvableNodes": null, "Error": ""});
    let (line, body, filtered) = asked(
        |_| {},
        answer,
        async |extender| {
            let question = Question { pod: &whole(), names: &names(&["a", "b"]), nodes: &no_nodes };
            extender.filter(&question).await.unwrap()
        },
    )
    .await;
    assert_eq!(line, "POST /base/filter HTTP/1.1");
    assert_eq!(body["NodeNames"], json!(["a", "b"]));
    assert_eq!((body["Nodes"].clone(), body["Pod"]["metadata"]["uid"].clone()), (Value::Null, json!("1")));
    assert_eq!((filtered.nodes, filtered.failed), (names(&["b"]), [("a".into(), "busy".into())].into()));
}

#[tokio::test]
async fn whole_nodes_go_to_who_does_not_know_them() {
    let node = |name: &str| {
        let node = json!({"metadata": {"name": name}});
        Some(Arc::new(serde_json::from_value(node).unwrap()))
    };
    let answer = json!({"Nodes": {"items": [{"metadata": {"name": "a"}}]}});
    let (_, body, filtered) = asked(
        |config| config.node_cache_capable = false,
        answer,
        async |extender| {
            let question = Question { pod: &whole(), names: &names(&["a", "b"]), nodes: &node };
            extender.filter(&question).await.unwrap()
        },
    )
    .await;
    assert_eq!(
        (body["NodeNames"].clone(), body["Nodes"]["items"][1]["metadata"]["name"].clone()),
        (Value::Null, json!("b"))
    );
    assert_eq!(filtered.nodes, names(&["a"]));
}

#[tokio::test]
async fn errors_and_strangers_are_no_answer() {
    let ask = async |extender: &Extender| {
        let question = Question { pod: &whole(), names: &names(&["a"]), nodes: &no_nodes };
        extender.filter(&question).await.unwrap_err().to_string()
    };
    let (_, _, error) = asked(|_| {}, json!({"Error": "no"}), ask).await;
    assert_eq!(error, "no");
    let (_, _, error) = asked(|_| {}, json!({"NodeNames": ["c"]}), ask).await;
    assert!(error.ends_with("claims a filtered node \"c\" which is not found in the input node list"), "{error}");
}

#[tokio::test]
async fn scores_are_weighed_and_scaled() {
    let answer = json!([{"Host": "a", "Score": 3}, {"host": "b", "score": 10}]);
    let (line, _, scores) = asked(
        |_| {},
        answer,
        async |extender| {
            let question = Question { pod: &whole(), names: &names(&["a", "b"]), nodes: &no_nodes };
            extender.prioritize(&question).await.unwrap()
        },
    )
    .await;
    assert_eq!(line, "POST /base/prioritize HTTP/1.1");
    assert_eq!(scores, [("a".into(), 60), ("b".into(), 200)].into());
}

#[tokio::test]
async fn victims_are_left_out() {
    let victims = HashMap::from([(Arc::from("a"), Victims { pods: vec!["1".into(), "2".into()], violations: 1 })]);
    let answer = json!({"NodeNameToMetaVictims": {"a": {"Pods": [{"UID": "2"}], "NumPDBViolations": 0}}});
    let (_, body, left) =
        asked(|_| {}, answer, async |extender| extender.preempt(&whole(), &victims, &|_, _| None).await.unwrap()).await;
    let told = json!({"a": {"Pods": [{"UID": "1"}, {"UID": "2"}], "NumPDBViolations": 1}});
    assert_eq!(body["NodeNameToMetaVictims"], told);
    assert_eq!(left, [("a".into(), Victims { pods: vec!["2".into()], violations: 0 })].into());
}

#[tokio::test]
async fn pods_are_bound_by_name() {
    let bound = pod("p").build();
    let (line, body, outcome) = asked(|_| {}, json!({}), async |extender| extender.bind(&bound, "a").await).await;
    assert!(outcome.is_ok());
    assert_eq!(line, "POST /base/bind HTTP/1.1");
    assert_eq!(body, json!({"PodName": "p", "PodNamespace": "default", "PodUID": bound.uid, "Node": "a"}));
}

#[tokio::test]
async fn only_pods_with_managed_resources_interest_it() {
    let resource = crate::config::extenders::ManagedResource { name: "example.com/x".into(), ..Default::default() };
    let managed_resources = vec![resource];
    let url_prefix = "http://127.0.0.1:1".to_owned();
    let config = ExtenderConfig { url_prefix, managed_resources, ..ExtenderConfig::default() };
    let extender = Extender::new(&config, "test/1").await.unwrap();
    assert!(extender.is_interested(&pod("p").request("example.com/x", "1").build()));
    assert!(!extender.is_interested(&pod("p").requests("1", "1Gi").build()));
}

#[tokio::test(start_paused = true)]
async fn who_takes_too_long_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url_prefix = format!("http://{}", listener.local_addr().unwrap());
    let config =
        ExtenderConfig { bind_verb: "bind".into(), url_prefix: url_prefix.clone(), ..ExtenderConfig::default() };
    let extender = Extender::new(&config, "test/1").await.unwrap();
    let error = extender.bind(&pod("p").build(), "a").await.unwrap_err().to_string();
    let expected = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
    assert_eq!(error, format!("Post \"{url_prefix}/bind\": {expected}"));
}
