//! Getting images: policy, credentials, back-off, events.
//!
//! Upstream: `pkg/kubelet/images`.

pub mod access;
pub mod credentials;
pub mod gc;
pub mod node_config;
pub mod providers;
pub mod registry;

use crate::backoff::Backoff;
use crate::events::{Events, Severity};
use crate::images::access::{Access, Source, Standing};
use crate::images::node_config::NodeConfig;
use crate::images::providers::Providers;
use crate::images::registry::Keyring;
use crate::pod::PodExt;
use crate::rate::Rate;
use crate::runtime::images::{Image, RegistryAuth};
use crate::runtime::{Runtime, RuntimeError};
use crate::status::Waiting;
use k8s_openapi::api::core::v1::{Container, ImageVolumeSource, Pod};
use parking_lot::Mutex;
use proto::cri;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

const INITIAL: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(300);

/// A container has no image; its state says why.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ImageError {
    /// The pull failed just now.
    #[error("{0}")]
    Pull(String),
    /// It failed before and is not tried yet; the time left.
    #[error("Back-off pulling image \"{image}\": ErrImagePull: {why}")]
    BackOff { image: String, why: String, left: Duration },
    /// It is absent and may not be pulled.
    #[error("Container image \"{0}\" is not present with pull policy of Never")]
    Never(String),
    /// The runtime cannot say whether it is there.
    #[error("Failed to inspect image \"{image}\": {why}")]
    Inspect { image: String, why: String },
    /// The name is none.
    #[error("Failed to apply default image tag \"{0}\": couldn't parse image name")]
    Name(String),
}

impl ImageError {
    /// As the state of a waiting container.
    pub fn waiting(&self) -> Waiting {
        Waiting { reason: self.reason().to_owned(), message: self.to_string() }
    }

    /// As the reason of a waiting container.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Pull(_) => "ErrImagePull",
            Self::BackOff { .. } => "ImagePullBackOff",
            Self::Never(_) => "ErrImageNeverPull",
            Self::Inspect { .. } => "ImageInspectError",
            Self::Name(_) => "InvalidImageName",
        }
    }
}

/// An image that a pod needs.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// As the pod names it.
    reference: &'a str,
    policy: &'a str,
    /// The container that is made from it; a volume's image concerns the pod as a whole.
    container: Option<&'a str>,
}

impl<'a> Wish<'a> {
    /// The image that a container is made from.
    pub fn of_container(container: &'a Container) -> Self {
        Self {
            reference: container.image.as_deref().unwrap_or_default(),
            policy: container.image_pull_policy.as_deref().unwrap_or("IfNotPresent"),
            container: Some(&container.name),
        }
    }

    /// The image that a volume shows.
    pub fn of_volume(source: &'a ImageVolumeSource) -> Self {
        Self {
            reference: source.reference.as_deref().unwrap_or_default(),
            policy: source.pull_policy.as_deref().unwrap_or("IfNotPresent"),
            container: None,
        }
    }
}

/// Why a pull failed.
#[derive(Clone, Debug, thiserror::Error)]
enum PullError {
    /// There are too many.
    #[error("pull QPS exceeded")]
    TooMany,
    /// It could not be noted that it begins.
    #[error("{0}")]
    Unnoted(String),
    /// The runtime's words.
    #[error("{0}")]
    Runtime(String),
}

/// Pulls images. Cheap to clone.
#[derive(Clone)]
pub struct Images {
    runtime: Runtime,
    events: Events,
    slots: Arc<Semaphore>,
    rate: Arc<Rate>,
    backoff: Arc<Mutex<Failures>>,
    node: Option<Arc<NodeConfig>>,
    providers: Providers,
    /// Without it every pod may have what is here.
    access: Option<Access>,
}

struct Failures {
    delays: Backoff<String>,
    /// When and why the last pull of a key failed.
    last: std::collections::HashMap<String, (Instant, String)>,
}

impl Images {
    /// `parallel` pulls at a time; 1 if they are serialized.
    pub fn new(runtime: Runtime, events: Events, parallel: usize, rate: Rate) -> Self {
        let failures = Failures { delays: Backoff::new(INITIAL, LONGEST), last: Default::default() };
        Self {
            runtime,
            events,
            slots: Arc::new(Semaphore::new(parallel.max(1))),
            rate: Arc::new(rate),
            backoff: Arc::new(Mutex::new(failures)),
            node: None,
            providers: Providers::default(),
            access: None,
        }
    }

    /// The same, which asks pods for credentials also for images that are here.
    pub fn with_access(self, access: Option<Access>) -> Self {
        Self { access, ..self }
    }

    /// The same, with credentials of the node and of programs.
    pub fn with_credentials(self, node: NodeConfig, providers: Providers) -> Self {
        Self { node: Some(Arc::new(node)), providers, ..self }
    }

