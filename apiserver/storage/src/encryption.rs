//! Encryption at rest: values are encrypted on their way to etcd and decrypted on their way back.
//!
//! It stands between the store and etcd, so that without a configuration there is nothing of it.
//! The first provider of a resource encrypts; all of them decrypt. What was not encrypted by the
//! first is marked, so that the next write of the object, even one without a change, renews it.
//!
//! Upstream: `apiserver/pkg/storage/value`, `apiserver/pkg/server/options/encryptionconfig`.

mod aes;
mod backend;
mod config;
mod kms;
mod provider;
mod secretbox;

pub use config::ConfigError;

pub(crate) use backend::Encrypting;

use apimachinery::resources::ResourceInfo;
use arc_swap::ArcSwap;
use component::Supervisor;
use kms::{FetchError, Kms};
use provider::{CryptoError, Provider};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Marks a decrypted value that the first provider has not encrypted. No value in etcd starts so:
/// JSON has a brace there and protobuf its own magic.
pub(crate) const STALE: &[u8] = b"stale\0";

/// Stands before the reason why a value cannot be decrypted at present, in place of the value.
pub(crate) const SEALED: &[u8] = b"sealed\0";

/// What all encrypted values start with.
const ENCRYPTED: &[u8] = b"k8s:enc:";

/// How often key management services are asked how they are, while they are well and while not.
const PROBES: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(3));

/// The configured encryption. Its `Debug` shows no keys.
pub struct Encryption {
    rules: ArcSwap<Vec<Rule>>,
    /// Group and resource by storage prefix.
    resources: HashMap<String, (String, String)>,
}

/// Resources and their providers, the one that encrypts first.
pub(crate) struct Rule {
    patterns: Vec<Pattern>,
    providers: Vec<Provider>,
}

/// Which resources a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// `*.*`.
    Everything,
    /// `*.GROUP`, `*.` for the core group.
    Group(String),
    /// `RESOURCE.GROUP`, `RESOURCE` for the core group.
    Resource { group: String, resource: String },
}

/// A value after decryption.
#[derive(Debug, PartialEq, Eq)]
enum Plain {
    /// It is in clear, as it should be.
    AsItIs,
    /// As the first provider would have it.
    Current(Vec<u8>),
    /// By another provider, or by none.
    Stale(Vec<u8>),
}

impl std::fmt::Debug for Encryption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Encryption({} rules)", self.rules.load().len())
    }
}

impl Encryption {
    /// Reads `--encryption-provider-config` for these resources.
    pub fn load(file: &Path, resources: &[Arc<ResourceInfo>]) -> Result<Self, ConfigError> {
        Ok(Self::new(config::load(file)?, resources))
    }

    fn new(rules: Vec<Rule>, resources: &[Arc<ResourceInfo>]) -> Self {
        let stored = resources.iter().filter(|r| r.is_stored());
        let named = stored.map(|r| (r.storage_prefix.to_string(), (r.group.to_string(), r.plural.to_string())));
        Self { rules: ArcSwap::from_pointee(rules), resources: named.collect() }
    }

    /// Reads the file again: from now on its first providers encrypt. On error, which a key
    /// management service that is not well is, all stays as it was.
    pub async fn reload(&self, file: &Path) -> Result<(), ConfigError> {
        let rules = config::load(file)?;
        for service in services(&rules) {
            service.probe().await.map_err(ConfigError::Service)?;
        }
        self.rules.store(Arc::new(rules));
        Ok(())
    }

    /// How many key management services are configured.
    pub fn services(&self) -> usize {
        services(&self.rules.load()).len()
    }

    /// Whether one key management service is well: `/healthz/kms-provider-N`.
    pub fn service_healthy(&self, at: usize) -> Result<(), String> {
        services(&self.rules.load()).get(at).map_or(Ok(()), |service| service.health())
    }

    /// Whether all key management services are well: `/healthz/kms-providers`.
    pub fn services_healthy(&self) -> Result<(), String> {
        services(&self.rules.load()).iter().try_for_each(|service| service.health())
    }

