//! Claims of devices: their drivers prepare them before a pod starts, and take them back when its
//! last pod has ended.
//!
//! [`Dra`] is the handle. Which claims are prepared for whom is in [`ledger`], which is pure, and in
//! a file, so that nothing is forgotten over a restart. Drivers register plugins by
//! [`crate::plugins::watcher`]; what a driver offers is deleted when none of its plugins has been
//! there for a while. What drivers say of the health of devices (`DRAResourceHealth`) is not read.
//!
//! Upstream: `pkg/kubelet/cm/dra`.

pub mod api;
pub mod checkpoint;
pub mod ledger;
pub mod metrics;
pub mod names;
pub mod plugin;
pub mod plugins;

use crate::pod::PodExt;
use api::Offers;
use checkpoint::Device;
use component::Supervisor;
use k8s_openapi::api::core::v1::{Container, Pod};
use ledger::{Key, Ledger, Release};
use metrics::Counts;
use parking_lot::Mutex;
use plugin::{Plugin, rpc};
use plugins::Plugins;
use proto::dra as wire;
use proto::podresources as listed;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often claims of pods that are gone are looked for.
const RECONCILE: Duration = Duration::from_secs(60);

/// Why claims are not prepared, or not taken back; upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DraError {
    /// A claim is not there, or not as it has to be.
    #[error("{0}")]
    Claim(String),
    /// A claim cannot be had from the apiserver.
    #[error("fetch ResourceClaim {name}: {why}")]
    Fetch {
        /// The claim.
        name: String,
        /// Why.
        why: String,
    },
    /// Its driver is not there.
    #[error("DRA driver {0} is not registered")]
    NoDriver(String),
    /// The driver did nothing.
    #[error("{call}: {why}")]
    Call {
        /// What it was asked for.
        call: &'static str,
        /// Why.
        why: String,
    },
    /// The driver could not do it for a claim.
    #[error("{call} failed for ResourceClaim {claim}: {why}")]
    Failed {
        /// What it was asked for.
        call: &'static str,
        /// The claim.
        claim: String,
        /// Why.
        why: String,
    },
    /// The driver speaks of a claim that nobody asked for.
    #[error("{call} returned result for unknown claim UID {uid}")]
    Unknown {
        /// What it was asked for.
        call: &'static str,
        /// The claim.
        uid: String,
    },
    /// The driver said nothing of some claims.
    #[error("{call} skipped {count} ResourceClaims")]
    Skipped {
        /// What it was asked for.
        call: &'static str,
        /// Of how many.
        count: usize,
    },
    /// It could not be noted.
    #[error("checkpoint ResourceClaim state: {0}")]
    Checkpoint(String),
}

const PREPARE: &str = "NodePrepareResources";
const UNPREPARE: &str = "NodeUnprepareResources";

/// The node's claims. Cheap to clone.
#[derive(Clone)]
pub struct Dra(Arc<Shared>);

struct Shared {
    file: PathBuf,
    ledger: Mutex<Ledger>,
    plugins: Plugins,
    offers: Arc<dyn Offers>,
    /// Drivers are asked about one claim at a time: pods may share it.
    turns: tokio::sync::Mutex<()>,
    counts: Counts,
}

/// What each driver is to be asked about.
type Batches = BTreeMap<String, Vec<(Key, wire::Claim)>>;

