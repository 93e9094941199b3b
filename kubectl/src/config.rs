//! Kubeconfig files: reading, merging, and choosing cluster, user and namespace.
//! `credentials` says who we are.
//!
//! Upstream: `client-go/tools/clientcmd`.

mod answer;
mod chosen;
mod credentials;
mod oidc;
mod prompt;
mod renewal;
mod shape;
mod twice;

pub use renewal::{Credentials, Renewal};

use crate::cli::Global;
use crate::http::Unanswered;
use apimachinery::Value;
use apimachinery::codec::{base64, yaml};
use chosen::{Chosen, Entry};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A kubeconfig that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that was named cannot be read.
    #[error("stat {path}: {}", crate::http::io_words(.why))]
    Read {
        /// The file.
        path: String,
        /// Why.
        why: std::io::Error,
    },
    /// Not YAML.
    #[error("error loading config file \"{path}\": {why}")]
    Syntax {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A context, a cluster or a user of a flag that does not exist.
    #[error("{entry} {name:?} does not exist")]
    Missing {
        /// What there is none of.
        entry: &'static str,
        /// Its name.
        name: String,
    },
    /// A timeout that is none.
    #[error(
        "Invalid timeout value. Timeout must be a single integer in seconds, or an integer followed by a corresponding time unit (e.g. 1s | 2m | 3h)"
    )]
    Timeout,
    /// A way to log in that is not there.
    #[error("{0}")]
    Unsupported(String),
    /// Data that is no base64.
    #[error("{0} is not base64")]
    BadData(&'static str),
    /// Nobody can be logged in for the requests.
    #[error("{}", .0.told())]
    Login(Unanswered),
    /// Nobody said who they are.
    #[error("{0}")]
    NotAnswered(String),
    /// A file that an entry names cannot be read.
    #[error("{} {path}: {}", reading(.why), crate::http::io_words(.why))]
    Open {
        /// The file.
        path: String,
        /// Why.
        why: std::io::Error,
    },
    /// An exec plug-in cannot have standard input.
    #[error("Unable to connect to the server: getting credentials: exec plugin cannot support interactive mode: {0}")]
    Interactive(String),
    /// Entries that make no sense.
    #[error("{}", listed(.complaints, *.heading))]
    Invalid {
        /// What is wrong with them.
        complaints: Vec<String>,
        /// Whether a single complaint is under a heading too.
        heading: bool,
    },
    /// An exec plug-in failed.
    #[error("Unable to connect to the server: getting credentials: {0}")]
    Exec(String),
}

impl ConfigError {
    /// What it says without what it leads to.
    pub fn without_context(&self) -> String {
        let told = self.to_string();
        told.strip_prefix("Unable to connect to the server: getting credentials: ").unwrap_or(&told).to_owned()
    }
}

/// One complaint as it is, several below each other.
fn listed(complaints: &[String], heading: bool) -> String {
    match complaints {
        [one] if heading || one.starts_with(NO_CONTEXT) => format!("{HEADING}{one}"),
        [one] => one.clone(),
        several => {
            let lines: String = several.iter().map(|complaint| format!("\n* {complaint}")).collect();
            format!("{HEADING}{lines}")
        }
    }
}

const HEADING: &str = "Error in configuration: ";
const NO_CONTEXT: &str = "context was not found for specified context: ";

/// What Go was about to do with a file when it failed.
fn reading(why: &std::io::Error) -> &'static str {
    if why.kind() == std::io::ErrorKind::IsADirectory { "read" } else { "open" }
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
    /// The client certificate is of two files, which are not looked at before a server asks for it.
    pub identity_of_files: bool,
    /// `Authorization` header.
    pub authorization: Option<String>,
    /// When what tells who we are is over.
    pub expires: Option<SystemTime>,
    /// Who is asked again then.
    pub renewal: Option<Arc<Renewal>>,
    /// A login that must be renewed before the first request.
    pub login: Option<oidc::Login>,
    /// `Impersonate-*` headers.
    pub impersonation: Vec<(String, String)>,
    /// `http://`, `https://` or `socks5://` of a proxy; that of the environment if none.
    pub proxy: Option<String>,
    /// How long one request may take.
    pub timeout: Option<Duration>,
    /// Compressed answers are fine.
    pub compression: bool,
    /// `-v`.
    pub verbosity: u8,
    /// A warning of the server is an error.
    pub warnings_as_errors: bool,
    /// Folder of cached discovery.
    pub cache: Option<PathBuf>,
    /// The namespace of the context, `default` if it names none.
    pub namespace: String,
}

