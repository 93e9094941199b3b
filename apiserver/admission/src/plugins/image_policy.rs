//! `ImagePolicyWebhook`: a server outside of this one says which images pods may run.
//!
//! The annotation `alpha.image-policy.k8s.io/failed-open`, which upstream also puts on the pod itself, is only one of the
//! audit event here.
//!
//! Upstream: `plugin/pkg/admission/imagepolicy`.

mod configuration;

use crate::Means;
use crate::denial::forbidden;
use apimachinery::Value;
use apimachinery::status::Status;
use apiserver_registry::Context;
use apiserver_registry::admission::{Attributes, Operation, Plugin};
use apiserver_webhook::remote::{Expiring, Remote};
use async_trait::async_trait;
use configuration::Configuration;
use serde_json::{Map, json};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::Duration;

/// Longest time for one answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// What annotations of pods that the webhook sees have in their names.
const ANNOTATION: &str = ".image-policy.k8s.io/";
/// What annotations of audit events begin with.
const AUDIT: &str = "imagepolicywebhook.image-policy.k8s.io/";

pub(crate) struct ImagePolicyWebhook {
    remote: Remote,
    configuration: Configuration,
    kept: Expiring<[u8; 32], Verdict>,
}

/// What the webhook said of some images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Verdict {
    allowed: bool,
    reason: String,
    annotations: Vec<(String, String)>,
}

impl ImagePolicyWebhook {
    /// With its configuration.
    ///
    /// # Errors
    /// None, or one that makes no sense; upstream's words.
    pub(crate) fn new(means: &Means, configuration: Option<&Value>) -> Result<Self, String> {
        let configuration = Configuration::parse(configuration.ok_or("no config specified")?)?;
        let client = apiserver_webhook::Means { store: means.store.clone(), supervisor: means.supervisor.clone() };
        let remote = Remote::load(Path::new(&configuration.kubeconfig), TIMEOUT, &client);
        let remote = remote.map_err(|error| error.to_string())?.with_pause(configuration.pause);
        Ok(Self { remote, configuration, kept: Expiring::default() })
    }

    /// Asks, or remembers.
    async fn verdict(&self, spec: Value) -> Result<Verdict, String> {
        let key: [u8; 32] = Sha256::digest(spec.to_string()).into();
        if let Some(known) = self.kept.get(&key) {
            return Ok(known);
        }
        let review = json!({"kind": "ImageReview", "apiVersion": "imagepolicy.k8s.io/v1alpha1", "metadata": {}, "spec": spec,
            "status": {"allowed": false}});
        let verdict = Verdict::of(&self.remote.review(&review).await?);
        let life = if verdict.allowed { self.configuration.allow_ttl } else { self.configuration.deny_ttl };
        self.kept.keep(key, verdict.clone(), life);
        Ok(verdict)
    }
}

impl Verdict {
    fn of(review: &Value) -> Self {
        let status = review.get("status").unwrap_or(&Value::Null);
        let annotations = status.get("auditAnnotations").and_then(Value::as_object).into_iter().flatten();
        Self {
            allowed: status.get("allowed").and_then(Value::as_bool).unwrap_or_default(),
            reason: status.get("reason").and_then(Value::as_str).unwrap_or_default().to_owned(),
            annotations: annotations
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect(),
        }
    }
}

#[async_trait]
impl Plugin for ImagePolicyWebhook {
    fn name(&self) -> &'static str {
        "ImagePolicyWebhook"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        let is_pod = context.resource.group.is_empty() && &*context.resource.plural == "pods";
        let is_heard = matches!(context.subresource_name(), "" | "ephemeralcontainers");
        is_pod && is_heard && matches!(operation, Operation::Create | Operation::Update)
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let context = attributes.context;
        let verdict = match self.verdict(spec(attributes.object, context)).await {
            Ok(verdict) => verdict,
            Err(error) if self.configuration.default_allow => {
                tracing::warn!(error, "the image policy webhook did not answer, the pod is allowed in spite of that");
                context.annotate(&format!("{AUDIT}failed-open"), || "true".to_owned());
                return Ok(());
            }
            Err(error) => return Err(forbidden(attributes, &error)),
        };
        for (key, value) in &verdict.annotations {
            context.annotate(&format!("{AUDIT}{key}"), || value.clone());
        }
        match (verdict.allowed, verdict.reason.as_str()) {
            (true, _) => Ok(()),
            (false, "") => Err(forbidden(attributes, "one or more images rejected by webhook backend")),
            (false, reason) => {
                Err(forbidden(attributes, &format!("image policy webhook backend denied one or more images: {reason}")))
            }
        }
    }
}

/// What the webhook is asked.
fn spec(pod: &Value, context: &Context) -> Value {
    let lists: &[&str] = match context.subresource_name() {
        "" => &["containers", "initContainers"],
        _ => &["ephemeralContainers"],
    };
    let containers = lists.iter().filter_map(|list| pod.get("spec")?.get(list)?.as_array()).flatten();
    let image = |container: &Value| match container.get("image").and_then(Value::as_str) {
        Some(image) => json!({"image": image}),
        None => json!({}),
    };
    let mut spec = Map::new();
    spec.insert("containers".into(), containers.map(image).collect());
    let annotations = pod.pointer("/metadata/annotations").and_then(Value::as_object).into_iter().flatten();
    let meant: Map<String, Value> = annotations
        .filter(|(key, _)| key.contains(ANNOTATION))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if !meant.is_empty() {
        spec.insert("annotations".into(), meant.into());
    }
    spec.insert("namespace".into(), context.namespace.as_str().into());
    spec.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::context;

    #[test]
    fn webhooks_are_asked_about_images() {
        let pod = json!({"metadata": {"annotations": {"a.image-policy.k8s.io/x": "1", "other": "2"}},
            "spec": {"containers": [{"image": "a"}], "initContainers": [{"image": "b"}], "ephemeralContainers": [{"image": "c"}]}});
        let asked = spec(&pod, &context("/pods", "", "u"));
        let want = json!({"containers": [{"image": "a"}, {"image": "b"}], "annotations": {"a.image-policy.k8s.io/x": "1"},
            "namespace": "ns"});
        assert_eq!(asked, want);
        let asked = spec(&json!({"spec": pod["spec"]}), &context("/pods", "ephemeralcontainers", "u"));
        assert_eq!(asked, json!({"containers": [{"image": "c"}], "namespace": "ns"}));
    }

    #[test]
    fn verdicts_are_read() {
        let review = json!({"status": {"allowed": true, "auditAnnotations": {"k": "v"}}});
        let want = Verdict { allowed: true, annotations: vec![("k".into(), "v".into())], ..Verdict::default() };
        assert_eq!(Verdict::of(&review), want);
        assert_eq!(Verdict::of(&json!({})), Verdict::default());
    }
}
