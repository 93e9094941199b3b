//! Who we are: certificates, tokens, passwords and programs that know them.
//!
//! Upstream: `client-go/plugin/pkg/client/auth/exec`, `client-go/rest`.

use super::{ConfigError, Connection, answer, data_or_file, oidc, read, text};
use crate::cli::Global;
use crate::preferences::PluginPolicy;
use apimachinery::Value;
use base64::Engine;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A user's entry of a kubeconfig.
pub(super) struct User<'a> {
    pub(super) name: &'a str,
    pub(super) entry: &'a Value,
    /// Where its relative paths start.
    pub(super) folder: &'a Path,
}

/// Takes over what a user's entry says; flags win.
pub(super) fn apply(
    connection: &mut Connection,
    user: &User<'_>,
    cluster: Option<&Value>,
    global: &Global,
) -> Result<(), ConfigError> {
    let User { name, entry: user, folder } = *user;
    check(name, user)?;
    let certificate = data_or_file(user, "client-certificate", folder)?;
    let key = data_or_file(user, "client-key", folder)?;
    if certificate.is_some() && key.is_none() && global.client_key.is_none() {
        return Err(without_key(name));
    }
    connection.identity = certificate.zip(key);
    if connection.impersonation.is_empty() {
        connection.impersonation = impersonation(user);
    }
    apply_flags(connection, name, global)?;
    if connection.authorization.is_some() {
        return Ok(());
    }
    if let Some(path) = text(user, "tokenFile") {
        let path = folder.join(path);
        let path = std::path::absolute(&path).unwrap_or(path);
        let token = std::fs::read(&path).map_err(|why| ConfigError::Open { path: path.display().to_string(), why })?;
        connection.authorization = Some(format!("Bearer {}", String::from_utf8_lossy(&token).trim()));
    } else if let Some(token) = text(user, "token") {
        connection.authorization = Some(format!("Bearer {token}"));
    } else if let Some(name) = text(user, "username") {
        connection.authorization = Some(basic(name, text(user, "password").unwrap_or_default()));
    } else if let Some(provider) = user.get("auth-provider") {
        oidc::apply(connection, name, provider)?;
    } else if let Some(exec) = user.get("exec").filter(|_| connection.identity.is_none() && connection.is_secure()) {
        // Who has a certificate already needs no program, nor does who tells nothing.
        run(connection, exec, folder, cluster, global)?;
    }
    Ok(())
}

/// Whether a user's entry says all that a credential program needs. The oldest version takes it that
/// a program may ask if somebody can answer; upstream's `clientcmd/validation.go`.
fn check(name: &str, user: &Value) -> Result<(), ConfigError> {
    let Some(exec) = user.get("exec").filter(|exec| exec.is_object()) else { return Ok(()) };
    if user.get("auth-provider").is_some_and(Value::is_object) {
        return Err(ConfigError::Unsupported(format!(
            "authProvider cannot be provided in combination with an exec plugin for {name}"
        )));
    }
    let version = text(exec, "apiVersion").unwrap_or_default();
    let mut missing: Vec<&str> =
        ["command", "apiVersion"].into_iter().filter(|member| text(exec, member).is_none()).collect();
    let mut variables = exec.get("env").and_then(Value::as_array).into_iter().flatten();
    if variables.any(|variable| text(variable, "name").is_none()) {
        missing.push("env variable name");
    }
    if text(exec, "interactiveMode").is_none() && version != "client.authentication.k8s.io/v1beta1" {
        missing.push("interactiveMode");
    }
    let complaint = |what| format!("{what} must be specified for {name} to use exec authentication plugin");
    let mut complaints: Vec<String> = missing.into_iter().map(complaint).collect();
    if let Some(mode) = text(exec, "interactiveMode").filter(|mode| !["Never", "IfAvailable", "Always"].contains(mode))
    {
        complaints.push(format!("invalid interactiveMode for {name}: {mode:?}"));
    }
    if complaints.is_empty() { Ok(()) } else { Err(ConfigError::Invalid(complaints)) }
}

