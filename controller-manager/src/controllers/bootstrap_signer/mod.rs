//! Signs the public `cluster-info` with each bootstrap token, so that a node that knows one of them
//! can trust it.
//!
//! Upstream: `pkg/controller/bootstrap/bootstrapsigner.go`.

mod plan;
mod reconcile;

use crate::objects::secrets::BOOTSTRAP_TOKEN;
use crate::scaffold::{Context, Lane};
use client::ObjectKey;
use client::informer::{Change, Scope};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};

/// The controller's name.
pub const NAME: &str = "bootstrap-signer-controller";

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let maps = Scope {
        namespace: Some(plan::NAMESPACE.to_owned()),
        field_selector: Some(format!("metadata.name={}", plan::NAME)),
        ..Scope::default()
    };
    let maps = lane.follows(maps, |_: &Change<ConfigMap>| vec![info()]);
    let tokens = Scope {
        namespace: Some("kube-system".to_owned()),
        field_selector: Some(format!("type={BOOTSTRAP_TOKEN}")),
        ..Scope::default()
    };
    let tokens = lane.follows(tokens, |_: &Change<Secret>| vec![info()]);
    lane.run(1, reconcile::Signer { client: context.client.clone(), maps, tokens });
}

/// The one key.
fn info() -> ObjectKey {
    ObjectKey { namespace: plan::NAMESPACE.to_owned(), name: plan::NAME.to_owned() }
}
