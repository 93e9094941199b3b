//! Credentials that are over at some time: those of programs (`client.authentication.k8s.io`) and of files with tokens.
//! Who gave them is asked again then, and when the server does not take them any more.
//!
//! Upstream: `client-go/plugin/pkg/client/auth/exec`, `client-go/transport/token_source.go`.

use super::{ConfigError, Connection, answer, text};
use crate::cli::Global;
use crate::preferences::PluginPolicy;
use apimachinery::{Map, Value};
use base64::Engine;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How long a token of a file is believed.
const FILE_TIME: Duration = Duration::from_secs(60);

/// Who is asked who we are.
pub enum Renewal {
    /// A program.
    Program(Box<Plugin>),
    /// A file with a token.
    File(PathBuf),
}

/// Who we are for now.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// `Authorization` header.
    pub authorization: Option<String>,
    /// Client certificate and key in PEM.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// When they are over.
    pub expires: Option<SystemTime>,
}

impl Renewal {
    /// Asks who we are. A program may take its time.
    pub fn ask(&self) -> Result<Credentials, ConfigError> {
        match self {
            Self::Program(plugin) => plugin.run(),
            Self::File(path) => {
                let failed = |why| ConfigError::Open { path: path.display().to_string(), why };
                let token = std::fs::read(path).map_err(failed)?;
                let authorization = Some(format!("Bearer {}", String::from_utf8_lossy(&token).trim()));
                Ok(Credentials { authorization, identity: None, expires: SystemTime::now().checked_add(FILE_TIME) })
            }
        }
    }
}

impl Connection {
    /// Takes over what somebody says, who will be asked again.
    pub(super) fn renew(&mut self, renewal: Renewal) -> Result<(), ConfigError> {
        let Credentials { authorization, identity, expires } = renewal.ask()?;
        self.authorization = authorization.or(self.authorization.take());
        self.identity = identity.or(self.identity.take());
        (self.expires, self.renewal) = (expires, Some(Arc::new(renewal)));
        Ok(())
    }
}

/// A program that knows who we are, and how it is run.
pub struct Plugin {
    /// Its name as the file has it.
    program: String,
    path: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    version: String,
    /// The cluster, if it is told.
    cluster: Option<Value>,
    /// `Never`, `IfAvailable`, `Always`.
    interactive_mode: String,
    /// Standard input is read by somebody else.
    stdin_in_use: bool,
    hint: Option<String>,
    policy: PluginPolicy,
}

impl Plugin {
    /// Reads a user's `exec` entry.
    pub(super) fn new(
        connection: &Connection,
        exec: &Value,
        folder: &Path,
        cluster: &Map,
        global: &Global,
    ) -> Result<Self, ConfigError> {
        let version = text(exec, "apiVersion").unwrap_or_default();
        if !matches!(version, "client.authentication.k8s.io/v1" | "client.authentication.k8s.io/v1beta1") {
            return Err(ConfigError::Unsupported(format!("exec plugin: invalid apiVersion {version:?}")));
        }
        let program = text(exec, "command").ok_or_else(|| ConfigError::Exec("no command".into()))?;
        // A path with a slash is relative to the file that names it.
        let path = match program.contains('/') {
            true => std::path::absolute(folder.join(program)).unwrap_or_else(|_| folder.join(program)),
            false => program.into(),
        };
        let list = |key: &str| exec.get(key).and_then(Value::as_array).into_iter().flatten();
        let variable =
            |entry: &Value| Some((text(entry, "name")?.to_owned(), entry.get("value")?.as_str()?.to_owned()));
        let told = exec.get("provideClusterInfo").and_then(Value::as_bool) == Some(true);
        Ok(Self {
            program: program.to_owned(),
            path,
            arguments: list("args").filter_map(Value::as_str).map(str::to_owned).collect(),
            environment: list("env").filter_map(variable).collect(),
            version: version.to_owned(),
            cluster: told.then(|| cluster_info(connection, cluster)),
            interactive_mode: text(exec, "interactiveMode").unwrap_or("IfAvailable").to_owned(),
            stdin_in_use: global.stdin_in_use,
            hint: text(exec, "installHint").map(str::to_owned),
            policy: global.plugins.clone(),
        })
    }

    fn run(&self) -> Result<Credentials, ConfigError> {
        let fail = |why: String| ConfigError::Exec(why);
        let interactive = interactive(&self.interactive_mode, std::io::stdin().is_terminal(), self.stdin_in_use)?;
        let mut info = serde_json::json!({"apiVersion": self.version, "kind": "ExecCredential", "spec": {"interactive": interactive}});
        if let Some(cluster) = &self.cluster {
            info["spec"]["cluster"] = cluster.clone();
        }
        check_policy(&self.policy, &self.program, &self.path)?;
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).stderr(Stdio::inherit());
        command.stdin(if interactive { Stdio::inherit() } else { Stdio::null() });
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let output = command.env("KUBERNETES_EXEC_INFO", info.to_string()).output();
        let output = output.map_err(|error| self.not_run(&error))?;
        if !output.status.success() {
            // A signal is no code, which Go calls -1.
            let code = output.status.code().unwrap_or(-1);
            return Err(fail(format!("exec: executable {} failed with exit code {code}", self.path.display())));
        }
        let answer = answer::read(&output.stdout, &self.version).map_err(|error| fail(error.to_string()))?;
        let authorization = answer.token.map(|token| format!("Bearer {token}"));
        Ok(Credentials { authorization, identity: answer.identity, expires: answer.expires })
    }

    fn not_run(&self, error: &std::io::Error) -> ConfigError {
        let program = &self.program;
        if error.kind() != std::io::ErrorKind::NotFound || program.contains('/') {
            let (shown, why) = (self.path.display(), crate::http::io_words(error));
            return ConfigError::Exec(format!("exec: fork/exec {shown}: {why}"));
        }
        let hint = self.hint.as_ref().map_or_else(String::new, |hint| format!("\n\n{hint}"));
        ConfigError::Exec(format!(
            "exec: executable {program} not found\n\nIt looks like you are trying to use a client-go credential plugin that is not installed.\n\nTo learn more about this feature, consult the documentation available at:\n      https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins{hint}"
        ))
    }
}

