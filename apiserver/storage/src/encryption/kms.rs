//! A key management service of version 2: it holds a key that never leaves it, which encrypts the
//! seeds that the keys of values are derived from.
//!
//! There is one seed at a time for what is written. It is made anew when the service changes its key,
//! and kept in memory beside all seeds that were met in etcd, so that reads and writes need the
//! service once for each seed.
//!
//! Upstream: `apiserver/pkg/storage/value/encrypt/envelope/kmsv2`,
//! `apiserver/pkg/server/options/encryptionconfig/config.go`.

mod dek;
mod envelope;

use super::provider::CryptoError;
use arc_swap::ArcSwapOption;
use dek::Dek;
use envelope::{Envelope, Source};
use parking_lot::Mutex;
use proto::kms::key_management_service_client::KeyManagementServiceClient;
use proto::kms::{DecryptRequest, EncryptRequest, StatusRequest, StatusResponse};
use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tonic::transport::Channel;
use tonic::{Code, Response, Status};
use zeroize::Zeroizing;

/// What stored values begin with, before the provider's name.
pub(super) const PREFIX: &[u8] = b"k8s:enc:kms:v2:";
/// How long a seed goes on encrypting after the service was last found healthy.
const WRITES_FOR: Duration = Duration::from_secs(3 * 60);
/// Seeds that are kept in memory; there is about one for each start and each key of the service.
const SEEDS: usize = 4096;
/// How long a service that could not be reached is not asked for another seed: there may be as many
/// values as there are seeds.
const REST: Duration = Duration::from_secs(1);
/// Pauses between attempts to decrypt a seed that is needed.
const PAUSES: [Duration; 3] = [Duration::from_millis(50), Duration::from_millis(250), Duration::from_secs(1)];

/// What the configuration says of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// Unique among all services.
    pub(super) name: String,
    /// The Unix socket.
    pub(super) socket: PathBuf,
    /// Longest call.
    pub(super) timeout: Duration,
}

/// A service, and what is known of it.
pub(crate) struct Kms {
    settings: Settings,
    client: OnceLock<KeyManagementServiceClient<Channel>>,
    writes: ArcSwapOption<Writes>,
    seeds: Mutex<HashMap<[u8; 32], Seed>>,
    /// Of the last probe.
    health: Mutex<Result<(), String>>,
    /// The last attempt to have a seed decrypted, if nobody answered.
    unanswered: Mutex<Option<(Instant, FetchError)>>,
}

/// What encrypts at present.
struct Writes {
    dek: Arc<Dek>,
    source: Source,
    until: Instant,
}

struct Seed {
    dek: Arc<Dek>,
    used: Instant,
}

/// A seed that the service does not decrypt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FetchError {
    /// It cannot be reached at present.
    #[error("failed to decrypt DEK, error: {0}")]
    Unreachable(String),
    /// It will not.
    #[error("failed to decrypt DEK, error: {0}")]
    Refused(String),
}