    /// The image, pulled if its policy says so.
    pub async fn ensure(
        &self,
        pod: &Pod,
        wish: Wish<'_>,
        auths: &[RegistryAuth],
        sandbox: &cri::PodSandboxConfig,
    ) -> Result<Image, ImageError> {
        let name = with_tag(wish.reference)?;
        let inspect = |e: RuntimeError| ImageError::Inspect { image: name.clone(), why: e.to_string() };
        let present = self.runtime.image(&name).await.map_err(inspect)?;
        let shown = wish.reference;
        let is_here = present.is_some();
        let asked = self.asked(wish, is_here);
        if let Some(image) = present.filter(|_| wish.policy != "Always")
            && self.may_have(pod, wish, &name, &image, auths).await
        {
            let text = format!("Container image \"{shown}\" already present on machine and can be accessed by the pod");
            self.event(pod, wish, Severity::Normal, "Pulled", text);
            asked(Some(false));
            return Ok(image);
        }
        asked(Some(true).filter(|_| wish.policy != "Never" || is_here));
        if wish.policy == "Never" {
            // Whether it is here is nobody's business who may not have it.
            let error = ImageError::Never(shown.to_owned());
            self.event(pod, wish, Severity::Warning, "ErrImageNeverPull", error.to_string());
            return Err(error);
        }
        self.pull(pod, wish, &name, auths, sandbox).await
    }

    /// Counts the wish, when it is known whether the image has to be pulled.
    fn asked(&self, wish: Wish<'_>, is_here: bool) -> impl Fn(Option<bool>) + use<> {
        let (counts, policy) = (self.runtime.metrics().images.clone(), wish.policy.to_lowercase());
        // Who always pulls does not look.
        let present = (wish.policy != "Always").then_some(is_here);
        move |pulls| counts.asked(&policy, present, pulls)
    }

    /// Whether the pod has credentials that are as good as those that an image was pulled with, where they are asked for.
    async fn may_have(&self, pod: &Pod, wish: Wish<'_>, name: &str, image: &Image, auths: &[RegistryAuth]) -> bool {
        let Some(access) = &self.access else { return true };
        match access.standing(wish.reference, &image.id) {
            Standing::Free => true,
            Standing::Unknown => false,
            Standing::For(known) => {
                let own = self.credentials(pod, &registry::repository(name), auths).await;
                access.suffices(wish.reference, &image.id, &known, &own)
            }
        }
    }

    async fn pull(
        &self,
        pod: &Pod,
        wish: Wish<'_>,
        name: &str,
        auths: &[RegistryAuth],
        sandbox: &cri::PodSandboxConfig,
    ) -> Result<Image, ImageError> {
        let key = format!("{}_{name}", pod.uid());
        let shown = wish.reference;
        self.check_backoff(pod, wish, &key)?;
        let begun = Instant::now();
        let _slot = self.slots.acquire().await;
        self.event(pod, wish, Severity::Normal, "Pulling", format!("Pulling image \"{shown}\""));
        let pulling = Instant::now();
        let pulled = self.pull_noted(pod, wish, name, auths, sandbox).await;
        let metrics = self.runtime.metrics();
        metrics.pods.startups.pulled(pod.uid(), pulling, Instant::now());
        match pulled {
            Ok(image) => {
                metrics.images.pulled(image.size, pulling.elapsed());
                let mut failures = self.backoff.lock();
                failures.delays.forget(&key);
                failures.last.remove(&key);
                let (net, gross) = (go_duration(pulling.elapsed()), go_duration(begun.elapsed()));
                let size = image.size;
                let text = format!(
                    "Successfully pulled image \"{shown}\" in {net} ({gross} including waiting). Image size: {size} bytes."
                );
                self.event(pod, wish, Severity::Normal, "Pulled", text);
                Ok(image)
            }
            Err(e) => {
                let why = match e {
                    PullError::TooMany => e.to_string(),
                    PullError::Unnoted(_) => format!("failed to record image pull intent: {e}"),
                    PullError::Runtime(_) => format!("failed to pull image \"{name}\": {e}"),
                };
                let mut failures = self.backoff.lock();
                failures.delays.next(key.clone(), Instant::now());
                failures.last.insert(key, (Instant::now(), why.clone()));
                let text = format!("Failed to pull image \"{shown}\": {e}");
                self.event(pod, wish, Severity::Warning, "Failed", text);
                self.event(pod, wish, Severity::Warning, "Failed", "Error: ErrImagePull");
                Err(ImageError::Pull(why))
            }
        }
    }

    fn check_backoff(&self, pod: &Pod, wish: Wish<'_>, key: &str) -> Result<(), ImageError> {
        let shown = wish.reference;
        let failures = self.backoff.lock();
        let Some((at, why)) = failures.last.get(key) else { return Ok(()) };
        let Some((_, left)) = failures.delays.waiting(&key.to_owned(), *at, Instant::now()) else { return Ok(()) };
        let error = ImageError::BackOff { image: shown.to_owned(), why: why.clone(), left };
        self.event(pod, wish, Severity::Normal, "BackOff", format!("Back-off pulling image \"{shown}\""));
        self.event(pod, wish, Severity::Warning, "Failed", "Error: ImagePullBackOff");
        Err(error)
    }

    /// What was kept for a pod that is gone.
    pub fn forget(&self, pod_uid: &str) {
        self.providers.forget(pod_uid);
    }

