//! The part of a kubeconfig that webhooks need: where the server is, whom to trust, and how this
//! server proves who it is.
//!
//! Upstream: `client-go/tools/clientcmd`.

use crate::{Config, Identity, Target};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderValue;
use serde_json::Value;
use std::path::Path;

/// A kubeconfig that leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// A file cannot be read.
    #[error("{0}")]
    File(#[from] pki::PkiError),
    /// Something in it is missing or makes no sense.
    #[error("{file}: {why}")]
    Value {
        /// The kubeconfig.
        file: String,
        /// What.
        why: String,
    },
}

/// What a kubeconfig says.
pub(super) struct Access {
    pub(super) config: Config,
    pub(super) identity: Option<Identity>,
    pub(super) authorization: Option<HeaderValue>,
}

/// The kubeconfig as a tree.
pub(super) fn parse(file: &Path) -> Result<Value, KubeconfigError> {
    let text = pki::pem::read(file)?;
    apimachinery::codec::yaml::to_value(&text)
        .map_err(|error| KubeconfigError::Value { file: file.display().to_string(), why: error.to_string() })
}

pub(super) fn read(file: &Path) -> Result<Access, KubeconfigError> {
    let wrong = |why: String| KubeconfigError::Value { file: file.display().to_string(), why };
    let value = parse(file)?;
    let context = match value.get("current-context").and_then(Value::as_str).filter(|c| !c.is_empty()) {
        Some(name) => {
            entry(&value, "contexts", name, "context").ok_or_else(|| wrong(format!("no context {name:?}")))?
        }
        None => return Err(wrong("no current-context is set".into())),
    };
    let name = text_of(context, "cluster");
    let cluster = entry(&value, "clusters", name, "cluster").ok_or_else(|| wrong(format!("no cluster {name:?}")))?;
    if cluster.get("insecure-skip-tls-verify").and_then(Value::as_bool) == Some(true) {
        return Err(wrong("insecure-skip-tls-verify is known but not built".into()));
    }
    let server = text_of(cluster, "server");
    let url = url::Url::parse(server).map_err(|error| wrong(format!("server {server:?}: {error}")))?;
    if url.scheme() != "https" {
        return Err(wrong(format!("server {server:?} must use https")));
    }
    let authorities = material(cluster, "certificate-authority", file)?.unwrap_or_default();
    let user = entry(&value, "users", text_of(context, "user"), "user").unwrap_or(&Value::Null);
    Ok(Access {
        config: Config { target: Target::Url(url), authorities },
        identity: identity(user, file)?,
        authorization: authorization(user, file)?,
    })
}

pub(super) fn identity(user: &Value, file: &Path) -> Result<Option<Identity>, KubeconfigError> {
    let (certificate, key) = (material(user, "client-certificate", file)?, material(user, "client-key", file)?);
    let place = file.display().to_string();
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(Identity {
            certificates: pki::pem::parse_certificates(&certificate, &place)?,
            key: pki::pem::parse_private_key(&key, &place)?,
        })),
        (None, None) => Ok(None),
        _ => {
            Err(KubeconfigError::Value { file: place, why: "client-certificate and client-key belong together".into() })
        }
    }
}

/// A token or a password, as a header has it; logs do not show it.
pub(super) fn authorization(user: &Value, file: &Path) -> Result<Option<HeaderValue>, KubeconfigError> {
    let password = || {
        let (name, password) = (text_of(user, "username"), text_of(user, "password"));
        let is_given = !name.is_empty() || !password.is_empty();
        is_given.then(|| format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))))
    };
    let Some(text) = token(user, file)?.map(|token| format!("Bearer {token}")).or_else(password) else {
        return Ok(None);
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| KubeconfigError::Value {
        file: file.display().to_string(),
        why: "a token or password that no header can hold".into(),
    })?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn token(user: &Value, file: &Path) -> Result<Option<String>, KubeconfigError> {
    let given = text_of(user, "token");
    if !given.is_empty() {
        return Ok(Some(given.to_owned()));
    }
    match text_of(user, "tokenFile") {
        "" => Ok(None),
        path => Ok(Some(String::from_utf8_lossy(&pki::pem::read(&beside(file, path))?).trim().to_owned())),
    }
}

/// PEM from `NAME-data`, or from the file that `NAME` says.
fn material(value: &Value, name: &str, file: &Path) -> Result<Option<Vec<u8>>, KubeconfigError> {
    let data = text_of(value, &format!("{name}-data"));
    if !data.is_empty() {
        let wrong =
            |_| KubeconfigError::Value { file: file.display().to_string(), why: format!("{name}-data is no base64") };
        return STANDARD.decode(data).map(Some).map_err(wrong);
    }
    match text_of(value, name) {
        "" => Ok(None),
        path => Ok(Some(pki::pem::read(&beside(file, path))?)),
    }
}

/// Relative paths start where the kubeconfig is.
fn beside(file: &Path, path: &str) -> std::path::PathBuf {
    file.parent().unwrap_or(Path::new("")).join(path)
}

pub(super) fn entry<'a>(value: &'a Value, list: &str, name: &str, member: &str) -> Option<&'a Value> {
    let mut entries = value.get(list)?.as_array()?.iter();
    entries.find(|entry| text_of(entry, "name") == name)?.get(member)
}

fn text_of<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(cluster: &str, user: &str) -> Result<Access, KubeconfigError> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("kubeconfig");
        std::fs::write(folder.path().join("ca.crt"), "PEM").expect("a file");
        std::fs::write(folder.path().join("token"), "secret\n").expect("a file");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\nclusters: [{{name: k, cluster: {{{cluster}}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
        );
        std::fs::write(&file, text).expect("a file");
        read(&file)
    }

    #[test]
    fn servers_and_credentials_are_found() {
        let access =
            parse("server: 'https://a/authorize', certificate-authority: ca.crt", "tokenFile: token").expect("access");
        assert_eq!((access.config.authority().as_str(), access.config.authorities.as_slice()), ("a", &b"PEM"[..]));
        assert_eq!(access.authorization.expect("a header"), "Bearer secret");
        assert!(access.identity.is_none());
    }

    #[test]
    fn what_leads_nowhere_is_named() {
        for (cluster, user, want) in [
            ("server: 'http://a'", "", "must use https"),
            ("server: 'https://a', insecure-skip-tls-verify: true", "", "insecure-skip-tls-verify"),
            ("server: 'https://a', certificate-authority-data: '%'", "", "is no base64"),
            ("server: 'https://a'", "client-key-data: AAAA", "belong together"),
            ("server: 'https://a', certificate-authority: missing", "", "missing"),
        ] {
            let error = parse(cluster, user).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(error.contains(want), "{error}");
        }
    }
}