impl Connection {
    /// Whether the server is spoken to with TLS; only then it is told who we are.
    pub fn is_secure(&self) -> bool {
        self.server.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("server", &self.server)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// Where a pod finds its token, CA and namespace.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Whether a person may be asked who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// Where nothing else tells.
    IfUnknown,
    /// A shell waits for candidates.
    Never,
}

/// What a command wants of a kubeconfig first, which decides which of several complaints is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// The server.
    Server,
    /// The namespace, unless a flag names one, and the server then.
    Namespace,
    /// The same, for objects that are looked for.
    Objects,
}

/// The connection that flags, environment and files name, ready for requests.
pub async fn connect(global: &Global, wants: Wants, asking: Asking) -> Result<Connection, ConfigError> {
    let mut connection = load(global, wants)?;
    if asking == Asking::IfUnknown {
        prompt::ask_if_unknown(&mut connection)?;
    }
    oidc::log_in(&mut connection, global).await?;
    Ok(connection)
}

/// What a command has that asks no server: the namespace that a flag names.
pub fn nowhere(global: &Global) -> Connection {
    let namespace = global.namespace.clone().unwrap_or_default();
    Connection { server: default_server(), namespace, verbosity: global.verbosity, ..Connection::default() }
}

/// The connection that flags, environment and files name.
fn load(global: &Global, wants: Wants) -> Result<Connection, ConfigError> {
    let mut merged = Merged::read(global)?;
    if merged.configs.is_empty() && global.kubeconfig.is_none() {
        merged.configs.extend(in_cluster().map(|config| (config, PathBuf::from(SERVICE_ACCOUNT).join("kubeconfig"))));
    }
    merged.connection(global, wants)
}

impl ConfigError {
    /// What was named is no file.
    pub(crate) fn is_folder(path: &Path) -> Self {
        let path = path.display().to_string();
        Self::Syntax { why: format!("read {path}: is a directory"), path }
    }
}

/// The files in order of precedence, and whether each must exist.
pub fn paths(global: &Global) -> Vec<(PathBuf, bool)> {
    if let Some(path) = &global.kubeconfig {
        return vec![(path.clone(), true)];
    }
    match std::env::var_os("KUBECONFIG").filter(|v| !v.is_empty()) {
        Some(list) => std::env::split_paths(&list).filter(|p| !p.as_os_str().is_empty()).map(|p| (p, false)).collect(),
        None => vec![(home().join(".kube/config"), false)],
    }
}

/// The user's folder.
pub fn home() -> PathBuf {
    std::env::var_os("HOME").unwrap_or_default().into()
}

/// Reads one file.
pub fn parse(path: &Path, text: &[u8]) -> Result<Value, ConfigError> {
    let wrong = |why: String| ConfigError::Syntax { path: path.display().to_string(), why };
    let value = yaml::to_value(text).map_err(|e| wrong(e.to_string()))?;
    shape::check(&value).map_err(wrong)?;
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    match (text("apiVersion"), text("kind")) {
        ("" | "v1", "" | "Config") => twice::check(&value).map_err(wrong).map(|()| value),
        (version, kind) => {
            let version = if version.is_empty() { "v1" } else { version };
            let kind = if kind.is_empty() { "Config" } else { kind };
            Err(wrong(format!("no kind {kind:?} is registered for version {version:?} in scheme \"{SCHEME}\"")))
        }
    }
}

/// Where upstream knows the versions of kubeconfigs.
const SCHEME: &str = "k8s.io/client-go/tools/clientcmd/api/latest/latest.go:50";

/// A kubeconfig for what a pod finds on its disk.
fn in_cluster() -> Option<Value> {
    let host = std::env::var("KUBERNETES_SERVICE_HOST").ok()?;
    let port = std::env::var("KUBERNETES_SERVICE_PORT").ok()?;
    let folder = Path::new(SERVICE_ACCOUNT);
    let namespace = std::fs::read_to_string(folder.join("namespace")).ok()?;
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    Some(serde_json::json!({
        "current-context": "in-cluster",
        "contexts": [{"name": "in-cluster", "context": {"cluster": "c", "user": "u", "namespace": namespace.trim()}}],
        "clusters": [{"name": "c", "cluster": {"server": format!("https://{host}:{port}"), "certificate-authority": folder.join("ca.crt")}}],
        "users": [{"name": "u", "user": {"tokenFile": folder.join("token")}}],
    }))
}

/// Several files as one: the first that has an entry counts.
pub struct Merged {
    /// The files that are there.
    pub configs: Vec<(Value, PathBuf)>,
}

