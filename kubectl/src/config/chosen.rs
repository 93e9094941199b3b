//! The cluster and the user that a kubeconfig and flags come to, and what is wrong with them.
//!
//! Upstream: `client-go/tools/clientcmd/client_config.go` (`getCluster`, `getAuthInfo`, `ConfirmUsable`) and
//! `validation.go`.

use super::{Merged, text};
use crate::cli::Global;
use crate::http::io_words;
use apimachinery::{Map, Value};
use std::path::{Path, PathBuf};
use url::Url;

/// The settings of a user that are paths, relative to the file that has them.
const USER_PATHS: [&str; 3] = ["client-certificate", "client-key", "tokenFile"];

/// One of the lists of a kubeconfig.
#[derive(Clone, Copy)]
struct List {
    name: &'static str,
    key: &'static str,
    /// What upstream calls an entry that is not there.
    entry: &'static str,
}

const CLUSTERS: List = List { name: "clusters", key: "cluster", entry: "cluster" };
const USERS: List = List { name: "users", key: "user", entry: "auth info" };

/// An entry with the flags laid over it.
#[derive(Default)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) settings: Map,
    /// Where the paths of its programs start.
    pub(super) folder: PathBuf,
    /// A flag names it, and no file has it.
    missing: Option<&'static str>,
}

/// What is to be used of all that is known.
pub(super) struct Chosen {
    pub(super) cluster: Entry,
    pub(super) user: Entry,
    /// The namespace of the context.
    pub(super) namespace: String,
    context: String,
    context_exists: bool,
    context_is_flag: bool,
}

impl Chosen {
    /// What the flags and the files name.
    pub(super) fn of(merged: &Merged, global: &Global) -> Self {
        let flag = given(global.context.as_ref());
        let name = flag.unwrap_or(merged.current_context());
        let context = merged.entry("contexts", "context", name);
        let of_context = |key: &str| context.and_then(|(c, _)| text(c, key)).unwrap_or_default();
        let mut cluster = Entry::of(merged, CLUSTERS, given(global.cluster.as_ref()), of_context("cluster"));
        let mut user = Entry::of(merged, USERS, given(global.user.as_ref()), of_context("user"));
        if cluster.missing.is_none() {
            lay_over_cluster(&mut cluster.settings, global);
        }
        if user.missing.is_none() {
            lay_over_user(&mut user.settings, global);
        }
        Self {
            cluster,
            user,
            namespace: of_context("namespace").to_owned(),
            context: name.to_owned(),
            context_exists: context.is_some(),
            context_is_flag: flag.is_some(),
        }
    }

    /// The first of what flags name that is not there, with what it is called.
    pub(super) fn missing(&self) -> Option<(&'static str, String)> {
        let context = (self.context_is_flag && !self.context_exists).then(|| ("context", self.context.clone()));
        self.user.missing().or(context).or_else(|| self.cluster.missing())
    }

    /// The context that is not there, if there is to be one.
    pub(super) fn missing_context(&self) -> Option<&str> {
        (!self.context_exists && !self.context.is_empty()).then_some(&*self.context)
    }

    /// What is wrong with the entries.
    pub(super) fn complaints(&self) -> Vec<String> {
        let mut complaints = wrong_with_user(&self.user);
        complaints.extend(wrong_with_cluster(&self.cluster));
        complaints
    }
}

impl Entry {
    fn of(merged: &Merged, list: List, flag: Option<&str>, of_context: &str) -> Self {
        let name = flag.unwrap_or(of_context).to_owned();
        let Some((entry, folder)) = merged.entry(list.name, list.key, &name) else {
            return Self { name, missing: flag.map(|_| list.entry), ..Self::default() };
        };
        let mut settings = entry.as_object().cloned().unwrap_or_default();
        for key in USER_PATHS.into_iter().chain(["certificate-authority"]) {
            if let Some(path) = settings.get(key).and_then(Value::as_str).filter(|path| !path.is_empty()) {
                let path = folder.join(path);
                let path = std::path::absolute(&path).unwrap_or(path);
                settings.insert(key.to_owned(), path.display().to_string().into());
            }
        }
        Self { name, settings, folder: folder.to_owned(), missing: None }
    }

