//! Mounting and unmounting.

use super::VolumeError;
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

/// Whether something is mounted on a folder.
pub fn is_mount_point(dir: &Path) -> bool {
    let device = |p: &Path| std::fs::symlink_metadata(p).map(|m| m.dev()).ok();
    dir.parent().is_some_and(|parent| device(dir) != device(parent))
}

/// Unmounts everything at or below a folder, the innermost first.
pub fn unmount_below(dir: &Path) -> Result<(), VolumeError> {
    let table =
        std::fs::read_to_string("/proc/self/mountinfo").map_err(|e| VolumeError::io("read mounts of", dir, e))?;
    let mut below: Vec<PathBuf> = mount_points(&table).filter(|p| p.starts_with(dir)).collect();
    below.sort_by_key(|p| std::cmp::Reverse(p.components().count()));
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
    fn mount_table() {
        let table = "1 2 0:3 / /a\\040b rw - tmpfs tmpfs rw\n4 5 0:6 / /c rw - x y z\n";
        let got: Vec<_> = mount_points(table).collect();
        assert_eq!(got, [PathBuf::from("/a b"), PathBuf::from("/c")]);
        assert_eq!(unescape("x\\"), "x\\");
    }
}
