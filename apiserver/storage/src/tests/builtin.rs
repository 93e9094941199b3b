//! Built-in resources, stored as upstream stores them.

use super::*;
use apimachinery::resources::find;
use serde_json::json;

on_each_backend!(pods_are_stored_as_protobuf, versions_share_storage, either_encoding_is_read);

fn pod() -> Value {
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "name": "a", "namespace": "ns", "uid": "u-1", "creationTimestamp": "2026-01-02T03:04:05Z",
            "labels": {"app": "x", "tier": "y"},
        },
        "spec": {
            "containers": [{"name": "c", "image": "i:1", "resources": {"limits": {"cpu": "100m"}}}],
            "nodeName": "n1", "restartPolicy": "Always", "serviceAccountName": "default",
        },
        "status": {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]},
    })
}

async fn stores<B: TestBackend>(backend: &B, names: &[(&str, &str, &str)], protobuf: bool) -> (Store, StopOnDrop) {
    let supervisor = Supervisor::new();
    let found = names.iter().map(|(group, version, plural)| find(group, version, plural).expect("built in").clone());
    let resources: Vec<Arc<ResourceInfo>> = found.collect();
    let config = StoreConfig { protobuf, ..StoreConfig::default() };
    let store = Store::over(backend.backend().await, &config, &resources, &supervisor).await.expect("opens");
    (store, StopOnDrop(supervisor))
}

const PODS: (&str, &str, &str) = ("", "v1", "pods");

async fn pods_are_stored_as_protobuf<B: TestBackend>() {
    let Some(backend) = B::start() else { return };
    let pods = find("", "v1", "pods").expect("built in");
    let (store, _stop) = stores(&backend, &[PODS], true).await;
    let created = store.create(pods, "pods/ns/a", pod(), None).await.expect("is new");
    let stored = backend.backend().await.get(b"/registry/pods/ns/a").await.expect("reads").expect("is there");
    assert!(stored.value.starts_with(b"k8s\0\n"));
    let (other, _stop) = stores(&backend, &[PODS], true).await;
    let read = other.cached(pods, "pods/ns/a").expect("is loaded");
    assert_eq!(read.json(), created.json(), "what was written here is what others read");
    assert!(read.is_stored_as_written());
    for (field, value) in [
        ("metadata.name", Some("a")),
        ("metadata.namespace", Some("ns")),
        ("spec.nodeName", Some("n1")),
        ("status.phase", Some("Running")),
        ("spec.hostNetwork", Some("false")),
        ("spec.nothing", None),
    ] {
        assert_eq!(read.field(field), value, "{field}");
    }
    assert_eq!((read.label("tier"), read.uid()), (Some("y"), "u-1"));
    let message = read.protobuf().expect("pods are messages");
    assert!(memchr::memmem::find(&message, read.revision().to_string().as_bytes()).is_some());
}

async fn versions_share_storage<B: TestBackend>() {
    let Some(backend) = B::start() else { return };
    let names = [("", "v1", "events"), ("events.k8s.io", "v1", "events")];
    let (store, _stop) = stores(&backend, &names, true).await;
    let [core, new] = names.map(|(group, version, plural)| find(group, version, plural).expect("built in"));
    let event = json!({
        "kind": "Event", "apiVersion": "v1", "metadata": {"name": "e", "namespace": "ns"},
        "involvedObject": {"kind": "Pod", "name": "a"}, "reason": "Started",
    });
    store.create(core, &core.key("ns", "e"), event, Some(3600)).await.expect("is new");
    let selected = ListQuery { selection: fields("involvedObject.name=a"), ..ListQuery::default() };
    assert_eq!(super::names(&store.list(core, &selected).await.expect("lists")), ["e"]);
    assert!(store.cached(new, &new.key("ns", "e")).is_some());
}

async fn either_encoding_is_read<B: TestBackend>() {
    let Some(backend) = B::start() else { return };
    let pods = find("", "v1", "pods").expect("built in");
    let (json, _stop) = stores(&backend, &[PODS], false).await;
    let created = json.create(pods, "pods/ns/a", pod(), None).await.expect("is new");
    let (protobuf, _stop) = stores(&backend, &[PODS], true).await;
    let read = protobuf.cached(pods, "pods/ns/a").expect("is loaded");
    assert_eq!(read.value(), created.value());
    assert!(!read.is_stored_as_written());
    // An update without a change migrates it.
    let same = async |object: &Arc<crate::Object>| Ok::<_, StorageError>(Change::Put(object.value()));
    let (migrated, is_written) = protobuf.update(pods, "pods/ns/a", None, same).await.expect("updates");
    assert!(is_written && migrated.revision() > created.revision());
    let (_, again) = protobuf.update(pods, "pods/ns/a", None, same).await.expect("updates");
    assert!(!again);
    let seen = json.get(pods, "pods/ns/a", Match::MostRecent).await.expect("reads").expect("is there");
    assert_eq!(seen.json(), migrated.json());
}
