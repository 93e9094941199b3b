//! Taking volumes back: from a pod, then, when no pod of the node has it any more, from the node.
//!
//! Upstream: `TearDownAt` of `pkg/volume/csi/csi_mounter.go`, `UnmountDevice` of `csi_attacher.go`, `csi_block.go`.

use super::data::{self, Found, VolumeData};
use super::driver::Capability;
use super::{Csi, DriverError, names};
use crate::volumes::unmounting::{gone, remove_mount_dir};
use crate::volumes::{VolumeError, mounts};
use proto::csi::{NodeUnpublishVolumeRequest, NodeUnstageVolumeRequest};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often volumes are looked for that could not be taken from the node yet.
const PERIOD: Duration = Duration::from_secs(10);

impl Csi {
    /// Takes all volumes back that a pod has, whoever gave them to it.
    ///
    /// # Errors
    /// The first failure, after all have been tried.
    pub async fn release(&self, uid: &str) -> Result<(), VolumeError> {
        let (all, unknown) = data::found_of(&self.0.root, uid);
        let mut first = None;
        for found in &all {
            if let Err(e) = self.unpublish(found).await {
                first.get_or_insert(e.of_step("UnmountVolume.TearDown", &found.data.spec));
            }
        }
        for place in unknown {
            mounts::blocking(move || clear(&place)).await?;
        }
        if let Some(error) = first {
            return Err(error);
        }
        for unique in self.unwant(uid) {
            if let Err(error) = self.free(&unique).await {
                tracing::warn!(%error, volume = unique, "a volume cannot be taken from the node yet");
            }
        }
        Ok(())
    }

    async fn unpublish(&self, found: &Found) -> Result<(), VolumeError> {
        let began = Instant::now();
        let done = self.take_back(found).await;
        let operation = if found.block { "unmap_volume" } else { "volume_unmount" };
        self.0.work.done(operation, &format!("csi:{}", found.data.driver), began, done.is_ok());
        done
    }

    async fn take_back(&self, found: &Found) -> Result<(), VolumeError> {
        let data = &found.data;
        let turn = self.turn(&data.unique());
        let _turn = turn.lock().await;
        let target = match found.block {
            true => names::block_device(&self.0.root, &data.spec, &found.pod_uid),
            false => found.place.join("mount"),
        };
        let mut driver = self.connect(&data.driver).await?;
        let target_path = target.to_string_lossy().into_owned();
        driver.unpublish(NodeUnpublishVolumeRequest { volume_id: data.handle.clone(), target_path }).await?;
        let (link, block) = (found.place.clone(), found.block);
        mounts::blocking(move || if block { remove_device(&target, &link) } else { remove_mount_dir(&target) }).await?;
        let key = (found.pod_uid.clone(), data.spec.clone());
        let mut state = self.0.state.lock();
        state.published.remove(&key);
        state.measured.remove(&key);
        // In use until it is taken from the node.
        state.wanted.entry(data.unique()).or_default().insert(found.pod_uid.clone());
        Ok(())
    }

    /// The volumes that nobody wants any more without this pod.
    fn unwant(&self, uid: &str) -> Vec<String> {
        let mut state = self.0.state.lock();
        let over: Vec<_> = state.failures.keys().filter(|(pod, _)| pod.starts_with(uid)).cloned().collect();
        for key in over {
            state.failures.remove(&key);
            state.failed.forget(&key);
        }
        let mut free = Vec::new();
        state.wanted.retain(|unique, pods| {
            if pods.remove(uid) && pods.is_empty() {
                free.push(unique.clone());
            }
            !pods.is_empty()
        });
        self.0.tokens.forget(uid);
        free
    }

