//! Deletes finished jobs when their `ttlSecondsAfterFinished` is over.
//!
//! Upstream: `pkg/controller/ttlafterfinished`.

mod plan;
mod reconcile;

use crate::scaffold::{Context, Lane};
use client::ObjectKey;
use client::informer::Change;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;

/// The controller's name.
pub const NAME: &str = "ttl-after-finished-controller";

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let jobs = lane.maps(|change: &Change<Job>| match change {
        Change::Added(job) | Change::Updated(_, job) if plan::judge(job, Timestamp::now()) != plan::Verdict::Stays => {
            vec![ObjectKey::of(&**job)]
        }
        _ => Vec::new(),
    });
    let controller = reconcile::FinishedJobs { client: context.client.clone(), jobs };
    lane.run(context.options.workers.ttl_after_finished, controller);
}
