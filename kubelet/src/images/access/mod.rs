//! Who may have an image that is on the node: it was pulled with somebody's credentials, and who names it has to have
//! some that are as good.
//!
//! A pull is noted before it begins, so that what a kubelet pulled that ended over it does not pass for an image that
//! came with the node.
//!
//! Upstream: `pkg/kubelet/images/pullmanager`.

pub mod policy;
pub mod records;

use crate::runtime::images::{Image, RegistryAuth};
use component::metrics::{Registry, gauge};
use k8s_openapi::jiff::Timestamp;
use parking_lot::Mutex;
use policy::{Policy, untagged};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use records::{Credentials, Object, Record, Store};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// So many secrets of an image are remembered that nothing was pulled with, as they have the same content as one that
/// something was.
const MOST_SECRETS: usize = 100;

/// Whose credentials are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// All pods of the node have them, or there are none.
    #[default]
    Node,
    /// They are in a secret, and have this digest.
    Secret { object: Object, hash: String },
    /// A program gave them for a service account.
    Account(Object),
}

/// What is known of an image before the pod's credentials are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The pod may have it.
    Free,
    /// The pod may have it if it has one of these.
    For(Credentials),
    /// The pod has to pull it.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    result: &'static str,
}

/// What is remembered, and what it is for. Cheap to clone.
#[derive(Clone)]
pub struct Access(Arc<Shared>);

struct Shared {
    policy: Policy,
    store: Store,
    /// Pulls under way by the image's name; also who looks at the records and changes them has it.
    pulls: Mutex<HashMap<String, usize>>,
    outcomes: Family<Outcome, Counter>,
}

impl Access {
    /// What is remembered below `--root-dir`.
    pub fn open(root: &Path, policy: Policy) -> io::Result<Self> {
        let store = Store::open(root)?;
        Ok(Self(Arc::new(Shared { policy, store, pulls: Mutex::default(), outcomes: Family::default() })))
    }

    /// Serves what is counted.
    pub fn register(&self, registry: &mut Registry) {
        let help = "[ALPHA] Counter for how many times kubelet checked whether credentials need to be re-verified to \
                    access an image";
        registry.register("kubelet_imagemanager_image_mustpull_checks", help, self.0.outcomes.clone());
        registry.register_collector(Box::new(Sizes(self.clone())));
    }

    /// Of the images that the runtime has, those that a kubelet before this one was pulling count as pulled, with
    /// nobody's credentials.
    pub fn settle(&self, images: &[Image]) {
        let _pulls = self.0.pulls.lock();
        let store = &self.0.store;
        let intents: HashSet<String> = store.intents().into_iter().map(|intent| intent.image).collect();
        for image in images {
            for name in image.tags.iter().chain(&image.digests).filter(|name| intents.contains(*name)) {
                let known = store.record(&image.id).ok().flatten();
                let kept = known.map_or_else(|| store.keep(&Record::new(&image.id, Timestamp::now())), |_| Ok(()));
                if let Err(error) = kept.and_then(|()| store.forget_intent(name)) {
                    tracing::error!(%error, image = name, "cannot note that an image was pulled");
                }
            }
        }
    }

    /// Notes that a pull begins.
    pub fn begin(&self, image: &str) -> io::Result<()> {
        let mut pulls = self.0.pulls.lock();
        self.0.store.intend(image)?;
        *pulls.entry(image.to_owned()).or_default() += 1;
        Ok(())
    }

    /// Notes that an image was pulled, and with what.
    pub fn pulled(&self, image: &str, id: &str, with: &Source) {
        let mut pulls = self.0.pulls.lock();
        match self.add(image, id, with) {
            Ok(()) => self.ended(&mut pulls, image),
            // The note of the pull stays: the image does not pass for one that came with the node.
            Err(error) => tracing::error!(%error, image, "cannot note that an image was pulled"),
        }
    }

    /// Notes that an image was not pulled.
    pub fn failed(&self, image: &str) {
        self.ended(&mut self.0.pulls.lock(), image);
    }

