//! `kube-system/extension-apiserver-authentication`: whom others may trust to say who is asking.
//!
//! All servers write into the same map: what others have written stays, as long as it has not expired.
//!
//! Upstream: `pkg/controlplane/controller/clusterauthenticationtrust`.

use super::followed::{Followed, NAMESPACE};
use super::{BootstrapError, body, context, create};
use apimachinery::{Map, Value};
use apiserver_registry::{Registry, Verb};
use component::files;
use pki::Validity;
use serde_json::json;
use std::ops::Not as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const NAME: &str = "extension-apiserver-authentication";
const CLIENT_CA: &str = "client-ca-file";
const PROXY_CA: &str = "requestheader-client-ca-file";
/// How often the map is looked at if nothing else gives reason to.
const INTERVAL: Duration = Duration::from_secs(60);

/// What the ConfigMap publishes.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// `--client-ca-file`.
    pub client_ca: Option<PathBuf>,
    /// `--requestheader-client-ca-file`.
    pub proxy_ca: Option<PathBuf>,
    /// `--requestheader-allowed-names`.
    pub allowed_names: Vec<String>,
    /// `--requestheader-username-headers`.
    pub username_headers: Vec<String>,
    /// `--requestheader-uid-headers`.
    pub uid_headers: Vec<String>,
    /// `--requestheader-group-headers`.
    pub group_headers: Vec<String>,
    /// `--requestheader-extra-headers-prefix`.
    pub extra_prefixes: Vec<String>,
}

/// Publishes what delegated authentication needs to know.
pub async fn publish_trust(registry: &Registry, trust: &Trust) -> Result<(), BootstrapError> {
    let mut map = own_map();
    let cx = context(&map, Verb::Update)?;
    let current = registry.store.cached(&cx.resource, &cx.resource.key(NAMESPACE, NAME));
    let Some(current) = current.map(|current| current.value()) else {
        map["data"] = trust.data(&Map::new())?.into();
        return create(registry, map).await;
    };
    let nothing = Map::new();
    let before = current.get("data").and_then(Value::as_object).unwrap_or(&nothing);
    let data = trust.data(before)?;
    if data == *before {
        return Ok(());
    }
    tracing::info!("writing changed authentication info to {NAMESPACE}/{NAME}");
    let mut wanted = current.clone();
    wanted["data"] = data.into();
    let written = registry.update(&cx, body(&wanted)).await;
    written.map(drop).map_err(|source| BootstrapError::Refused { name: NAME.to_owned(), source })
}

/// Publishes it again when files or the map change, for ever.
pub async fn keep_trust(registry: Arc<Registry>, trust: Trust) {
    let mut files = files::Watch::new([&trust.client_ca, &trust.proxy_ca].into_iter().flatten().cloned());
    let mut map = Followed::new(own_map());
    loop {
        if let Err(error) = publish_trust(&registry, &trust).await {
            tracing::warn!(%error, "cannot publish what delegated authentication needs");
        }
        tokio::select! {
            () = files.changed() => {}
            () = map.changed(&registry) => {}
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

/// The map without its data.
fn own_map() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME, "namespace": NAMESPACE}})
}

impl Trust {
    /// What is published, given what is there.
    fn data(&self, before: &Map) -> Result<Map, BootstrapError> {
        let mut data = Map::new();
        if let Some(bundle) = bundle(before, CLIENT_CA, self.client_ca.as_ref())? {
            data.insert(CLIENT_CA.to_owned(), bundle.into());
        }
        let Some(bundle) = bundle(before, PROXY_CA, self.proxy_ca.as_ref())? else { return Ok(data) };
        data.insert(PROXY_CA.to_owned(), bundle.into());
        for (key, own, is_optional) in [
            ("requestheader-allowed-names", &self.allowed_names, false),
            ("requestheader-username-headers", &self.username_headers, false),
            ("requestheader-uid-headers", &self.uid_headers, true),
            ("requestheader-group-headers", &self.group_headers, false),
            ("requestheader-extra-headers-prefix", &self.extra_prefixes, false),
        ] {
            let list = combined(before.get(key), own);
            if !(is_optional && list.is_empty()) {
                data.insert(key.to_owned(), json!(list).to_string().into());
            }
        }
        Ok(data)
    }
}

/// The certificates that are published and those of the file, each once, without those that have
/// expired.
fn bundle(before: &Map, key: &str, file: Option<&PathBuf>) -> Result<Option<String>, BootstrapError> {
    let published = before.get(key).and_then(Value::as_str).unwrap_or_default();
    // What somebody else broke is not kept.
    let mut all = pki::pem::parse_certificates(published.as_bytes(), key).unwrap_or_default();
    if let Some(file) = file {
        all.extend(pki::pem::certificates(file)?);
    }
    let (mut kept, now) = (Vec::new(), jiff::Timestamp::now());
    for certificate in all {
        let is_valid = Validity::of_der(&certificate, key)?.is_expired(now).not();
        if is_valid && !kept.contains(&certificate) {
            kept.push(certificate);
        }
    }
    Ok((!kept.is_empty()).then(|| pki::pem::certificate_text(&kept)))
}

/// The words of both lists, each once.
fn combined(before: Option<&Value>, own: &[String]) -> Vec<String> {
    let text = before.and_then(Value::as_str).unwrap_or_default();
    let mut words: Vec<String> = serde_json::from_str(text).unwrap_or_default();
    for word in own {
        if !words.contains(word) {
            words.push(word.clone());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority(folder: &std::path::Path, name: &str) -> (PathBuf, String) {
        let authority = pki::Authority::create(name, Duration::from_secs(3600)).expect("an authority");
        let path = folder.join(name);
        std::fs::write(&path, authority.certificate_pem()).expect("a file");
        (path, authority.certificate_pem().to_owned())
    }

    #[test]
    fn servers_add_to_what_others_publish() {
        let folder = tempfile::tempdir().expect("a folder");
        let (a, b) = (authority(folder.path(), "a"), authority(folder.path(), "b"));
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let first = Trust { client_ca: Some(a.0.clone()), ..Trust::default() };
        let data = first.data(&Map::new()).expect("data");
        assert_eq!(data.len(), 1);
        assert_eq!(first.data(&data).expect("data"), data);
        let second =
            Trust { client_ca: Some(b.0), proxy_ca: Some(a.0), allowed_names: names(&["front"]), ..Trust::default() };
        let data = second.data(&data).expect("data");
        let certificates = |key: &str| {
            let text = data[key].as_str().expect("text").to_owned();
            pki::pem::parse_certificates(text.as_bytes(), key).expect("certificates").len()
        };
        assert_eq!((certificates(CLIENT_CA), certificates(PROXY_CA)), (2, 1));
        assert_eq!(data["requestheader-allowed-names"], r#"["front"]"#);
        assert!(!data.contains_key("requestheader-uid-headers"));
        let third = Trust { allowed_names: names(&["other", "front"]), ..Trust::default() };
        let data = third.data(&data).expect("data");
        assert_eq!(data["requestheader-allowed-names"], r#"["front","other"]"#);
    }
}