impl Merged {
    /// Reads the files that flags and environment name.
    pub fn read(global: &Global) -> Result<Self, ConfigError> {
        let mut configs = Vec::new();
        for (path, required) in paths(global) {
            match std::fs::read(&path) {
                Ok(text) => configs.push((parse(&path, &text)?, path)),
                Err(why) if why.kind() == std::io::ErrorKind::IsADirectory => {
                    return Err(ConfigError::is_folder(&path));
                }
                Err(why) if required => return Err(ConfigError::Read { path: path.display().to_string(), why }),
                Err(_) => {}
            }
        }
        Ok(Self { configs })
    }

    /// The name of the current context.
    pub fn current_context(&self) -> &str {
        let named = |(c, _): &'_ (Value, PathBuf)| {
            c.get("current-context").and_then(Value::as_str).is_some_and(|s| !s.is_empty())
        };
        let first = self.configs.iter().find(|c| named(c));
        first.and_then(|(c, _)| c.get("current-context")?.as_str()).unwrap_or_default()
    }

    /// All entries of a list, the first of each name.
    pub fn entries(&self, list: &str) -> Vec<(&Value, &Path)> {
        let mut found: Vec<(&Value, &Path)> = Vec::new();
        for (config, path) in &self.configs {
            for entry in config.get(list).and_then(Value::as_array).into_iter().flatten() {
                if !found.iter().any(|(e, _)| e.get("name") == entry.get("name")) {
                    found.push((entry, path.parent().unwrap_or(Path::new(""))));
                }
            }
        }
        found
    }

    fn connection(&self, global: &Global, wants: Wants) -> Result<Connection, ConfigError> {
        let chosen = Chosen::of(self, global);
        check(&chosen, global, wants)?;
        let flag = global.namespace.as_deref().filter(|namespace| !namespace.is_empty());
        let namespace = flag.unwrap_or(&chosen.namespace);
        let mut connection = Connection {
            server: chosen.cluster.text("server").map_or_else(default_server, str::to_owned),
            namespace: if namespace.is_empty() { "default".into() } else { namespace.into() },
            timeout: timeout(&global.request_timeout)?,
            verbosity: global.verbosity,
            warnings_as_errors: global.warnings_as_errors,
            cache: Some(global.cache_dir.clone().unwrap_or_else(|| home().join(".kube/cache"))),
            ..Connection::default()
        };
        let is_secure = connection.is_secure();
        apply_cluster(&mut connection, &chosen.cluster, is_secure)?;
        connection.compression &= !global.disable_compression;
        // Whoever listens on the way must not learn who we are.
        if connection.is_secure() {
            credentials::apply(&mut connection, &chosen, global)?;
        }
        Ok(connection)
    }

    /// The named entry of a list, with the folder that its relative paths start from.
    pub fn entry(&self, list: &str, key: &str, name: &str) -> Option<(&Value, &Path)> {
        let named = |e: &&Value| e.get("name").and_then(Value::as_str) == Some(name);
        self.configs.iter().find_map(|(config, path)| {
            let entry = config.get(list)?.as_array()?.iter().find(named)?;
            Some((entry.get(key)?, path.parent().unwrap_or(Path::new(""))))
        })
    }
}

/// Whether a connection can be made of what was chosen, with the complaint that upstream comes upon first.
fn check(chosen: &Chosen, global: &Global, wants: Wants) -> Result<(), ConfigError> {
    let namespace_given = global.namespace.as_deref().is_some_and(|namespace| !namespace.is_empty());
    let usable = || {
        let mut complaints: Vec<String> =
            chosen.missing_context().map(|context| format!("{NO_CONTEXT}{context}")).into_iter().collect();
        complaints.extend(chosen.complaints());
        let heading = wants == Wants::Objects && namespace_given;
        if complaints.is_empty() { Ok(()) } else { Err(ConfigError::Invalid { complaints, heading }) }
    };
    if wants != Wants::Server && !namespace_given {
        usable()?;
    }
    if let Some((entry, name)) = chosen.missing() {
        return Err(ConfigError::Missing { entry, name });
    }
    usable()
}

/// The server where nobody names one.
fn default_server() -> String {
    let named = std::env::var("KUBERNETES_MASTER").ok().filter(|server| !server.is_empty());
    named.unwrap_or_else(|| "http://localhost:8080".into())
}

