//! `EncryptionConfiguration` of `apiserver.config.k8s.io/v1`.
//!
//! Upstream: `apiserver/pkg/apis/apiserver/validation/validation_encryption.go`.

use super::kms::{Kms, Settings};
use super::provider::{Key, Provider};
use super::{Pattern, Rule};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use component::GoDuration;
use component::kinds::{self, Kind, KindError};
use serde::Deserialize;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

const KIND: Kind = Kind { api_version: "apiserver.config.k8s.io/v1", kind: "EncryptionConfiguration", unbuilt: &[] };

/// A configuration that cannot be used. Says where, and never what a key is.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{0}")]
    File(#[from] KindError),
    /// A key management service is not well.
    #[error("{0}")]
    Service(String),
    /// A value makes no sense.
    #[error("{path}: {why}")]
    Value {
        /// Such as `resources[0].providers[1].aescbc.keys[0].secret`.
        path: String,
        /// What is wrong.
        why: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    #[serde(default)]
    resources: Vec<ResourceRule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ResourceRule {
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    providers: Vec<ProviderRule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProviderRule {
    identity: Option<Empty>,
    aescbc: Option<Keys>,
    aesgcm: Option<Keys>,
    secretbox: Option<Keys>,
    kms: Option<Service>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Service {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    name: String,
    /// Of version 1 only.
    cachesize: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    endpoint: String,
    #[serde(default = "default_timeout")]
    timeout: GoDuration,
}

fn default_timeout() -> GoDuration {
    GoDuration::from_secs(3)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Empty {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    #[serde(default)]
    keys: Vec<NamedKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedKey {
    #[serde(default)]
    name: String,
    #[serde(default)]
    secret: Zeroizing<String>,
}

pub(super) fn load(file: &Path) -> Result<Vec<Rule>, ConfigError> {
    rules(kinds::load(file, &KIND)?.config)
}

#[cfg(test)]
pub(super) fn parse(text: &str, file: &str) -> Result<Vec<Rule>, ConfigError> {
    rules(kinds::parse(text, file, &KIND)?.config)
}

fn wrong(path: impl Into<String>, why: &'static str) -> ConfigError {
    ConfigError::Value { path: path.into(), why }
}

fn rules(file: File) -> Result<Vec<Rule>, ConfigError> {
    if file.resources.is_empty() {
        return Err(wrong("resources", "at least one resource is required"));
    }
    let numbered = file.resources.into_iter().enumerate();
    let rules = numbered.map(|(at, rule)| rule_of(rule, &format!("resources[{at}]"))).collect::<Result<Vec<_>, _>>()?;
    let mut names = HashSet::new();
    match super::services(&rules).iter().any(|service| !names.insert(service.name().to_owned())) {
        true => Err(wrong("resources", "duplicate KMS provider name, names must be unique")),
        false => Ok(rules),
    }
}

fn rule_of(rule: ResourceRule, path: &str) -> Result<Rule, ConfigError> {
    if rule.resources.is_empty() {
        return Err(wrong(format!("{path}.resources"), "at least one resource is required"));
    }
    if rule.providers.is_empty() {
        return Err(wrong(format!("{path}.providers"), "at least one provider is required"));
    }
    let patterns = rule.resources.iter().enumerate();
    let patterns = patterns.map(|(at, name)| pattern(name, &format!("{path}.resources[{at}]")));
    let patterns = patterns.collect::<Result<Vec<_>, _>>()?;
    let providers = rule.providers.into_iter().enumerate();
    let providers = providers.map(|(at, provider)| provider_of(provider, &format!("{path}.providers[{at}]")));
    Ok(Rule { patterns, providers: providers.collect::<Result<_, _>>()? })
}

fn pattern(name: &str, path: &str) -> Result<Pattern, ConfigError> {
    let (resource, group) = name.split_once('.').unwrap_or((name, ""));
    match (resource, group) {
        ("*", _) if !name.contains('.') => Err(wrong(
            path,
            "use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources",
        )),
        ("*", "*") => Ok(Pattern::Everything),
        ("*", group) => Ok(Pattern::Group(group.to_owned())),
        ("", _) => Err(wrong(path, "resource name should not be empty")),
        (_, "*") => Err(wrong(path, "wildcard group is only allowed as *.*")),
        ("events", "events.k8s.io") => Err(wrong(
            path,
            "events.events.k8s.io objects are stored using the events API group in etcd. Use 'events' instead in the config file",
        )),
        (resource, _) if resource.chars().any(char::is_uppercase) => {
            Err(wrong(path, "resource name should not contain capital letters"))
        }
        (resource, group) => Ok(Pattern::Resource { group: group.to_owned(), resource: resource.to_owned() }),
    }
}

fn provider_of(rule: ProviderRule, path: &str) -> Result<Provider, ConfigError> {
    let ProviderRule { identity, aescbc, aesgcm, secretbox, kms } = rule;
    let keys = |keys: Keys, kind: &str, lengths: &[usize]| read_keys(keys, &format!("{path}.{kind}.keys"), lengths);
    match (identity, aescbc, aesgcm, secretbox, kms) {
        (Some(Empty {}), None, None, None, None) => Ok(Provider::Identity),
        (None, Some(k), None, None, None) => keys(k, "aescbc", &[16, 24, 32]).map(Provider::AesCbc),
        (None, None, Some(k), None, None) => keys(k, "aesgcm", &[16, 24, 32]).map(Provider::AesGcm),
        (None, None, None, Some(k), None) => keys(k, "secretbox", &[32]).map(Provider::SecretBox),
        (None, None, None, None, Some(service)) => service_of(service, &format!("{path}.kms")),
        (None, None, None, None, None) => Err(wrong(
            path,
            "provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity",
        )),
        _ => Err(wrong(
            path,
            "more than one provider specified in a single element, should split into different list elements",
        )),
    }
}

fn service_of(service: Service, path: &str) -> Result<Provider, ConfigError> {
    let Service { api_version, name, cachesize, endpoint, timeout } = service;
    let wrong = |member: &str, why| Err(wrong(format!("{path}.{member}"), why));
    match api_version.as_str() {
        "v2" => {}
        // What is not said is version 1.
        "" | "v1" => {
            return wrong("apiVersion", "KMSv1 is deprecated and not built. Use KMSv2 instead.");
        }
        _ => return wrong("apiVersion", "unsupported apiVersion for KMS provider, only v2 is supported"),
    }
    if name.is_empty() {
        return wrong("name", "name is a mandatory field for a provider");
    }
    if name.contains(':') {
        return wrong("name", "invalid KMS provider name, must not contain ':'");
    }
    if cachesize.is_some() {
        return wrong("cachesize", "cachesize is not supported in v2");
    }
    if timeout.0.is_zero() {
        return wrong("timeout", "timeout should be a positive value");
    }
    if endpoint.is_empty() {
        return wrong("endpoint", "endpoint is a mandatory field for a kms");
    }
    let Some(socket) = endpoint.strip_prefix("unix://") else {
        return wrong("endpoint", "unsupported scheme for KMS provider, only unix is supported");
    };
    // Abstract sockets have a name with @ and no slash before it, as upstream takes them.
    let socket = match socket.strip_prefix("/@").or_else(|| socket.strip_prefix('@')) {
        Some(_) => return wrong("endpoint", "abstract sockets are known but not built"),
        None => socket.into(),
    };
    Ok(Provider::Kms(Arc::new(Kms::new(Settings { name, socket, timeout: timeout.0 }))))
}

fn read_keys(keys: Keys, path: &str, lengths: &[usize]) -> Result<Vec<Key>, ConfigError> {
    if keys.keys.is_empty() {
        return Err(wrong(path, "at least one key is required"));
    }
    let mut names = HashSet::new();
    let mut read = Vec::new();
    for (at, key) in keys.keys.into_iter().enumerate() {
        let path = format!("{path}[{at}]");
        if key.name.is_empty() || key.name.contains(':') {
            return Err(wrong(format!("{path}.name"), "key must have a name, without a colon"));
        }
        if !names.insert(key.name.clone()) {
            return Err(wrong(format!("{path}.name"), "key names must be unique in their provider"));
        }
        let secret = STANDARD.decode(key.secret.as_bytes());
        let secret = secret.map_err(|_| wrong(format!("{path}.secret"), "secret must be base64 encoded"))?;
        if !lengths.contains(&secret.len()) {
            return Err(wrong(format!("{path}.secret"), "secret is not of the expected length"));
        }
        read.push(Key { name: key.name, secret: Zeroizing::new(secret) });
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let resource =
            |group: &str, resource: &str| Pattern::Resource { group: group.into(), resource: resource.into() };
        for (text, want) in [
            ("secrets", Some(resource("", "secrets"))),
            ("deployments.apps", Some(resource("apps", "deployments"))),
            ("*.apps", Some(Pattern::Group("apps".into()))),
            ("*.", Some(Pattern::Group(String::new()))),
            ("*.*", Some(Pattern::Everything)),
            ("*", None),
            ("secrets.*", None),
            ("Secrets", None),
            ("", None),
        ] {
            assert_eq!(pattern(text, "p").ok(), want, "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_named_without_keys() {
        let long = "c2VjcmV0IGlzIHNlY3VyZSwgSSB0aGluaz8hISEhISE=";
        for (providers, want) in [
            ("[]".to_owned(), "resources[0].providers: at least one provider is required"),
            (
                "[{kms: {name: a, endpoint: 'unix:///a'}}]".into(),
                "resources[0].providers[0].kms.apiVersion: KMSv1 is deprecated and not built. Use KMSv2 instead.",
            ),
            (
                "[{kms: {apiVersion: v2, name: 'a:b', endpoint: 'unix:///a'}}]".into(),
                "resources[0].providers[0].kms.name: invalid KMS provider name",
            ),
            (
                "[{kms: {apiVersion: v2, name: a, endpoint: 'tcp://a'}}]".into(),
                "resources[0].providers[0].kms.endpoint: unsupported scheme",
            ),
            (
                "[{kms: {apiVersion: v2, name: a, endpoint: 'unix:///a', cachesize: 10}}]".into(),
                "resources[0].providers[0].kms.cachesize: cachesize is not supported in v2",
            ),
            (
                "[{kms: {apiVersion: v2, name: a, endpoint: 'unix:///a'}}, {kms: {apiVersion: v2, name: a, endpoint: 'unix:///b'}}]".into(),
                "resources: duplicate KMS provider name",
            ),
            ("[{aescbc: {keys: []}}]".into(), "resources[0].providers[0].aescbc.keys: at least one key is required"),
            (
                "[{aescbc: {keys: [{name: a, secret: c2hvcnQ=}]}}]".into(),
                "resources[0].providers[0].aescbc.keys[0].secret: secret is not of the expected length",
            ),
            (
                "[{aescbc: {keys: [{name: a, secret: '%'}]}}]".into(),
                "resources[0].providers[0].aescbc.keys[0].secret: secret must be base64 encoded",
            ),
            (
                format!("[{{identity: {{}}, aesgcm: {{keys: [{{name: a, secret: {long}}}]}}}}]"),
                "resources[0].providers[0]: more than one provider",
            ),
            ("[{rot13: {}}]".into(), "enc.yaml: "),
        ] {
            let text = format!(
                "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources: [{{resources: [secrets], providers: {providers}}}]"
            );
            let error = parse(&text, "enc.yaml").err().map(|e| e.to_string()).unwrap_or_default();
            assert!(error.starts_with(want), "{error}");
            assert!(!error.contains("c2hvcnQ"), "{error}");
        }
    }
}