/// Whether the user's preferences let a program run: by its name, its path, or where either leads.
fn check_policy(policy: &PluginPolicy, program: &str, path: &Path) -> Result<(), ConfigError> {
    let allowed = match policy {
        PluginPolicy::AllowAll => return Ok(()),
        PluginPolicy::DenyAll => {
            return Err(ConfigError::Exec(format!("exec: plugin {program:?} not allowed: policy set to \"DenyAll\"")));
        }
        PluginPolicy::Allowlist(allowed) => allowed,
    };
    let found = on_path(path);
    let fits = |entry: &String| entry == program || Path::new(entry) == path || on_path(Path::new(entry)) == found;
    match allowed.iter().any(fits) {
        true => Ok(()),
        false => Err(ConfigError::Exec(format!(
            "exec: plugin path {:?} is not permitted by the credential plugin allowlist",
            found.display().to_string()
        ))),
    }
}

/// Where a program's name leads.
fn on_path(program: &Path) -> PathBuf {
    if program.components().count() > 1 {
        return program.to_owned();
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file());
    found.unwrap_or_else(|| program.to_owned())
}

/// Whether a program gets standard input: not if a manifest is read from it.
fn interactive(mode: &str, terminal: bool, in_use: bool) -> Result<bool, ConfigError> {
    let unavailable = |why: &str| Err(ConfigError::Interactive(why.to_owned()));
    match mode {
        "Never" => Ok(false),
        "IfAvailable" => Ok(terminal && !in_use),
        "Always" if !terminal => unavailable("standard input is not a terminal"),
        "Always" if in_use => unavailable("standard input is unavailable: used by stdin resource manifest reader"),
        "Always" => Ok(true),
        other => unavailable(&format!("unknown interactiveMode: {other:?}")),
    }
}

fn cluster_info(connection: &Connection, cluster: &Map) -> Value {
    let mut info = serde_json::json!({"server": connection.server});
    if let Some(authority) = &connection.authority {
        info["certificate-authority-data"] = base64::engine::general_purpose::STANDARD.encode(authority).into();
    }
    if let Some(name) = &connection.server_name {
        info["tls-server-name"] = name.as_str().into();
    }
    if connection.insecure {
        info["insecure-skip-tls-verify"] = true.into();
    }
    let extensions = cluster.get("extensions").and_then(Value::as_array).into_iter().flatten();
    let own = extensions.clone().find(|e| text(e, "name") == Some("client.authentication.k8s.io/exec"));
    if let Some(config) = own.and_then(|e| e.get("extension")) {
        info["config"] = config.clone();
    }
    info
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_run_only_if_they_may() {
        let allowed = |policy: &PluginPolicy| check_policy(policy, "sh", Path::new("sh")).map_err(|e| e.to_string());
        assert_eq!(allowed(&PluginPolicy::AllowAll), Ok(()));
        assert!(
            allowed(&PluginPolicy::DenyAll)
                .is_err_and(|e| e.ends_with("plugin \"sh\" not allowed: policy set to \"DenyAll\""))
        );
        let list = |entry: &str| PluginPolicy::Allowlist(vec![entry.to_owned()]);
        assert_eq!(allowed(&list("sh")), Ok(()));
        assert_eq!(allowed(&list(&on_path(Path::new("sh")).display().to_string())), Ok(()));
        assert!(allowed(&list("other")).is_err());
    }

    #[test]
    fn programs_do_not_take_the_manifests() {
        let with = |mode: &str, terminal: bool, in_use: bool| {
            let asked = interactive(mode, terminal, in_use);
            asked.map_err(|error| error.to_string().split(": ").skip(3).collect::<Vec<_>>().join(": "))
        };
        for (mode, terminal, in_use, want) in [
            ("IfAvailable", true, false, Ok(true)),
            ("IfAvailable", true, true, Ok(false)),
            ("IfAvailable", false, false, Ok(false)),
            ("Never", true, false, Ok(false)),
            ("Always", true, false, Ok(true)),
            ("Always", false, false, Err("standard input is not a terminal")),
            ("Always", true, true, Err("standard input is unavailable: used by stdin resource manifest reader")),
            ("Sometimes", true, false, Err("unknown interactiveMode: \"Sometimes\"")),
        ] {
            assert_eq!(with(mode, terminal, in_use), want.map_err(str::to_owned), "{mode} {terminal} {in_use}");
        }
    }

    #[test]
    fn files_are_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        let renewal = Renewal::File(path.clone());
        assert!(renewal.ask().is_err());
        for token in ["a", "b\n"] {
            std::fs::write(&path, token).expect("written");
            let credentials = renewal.ask().expect("a token");
            assert_eq!(credentials.authorization, Some(format!("Bearer {}", token.trim())));
            assert!(credentials.expires.is_some_and(|time| time > SystemTime::now()));
        }
    }
}
