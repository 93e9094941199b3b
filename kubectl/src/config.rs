//! Kubeconfig files: reading, merging, and choosing cluster, user and namespace.
//!
//! Upstream: `client-go/tools/clientcmd`.

use crate::cli::Global;
use apimachinery::Value;
use apimachinery::codec::yaml;
use base64::Engine;
use std::path::{Path, PathBuf};

/// A kubeconfig that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that was named cannot be read.
    #[error("stat {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not YAML.
    #[error("error loading config file \"{path}\": {why}")]
    Syntax {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A context that does not exist.
    #[error("context \"{0}\" does not exist")]
    NoContext(String),
    /// Data that is no base64.
    #[error("{0} is not base64")]
    BadData(&'static str),
    /// An exec plug-in failed.
    #[error("getting credentials: exec: {0}")]
    Exec(String),
}

/// Who to talk to, as whom, where.
#[derive(Clone, Default)]
pub struct Connection {
    /// Base URL.
    pub server: String,
    /// CA certificates in PEM; the system's if none.
    pub authority: Option<Vec<u8>>,
    /// Do not verify the server.
    pub insecure: bool,
    /// Name to verify instead of the URL's host.
    pub server_name: Option<String>,
    /// Client certificate and key in PEM.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// `Authorization` header.
    pub authorization: Option<String>,
    /// `Impersonate-*` headers.
    pub impersonation: Vec<(&'static str, String)>,
    /// The namespace of the context, `default` if it names none.
    pub namespace: String,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("server", &self.server)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// Reads the kubeconfig that flags and environment name.
pub fn load(global: &Global) -> Result<Connection, ConfigError> {
    let mut configs = Vec::new();
    for (path, required) in paths(global) {
        match std::fs::read(&path) {
            Ok(text) => configs.push((parse(&path, &text)?, path)),
            Err(source) if required => return Err(ConfigError::Read { path: path.display().to_string(), source }),
            Err(_) => {}
        }
    }
    Merged { configs }.connection(global)
}

/// The files in order of precedence, and whether each must exist.
fn paths(global: &Global) -> Vec<(PathBuf, bool)> {
    if let Some(path) = &global.kubeconfig {
        return vec![(path.clone(), true)];
    }
    match std::env::var_os("KUBECONFIG").filter(|v| !v.is_empty()) {
        Some(list) => std::env::split_paths(&list).filter(|p| !p.as_os_str().is_empty()).map(|p| (p, false)).collect(),
        None => {
            let home = std::env::var_os("HOME").unwrap_or_default();
            vec![(Path::new(&home).join(".kube/config"), false)]
        }
    }
}

fn parse(path: &Path, text: &[u8]) -> Result<Value, ConfigError> {
    yaml::to_value(text).map_err(|e| ConfigError::Syntax { path: path.display().to_string(), why: e.to_string() })
}

/// Several files as one: the first that has an entry counts.
struct Merged {
    configs: Vec<(Value, PathBuf)>,
}

impl Merged {
    fn connection(&self, global: &Global) -> Result<Connection, ConfigError> {
        let current =
            || self.configs.iter().find_map(|(c, _)| c.get("current-context")?.as_str().filter(|s| !s.is_empty()));
        let context_name = global.context.as_deref().or_else(current).unwrap_or_default();
        let context = self.entry("contexts", "context", context_name);
        if context.is_none() && !context_name.is_empty() {
            return Err(ConfigError::NoContext(context_name.into()));
        }
        let context_text = |key: &str| context.and_then(|(c, _)| c.get(key)?.as_str()).unwrap_or_default();
        let cluster = self.entry("clusters", "cluster", global.cluster.as_deref().unwrap_or(context_text("cluster")));
        let user = self.entry("users", "user", global.user.as_deref().unwrap_or(context_text("user")));
        let mut connection = Connection {
            server: "http://localhost:8080".into(),
            namespace: global.namespace.clone().filter(|n| !n.is_empty()).unwrap_or_else(|| {
                match context_text("namespace") {
                    "" => "default".into(),
                    namespace => namespace.into(),
                }
            }),
            insecure: global.insecure_skip_tls_verify == "true",
            impersonation: impersonation(global),
            ..Connection::default()
        };
        if let Some((cluster, folder)) = cluster {
            apply_cluster(&mut connection, cluster, folder)?;
        }
        if let Some((user, folder)) = user {
            apply_user(&mut connection, user, folder)?;
        }
        if let Some(server) = &global.server {
            connection.server = server.clone();
        }
        if let Some(token) = &global.token {
            connection.authorization = Some(format!("Bearer {token}"));
        }
        Ok(connection)
    }

    /// The named entry of a list, with the folder that its relative paths start from.
    fn entry(&self, list: &str, what: &str, name: &str) -> Option<(&Value, &Path)> {
        self.configs.iter().find_map(|(config, path)| {
            let entry =
                config.get(list)?.as_array()?.iter().find(|e| e.get("name").and_then(Value::as_str) == Some(name))?;
            Some((entry.get(what)?, path.parent().unwrap_or(Path::new(""))))
        })
    }
}

fn apply_cluster(connection: &mut Connection, cluster: &Value, folder: &Path) -> Result<(), ConfigError> {
    if let Some(server) = text(cluster, "server") {
        connection.server = server.to_owned();
    }
    connection.authority = data_or_file(cluster, "certificate-authority", folder)?;
    connection.insecure |= cluster.get("insecure-skip-tls-verify").and_then(Value::as_bool).unwrap_or(false);
    connection.server_name = text(cluster, "tls-server-name").map(str::to_owned);
    Ok(())
}

fn apply_user(connection: &mut Connection, user: &Value, folder: &Path) -> Result<(), ConfigError> {
    let certificate = data_or_file(user, "client-certificate", folder)?;
    let key = data_or_file(user, "client-key", folder)?;
    connection.identity = certificate.zip(key);
    if let Some(token) = text(user, "token") {
        connection.authorization = Some(format!("Bearer {token}"));
    } else if let Some(path) = text(user, "tokenFile") {
        let token = read(&folder.join(path))?;
        connection.authorization = Some(format!("Bearer {}", String::from_utf8_lossy(&token).trim()));
    } else if let (Some(name), Some(password)) = (text(user, "username"), text(user, "password")) {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
        connection.authorization = Some(format!("Basic {pair}"));
    } else if let Some(exec) = user.get("exec") {
        exec_credentials(connection, exec)?;
    }
    Ok(())
}

/// Runs a credential plug-in (`client.authentication.k8s.io`).
fn exec_credentials(connection: &mut Connection, exec: &Value) -> Result<(), ConfigError> {
    let fail = |why: String| ConfigError::Exec(why);
    let program = text(exec, "command").ok_or_else(|| fail("no command".into()))?;
    let arguments = exec.get("args").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let mut command = std::process::Command::new(program);
    command.args(arguments).stderr(std::process::Stdio::inherit());
    for variable in exec.get("env").and_then(Value::as_array).into_iter().flatten() {
        if let (Some(name), Some(value)) = (text(variable, "name"), text(variable, "value")) {
            command.env(name, value);
        }
    }
    let info =
        serde_json::json!({"apiVersion": exec["apiVersion"], "kind": "ExecCredential", "spec": {"interactive": false}});
    let output =
        command.env("KUBERNETES_EXEC_INFO", info.to_string()).output().map_err(|e| fail(format!("{program}: {e}")))?;
    if !output.status.success() {
        return Err(fail(format!("executable {program} failed with {}", output.status)));
    }
    let credential: Value = serde_json::from_slice(&output.stdout).map_err(|e| fail(e.to_string()))?;
    let status = &credential["status"];
    connection.authorization = text(status, "token").map(|t| format!("Bearer {t}")).or(connection.authorization.take());
    if let (Some(certificate), Some(key)) = (text(status, "clientCertificateData"), text(status, "clientKeyData")) {
        connection.identity = Some((certificate.into(), key.into()));
    }
    Ok(())
}

fn impersonation(global: &Global) -> Vec<(&'static str, String)> {
    let user = global.impersonate.iter().map(|u| ("Impersonate-User", u.clone()));
    let groups = global.impersonate_groups.iter().map(|g| ("Impersonate-Group", g.clone()));
    let uid = global.impersonate_uid.iter().map(|u| ("Impersonate-Uid", u.clone()));
    user.chain(groups).chain(uid).collect()
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str).filter(|s| !s.is_empty())
}

fn data_or_file(value: &Value, key: &'static str, folder: &Path) -> Result<Option<Vec<u8>>, ConfigError> {
    if let Some(data) = text(value, &format!("{key}-data")) {
        let decoded = base64::engine::general_purpose::STANDARD.decode(data.trim());
        return decoded.map(Some).map_err(|_| ConfigError::BadData(key));
    }
    text(value, key).map(|path| read(&folder.join(path))).transpose()
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|source| ConfigError::Read { path: path.display().to_string(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn merged(configs: &[Value]) -> Merged {
        Merged { configs: configs.iter().map(|c| (c.clone(), PathBuf::from("/x/config"))).collect() }
    }

    #[test]
    fn the_first_file_that_has_an_entry_counts() {
        let one = json!({"current-context": "a", "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u", "namespace": "ns"}}]});
        let two = json!({"current-context": "b", "clusters": [{"name": "c", "cluster": {"server": "https://one"}}],
            "users": [{"name": "u", "user": {"token": "t"}}]});
        let connection = merged(&[one, two]).connection(&Global::default()).expect("a connection");
        assert_eq!((connection.server.as_str(), connection.namespace.as_str()), ("https://one", "ns"));
        assert_eq!(connection.authorization.as_deref(), Some("Bearer t"));
        assert!(!format!("{connection:?}").contains("Bearer"));
    }

    #[test]
    fn flags_override_the_file() {
        let file = json!({"current-context": "a", "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": "https://one"}}], "users": [{"name": "u", "user": {"token": "t"}}]});
        let global = Global {
            server: Some("https://two".into()),
            namespace: Some("other".into()),
            impersonate: Some("bob".into()),
            ..Global::default()
        };
        let connection = merged(&[file]).connection(&global).expect("a connection");
        assert_eq!((connection.server.as_str(), connection.namespace.as_str()), ("https://two", "other"));
        assert_eq!(connection.impersonation, [("Impersonate-User", "bob".to_owned())]);
    }

    #[test]
    fn an_unknown_context_is_an_error() {
        let global = Global { context: Some("x".into()), ..Global::default() };
        let error = merged(&[json!({})]).connection(&global).expect_err("no such context");
        assert_eq!(error.to_string(), "context \"x\" does not exist");
    }
}
