//! Invalidates, and later deletes, tokens that were made for service accounts without being asked
//! for, and that nobody has used for long.
//!
//! Upstream: `pkg/controller/serviceaccount/legacy_serviceaccount_token_cleaner.go`.

mod plan;
mod reconcile;

use crate::objects::secrets::ACCOUNT_TOKEN;
use crate::scaffold::{Context, Lane};
use client::ObjectKey;
use client::informer::Scope;

/// The controller's name.
pub const NAME: &str = "legacy-serviceaccount-token-cleaner-controller";

/// Starts it.
pub fn start(context: &Context) {
    let period = context.options.accounts.legacy_service_account_token_clean_up_period.0;
    if period.is_zero() {
        tracing::error!(
            "--legacy-service-account-token-clean-up-period must be greater than 0: no tokens are cleaned up"
        );
        return;
    }
    let mut lane = Lane::new(context, NAME);
    let scope = Scope { field_selector: Some(format!("type={ACCOUNT_TOKEN}")), ..Scope::default() };
    let secrets = lane.follows(scope, |_| Vec::new());
    let accounts = lane.reads();
    // The one key: all tokens are looked at together.
    lane.queue().add(ObjectKey { namespace: String::new(), name: "all".to_owned() });
    let (client, lister) = (context.client.clone(), context.caches());
    lane.run(1, reconcile::Cleaner { client, lister, secrets, accounts, period });
}
