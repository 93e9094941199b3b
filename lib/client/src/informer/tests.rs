use super::*;
use crate::testing::{Answer, FakeServer};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

fn config_map(name: &str, version: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": name, "namespace": "n", "resourceVersion": version, "uid": name,
            "managedFields": [{"manager": "m"}],
        },
        "data": {"big": "value"},
    })
}

fn event(kind: &str, object: &Value) -> Value {
    json!({"type": kind, "object": object})
}

fn end_of_list(version: &str) -> Value {
    json!({"type": "BOOKMARK", "object": {
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"resourceVersion": version, "annotations": {"k8s.io/initial-events-end": "true"}, "creationTimestamp": null},
    }})
}

/// Builds an informer that reports its changes as text.
fn informer(
    server: &FakeServer,
    scope: Scope,
) -> (Informer<ConfigMap>, impl Future<Output = ()> + Send + 'static, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let builder = Builder::<ConfigMap>::new(server.client(), scope).trim(|o| o.data = None).on_change(move |change| {
        let verb = match change {
            Change::Added(_) => "added",
            Change::Updated(..) => "updated",
            Change::Deleted(_) => "deleted",
        };
        let _closed = sender.send(format!("{verb} {}", ObjectKey::of(&**change.object())));
    });
    let (informer, feed) = builder.build();
    (informer, feed, receiver)
}

#[tokio::test(start_paused = true)]
async fn a_streaming_list_fills_the_cache_and_the_watch_keeps_it() {
    let mut first = true;
    let server = FakeServer::new(move |_| {
        if !std::mem::take(&mut first) {
            return Answer::status(500, "InternalError");
        }
        Answer::watch(&[
            event("ADDED", &config_map("a", "1")),
            event("ADDED", &config_map("b", "2")),
            end_of_list("3"),
            event("MODIFIED", &config_map("a", "4")),
            event("DELETED", &config_map("b", "5")),
        ])
    });
    let (informer, feed, mut changes) = informer(&server, Scope::default());
    let check = async {
        informer.synced().await;
        for expected in ["added n/a", "added n/b", "updated n/a", "deleted n/b"] {
            assert_eq!(changes.recv().await.unwrap(), expected);
        }
        let a = informer.get("n", "a").unwrap();
        assert_eq!(a.metadata.resource_version.as_deref(), Some("4"));
        assert!(a.metadata.managed_fields.is_none() && a.data.is_none());
        informer.seen(&ObjectKey::of(&*a), "5").await;
        assert!(informer.get("n", "b").is_none());
    };
    tokio::select! { () = check => {}, () = feed => unreachable!("runs until dropped") }
    let uri = &server.requests()[0].uri;
    assert!(uri.contains("sendInitialEvents=true"), "{uri}");
}

#[tokio::test(start_paused = true)]
async fn a_server_without_streaming_lists_is_listed() {
    let lacking = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "InternalError", "code": 500,
        "message": "the required storage feature RequestWatchProgress is disabled",
    });
    let refusals = [
        Answer::status(422, "Invalid"),
        Answer::watch(&[event("ERROR", &lacking)]),
        Answer::watch(&[event("ADDED", &config_map("a", "1")), event("ERROR", &lacking)]),
    ];
    for refusal in refusals {
        let server = FakeServer::new(move |request| match request.uri.contains("watch=true") {
            true if request.uri.contains("sendInitialEvents") => refusal.clone(),
            true => Answer::status(500, "InternalError"),
            false => Answer::json(
                200,
                &json!({
                    "apiVersion": "v1", "kind": "ConfigMapList", "metadata": {"resourceVersion": "9"},
                    "items": [config_map("a", "1")],
                }),
            ),
        });
        let scope = Scope { namespace: Some("n".into()), ..Scope::default() };
        let (informer, feed, _changes) = informer(&server, scope);
        tokio::select! { () = informer.synced() => {}, () = feed => unreachable!("runs until dropped") }
        assert_eq!(informer.len(), 1);
        let list = &server.requests()[1].uri;
        assert!(list.starts_with("/api/v1/namespaces/n/configmaps?"), "{list}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_subscriber_sees_what_is_cached() {
    let server = FakeServer::new(|_| Answer::status(500, "InternalError"));
    let (informer, _feed, _changes) = informer(&server, Scope::default());
    informer.shared.apply(serde_json::from_value(config_map("a", "1")).unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    informer.subscribe(move |change| log.lock().push(ObjectKey::of(&**change.object()).name));
    informer.shared.apply(serde_json::from_value(config_map("b", "2")).unwrap());
    assert_eq!(*seen.lock(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_write_that_never_shows_up_ends() {
    let server = FakeServer::new(|_| Answer::status(500, "InternalError"));
    let (informer, _feed, _changes) = informer(&server, Scope::default());
    informer.seen(&ObjectKey { namespace: "n".into(), name: "a".into() }, "77").await;
}
