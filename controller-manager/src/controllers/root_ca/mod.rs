//! Publishes the root CA to every namespace, as ConfigMap `kube-root-ca.crt`.
//!
//! Upstream: `pkg/controller/certificates/rootcacertpublisher`.

mod plan;
mod reconcile;

use crate::scaffold::{Context, Lane};
use client::ObjectKey;
use client::informer::Change;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};

/// The controller's name.
pub const NAME: &str = "root-ca-certificate-publisher-controller";

/// Starts it, if there is a root CA to publish.
pub fn start(context: &Context) {
    let Some(root_ca) = context.options.root_ca.clone() else {
        tracing::warn!("no --root-ca-file: the root CA is not published");
        return;
    };
    let mut lane = Lane::new(context, NAME);
    let namespaces = lane.watches::<Namespace>();
    let maps = lane.maps(|change: &Change<ConfigMap>| match change {
        Change::Added(_) => Vec::new(),
        Change::Updated(_, map) | Change::Deleted(map) => own(map),
    });
    let writes = lane.writes();
    lane.run(1, reconcile::RootCa { client: context.client.clone(), namespaces, maps, writes, root_ca });
}

fn own(map: &ConfigMap) -> Vec<ObjectKey> {
    if map.metadata.name.as_deref() != Some(plan::CONFIG_MAP) {
        return Vec::new();
    }
    vec![ObjectKey { namespace: String::new(), name: map.metadata.namespace.clone().unwrap_or_default() }]
}