impl Kms {
    pub(super) fn new(settings: Settings) -> Self {
        let health = Mutex::new(Err("not probed yet".to_owned()));
        Self {
            settings,
            client: OnceLock::new(),
            writes: ArcSwapOption::empty(),
            seeds: Mutex::default(),
            health,
            unanswered: Mutex::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.settings.name
    }

    /// What the last probe found.
    pub(super) fn health(&self) -> Result<(), String> {
        self.health.lock().clone()
    }

    /// What values of this service begin with.
    fn prefix(&self) -> Vec<u8> {
        [PREFIX, self.settings.name.as_bytes(), b":"].concat()
    }

    fn sealed<'a>(&self, value: &'a [u8]) -> Option<&'a [u8]> {
        value.strip_prefix(PREFIX)?.strip_prefix(self.settings.name.as_bytes())?.strip_prefix(b":")
    }

    /// Whether a stored value is one of this service's.
    pub(super) fn owns(&self, value: &[u8]) -> bool {
        self.sealed(value).is_some()
    }

    /// Encrypts a value for its place in etcd.
    pub(super) fn encrypt(&self, place: &[u8], value: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let writes = self.writes.load();
        let writes = writes.as_ref().ok_or_else(|| self.failed("there is no key to encrypt with yet"))?;
        if Instant::now() > writes.until {
            return Err(self.failed("the key to encrypt with has expired"));
        }
        let envelope = Envelope { data: writes.dek.seal(place, value)?, source: writes.source.clone() };
        Ok([self.prefix(), envelope.encode()].concat())
    }

    /// Decrypts a value; also whether it is as it would be written now. [`Self::fetch`] comes first.
    pub(super) fn decrypt(&self, place: &[u8], value: &[u8]) -> Result<(Vec<u8>, bool), CryptoError> {
        let envelope = self.open(value)?;
        let dek = self.seed(&envelope.source).ok_or_else(|| self.failed("the key of a value is not known"))?;
        let plain = dek.open(place, &envelope.data)?;
        let writes = self.writes.load();
        let is_current = writes.as_ref().is_some_and(|writes| writes.source.is_like(&envelope.source));
        Ok((plain, is_current))
    }

    fn open(&self, value: &[u8]) -> Result<Envelope, CryptoError> {
        let sealed = self.sealed(value).ok_or(CryptoError::NoProvider)?;
        Envelope::decode(sealed).map_err(|why| self.failed(&why))
    }

    fn failed(&self, why: &str) -> CryptoError {
        CryptoError::Kms { name: self.settings.name.clone(), why: why.to_owned() }
    }

    fn seed(&self, source: &Source) -> Option<Arc<Dek>> {
        let mut seeds = self.seeds.lock();
        let seed = seeds.get_mut(&source.digest())?;
        seed.used = Instant::now();
        Some(seed.dek.clone())
    }

    fn keep_seed(&self, source: &Source, dek: Arc<Dek>) {
        let mut seeds = self.seeds.lock();
        if seeds.len() >= SEEDS {
            let oldest = seeds.iter().min_by_key(|(_, seed)| seed.used).map(|(digest, _)| *digest);
            oldest.into_iter().for_each(|digest| drop(seeds.remove(&digest)));
        }
        seeds.insert(source.digest(), Seed { dek, used: Instant::now() });
    }

    /// Has the seed of a value decrypted, unless it is known. What makes no sense is left to
    /// [`Self::decrypt`].
    pub(super) async fn fetch(&self, value: &[u8]) -> Result<(), FetchError> {
        let Ok(Envelope { source, .. }) = self.open(value) else { return Ok(()) };
        if self.seed(&source).is_some() {
            return Ok(());
        }
        if let Some((since, error)) = &*self.unanswered.lock()
            && since.elapsed() < REST
        {
            return Err(error.clone());
        }
        let fetched = self.fetch_seed(&source).await;
        let unanswered = fetched.as_ref().err().filter(|error| matches!(error, FetchError::Unreachable(_)));
        *self.unanswered.lock() = unanswered.map(|error| (Instant::now(), error.clone()));
        fetched
    }

    async fn fetch_seed(&self, source: &Source) -> Result<(), FetchError> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let answer = self.call(|mut client| {
                let (uid, source) = (uid(), source.clone());
                async move {
                    let Source { ciphertext, key_id, annotations, .. } = source;
                    client.decrypt(DecryptRequest { ciphertext, uid, key_id, annotations }).await
                }
            });
            match (answer.await, pauses.next()) {
                (Ok(answer), _) => {
                    let plain = Zeroizing::new(answer.plaintext);
                    let dek = Dek::new(source.kind, plain).map_err(|why| FetchError::Refused(why.to_owned()))?;
                    self.keep_seed(source, Arc::new(dek));
                    return Ok(());
                }
                (Err(status), pause) if is_passing(&status) => match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(FetchError::Unreachable(status.message().to_owned())),
                },
                (Err(status), _) => return Err(FetchError::Refused(status.message().to_owned())),
            }
        }
    }

    /// Asks the service how it is, and makes a new seed if its key has changed.
    pub(super) async fn probe(&self) -> Result<(), String> {
        let outcome = self.probe_now().await;
        let mut health = self.health.lock();
        if let Err(why) = &outcome
            && *health != outcome
        {
            tracing::error!(kms = self.settings.name, why, "key management service is not healthy");
        }
        *health = outcome.clone();
        outcome
    }

    async fn probe_now(&self) -> Result<(), String> {
        let name = &self.settings.name;
        // What is found out now is true of the time before the question.
        let until = Instant::now() + WRITES_FOR;
        let status = self.call(|mut client| async move { client.status(StatusRequest {}).await }).await;
        let status = status.map_err(|status| {
            let why = status.message();
            format!("failed to perform status section of the healthz check for KMS Provider {name}, error: {why}")
        })?;
        check(&status).map_err(|why| format!("kmsv2 Provider {name} is not healthy, error: {why}"))?;
        self.rotate(&status.key_id, until).await
    }

    async fn rotate(&self, key_id: &str, until: Instant) -> Result<(), String> {
        if let Some(writes) = &*self.writes.load()
            && writes.source.key_id == key_id
        {
            let same = Writes { dek: writes.dek.clone(), source: writes.source.clone(), until };
            self.writes.store(Some(Arc::new(same)));
            return Ok(());
        }
        let (dek, seed) = Dek::generate();
        let answer = self.call(|mut client| {
            let request = EncryptRequest { plaintext: seed.to_vec(), uid: uid() };
            async move { client.encrypt(request).await }
        });
        let answer = answer.await.map_err(|status| format!("failed to encrypt DEK, error: {}", status.message()))?;
        let source = Source::of_seed(answer.ciphertext, answer.key_id, answer.annotations);
        source.check().map_err(|why| format!("failed to rotate DEK: {why}"))?;
        if source.key_id != key_id {
            return Err("failed to rotate DEK: the service encrypted with another key than its status says".into());
        }
        let dek = Arc::new(dek);
        self.keep_seed(&source, dek.clone());
        self.writes.store(Some(Arc::new(Writes { dek, source, until })));
        tracing::info!(kms = self.settings.name, "made a new seed for a key management service's key");
        Ok(())
    }

    async fn call<T, F>(&self, call: impl Fn(KeyManagementServiceClient<Channel>) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let client = self.client.get_or_init(|| KeyManagementServiceClient::new(channel(&self.settings.socket)));
        let answer = tokio::time::timeout(self.settings.timeout, call(client.clone())).await;
        answer
            .unwrap_or_else(|_| Err(Status::deadline_exceeded("the service did not answer in time")))
            .map(Response::into_inner)
    }
}

/// A channel that connects on first use, and again when the service was restarted.
fn channel(socket: &std::path::Path) -> Channel {
    let socket = socket.to_owned();
    // The name is not looked up: every connection goes to the socket.
    let endpoint = tonic::transport::Endpoint::from_static("http://localhost");
    endpoint.connect_with_connector_lazy(tower::service_fn(move |_: tonic::transport::Uri| {
        let socket = socket.clone();
        async move { tokio::net::UnixStream::connect(socket).await.map(hyper_util::rt::TokioIo::new) }
    }))
}

/// Whether the same call may succeed a moment later.
fn is_passing(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Unknown)
}

fn check(status: &StatusResponse) -> Result<(), String> {
    if status.healthz != "ok" {
        return Err(format!("got unexpected healthz status: {}", status.healthz));
    }
    if !matches!(status.version.as_str(), "v2" | "v2beta1") {
        return Err(format!("expected KMSv2 API version v2, got {}", status.version));
    }
    envelope::check_key_id(&status.key_id)
}

fn uid() -> String {
    uuid::Uuid::new_v4().to_string()
}
