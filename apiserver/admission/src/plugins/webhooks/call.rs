//! One webhook and one request: whether it is asked, and what becomes of its answer.
//!
//! Upstream: `apiserver/pkg/admission/plugin/webhook/mutating/dispatcher.go`,
//! `apiserver/pkg/admission/plugin/webhook/validating/dispatcher.go`.

use super::Webhooks;
use super::hook::{Hook, Reinvoke, SideEffects};
use super::review::{self, Answer, ReviewError};
use crate::denial::forbidden;
use crate::dynamic::FailurePolicy;
use crate::dynamic::conditions::Outcome;
use crate::dynamic::request::{Target, describe};
use crate::dynamic::rules;
use crate::dynamic::view::View;
use crate::metrics::{Call, Conditional, Rejection};
use apimachinery::Value;
use apimachinery::codec::fields;
use apimachinery::codec::json::conform;
use apimachinery::status::Status;
use apiserver_registry::admission::Attributes;
use apiserver_webhook::{CallError, ConfigError};
use bytes::Bytes;
use std::time::Instant;

/// Why a webhook gave no answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Config(ConfigError),
    #[error("failed to call webhook: {0}")]
    Call(CallError),
    #[error("{0}")]
    Review(ReviewError),
    #[error("webhook attempted to modify the object, which is not supported for this operation")]
    NotMutable,
    #[error("{0}")]
    Patch(String),
    #[error("{0}")]
    Conversion(Status),
}

impl Webhooks {
    /// Asks a validating webhook.
    pub(super) async fn ask(&self, hook: &Hook, attributes: &Attributes<'_>) -> Result<(), Status> {
        let Some(target) = self.target(hook, attributes).await? else { return Ok(()) };
        match self.call(hook, attributes, &target).await {
            Ok(answer) => judge(hook, attributes, &answer),
            Err(failure) => tolerate(hook, &failure),
        }
    }

    /// Asks a mutating webhook, and changes the object as it says.
    pub(super) async fn mutate(&self, hook: &Hook, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let Some(target) = self.target(hook, attributes).await? else { return Ok(()) };
        fields::open(attributes.object);
        let answer = match self.call(hook, attributes, &target).await {
            Ok(answer) => answer,
            Err(failure) => return tolerate(hook, &failure),
        };
        judge(hook, attributes, &answer)?;
        if let Some(patch) = &answer.patch {
            match patched(attributes, &target, patch).await {
                Ok(changed) if changed != *attributes.object => {
                    *attributes.object = changed;
                    attributes.reinvocation.changed(&hook.id);
                }
                Ok(_) => {}
                Err(failure) => return tolerate(hook, &failure),
            }
        }
        if hook.reinvocation == Reinvoke::IfNeeded {
            attributes.reinvocation.saw(&hook.id);
        }
        Ok(())
    }

    /// As what the webhook is asked about the request; `None` if it is not.
    async fn target(&self, hook: &Hook, attributes: &Attributes<'_>) -> Result<Option<Target>, Status> {
        let Some(target) = rules::target(&hook.rules, hook.policy, attributes) else { return Ok(None) };
        if !hook.selectors.select(&self.store, attributes).await? {
            return Ok(None);
        }
        match self.conditions(hook, attributes, &target).await? {
            Outcome::Matches => {}
            Outcome::Differs => return Ok(None),
            Outcome::Failed(why) if hook.failure == FailurePolicy::Fail => return Err(forbidden(attributes, &why)),
            Outcome::Failed(why) => {
                tracing::warn!(webhook = hook.name, why, "match conditions failed, the webhook is left out");
                return Ok(None);
            }
        }
        if attributes.context.dry_run && hook.effects == SideEffects::Unknown {
            let why = format!("admission webhook {:?} does not support dry run", hook.name);
            return Err(Status::bad_request(why));
        }
        Ok(Some(target))
    }

    async fn conditions(&self, hook: &Hook, attributes: &Attributes<'_>, target: &Target) -> Result<Outcome, Status> {
        if hook.conditions.is_empty() {
            return Ok(Outcome::Matches);
        }
        let started = Instant::now();
        let view = View::new(attributes, target, &Value::Null, self.authorizer.clone()).await?;
        let outcome = hook.conditions.ask(&view.bindings(None, &[]));
        let of = Conditional { name: &hook.name, kind: "webhook", step: self.step, operation: attributes.operation };
        self.metrics.conditions(&of, &outcome, started.elapsed());
        Ok(outcome)
    }

