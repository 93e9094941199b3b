//! What kinds of objects the cluster has.
//!
//! Upstream: `client-go/discovery`, `garbagecollector.GetDeletableResources`.

use crate::scaffold::{At, ReconcileError};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, PartialObjectMeta};
use kube::discovery::{Discovery, Scope, verbs};

/// A kind whose objects can be listed and deleted, in its preferred version.
#[derive(Clone, Debug)]
pub struct Kind {
    /// How it is reached.
    pub resource: ApiResource,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Whether all of a namespace can be deleted with one request.
    pub collection: bool,
    /// Whether its changes can be watched.
    pub watchable: bool,
}

impl Kind {
    /// Its objects in a namespace; in the cluster if it has none.
    pub fn api(&self, client: &kube::Client, namespace: &str) -> Api<DynamicObject> {
        match self.namespaced && !namespace.is_empty() {
            true => Api::namespaced_with(client.clone(), namespace, &self.resource),
            false => Api::all_with(client.clone(), &self.resource),
        }
    }

    /// The metadata of all its objects.
    pub fn metadata(&self, client: &kube::Client) -> Api<PartialObjectMeta<DynamicObject>> {
        Api::all_with(client.clone(), &self.resource)
    }

    /// `deployments.apps`, `pods`.
    pub fn group_resource(&self) -> String {
        match self.resource.group.is_empty() {
            true => self.resource.plural.clone(),
            false => format!("{}.{}", self.resource.plural, self.resource.group),
        }
    }
}

/// All kinds that can be listed and deleted.
pub async fn deletable(client: &kube::Client) -> Result<Vec<Kind>, ReconcileError> {
    // An apiserver without aggregated discovery answers the other way.
    let discovery = match Discovery::new(client.clone()).run_aggregated().await {
        Ok(discovery) => discovery,
        Err(_) => Discovery::new(client.clone()).run().await.at(|| "discover the resources".to_owned())?,
    };
    let resources = discovery.groups().flat_map(|group| group.recommended_resources());
    let kinds = resources
        .filter(|(_, can)| can.supports_operation(verbs::LIST) && can.supports_operation(verbs::DELETE))
        .map(|(resource, can)| Kind {
            namespaced: can.scope == Scope::Namespaced,
            collection: can.supports_operation(verbs::DELETE_COLLECTION),
            watchable: can.supports_operation(verbs::WATCH),
            resource,
        });
    Ok(kinds.collect())
}
