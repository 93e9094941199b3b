//! `MutatingAdmissionWebhook` and `ValidatingAdmissionWebhook`: servers outside of this one are
//! asked about a request, and may change its object or refuse it.
//!
//! Upstream: `apiserver/pkg/admission/plugin/webhook/{mutating,validating,generic}`.

mod call;
mod configuration;
mod hook;
mod review;

#[cfg(test)]
mod tests;

use crate::Means;
use crate::builder::Authorize;
use crate::dynamic::compiled::Compiled;
use crate::dynamic::is_exempt;
use crate::metrics::Metrics;
use apimachinery::Value;
use apimachinery::status::Status;
use apiserver_registry::Context;
use apiserver_registry::admission::{Attributes, Operation, Plugin};
use apiserver_storage::Store;
use async_trait::async_trait;
use configuration::Clients;
use futures::future::join_all;
use hook::{Configuration, Hook};
use std::sync::Arc;

/// What both plugins work with.
struct Webhooks {
    store: Store,
    authorizer: Option<Arc<dyn Authorize>>,
    metrics: Arc<Metrics>,
    /// What metrics call the step: `admit` or `validating`.
    step: &'static str,
    configurations: Compiled<Configuration>,
}

impl Webhooks {
    fn new(means: &Means, configuration: Option<&Value>, plural: &str, step: &'static str) -> Result<Self, String> {
        let client = apiserver_webhook::Means { store: means.store.clone(), supervisor: means.supervisor.clone() };
        let clients = Clients::new(client, configuration)?;
        let compile = move |value: &_| Configuration::compile(value, &clients);
        Ok(Self {
            store: means.store.clone(),
            authorizer: means.authorizer.clone(),
            metrics: means.metrics.clone(),
            step,
            configurations: Compiled::new(means.store.clone(), plural, compile),
        })
    }

    fn handles(&self, context: &Context) -> bool {
        !is_exempt(context) && !self.configurations.is_empty()
    }

    /// All hooks in order.
    fn hooks(&self) -> Vec<(Arc<Configuration>, usize)> {
        let each = |configuration: Arc<Configuration>| {
            (0..configuration.hooks.len()).map(move |index| (configuration.clone(), index))
        };
        self.configurations.all().into_iter().flat_map(each).collect()
    }
}

/// `MutatingAdmissionWebhook`.
pub(crate) struct Mutating(Webhooks);

impl Mutating {
    /// With its configuration, if there is one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn new(means: &Means, configuration: Option<&Value>) -> Result<Self, String> {
        Webhooks::new(means, configuration, "mutatingwebhookconfigurations", "admit").map(Self)
    }
}

#[async_trait]
impl Plugin for Mutating {
    fn name(&self) -> &'static str {
        "MutatingAdmissionWebhook"
    }

    fn handles(&self, _: Operation, context: &Context) -> bool {
        self.0.handles(context)
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        for (configuration, index) in self.0.hooks() {
            let hook = &configuration.hooks[index];
            if attributes.reinvocation.is_due(&hook.id) {
                self.0.mutate(hook, attributes).await?;
            }
        }
        Ok(())
    }
}

/// `ValidatingAdmissionWebhook`.
pub(crate) struct Validating(Webhooks);

impl Validating {
    /// With its configuration, if there is one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn new(means: &Means, configuration: Option<&Value>) -> Result<Self, String> {
        Webhooks::new(means, configuration, "validatingwebhookconfigurations", "validating").map(Self)
    }
}

#[async_trait]
impl Plugin for Validating {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionWebhook"
    }

    fn handles(&self, _: Operation, context: &Context) -> bool {
        self.0.handles(context)
    }

    /// All at once; the first refusal in order counts.
    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let hooks = self.0.hooks();
        let calls = hooks.iter().map(|(configuration, index)| {
            let hook: &Hook = &configuration.hooks[*index];
            self.0.ask(hook, attributes)
        });
        join_all(calls).await.into_iter().collect()
    }
}
