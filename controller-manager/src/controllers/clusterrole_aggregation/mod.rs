//! Fills aggregated cluster roles with the rules of the roles they select.
//!
//! Upstream: `pkg/controller/clusterroleaggregation`.

mod plan;
mod reconcile;

use crate::scaffold::{Context, Lane};
use client::ObjectKey;
use client::informer::Change;
use k8s_openapi::api::rbac::v1::ClusterRole;

/// The controller's name.
pub const NAME: &str = "clusterrole-aggregation-controller";

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let all = context.informers.of::<ClusterRole>();
    // Any role can be part of any aggregated one.
    let roles = lane.maps(move |_: &Change<ClusterRole>| {
        let aggregated = all.list().into_iter().filter(|role| role.aggregation_rule.is_some());
        aggregated.map(|role| ObjectKey::of(&*role)).collect()
    });
    let writes = lane.writes();
    lane.run(5, reconcile::Aggregation { client: context.client.clone(), roles, writes });
}
