//! `CredentialProviderConfig`: which programs know credentials for which images. Reading files is all the I/O of it.
//!
//! Upstream: `pkg/credentialprovider/plugin/config.go`.

use crate::images::registry::Place;
use component::GoDuration;
use component::kinds::{self, Kind, KindError};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const KINDS: [Kind; 3] =
    [kind("kubelet.config.k8s.io/v1"), kind("kubelet.config.k8s.io/v1beta1"), kind("kubelet.config.k8s.io/v1alpha1")];
/// Versions that programs may speak.
const API_VERSIONS: [&str; 3] = [
    "credentialprovider.kubelet.k8s.io/v1",
    "credentialprovider.kubelet.k8s.io/v1alpha1",
    "credentialprovider.kubelet.k8s.io/v1beta1",
];

const fn kind(api_version: &'static str) -> Kind {
    Kind { api_version, kind: "CredentialProviderConfig", unbuilt: &[] }
}

/// The file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct File {
    providers: Vec<Provider>,
}

/// One program.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Provider {
    pub name: String,
    pub match_images: Vec<String>,
    pub default_cache_duration: Option<GoDuration>,
    pub api_version: String,
    pub args: Vec<String>,
    pub env: Vec<Variable>,
    pub token_attributes: Option<TokenAttributes>,
}

/// A variable of its environment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Variable {
    pub name: String,
    pub value: String,
}

/// That the program is given a token of the pod's service account.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct TokenAttributes {
    pub service_account_token_audience: String,
    pub cache_type: String,
    pub require_service_account: Option<bool>,
    pub required_service_account_annotation_keys: Vec<String>,
    pub optional_service_account_annotation_keys: Vec<String>,
}

/// What is wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum ProviderConfigError {
    #[error("unable to access path {path:?}: {source}")]
    Access { path: String, source: std::io::Error },
    #[error("no configuration files found in directory {0:?}")]
    NoFiles(String),
    #[error("error decoding config: {0}")]
    Decode(#[from] KindError),
    #[error("duplicate provider name {0:?} found in configuration file(s)")]
    Duplicate(String),
    #[error("failed to validate credential provider config: {}", .0.join(", "))]
    Invalid(Vec<String>),
}

/// All providers of a file, or of the files of a folder in the order of their names, and the digest of these files.
pub fn load(path: &Path) -> Result<(Vec<Provider>, String), ProviderConfigError> {
    let mut hash = Sha256::new();
    let mut providers: Vec<Provider> = Vec::new();
    for file in files(path)? {
        let text = std::fs::read_to_string(&file).map_err(access(&file))?;
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(&text);
        for provider in parse(&text, &file.display().to_string())? {
            if providers.iter().any(|other| other.name == provider.name) {
                return Err(ProviderConfigError::Duplicate(provider.name));
            }
            providers.push(provider);
        }
    }
    let wrong = problems(&providers);
    if !wrong.is_empty() {
        return Err(ProviderConfigError::Invalid(wrong));
    }
    Ok((providers, format!("sha256:{}", hex(&hash.finalize()))))
}

/// Bytes as text.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn access(path: &Path) -> impl FnOnce(std::io::Error) -> ProviderConfigError {
    let path = path.display().to_string();
    move |source| ProviderConfigError::Access { path, source }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, ProviderConfigError> {
    if !std::fs::metadata(path).map_err(access(path))?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let is_config = |file: &PathBuf| {
        let kind = file.extension().and_then(|extension| extension.to_str());
        matches!(kind, Some("json" | "yaml" | "yml")) && !file.is_dir()
    };
    let entries = std::fs::read_dir(path).map_err(access(path))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_config).collect();
    files.sort();
    if files.is_empty() { Err(ProviderConfigError::NoFiles(path.display().to_string())) } else { Ok(files) }
}

fn parse(text: &str, file: &str) -> Result<Vec<Provider>, KindError> {
    for kind in &KINDS {
        match kinds::parse::<File>(text, file, kind) {
            Err(KindError::OtherKind { .. }) => {}
            read => return Ok(read?.config.providers),
        }
    }
    Ok(kinds::parse::<File>(text, file, &KINDS[0])?.config.providers)
}

/// What is wrong, in upstream's words.
fn problems(providers: &[Provider]) -> Vec<String> {
    let mut wrong = Vec::new();
    if providers.is_empty() {
        wrong.push("providers: Required value: at least 1 item in plugins is required".to_owned());
    }
    for provider in providers {
        let name = &provider.name;
        let mut bad_name =
            |why: &str| wrong.push(format!("providers.name: Invalid value: {name:?}: provider name {why}"));
        if name.contains('/') {
            bad_name("cannot contain '/'");
        }
        if name.contains(' ') {
            bad_name("cannot contain spaces");
        }
        if name == "." || name == ".." {
            bad_name(&format!("cannot be '{name}'"));
        }
        let version = provider.api_version.as_str();
        if version.is_empty() {
            wrong.push("providers.apiVersion: Required value".to_owned());
        } else if !API_VERSIONS.contains(&version) {
            let known = API_VERSIONS.map(|version| format!("{version:?}")).join(", ");
            wrong.push(format!("providers.apiVersion: Unsupported value: {version:?}: supported values: {known}"));
        }
        if provider.match_images.is_empty() {
            let why = "at least 1 item in matchImages is required";
            wrong.push(format!("providers.matchImages: Required value: {why}"));
        }
        for pattern in provider.match_images.iter().filter(|pattern| Place::parse(pattern).is_none()) {
            wrong.push(format!("providers.matchImages: Invalid value: {pattern:?}: match image is invalid"));
        }
        if provider.default_cache_duration.is_none() {
            wrong.push("providers.defaultCacheDuration: Required value".to_owned());
        }
        if let Some(attributes) = &provider.token_attributes {
            wrong.extend(attribute_problems(attributes, version));
        }
    }
    wrong
}

