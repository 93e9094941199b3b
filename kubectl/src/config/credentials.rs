//! Who we are: certificates, tokens, passwords and who knows them.
//!
//! Upstream: `client-go/tools/clientcmd` (`getUserIdentificationPartialConfig`), `client-go/rest`.

use super::chosen::{Chosen, Entry};
use super::renewal::{Plugin, Renewal};
use super::{ConfigError, Connection, data_or_file, oidc};
use crate::cli::Global;
use apimachinery::Value;
use base64::Engine;
use std::path::PathBuf;

/// Takes over what is known of the user.
pub(super) fn apply(connection: &mut Connection, chosen: &Chosen, global: &Global) -> Result<(), ConfigError> {
    let user = &chosen.user;
    let certificate = data_or_file(user, "client-certificate")?;
    connection.identity_of_files =
        user.text("client-certificate-data").is_none() && user.text("client-key-data").is_none();
    connection.identity = certificate.zip(data_or_file(user, "client-key")?);
    connection.impersonation = impersonation(user);
    if let Some(path) = user.text("tokenFile") {
        connection.renew(Renewal::File(PathBuf::from(path)))?;
    } else if let Some(token) = user.text("token") {
        connection.authorization = Some(format!("Bearer {token}"));
    } else if let Some(name) = user.text("username") {
        connection.authorization = Some(basic(name, user.text("password").unwrap_or_default()));
    } else if let Some(provider) = user.settings.get("auth-provider").filter(|provider| !provider.is_null()) {
        oidc::apply(connection, &user.name, provider)?;
    } else if let Some(exec) = user.settings.get("exec").filter(|exec| exec.is_object())
        // Who has a certificate already needs no program.
        && connection.identity.is_none()
    {
        let cluster = &chosen.cluster.settings;
        let plugin = Plugin::new(connection, exec, &user.folder, cluster, global)?;
        connection.renew(Renewal::Program(Box::new(plugin)))?;
    }
    Ok(())
}

/// The header for a name and a password.
pub(super) fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}")))
}

/// `as`, `as-uid`, `as-groups`, `as-user-extra` of a user, if there is anybody to be.
fn impersonation(user: &Entry) -> Vec<(String, String)> {
    let Some(name) = user.text("as") else { return Vec::new() };
    let strings = |value: Option<&Value>| -> Vec<String> {
        let list = value.and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut headers = vec![("Impersonate-User".to_owned(), name.to_owned())];
    headers.extend(user.text("as-uid").map(|u| ("Impersonate-Uid".to_owned(), u.to_owned())));
    headers.extend(strings(user.settings.get("as-groups")).into_iter().map(|g| ("Impersonate-Group".to_owned(), g)));
    for (key, values) in user.settings.get("as-user-extra").and_then(Value::as_object).into_iter().flatten() {
        let key = percent_encoding::utf8_percent_encode(key, percent_encoding::NON_ALPHANUMERIC).to_string();
        headers.extend(strings(Some(values)).into_iter().map(|v| (format!("Impersonate-Extra-{key}"), v)));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Merged, Wants};
    use serde_json::json;

    fn with(user: Value) -> Result<Connection, ConfigError> {
        let file = json!({"users": [{"name": "u", "user": user}], "clusters": [{"name": "c", "cluster": {"server": "https://h"}}]});
        let merged = Merged { configs: vec![(file, PathBuf::from("/x/config"))] };
        let (user, cluster) = (Some("u".into()), Some("c".into()));
        let global = Global { user, cluster, request_timeout: "0".into(), ..Global::default() };
        merged.connection(&global, Wants::Server)
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
