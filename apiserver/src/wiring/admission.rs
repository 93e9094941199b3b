//! The admission chain from its flags.

use crate::options;
use anyhow::Context as _;
use apimachinery::gvk::GroupResource;
use apimachinery::selector::{FieldSelector, LabelSelector};
use apiserver_admission::metrics::Metrics;
use apiserver_admission::{Authorize, Configuration, Means};
use apiserver_auth::{Attributes, Authorizer, Decision};
use apiserver_registry::UserInfo;
use apiserver_registry::admission::Chain;
use apiserver_storage::Store;
use async_trait::async_trait;
use component::Supervisor;
use std::sync::Arc;
use tokio::runtime::{Handle, RuntimeFlavor};

/// Builds the chain; default plugins that are not built are warned about by name.
pub(super) fn chain(
    options: &options::Admission,
    store: Store,
    authorizer: Arc<Authorizer>,
    supervisor: &Supervisor,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Chain> {
    let means = Means {
        store,
        authorizer: Some(Arc::new(Asking(authorizer))),
        supervisor: supervisor.clone(),
        metrics: metrics.clone(),
    };
    let configuration = options.admission_control_config_file.as_deref().map(Configuration::read).transpose();
    let configuration = configuration.context("--admission-control-config-file")?.unwrap_or_default();
    let (mut enabled, mut disabled) =
        (options.enable_admission_plugins.clone(), options.disable_admission_plugins.clone());
    if !options.admission_control.is_empty() {
        enabled.clone_from(&options.admission_control);
        disabled = apiserver_admission::all_but(&enabled);
    }
    let built = apiserver_admission::plugins(&enabled, &disabled, &configuration, &means).context("admission")?;
    for plugin in built.missing {
        tracing::warn!(plugin, "admission plugin {plugin} is known but not built; it has no effect");
    }
    Ok(built.chain)
}

/// The server's authorizer, as plugins ask it.
struct Asking(Arc<Authorizer>);

#[async_trait]
impl Authorize for Asking {
    async fn is_allowed(&self, user: &UserInfo, verb: &str, resource: &GroupResource, name: &str) -> bool {
        let attributes = Attributes {
            verb,
            is_resource: true,
            group: &resource.group,
            version: "*",
            resource: &resource.resource,
            name,
            ..Attributes::default()
        };
        self.0.authorize(user, &attributes).await.is_allowed()
    }

    fn authorize(&self, user: &UserInfo, check: &cel::Check) -> cel::Verdict {
        let account;
        let user = match &check.subject {
            cel::Subject::Requester => user,
            cel::Subject::ServiceAccount(namespace, name) => {
                account = service_account(namespace, name);
                &account
            }
        };
        let fields = match FieldSelector::parse(&check.field_selector) {
            Ok(fields) => fields,
            Err(error) => return failed(error.to_string()),
        };
        let labels = match LabelSelector::parse(&check.label_selector) {
            Ok(labels) => labels,
            Err(error) => return failed(error.to_string()),
        };
        let attributes = Attributes {
            verb: &check.verb,
            is_resource: check.path.is_none(),
            group: &check.group,
            version: "*",
            resource: &check.resource,
            subresource: &check.subresource,
            namespace: &check.namespace,
            name: &check.name,
            fields: (!fields.is_empty()).then_some(&fields),
            labels: (!labels.is_empty()).then_some(&labels),
            path: check.path.as_deref().unwrap_or_default(),
        };
        // Expressions are evaluated without a pause, yet an authorizer may be a webhook.
        if Handle::current().runtime_flavor() != RuntimeFlavor::MultiThread {
            return failed("the authorizer cannot be waited for".to_owned());
        }
        let asking = self.0.authorize(user, &attributes);
        let decision = tokio::task::block_in_place(|| Handle::current().block_on(asking));
        let (allowed, reason) = match decision {
            Decision::Allow(reason) => (true, reason.to_string()),
            Decision::Deny(reason) | Decision::NoOpinion(reason) => (false, reason),
        };
        cel::Verdict { allowed, reason, error: None }
    }
}

/// A check that could not be made.
fn failed(error: String) -> cel::Verdict {
    cel::Verdict { allowed: false, reason: String::new(), error: Some(error) }
}

/// A service account as a user, with the groups that its tokens have.
fn service_account(namespace: &str, name: &str) -> UserInfo {
    let group = format!("system:serviceaccounts:{namespace}");
    UserInfo {
        name: format!("system:serviceaccount:{namespace}:{name}"),
        groups: vec!["system:serviceaccounts".into(), group, "system:authenticated".into()],
        ..UserInfo::default()
    }
}
