//! Runs another plugin with this one's environment.

use super::{LONGEST, find_plugin};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

/// Why the other plugin did not do its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum DelegateError {
    /// It is not there.
    #[error("failed to find plugin {name:?} in path {path:?}")]
    NotFound {
        /// The plugin.
        name: String,
        /// Where it was looked for.
        path: String,
    },
    /// It cannot be run.
    #[error("running plugin {name:?}: {source}")]
    Run {
        /// The plugin.
        name: String,
        /// Why.
        source: std::io::Error,
    },
    /// It says no.
    #[error("{message}")]
    Refused {
        /// The protocol's code.
        code: u64,
        /// Its words.
        message: String,
    },
}

/// Runs the plugin that `conf` names; what it printed.
pub(super) fn run(command: &str, conf: &Value) -> Result<Vec<u8>, DelegateError> {
    let name = conf["type"].as_str().unwrap_or_default().to_owned();
    let path = std::env::var("CNI_PATH").unwrap_or_default();
    let Some(plugin) = find_plugin(&name, &path) else { return Err(DelegateError::NotFound { name, path }) };
    let failed = |source| DelegateError::Run { name: name.clone(), source };
    let mut child = Command::new(plugin)
        .env("CNI_COMMAND", command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A plugin that ends early says why by itself; the broken pipe adds nothing.
        let _ = stdin.write_all(conf.to_string().as_bytes());
    }
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(LONGEST).read_to_end(&mut output).map_err(failed)?;
    }
    if child.wait().map_err(failed)?.success() {
        return Ok(output);
    }
    let error: Value = serde_json::from_slice(&output).unwrap_or_default();
    let text = |field: &str| error.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let message = match (text("msg"), text("details")) {
        (message, _) if message.is_empty() => format!("plugin {name:?} failed without saying why"),
        (message, details) if details.is_empty() => message,
        (message, details) => format!("{message}; {details}"),
    };
    Err(DelegateError::Refused { code: error.get("code").and_then(Value::as_u64).unwrap_or(999), message })
}
