//! Configuration files of a kind: `KubeSchedulerConfiguration` and the like, YAML or JSON.
//!
//! A field nobody knows is an error that names its path and the file; a field that upstream knows
//! and we have not built is taken out and named.

mod locate;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::Path;

/// No configuration file is larger; a mistaken path must not fill the memory.
const FILE_AT_MOST: u64 = 3 << 20;

/// A kind of configuration file.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Such as `kubescheduler.config.k8s.io/v1`.
    pub api_version: &'static str,
    /// Such as `KubeSchedulerConfiguration`.
    pub kind: &'static str,
    /// Paths of fields that upstream knows and we have not built, such as `clientConnection.qps`;
    /// each also stands for what is below it. `*` stands for one list index or map key.
    pub unbuilt: &'static [&'static str],
}

/// A configuration file that a component cannot start with.
#[derive(Debug, thiserror::Error)]
pub enum KindError {
    /// It cannot be read.
    #[error("{file}: {source}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is no YAML or JSON.
    #[error("{file}: {why}")]
    Syntax {
        /// The file.
        file: String,
        /// Where and what.
        why: String,
    },
    /// It is of another kind.
    #[error("{file}: no kind {found:?} is registered for this file; it must be {wanted:?}")]
    OtherKind {
        /// The file.
        file: String,
        /// `apiVersion, Kind=kind` of the file.
        found: String,
        /// `apiVersion, Kind=kind` that it must be.
        wanted: String,
    },
    /// A field is unknown or has the wrong type.
    #[error("{file}: {path}: {why}")]
    Field {
        /// The file.
        file: String,
        /// The field.
        path: String,
        /// What is wrong.
        why: String,
    },
}

/// A file that was read.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    /// Its contents, typed; absent fields have the type's defaults.
    pub config: T,
    /// Its contents as they are in the file, for [`crate::layers`].
    pub value: Value,
    /// The unbuilt fields it sets.
    pub unbuilt: Vec<String>,
}

/// Reads a file into `T`, which must refuse unknown fields (`#[serde(deny_unknown_fields)]`) and
/// must not itself have `apiVersion` and `kind`.
pub fn load<T: DeserializeOwned>(file: &Path, kind: &Kind) -> Result<Loaded<T>, KindError> {
    let name = file.display().to_string();
    let text = read(file).map_err(|source| KindError::Read { file: name.clone(), source })?;
    parse(&text, &name, kind)
}

/// Reads a file's text; `file` names it in errors.
pub fn parse<T: DeserializeOwned>(text: &str, file: &str, kind: &Kind) -> Result<Loaded<T>, KindError> {
    let syntax = |why: String| KindError::Syntax { file: file.to_owned(), why: one_line(&why) };
    let mut value: Value = serde_saphyr::from_str(text).map_err(|error| syntax(error.to_string()))?;
    let Value::Object(fields) = &mut value else { return Err(syntax("is no object".to_owned())) };
    let mut take = |field: &str| fields.remove(field).and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
    let (api_version, found) = (take("apiVersion"), take("kind"));
    if (api_version.as_str(), found.as_str()) != (kind.api_version, kind.kind) {
        return Err(KindError::OtherKind {
            file: file.to_owned(),
            found: format!("{api_version}, Kind={found}"),
            wanted: format!("{}, Kind={}", kind.api_version, kind.kind),
        });
    }
    let unbuilt = locate::take_out(&mut value, kind.unbuilt);
    match T::deserialize(&value) {
        Ok(config) => Ok(Loaded { config, value, unbuilt }),
        Err(error) => {
            let path = locate::culprit::<T>(&value, &error.to_string());
            let why = one_line(&error.to_string());
            Err(KindError::Field { file: file.to_owned(), path, why })
        }
    }
}

/// A configuration as `/configz` shows it: with its `apiVersion` and `kind`.
pub fn show<T: Serialize>(config: &T, kind: &Kind) -> Value {
    let mut value = serde_json::to_value(config).unwrap_or_default();
    if let Value::Object(fields) = &mut value {
        fields.insert("apiVersion".to_owned(), kind.api_version.into());
        fields.insert("kind".to_owned(), kind.kind.into());
    }
    value
}

fn read(file: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(file)?.take(FILE_AT_MOST).read_to_string(&mut text)?;
    Ok(text)
}

/// The first line of a parser's message; the rest is a picture of the place.
fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
#[path = "kinds/tests.rs"]
mod tests;