    /// Credentials for a repository: the pod's own, the node's, and those that programs know.
    async fn credentials(&self, pod: &Pod, repository: &str, secrets: &[RegistryAuth]) -> Vec<RegistryAuth> {
        let mut found = Keyring::of(secrets.iter().cloned()).lookup(repository);
        found.extend(self.node.iter().flat_map(|node| node.keyring().lookup(repository)));
        found.extend(self.providers.lookup(pod, repository).await);
        found
    }

    /// Pulls, and notes whose credentials were good for it.
    async fn pull_noted(
        &self,
        pod: &Pod,
        wish: Wish<'_>,
        name: &str,
        auths: &[RegistryAuth],
        sandbox: &cri::PodSandboxConfig,
    ) -> Result<Image, PullError> {
        let Some(access) = &self.access else {
            return self.pull_with(pod, name, auths, sandbox).await.map(|(image, _)| image);
        };
        access.begin(wish.reference).map_err(|error| PullError::Unnoted(error.to_string()))?;
        // A pod that goes meanwhile takes this with it: the note is then taken back by who is dropped.
        let mut noted = Noted { access, image: wish.reference, pulled: None };
        let (image, source) = self.pull_with(pod, name, auths, sandbox).await?;
        noted.pulled = Some((image.id.clone(), source));
        Ok(image)
    }

    /// Tries each credential that fits, or none at all if none does. Whose was good is told.
    async fn pull_with(
        &self,
        pod: &Pod,
        name: &str,
        auths: &[RegistryAuth],
        sandbox: &cri::PodSandboxConfig,
    ) -> Result<(Image, Source), PullError> {
        if !self.rate.admits() {
            return Err(PullError::TooMany);
        }
        let fitting = self.credentials(pod, &registry::repository(name), auths).await;
        let tries = if fitting.is_empty() { vec![None] } else { fitting.iter().map(Some).collect() };
        let mut last = None;
        for auth in tries {
            match self.runtime.pull(name, auth, sandbox).await {
                Ok(reference) => {
                    let known = self.runtime.image(&reference).await.ok().flatten();
                    let source = auth.map(|auth| auth.source.clone()).unwrap_or_default();
                    return Ok((known.unwrap_or(Image { id: reference, ..Image::default() }), source));
                }
                Err(e) => last = Some(e),
            }
        }
        let last = last.unwrap_or(RuntimeError::Timeout { call: "PullImage", patience: Duration::ZERO });
        Err(PullError::Runtime(last.message()))
    }

    fn event(&self, pod: &Pod, wish: Wish<'_>, severity: Severity, reason: &str, text: impl Into<String>) {
        match wish.container {
            Some(name) => self.events.container(pod, name, severity, reason, text),
            None => self.events.pod(pod, severity, reason, text),
        }
    }
}

/// A pull that was noted; its end is noted when this is dropped.
struct Noted<'a> {
    access: &'a Access,
    image: &'a str,
    pulled: Option<(String, Source)>,
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        match &self.pulled {
            Some((id, source)) => self.access.pulled(self.image, id, source),
            None => self.access.failed(self.image),
        }
    }
}

/// The name with `:latest` if it has neither tag nor digest.
fn with_tag(name: &str) -> Result<String, ImageError> {
    let last = name.rsplit('/').next().unwrap_or_default();
    let bad = name.is_empty() || last.is_empty() || name.len() > 1024 || name.contains(char::is_whitespace);
    if bad
        || name
            .split(['@', ':'])
            .next()
            .is_some_and(|n| n.rsplit('/').next().is_some_and(|l| l.chars().any(char::is_uppercase)))
    {
        return Err(ImageError::Name(name.to_owned()));
    }
    Ok(if last.contains([':', '@']) { name.to_owned() } else { format!("{name}:latest") })
}

/// As Go prints a duration rounded to milliseconds: `850ms`, `1.234s`, `2m3.4s`.
fn go_duration(d: Duration) -> String {
    let millis = d.as_millis();
    match millis {
        0..1000 => format!("{millis}ms"),
        1000..60_000 => format!("{}s", trim_zeros(millis as f64 / 1000.0)),
        _ => format!("{}m{}s", millis / 60_000, trim_zeros((millis % 60_000) as f64 / 1000.0)),
    }
}

fn trim_zeros(seconds: f64) -> String {
    let text = format!("{seconds:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, want) in [
            ("nginx", Some("nginx:latest")),
            ("localhost:5000/a/b", Some("localhost:5000/a/b:latest")),
            ("a/b:1", Some("a/b:1")),
            ("a@sha256:0", Some("a@sha256:0")),
            ("", None),
            ("a/", None),
            ("a b", None),
            ("a/Upper", None),
        ] {
            assert_eq!(with_tag(name).ok().as_deref(), want, "{name}");
        }
    }

    #[test]
    fn durations() {
        for (ms, want) in [(5, "5ms"), (1500, "1.5s"), (123_400, "2m3.4s"), (60_000, "1m0s")] {
            assert_eq!(go_duration(Duration::from_millis(ms)), want);
        }
    }
}
