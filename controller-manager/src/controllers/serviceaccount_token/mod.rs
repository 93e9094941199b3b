//! Fills Secrets of the type `kubernetes.io/service-account-token`, and deletes those of accounts
//! that are gone.
//!
//! It speaks as the process itself, as upstream's does: no other account may read all Secrets.
//!
//! Upstream: `pkg/controller/serviceaccount/tokens_controller.go`.

mod plan;
mod reconcile;
mod references;
mod signing;

use crate::objects::secrets::{ACCOUNT_NAME, ACCOUNT_TOKEN, annotation};
use crate::scaffold::{Context, Lane};
use client::ObjectKey;
use client::informer::{Change, Scope};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use references::Gone;
use std::sync::Arc;

/// The controller's name.
pub const NAME: &str = "serviceaccount-token-controller";

/// Starts it, if there is a key to sign with.
pub fn start(context: &Context) {
    let Some(file) = &context.options.token_key else {
        tracing::warn!("no --service-account-private-key-file: no service account tokens are put into Secrets");
        return;
    };
    let key = match signing::SigningKey::read(file) {
        Ok(key) => Arc::new(key),
        Err(error) => {
            tracing::error!(%error, "--service-account-private-key-file: no service account tokens are put into Secrets");
            return;
        }
    };
    let mut lane = Lane::new(context, NAME);
    let of_accounts = Lane::new(context, "serviceaccount-token-references");
    let gone = Gone::default();
    let (remember, references) = (gone.clone(), of_accounts.queue());
    let scope = Scope { field_selector: Some(format!("type={ACCOUNT_TOKEN}")), ..Scope::default() };
    let secrets = lane.follows::<Secret>(scope, move |change| match change {
        Change::Deleted(secret) => {
            references.add(remember.remember(secret));
            Vec::new()
        }
        change => vec![ObjectKey::of(&**change.object())],
    });
    let tokens = secrets.clone();
    let accounts = lane.maps(move |change: &Change<ServiceAccount>| {
        let account = ObjectKey::of(&**change.object());
        let all = tokens.list_namespace(&account.namespace);
        let is_of = |secret: &&Arc<Secret>| annotation(secret, ACCOUNT_NAME) == account.name;
        all.iter().filter(is_of).map(|secret| ObjectKey::of(&**secret)).collect()
    });
    let client = context.client.clone();
    of_accounts.run(1, references::References { client: client.clone(), gone });
    let root_ca = context.options.root_ca.clone();
    let writes = lane.writes();
    let workers = context.options.accounts.concurrent_serviceaccount_token_syncs;
    lane.run(workers, reconcile::Tokens { client, secrets, accounts, writes, key, root_ca });
}