    fn missing(&self) -> Option<(&'static str, String)> {
        self.missing.map(|entry| (entry, self.name.clone()))
    }

    /// A setting that says something.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.settings.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    fn has(&self, key: &str) -> bool {
        self.text(key).is_some()
    }

    fn is_empty(&self, key: &str) -> bool {
        match self.settings.get(key) {
            Some(Value::Array(list)) => list.is_empty(),
            Some(Value::Object(map)) => map.is_empty(),
            _ => !self.has(key),
        }
    }

    /// What is wrong with a file that is named, if it cannot be opened.
    fn unreadable(&self, key: &str, what: &str) -> Option<String> {
        let path = self.text(key)?;
        let why = std::fs::File::open(Path::new(path)).err()?;
        Some(format!("unable to read {what} {path} for {} due to open {path}: {}", self.name, io_words(&why)))
    }
}

/// A flag that says something: upstream cannot tell an empty one from none.
fn given(flag: Option<&String>) -> Option<&str> {
    flag.map(String::as_str).filter(|flag| !flag.is_empty())
}

fn shown(path: Option<&PathBuf>) -> Option<String> {
    path.map(|path| path.display().to_string())
}

fn lay_over_cluster(cluster: &mut Map, global: &Global) {
    let server = given(global.server.as_ref());
    if let Some(server) = server {
        cluster.insert("server".into(), server.into());
    }
    let authority = shown(global.certificate_authority.as_ref());
    let insecure = global.insecure_skip_tls_verify == Some(true);
    if insecure || authority.is_some() {
        cluster.remove("certificate-authority-data");
        cluster.insert("insecure-skip-tls-verify".into(), insecure.into());
        cluster.insert("certificate-authority".into(), authority.unwrap_or_default().into());
    }
    let name = given(global.tls_server_name.as_ref());
    // A name is that of the server beside which it stands.
    if server.is_some() || name.is_some() {
        cluster.insert("tls-server-name".into(), name.unwrap_or_default().into());
    }
}

fn lay_over_user(user: &mut Map, global: &Global) {
    for (key, path) in [("client-certificate", &global.client_certificate), ("client-key", &global.client_key)] {
        if let Some(path) = shown(path.as_ref()) {
            user.remove(&format!("{key}-data"));
            user.insert(key.into(), path.into());
        }
    }
    if given(global.token.as_ref()).is_some() {
        user.remove("tokenFile");
    }
    for (key, flag) in [
        ("token", &global.token),
        ("username", &global.username),
        ("password", &global.password),
        ("as", &global.impersonate),
        ("as-uid", &global.impersonate_uid),
    ] {
        if let Some(flag) = given(flag.as_ref()) {
            user.insert(key.into(), flag.into());
        }
    }
    if !global.impersonate_groups.is_empty() {
        user.insert("as-groups".into(), global.impersonate_groups.clone().into());
    }
    // What is no pair says nothing, as upstream has it.
    let pairs: Vec<(&str, &str)> = global.impersonate_extra.iter().filter_map(|extra| extra.split_once('=')).collect();
    if pairs.is_empty() {
        return;
    }
    let mut extra = user.get("as-user-extra").and_then(Value::as_object).cloned().unwrap_or_default();
    extra.retain(|key, _| pairs.iter().all(|(other, _)| key != other));
    for (key, value) in pairs {
        let values = extra.entry(key).or_insert_with(|| Value::Array(Vec::new()));
        if let Some(values) = values.as_array_mut() {
            values.push(value.into());
        }
    }
    user.insert("as-user-extra".into(), extra.into());
}

