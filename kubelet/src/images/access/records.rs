//! What is remembered of images that were pulled, and of pulls under way: a file each, so that a kubelet that starts
//! anew, upstream's too, knows of them.
//!
//! Upstream: `pkg/kubelet/images/pullmanager/fs_pullrecords.go`, `kubelet.config.k8s.io/v1beta1`.

use super::Source;
use k8s_openapi::jiff::{Timestamp, Unit};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The newest version that upstream knows; the one before has the same fields.
const VERSION: &str = "kubelet.config.k8s.io/v1beta1";
const VERSIONS: [&str; 2] = [VERSION, "kubelet.config.k8s.io/v1alpha1"];
/// Bytes that a record may have.
const LONGEST: u64 = 4 << 20;
const PREFIX: &str = "sha256-";

/// An image is being pulled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    api_version: String,
    kind: String,
    /// As a pod names it.
    pub image: String,
}

/// An image was pulled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    api_version: String,
    kind: String,
    pub last_updated_time: Timestamp,
    /// As the runtime names it.
    pub image_ref: String,
    /// By the name that pods gave it, without tag and digest, what it was pulled with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub credential_mapping: BTreeMap<String, Credentials>,
}

/// What an image was pulled with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Credentials {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kubernetes_secrets: Vec<Secret>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kubernetes_service_accounts: Vec<Object>,
    /// With what all pods of the node have, or with none.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub node_pods_accessible: bool,
}

/// An object of the cluster. Ordered as upstream orders them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Object {
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

/// A secret, and what its credentials were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Secret {
    #[serde(flatten)]
    pub object: Object,
    pub credential_hash: String,
}

impl Record {
    /// Of an image that nobody has shown credentials for.
    pub fn new(image_ref: &str, now: Timestamp) -> Self {
        let (api_version, kind) = (VERSION.to_owned(), "ImagePulledRecord".to_owned());
        // Upstream's times have whole seconds.
        let last_updated_time = now.round(Unit::Second).unwrap_or(now);
        let image_ref = image_ref.to_owned();
        Self { api_version, kind, last_updated_time, image_ref, credential_mapping: BTreeMap::new() }
    }

    /// Adds what the image of this name was pulled with; whether that is new.
    pub fn add(&mut self, name: &str, with: &Source, now: Timestamp) -> bool {
        let Some(known) = self.credential_mapping.get_mut(name) else {
            let mut credentials = Credentials::default();
            credentials.add(with);
            self.credential_mapping.insert(name.to_owned(), credentials);
            self.last_updated_time = now.round(Unit::Second).unwrap_or(now);
            return true;
        };
        let is_new = known.add(with);
        if is_new {
            self.last_updated_time = now.round(Unit::Second).unwrap_or(now);
        }
        is_new
    }
}

impl Credentials {
    fn add(&mut self, with: &Source) -> bool {
        if self.node_pods_accessible {
            return false;
        }
        match with {
            Source::Node => {
                *self = Self { node_pods_accessible: true, ..Self::default() };
                true
            }
            Source::Secret { object, hash } => {
                let known = self.kubernetes_secrets.iter_mut().find(|secret| secret.object == *object);
                match known {
                    Some(known) if known.credential_hash == *hash => return false,
                    Some(known) => known.credential_hash.clone_from(hash),
                    None => {
                        let secret = Secret { object: object.clone(), credential_hash: hash.clone() };
                        self.kubernetes_secrets.push(secret);
                    }
                }
                self.kubernetes_secrets.sort_by(|a, b| a.object.cmp(&b.object));
                true
            }
            Source::Account(object) => {
                let is_new = !self.kubernetes_service_accounts.contains(object);
                if is_new {
                    self.kubernetes_service_accounts.push(object.clone());
                    self.kubernetes_service_accounts.sort();
                }
                is_new
            }
        }
    }
}

/// The two folders of records.
#[derive(Clone, Debug)]
pub struct Store {
    pulling: PathBuf,
    pulled: PathBuf,
}

impl Store {
    /// Makes the folders below `--root-dir`.
    pub fn open(root: &Path) -> io::Result<Self> {
        let folder = root.join("image_manager");
        let store = Self { pulling: folder.join("pulling"), pulled: folder.join("pulled") };
        for folder in [&store.pulling, &store.pulled] {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        Ok(store)
    }

    /// Notes that an image is going to be pulled.
    pub fn intend(&self, image: &str) -> io::Result<()> {
        let (api_version, kind) = (VERSION.to_owned(), "ImagePullIntent".to_owned());
        write(&self.pulling, image, &Intent { api_version, kind, image: image.to_owned() })
    }

    /// Whether an image was going to be pulled.
    pub fn is_intended(&self, image: &str) -> io::Result<bool> {
        Ok(read::<Intent>(&self.pulling.join(name(image)))?.is_some_and(|intent| intent.image == image))
    }

    /// An image is not being pulled any more.
    pub fn forget_intent(&self, image: &str) -> io::Result<()> {
        remove(&self.pulling.join(name(image)))
    }

    /// All that were going to be pulled.
    pub fn intents(&self) -> Vec<Intent> {
        all(&self.pulling)
    }

    /// What is remembered of an image.
    pub fn record(&self, image_ref: &str) -> io::Result<Option<Record>> {
        Ok(read::<Record>(&self.pulled.join(name(image_ref)))?.filter(|record| record.image_ref == image_ref))
    }

    /// Remembers an image.
    pub fn keep(&self, record: &Record) -> io::Result<()> {
        write(&self.pulled, &record.image_ref, record)
    }

    /// Forgets an image.
    pub fn forget(&self, image_ref: &str) -> io::Result<()> {
        remove(&self.pulled.join(name(image_ref)))
    }

    /// All images that are remembered.
    pub fn records(&self) -> Vec<Record> {
        all(&self.pulled)
    }

    /// How many pulls and how many images are remembered.
    pub fn sizes(&self) -> (usize, usize) {
        (files(&self.pulling).count(), files(&self.pulled).count())
    }
}

/// Of a file, as images' names have characters that file systems do not like.
fn name(image: &str) -> String {
    let digest: String = Sha256::digest(image).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{PREFIX}{digest}")
}

fn files(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_record = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(PREFIX) && !name.ends_with(".tmp") && path.is_file()
    };
    entries.map(|entry| entry.path()).filter(is_record)
}

