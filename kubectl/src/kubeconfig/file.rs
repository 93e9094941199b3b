//! One kubeconfig file: read, locked, written as a whole.
//!
//! Upstream: `client-go/tools/clientcmd/loader.go`.

use super::{EditError, Kubeconfig, LISTS, fields};
use crate::config;
use apimachinery::{Map, Value};
use serde_json::json;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// `FILE.lock`, which is there while somebody changes the file.
#[derive(Debug)]
pub(super) struct Lock(PathBuf);

impl Lock {
    /// Makes it; an error if it is there already.
    pub(super) fn take(file: &Path) -> Result<Self, EditError> {
        make_folder(file)?;
        let path = suffixed(file, ".lock");
        let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        match opened {
            Ok(_) => Ok(Self(path)),
            Err(why) => Err(EditError::File { path: path.display().to_string(), why }),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A lock that somebody else removed is as good as released.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn make_folder(file: &Path) -> Result<(), EditError> {
    let Some(folder) = file.parent().filter(|f| !f.as_os_str().is_empty() && !f.exists()) else { return Ok(()) };
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o755).create(folder);
    made.map_err(|why| EditError::File { path: folder.display().to_string(), why })
}

/// What a file holds; nothing if it is not there.
pub(super) fn read(path: &Path) -> Result<Option<Kubeconfig>, EditError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::IsADirectory => {
            return Err(config::ConfigError::is_folder(path).into());
        }
        Err(why) => return Err(EditError::File { path: path.display().to_string(), why }),
    };
    Ok(Some(from_value(&config::parse(path, &text)?, path)))
}

fn from_value(value: &Value, path: &Path) -> Kubeconfig {
    let mut config = Kubeconfig::default();
    for list in LISTS {
        for entry in value.get(list).and_then(Value::as_array).into_iter().flatten() {
            if !entry.is_object() && !entry.is_null() {
                continue;
            }
            // One without a name has an empty one, as Go reads it.
            let name = entry.get("name").and_then(Value::as_str).unwrap_or_default();
            let empty = Map::new();
            let content = entry.get(fields::holder(list)).and_then(Value::as_object).unwrap_or(&empty);
            let shaped = fields::shaped(fields::of_list(list), content);
            // Of entries of one name the first counts.
            if config.entry(list, name).is_none() {
                config.list_mut(list).insert(name.to_owned(), Value::Object(shaped));
                config.origins.insert((list.to_owned(), name.to_owned()), path.to_owned());
            }
        }
    }
    let empty = Map::new();
    let rest = fields::shaped(fields::CONFIG, value.as_object().unwrap_or(&empty));
    config.tree.extend(rest.into_iter().filter(|(key, _)| !LISTS.contains(&key.as_str())));
    config
}

/// A kubeconfig as files have it.
pub(super) fn to_value(config: &Kubeconfig) -> Value {
    let mut value = json!({"kind": "Config", "apiVersion": "v1"});
    for (key, member) in fields::shaped(fields::CONFIG, &config.tree) {
        value[&key] = member;
    }
    for list in LISTS {
        let entries = config.list(list).into_iter().flatten().map(|(name, entry)| {
            let empty = Map::new();
            let shaped = fields::shaped(fields::of_list(list), entry.as_object().unwrap_or(&empty));
            json!({"name": name, fields::holder(list): shaped})
        });
        let entries: Vec<Value> = entries.collect();
        value[list] = if entries.is_empty() { Value::Null } else { entries.into() };
    }
    value
}

/// Changes a file, or makes it, readable by its owner only.
pub(super) fn change(path: &Path, change: impl FnOnce(&mut Kubeconfig)) -> Result<(), EditError> {
    let mut config = read(path)?.unwrap_or_default();
    change(&mut config);
    make_folder(path)?;
    let text = crate::print::yaml(&to_value(&config));
    write(path, &text).map_err(|why| EditError::File { path: path.display().to_string(), why })
}

/// Replaces a file as a whole, behind a symbolic link too; who may read it stays.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mode = std::fs::metadata(&target).map_or(0o600, |m| m.permissions().mode() & 0o777);
    let part = suffixed(&target, &format!(".{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let written = written.and_then(|()| file.set_permissions(std::fs::Permissions::from_mode(mode)));
    let written = written.and_then(|()| std::fs::rename(&part, &target));
    if written.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    written
}
