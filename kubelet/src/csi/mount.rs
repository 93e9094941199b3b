//! Staging and publishing: a volume gets to a pod.
//!
//! Upstream: `pkg/volume/csi/csi_attacher.go`, `csi_mounter.go`, `csi_block.go`.

use super::data::VolumeData;
use super::driver::{Capability, Driver};
use super::source::{Lifecycle, Source, Traits, pod_info};
use super::stats::Place;
use super::{Csi, DriverError, Key, names};
use crate::cluster::TokenWish;
use crate::pod::PodExt;
use crate::volumes::{VolumeError, mounts, ownership, unmounting};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use proto::csi::{NodePublishVolumeRequest, NodeStageVolumeRequest};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Instant;

const TOKENS: &str = "csi.storage.k8s.io/serviceAccount.tokens";
const DEFAULT_TOKEN_SECONDS: i64 = 3600;

/// A volume that a pod wants.
pub struct Wish<'a> {
    pub pod: &'a Pod,
    /// Its name in the pod.
    pub volume: &'a str,
    pub source: Source,
    /// The pod's `fsGroup`.
    pub group: Option<u32>,
    /// The claim and the volume behind it, if there is one.
    pub claim: Option<(&'a PersistentVolume, &'a PersistentVolumeClaim)>,
}

/// What is done to a volume, for messages.
struct Steps {
    attach: &'static str,
    stage: &'static str,
    publish: &'static str,
}

const FILES: Steps =
    Steps { attach: "MountVolume.WaitForAttach", stage: "MountVolume.MountDevice", publish: "MountVolume.SetUp" };
const DEVICE: Steps =
    Steps { attach: "MapVolume.WaitForAttach", stage: "MapVolume.SetUpDevice", publish: "MapVolume.MapPodDevice" };

impl Csi {
    /// Brings the volume to the pod, if it is not there. The path of its folder, or the link to its device.
    ///
    /// # Errors
    /// `Later` while it is being attached and for a while after a failure.
    pub async fn ensure(&self, wish: &Wish<'_>) -> Result<PathBuf, VolumeError> {
        let (uid, unique) = (wish.pod.uid().to_owned(), wish.source.unique());
        let key: Key = (uid.clone(), unique.clone());
        if let Some(later) = self.held_back(&key) {
            return Err(later);
        }
        self.want(&uid, &wish.source);
        let turn = self.turn(&unique);
        let _turn = turn.lock().await;
        let is_new = !self.0.state.lock().published.contains_key(&(uid, wish.source.spec.clone()));
        let began = Instant::now();
        let done = Box::pin(self.bring(wish)).await;
        if is_new && !matches!(done, Err(VolumeError::Later { .. })) {
            let (operation, plugin) = (wish.source.operation(), format!("csi:{}", wish.source.driver));
            self.0.work.done(operation, &plugin, began, done.is_ok());
        }
        self.note(key, done.as_ref().err());
        done
    }

    async fn bring(&self, wish: &Wish<'_>) -> Result<PathBuf, VolumeError> {
        let source = &wish.source;
        let steps = if source.block { DEVICE } else { FILES };
        let named = |step: &'static str| move |e: VolumeError| e.of_step(step, &source.spec);
        let traits = self.traits(&source.driver).await.map_err(|e| named(steps.publish)(e.into()))?;
        traits.supports(source).map_err(|why| {
            let why = format!("kubernetes.io/csi: mounter.SetupAt failed to check volume lifecycle mode: {why}");
            named(steps.publish)(VolumeError::Csi(why))
        })?;
        let key: Key = (wish.pod.uid().to_owned(), source.spec.clone());
        let known = self.0.state.lock().published.get(&key).cloned();
        if let Some(place) = known.as_ref().filter(|_| !traits.republish || source.block) {
            self.expand(wish, place).await;
            return Ok(place.shown.clone());
        }
        let context = match source.lifecycle {
            Lifecycle::Persistent if traits.attach => self.attached(source).await.map_err(named(steps.attach))?,
            _ => {
                self.0.in_use.remove(&source.unique());
                HashMap::new()
            }
        };
        let missing = |e: DriverError| named(steps.publish)(e.into());
        let mut driver = self.connect(&source.driver).await.map_err(missing)?;
        let able = driver.capabilities().await.map_err(missing)?;
        let mut call = Call { csi: self, wish, traits: &traits, able: &able, context, staging: String::new() };
        if source.lifecycle == Lifecycle::Persistent && able.contains(&Capability::StageUnstageVolume) {
            call.stage(&mut driver).await.map_err(named(steps.stage))?;
        }
        let place = call.publish(&mut driver, known.is_some()).await.map_err(named(steps.publish))?;
        let shown = place.shown.clone();
        self.0.state.lock().published.insert(key, place.clone());
        self.0.mounted.notify_one();
        self.expand(wish, &place).await;
        Ok(shown)
    }
}