    fn ended(&self, pulls: &mut HashMap<String, usize>, image: &str) {
        match pulls.get_mut(image) {
            Some(count) if *count > 1 => *count -= 1,
            _ => match self.0.store.forget_intent(image) {
                Ok(()) => drop(pulls.remove(image)),
                Err(error) => tracing::error!(%error, image, "cannot forget that an image was to be pulled"),
            },
        }
    }

    fn add(&self, image: &str, id: &str, with: &Source) -> io::Result<()> {
        let now = Timestamp::now();
        let known = self.0.store.record(id).ok().flatten();
        let mut record = known.unwrap_or_else(|| Record::new(id, now));
        if record.add(untagged(image), with, now) { self.0.store.keep(&record) } else { Ok(()) }
    }

    /// Whether a pod may have an image that is here by this name and this id, as far as that can be said yet.
    pub fn standing(&self, image: &str, id: &str) -> Standing {
        let (standing, result) = match self.look(image, id) {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%error, image, "it is not known whose credentials an image was pulled with");
                (Standing::Unknown, "error")
            }
        };
        if !matches!(standing, Standing::For(_)) {
            self.count(result);
        }
        standing
    }

    fn look(&self, image: &str, id: &str) -> io::Result<(Standing, &'static str)> {
        let pulls = self.0.pulls.lock();
        let record = self.0.store.record(id)?;
        let pulled = record.is_some() || pulls.contains_key(image) || self.0.store.is_intended(image)?;
        if !self.0.policy.verifies(image, pulled) {
            return Ok((Standing::Free, "credentialPolicyAllowed"));
        }
        let known = record.and_then(|mut record| record.credential_mapping.remove(untagged(image)));
        Ok(match known {
            Some(known) if known.node_pods_accessible => (Standing::Free, "credentialRecordFound"),
            Some(known) if known != Credentials::default() => (Standing::For(known), ""),
            _ => (Standing::Unknown, "mustAuthenticate"),
        })
    }

    /// Whether one of a pod's credentials is as good as one that the image was pulled with. A secret that has changed,
    /// or another one with the same content, is remembered from now on.
    pub fn suffices(&self, image: &str, id: &str, known: &Credentials, own: &[RegistryAuth]) -> bool {
        let sources = || own.iter().map(|auth| &auth.source);
        let secret = sources().find_map(|source| {
            let Source::Secret { object, hash } = source else { return None };
            let same_content = known.kubernetes_secrets.iter().any(|secret| secret.credential_hash == *hash);
            let same_object = known.kubernetes_secrets.iter().any(|secret| secret.object == *object);
            let has_room = known.kubernetes_secrets.len() < MOST_SECRETS;
            let is_new = same_content != same_object;
            (same_content || (same_object && has_room)).then_some((source, is_new && has_room))
        });
        if let Some((source, true)) = secret {
            let _pulls = self.0.pulls.lock();
            if let Err(error) = self.add(image, id, source) {
                tracing::error!(%error, image, "cannot note who may have an image");
            }
        }
        let account = || {
            sources().any(|source| match source {
                Source::Account(object) => known.kubernetes_service_accounts.contains(object),
                Source::Node | Source::Secret { .. } => false,
            })
        };
        let suffices = secret.is_some() || account();
        self.count(if suffices { "credentialRecordFound" } else { "mustAuthenticate" });
        suffices
    }

    fn count(&self, result: &'static str) {
        self.0.outcomes.get_or_create(&Outcome { result }).inc();
    }

    /// Forgets images that are not there any more, unless they were pulled since `since`.
    pub fn keep_only(&self, ids: &HashSet<String>, since: Timestamp) {
        let _pulls = self.0.pulls.lock();
        let store = &self.0.store;
        let gone = |record: &Record| record.last_updated_time < since && !ids.contains(&record.image_ref);
        for record in store.records().iter().filter(|record| gone(record)) {
            if let Err(error) = store.forget(&record.image_ref) {
                tracing::error!(%error, image = record.image_ref, "cannot forget an image");
            }
        }
    }
}

/// Counts the records at each scrape.
struct Sizes(Access);

impl fmt::Debug for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sizes").finish_non_exhaustive()
    }
}

