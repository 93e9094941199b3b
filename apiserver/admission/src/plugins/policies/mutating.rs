//! `MutatingAdmissionPolicy`: changes objects as policies say.
//!
//! Upstream: `apiserver/pkg/admission/plugin/policy/mutating/{plugin,dispatcher}.go`.

use super::binding::Binding;
use super::mutation::{MutatingPolicy, MutationError, Reinvoke};
use super::policy::Policy;
use super::source::{Hook, Source};
use super::{is_exempt, matching, namespace};
use crate::Means;
use crate::builder::Authorize;
use crate::denial::forbidden;
use crate::dynamic::FailurePolicy;
use crate::dynamic::conditions::Outcome;
use crate::dynamic::request::Target;
use crate::dynamic::view::View;
use crate::metrics::{Check, Metrics};
use apimachinery::Value;
use apimachinery::codec::fields;
use apimachinery::meta::ObjectMeta;
use apimachinery::status::{Cause, Reason, Status};
use apiserver_registry::Context;
use apiserver_registry::admission::{Attributes, Operation, Plugin};
use apiserver_storage::Store;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Instant;

/// `MutatingAdmissionPolicy`.
pub(crate) struct Mutating {
    store: Store,
    authorizer: Option<Arc<dyn Authorize>>,
    metrics: Arc<Metrics>,
    source: Source<MutatingPolicy>,
}

/// A policy that is about a request, with one of its bindings and one set of parameters.
struct Invocation {
    policy: Arc<MutatingPolicy>,
    binding: Arc<Binding>,
    params: Option<Value>,
    target: Target,
}

/// What went wrong, of which the first says why the request is refused.
#[derive(Default)]
struct Failures(Vec<(String, Option<Reason>)>);

impl Mutating {
    pub(crate) fn new(means: &Means) -> Self {
        let source = Source::new(
            &means.store,
            "mutatingadmissionpolicies",
            "mutatingadmissionpolicybindings",
            MutatingPolicy::compile,
        );
        Self {
            store: means.store.clone(),
            authorizer: means.authorizer.clone(),
            metrics: means.metrics.clone(),
            source,
        }
    }

    /// All that is about a request, judged by the object as it comes in.
    async fn invocations(&self, attributes: &Attributes<'_>, failures: &mut Failures) -> Vec<Invocation> {
        let mut invocations = Vec::new();
        for Hook { policy, bindings } in self.source.hooks().iter() {
            let meant = match matching::policy(&self.store, policy.head(), attributes).await {
                Ok(Some(meant)) => meant,
                Ok(None) => continue,
                Err(why) => {
                    failures.add(policy, None, &format!("failed to configure policy: {why}"), None);
                    continue;
                }
            };
            for binding in bindings {
                let each = |params| Invocation {
                    policy: policy.clone(),
                    binding: binding.clone(),
                    params,
                    target: meant.target.clone(),
                };
                match matching::params(&self.store, binding, &meant, attributes).await {
                    Ok(params) => invocations.extend(params.into_iter().map(each)),
                    Err(why) => {
                        failures.add(policy, Some(binding), &format!("failed to configure binding: {why}"), None);
                    }
                }
            }
        }
        invocations
    }

    /// Changes the object of a request as one policy says.
    async fn invoke(
        &self,
        invocation: &Invocation,
        attributes: &mut Attributes<'_>,
        namespace: &Value,
        failures: &mut Failures,
    ) -> Result<(), Status> {
        let id = invocation.id();
        if !attributes.reinvocation.is_due(&id) {
            return Ok(());
        }
        let view = View::new(attributes, &invocation.target, namespace, self.authorizer.clone()).await?;
        let Some(view) = self.mutated(invocation, view, attributes.operation, failures)? else { return Ok(()) };
        if let Some(changed) = view.into_changed() {
            let changed = invocation.target.back(attributes, changed).await?;
            if changed != *attributes.object {
                *attributes.object = changed;
                attributes.reinvocation.changed(&id);
            }
        }
        if invocation.policy.reinvocation == Reinvoke::IfNeeded {
            attributes.reinvocation.saw(&id);
        }
        Ok(())
    }

