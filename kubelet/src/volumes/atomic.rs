//! Files that change all at once: a folder with a time in its name holds them, `..data` points
//! to it, and every visible name is a link through `..data`. A reader sees the old set or the
//! new one, never a mixture.
//!
//! Upstream: `pkg/volume/util/atomic_writer.go`.

use super::{VolumeError, ownership};
use k8s_openapi::jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Component, Path, PathBuf};

const DATA: &str = "..data";
const NEXT: &str = "..data_tmp";

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub data: Vec<u8>,
    pub mode: u32,
    /// The owner, where the pod's containers all run as one user.
    pub owner: Option<u32>,
}

/// Files by relative path.
pub type Files = BTreeMap<String, File>;

/// Makes `dir` show exactly `files`. Does nothing if it does already.
pub fn write(dir: &Path, files: &Files, group: Option<u32>) -> Result<(), VolumeError> {
    files.keys().try_for_each(|path| check(path))?;
    let current = std::fs::read_link(dir.join(DATA)).ok();
    if current.as_ref().is_some_and(|c| same(&dir.join(c), files)) {
        return Ok(());
    }
    let name = format!("..{}{}", Timestamp::now().strftime("%Y_%m_%d_%H_%M_%S."), rand::random::<u32>());
    let fresh = dir.join(&name);
    create_dir(&fresh)?;
    for (path, file) in files {
        write_file(&fresh, path, file)?;
    }
    if let Some(group) = group {
        ownership::tree(&fresh, group, ownership::Access::ReadOnly)?;
    }
    switch(dir, &name)?;
    publish(dir, files)?;
    if let Some(old) = current.filter(|c| c.starts_with(Path::new("..")) || c.to_string_lossy().starts_with("..")) {
        let _ = std::fs::remove_dir_all(dir.join(old));
    }
    Ok(())
}

fn check(path: &str) -> Result<(), VolumeError> {
    let parts = Path::new(path).components();
    let plain = parts.clone().all(|c| matches!(c, Component::Normal(_)));
    if path.is_empty() || path.len() > 4096 || !plain || path.starts_with("..") {
        return Err(VolumeError::BadPath(path.to_owned()));
    }
    Ok(())
}

fn same(dir: &Path, files: &Files) -> bool {
    let mut have = Vec::new();
    list(dir, dir, &mut have);
    let names: BTreeSet<&str> = have.iter().map(String::as_str).collect();
    names == files.keys().map(String::as_str).collect()
        && files.iter().all(|(path, file)| std::fs::read(dir.join(path)).is_ok_and(|data| data == file.data))
}

fn list(root: &Path, at: &Path, into: &mut Vec<String>) {
    for entry in std::fs::read_dir(at).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            list(root, &path, into);
        } else if let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str) {
            into.push(name.to_owned());
        }
    }
}

fn create_dir(path: &Path) -> Result<(), VolumeError> {
    std::fs::create_dir_all(path).map_err(|e| VolumeError::io("create", path, e))?;
    ownership::set_mode(path, 0o755)
}

fn write_file(dir: &Path, path: &str, file: &File) -> Result<(), VolumeError> {
    let full = dir.join(path);
    if let Some(parent) = Path::new(path).parent().filter(|p| !p.as_os_str().is_empty()) {
        create_dir(&dir.join(parent))?;
    }
    let opened = std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&full);
    let mut handle = opened.map_err(|e| VolumeError::io("create", &full, e))?;
    handle.write_all(&file.data).map_err(|e| VolumeError::io("write", &full, e))?;
    if let Some(owner) = file.owner {
        std::os::unix::fs::chown(&full, Some(owner), None)
            .map_err(|e| VolumeError::io("change the owner of", &full, e))?;
    }
    ownership::set_mode(&full, file.mode)
}

fn switch(dir: &Path, name: &str) -> Result<(), VolumeError> {
    let next = dir.join(NEXT);
    let _ = std::fs::remove_file(&next);
    symlink(name, &next).map_err(|e| VolumeError::io("link", &next, e))?;
    std::fs::rename(&next, dir.join(DATA)).map_err(|e| VolumeError::io("rename", &next, e))
}

/// Links the first part of every path, and removes links of files that are gone.
fn publish(dir: &Path, files: &Files) -> Result<(), VolumeError> {
    let wanted: BTreeSet<&str> = files.keys().filter_map(|p| p.split('/').next()).collect();
    for entry in std::fs::read_dir(dir).map_err(|e| VolumeError::io("read", dir, e))?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with("..") && !wanted.contains(name.as_ref()) {
            let path: PathBuf = entry.path();
            std::fs::remove_file(&path).map_err(|e| VolumeError::io("remove", &path, e))?;
        }
    }
    for name in wanted {
        let link = dir.join(name);
        if std::fs::symlink_metadata(&link).is_err() {
            symlink(Path::new(DATA).join(name), &link).map_err(|e| VolumeError::io("link", &link, e))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(of: &[(&str, &str)]) -> Files {
        let file = |v: &str| File { data: v.as_bytes().to_vec(), mode: 0o644, owner: None };
        of.iter().map(|(k, v)| ((*k).to_owned(), file(v))).collect()
    }

    fn visible(dir: &Path) -> Vec<String> {
        let names = std::fs::read_dir(dir).unwrap().flatten().filter_map(|e| e.file_name().into_string().ok());
        let mut names: Vec<_> = names.filter(|n| !n.starts_with("..")).collect();
        names.sort();
        names
    }

    #[test]
    fn replaces_the_whole_set() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        write(at, &files(&[("a", "1"), ("d/b", "2")]), None).unwrap();
        assert_eq!(std::fs::read_to_string(at.join("d/b")).unwrap(), "2");
        let first = std::fs::read_link(at.join(DATA)).unwrap();
        write(at, &files(&[("a", "1"), ("d/b", "2")]), None).unwrap();
        assert_eq!(std::fs::read_link(at.join(DATA)).unwrap(), first, "nothing to do");
        write(at, &files(&[("a", "9"), ("c", "3")]), None).unwrap();
        assert_eq!(visible(at), ["a", "c"]);
        assert_eq!(std::fs::read_to_string(at.join("a")).unwrap(), "9");
        assert!(!at.join(first).exists());
    }

    #[test]
    fn refuses_paths_that_leave() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["", "/etc/x", "a/../b", "..x", "../x"] {
            assert!(write(dir.path(), &files(&[(path, "")]), None).is_err(), "{path}");
        }
    }
}
