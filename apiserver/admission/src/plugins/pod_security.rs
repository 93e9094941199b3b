//! `PodSecurity`: the pod security standards, as a namespace's labels ask for them.
//!
//! Upstream: `plugin/pkg/admission/security/podsecurity`, `pod-security-admission/admission/admission.go`.

mod checks;
mod configuration;
mod level;
mod metrics;
mod namespaces;

pub(crate) use configuration::Configuration;
pub(crate) use metrics::Metrics;

use crate::denial::forbidden;
use crate::lookup::{get, text};
use crate::pod::containers;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::status::Status;
use apiserver_registry::Context;
use apiserver_registry::admission::{Attributes, Operation, Plugin};
use apiserver_storage::Store;
use async_trait::async_trait;
use level::{Level, PREFIX, Policy, Standard};
use metrics::{Decision, Mode};
use std::sync::Arc;

/// Where kinds keep the pods that they will make; these are warned about, not refused.
const TEMPLATES: &[(&str, &str, &str)] = &[
    ("", "podtemplates", "/template"),
    ("", "replicationcontrollers", "/spec/template"),
    ("apps", "daemonsets", "/spec/template"),
    ("apps", "deployments", "/spec/template"),
    ("apps", "replicasets", "/spec/template"),
    ("apps", "statefulsets", "/spec/template"),
    ("batch", "cronjobs", "/spec/jobTemplate/spec/template"),
    ("batch", "jobs", "/spec/template"),
];

/// Subresources of pods that change nothing of their specification. Others are looked at, as they may.
const HARMLESS: &[&str] = &["exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"];

pub(crate) struct PodSecurity {
    store: Store,
    configuration: Configuration,
    metrics: Arc<Metrics>,
}

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Namespace,
    Pod,
    /// What will make pods of the template at this pointer.
    Template(&'static str),
}

impl Subject {
    fn of(context: &Context) -> Option<Self> {
        let (group, plural, part) = (&*context.resource.group, &*context.resource.plural, context.subresource_name());
        match (group, plural) {
            ("", "namespaces") => part.is_empty().then_some(Subject::Namespace),
            ("", "pods") => (!HARMLESS.contains(&part)).then_some(Subject::Pod),
            _ if !part.is_empty() => None,
            _ => TEMPLATES
                .iter()
                .find(|(g, kind, _)| (*g, *kind) == (group, plural))
                .map(|(_, _, pointer)| Subject::Template(pointer)),
        }
    }
}

impl PodSecurity {
    pub(crate) fn new(store: Store, configuration: Configuration, metrics: Arc<Metrics>) -> Self {
        Self { store, configuration, metrics }
    }

    /// Why a request is exempt, before its object is looked at.
    fn exemption(&self, context: &Context) -> Option<&'static str> {
        let exemptions = &self.configuration.exemptions;
        if exemptions.namespaces.contains(&context.namespace) {
            return Some("namespace");
        }
        exemptions.usernames.contains(&context.user.name).then_some("user")
    }

    fn is_exempt_class(&self, pod: &Value) -> bool {
        let class = text(pod, "/spec/runtimeClassName");
        !class.is_empty() && self.configuration.exemptions.runtime_classes.iter().any(|exempt| exempt == class)
    }

    fn exempt(&self, attributes: &Attributes<'_>, why: &'static str) {
        self.metrics.exempted(attributes);
        annotate(attributes, "exempt", || why.to_owned());
    }

    /// Judges a pod, or the template of one, which is not refused.
    fn judge(
        &self,
        attributes: &Attributes<'_>,
        policy: &Policy,
        pod: &Value,
        is_enforced: bool,
    ) -> Result<(), Status> {
        if self.is_exempt_class(pod) {
            self.exempt(attributes, "runtimeClass");
            return Ok(());
        }
        let mut refusal = None;
        if is_enforced {
            annotate(attributes, "enforce-policy", || policy.enforce.to_string());
            refusal = violation(policy.enforce, pod);
            let decision = if refusal.is_some() { Decision::Deny } else { Decision::Allow };
            self.metrics.evaluated(attributes, decision, policy.enforce, Mode::Enforce);
        }
        if let Some(violation) = violation(policy.audit, pod) {
            annotate(attributes, "audit-violations", || format!("would violate PodSecurity {violation}"));
            self.metrics.evaluated(attributes, Decision::Deny, policy.audit, Mode::Audit);
        }
        if let Some(violation) = refusal {
            return Err(forbidden(attributes, &format!("violates PodSecurity {violation}")));
        }
        // Who was let in by the same standard has nothing to be warned of.
        let is_judged = is_enforced && policy.warn == policy.enforce;
        if !is_judged && let Some(violation) = violation(policy.warn, pod) {
            attributes.context.warn(format!("would violate PodSecurity {violation}"));
            self.metrics.evaluated(attributes, Decision::Deny, policy.warn, Mode::Warn);
        }
        Ok(())
    }

    /// The policy of the request's namespace. Labels that cannot be read are told, and read as strictly as can be.
    async fn policy(&self, attributes: &Attributes<'_>) -> Result<Policy, Status> {
        let name = &attributes.context.namespace;
        let namespace = get(&self.store, ("", "v1", "namespaces"), "", name).await?;
        let namespace = namespace.ok_or_else(|| {
            self.metrics.failed(attributes, true);
            Status::internal(format!("failed to lookup namespace {name:?}"))
        })?;
        let (policy, errors) = Policy::of(|key| namespace.label(key), &self.configuration.defaults);
        if !errors.is_empty() {
            self.metrics.failed(attributes, false);
            let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
            let told = if let [one] = told.as_slice() { one.clone() } else { format!("[{}]", told.join(", ")) };
            annotate(attributes, "error", || format!("Failed to parse policy: {told}"));
        }
        Ok(policy)
    }
}

