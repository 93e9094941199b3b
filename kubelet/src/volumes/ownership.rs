//! `fsGroup`: a volume's files belong to the group and the group may use them.

use super::VolumeError;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// What the group may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    ReadOnly,
    ReadWrite,
}

/// Gives a tree to the group, once: a root that already is the group's is left alone.
pub fn apply(root: &Path, group: Option<u32>, access: Access) -> Result<(), VolumeError> {
    let Some(group) = group else { return Ok(()) };
    let meta = std::fs::symlink_metadata(root).map_err(|e| VolumeError::io("read", root, e))?;
    if meta.gid() == group && meta.mode() & 0o2000 != 0 {
        return Ok(());
    }
    tree(root, group, access)
}

/// Gives a tree to the group.
pub fn tree(path: &Path, group: u32, access: Access) -> Result<(), VolumeError> {
    let meta = std::fs::symlink_metadata(path).map_err(|e| VolumeError::io("read", path, e))?;
    std::os::unix::fs::lchown(path, None, Some(group)).map_err(|e| VolumeError::io("change the group of", path, e))?;
    if meta.is_symlink() {
        return Ok(());
    }
    let mask = if access == Access::ReadWrite { 0o660 } else { 0o440 };
    if !meta.is_dir() {
        return set_mode(path, meta.mode() | mask);
    }
    for entry in std::fs::read_dir(path).map_err(|e| VolumeError::io("read", path, e))?.flatten() {
        tree(&entry.path(), group, access)?;
    }
    set_mode(path, meta.mode() | mask | 0o2110)
}

/// Sets the permission bits.
pub fn set_mode(path: &Path, mode: u32) -> Result<(), VolumeError> {
    let permissions = std::fs::Permissions::from_mode(mode & 0o7777);
    std::fs::set_permissions(path, permissions).map_err(|e| VolumeError::io("change the mode of", path, e))
}
