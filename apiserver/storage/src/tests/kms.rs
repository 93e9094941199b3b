//! A key management service: what lies in etcd, how its key is rotated, and what happens without it.

use super::*;
use crate::backend::Backend;
use crate::backend::memory::Memory;
use crate::encryption::{Encrypting, Encryption};
use crate::{Object, WatchQuery};
use parking_lot::Mutex;
use proto::kms::key_management_service_server::{KeyManagementService, KeyManagementServiceServer};
use proto::kms::{DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, StatusRequest, StatusResponse};
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status};

/// A service that turns bytes around and writes its key's name before them.
#[derive(Clone)]
struct Plugin(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    key: String,
    problem: String,
    decryptions: usize,
    /// It does not decrypt at present.
    is_away: bool,
}

#[tonic::async_trait]
impl KeyManagementService for Plugin {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let state = self.0.lock();
        let healthz = if state.problem.is_empty() { "ok".to_owned() } else { state.problem.clone() };
        Ok(Response::new(StatusResponse { version: "v2".into(), healthz, key_id: state.key.clone() }))
    }

    async fn encrypt(&self, request: Request<EncryptRequest>) -> Result<Response<EncryptResponse>, Status> {
        let key_id = self.0.lock().key.clone();
        let mut ciphertext = key_id.clone().into_bytes();
        ciphertext.extend(request.into_inner().plaintext.iter().map(|byte| !byte));
        let annotations = [("local.example.com".to_owned(), b"note".to_vec())].into();
        Ok(Response::new(EncryptResponse { ciphertext, key_id, annotations }))
    }

    async fn decrypt(&self, request: Request<DecryptRequest>) -> Result<Response<DecryptResponse>, Status> {
        let DecryptRequest { ciphertext, key_id, annotations, uid } = request.into_inner();
        self.0.lock().decryptions += 1;
        if self.0.lock().is_away {
            return Err(Status::unavailable("away"));
        }
        assert!(!uid.is_empty() && annotations["local.example.com"] == b"note");
        let sealed = ciphertext.strip_prefix(key_id.as_bytes());
        let sealed = sealed.ok_or_else(|| Status::failed_precondition("no such key"))?;
        Ok(Response::new(DecryptResponse { plaintext: sealed.iter().map(|byte| !byte).collect() }))
    }
}

impl Plugin {
    fn start(socket: &Path, supervisor: &Supervisor) -> Self {
        let plugin = Self(Arc::new(Mutex::new(State { key: "one".into(), ..State::default() })));
        let listener = UnixListener::bind(socket).expect("a socket");
        let (service, stop) = (KeyManagementServiceServer::new(plugin.clone()), supervisor.clone());
        supervisor.spawn("plugin", async move {
            let server = tonic::transport::Server::builder().add_service(service);
            let incoming = UnixListenerStream::new(listener);
            let served = server.serve_with_incoming_shutdown(incoming, async move { stop.stopping().await });
            served.await.expect("served");
        });
        plugin
    }
}

fn configuration(folder: &Path) -> PathBuf {
    let (file, socket) = (folder.join("encryption.yaml"), folder.join("kms.sock"));
    let text = format!(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources: [{{resources: ['*.example.com'], providers: [{{kms: {{apiVersion: v2, name: vault, endpoint: 'unix://{}', timeout: 1s}}}}, {{identity: {{}}}}]}}]",
        socket.display()
    );
    std::fs::write(&file, text).expect("a file");
    file
}

/// A store over what is there, which has met no seed yet.
async fn open(raw: &Arc<dyn Backend>, file: &Path) -> (Result<Store, StorageError>, Arc<Encryption>, StopOnDrop) {
    let (things, supervisor) = (testing::things(), Supervisor::new());
    let encryption = Arc::new(Encryption::load(file, std::slice::from_ref(&things)).expect("a configuration"));
    encryption.follow_services(&supervisor).await;
    let encrypting = Arc::new(Encrypting::new(raw.clone(), encryption.clone(), "/registry"));
    let config = StoreConfig::default();
    let store = Store::over(encrypting, &config, std::slice::from_ref(&things), &supervisor).await;
    (store, encryption, StopOnDrop(supervisor))
}

