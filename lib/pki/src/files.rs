//! Writing keys and certificates: whole or not at all, private ones with mode 0600.

use crate::PkiError;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Writes a file that only its owner reads: keys, kubeconfigs.
pub fn write_private(path: &Path, contents: &[u8]) -> Result<(), PkiError> {
    write(path, contents, 0o600)
}

/// Writes a file that everybody may read: certificates, public keys.
pub fn write_public(path: &Path, contents: &[u8]) -> Result<(), PkiError> {
    write(path, contents, 0o644)
}

/// By way of a new file beside it, so that a reader never sees half of it and an old file's mode
/// does not survive.
fn write(path: &Path, contents: &[u8], mode: u32) -> Result<(), PkiError> {
    let fail = |source| PkiError::File { path: path.display().to_string(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(fail)?;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{:08x}", rand::random::<u32>()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary).map_err(fail)?;
    let written = file.write_all(contents).and_then(|()| file.sync_all());
    let moved = written.and_then(|()| std::fs::rename(&temporary, path));
    moved.inspect_err(|_| drop(std::fs::remove_file(&temporary))).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn an_old_files_mode_does_not_survive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/key");
        write_public(&path, b"a").unwrap();
        write_private(&path, b"b").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"b");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
