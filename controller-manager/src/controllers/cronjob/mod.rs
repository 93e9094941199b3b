//! Starts jobs at the times of a schedule.
//!
//! Upstream: `pkg/controller/cronjob`.

mod plan;
mod reconcile;

use crate::objects::owner;
use crate::scaffold::{Context, Lane};
use client::informer::Change;
use client::{ObjectKey, Queue};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{CronJob, Job};

/// The controller's name.
pub const NAME: &str = "cronjob-controller";

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let cron_jobs = lane.reads::<CronJob>();
    let queue = lane.queue();
    cron_jobs.subscribe(move |change| queue_cron_job(change, &queue));
    let jobs = lane.maps(owners);
    let controller = reconcile::CronJobs {
        client: context.client.clone(),
        recorder: context.recorder("cronjob-controller"),
        cron_jobs,
        jobs,
        writes: lane.writes(),
    };
    lane.run(context.options.workers.cron_job, controller);
}

/// A new schedule is looked at when its first time has come, everything else now.
fn queue_cron_job(change: &Change<CronJob>, queue: &Queue<ObjectKey>) {
    let key = ObjectKey::of(&**change.object());
    let schedule = |cron_job: &CronJob| (cron_job.spec.schedule.clone(), cron_job.spec.time_zone.clone());
    if let Change::Updated(before, after) = change
        && schedule(before) != schedule(after)
        && let Some(wait) = plan::next_in(after, Timestamp::now())
    {
        return queue.add_after(key, wait.try_into().unwrap_or_default());
    }
    queue.add(key);
}

/// The cron jobs that a change of a job concerns.
fn owners(change: &Change<Job>) -> Vec<ObjectKey> {
    let owner = |job: &Job| {
        let name = owner::controller_name::<CronJob>(&job.metadata)?.to_owned();
        Some(ObjectKey { namespace: job.metadata.namespace.clone().unwrap_or_default(), name })
    };
    let mut keys: Vec<_> = owner(change.object()).into_iter().collect();
    if let Change::Updated(before, _) = change {
        keys.extend(owner(before).filter(|before| !keys.contains(before)));
    }
    keys
}
