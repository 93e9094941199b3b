//! Asking a program for credentials: a request on its standard input, an answer on its standard output.
//!
//! Upstream: `execPlugin` of `pkg/credentialprovider/plugin/plugin.go`, `kubelet/pkg/apis/credentialprovider`.

use super::config::Provider;
use component::GoDuration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

/// How long a program may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of an answer or a complaint that are read.
const LONGEST: u64 = 10 << 20;

/// What a program is asked.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    pub kind: &'static str,
    pub api_version: String,
    pub image: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service_account_token: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub service_account_annotations: BTreeMap<String, String>,
}

/// For how much an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Scope {
    Image,
    Registry,
    Global,
}

/// What it answers. Not `Debug`: it must not end up in a log.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Answer {
    kind: String,
    api_version: String,
    cache_key_type: String,
    /// `None` for what the configuration says.
    #[serde(default)]
    pub cache_duration: Option<GoDuration>,
    /// By the place that they are for.
    #[serde(default)]
    pub auth: Option<BTreeMap<String, Pair>>,
}

/// A user and a password.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    pub username: String,
    pub password: String,
}

/// Why there are no credentials.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ExecError {
    #[error("error execing credential provider plugin {name} for image {image}: {why}: {complaint}")]
    Run { name: String, image: String, why: String, complaint: String },
    #[error(
        "apiVersion from credential plugin response did not match expected apiVersion:{wanted}, actual apiVersion:{found}"
    )]
    Version { wanted: String, found: String },
    /// What it said may hold credentials.
    #[error("error decoding credential provider plugin response from stdout")]
    Decode,
    #[error("credential provider plugin did not return a valid cacheKeyType: {0}")]
    Scope(String),
}

impl Answer {
    /// For how much it holds.
    pub fn scope(&self) -> Result<Scope, ExecError> {
        match self.cache_key_type.as_str() {
            "Image" => Ok(Scope::Image),
            "Registry" => Ok(Scope::Registry),
            "Global" => Ok(Scope::Global),
            other => Err(ExecError::Scope(other.to_owned())),
        }
    }
}

/// A program and how it is run.
#[derive(Clone, Debug)]
pub struct Program {
    pub folder: PathBuf,
    pub provider: Provider,
}

impl Program {
    /// Runs it. Variables of the configuration come after those of the kubelet's own environment.
    pub async fn ask(&self, mut request: Request) -> Result<Answer, ExecError> {
        let wanted = &self.provider.api_version;
        (request.kind, request.api_version) = ("CredentialProviderRequest", wanted.clone());
        let image = request.image.clone();
        let failed = |(why, complaint): (String, String)| ExecError::Run {
            name: self.provider.name.clone(),
            image: image.clone(),
            why,
            complaint,
        };
        let input = serde_json::to_vec(&request).map_err(|error| failed((error.to_string(), String::new())))?;
        let answer = match tokio::time::timeout(PATIENCE, self.run(&input)).await {
            Ok(answer) => answer.map_err(failed)?,
            Err(_) => return Err(failed(("context deadline exceeded".to_owned(), String::new()))),
        };
        read(&answer, wanted)
    }

    async fn run(&self, input: &[u8]) -> Result<Vec<u8>, (String, String)> {
        let failed = |error: std::io::Error| (error.to_string(), String::new());
        let mut child = Command::new(self.folder.join(&self.provider.name))
            .args(&self.provider.args)
            .envs(self.provider.env.iter().map(|variable| (&variable.name, &variable.value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A program that does not want to know says why by itself.
                let _ = stdin.write_all(input).await;
            }
        };
        let ((), out, complaint, status) = tokio::join!(feed, drain(stdout), drain(stderr), child.wait());
        let status = status.map_err(failed)?;
        if status.success() {
            return Ok(out);
        }
        let why = status.code().map_or_else(|| status.to_string(), |code| format!("exit status {code}"));
        Err((why, String::from_utf8_lossy(&complaint).trim_end().to_owned()))
    }
}

async fn drain(pipe: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut text = Vec::new();
    if let Some(pipe) = pipe {
        // What was read until then has to do.
        let _ = pipe.take(LONGEST).read_to_end(&mut text).await;
    }
    text
}

fn read(text: &[u8], wanted: &str) -> Result<Answer, ExecError> {
    #[derive(Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    #[derive(Default)]
    struct Header {
        api_version: String,
    }
    let header: Header = serde_json::from_slice(text).map_err(|_| ExecError::Decode)?;
    if header.api_version != wanted {
        return Err(ExecError::Version { wanted: wanted.to_owned(), found: header.api_version });
    }
    let answer: Answer = serde_json::from_slice(text).map_err(|_| ExecError::Decode)?;
    debug_assert_eq!(answer.api_version, wanted, "the header is a part of it");
    if answer.kind == "CredentialProviderResponse" { Ok(answer) } else { Err(ExecError::Decode) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "credentialprovider.kubelet.k8s.io/v1";

    #[test]
    fn answers() {
        let text = |version: &str, kind: &str, scope: &str| {
            serde_json::json!({"apiVersion": version, "kind": kind, "cacheKeyType": scope,
                "cacheDuration": "5m", "auth": {"r.test": {"username": "u", "password": "p"}}})
            .to_string()
        };
        let kind = "CredentialProviderResponse";
        let good = read(text(V1, kind, "Registry").as_bytes(), V1).ok().unwrap();
        assert_eq!((good.scope().unwrap(), good.cache_duration), (Scope::Registry, Some(GoDuration::from_secs(300))));
        assert_eq!(good.auth.unwrap()["r.test"].username, "u");
        let odd = read(text(V1, kind, "World").as_bytes(), V1).ok().unwrap();
        assert!(matches!(odd.scope(), Err(ExecError::Scope(_))));
        let error = |text: &str| read(text.as_bytes(), V1).err().unwrap();
        assert!(matches!(error(&text("v0", kind, "Image")), ExecError::Version { .. }));
        assert!(matches!(error(&text(V1, "Other", "Image")), ExecError::Decode));
        assert!(matches!(error("secret words"), ExecError::Decode));
    }
}