    /// The request with its object as the mutations make it; `None` if the policy is not about it.
    fn mutated<'a>(
        &self,
        invocation: &Invocation,
        mut view: View<'a>,
        operation: Operation,
        failures: &mut Failures,
    ) -> Result<Option<View<'a>>, Status> {
        let Invocation { policy, binding, params, target } = invocation;
        let outcome = {
            let bindings = view.bindings(params.as_ref(), &policy.head().variables);
            policy.head().ask(&bindings, operation, &self.metrics)
        };
        match outcome {
            Outcome::Matches => {}
            Outcome::Differs => return Ok(None),
            Outcome::Failed(why) => {
                failures.add(policy, Some(binding), &why, Some(Reason::Invalid));
                return Ok(None);
            }
        }
        if view.object().is_null() {
            return Ok(Some(view));
        }
        let Some(ty) = target.schema() else { return Err(unknown(target)) };
        for mutation in &policy.mutations {
            let started = Instant::now();
            let result = policy.mutated(mutation, &view, params.as_ref(), (target, &ty));
            let error = result.as_ref().err().map(ToString::to_string);
            let (policy_name, elapsed) = (&policy.head().name, started.elapsed());
            let check = Check { policy: policy_name, binding: &binding.name, message: error.as_deref(), elapsed };
            self.metrics.mutating_check(&check);
            match result {
                Ok(changed) => view.set_object(changed),
                Err(MutationError::Misfit(why)) => return Err(Status::internal(why)),
                Err(error) => failures.add(policy, Some(binding), &error.to_string(), Some(Reason::Invalid)),
            }
        }
        Ok(Some(view))
    }
}

#[async_trait]
impl Plugin for Mutating {
    fn name(&self) -> &'static str {
        "MutatingAdmissionPolicy"
    }

    /// What is deleted cannot be changed.
    fn handles(&self, operation: Operation, context: &Context) -> bool {
        operation != Operation::Delete && !self.source.is_empty() && !is_exempt(context)
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let mut failures = Failures::default();
        let invocations = self.invocations(attributes, &mut failures).await;
        if !invocations.is_empty() {
            let namespace = namespace::of(&self.store, attributes).await?;
            fields::open(attributes.object);
            let before = attributes.object.clone();
            for invocation in &invocations {
                self.invoke(invocation, attributes, &namespace, &mut failures).await?;
            }
            if before != *attributes.object {
                // All that want to, the last one too, see what has come of it.
                attributes.reinvocation.changed("");
            }
        }
        failures.verdict(attributes)
    }
}

impl Invocation {
    /// No other invocation has it.
    fn id(&self) -> String {
        let params = self.params.as_ref().map(|params| (params.namespace(), params.name())).unwrap_or_default();
        let (policy, binding) = (&self.policy.head().name, &self.binding.name);
        format!("MutatingAdmissionPolicy/{policy}/{binding}/{}/{}", params.0, params.1)
    }
}

/// A custom resource that has just gone, or is about to come.
fn unknown(target: &Target) -> Status {
    Status::unavailable(format!(
        "Resource kind {} not found. There can be a delay between when CustomResourceDefinitions are created and when \
         they are available.",
        target.kind()
    ))
}

impl Failures {
    /// Adds what went wrong, unless the policy ignores that.
    fn add(&mut self, policy: &MutatingPolicy, binding: Option<&Binding>, why: &str, reason: Option<Reason>) {
        let head = policy.head();
        if head.failure == FailurePolicy::Ignore {
            tracing::debug!(policy = head.name, why, "policy failed and is ignored");
            return;
        }
        let name = &head.name;
        let message = match binding {
            Some(binding) => format!("policy '{name}' with binding '{}' denied request: {why}", binding.name),
            None => format!("policy {name:?} denied request: {why}"),
        };
        self.0.push((message, reason));
    }

    fn verdict(self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let Some((first, reason)) = self.0.first() else { return Ok(()) };
        let mut status = forbidden(attributes, "admission request denied by policy");
        status.message = first.clone();
        status.reason = reason.unwrap_or(status.reason);
        if let Some(details) = &mut status.details {
            let causes = self.0.iter().map(|(message, _)| Cause { message: message.clone(), ..Cause::default() });
            details.causes.extend(causes);
        }
        Err(status)
    }
}