fn wrong_with_cluster(cluster: &Entry) -> Vec<String> {
    let mut complaints = Vec::new();
    let name = &cluster.name;
    if cluster.missing.is_some() {
        complaints.push(format!("no server found for cluster {name:?}"));
    }
    if let Some(proxy) = cluster.text("proxy-url")
        && let Some(why) = wrong_with_proxy(proxy)
    {
        complaints.push(format!("invalid 'proxy-url' {proxy:?} for cluster {name:?}: {why}"));
    }
    if cluster.has("certificate-authority") && cluster.has("certificate-authority-data") {
        complaints.push(format!(
            "certificate-authority-data and certificate-authority are both specified for {name}. certificate-authority-data will override."
        ));
    }
    complaints.extend(cluster.unreadable("certificate-authority", "certificate-authority"));
    complaints
}

fn wrong_with_proxy(proxy: &str) -> Option<String> {
    let unsupported = |scheme: &str| format!("unsupported scheme {scheme:?}, must be http, https, or socks5");
    match Url::parse(proxy) {
        Ok(url) if matches!(url.scheme(), "http" | "https" | "socks5") => None,
        Ok(url) => Some(unsupported(url.scheme())),
        Err(url::ParseError::RelativeUrlWithoutBase) => Some(unsupported("")),
        Err(_) => Some(format!("could not parse: {proxy}")),
    }
}

fn wrong_with_user(user: &Entry) -> Vec<String> {
    let mut complaints = wrong_with_certificate(user);
    complaints.extend(wrong_with_program(user));
    let name = &user.name;
    if user.has("token") && (user.has("username") || user.has("password")) {
        complaints.push(format!(
            "more than one authentication method found for {name}; found [token basicAuth], only one is allowed"
        ));
    }
    let more = ["as-uid", "as-groups", "as-user-extra"].into_iter().any(|key| !user.is_empty(key));
    if more && !user.has("as") {
        complaints.push(format!("requesting uid, groups or user-extra for {name} without impersonating a user"));
    }
    complaints
}

fn wrong_with_certificate(user: &Entry) -> Vec<String> {
    let name = &user.name;
    let (file, data) = (user.has("client-certificate"), user.has("client-certificate-data"));
    let (key_file, key_data) = (user.has("client-key"), user.has("client-key-data"));
    let mut complaints = Vec::new();
    if !file && !data {
        return complaints;
    }
    if file && data {
        complaints.push(format!(
            "client-cert-data and client-cert are both specified for {name}. client-cert-data will override."
        ));
    }
    if key_file && key_data {
        complaints.push(format!(
            "client-key-data and client-key are both specified for {name}; client-key-data will override"
        ));
    }
    if !key_file && !key_data {
        complaints.push(format!(
            "client-key-data or client-key must be specified for {name} to use the clientCert authentication method."
        ));
    }
    complaints.extend(user.unreadable("client-certificate", "client-cert"));
    complaints.extend(user.unreadable("client-key", "client-key"));
    complaints
}