    /// Calls a webhook, and counts what comes of it.
    async fn call(&self, hook: &Hook, attributes: &Attributes<'_>, target: &Target) -> Result<Answer, Failure> {
        let started = Instant::now();
        let answer = call(hook, attributes, target).await;
        let (code, rejection) = match &answer {
            Ok(answer) if answer.allowed => (200, None),
            Ok(answer) => (review::denial(&hook.name, &answer.status).code, Some(Rejection::Webhook)),
            Err(failure) if hook.failure == FailurePolicy::Fail => (failure.code(), Some(Rejection::Call)),
            Err(failure) => {
                self.metrics.webhook_failed_open(&hook.name, self.step);
                (failure.code(), None)
            }
        };
        let call = Call { name: &hook.name, step: self.step, operation: attributes.operation, code, rejection };
        self.metrics.webhook(&call, started.elapsed());
        answer
    }
}

impl Failure {
    /// The HTTP status that metrics know it by.
    fn code(&self) -> u16 {
        match self {
            Failure::Config(_) => 500,
            Failure::Review(ReviewError::NoVersion) | Failure::Conversion(_) => 400,
            Failure::Call(error) => error.code().unwrap_or(503),
            Failure::Review(_) | Failure::NotMutable | Failure::Patch(_) => 503,
        }
    }
}

async fn call(hook: &Hook, attributes: &Attributes<'_>, target: &Target) -> Result<Answer, Failure> {
    let client = hook.client.as_ref().map_err(|error| Failure::Config(error.clone()))?;
    let uid = uuid::Uuid::new_v4().to_string();
    let mut request = describe(attributes, target);
    request["uid"] = uid.as_str().into();
    for (key, object) in [("object", &*attributes.object), ("oldObject", attributes.old_object)] {
        request[key] = target.view(attributes, object).await.map_err(Failure::Conversion)?.into_owned();
    }
    let body = review::encode(hook.version, &request).map_err(Failure::Review)?;
    let left = attributes.context.deadline.saturating_duration_since(Instant::now());
    let answer = client.post(Bytes::from(body), hook.timeout.min(left)).await.map_err(Failure::Call)?;
    review::decode(hook.version, &uid, &answer).map_err(Failure::Review)
}

/// Passes warnings and annotations on, and refuses what the webhook refuses.
fn judge(hook: &Hook, attributes: &Attributes<'_>, answer: &Answer) -> Result<(), Status> {
    answer.warnings.iter().for_each(|warning| attributes.context.warn(warning.as_str()));
    for (key, value) in &answer.annotations {
        attributes.context.annotate(&format!("{}/{key}", hook.name), || value.clone());
    }
    match answer.allowed {
        true => Ok(()),
        false => Err(review::denial(&hook.name, &answer.status)),
    }
}

/// What a webhook's failure means.
fn tolerate(hook: &Hook, failure: &Failure) -> Result<(), Status> {
    let why = format!("failed calling webhook {:?}: {failure}", hook.name);
    match hook.failure {
        FailurePolicy::Fail => Err(Status::internal(why)),
        FailurePolicy::Ignore => {
            tracing::warn!(webhook = hook.name, "failed open: {why}");
            Ok(())
        }
    }
}

/// The object with the patch applied: of the type it had, with the defaults of what is new.
async fn patched(attributes: &Attributes<'_>, target: &Target, patch: &Value) -> Result<Value, Failure> {
    if attributes.object.is_null() {
        return Err(Failure::NotMutable);
    }
    let before = target.view(attributes, attributes.object).await.map_err(Failure::Conversion)?.into_owned();
    let changed = ::rules::patch::json::apply(before, patch).map_err(|error| Failure::Patch(error.to_string()))?;
    let mut changed = match target.schema() {
        Some(schema) => conform(&schema, &changed).map_err(|error| Failure::Patch(error.to_string()))?.value,
        None => changed,
    };
    if target.kind() == target.resource.gvk() {
        ::rules::defaults::apply(&target.resource, &mut changed);
    }
    target.back(attributes, changed).await.map_err(Failure::Conversion)
}
