//! Who we are: certificates, tokens, passwords and who knows them.
//!
//! Upstream: `client-go/tools/clientcmd` (`getUserIdentificationPartialConfig`), `client-go/rest`.

use super::renewal::{Plugin, Renewal};
use super::{ConfigError, Connection, data_or_file, oidc, read, text};
use crate::cli::Global;
use apimachinery::Value;
use base64::Engine;
use std::path::Path;

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
        connection.renew(Renewal::File(path))?;
    } else if let Some(token) = text(user, "token") {
        connection.authorization = Some(format!("Bearer {token}"));
    } else if let Some(name) = text(user, "username") {
        connection.authorization = Some(basic(name, text(user, "password").unwrap_or_default()));
    } else if let Some(provider) = user.get("auth-provider") {
        oidc::apply(connection, name, provider)?;
    } else if let Some(exec) = user.get("exec").filter(|_| connection.identity.is_none() && connection.is_secure()) {
        // Who has a certificate already needs no program, nor does who tells nothing.
        let plugin = Plugin::new(connection, exec, folder, cluster, global)?;
        connection.renew(Renewal::Program(Box::new(plugin)))?;
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
