//! `AdmissionConfiguration`: what `--admission-control-config-file` says of each plugin.
//!
//! Upstream: `apiserver/pkg/admission/config.go`, `apiserver/pkg/apis/apiserver/v1`.

use apimachinery::Value;
use apimachinery::codec::yaml;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// What the file may say it is.
const VERSIONS: [&str; 2] = ["apiserver.config.k8s.io/v1", "apiserver.k8s.io/v1alpha1"];
/// Plugins that read the file itself if it is of no kind: it was theirs before there was one.
const OF_OLD: [&str; 2] = ["ImagePolicyWebhook", "PodNodeSelector"];

/// Configurations of plugins, by name.
#[derive(Clone, Debug, Default)]
pub struct Configuration(BTreeMap<String, Value>);

/// A configuration that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationError {
    /// A file that cannot be read.
    #[error("{path}: {why}")]
    File {
        /// Where it is.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A plugin that is named twice.
    #[error("plugin {0:?} is configured twice")]
    Twice(String),
}

#[derive(Debug, Deserialize)]
struct Wire {
    #[serde(default)]
    plugins: Vec<PluginWire>,
}

#[derive(Debug, Deserialize)]
struct PluginWire {
    name: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    configuration: Value,
}

impl Configuration {
    /// Reads the file, and those that it names, which are looked for beside it.
    ///
    /// # Errors
    /// A file that is not there, too large or of another kind, and plugins that are named twice.
    pub fn read(path: &Path) -> Result<Self, ConfigurationError> {
        let failed = |why: String| ConfigurationError::File { path: path.display().to_string(), why };
        let value = read(path)?;
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
        match (text("apiVersion"), text("kind")) {
            ("", "") => return Ok(Self(OF_OLD.iter().map(|name| ((*name).to_owned(), value.clone())).collect())),
            (version, "AdmissionConfiguration") if VERSIONS.contains(&version) => {}
            (version, kind) => return Err(failed(unregistered(kind, version))),
        }
        let wire = Wire::deserialize(&value).map_err(|error| failed(error.to_string()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut plugins = BTreeMap::new();
        for PluginWire { name, path, configuration } in wire.plugins {
            let configuration = if path.is_empty() { configuration } else { read(&folder.join(PathBuf::from(path)))? };
            if plugins.insert(name.clone(), configuration).is_some() {
                return Err(ConfigurationError::Twice(name));
            }
        }
        plugins.retain(|_, configuration| !configuration.is_null());
        Ok(Self(plugins))
    }

    /// What is said of a plugin.
    pub(crate) fn of(&self, plugin: &str) -> Option<&Value> {
        self.0.get(plugin)
    }
}

/// What is said of a configuration of another kind or version than there is.
pub(crate) fn unregistered(kind: &str, version: &str) -> String {
    format!("no kind {kind:?} is registered for version {version:?}")
}

fn read(path: &Path) -> Result<Value, ConfigurationError> {
    let failed = |why: String| ConfigurationError::File { path: path.display().to_string(), why };
    let length = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if length > MAX_FILE {
        return Err(failed(format!("{length} bytes are more than {MAX_FILE}")));
    }
    let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    yaml::to_value(&bytes).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_text(text: &str) -> Result<Configuration, String> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("other.yaml"), "a: 1").expect("written");
        std::fs::write(folder.path().join("admission.yaml"), text).expect("written");
        Configuration::read(&folder.path().join("admission.yaml")).map_err(|error| error.to_string())
    }

    #[test]
    fn plugins_have_files_or_not() {
        let text = "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n\
                    - {name: A, path: other.yaml}\n- {name: B, configuration: {b: 2}}\n- {name: C}\n";
        let read = read_text(text).expect("a configuration");
        assert_eq!((read.of("A"), read.of("B"), read.of("C")), (Some(&json!({"a": 1})), Some(&json!({"b": 2})), None));
        let old = read_text("podNodeSelectorPluginConfig: {ns: a=b}").expect("of old");
        assert!(old.of("PodNodeSelector").is_some() && old.of("PodSecurity").is_none());
    }

    #[test]
    fn other_files_are_refused() {
        for (text, want) in [
            ("apiVersion: v1\nkind: Pod", "no kind \"Pod\" is registered for version \"v1\""),
            (
                "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins: [{name: A, path: none}]",
                "No such file",
            ),
            (
                "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins: [{name: A}, {name: A}]",
                "configured twice",
            ),
            ("a: [", "yaml"),
        ] {
            let error = read_text(text).expect_err(want);
            assert!(error.contains(want), "{error}");
        }
    }
}
