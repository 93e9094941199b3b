//! `vol_data.json`: what is mounted beside it. It is written before the driver is called and outlives the kubelet,
//! so that whatever a driver was asked for can be taken back.
//!
//! Upstream: `pkg/volume/csi/csi_util.go`.

use super::names::{self, DATA_FILE};
use crate::volumes::VolumeError;
use serde::{Deserialize, Serialize};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// More than any such file has; longer ones are damaged.
const MOST: u64 = 64 * 1024;

/// The file's content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeData {
    #[serde(rename = "specVolID", skip_serializing_if = "String::is_empty")]
    pub spec: String,
    #[serde(rename = "volumeHandle")]
    pub handle: String,
    #[serde(rename = "driverName")]
    pub driver: String,
    #[serde(rename = "nodeName", skip_serializing_if = "String::is_empty")]
    pub node: String,
    #[serde(rename = "attachmentID", skip_serializing_if = "String::is_empty")]
    pub attachment: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub volume_lifecycle_mode: String,
}

impl VolumeData {
    /// The volume in the node's status.
    pub fn unique(&self) -> String {
        names::unique(&self.driver, &self.handle)
    }

    /// Writes the file into a folder, which is made.
    pub fn save(&self, dir: &Path) -> Result<(), VolumeError> {
        use std::os::unix::fs::DirBuilderExt as _;
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o750).create(dir);
        made.map_err(|e| VolumeError::io("create", dir, e))?;
        let (file, fresh) = (dir.join(DATA_FILE), dir.join(format!(".{DATA_FILE}")));
        let text = serde_json::to_vec(self).map_err(|e| VolumeError::io("write", &file, e))?;
        std::fs::write(&fresh, text).map_err(|e| VolumeError::io("write", &fresh, e))?;
        std::fs::rename(&fresh, &file).map_err(|e| VolumeError::io("write", &file, e))
    }

    /// The file of a folder; `None` if there is none.
    pub fn load(dir: &Path) -> Result<Option<Self>, VolumeError> {
        let file = dir.join(DATA_FILE);
        let mut text = Vec::new();
        match std::fs::File::open(&file).and_then(|open| open.take(MOST).read_to_end(&mut text)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(VolumeError::io("read", &file, e)),
            Ok(_) => {}
        }
        serde_json::from_slice(&text).map(Some).map_err(|e| VolumeError::io("parse", &file, e))
    }
}

/// A volume of a pod, as found on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub pod_uid: String,
    /// The pod's folder of the volume, or its link to the device.
    pub place: PathBuf,
    pub data: VolumeData,
    pub block: bool,
}

/// All volumes that pods have on the disk.
pub fn found(root: &Path) -> Vec<Found> {
    entries(&root.join("pods")).into_iter().flat_map(|uid| found_of(root, &uid).0).collect()
}

/// The volumes that one pod has on the disk, and the folders that do not say what they are.
pub fn found_of(root: &Path, uid: &str) -> (Vec<Found>, Vec<PathBuf>) {
    let pod = root.join("pods").join(uid);
    let (mut all, mut unknown) = (Vec::new(), Vec::new());
    for (folder, block) in [("volumes", false), ("volumeDevices", true)] {
        let folder = pod.join(folder).join(names::FOLDER);
        for name in entries(&folder) {
            let place = folder.join(&name);
            let data = if block { names::block_data(root, &name) } else { place.clone() };
            match VolumeData::load(&data) {
                Ok(Some(data)) => all.push(Found { pod_uid: uid.to_owned(), place, data, block }),
                Ok(None) => unknown.push(place),
                Err(error) => {
                    tracing::warn!(%error, "what a volume is cannot be read");
                    unknown.push(place);
                }
            }
        }
    }
    (all, unknown)
}

/// The folders where volumes of drivers are staged, with what they are.
pub fn staged(root: &Path) -> Vec<(PathBuf, VolumeData)> {
    let plugins = names::plugin_dir(root);
    let drivers = entries(&plugins).into_iter().filter(|name| name != "volumeDevices");
    let volumes = drivers.flat_map(|driver| {
        let folder = plugins.join(driver);
        entries(&folder).into_iter().map(move |name| folder.join(name))
    });
    let files = volumes.filter_map(|dir| Some((dir.join("globalmount"), VolumeData::load(&dir).ok()??)));
    let block = names::block(root);
    let devices = entries(&block).into_iter().filter(|name| name != "staging" && name != "publish");
    let devices = devices.filter_map(|spec| {
        let data = VolumeData::load(&names::block_data(root, &spec)).ok()??;
        Some((names::block_staging(root, &spec), data))
    });
    files.chain(devices).collect()
}

fn entries(dir: &Path) -> Vec<String> {
    let all = std::fs::read_dir(dir).into_iter().flatten().flatten();
    all.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_found_again_with_upstreams_keys() {
        let root = tempfile::tempdir().expect("a folder");
        let data = VolumeData {
            spec: "pv".into(),
            handle: "h".into(),
            driver: "d".into(),
            node: "n".into(),
            attachment: "csi-1".into(),
            volume_lifecycle_mode: "Persistent".into(),
        };
        let dir = root.path().join("pods/u/volumes/kubernetes.io~csi/pv");
        data.save(&dir).expect("saved");
        let text: serde_json::Value =
            serde_json::from_slice(&std::fs::read(dir.join(DATA_FILE)).expect("read")).expect("JSON");
        assert_eq!(
            text,
            serde_json::json!({"specVolID": "pv", "volumeHandle": "h", "driverName": "d", "nodeName": "n",
                "attachmentID": "csi-1", "volumeLifecycleMode": "Persistent"})
        );
        assert_eq!(found(root.path()), [Found { pod_uid: "u".into(), place: dir, data, block: false }]);
        let broken = root.path().join("pods/u/volumes/kubernetes.io~csi/other");
        std::fs::create_dir_all(&broken).expect("a folder");
        std::fs::write(broken.join(DATA_FILE), "{").expect("written");
        assert_eq!(found_of(root.path(), "u").1, [broken]);
    }
}