/// One volume on its way to a pod.
struct Call<'a> {
    csi: &'a Csi,
    wish: &'a Wish<'a>,
    traits: &'a Traits,
    able: &'a BTreeSet<Capability>,
    context: HashMap<String, String>,
    /// Where the volume is staged; empty where drivers do not stage.
    staging: String,
}

impl Call<'_> {
    fn source(&self) -> &Source {
        &self.wish.source
    }

    fn data(&self) -> VolumeData {
        let (source, node) = (self.source(), &self.csi.0.node);
        VolumeData {
            spec: source.spec.clone(),
            handle: source.handle.clone(),
            driver: source.driver.clone(),
            node: node.clone(),
            attachment: names::attachment(&source.handle, &source.driver, node),
            volume_lifecycle_mode: if source.block { String::new() } else { source.lifecycle.name().to_owned() },
        }
    }

    /// Once for all pods of the node.
    async fn stage(&mut self, driver: &mut Driver) -> Result<(), VolumeError> {
        let (source, root) = (self.source(), &self.csi.0.root);
        let staging = match source.block {
            true => names::block_staging(root, &source.spec),
            false => names::staging(root, &source.driver, &source.handle),
        };
        self.staging = text(&staging);
        let source = self.source();
        let unique = source.unique();
        if self.csi.0.state.lock().staged.contains(&unique) {
            return Ok(());
        }
        let secrets = self.csi.secret(source.stage_secret.as_ref(), "NodeStageSecretRef").await?;
        make(&staging)?;
        if source.block {
            self.data().save(&names::block_data(root, &source.spec))?;
        } else {
            let (handle, driver) = (source.handle.clone(), source.driver.clone());
            let data = VolumeData { handle, driver, ..VolumeData::default() };
            data.save(staging.parent().unwrap_or(root))?;
        }
        let request = NodeStageVolumeRequest {
            volume_id: source.handle.clone(),
            publish_context: self.context.clone(),
            staging_target_path: self.staging.clone(),
            volume_capability: Some(source.capability(self.able, self.wish.group)),
            secrets,
            volume_context: source.attributes.clone().into_iter().collect(),
        };
        if let Err(error) = driver.stage(request).await {
            if error.is_final() {
                forget_mount(&staging).await;
            }
            return Err(error.into());
        }
        self.csi.0.state.lock().staged.insert(unique);
        Ok(())
    }

    async fn publish(&self, driver: &mut Driver, again: bool) -> Result<Place, VolumeError> {
        let (source, root, uid) = (self.source(), &self.csi.0.root, self.wish.pod.uid());
        let pod_dir = root.join("pods").join(uid);
        let (shown, target, data) = if source.block {
            let link = pod_dir.join("volumeDevices").join(names::FOLDER).join(&source.spec);
            (link, names::block_device(root, &source.spec, uid), names::block_data(root, &source.spec))
        } else {
            let folder = pod_dir.join("volumes").join(names::FOLDER).join(&source.spec);
            (folder.join("mount"), folder.join("mount"), folder)
        };
        let (volume_context, secrets) = self.told().await?;
        let reconstructed = VolumeData::load(&data)?.is_some();
        self.data().save(&data)?;
        if source.block {
            make(target.parent().unwrap_or(root))?;
            link(&target, &shown)?;
        }
        let request = NodePublishVolumeRequest {
            volume_id: source.handle.clone(),
            publish_context: self.context.clone(),
            staging_target_path: self.staging.clone(),
            target_path: text(&target),
            volume_capability: Some(source.capability(self.able, self.wish.group)),
            readonly: source.read_only,
            secrets,
            volume_context,
        };
        if let Err(error) = driver.publish(request).await {
            if error.is_final() && !again && !reconstructed && !source.block {
                forget_mount(&target).await;
            }
            return Err(error.into());
        }
        if !again {
            self.give(&target).await?;
        }
        Ok(Place {
            volume: self.wish.volume.to_owned(),
            claim: self.wish.claim.and_then(|(_, claim)| claim.metadata.name.clone()),
            namespace: self.wish.pod.namespace().to_owned(),
            driver: source.driver.clone(),
            handle: source.handle.clone(),
            shown,
            target,
            staging: self.staging.clone(),
        })
    }

    /// The attributes and the secrets that the driver is told for a pod.
    async fn told(&self) -> Result<(HashMap<String, String>, HashMap<String, String>), VolumeError> {
        let source = self.source();
        let mut secrets = self.csi.secret(source.publish_secret.as_ref(), "NodePublishSecretRef").await?;
        let mut context: HashMap<String, String> = source.attributes.clone().into_iter().collect();
        if self.traits.pod_info && !source.block {
            context.extend(pod_info(self.wish.pod, source.lifecycle));
        }
        if !self.traits.tokens.is_empty() && !source.block {
            let tokens = self.tokens().await?;
            let place = if self.traits.tokens_in_secrets { &mut secrets } else { &mut context };
            place.insert(TOKENS.to_owned(), tokens);
        }
        Ok((context, secrets))
    }

    /// Tokens of the pod's account by audience, as JSON.
    async fn tokens(&self) -> Result<String, VolumeError> {
        let pod = self.wish.pod;
        let mut out = serde_json::Map::new();
        for (audience, seconds) in &self.traits.tokens {
            let wish = TokenWish {
                namespace: pod.namespace().to_owned(),
                service_account: PodExt::spec(pod).service_account_name.clone().unwrap_or_default(),
                audience: Some(audience.clone()).filter(|a| !a.is_empty()),
                seconds: seconds.unwrap_or(DEFAULT_TOKEN_SECONDS),
                pod_name: pod.name().to_owned(),
                pod_uid: pod.uid().to_owned(),
                service_account_uid: None,
            };
            let token = self.csi.0.tokens.held(&wish).await.map_err(|e| {
                VolumeError::Csi(format!(
                    "kubernetes.io/csi: mounter.SetUpAt failed to get service accoount token attributes: {e}"
                ))
            })?;
            let expires = token.expires.to_string();
            out.insert(audience.clone(), serde_json::json!({"token": token.token, "expirationTimestamp": expires}));
        }
        Ok(serde_json::Value::Object(out).to_string())
    }

    /// Gives the files to the pod's group, where the driver has not.
    async fn give(&self, target: &Path) -> Result<(), VolumeError> {
        let delegated = self.able.contains(&Capability::VolumeMountGroup);
        let Some(group) = self.wish.group.filter(|_| !delegated && self.traits.gives_group(self.source())) else {
            return Ok(());
        };
        let context = PodExt::spec(self.wish.pod).security_context.as_ref();
        let policy = context.and_then(|context| context.fs_group_change_policy.as_deref());
        let (target, if_needed) = (target.to_owned(), policy == Some("OnRootMismatch"));
        let done = mounts::blocking(move || match if_needed {
            true => ownership::apply(&target, Some(group), ownership::Access::ReadWrite),
            false => ownership::tree(&target, group, ownership::Access::ReadWrite),
        });
        done.await.map_err(|e| VolumeError::Csi(format!("applyFSGroup failed for vol {}: {e}", self.source().handle)))
    }
}

/// What was prepared for a call that failed is taken away, if nothing is mounted there.
async fn forget_mount(target: &Path) {
    let target = target.to_owned();
    let shown = target.display().to_string();
    if let Err(error) = mounts::blocking(move || unmounting::remove_mount_dir(&target)).await {
        tracing::warn!(%error, target = shown, "cannot remove a mount's folder after an error");
    }
}

fn make(dir: &Path) -> Result<(), VolumeError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o750).create(dir);
    made.map_err(|e| VolumeError::io("create", dir, e))
}

/// Makes a link, or leaves the right one.
pub(crate) fn link(target: &Path, link: &Path) -> Result<(), VolumeError> {
    if std::fs::read_link(link).is_ok_and(|found| found == target) {
        return Ok(());
    }
    make(link.parent().unwrap_or(Path::new("/")))?;
    std::os::unix::fs::symlink(target, link).map_err(|e| VolumeError::io("link", link, e))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
