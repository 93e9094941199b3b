//! Deletes bootstrap tokens that are over.
//!
//! Upstream: `pkg/controller/bootstrap/tokencleaner.go`.

mod plan;
mod reconcile;

use crate::objects::secrets::BOOTSTRAP_TOKEN;
use crate::scaffold::{Context, Lane};
use client::ObjectKey;
use client::informer::Scope;

/// The controller's name.
pub const NAME: &str = "token-cleaner-controller";

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let scope = Scope {
        namespace: Some("kube-system".to_owned()),
        field_selector: Some(format!("type={BOOTSTRAP_TOKEN}")),
        ..Scope::default()
    };
    let secrets = lane.follows(scope, |change| vec![ObjectKey::of(&**change.object())]);
    lane.run(1, reconcile::Tokens { client: context.client.clone(), secrets });
}
