//! A key management service: what lies in etcd, how its key is rotated, and what happens without it.

use super::*;
use crate::Object;
use crate::backend::Backend;
use crate::backend::memory::Memory;
use crate::encryption::{Encrypting, Encryption};
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
async fn without_the_service_nothing_is_taken_for_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, things, owner, service) =
        (configuration(folder.path()), testing::things(), Supervisor::new(), Supervisor::new());
    let _stop = StopOnDrop(owner.clone());
    Plugin::start(&folder.path().join("kms.sock"), &service);
    let raw: Arc<dyn Backend> = Arc::new(Memory::new(&owner));
    let key = things.key("ns", "a");
    let (store, ..) = open(&raw, &file).await;
    store.expect("opens").create(&things, &key, testing::thing("ns", "a", "x", "n"), None).await.expect("is new");
    assert!(service.shutdown(std::time::Duration::from_secs(10)).await);

    let encryption = Arc::new(Encryption::load(&file, std::slice::from_ref(&things)).expect("a configuration"));
    encryption.follow_services(&owner).await;
    let why = encryption.services_healthy().expect_err("nobody answers");
    assert!(why.starts_with("failed to perform status section of the healthz check for KMS Provider vault"), "{why}");
    let encrypting = Encrypting::new(raw, encryption, "/registry");
    let read = encrypting.get(b"/registry/things/ns/a").await;
    assert!(matches!(&read, Err(StorageError::Unavailable(_))), "{read:?}");
}