    /// Asks all services how they are, for ever. The first answers are there when this returns.
    pub async fn follow_services(self: &Arc<Self>, supervisor: &Supervisor) {
        self.probe_services().await;
        let encryption = self.clone();
        supervisor.spawn_until_stop("key management services", async move {
            loop {
                let pause = if encryption.services_healthy().is_ok() { PROBES.0 } else { PROBES.1 };
                tokio::time::sleep(pause).await;
                encryption.probe_services().await;
            }
        });
    }

    async fn probe_services(&self) {
        let services = services(&self.rules.load());
        // What they are like is asked for elsewhere.
        for service in services {
            let _known_later = service.probe().await;
        }
    }

    /// Has a service decrypt what the value of a key needs, if it needs any.
    async fn fetch(&self, key: &str, value: &[u8]) -> Result<(), FetchError> {
        let service = {
            let rules = self.rules.load();
            let providers = self.rule(&rules, key).map(|rule| &rule.providers[..]).unwrap_or_default();
            providers.iter().find_map(|provider| match provider {
                Provider::Kms(service) if service.owns(value) => Some(service.clone()),
                _ => None,
            })
        };
        match service {
            Some(service) => service.fetch(value).await,
            None => Ok(()),
        }
    }

    /// Encrypts the value of a key, given below the prefix; `path` is the whole key.
    fn encrypt(&self, key: &str, path: &[u8], value: &[u8]) -> Result<Option<Vec<u8>>, CryptoError> {
        let rules = self.rules.load();
        match self.rule(&rules, key).and_then(|rule| rule.providers.first()) {
            None | Some(Provider::Identity) => Ok(None),
            Some(provider) => provider.encrypt(path, value).map(Some),
        }
    }

    /// Decrypts the value of a key.
    fn decrypt(&self, key: &str, path: &[u8], value: &[u8]) -> Result<Plain, CryptoError> {
        let rules = self.rules.load();
        match self.rule(&rules, key) {
            Some(rule) => rule.decrypt(path, value),
            None if value.starts_with(ENCRYPTED) => Err(CryptoError::NotConfigured),
            None => Ok(Plain::AsItIs),
        }
    }

    fn rule<'a>(&self, rules: &'a [Rule], key: &str) -> Option<&'a Rule> {
        let (group, resource) = self.resource(key)?;
        rules.iter().find(|rule| rule.patterns.iter().any(|pattern| pattern.matches(group, resource)))
    }

    /// Group and resource of a key: of a built-in prefix, or else `GROUP/RESOURCE` of a custom one.
    fn resource<'a>(&'a self, key: &'a str) -> Option<(&'a str, &'a str)> {
        let mut slashes = key.match_indices('/').map(|(at, _)| at);
        let first = slashes.next()?;
        let second = slashes.next();
        let known = |prefix: &str| self.resources.get(prefix).map(|(g, r)| (g.as_str(), r.as_str()));
        let longer = second.and_then(|at| known(&key[..at]));
        longer.or_else(|| known(&key[..first])).or_else(|| Some((&key[..first], &key[first + 1..second?])))
    }
}

fn services(rules: &[Rule]) -> Vec<Arc<Kms>> {
    let providers = rules.iter().flat_map(|rule| &rule.providers);
    let services = providers.filter_map(|provider| match provider {
        Provider::Kms(service) => Some(service.clone()),
        _ => None,
    });
    services.collect()
}

impl Rule {
    fn decrypt(&self, path: &[u8], value: &[u8]) -> Result<Plain, CryptoError> {
        let position = self.providers.iter().position(|provider| provider.owns(value));
        let position = position.ok_or(CryptoError::NoProvider)?;
        match &self.providers[position] {
            Provider::Identity if position == 0 => Ok(Plain::AsItIs),
            Provider::Identity => Ok(Plain::Stale(value.to_vec())),
            provider => match provider.decrypt(path, value)? {
                (plain, true) if position == 0 => Ok(Plain::Current(plain)),
                (plain, _) => Ok(Plain::Stale(plain)),
            },
        }
    }
}