/// Whether a user's entry says all that a credential program needs. The oldest version takes it that a program may
/// ask if somebody can answer.
fn wrong_with_program(user: &Entry) -> Vec<String> {
    let name = &user.name;
    let Some(exec) = user.settings.get("exec").filter(|exec| exec.is_object()) else { return Vec::new() };
    let mut complaints = Vec::new();
    if user.settings.get("auth-provider").is_some_and(Value::is_object) {
        complaints.push(format!("authProvider cannot be provided in combination with an exec plugin for {name}"));
    }
    let version = text(exec, "apiVersion").unwrap_or_default();
    let mut missing: Vec<&str> =
        ["command", "apiVersion"].into_iter().filter(|member| text(exec, member).is_none()).collect();
    let variables = exec.get("env").and_then(Value::as_array).into_iter().flatten();
    missing.extend(variables.filter(|variable| text(variable, "name").is_none()).map(|_| "env variable name"));
    if text(exec, "interactiveMode").is_none() && version != "client.authentication.k8s.io/v1beta1" {
        missing.push("interactiveMode");
    }
    let complaint = |what| format!("{what} must be specified for {name} to use exec authentication plugin");
    complaints.extend(missing.into_iter().map(complaint));
    if let Some(mode) = text(exec, "interactiveMode").filter(|mode| !["Never", "IfAvailable", "Always"].contains(mode))
    {
        complaints.push(format!("invalid interactiveMode for {name}: {mode:?}"));
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn user(settings: Value) -> Entry {
        Entry { name: "u".into(), settings: settings.as_object().cloned().unwrap_or_default(), ..Entry::default() }
    }

    #[test]
    fn users_are_told_what_is_wrong_with_them() {
        let two = "more than one authentication method found for u; found [token basicAuth], only one is allowed";
        let nobody = "requesting uid, groups or user-extra for u without impersonating a user";
        for (settings, want) in [
            (json!({"token": "t"}), vec![]),
            (json!({"token": "t", "username": "a"}), vec![two]),
            (json!({"token": "t", "password": "a", "as-uid": "x"}), vec![two, nobody]),
            (json!({"as-groups": [""]}), vec![nobody]),
            (json!({"as-user-extra": {"a": ["b"]}}), vec![nobody]),
            (json!({"as": "a", "as-groups": ["g"]}), vec![]),
            (
                json!({"client-certificate-data": "x"}),
                vec![
                    "client-key-data or client-key must be specified for u to use the clientCert authentication method.",
                ],
            ),
            (
                json!({"client-certificate-data": "x", "client-key-data": "y", "client-key": "/no/key"}),
                vec![
                    "client-key-data and client-key are both specified for u; client-key-data will override",
                    "unable to read client-key /no/key for u due to open /no/key: no such file or directory",
                ],
            ),
        ] {
            assert_eq!(wrong_with_user(&user(settings.clone())), want, "{settings}");
        }
    }

    #[test]
    fn programs_are_described_in_full() {
        let complaints = |exec: Value| wrong_with_user(&user(json!({"exec": exec})));
        let version =
            |version: &str| json!({"apiVersion": format!("client.authentication.k8s.io/{version}"), "command": "sh"});
        let needed = |what: &str| format!("{what} must be specified for u to use exec authentication plugin");
        assert!(complaints(version("v1beta1")).is_empty());
        assert_eq!(complaints(version("v1")), [needed("interactiveMode")]);
        let bare = json!({"interactiveMode": "Never", "env": [{"value": "x"}]});
        assert_eq!(complaints(bare), ["command", "apiVersion", "env variable name"].map(needed));
    }

    #[test]
    fn proxies_are_of_three_kinds() {
        for (proxy, want) in [
            ("socks5://h:1", None),
            ("ftp://x", Some("unsupported scheme \"ftp\", must be http, https, or socks5")),
            ("foo", Some("unsupported scheme \"\", must be http, https, or socks5")),
            ("http://%zz", Some("could not parse: http://%zz")),
        ] {
            assert_eq!(wrong_with_proxy(proxy).as_deref(), want, "{proxy}");
        }
    }

    #[test]
    fn flags_lie_over_the_file() {
        let mut entry = user(json!({"token": "a", "client-key-data": "x", "as-user-extra": {"a": ["b"], "c": ["d"]}}));
        let extra = ["a=1", "a=2", "none"].map(str::to_owned).to_vec();
        let global = Global {
            token: Some(String::new()),
            client_key: Some("k".into()),
            impersonate: Some("bob".into()),
            impersonate_extra: extra,
            ..Global::default()
        };
        lay_over_user(&mut entry.settings, &global);
        let want =
            json!({"token": "a", "client-key": "k", "as": "bob", "as-user-extra": {"a": ["1", "2"], "c": ["d"]}});
        assert_eq!(Value::Object(entry.settings), want);
        let mut cluster = json!({"server": "a", "certificate-authority-data": "x", "tls-server-name": "n"});
        let global = Global {
            server: Some("b".into()),
            insecure_skip_tls_verify: Some(true),
            cluster: Some(String::new()),
            ..Global::default()
        };
        lay_over_cluster(cluster.as_object_mut().expect("an object"), &global);
        let want = json!({"server": "b", "insecure-skip-tls-verify": true, "certificate-authority": "", "tls-server-name": ""});
        assert_eq!(cluster, want);
    }
}