impl Collector for Sizes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (pulling, pulled) = self.0.0.store.sizes();
        for (what, kind, count) in
            [("pullintents", "ImagePullIntents", pulling), ("pulledrecords", "ImagePulledRecords", pulled)]
        {
            let help = format!("[ALPHA] Number of {kind} stored on disk");
            gauge(&mut encoder, &format!("kubelet_imagemanager_ondisk_{what}"), &help, count)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: &str = "r.test/i:1";

    fn access(folder: &Path, policy: Policy) -> Access {
        Access::open(folder, policy).unwrap()
    }

    fn object(name: &str) -> Object {
        Object { namespace: "n".into(), name: name.into(), uid: name.into() }
    }

    fn secret(name: &str, hash: &str) -> RegistryAuth {
        let source = Source::Secret { object: object(name), hash: hash.into() };
        RegistryAuth { source, ..RegistryAuth::default() }
    }

    fn may(access: &Access, own: &[RegistryAuth]) -> bool {
        match access.standing(IMAGE, "id") {
            Standing::Free => true,
            Standing::Unknown => false,
            Standing::For(known) => access.suffices(IMAGE, "id", &known, own),
        }
    }

    #[test]
    fn an_image_is_for_those_whose_credentials_are_as_good() {
        let folder = tempfile::tempdir().unwrap();
        let access = access(folder.path(), Policy::Preloaded);
        assert!(may(&access, &[]), "it came with the node");
        access.begin(IMAGE).unwrap();
        assert!(!may(&access, &[]), "it is being pulled");
        access.pulled(IMAGE, "id", &secret("a", "1").source);
        for (what, own, want) in [
            ("none", vec![], false),
            ("the node's", vec![RegistryAuth::default()], false),
            ("another secret", vec![secret("b", "2")], false),
            ("the secret", vec![secret("a", "1")], true),
            ("the same content", vec![secret("b", "2"), secret("c", "1")], true),
            ("the secret with other content", vec![secret("a", "3")], true),
            ("what it had then", vec![secret("d", "3")], true),
        ] {
            assert_eq!(may(&access, &own), want, "{what}");
        }
        let account = RegistryAuth { source: Source::Account(object("s")), ..RegistryAuth::default() };
        assert!(!may(&access, std::slice::from_ref(&account)));
        access.begin(IMAGE).unwrap();
        access.pulled(IMAGE, "id", &account.source);
        assert!(may(&access, &[account]));
        access.begin(IMAGE).unwrap();
        access.pulled(IMAGE, "id", &Source::Node);
        assert!(may(&access, &[]), "it can be had without credentials");
        let mut registry = Registry::default();
        access.register(&mut registry);
        let text = component::metrics::encode(&registry);
        for line in [
            "kubelet_imagemanager_image_mustpull_checks_total{result=\"credentialPolicyAllowed\"} 1",
            "kubelet_imagemanager_image_mustpull_checks_total{result=\"mustAuthenticate\"} 5",
            "kubelet_imagemanager_ondisk_pulledrecords 1",
            "kubelet_imagemanager_ondisk_pullintents 0",
        ] {
            assert!(text.lines().any(|other| other == line), "no {line} in {text}");
        }
    }

    #[test]
    fn pulls_that_a_kubelet_left_behind_count() {
        let folder = tempfile::tempdir().unwrap();
        let first = access(folder.path(), Policy::Preloaded);
        first.begin(IMAGE).unwrap();
        first.begin("gone").unwrap();
        first.failed("gone");
        let second = access(folder.path(), Policy::Preloaded);
        assert!(!may(&second, &[]), "nobody knows how that ended");
        let image = Image { id: "id".into(), tags: vec![IMAGE.into()], ..Image::default() };
        second.settle(&[image]);
        assert_eq!(second.0.store.sizes(), (0, 1));
        assert!(!may(&second, &[secret("a", "1")]));
        let later = Timestamp::now() + std::time::Duration::from_secs(9);
        second.keep_only(&["id".to_owned()].into(), later);
        assert_eq!(second.0.store.sizes(), (0, 1));
        second.keep_only(&HashSet::new(), later);
        assert_eq!(second.0.store.sizes(), (0, 0));
    }
}
