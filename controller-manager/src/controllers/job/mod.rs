//! Runs pods until as many of them as a job asks for have succeeded, or too many have failed.
//!
//! Upstream: `pkg/controller/job`.

mod orphans;
mod plan;
mod reconcile;

use crate::scaffold::owning::owners;
use crate::scaffold::pod_control::PodControl;
use crate::scaffold::{Context, Lane};
use client::informer::Change;
use client::{ObjectKey, Queue};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use std::time::Duration;

pub(super) use plan::finished_as;

/// The controller's name.
pub const NAME: &str = "job-controller";

/// Changes of pods and of the status come in swarms: they are looked at together.
const BATCH: Duration = Duration::from_secs(1);

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let jobs = lane.reads::<Job>();
    let queue = lane.queue();
    jobs.subscribe(move |change| queue_job(change, &queue));
    let pods = lane.reads::<Pod>();
    let (queue, known) = (lane.queue(), jobs.clone());
    pods.subscribe(move |change| {
        owners(change, &known).into_iter().for_each(|key| queue.add_after(key, BATCH));
    });
    let control = PodControl {
        client: context.client.clone(),
        recorder: context.recorder("job-controller"),
        pods,
        writes: lane.writes(),
    };
    orphans::start(context, &control);
    lane.run(context.options.workers.job, reconcile::Jobs { jobs, control, backoffs: Mutex::default() });
}

/// A new state of the spec is looked at now, one of the status in a while.
fn queue_job(change: &Change<Job>, queue: &Queue<ObjectKey>) {
    let key = ObjectKey::of(&**change.object());
    match change {
        Change::Updated(_, job) if plan::is_finished(job) => {}
        Change::Updated(before, job) if before.metadata.generation == job.metadata.generation => {
            queue.add_after(key, BATCH);
        }
        _ => queue.add(key),
    }
}
