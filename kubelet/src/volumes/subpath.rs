//! `subPath`: one file or folder of a volume, which a pod must not be able to point elsewhere.
//!
//! The path is resolved by the kernel without leaving the volume, and what was found is bound to
//! a place of the kubelet's own, so that a link exchanged later changes nothing.

use super::{VolumeError, mounts};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// Binds `sub_path` of `volume` to `target` and gives `target`.
pub fn bind(volume: &Path, sub_path: &str, target: &Path) -> Result<PathBuf, VolumeError> {
    let relative = Path::new(sub_path);
    if !relative.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)) {
        return Err(VolumeError::BadPath(sub_path.to_owned()));
    }
    if mounts::is_mount_point(target) {
        return Ok(target.to_owned());
    }
    let root = open(CWD, volume, OFlags::PATH | OFlags::DIRECTORY, ResolveFlags::empty())
        .map_err(|e| VolumeError::io("open", volume, e))?;
    let found = find_or_create(&root, relative).map_err(|e| VolumeError::io("open", &volume.join(relative), e))?;
    prepare_target(&found, target)?;
    mounts::bind(Path::new(&format!("/proc/self/fd/{}", found.as_raw_fd())), target)?;
    Ok(target.to_owned())
}

fn find_or_create(root: &OwnedFd, relative: &Path) -> rustix::io::Result<OwnedFd> {
    match open(root, relative, OFlags::PATH, ResolveFlags::BENEATH) {
        Err(rustix::io::Errno::NOENT) => {
            let mode = rustix::fs::statat(root, "", AtFlags::EMPTY_PATH)?.st_mode & 0o7777;
            let mut at = open(root, Path::new("."), OFlags::PATH, ResolveFlags::BENEATH)?;
            for part in relative.components() {
                let is_new = match rustix::fs::mkdirat(&at, part.as_os_str(), Mode::from_raw_mode(0o750)) {
                    Err(rustix::io::Errno::EXIST) => false,
                    made => made.map(|()| true)?,
                };
                let next =
                    open(&at, Path::new(part.as_os_str()), OFlags::PATH | OFlags::DIRECTORY, ResolveFlags::BENEATH);
                at = next?;
                if is_new {
                    // What is made for the pod may be used as the volume may; the kernel's mask does not count.
                    rustix::fs::chmod(format!("/proc/self/fd/{}", at.as_raw_fd()), Mode::from_raw_mode(mode))?;
                }
            }
            Ok(at)
        }
        other => other,
    }
}

fn open(at: impl std::os::fd::AsFd, path: &Path, flags: OFlags, resolve: ResolveFlags) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat2(at, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}

fn prepare_target(found: &OwnedFd, target: &Path) -> Result<(), VolumeError> {
    let stat = rustix::fs::statat(found, "", AtFlags::EMPTY_PATH).map_err(|e| VolumeError::io("read", target, e))?;
    let parent = target.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(parent).map_err(|e| VolumeError::io("create", parent, e))?;
    let made = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => std::fs::create_dir_all(target),
        _ => std::fs::OpenOptions::new().create(true).append(true).open(target).map(drop),
    };
    made.map_err(|e| VolumeError::io("create", target, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn new_folders_may_be_used_as_the_volume_may() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &str| std::fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o7777;
        std::fs::create_dir(dir.path().join("old")).unwrap();
        for (path, mode) in [("old", 0o700), ("", 0o3777)] {
            std::fs::set_permissions(dir.path().join(path), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let root = open(CWD, dir.path(), OFlags::PATH, ResolveFlags::empty()).unwrap();
        find_or_create(&root, Path::new("old/new/sub")).unwrap();
        assert_eq!([mode("old"), mode("old/new"), mode("old/new/sub")], [0o700, 0o3777, 0o3777]);
    }

    #[test]
    fn links_that_leave_the_volume_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let volume = dir.path().join("v");
        std::fs::create_dir(&volume).unwrap();
        std::os::unix::fs::symlink("/etc", volume.join("out")).unwrap();
        let root = open(CWD, &volume, OFlags::PATH, ResolveFlags::empty()).unwrap();
        assert!(find_or_create(&root, Path::new("out/passwd")).is_err());
        assert!(find_or_create(&root, Path::new("new/sub")).is_ok());
        assert!(volume.join("new/sub").is_dir());
        assert!(bind(&volume, "../x", &dir.path().join("t")).is_err());
    }
}
