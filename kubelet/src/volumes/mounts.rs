//! Mounting and unmounting.

use super::VolumeError;
use crate::runtime::views::Layers;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use std::ffi::CString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Runs file system work off the runtime's threads.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, VolumeError> + Send + 'static,
) -> Result<T, VolumeError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(VolumeError::Interrupted))
}

/// Mounts a memory file system on a folder, once.
pub fn tmpfs(dir: &Path, size: Option<i64>) -> Result<(), VolumeError> {
    if is_mount_point(dir) {
        return Ok(());
    }
    let options = size.map(|n| format!("size={n}")).unwrap_or_default();
    let options = CString::new(options).map_err(|_| VolumeError::BadPath(dir.display().to_string()))?;
    rustix::mount::mount("tmpfs", dir, "tmpfs", MountFlags::empty(), options.as_c_str())
        .map_err(|e| VolumeError::io("mount a tmpfs on", dir, e))
}

/// Makes `from` appear at `to` as well.
pub fn bind(from: &Path, to: &Path) -> Result<(), VolumeError> {
    rustix::mount::mount_bind_recursive(from, to).map_err(|e| VolumeError::io("bind-mount on", to, e))?;
    rustix::mount::mount_change(to, MountPropagationFlags::PRIVATE).map_err(|e| VolumeError::io("make private", to, e))
}

/// Shows `from` at `dir`, where nobody can write; fine if it is there already.
pub fn bind_read_only(from: &Path, dir: &Path) -> Result<(), VolumeError> {
    std::fs::create_dir_all(dir).map_err(|e| VolumeError::io("create", dir, e))?;
    if is_mounted(dir)? {
        return Ok(());
    }
    bind(from, dir)?;
    let flags = rustix::mount::MountFlags::BIND | rustix::mount::MountFlags::RDONLY;
    rustix::mount::mount_remount(dir, flags, c"").map_err(|e| VolumeError::io("make read-only", dir, e))
}

/// Shows an image's files at `dir`, where nobody can write; fine if they are there already.
pub(super) fn image(layers: &Layers, dir: &Path) -> Result<(), VolumeError> {
    if layers.kind == "bind" {
        return bind_read_only(Path::new(&layers.source), dir);
    }
    std::fs::create_dir_all(dir).map_err(|e| VolumeError::io("create", dir, e))?;
    if is_mount_point(dir) {
        return Ok(());
    }
    let flags = MountFlags::RDONLY | MountFlags::NODEV | MountFlags::NOSUID;
    let bad = |_| VolumeError::BadPath(layers.source.clone());
    let options = CString::new(layers.options.join(",")).map_err(bad)?;
    rustix::mount::mount(layers.source.as_str(), dir, layers.kind.as_str(), flags, options.as_c_str())
        .map_err(|e| VolumeError::io("mount an image on", dir, e))
}

/// Makes mounts below a folder appear in containers that ask for it, and theirs here: where the folder's file system
/// is not shared already (systemd shares all of them) it becomes a shared mount of its own. Before anything is mounted
/// below, or a kubelet that comes later and does the same would cover it.
///
/// Upstream: `MakeRShared` of `pkg/volume/util/hostutil`.
pub fn share(dir: &Path) -> Result<(), VolumeError> {
    let dir = dir.canonicalize().map_err(|e| VolumeError::io("find", dir, e))?;
    let table =
        std::fs::read_to_string("/proc/self/mountinfo").map_err(|e| VolumeError::io("read mounts of", &dir, e))?;
    if is_shared(&table, &dir) {
        return Ok(());
    }
    rustix::mount::mount_bind_recursive(&dir, &dir).map_err(|e| VolumeError::io("bind-mount on", &dir, e))?;
    rustix::mount::mount_change(&dir, MountPropagationFlags::SHARED | MountPropagationFlags::REC)
        .map_err(|e| VolumeError::io("share", &dir, e))
}

/// Whether the mount that a path lies in is shared. Of several on one place the last covers the others.
fn is_shared(table: &str, path: &Path) -> bool {
    let mounts = table.lines().filter_map(|line| {
        let point = PathBuf::from(unescape(line.split(' ').nth(4)?));
        path.starts_with(&point).then(|| (point.components().count(), line))
    });
    let own = mounts.max_by_key(|(depth, _)| *depth).map(|(_, line)| line);
    // The optional fields end with a dash.
    own.is_some_and(|line| line.split(' ').skip(6).take_while(|field| *field != "-").any(|f| f.starts_with("shared:")))
}

/// Whether something is mounted on a folder.
pub fn is_mount_point(dir: &Path) -> bool {
    let device = |p: &Path| std::fs::symlink_metadata(p).map(|m| m.dev()).ok();
    dir.parent().is_some_and(|parent| device(dir) != device(parent))
}

