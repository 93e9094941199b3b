//! Keeps the `default` service account in every namespace.
//!
//! Upstream: `pkg/controller/serviceaccount/serviceaccounts_controller.go`.

mod plan;
mod reconcile;

use crate::scaffold::{Context, Lane};
use client::ObjectKey;
use client::informer::Change;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};

/// The controller's name.
pub const NAME: &str = "serviceaccount-controller";

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let namespaces = lane.watches::<Namespace>();
    let accounts = lane.maps(|change: &Change<ServiceAccount>| match change {
        Change::Deleted(account) => vec![namespace_of(account)],
        _ => Vec::new(),
    });
    let writes = lane.writes();
    lane.run(1, reconcile::ServiceAccounts { client: context.client.clone(), namespaces, accounts, writes });
}

fn namespace_of(account: &ServiceAccount) -> ObjectKey {
    ObjectKey { namespace: String::new(), name: account.metadata.namespace.clone().unwrap_or_default() }
}