fn all<T: DeserializeOwned>(folder: &Path) -> Vec<T> {
    let read = |path: PathBuf| {
        read(&path).inspect_err(|error| tracing::error!(%error, path = %path.display(), "cannot read a record")).ok()?
    };
    files(folder).filter_map(read).collect()
}

/// What a file says; nothing if there is none.
fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let file = match std::fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text)?;
    let value: serde_json::Value = serde_json::from_slice(&text)?;
    let version = value.get("apiVersion").and_then(|version| version.as_str()).unwrap_or_default();
    if !VERSIONS.contains(&version) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("no such version: {version:?}")));
    }
    Ok(Some(serde_json::from_value(value)?))
}

/// The file is there as a whole, or as it was.
fn write(folder: &Path, image: &str, record: &impl Serialize) -> io::Result<()> {
    let target = folder.join(name(image));
    let temporary = target.with_extension("tmp");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(&serde_json::to_vec(record)?)?;
    std::fs::rename(&temporary, &target)
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str) -> Object {
        Object { namespace: "n".into(), name: name.into(), uid: "u".into() }
    }

    #[test]
    fn credentials_are_added_until_all_may_have_the_image() {
        let (mut record, now) = (Record::new("sha256:ab", Timestamp::UNIX_EPOCH), Timestamp::now());
        let secret = |name: &str, hash: &str| Source::Secret { object: object(name), hash: hash.into() };
        for (what, with, is_new) in [
            ("the first", secret("b", "1"), true),
            ("the same", secret("b", "1"), false),
            ("changed", secret("b", "2"), true),
            ("another", secret("a", "1"), true),
            ("an account", Source::Account(object("d")), true),
            ("the same account", Source::Account(object("d")), false),
        ] {
            assert_eq!(record.add("r.test/i", &with, now), is_new, "{what}");
        }
        let known = &record.credential_mapping["r.test/i"];
        let secrets: Vec<_> =
            known.kubernetes_secrets.iter().map(|s| (s.object.name.as_str(), s.credential_hash.as_str())).collect();
        assert_eq!(secrets, [("a", "1"), ("b", "2")]);
        assert!(record.add("r.test/i", &Source::Node, now) && !record.add("r.test/i", &secret("c", "1"), now));
        let known = &record.credential_mapping["r.test/i"];
        assert!(known.node_pods_accessible && known.kubernetes_secrets.is_empty());
    }

    #[test]
    fn records_are_as_upstream_writes_them() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.intend("r.test/i:1").unwrap();
        let file = folder.path().join("image_manager/pulling").join(name("r.test/i:1"));
        let text = std::fs::read_to_string(&file).unwrap();
        let want = r#"{"apiVersion":"kubelet.config.k8s.io/v1beta1","kind":"ImagePullIntent","image":"r.test/i:1"}"#;
        assert_eq!(text, want);
        assert!(store.is_intended("r.test/i:1").unwrap() && !store.is_intended("r.test/i").unwrap());
        let old = r#"{"kind":"ImagePulledRecord","apiVersion":"kubelet.config.k8s.io/v1alpha1",
            "lastUpdatedTime":"2026-01-02T03:04:05Z","imageRef":"sha256:ab","credentialMapping":{"r.test/i":
            {"kubernetesSecrets":[{"uid":"u","namespace":"n","name":"a","credentialHash":"h"}]}}}"#;
        std::fs::write(folder.path().join("image_manager/pulled").join(name("sha256:ab")), old).unwrap();
        let record = store.record("sha256:ab").unwrap().unwrap();
        assert_eq!(record.credential_mapping["r.test/i"].kubernetes_secrets[0].object, object("a"));
        assert_eq!(store.sizes(), (1, 1));
        store.forget("sha256:ab").unwrap();
        store.forget_intent("r.test/i:1").unwrap();
        store.forget_intent("r.test/i:1").unwrap();
        assert_eq!((store.sizes(), store.record("sha256:ab").unwrap()), ((0, 0), None));
        for bad in ["{", r#"{"apiVersion":"v9"}"#] {
            std::fs::write(folder.path().join("image_manager/pulled").join(name("sha256:ab")), bad).unwrap();
            assert!(store.record("sha256:ab").is_err() && store.records().is_empty());
        }
    }
}
