//! Frees pods of the tracking finalizer when no running job will: they would stay forever.
//!
//! Upstream: the orphan queue of `pkg/controller/job/job_controller.go`.

use super::plan::{FINALIZER, is_finished, is_tracked, managed_by_other};
use crate::objects::owner;
use crate::scaffold::context::namespaced;
use crate::scaffold::informers::trims::BY_OWNER;
use crate::scaffold::pod_control::PodControl;
use crate::scaffold::{At, Context, Controller, Lane, Next, ReconcileError, is_not_found};
use client::informer::Change;
use client::{Informer, ObjectKey};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};

/// Its queue's name.
const NAME: &str = "job_orphan_pod";
const WORKERS: usize = 5;

struct Orphans {
    client: kube::Client,
    jobs: Informer<Job>,
    pods: Informer<Pod>,
}

/// Starts it beside the controller of jobs.
pub(super) fn start(context: &Context, control: &PodControl) {
    let mut lane = Lane::new(context, NAME);
    let known = context.informers.of::<Job>();
    let pods = lane.maps(move |change: &Change<Pod>| {
        let pod = change.object();
        let is_gone = matches!(change, Change::Deleted(_));
        if is_gone || !is_orphan(pod, &known) { Vec::new() } else { vec![ObjectKey::of(&**pod)] }
    });
    let owned = pods.clone();
    let jobs = lane.maps(move |change: &Change<Job>| left_behind(change, &owned));
    lane.run(WORKERS, Orphans { client: control.client.clone(), jobs, pods });
}

/// The pods of a job that has just ended or gone.
fn left_behind(change: &Change<Job>, pods: &Informer<Pod>) -> Vec<ObjectKey> {
    let job = change.object();
    if !is_finished(job) && !matches!(change, Change::Deleted(_)) {
        return Vec::new();
    }
    let pods = pods.by_index(BY_OWNER, job.metadata.uid.as_deref().unwrap_or_default());
    pods.iter().filter(|pod| is_tracked(pod)).map(|pod| ObjectKey::of(&**pod)).collect()
}

/// Whether the pod is tracked, and no job is there to count it.
fn is_orphan(pod: &Pod, jobs: &Informer<Job>) -> bool {
    if !is_tracked(pod) {
        return false;
    }
    let Some(controller) = owner::controller_of(&pod.metadata) else { return true };
    let Some(name) = owner::controller_name::<Job>(&pod.metadata) else { return false };
    let job = jobs.get(pod.metadata.namespace.as_deref().unwrap_or_default(), name);
    match job.filter(|job| job.metadata.uid.as_ref() == Some(&controller.uid)) {
        Some(job) => managed_by_other(&job).is_none() && is_finished(&job),
        None => true,
    }
}

impl Controller for Orphans {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        if let Some(pod) = self.pods.get(&key.namespace, &key.name).filter(|pod| is_orphan(pod, &self.jobs)) {
            match untrack(&self.client, &pod).await {
                Err(error) if !is_not_found(&error) => return Err(error).at(|| format!("free pod {key}")),
                _ => {}
            }
        }
        Ok(Next::OnChange)
    }
}

/// Takes the finalizer off, whatever else was written meanwhile.
pub(super) async fn untrack(client: &kube::Client, pod: &Pod) -> Result<Pod, kube::Error> {
    let patch = serde_json::json!({"metadata": {
        "uid": pod.metadata.uid, "$deleteFromPrimitiveList/finalizers": [FINALIZER],
    }});
    let api = namespaced::<Pod>(client, pod.metadata.namespace.as_deref().unwrap_or_default());
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    api.patch(name, &PatchParams::default(), &Patch::Strategic(patch)).await
}