fn apply_cluster(connection: &mut Connection, cluster: &Entry, is_secure: bool) -> Result<(), ConfigError> {
    let is = |key: &str| cluster.settings.get(key).and_then(Value::as_bool) == Some(true);
    // Whom to trust matters only where somebody has to show who they are.
    connection.authority = if is_secure { data_or_file(cluster, "certificate-authority")? } else { None };
    connection.insecure = is("insecure-skip-tls-verify");
    connection.server_name = cluster.text("tls-server-name").map(str::to_owned);
    connection.proxy = cluster.text("proxy-url").map(str::to_owned);
    connection.compression = !is("disable-compression");
    Ok(())
}

/// `30`, `30s`, `0`.
fn timeout(text: &str) -> Result<Option<Duration>, ConfigError> {
    // Time that is over already is no limit.
    if text.is_empty()
        || text.strip_prefix('-').is_some_and(|text| apimachinery::time::parse_go_duration(text).is_some())
    {
        return Ok(None);
    }
    let whole = text.parse::<u64>().ok().map(Duration::from_secs);
    let duration = whole.or_else(|| apimachinery::time::parse_go_duration(text)).ok_or(ConfigError::Timeout)?;
    Ok((!duration.is_zero()).then_some(duration))
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str).filter(|s| !s.is_empty())
}

fn data_or_file(entry: &Entry, key: &'static str) -> Result<Option<Vec<u8>>, ConfigError> {
    if let Some(data) = entry.text(&format!("{key}-data")) {
        return base64::decode(data).map(Some).map_err(|_| ConfigError::BadData(key));
    }
    entry.text(key).map(|path| read(Path::new(path))).transpose()
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|why| ConfigError::Open { path: path.display().to_string(), why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn merged(configs: &[Value]) -> Merged {
        Merged { configs: configs.iter().map(|c| (c.clone(), PathBuf::from("/x/config"))).collect() }
    }

    fn flags() -> Global {
        Global { request_timeout: "0".into(), ..Global::default() }
    }

    #[test]
    fn timeouts() {
        for (text, seconds) in [("0", None), ("5", Some(5)), ("2m", Some(120))] {
            assert_eq!(timeout(text).expect(text).map(|d| d.as_secs()), seconds);
        }
        assert!(timeout("soon").is_err());
    }

    #[test]
    fn the_first_file_that_has_an_entry_counts() {
        let one = json!({"current-context": "a", "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u", "namespace": "ns"}}]});
        let two = json!({"current-context": "b", "clusters": [{"name": "c", "cluster": {"server": "https://one"}}],
            "users": [{"name": "u", "user": {"token": "t"}}]});
        let connection = merged(&[one, two]).connection(&flags(), Wants::Server).expect("a connection");
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
            ..flags()
        };
        let connection = merged(&[file]).connection(&global, Wants::Server).expect("a connection");
        assert_eq!((connection.server.as_str(), connection.namespace.as_str()), ("https://two", "other"));
        assert_eq!(connection.impersonation, [("Impersonate-User".to_owned(), "bob".to_owned())]);
    }

    #[test]
    fn the_complaint_is_that_of_what_is_wanted_first() {
        let file = json!({"users": [{"name": "u", "user": {"token": "t", "username": "n"}}]});
        let complaint = |wants: Wants, global: Global| {
            let merged = merged(std::slice::from_ref(&file));
            merged
                .connection(&Global { request_timeout: "0".into(), ..global }, wants)
                .map(drop)
                .map_err(|e| e.to_string())
        };
        let context = || Global { context: Some("x".into()), ..Global::default() };
        let user = || Global { user: Some("u".into()), ..Global::default() };
        let elsewhere = |global: Global| Global { namespace: Some("n".into()), ..global };
        let no_context = "Error in configuration: context was not found for specified context: x";
        let two = "more than one authentication method found for u; found [token basicAuth], only one is allowed";
        for (wants, global, want) in [
            (Wants::Server, context(), "context \"x\" does not exist"),
            (Wants::Namespace, context(), no_context),
            (Wants::Namespace, elsewhere(context()), "context \"x\" does not exist"),
            (Wants::Server, Global { cluster: Some("c".into()), ..Global::default() }, "cluster \"c\" does not exist"),
            (
                Wants::Objects,
                Global { cluster: Some("c".into()), ..context() },
                "Error in configuration: \n* context was not found for specified context: x\n* no server found for cluster \"c\"",
            ),
            (Wants::Server, user(), two),
            (Wants::Namespace, elsewhere(user()), two),
            (Wants::Objects, elsewhere(user()), &format!("Error in configuration: {two}")),
        ] {
            assert_eq!(complaint(wants, global), Err(want.to_owned()));
        }
        assert_eq!(complaint(Wants::Server, Global { context: Some(String::new()), ..Global::default() }), Ok(()));
    }
}
