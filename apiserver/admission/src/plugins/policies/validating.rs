//! `ValidatingAdmissionPolicy`: refuses, warns about or records what violates a policy.
//!
//! Upstream: `apiserver/pkg/admission/plugin/policy/validating/{plugin,dispatcher}.go`.

use super::binding::{Action, Binding};
use super::policy::Policy;
use super::source::{Hook, Source};
use super::verdict::{Decision, Kind, Note, ValidatingPolicy};
use super::{is_exempt, matching, namespace};
use crate::Means;
use crate::builder::Authorize;
use crate::denial::forbidden;
use crate::dynamic::FailurePolicy;
use crate::dynamic::request::Target;
use crate::dynamic::view::View;
use crate::metrics::{Check, Enforcement, Metrics};
use apimachinery::Value;
use apimachinery::status::{Cause, Reason, Status};
use apiserver_registry::Context;
use apiserver_registry::admission::{Attributes, Operation, Plugin};
use apiserver_storage::Store;
use async_trait::async_trait;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The annotation that violations are recorded by.
const FAILURE_ANNOTATION: &str = "validation.policy.admission.k8s.io/validation_failure";

/// Longest value of an audit annotation that a policy makes, in bytes.
const MAX_ANNOTATION: usize = 10 * 1024;

/// `ValidatingAdmissionPolicy`.
pub(crate) struct Validating {
    store: Store,
    authorizer: Option<Arc<dyn Authorize>>,
    metrics: Arc<Metrics>,
    source: Source<ValidatingPolicy>,
}

impl Validating {
    pub(crate) fn new(means: &Means) -> Self {
        let source = Source::new(
            &means.store,
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
            ValidatingPolicy::compile,
        );
        Self {
            store: means.store.clone(),
            authorizer: means.authorizer.clone(),
            metrics: means.metrics.clone(),
            source,
        }
    }
}

#[async_trait]
impl Plugin for Validating {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionPolicy"
    }

    fn handles(&self, _: Operation, context: &Context) -> bool {
        !self.source.is_empty() && !is_exempt(context)
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let mut review = Review { plugin: self, attributes, namespace: None, denial: None };
        for hook in self.source.hooks().iter() {
            review.ask(hook).await?;
        }
        match &review.denial {
            Some(denial) => Err(denial.status(attributes)),
            None => Ok(()),
        }
    }
}

/// One request under all policies.
struct Review<'a> {
    plugin: &'a Validating,
    attributes: &'a Attributes<'a>,
    /// The request's namespace, once it is needed.
    namespace: Option<Value>,
    /// The first refusal.
    denial: Option<Denial>,
}

/// Why a request is refused, and by whom.
struct Denial {
    policy: String,
    binding: Option<String>,
    message: String,
    reason: Option<Reason>,
}

impl Denial {
    fn status(&self, attributes: &Attributes<'_>) -> Status {
        let Self { policy, message, .. } = self;
        let message = match &self.binding {
            Some(binding) => {
                format!("ValidatingAdmissionPolicy '{policy}' with binding '{binding}' denied request: {message}")
            }
            None => format!("ValidatingAdmissionPolicy '{policy}' denied request: {message}"),
        };
        let mut status = forbidden(attributes, &message);
        status.reason = self.reason.unwrap_or(Reason::Invalid);
        status.code = match status.reason {
            Reason::Forbidden => 403,
            Reason::Unauthorized => 401,
            Reason::RequestEntityTooLarge => 413,
            _ => 422,
        };
        if let Some(details) = &mut status.details {
            details.causes.push(Cause { message, ..Cause::default() });
        }
        status
    }
}