    /// Takes a volume from the node that no pod has.
    async fn free(&self, unique: &str) -> Result<(), VolumeError> {
        let turn = self.turn(unique);
        let _turn = turn.lock().await;
        if self.is_used(unique) {
            return Ok(());
        }
        for (staging, data) in data::staged(&self.0.root).into_iter().filter(|(_, data)| data.unique() == unique) {
            let began = Instant::now();
            let done = self.unstage(&staging, &data).await;
            self.0.work.done("unmount_device", &format!("csi:{}", data.driver), began, done.is_ok());
            done.map_err(|e| e.of_step("UnmountDevice", &data.handle))?;
        }
        let mut state = self.0.state.lock();
        state.staged.remove(unique);
        state.infeasible.remove(unique);
        drop(state);
        self.0.in_use.remove(unique);
        Ok(())
    }

    async fn unstage(&self, staging: &Path, data: &VolumeData) -> Result<(), VolumeError> {
        let others = mounts::references(staging)?;
        if !others.is_empty() {
            let staging = staging.display();
            let text = format!("the device mount path \"{staging}\" is still mounted by other references {others:?}");
            return Err(VolumeError::Csi(text));
        }
        let mut driver = self.connect(&data.driver).await?;
        if driver.capabilities().await?.contains(&Capability::StageUnstageVolume) {
            let staging_target_path = staging.to_string_lossy().into_owned();
            let (volume_id, request) = (data.handle.clone(), staging_target_path);
            driver.unstage(NodeUnstageVolumeRequest { volume_id, staging_target_path: request }).await?;
        }
        let staging = staging.to_owned();
        let block = staging.starts_with(names::block(&self.0.root));
        let data_dir = names::block_data(&self.0.root, &data.spec);
        mounts::blocking(move || if block { remove_block(&staging, &data_dir) } else { remove_mount_dir(&staging) })
            .await
    }

    /// Takes volumes from the node that no pod has, for ever; give it to the supervisor when the pods are known.
    pub async fn reap(self) {
        loop {
            for unique in self.0.in_use.wanted().into_iter().chain(self.staged()) {
                match self.free(&unique).await {
                    Ok(()) => {}
                    Err(VolumeError::Step { source, .. }) if is_missing(&source) => {
                        tracing::debug!(volume = unique, "a volume waits for its driver to be taken from the node");
                    }
                    Err(error) => tracing::warn!(%error, volume = unique, "a volume stays on the node"),
                }
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    fn staged(&self) -> impl Iterator<Item = String> + use<> {
        data::staged(&self.0.root).into_iter().map(|(_, data)| data.unique())
    }
}

fn is_missing(error: &VolumeError) -> bool {
    matches!(error, VolumeError::Driver(DriverError::NotRegistered(_)))
}

/// Nobody knows what this was: what is mounted is unmounted, what was prepared goes.
fn clear(place: &Path) -> Result<(), VolumeError> {
    mounts::unmount_below(place)?;
    if place.is_symlink() || place.is_file() {
        return gone(place, std::fs::remove_file(place));
    }
    let file = place.join(names::DATA_FILE);
    gone(&file, std::fs::remove_file(&file))?;
    remove_mount_dir(&place.join("mount"))
}

fn remove_device(device: &Path, link: &Path) -> Result<(), VolumeError> {
    gone(link, std::fs::remove_file(link))?;
    gone(device, std::fs::remove_file(device))?;
    match device.parent() {
        Some(folder) => remove_if_empty(folder),
        None => Ok(()),
    }
}

fn remove_block(staging: &Path, data: &Path) -> Result<(), VolumeError> {
    if mounts::is_mounted(staging)? {
        return Ok(());
    }
    gone(staging, std::fs::remove_dir(staging))?;
    let file: PathBuf = data.join(names::DATA_FILE);
    gone(&file, std::fs::remove_file(&file))?;
    gone(data, std::fs::remove_dir(data))?;
    match data.parent() {
        Some(folder) => remove_if_empty(folder),
        None => Ok(()),
    }
}

fn remove_if_empty(folder: &Path) -> Result<(), VolumeError> {
    match std::fs::remove_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::DirectoryNotEmpty => Ok(()),
        other => gone(folder, other),
    }
}
