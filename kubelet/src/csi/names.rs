//! What volumes and their attachments are called, and where they lie below the kubelet's folder.
//!
//! Upstream: `pkg/volume/csi/csi_attacher.go`, `csi_block.go`, `csi_util.go`.

use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The plug-in's name.
pub const PLUGIN: &str = "kubernetes.io/csi";
/// Its name as a folder of a pod.
pub const FOLDER: &str = "kubernetes.io~csi";
/// The file beside a mount that says what is mounted.
pub const DATA_FILE: &str = "vol_data.json";

/// The name of the `VolumeAttachment` of a volume to a node.
pub fn attachment(handle: &str, driver: &str, node: &str) -> String {
    format!("csi-{}", digest(&[handle, driver, node]))
}

/// The handle of a volume that a pod brings with it.
pub fn inline_handle(pod_uid: &str, volume: &str) -> String {
    format!("csi-{}", digest(&[pod_uid, volume]))
}

/// The volume in the node's status (`volumesInUse`, `volumesAttached`).
pub fn unique(driver: &str, handle: &str) -> String {
    format!("{PLUGIN}/{driver}^{handle}")
}

/// Where drivers' files are, below the kubelet's folder.
pub fn plugin_dir(root: &Path) -> PathBuf {
    root.join("plugins").join(PLUGIN)
}

/// Where a volume is staged, once for all pods of the node.
pub fn staging(root: &Path, driver: &str, handle: &str) -> PathBuf {
    plugin_dir(root).join(driver).join(digest(&[handle])).join("globalmount")
}

/// Where a block volume is staged.
pub fn block_staging(root: &Path, spec: &str) -> PathBuf {
    block(root).join("staging").join(spec)
}

/// The device of a block volume that a pod uses.
pub fn block_device(root: &Path, spec: &str, pod_uid: &str) -> PathBuf {
    block(root).join("publish").join(spec).join(pod_uid)
}

/// Where it is written down what a block volume is.
pub fn block_data(root: &Path, spec: &str) -> PathBuf {
    block(root).join(spec).join("data")
}

/// Where all block volumes are.
pub fn block(root: &Path) -> PathBuf {
    plugin_dir(root).join("volumeDevices")
}

fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_upstreams() {
        // sha256 of "abc".
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(attachment("a", "b", "c"), format!("csi-{abc}"));
        assert_eq!(inline_handle("ab", "c"), format!("csi-{abc}"));
        assert_eq!(unique("d.io", "h"), "kubernetes.io/csi/d.io^h");
        let want = format!("/r/plugins/kubernetes.io/csi/d.io/{abc}/globalmount");
        assert_eq!(staging(Path::new("/r"), "d.io", "abc"), PathBuf::from(want));
        let want = "/r/plugins/kubernetes.io/csi/volumeDevices/publish/pv/u";
        assert_eq!(block_device(Path::new("/r"), "pv", "u"), PathBuf::from(want));
    }
}