impl Dra {
    /// What the checkpoint below `root` tells.
    pub fn load(root: &Path, offers: Arc<dyn Offers>, supervisor: Supervisor) -> Self {
        let file = root.join(checkpoint::FILE);
        let claims = checkpoint::read(&file).unwrap_or_else(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "it is not known which claims are prepared");
            Vec::new()
        });
        Self(Arc::new(Shared {
            file,
            ledger: Mutex::new(Ledger::restore(claims)),
            plugins: Plugins::new(Arc::clone(&offers), supervisor),
            offers,
            turns: tokio::sync::Mutex::default(),
            counts: Counts::default(),
        }))
    }

    /// The drivers' plugins.
    pub fn plugins(&self) -> &Plugins {
        &self.0.plugins
    }

    /// Has the drivers prepare the claims of a pod, before any of it starts.
    ///
    /// # Errors
    /// Not all are prepared; those that are stay so, until the pod ends.
    pub async fn prepare(&self, pod: &Pod) -> Result<(), DraError> {
        let began = Instant::now();
        let names = names::of_pod(pod).map_err(DraError::Claim)?;
        if names.is_empty() {
            return Ok(());
        }
        let done = Box::pin(self.prepare_all(pod, names)).await;
        self.0.counts.done("PrepareResources", began, done.is_err());
        done
    }

    async fn prepare_all(&self, pod: &Pod, names: Vec<names::Name>) -> Result<(), DraError> {
        // First all that can go wrong without leaving anything behind.
        let mut claims = Vec::new();
        for name in &names {
            let claim = self.0.offers.claim(pod.namespace(), &name.claim).await;
            let claim = claim.map_err(|why| DraError::Fetch { name: name.claim.clone(), why })?;
            let drivers = names::check(pod, name, &claim).map_err(DraError::Claim)?;
            if let Some(missing) = drivers.iter().find(|driver| self.0.plugins.get(driver).is_none()) {
                return Err(DraError::NoDriver(missing.clone()));
            }
            let key = (pod.namespace().to_owned(), name.claim.clone());
            claims.push((key, claim.metadata.uid.unwrap_or_default(), drivers));
        }
        let _turn = self.0.turns.lock().await;
        let batches = self.take(pod.uid(), &claims)?;
        for (driver, batch) in &batches {
            self.prepare_batch(driver, batch).await?;
        }
        let mut ledger = self.0.ledger.lock();
        batches.values().flatten().for_each(|(key, _)| ledger.set_prepared(key));
        claims.iter().filter(|(_, _, drivers)| drivers.is_empty()).for_each(|(key, ..)| ledger.set_prepared(key));
        self.save(&ledger)
    }

    /// Notes that the pod uses the claims, and whom to ask about those that are not prepared.
    fn take(&self, pod: &str, claims: &[(Key, String, Vec<String>)]) -> Result<Batches, DraError> {
        let mut batches = Batches::new();
        let mut ledger = self.0.ledger.lock();
        for (key, uid, drivers) in claims {
            let claim = ledger.take(key, uid, drivers, pod).map_err(DraError::Claim)?;
            self.save(&ledger)?;
            let Some(claim) = claim else { continue };
            for driver in claim.drivers.keys() {
                batches.entry(driver.clone()).or_default().push((key.clone(), of(key, uid)));
            }
        }
        Ok(batches)
    }

    async fn prepare_batch(&self, driver: &str, batch: &[(Key, wire::Claim)]) -> Result<(), DraError> {
        let plugin = self.plugin(driver)?;
        let began = Instant::now();
        let answer = plugin.prepare(batch.iter().map(|(_, claim)| claim.clone()).collect()).await;
        self.called(driver, plugin.method(PREPARE), began, answer.as_ref().err());
        let answer = answer.map_err(|status| DraError::Call { call: PREPARE, why: rpc(&status) })?;
        let count = answer.claims.len();
        for (uid, result) in answer.claims {
            let key = key_of(batch, &uid, PREPARE)?;
            if !result.error.is_empty() {
                return Err(DraError::Failed { call: PREPARE, claim: key.1.clone(), why: result.error });
            }
            let devices = result.devices.into_iter().map(device).collect();
            self.0.ledger.lock().set_devices(key, driver, devices);
        }
        skipped(batch.len(), count, PREPARE)
    }

    fn called(&self, driver: &str, method: String, began: Instant, refused: Option<&tonic::Status>) {
        self.0.counts.called(driver, method, began, refused.map_or(tonic::Code::Ok, tonic::Status::code));
    }

    /// What the runtime is told of the claims of a container.
    ///
    /// # Errors
    /// A claim is not prepared.
    pub fn cdi_devices(&self, pod: &Pod, container: &Container) -> Result<Vec<String>, DraError> {
        let mut ids = Vec::new();
        let ledger = self.0.ledger.lock();
        for (name, requests) in names::of_container(pod, container).map_err(DraError::Claim)? {
            let key = (pod.namespace().to_owned(), name);
            for request in requests {
                let of_request = ledger.cdi_ids(&key, &request).ok_or_else(|| {
                    let (namespace, name) = &key;
                    let what = "internal error: unable to get claim info for ResourceClaim";
                    DraError::Claim(format!("{what} {name} in namespace {namespace}"))
                })?;
                ids.extend(of_request);
            }
        }
        Ok(ids)
    }

    /// Has the drivers take back what only this pod had, which has ended.
    ///
    /// # Errors
    /// They have not; it is to be tried again.
    pub async fn unprepare(&self, uid: &str) -> Result<(), DraError> {
        let keys = self.0.ledger.lock().of_pod(uid);
        if keys.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let done = self.give_back(uid, &keys).await;
        self.0.counts.done("UnprepareResources", began, done.is_err());
        done
    }

    async fn give_back(&self, pod: &str, keys: &[Key]) -> Result<(), DraError> {
        let _turn = self.0.turns.lock().await;
        let mut batches = Batches::new();
        let mut unprepared = Vec::new();
        {
            let mut ledger = self.0.ledger.lock();
            for key in keys {
                let Release::Unprepare(claim) = ledger.release(key, pod) else { continue };
                for driver in claim.drivers.keys() {
                    batches.entry(driver.clone()).or_default().push((key.clone(), of(key, &claim.uid)));
                }
                unprepared.push(key);
            }
        }
        for (driver, batch) in &batches {
            let (plugin, began) = (self.plugin(driver)?, Instant::now());
            let answer = plugin.unprepare(batch.iter().map(|(_, claim)| claim.clone()).collect()).await;
            self.called(driver, plugin.method(UNPREPARE), began, answer.as_ref().err());
            let answer = answer.map_err(|status| DraError::Call { call: UNPREPARE, why: rpc(&status) })?;
            for (uid, result) in &answer.claims {
                let key = key_of(batch, uid, UNPREPARE)?;
                if !result.error.is_empty() {
                    let (claim, why) = (key.1.clone(), result.error.clone());
                    return Err(DraError::Failed { call: UNPREPARE, claim, why });
                }
            }
            skipped(batch.len(), answer.claims.len(), UNPREPARE)?;
        }
        let mut ledger = self.0.ledger.lock();
        unprepared.into_iter().for_each(|key| ledger.remove(key));
        self.save(&ledger)
    }

    /// Takes back for ever what pods have left behind that are not here any more; give it to the
    /// supervisor. `is_here` tells whether a pod still is.
    pub async fn reconcile(self, is_here: impl Fn(&str) -> bool + Send + Sync) {
        loop {
            tokio::time::sleep(RECONCILE).await;
            let left = self.0.ledger.lock().left_by(&is_here);
            for (pod, keys) in left {
                if let Err(error) = self.give_back(&pod, &keys).await {
                    tracing::info!(pod, %error, "Unpreparing pod resources in reconcile loop failed, will retry");
                }
            }
        }
    }

    /// The claims of a container, for the pod resources API.
    pub fn listed(&self, pod: &Pod, container: &Container) -> Vec<listed::DynamicResource> {
        let names = names::of_container(pod, container).unwrap_or_default();
        let ledger = self.0.ledger.lock();
        names.into_keys().filter_map(|name| ledger.listed(&(pod.namespace().to_owned(), name))).collect()
    }

    fn plugin(&self, driver: &str) -> Result<Plugin, DraError> {
        self.0.plugins.get(driver).ok_or_else(|| DraError::NoDriver(driver.to_owned()))
    }

    fn save(&self, ledger: &Ledger) -> Result<(), DraError> {
        checkpoint::write(&self.0.file, ledger.data()).map_err(|error| DraError::Checkpoint(error.to_string()))
    }
}

fn of((namespace, name): &Key, uid: &str) -> wire::Claim {
    wire::Claim { namespace: namespace.clone(), uid: uid.to_owned(), name: name.clone() }
}

fn key_of<'b>(batch: &'b [(Key, wire::Claim)], uid: &str, call: &'static str) -> Result<&'b Key, DraError> {
    let found = batch.iter().find(|(_, claim)| claim.uid == uid).map(|(key, _)| key);
    found.ok_or_else(|| DraError::Unknown { call, uid: uid.to_owned() })
}

fn skipped(asked: usize, answered: usize, call: &'static str) -> Result<(), DraError> {
    match asked.saturating_sub(answered) {
        0 => Ok(()),
        count => Err(DraError::Skipped { call, count }),
    }
}

fn device(said: wire::Device) -> Device {
    let list = |list: Vec<String>| Some(list).filter(|list| !list.is_empty());
    Device {
        pool_name: said.pool_name,
        device_name: said.device_name,
        share: said.share_id,
        request_names: list(said.request_names),
        cdi_ids: list(said.cdi_device_ids),
    }
}
