//! `config set-credentials`.

use super::entries::{path_or_data, put, there};
use super::unexpected;
use crate::cli::Global;
use crate::cli::config::SetCredentials;
use crate::kubeconfig::Access;
use anyhow::bail;
use apimachinery::{Map, Value};
use serde_json::json;
use std::path::Path;

pub(super) fn set(access: &Access, flags: &SetCredentials, global: &Global) -> anyhow::Result<()> {
    let [name] = flags.words.as_slice() else { return unexpected("set-credentials", &flags.words, "unexpected args") };
    let provider = pairs(&flags.auth_provider_arg, "auth-provider-arg")?;
    let env = pairs(&flags.exec_env, "exec-env")?;
    check(name, flags, global)?;
    let mut config = access.load()?;
    let entry = config.entry_mut("users", name);
    change_files(entry, flags, global)?;
    change_secrets(entry, global);
    change_provider(entry, flags, &provider);
    change_exec(entry, flags, &env);
    access.store(&config, true)?;
    crate::outln!("User {name:?} set.");
    Ok(())
}

/// A key, and its new value or nothing.
type Pair = (String, Option<String>);

/// `key=value` sets, `key-` removes.
fn pairs(words: &[String], flag: &str) -> anyhow::Result<Vec<Pair>> {
    let mut invalid = Vec::new();
    let mut pairs = Vec::new();
    for word in words {
        match (word.split_once('='), word.strip_suffix('-')) {
            (Some((key, value)), _) if !key.is_empty() => pairs.push((key.to_owned(), Some(value.to_owned()))),
            (None, Some(key)) if !key.is_empty() => pairs.push((key.to_owned(), None)),
            _ => invalid.push(word.as_str()),
        }
    }
    if !invalid.is_empty() {
        crate::out!("{}", crate::cli::help_of(&["config", "set-credentials"]));
        bail!("invalid {flag} format: {}", invalid.join(", "));
    }
    Ok(pairs)
}

fn given(value: Option<&String>) -> bool {
    value.is_some_and(|v| !v.is_empty())
}

fn check(name: &str, flags: &SetCredentials, global: &Global) -> anyhow::Result<()> {
    if name.is_empty() {
        bail!("you must specify a non-empty user name");
    }
    if given(global.token.as_ref()) && (given(global.username.as_ref()) || given(global.password.as_ref())) {
        bail!(
            "you cannot specify more than one authentication method at the same time: --token, --username/--password"
        );
    }
    if flags.embed_certs {
        let path = |path: &Option<std::path::PathBuf>| path.clone().filter(|p| !p.as_os_str().is_empty());
        let (certificate, key) = (path(&global.client_certificate), path(&global.client_key));
        if certificate.is_none() && key.is_none() {
            bail!("you must specify a --client-certificate or --client-key to embed");
        }
        certificate.as_deref().map_or(Ok(()), |p: &Path| there("client-certificate", p))?;
        key.as_deref().map_or(Ok(()), |p: &Path| there("client-key", p))?;
    }
    match flags.exec_interactive_mode.as_deref() {
        None | Some("IfAvailable" | "Never" | "Always") => Ok(()),
        Some(_) => bail!("invalid interactive mode type, can be only IfAvailable, Never, Always"),
    }
}

fn change_files(entry: &mut Map, flags: &SetCredentials, global: &Global) -> anyhow::Result<()> {
    for (key, path) in [("client-certificate", &global.client_certificate), ("client-key", &global.client_key)] {
        if let Some(path) = path {
            path_or_data(entry, key, path, flags.embed_certs)?;
        }
    }
    Ok(())
}

/// One way to log in replaces the other.
fn change_secrets(entry: &mut Map, global: &Global) {
    for (key, value) in [("token", &global.token), ("username", &global.username), ("password", &global.password)] {
        if let Some(value) = value {
            put(entry, key, value);
        }
    }
    let token = given(global.token.as_ref());
    let basic = given(global.username.as_ref()) || given(global.password.as_ref());
    if token && !basic {
        entry.remove("username");
        entry.remove("password");
    }
    if basic && !token {
        entry.remove("token");
    }
}

fn change_provider(entry: &mut Map, flags: &SetCredentials, pairs: &[Pair]) {
    if let Some(name) = &flags.auth_provider
        && entry.get("auth-provider").and_then(|p| p["name"].as_str()) != Some(name)
    {
        entry.insert("auth-provider".into(), json!({"name": name, "config": {}}));
    }
    let Some(config) = entry.get_mut("auth-provider").map(|provider| &mut provider["config"]) else { return };
    if !config.is_object() {
        *config = json!({});
    }
    for (key, value) in pairs {
        match (value, config.as_object_mut()) {
            (Some(value), Some(config)) => drop(config.insert(key.clone(), value.as_str().into())),
            (None, Some(config)) => drop(config.remove(key)),
            (_, None) => {}
        }
    }
}

fn change_exec(entry: &mut Map, flags: &SetCredentials, env: &[Pair]) {
    if let Some(command) = &flags.exec_command {
        let exec = entry.entry("exec").or_insert_with(|| json!({"env": null, "provideClusterInfo": false}));
        exec["command"] = command.as_str().into();
        exec["args"] = Value::Null;
    }
    // Without a command there is nothing to change.
    let Some(exec) = entry.get_mut("exec") else { return };
    if let Some(version) = &flags.exec_api_version {
        exec["apiVersion"] = version.as_str().into();
    }
    if !flags.exec_arg.is_empty() {
        exec["args"] = json!(flags.exec_arg);
    }
    if let Some(mode) = &flags.exec_interactive_mode {
        exec["interactiveMode"] = mode.as_str().into();
    }
    if let Some(provide) = flags.exec_provide_cluster_info {
        exec["provideClusterInfo"] = provide.into();
    }
    if env.is_empty() {
        return;
    }
    let mut variables = exec["env"].as_array().cloned().unwrap_or_default();
    variables.retain(|v| !env.iter().any(|(name, value)| value.is_none() && v["name"] == name.as_str()));
    for (name, value) in env.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
        match variables.iter_mut().find(|v| v["name"] == name.as_str()) {
            Some(variable) => variable["value"] = value.as_str().into(),
            None => variables.push(json!({"name": name, "value": value})),
        }
    }
    exec["env"] = variables.into();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_replace_each_other() {
        let mut entry = Map::new();
        change_secrets(&mut entry, &Global { token: Some("t".into()), ..Global::default() });
        assert_eq!(entry["token"], "t");
        change_secrets(&mut entry, &Global { username: Some("u".into()), ..Global::default() });
        assert_eq!(Value::Object(entry), json!({"username": "u"}));
    }

    #[test]
    fn reads_pairs() {
        let words = ["a=b".to_owned(), "c-".to_owned()];
        assert_eq!(pairs(&words, "x").expect("pairs"), [("a".into(), Some("b".into())), ("c".into(), None)]);
        assert!(pairs(&["=".to_owned()], "x").is_err());
    }
}
