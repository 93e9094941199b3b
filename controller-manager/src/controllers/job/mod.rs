//! Runs pods until as many of them as a job asks for have succeeded, or too many have failed.
//!
//! Upstream: `pkg/controller/job`.

mod orphans;
mod plan;
mod reconcile;

use crate::objects::owner;
use crate::objects::selector::Selector;
use crate::scaffold::pod_control::PodControl;
use crate::scaffold::{Context, Lane};
use client::informer::Change;
use client::{Informer, ObjectKey, Queue};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
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

fn owner(meta: &ObjectMeta) -> Option<ObjectKey> {
    let name = owner::controller_name::<Job>(meta)?.to_owned();
    Some(ObjectKey { namespace: meta.namespace.clone().unwrap_or_default(), name })
}

/// The jobs that a change of a pod concerns.
fn owners(change: &Change<Pod>, jobs: &Informer<Job>) -> Vec<ObjectKey> {
    let pod = change.object();
    let mut keys: Vec<_> = owner(&pod.metadata).into_iter().collect();
    if let Change::Updated(before, _) = change {
        keys.extend(owner(&before.metadata).filter(|before| !keys.contains(before)));
    }
    if !matches!(change, Change::Deleted(_)) && owner::controller_of(&pod.metadata).is_none() {
        keys.extend(adopters(pod, jobs));
    }
    keys
}

fn adopters(orphan: &Pod, jobs: &Informer<Job>) -> Vec<ObjectKey> {
    let labels = orphan.metadata.labels.as_ref();
    let candidates = jobs.list_namespace(orphan.metadata.namespace.as_deref().unwrap_or_default());
    let selects = |job: &Job| {
        let selector = job.spec.as_ref().and_then(|spec| Selector::new(spec.selector.as_ref()?).ok());
        selector.is_some_and(|selector| !selector.is_empty() && selector.matches(labels))
    };
    candidates.iter().filter(|job| selects(job)).map(|job| ObjectKey::of(&**job)).collect()
}