#[async_trait]
impl Plugin for PodSecurity {
    fn name(&self) -> &'static str {
        "PodSecurity"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        matches!(operation, Operation::Create | Operation::Update) && Subject::of(context).is_some()
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let Some(subject) = Subject::of(attributes.context) else { return Ok(()) };
        if subject == Subject::Namespace {
            return self.judge_namespace(attributes);
        }
        if let Some(why) = self.exemption(attributes.context) {
            self.exempt(attributes, why);
            return Ok(());
        }
        let policy = self.policy(attributes).await?;
        match subject {
            Subject::Template(pointer) => {
                let is_silent = policy.audit.level == Level::Privileged && policy.warn.level == Level::Privileged;
                match attributes.object.pointer(pointer).filter(|_| !is_silent) {
                    Some(template) => self.judge(attributes, &policy, template, false),
                    None => Ok(()),
                }
            }
            _ if policy.is_privileged() => {
                annotate(attributes, "enforce-policy", || Standard::PRIVILEGED.to_string());
                self.metrics.evaluated(attributes, Decision::Allow, policy.enforce, Mode::Enforce);
                Ok(())
            }
            _ if attributes.operation == Operation::Update
                && !is_significant(attributes.object, attributes.old_object) =>
            {
                Ok(())
            }
            _ => self.judge(attributes, &policy, attributes.object, true),
        }
    }
}

/// Whether an update of a pod is one that the standards have an opinion of: what may change is images, and which
/// ephemeral containers there are.
fn is_significant(new: &Value, old: &Value) -> bool {
    let images = |pod: &Value, list: &'static [&'static str]| -> Vec<String> {
        containers(pod, list).map(|container| text(container, "/image").to_owned()).collect()
    };
    let lists: [&'static [&'static str]; 2] = [&["containers"], &["initContainers"]];
    if lists.iter().any(|list| images(new, list) != images(old, list)) {
        return true;
    }
    containers(new, &["ephemeralContainers"]).any(|container| {
        let before = containers(old, &["ephemeralContainers"]).find(|c| text(c, "/name") == text(container, "/name"));
        before.is_none_or(|before| text(before, "/image") != text(container, "/image"))
    })
}

/// How a pod violates a standard: `"restricted:latest": …`.
fn violation(standard: Standard, pod: &Value) -> Option<String> {
    let findings = checks::run(standard, pod);
    (!findings.is_empty()).then(|| format!("\"{standard}\": {}", checks::details(&findings)))
}

fn annotate(attributes: &Attributes<'_>, key: &str, value: impl FnOnce() -> String) {
    if attributes.context.annotations.is_some() {
        attributes.context.annotate(&format!("{PREFIX}{key}"), value);
    }
}

/// The UID of the controller of an object.
fn controller(object: &Value) -> Option<&str> {
    let owners = object.metadata()?.get("ownerReferences")?.as_array()?;
    let controller = owners.iter().find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))?;
    controller.get("uid").and_then(Value::as_str)
}

#[cfg(test)]
mod tests;