/// Whether something is mounted on a path, of its own file system also.
pub fn is_mounted(path: &Path) -> Result<bool, VolumeError> {
    Ok(mount_points(&table_for(path)?).any(|point| point == path))
}

/// Where else that is mounted which lies at a path. What the path's own mount was propagated to does not count.
///
/// Upstream: `GetDeviceMountRefs` of `pkg/volume/util/hostutil`, `HasMountRefs` of `pkg/volume/util`.
pub fn references(path: &Path) -> Result<Vec<PathBuf>, VolumeError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    Ok(others(&table_for(path)?, path))
}

fn table_for(path: &Path) -> Result<String, VolumeError> {
    std::fs::read_to_string("/proc/self/mountinfo").map_err(|e| VolumeError::io("read mounts of", path, e))
}

fn others(table: &str, path: &Path) -> Vec<PathBuf> {
    let mounts: Vec<(&str, PathBuf, PathBuf)> = table
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(2);
            let (device, root, point) = (fields.next()?, fields.next()?, fields.next()?);
            Some((device, PathBuf::from(unescape(root)), PathBuf::from(unescape(point))))
        })
        .collect();
    let holders = mounts.iter().filter(|(_, _, point)| path.starts_with(point));
    let Some((device, root, point)) = holders.max_by_key(|(_, _, point)| point.components().count()) else {
        return Vec::new();
    };
    let root = path.strip_prefix(point).map(|rest| root.join(rest)).unwrap_or_default();
    let same = mounts.iter().filter(|(d, r, point)| d == device && *r == root && !point.ends_with(relative(path)));
    same.map(|(_, _, point)| point.clone()).collect()
}

fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

/// Unmounts everything at or below a folder, the youngest first: a mount may lie on another or cover the ones below it.
pub fn unmount_below(dir: &Path) -> Result<(), VolumeError> {
    let table =
        std::fs::read_to_string("/proc/self/mountinfo").map_err(|e| VolumeError::io("read mounts of", dir, e))?;
    let mut below: Vec<PathBuf> = mount_points(&table).filter(|p| p.starts_with(dir)).collect();
    below.reverse();
    for path in below {
        rustix::mount::unmount(&path, UnmountFlags::DETACH).map_err(|e| VolumeError::io("unmount", &path, e))?;
    }
    Ok(())
}

fn mount_points(table: &str) -> impl Iterator<Item = PathBuf> {
    table.lines().filter_map(|line| line.split(' ').nth(4)).map(|p| PathBuf::from(unescape(p)))
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 4).and_then(|d| u8::from_str_radix(d, 8).ok());
        match code {
            Some(c) => {
                out.push(c as char);
                rest = &rest[at + 4..];
            }
            None => {
                out.push('\\');
                rest = &rest[at + 1..];
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_and_last_mount_says_whether_a_folder_is_shared() {
        let table = "1 0 8:1 / / rw shared:1 - ext4 /dev/a rw\n2 1 8:2 / /var/lib rw - ext4 /dev/b rw\n\
                     3 2 8:3 / /var/lib/x rw - tmpfs t rw\n4 2 8:3 / /var/lib/x rw master:2 shared:3 - tmpfs t rw\n";
        for (path, shared) in [("/var", true), ("/var/lib/kubelet", false), ("/var/lib/x/y", true), ("/var/libx", true)]
        {
            assert_eq!(is_shared(table, Path::new(path)), shared, "{path}");
        }
    }

    #[test]
    fn what_lies_somewhere_else_too() {
        let table = "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:2 / /k/stage rw - ext4 /dev/b rw\n\
                     3 1 8:2 / /k/pod/mount rw - ext4 /dev/b rw\n4 1 8:2 / /mnt/k/stage rw - ext4 /dev/b rw\n\
                     5 1 8:1 /k/plain /k/other rw - ext4 /dev/a rw\n6 1 8:2 /sub /k/part rw - ext4 /dev/b rw\n";
        assert_eq!(others(table, Path::new("/k/stage")), [PathBuf::from("/k/pod/mount")]);
        assert_eq!(others(table, Path::new("/k/plain")), [PathBuf::from("/k/other")]);
        assert!(others(table, Path::new("/k/none")).is_empty());
    }

    #[test]
    fn mount_table() {
        let table = "1 2 0:3 / /a\\040b rw - tmpfs tmpfs rw\n4 5 0:6 / /c rw - x y z\n";
        let got: Vec<_> = mount_points(table).collect();
        assert_eq!(got, [PathBuf::from("/a b"), PathBuf::from("/c")]);
        assert_eq!(unescape("x\\"), "x\\");
    }
}
