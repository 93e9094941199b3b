//! Puts the plugin and its configuration where the node's runtime looks for them. The runtime may look
//! at any time: a file is there as a whole or not at all.

use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Copies the configuration of a list of plugins.
pub(super) fn conf(from: &Path, to: &Path) -> Result<()> {
    let text = fs::read(from).map_err(|error| naming(from, &error))?;
    let list: serde_json::Value = serde_json::from_slice(&text).map_err(|error| naming(from, &error.into()))?;
    if !list.get("plugins").is_some_and(serde_json::Value::is_array) {
        return Err(naming(from, &Error::new(ErrorKind::InvalidData, "plugins is no list")));
    }
    put(to, &text, 0o644)
}

/// Copies the plugin, which may be in use.
pub(super) fn plugin(from: &Path, to: &Path) -> Result<()> {
    let program = fs::read(from).map_err(|error| naming(from, &error))?;
    put(to, &program, 0o755)
}

fn put(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    // Runtimes read every file with an ending that they know.
    let temporary = path.with_extension("new");
    let write = || {
        fs::write(&temporary, content)?;
        fs::set_permissions(&temporary, fs::Permissions::from_mode(mode))?;
        fs::rename(&temporary, path)
    };
    write().map_err(|error| naming(path, &error))
}

fn naming(path: &Path, error: &Error) -> Error {
    Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("cni-conf.json"), folder.path().join("10-flannel.conflist"));
        fs::write(&from, r#"{"plugins": []}"#).unwrap();
        fs::write(&to, "old").unwrap();
        conf(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), r#"{"plugins": []}"#);
        plugin(&from, &folder.path().join("flannel")).unwrap();
        assert_eq!(fs::metadata(folder.path().join("flannel")).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing temporary stays");
    }

    #[test]
    fn what_is_no_list_of_plugins_is_not_installed() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a"), folder.path().join("b"));
        for text in ["{", "{}", r#"{"plugins": {}}"#] {
            fs::write(&from, text).unwrap();
            assert!(conf(&from, &to).is_err(), "{text}");
        }
        assert!(!to.exists());
    }
}
