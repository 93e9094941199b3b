//! Encryption at rest, on each backend: what lies there, and how keys are rotated.

use super::*;
use crate::backend::Backend;
use crate::encryption::{Encrypting, Encryption};
use std::path::Path;

on_each_backend!(values_are_encrypted_and_rotated);

const FIRST: &str = "{aescbc: {keys: [{name: one, secret: AAECAwQFBgcICQoLDA0ODw==}]}}";
const SECOND: &str = "{aesgcm: {keys: [{name: two, secret: AQIDBAUGBwgJCgsMDQ4PEA==}]}}";

fn write(file: &Path, providers: &[&str]) {
    let providers = providers.join(", ");
    let text = format!(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources: [{{resources: ['*.example.com'], providers: [{providers}]}}]"
    );
    std::fs::write(file, text).expect("a file");
}

async fn values_are_encrypted_and_rotated<B: TestBackend>() {
    let Some(backend) = B::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("encryption.yaml");
    write(&file, &["{identity: {}}"]);
    let things = testing::things();
    let encryption = Arc::new(Encryption::load(&file, std::slice::from_ref(&things)).expect("a configuration"));
    let raw = backend.backend().await;
    let supervisor = Supervisor::new();
    let _stop = StopOnDrop(supervisor.clone());
    let encrypting = Arc::new(Encrypting::new(raw.clone(), encryption.clone(), "/registry"));
    let config = StoreConfig::default();
    let store = Store::over(encrypting, &config, std::slice::from_ref(&things), &supervisor).await.expect("opens");
    let key = things.key("ns", "a");
    let stored = async || raw.get(b"/registry/things/ns/a").await.expect("reads").expect("is there").value;
    store.create(&things, &key, testing::thing("ns", "a", "x", "n"), None).await.expect("is new");
    assert!(stored().await.starts_with(b"{"), "identity");
    for (providers, prefix) in [
        (&[FIRST, "{identity: {}}"][..], "k8s:enc:aescbc:v1:one:"),
        (&[SECOND, FIRST], "k8s:enc:aesgcm:v1:two:"),
        (&["{identity: {}}", SECOND], "{"),
    ] {
        write(&file, providers);
        encryption.reload(&file).await.expect("a configuration");
        // A write without a change renews the value, as `kubectl replace` of all objects does.
        let (fresh, _stop) = reopened(&raw, &encryption, &things).await;
        let same = async |object: &Arc<crate::Object>| Ok::<_, StorageError>(Change::Put(object.value()));
        let (_, is_written) = fresh.update(&things, &key, None, same).await.expect("updates");
        assert!(is_written, "{prefix}");
        assert!(stored().await.starts_with(prefix.as_bytes()), "{prefix}");
        let (_, is_written) = fresh.update(&things, &key, None, same).await.expect("updates");
        assert!(!is_written, "{prefix}: renewed once");
        let (other, _stop) = reopened(&raw, &encryption, &things).await;
        assert_eq!(other.cached(&things, &key).expect("is loaded").value()["spec"]["node"], "n");
    }
}

async fn reopened(
    raw: &Arc<dyn Backend>,
    encryption: &Arc<Encryption>,
    things: &Arc<ResourceInfo>,
) -> (Store, StopOnDrop) {
    let supervisor = Supervisor::new();
    let encrypting = Arc::new(Encrypting::new(raw.clone(), encryption.clone(), "/registry"));
    let config = StoreConfig::default();
    let store = Store::over(encrypting, &config, std::slice::from_ref(things), &supervisor).await.expect("opens");
    (store, StopOnDrop(supervisor))
}