/// Takes over what the flags say.
pub(super) fn apply_flags(connection: &mut Connection, user: &str, global: &Global) -> Result<(), ConfigError> {
    match (&global.client_certificate, &global.client_key) {
        (Some(certificate), Some(key)) => connection.identity = Some((read(certificate)?, read(key)?)),
        (Some(_), None) if connection.identity.is_none() => return Err(without_key(user)),
        _ => {}
    }
    match (&global.token, &global.username) {
        (Some(token), _) => connection.authorization = Some(format!("Bearer {token}")),
        (None, Some(name)) => {
            connection.authorization = Some(basic(name, global.password.as_deref().unwrap_or_default()));
        }
        (None, None) => {}
    }
    Ok(())
}

/// A certificate alone proves nothing.
fn without_key(user: &str) -> ConfigError {
    ConfigError::Unsupported(format!(
        "client-key-data or client-key must be specified for {user} to use the clientCert authentication method."
    ))
}

/// The header for a name and a password.
pub(super) fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}")))
}

/// `as`, `as-uid`, `as-groups`, `as-user-extra` of a user's entry.
fn impersonation(user: &Value) -> Vec<(String, String)> {
    let strings = |value: Option<&Value>| -> Vec<String> {
        let list = value.and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut headers = Vec::new();
    headers.extend(text(user, "as").map(|u| ("Impersonate-User".to_owned(), u.to_owned())));
    headers.extend(text(user, "as-uid").map(|u| ("Impersonate-Uid".to_owned(), u.to_owned())));
    headers.extend(strings(user.get("as-groups")).into_iter().map(|g| ("Impersonate-Group".to_owned(), g)));
    for (key, values) in user.get("as-user-extra").and_then(Value::as_object).into_iter().flatten() {
        let key = percent_encoding::utf8_percent_encode(key, percent_encoding::NON_ALPHANUMERIC).to_string();
        headers.extend(strings(Some(values)).into_iter().map(|v| (format!("Impersonate-Extra-{key}"), v)));
    }
    headers
}

/// Runs a credential program (`client.authentication.k8s.io`).
fn run(
    connection: &mut Connection,
    exec: &Value,
    folder: &Path,
    cluster: Option<&Value>,
    global: &Global,
) -> Result<(), ConfigError> {
    let fail = |why: String| ConfigError::Exec(why);
    let version = text(exec, "apiVersion").unwrap_or_default();
    if !matches!(version, "client.authentication.k8s.io/v1" | "client.authentication.k8s.io/v1beta1") {
        return Err(ConfigError::Unsupported(format!("exec plugin: invalid apiVersion {version:?}")));
    }
    let program = text(exec, "command").ok_or_else(|| fail("no command".into()))?;
    let interactive = interactive(exec, std::io::stdin().is_terminal(), global.stdin_in_use)?;
    let mut info =
        serde_json::json!({"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": interactive}});
    if exec.get("provideClusterInfo").and_then(Value::as_bool) == Some(true) {
        info["spec"]["cluster"] = cluster_info(connection, cluster);
    }
    // A path with a slash is relative to the file that names it.
    let path = match program.contains('/') {
        true => std::path::absolute(folder.join(program)).unwrap_or_else(|_| folder.join(program)),
        false => program.into(),
    };
    check_policy(&global.plugins, program, &path)?;
    let mut command = Command::new(&path);
    let arguments = exec.get("args").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    command.args(arguments).stderr(Stdio::inherit());
    command.stdin(if interactive { Stdio::inherit() } else { Stdio::null() });
    for variable in exec.get("env").and_then(Value::as_array).into_iter().flatten() {
        if let (Some(name), Some(value)) = (text(variable, "name"), variable.get("value").and_then(Value::as_str)) {
            command.env(name, value);
        }
    }
    let output = command.env("KUBERNETES_EXEC_INFO", info.to_string()).output();
    let shown = path.display();
    let output = output.map_err(|error| match (error.kind(), text(exec, "installHint")) {
        (std::io::ErrorKind::NotFound, hint) if !program.contains('/') => {
            let hint = hint.map_or_else(String::new, |h| format!("\n\n{h}"));
            fail(format!("exec: executable {program} not found\n\nIt looks like you are trying to use a client-go credential plugin that is not installed.\n\nTo learn more about this feature, consult the documentation available at:\n      https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins{hint}"))
        }
        _ => fail(format!("exec: fork/exec {shown}: {}", crate::http::io_words(&error))),
    })?;
    if !output.status.success() {
        // A signal is no code, which Go calls -1.
        let code = output.status.code().unwrap_or(-1);
        return Err(fail(format!("exec: executable {shown} failed with exit code {code}")));
    }
    let answer = answer::read(&output.stdout, version).map_err(|error| fail(error.to_string()))?;
    if let Some(identity) = answer.identity {
        connection.identity = Some(identity);
    }
    if let Some(token) = answer.token {
        connection.authorization = Some(format!("Bearer {token}"));
    }
    Ok(())
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
fn interactive(exec: &Value, terminal: bool, in_use: bool) -> Result<bool, ConfigError> {
    let unavailable = |why: &str| Err(ConfigError::Interactive(why.to_owned()));
    match text(exec, "interactiveMode").unwrap_or("IfAvailable") {
        "Never" => Ok(false),
        "IfAvailable" => Ok(terminal && !in_use),
        "Always" if !terminal => unavailable("standard input is not a terminal"),
        "Always" if in_use => unavailable("standard input is unavailable: used by stdin resource manifest reader"),
        "Always" => Ok(true),
        other => unavailable(&format!("unknown interactiveMode: {other:?}")),
    }
}

fn cluster_info(connection: &Connection, cluster: Option<&Value>) -> Value {
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
    let extensions = cluster.and_then(|c| c.get("extensions")).and_then(Value::as_array).into_iter().flatten();
    let own = extensions.clone().find(|e| text(e, "name") == Some("client.authentication.k8s.io/exec"));
    if let Some(config) = own.and_then(|e| e.get("extension")) {
        info["config"] = config.clone();
    }
    info
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with(user: Value) -> Result<Connection, ConfigError> {
        let mut connection = Connection { server: "https://h".into(), ..Connection::default() };
        let user = User { name: "u", entry: &user, folder: Path::new("") };
        apply(&mut connection, &user, None, &Global::default())?;
        Ok(connection)
    }

    #[test]
    fn programs_give_tokens() {
        let answer =
            r#"echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t"}}'"#;
        let exec = |script: &str, version: &str| {
            json!({"exec": {"apiVersion": format!("client.authentication.k8s.io/{version}"),
            "command": "sh", "args": ["-c", script], "interactiveMode": "Never"}})
        };
        let connection = with(exec(answer, "v1")).expect("a token");
        assert_eq!(connection.authorization.as_deref(), Some("Bearer t"));
        assert!(with(exec(answer, "v1beta1")).is_err(), "another version than asked for");
        assert!(with(exec(answer, "v1alpha1")).is_err(), "a version that is no more");
        let error = with(exec("exit 3", "v1")).expect_err("it failed");
        assert_eq!(
            error.to_string(),
            "Unable to connect to the server: getting credentials: exec: executable sh failed with exit code 3"
        );
    }

    #[test]
    fn programs_are_described_in_full() {
        let complaint = |exec: Value| check("u", &json!({"exec": exec})).map_err(|error| error.to_string());
        let version =
            |version: &str| json!({"apiVersion": format!("client.authentication.k8s.io/{version}"), "command": "sh"});
        assert_eq!(complaint(version("v1beta1")), Ok(()));
        let needed = |what: &str| format!("{what} must be specified for u to use exec authentication plugin");
        assert_eq!(complaint(version("v1")), Err(needed("interactiveMode")));
        let bare = json!({"interactiveMode": "Never", "env": [{"value": "x"}]});
        let all = ["command", "apiVersion", "env variable name"].map(|what| format!("\n* {}", needed(what)));
        assert_eq!(complaint(bare), Err(all.concat()));
    }

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
            let asked = interactive(&json!({"interactiveMode": mode}), terminal, in_use);
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
    fn other_ways_to_log_in() {
        let basic = with(json!({"username": "a", "password": "b"})).expect("basic");
        assert_eq!(basic.authorization.as_deref(), Some("Basic YTpi"));
        assert!(with(json!({"auth-provider": {"name": "gcp"}})).is_err());
        let user = json!({"token": "t", "as": "bob", "as-groups": ["g"], "as-user-extra": {"a/b": ["c"]}});
        let headers = with(user).expect("impersonation").impersonation;
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Impersonate-User", "Impersonate-Group", "Impersonate-Extra-a%2Fb"]);
    }
}
