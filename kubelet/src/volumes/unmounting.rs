//! Taking away what was prepared for a mount, never what is mounted.
//!
//! Upstream: `removeMountDir` of `pkg/volume/csi/csi_mounter.go`.

use super::{VolumeError, mounts};
use crate::csi::names::DATA_FILE;
use std::io;
use std::path::Path;

/// Removes a mount's folder, the file beside it and their folder. Where something is still mounted all of it stays.
///
/// # Errors
/// The folder is not empty.
pub fn remove_mount_dir(target: &Path) -> Result<(), VolumeError> {
    if mounts::is_mounted(target)? {
        return Ok(());
    }
    gone(target, std::fs::remove_dir(target))?;
    let Some(folder) = target.parent() else { return Ok(()) };
    let file = folder.join(DATA_FILE);
    gone(&file, std::fs::remove_file(&file))?;
    gone(folder, std::fs::remove_dir(folder))
}

/// What is not there need not be removed.
pub fn gone(path: &Path, removed: io::Result<()>) -> Result<(), VolumeError> {
    match removed {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(VolumeError::io("remove", path, e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_never_removed() {
        let dir = tempfile::tempdir().expect("a folder");
        let volume = dir.path().join("pv");
        let target = volume.join("mount");
        std::fs::create_dir_all(&target).expect("a folder");
        std::fs::write(volume.join(DATA_FILE), "{}").expect("written");
        std::fs::write(target.join("data"), "x").expect("written");
        assert!(remove_mount_dir(&target).is_err() && target.join("data").exists());
        std::fs::remove_file(target.join("data")).expect("removed");
        remove_mount_dir(&target).expect("removed");
        assert!(!volume.exists());
        remove_mount_dir(&target).expect("nothing to do");
    }
}
