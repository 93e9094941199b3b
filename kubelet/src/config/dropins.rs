//! `--config-dir`: files that change what the configuration file says.
//!
//! Upstream: `mergeKubeletConfigurations` of `cmd/kubelet/app/server.go`.

use super::{ConfigError, read};
use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};

/// Folders below each other; more are a loop.
const DEEPEST: usize = 32;

/// What the file says with every `*.conf` of the folder laid over it, as a JSON merge patch, in the order of their names.
pub(super) fn merged(mut base: Value, folder: &Path) -> Result<Value, ConfigError> {
    let walked = walk(folder, DEEPEST);
    let files = walked.map_err(|source| ConfigError::Folder { path: folder.display().to_string(), source })?;
    for file in files {
        if file.extension().is_some_and(|extension| extension == "conf") {
            merge(&mut base, read(&file)?);
        } else {
            tracing::info!(file = %file.display(), "a file of --config-dir that does not end with .conf is skipped");
        }
    }
    Ok(base)
}

fn walk(folder: &Path, deeper: usize) -> io::Result<Vec<PathBuf>> {
    let entries: io::Result<Vec<_>> = std::fs::read_dir(folder)?.collect();
    let mut entries = entries?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    let mut files = Vec::new();
    for entry in entries {
        // A link to a folder is a file here, as it is for upstream.
        match entry.file_type()?.is_dir() {
            true if deeper > 0 => files.extend(walk(&entry.path(), deeper - 1)?),
            true => return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many folders below each other")),
            false => files.push(entry.path()),
        }
    }
    Ok(files)
}

/// RFC 7386.
fn merge(base: &mut Value, patch: Value) {
    let Value::Object(fields) = patch else {
        *base = patch;
        return;
    };
    if !base.is_object() {
        *base = Value::Object(serde_json::Map::new());
    }
    let Some(known) = base.as_object_mut() else { return };
    for (name, value) in fields {
        if value.is_null() {
            known.remove(&name);
        } else {
            merge(known.entry(name).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn files_are_laid_over_each_other_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, fields: &str| {
            let text = format!("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n{fields}\n");
            std::fs::write(folder.path().join(name), text).unwrap();
        };
        std::fs::create_dir(folder.path().join("15-more")).unwrap();
        write("20.conf", "maxPods: 20\nclusterDNS: [10.0.0.2]");
        write("10.conf", "maxPods: 10\nport: 1\nevictionHard: {memory.available: 1Gi}");
        write("15-more/99.conf", "port: 2");
        write("99.yaml", "maxPods: 99");
        let base = json!({"evictionHard": {"pid.available": "1%"}, "clusterDNS": ["10.0.0.1"], "address": "::"});
        let want = json!({
            "evictionHard": {"pid.available": "1%", "memory.available": "1Gi"},
            "clusterDNS": ["10.0.0.2"], "address": "::", "maxPods": 20, "port": 2,
        });
        assert_eq!(merged(base.clone(), folder.path()).unwrap(), want);
        write("30.conf", "nope: 1");
        assert!(merged(base.clone(), folder.path()).is_err(), "an unknown field");
        assert!(merged(base, &folder.path().join("gone")).is_err());
    }

    #[test]
    fn null_takes_away() {
        let mut base = json!({"a": {"b": 1, "c": 2}, "d": 3});
        merge(&mut base, json!({"a": {"b": null}, "d": null, "e": {"f": null, "g": 1}}));
        assert_eq!(base, json!({"a": {"c": 2}, "e": {"g": 1}}));
    }
}