impl Pattern {
    fn matches(&self, group: &str, resource: &str) -> bool {
        match self {
            Pattern::Everything => true,
            Pattern::Group(own) => own == group,
            Pattern::Resource { group: own, resource: name } => own == group && name == resource,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encryption(providers: &str) -> Encryption {
        let text = format!(
            "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [things.example.com, '*.apps']\n  providers: {providers}\n"
        );
        let rules = config::parse(&text, "enc.yaml").expect("a configuration");
        Encryption::new(rules, &[crate::testing::things()])
    }

    const KEY: &str = "c2VjcmV0IGlzIHNlY3VyZSwgSSB0aGluaz8hISEhISE=";

    #[test]
    fn every_provider_reads_what_it_wrote() {
        let keys = |kind: &str| format!("[{{{kind}: {{keys: [{{name: k1, secret: {KEY}}}]}}}}, {{identity: {{}}}}]");
        for (kind, prefix) in [
            ("aescbc", "k8s:enc:aescbc:v1:k1:"),
            ("aesgcm", "k8s:enc:aesgcm:v1:k1:"),
            ("secretbox", "k8s:enc:secretbox:v1:k1:"),
        ] {
            let encryption = encryption(&keys(kind));
            for text in [&b""[..], b"short", &[7; 64], &[9; 1000]] {
                let stored = encryption.encrypt("things/a/b", b"/registry/things/a/b", text).expect("encrypts");
                let stored = stored.expect("encrypted");
                assert!(stored.starts_with(prefix.as_bytes()), "{kind}");
                let plain = encryption.decrypt("things/a/b", b"/registry/things/a/b", &stored);
                assert_eq!(plain.expect("decrypts"), Plain::Current(text.to_vec()));
                if kind != "aescbc" {
                    let mut broken = stored.clone();
                    *broken.last_mut().expect("bytes") ^= 1;
                    assert!(encryption.decrypt("things/a/b", b"/registry/things/a/b", &broken).is_err(), "{kind}");
                }
                if kind == "aesgcm" {
                    assert!(
                        encryption.decrypt("things/a/c", b"/registry/things/a/c", &stored).is_err(),
                        "another place"
                    );
                }
            }
            let old = encryption.decrypt("things/a/b", b"p", b"{}").expect("plain");
            assert_eq!(old, Plain::Stale(b"{}".to_vec()));
        }
    }

    #[test]
    fn later_keys_and_providers_are_stale() {
        let other = "AAECAwQFBgcICQoLDA0ODw==";
        let old = encryption(&format!("[{{aescbc: {{keys: [{{name: old, secret: {other}}}]}}}}]"));
        let stored = old.encrypt("things/a/b", b"p", b"text").expect("encrypts").expect("encrypted");
        for providers in [
            format!("[{{aescbc: {{keys: [{{name: new, secret: {KEY}}}, {{name: old, secret: {other}}}]}}}}]"),
            format!(
                "[{{secretbox: {{keys: [{{name: new, secret: {KEY}}}]}}}}, {{aescbc: {{keys: [{{name: old, secret: {other}}}]}}}}]"
            ),
            format!("[{{identity: {{}}}}, {{aescbc: {{keys: [{{name: old, secret: {other}}}]}}}}]"),
        ] {
            let plain = encryption(&providers).decrypt("things/a/b", b"p", &stored);
            assert_eq!(plain.expect("decrypts"), Plain::Stale(b"text".to_vec()), "{providers}");
        }
        let none = encryption(&format!("[{{secretbox: {{keys: [{{name: new, secret: {KEY}}}]}}}}]"));
        assert!(none.decrypt("things/a/b", b"p", &stored).is_err());
    }

    #[test]
    fn resources_are_found_by_their_keys() {
        let encryption = encryption("[{identity: {}}]");
        for (key, want) in [
            ("things/a/b", Some(("example.com", "things"))),
            ("example.org/gadgets/a/b", Some(("example.org", "gadgets"))),
            ("odd", None),
        ] {
            assert_eq!(encryption.resource(key), want, "{key}");
        }
        for (pattern, group, resource, want) in [
            (Pattern::Everything, "x", "y", true),
            (Pattern::Group("apps".into()), "apps", "deployments", true),
            (Pattern::Group(String::new()), "apps", "deployments", false),
            (Pattern::Resource { group: String::new(), resource: "secrets".into() }, "", "secrets", true),
        ] {
            assert_eq!(pattern.matches(group, resource), want, "{pattern:?}");
        }
    }
}