fn attribute_problems(attributes: &TokenAttributes, version: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut say = |field: &str, what: &str| {
        let dot = if field.is_empty() { "" } else { "." };
        wrong.push(format!("providers.tokenAttributes{dot}{field}: {what}"));
    };
    if attributes.service_account_token_audience.is_empty() {
        say("serviceAccountTokenAudience", "Required value");
    }
    if attributes.require_service_account.is_none() {
        say("requireServiceAccount", "Required value");
    }
    let [only, ..] = API_VERSIONS;
    if version != only {
        say("", &format!("Forbidden: tokenAttributes is only supported for {only} API version"));
    }
    let (required, optional) =
        (&attributes.required_service_account_annotation_keys, &attributes.optional_service_account_annotation_keys);
    if attributes.require_service_account == Some(false) && !required.is_empty() {
        let why = "requireServiceAccount cannot be false when requiredServiceAccountAnnotationKeys is set";
        say("requiredServiceAccountAnnotationKeys", &format!("Forbidden: {why}"));
    }
    for (field, keys) in
        [("requiredServiceAccountAnnotationKeys", required), ("optionalServiceAccountAnnotationKeys", optional)]
    {
        let mut seen = BTreeSet::new();
        for key in keys.iter().filter(|key| !seen.insert(*key)) {
            say(field, &format!("Duplicate value: {key:?}"));
        }
    }
    let both: BTreeSet<&String> = required.iter().filter(|key| optional.contains(key)).collect();
    if !both.is_empty() {
        say("", &format!("Invalid value: {both:?}: annotation keys cannot be both required and optional"));
    }
    match attributes.cache_type.as_str() {
        "ServiceAccount" | "Token" => {}
        "" => {
            let why = "cacheType is required to be set when tokenAttributes is specified. Supported values are: \
                       ServiceAccount, Token";
            say("cacheType", &format!("Required value: {why}"));
        }
        other => {
            say("cacheType", &format!("Unsupported value: {other:?}: supported values: \"ServiceAccount\", \"Token\""));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
kind: CredentialProviderConfig
apiVersion: kubelet.config.k8s.io/v1
providers:
- name: NAME
  matchImages: ['*.test']
  defaultCacheDuration: 12h
  apiVersion: credentialprovider.kubelet.k8s.io/v1
  args: [get]
  env: [{name: A, value: b}]
";

    fn write(folder: &Path, file: &str, text: &str) -> PathBuf {
        let path = folder.join(file);
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn a_folder_is_read_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for (file, name) in [("b.yaml", "second"), ("a.yml", "first"), ("c.conf", "ignored")] {
            write(folder.path(), file, &GOOD.replace("NAME", name));
        }
        let (providers, digest) = load(folder.path()).unwrap();
        assert_eq!(providers.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["first", "second"]);
        assert!(digest.starts_with("sha256:") && digest.len() == 71, "{digest}");
        write(folder.path(), "d.yaml", &GOOD.replace("NAME", "first"));
        let error = load(folder.path()).unwrap_err().to_string();
        assert_eq!(error, "duplicate provider name \"first\" found in configuration file(s)");
    }

    #[test]
    fn older_versions_are_read_and_others_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (version, good) in [("v1", true), ("v1beta1", true), ("v1alpha1", true), ("v2", false)] {
            let text = GOOD.replace("kubelet.config.k8s.io/v1\n", &format!("kubelet.config.k8s.io/{version}\n"));
            assert_eq!(load(&write(folder.path(), "a.yaml", &text)).is_ok(), good, "{version}");
        }
        let unknown = format!("{GOOD}  nope: 1\n");
        assert!(load(&write(folder.path(), "a.yaml", &unknown)).is_err());
    }

    #[test]
    fn what_is_wrong_is_said() {
        let attributes = |token: TokenAttributes| Provider { token_attributes: Some(token), ..good() };
        for (provider, want) in [
            (Provider { name: "a/b".into(), ..good() }, "provider name cannot contain '/'"),
            (Provider { name: "..".into(), ..good() }, "provider name cannot be '..'"),
            (Provider { api_version: "x".into(), ..good() }, "providers.apiVersion: Unsupported value: \"x\""),
            (Provider { match_images: vec![], ..good() }, "at least 1 item in matchImages is required"),
            (Provider { match_images: vec!["a b".into()], ..good() }, "match image is invalid"),
            (Provider { default_cache_duration: None, ..good() }, "providers.defaultCacheDuration: Required value"),
            (attributes(TokenAttributes::default()), "tokenAttributes.requireServiceAccount: Required value"),
            (
                attributes(TokenAttributes { cache_type: "x".into(), ..TokenAttributes::default() }),
                "cacheType: Unsupported",
            ),
        ] {
            let got = problems(&[provider]).join("\n");
            assert!(got.contains(want), "{want}: {got}");
        }
        assert!(problems(&[good()]).is_empty());
        assert_eq!(problems(&[]).len(), 1);
    }

    fn good() -> Provider {
        Provider {
            name: "p".into(),
            match_images: vec!["r.test".into()],
            default_cache_duration: Some(GoDuration::from_secs(1)),
            api_version: API_VERSIONS[0].into(),
            ..Provider::default()
        }
    }
}