impl Review<'_> {
    async fn ask(&mut self, hook: &Hook<ValidatingPolicy>) -> Result<(), Status> {
        let policy = &*hook.policy;
        let meant = match matching::policy(&self.plugin.store, policy.head(), self.attributes).await {
            Ok(Some(meant)) => meant,
            Ok(None) => return Ok(()),
            Err(why) => {
                self.misconfigured(policy, None, &why);
                return Ok(());
            }
        };
        let mut annotations = Annotations::default();
        for binding in &hook.bindings {
            match matching::params(&self.plugin.store, binding, &meant, self.attributes).await {
                Ok(params) if params.is_empty() => {}
                Ok(params) => self.judge((policy, binding), &meant.target, &params, &mut annotations).await?,
                Err(why) => self.misconfigured(policy, Some(binding), &why),
            }
        }
        annotations.publish(&policy.head().name, self.attributes.context);
        Ok(())
    }

    /// Evaluates a policy with each of its parameters.
    async fn judge(
        &mut self,
        (policy, binding): (&ValidatingPolicy, &Binding),
        target: &Target,
        params: &[Option<Value>],
        annotations: &mut Annotations,
    ) -> Result<(), Status> {
        let namespace = match self.namespace.take() {
            Some(namespace) => namespace,
            None => namespace::of(&self.plugin.store, self.attributes).await?,
        };
        match View::new(self.attributes, target, &namespace, self.plugin.authorizer.clone()).await {
            Ok(view) => {
                for params in params {
                    let verdict = policy.judge(&view, params.as_ref(), self.attributes.operation, &self.plugin.metrics);
                    self.enforce(policy, binding, verdict.decisions);
                    self.note(policy, binding, verdict.notes, annotations);
                }
            }
            Err(error) => {
                self.misconfigured(policy, Some(binding), &format!("failed to convert object version: {error}"));
            }
        }
        self.namespace = Some(namespace);
        Ok(())
    }

    /// A policy or binding that cannot be used.
    fn misconfigured(&mut self, policy: &ValidatingPolicy, binding: Option<&Binding>, why: &str) {
        let head = policy.head();
        if head.failure == FailurePolicy::Ignore {
            tracing::debug!(policy = head.name, why, "policy cannot be used and is ignored");
            return;
        }
        let what = if binding.is_some() { "binding" } else { "policy" };
        self.deny(policy, binding, format!("failed to configure {what}: {why}"), None);
    }

    fn deny(&mut self, policy: &ValidatingPolicy, binding: Option<&Binding>, message: String, reason: Option<Reason>) {
        let (policy, binding) = (policy.head().name.clone(), binding.map(|binding| binding.name.clone()));
        self.denial.get_or_insert(Denial { policy, binding, message, reason });
    }

    /// Does with each violation what the binding says.
    fn enforce(&mut self, policy: &ValidatingPolicy, binding: &Binding, decisions: Vec<Decision>) {
        for (index, Decision { kind, elapsed }) in decisions.into_iter().enumerate() {
            match kind {
                Kind::Admit => {}
                Kind::Ignore { error } => self.count(policy, binding, Enforcement::Allow, &error, elapsed),
                Kind::Deny { message, reason } => {
                    for action in &binding.actions {
                        self.act(*action, (policy, binding), (index, &message, reason), elapsed);
                    }
                }
            }
        }
    }

    fn act(
        &mut self,
        action: Action,
        (policy, binding): (&ValidatingPolicy, &Binding),
        (index, message, reason): (usize, &str, Option<Reason>),
        elapsed: Duration,
    ) {
        let name = &policy.head().name;
        let enforcement = match action {
            Action::Deny => {
                self.deny(policy, Some(binding), message.to_owned(), reason);
                Enforcement::Deny
            }
            Action::Warn => {
                let binding = &binding.name;
                self.attributes.context.warn(format!(
                    "Validation failed for ValidatingAdmissionPolicy '{name}' with binding '{binding}': {message}"
                ));
                Enforcement::Warn
            }
            Action::Audit => {
                self.attributes.context.annotate(FAILURE_ANNOTATION, || failure_value(binding, index, message));
                Enforcement::Audit
            }
        };
        self.count(policy, binding, enforcement, message, elapsed);
    }

    fn note(&mut self, policy: &ValidatingPolicy, binding: &Binding, notes: Vec<Note>, all: &mut Annotations) {
        for note in notes {
            match note {
                Note::Publish { key, value } => all.add(key, value),
                Note::Deny { error, elapsed } => {
                    self.count(policy, binding, Enforcement::Deny, &error, elapsed);
                    self.deny(policy, Some(binding), error, None);
                }
            }
        }
    }

    fn count(
        &self,
        policy: &ValidatingPolicy,
        binding: &Binding,
        enforcement: Enforcement,
        message: &str,
        elapsed: Duration,
    ) {
        let check = Check { policy: &policy.head().name, binding: &binding.name, message: Some(message), elapsed };
        self.plugin.metrics.validating_check(&check, enforcement);
    }
}

/// What an audit event says of a violation: JSON as Go writes it.
fn failure_value(binding: &Binding, index: usize, message: &str) -> String {
    let actions: Vec<&str> = binding.actions.iter().map(|action| action.as_str()).collect();
    let text = |value: &str| {
        let text = Value::from(value).to_string();
        text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
    };
    let (message, policy, name) = (text(message), text(&binding.policy), text(&binding.name));
    let actions = json!(actions);
    format!(
        "[{{\"message\":{message},\"policy\":{policy},\"binding\":{name},\"expressionIndex\":{index},\
         \"validationActions\":{actions}}}]"
    )
}

/// What the annotations of one policy are, over all its bindings and parameters.
#[derive(Default)]
struct Annotations(BTreeMap<String, Vec<String>>);

impl Annotations {
    fn add(&mut self, key: String, mut value: String) {
        value.truncate(value.floor_char_boundary(MAX_ANNOTATION));
        let values = self.0.entry(key).or_default();
        if !values.contains(&value) {
            values.push(value);
        }
    }

    fn publish(self, policy: &str, context: &Context) {
        for (key, values) in self.0 {
            context.annotate(&format!("{policy}/{key}"), || values.join(", "));
        }
    }
}
