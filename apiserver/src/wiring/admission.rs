//! The admission chain from its flags.

use crate::options;
use anyhow::Context as _;
use apimachinery::gvk::GroupResource;
use apiserver_admission::{Authorize, Means};
use apiserver_auth::{Attributes, Authorizer};
use apiserver_registry::UserInfo;
use apiserver_registry::admission::Chain;
use apiserver_storage::Store;
use async_trait::async_trait;
use std::sync::Arc;

/// Builds the chain; default plugins that are not built are warned about by name.
pub(super) fn chain(options: &options::Admission, store: Store, authorizer: Arc<Authorizer>) -> anyhow::Result<Chain> {
    let means = Means { store, authorizer: Some(Arc::new(Asking(authorizer))) };
    let built =
        apiserver_admission::plugins(&options.enable_admission_plugins, &options.disable_admission_plugins, &means)
            .context("admission")?;
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
}