#[tokio::test]
async fn values_are_sealed_with_seeds_that_the_service_seals() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, things, owner) = (configuration(folder.path()), testing::things(), Supervisor::new());
    let _stop = StopOnDrop(owner.clone());
    let plugin = Plugin::start(&folder.path().join("kms.sock"), &owner);
    let raw: Arc<dyn Backend> = Arc::new(Memory::new(&owner));
    let stored = async || raw.get(b"/registry/things/ns/a").await.expect("reads").expect("is there").value;
    let key = things.key("ns", "a");
    let same = async |object: &Arc<Object>| Ok::<_, StorageError>(Change::Put(object.value()));

    let (store, encryption, _first) = open(&raw, &file).await;
    let store = store.expect("opens");
    assert_eq!(encryption.services_healthy(), Ok(()));
    store.create(&things, &key, testing::thing("ns", "a", "x", "n"), None).await.expect("is new");
    let value = stored().await;
    assert!(value.starts_with(b"k8s:enc:kms:v2:vault:"), "{:?}", String::from_utf8_lossy(&value));
    assert!(!value.windows(4).any(|part| part == b"spec"));
    assert_eq!(plugin.0.lock().decryptions, 0, "its own seed it knows");

    let (second, encryption, _second) = open(&raw, &file).await;
    let second = second.expect("opens");
    assert_eq!(second.cached(&things, &key).expect("is loaded").value()["spec"]["node"], "n");
    assert_eq!(plugin.0.lock().decryptions, 1);
    let (_, is_written) = second.update(&things, &key, None, same).await.expect("updates");
    assert!(!is_written, "another seed of the same key is as good");

    plugin.0.lock().key = "two".into();
    encryption.reload(&file).await.expect("well");
    let (third, _, _third) = open(&raw, &file).await;
    let (_, is_written) = third.expect("opens").update(&things, &key, None, same).await.expect("updates");
    assert!(is_written, "the key has changed");
    let value = stored().await;
    assert!(value.windows(5).any(|part| part == b"\x12\x03two"), "{:?}", String::from_utf8_lossy(&value));

    plugin.0.lock().problem = "sealed".into();
    let error = encryption.reload(&file).await.expect_err("not well").to_string();
    assert_eq!(error, "kmsv2 Provider vault is not healthy, error: got unexpected healthz status: sealed");
}

#[tokio::test]
async fn without_the_service_the_rest_is_served_and_nothing_is_taken_for_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, things, owner, service) =
        (configuration(folder.path()), testing::things(), Supervisor::new(), Supervisor::new());
    let socket = folder.path().join("kms.sock");
    let _stop = StopOnDrop(owner.clone());
    Plugin::start(&socket, &service);
    let raw: Arc<dyn Backend> = Arc::new(Memory::new(&owner));
    let (key, other) = (things.key("ns", "a"), things.key("ns", "b"));
    let (writer, _, _writing) = open(&raw, &file).await;
    let writer = writer.expect("opens");
    writer.create(&things, &key, testing::thing("ns", "a", "x", "n"), None).await.expect("is new");
    assert!(service.shutdown(std::time::Duration::from_secs(10)).await);
    std::fs::remove_file(&socket).expect("a socket");

    // A start without it: what it has sealed is an error, all else is there.
    let (store, encryption, _second) = open(&raw, &file).await;
    let store = store.expect("opens all the same");
    let why = encryption.service_healthy(0).expect_err("nobody answers");
    assert!(why.starts_with("failed to perform status section of the healthz check for KMS Provider vault"), "{why}");
    assert!(!store.is_warm());
    let list = store.list(&things, &ListQuery::default()).await.expect_err("is sealed").to_string();
    assert!(list.starts_with("unable to transform key \"things/ns/a\": failed to decrypt DEK, error: "), "{list}");
    for outcome in [
        store.get(&things, &key, Match::MostRecent).await.map(drop),
        store.get(&things, &other, Match::Any).await.map(drop),
        store.create(&things, &other, testing::thing("ns", "b", "x", "n"), None).await.map(drop),
        store.watch(&things, &WatchQuery::default()).await.map(drop),
    ] {
        assert!(matches!(&outcome, Err(StorageError::Sealed { .. })), "{outcome:?}");
    }
    assert!(store.healthy().await.is_ok());

    // It comes back, and so do the objects; what was written meanwhile as well.
    writer.create(&things, &other, testing::thing("ns", "b", "x", "n"), None).await.expect("is new");
    let _plugin = Plugin::start(&socket, &owner);
    warm(&store).await;
    assert_eq!(store.list(&things, &ListQuery::default()).await.expect("a list").items.len(), 2);
}

/// Waits until everything can be read.
async fn warm(store: &Store) {
    let waited = tokio::time::timeout(Duration::from_secs(30), async {
        while !store.is_warm() {
            tokio::task::yield_now().await;
        }
    });
    waited.await.expect("in time");
}

#[tokio::test]
async fn an_event_that_cannot_be_decrypted_is_not_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, things, owner) = (configuration(folder.path()), testing::things(), Supervisor::new());
    let _stop = StopOnDrop(owner.clone());
    let plugin = Plugin::start(&folder.path().join("kms.sock"), &owner);
    let raw: Arc<dyn Backend> = Arc::new(Memory::new(&owner));
    let (store, _, _first) = open(&raw, &file).await;
    let (other, _, _second) = open(&raw, &file).await;
    let (store, other) = (store.expect("opens"), other.expect("opens"));
    store.create(&things, &things.key("ns", "a"), testing::thing("ns", "a", "x", "n"), None).await.expect("is new");
    let mut watch = store.watch(&things, &WatchQuery::default()).await.expect("a watch");
    assert!(matches!(watch.next().await, Ok(Event::Change { kind: EventKind::Added, .. })));
    plugin.0.lock().is_away = true;
    other.create(&things, &things.key("ns", "b"), testing::thing("ns", "b", "x", "n"), None).await.expect("is new");
    let end = watch.next().await;
    assert!(matches!(&end, Err(StorageError::Closed)), "{end:?}");
    let list = store.list(&things, &ListQuery::default()).await;
    assert!(matches!(&list, Err(StorageError::Sealed { .. })), "{list:?}");
    plugin.0.lock().is_away = false;
    warm(&store).await;
    assert_eq!(store.list(&things, &ListQuery::default()).await.expect("a list").items.len(), 2);
}
