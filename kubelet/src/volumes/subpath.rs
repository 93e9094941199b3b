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
            let mut at = open(root, Path::new("."), OFlags::PATH, ResolveFlags::BENEATH)?;
            for part in relative.components() {
                match rustix::fs::mkdirat(&at, part.as_os_str(), Mode::from_raw_mode(0o750)) {
                    Err(e) if e != rustix::io::Errno::EXIST => return Err(e),
                    _ => {}
                }
                let next =
                    open(&at, Path::new(part.as_os_str()), OFlags::PATH | OFlags::DIRECTORY, ResolveFlags::BENEATH);
                at = next?;
                share(&at);
            }
            Ok(at)
        }
        other => other,
    }
}

/// A folder made for the pod takes the group and mode of the volume by its setgid bit; others
/// may at least enter.
fn share(dir: &OwnedFd) {
    let path = format!("/proc/self/fd/{}", dir.as_raw_fd());
    let _ = rustix::fs::chmod(path, Mode::from_raw_mode(0o755));
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
