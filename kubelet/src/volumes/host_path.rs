//! `hostPath`: a path of the node, checked or made as its type asks.

use super::VolumeError;
use k8s_openapi::api::core::v1::HostPathVolumeSource;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The path, after its check.
pub fn ensure(source: &HostPathVolumeSource) -> Result<PathBuf, VolumeError> {
    let path = Path::new(&source.path);
    if path.components().any(|c| c == std::path::Component::ParentDir) {
        return Err(VolumeError::BadPath(source.path.clone()));
    }
    match source.type_.as_deref().unwrap_or_default() {
        "DirectoryOrCreate" if !path.exists() => {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o755).create(path);
            made.map_err(|e| VolumeError::io("create", path, e))?;
        }
        "FileOrCreate" if !path.exists() => {
            let made = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o644).open(path);
            made.map_err(|e| VolumeError::io("create", path, e))?;
        }
        _ => {}
    }
    check(path, source)?;
    Ok(path.to_owned())
}

fn check(path: &Path, source: &HostPathVolumeSource) -> Result<(), VolumeError> {
    let kind = std::fs::metadata(path).map(|m| m.file_type());
    let is = |test: fn(&std::fs::FileType) -> bool| kind.as_ref().is_ok_and(test);
    let (ok, wanted) = match source.type_.as_deref().unwrap_or_default() {
        "Directory" | "DirectoryOrCreate" => (is(std::fs::FileType::is_dir), "a directory"),
        "File" | "FileOrCreate" => (is(std::fs::FileType::is_file), "a file"),
        "Socket" => (is(FileTypeExt::is_socket), "a socket file"),
        "CharDevice" => (is(FileTypeExt::is_char_device), "a character device"),
        "BlockDevice" => (is(FileTypeExt::is_block_device), "a block device"),
        _ => (true, ""),
    };
    if ok { Ok(()) } else { Err(VolumeError::HostPathType { path: source.path.clone(), wanted }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str, kind: &str| {
            let path = dir.path().join(name).to_str().unwrap().to_owned();
            ensure(&HostPathVolumeSource { path, type_: Some(kind.into()) }).is_ok()
        };
        assert!(at("absent", ""));
        assert!(!at("absent", "Directory"));
        assert!(!at("absent", "File"));
        assert!(at("new", "DirectoryOrCreate") && at("new", "Directory") && !at("new", "File"));
        assert!(at("file", "FileOrCreate") && at("file", "File") && !at("file", "Socket"));
        assert!(!at("../x", ""));
    }
}
