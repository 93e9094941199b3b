//! The one writer of pod statuses.
//!
//! It keeps the newest status per pod and writes it as soon as the write before is done, so a pod
//! whose status changes often costs one request at a time. Pods are written side by side.

use super::patch::status_patch;
use crate::cluster::Cluster;
use component::Supervisor;
use component::metrics::{Bounds, Registry};
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use parking_lot::Mutex;
use prometheus_client::metrics::histogram::Histogram;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, Semaphore, mpsc};

const PARALLEL: usize = 10;
const RETRY: Duration = Duration::from_secs(1);
/// Seconds that a status takes to be written.
const SECONDS: Bounds = Bounds(&[0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0]);

/// Hands statuses to the writer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StatusWriter {
    newest: Arc<Mutex<HashMap<String, Entry>>>,
    wake: mpsc::UnboundedSender<String>,
    done: Arc<Notify>,
    seconds: Histogram,
}

#[derive(Debug)]
struct Entry {
    /// The pod as the apiserver last showed it, without its status being newer than ours.
    pod: Arc<Pod>,
    status: PodStatus,
    progress: WriteState,
    /// Since when the apiserver has an old one.
    since: Instant,
}

/// Where the newest status of a pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WriteState {
    /// The apiserver has it.
    Written,
    /// A task is going to write it.
    Queued,
    /// A task is writing one; when it is done, it looks again.
    Writing,
}

impl WriteState {
    /// After there is something new to write.
    fn changed(self) -> Self {
        match self {
            Self::Written => Self::Queued,
            busy => busy,
        }
    }
}

impl StatusWriter {
    /// A writer, and the future that writes.
    pub fn new(cluster: Arc<dyn Cluster>, supervisor: Supervisor) -> (Self, impl Future<Output = ()> + Send) {
        let (wake, requests) = mpsc::unbounded_channel();
        let seconds = SECONDS.histogram();
        let writer = Self { newest: Arc::default(), wake, done: Arc::default(), seconds };
        let task = run(writer.clone(), requests, cluster, supervisor);
        (writer, task)
    }

    /// Adds how long statuses take to be written to what is served.
    pub fn register(&self, registry: &mut Registry) {
        let help = "[ALPHA] Duration in seconds to sync a pod status update. Measures time from detection of a change \
                    to pod status until the API is successfully updated for that pod, even if multiple intevening \
                    changes to pod status occur";
        registry.register("kubelet_pod_status_sync_duration_seconds", help, self.seconds.clone());
    }

    /// The pod now has this status.
    pub fn set(&self, pod: &Arc<Pod>, status: PodStatus) {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let mut newest = self.newest.lock();
        let before = newest.get(&uid).map(|e| e.progress);
        let known = newest.get(&uid).map(|e| e.pod.clone()).filter(|k| is_newer(k, pod));
        let base = known.unwrap_or_else(|| pod.clone());
        let progress = before.map_or(WriteState::Queued, WriteState::changed);
        let under_way = newest.get(&uid).filter(|e| e.progress != WriteState::Written);
        let since = under_way.map_or_else(Instant::now, |e| e.since);
        newest.insert(uid.clone(), Entry { pod: base, status, progress, since });
        if before.is_none_or(|b| b == WriteState::Written) {
            // The receiver lives as long as the kubelet.
            let _ = self.wake.send(uid);
        }
    }

    /// The object that shows the status is another one now: it is written again.
    pub fn rewrite(&self, uid: &str) {
        let mut newest = self.newest.lock();
        let Some(entry) = newest.get_mut(uid) else { return };
        let before = entry.progress;
        entry.progress = before.changed();
        if before == WriteState::Written {
            let _ = self.wake.send(uid.to_owned());
        }
    }

    /// The newest status of a pod, written or not.
    pub fn get(&self, uid: &str) -> Option<PodStatus> {
        self.newest.lock().get(uid).map(|e| e.status.clone())
    }

    /// The reasons of all conditions of a kind that hold.
    pub fn reasons(&self, kind: &str) -> Vec<String> {
        let newest = self.newest.lock();
        let all = newest.values().flat_map(|e| e.status.conditions.iter().flatten());
        all.filter(|c| c.type_ == kind && c.status == "True").map(|c| c.reason.clone().unwrap_or_default()).collect()
    }

    /// Whether the apiserver has the newest status.
    pub fn is_written(&self, uid: &str) -> bool {
        self.newest.lock().get(uid).is_none_or(|e| e.progress == WriteState::Written)
    }

    /// Waits until the apiserver has the newest status.
    pub async fn written(&self, uid: &str) {
        loop {
            let done = self.done.notified();
            if self.is_written(uid) {
                return;
            }
            done.await;
        }
    }

    /// The pod is gone.
    pub fn forget(&self, uid: &str) {
        self.newest.lock().remove(uid);
        self.done.notify_waiters();
    }
}

/// Resource versions of one apiserver grow; a pod from our own write may be ahead of the watch.
fn is_newer(known: &Pod, seen: &Pod) -> bool {
    let version = |p: &Pod| p.metadata.resource_version.as_deref().and_then(|v| v.parse::<u64>().ok()).unwrap_or(0);
    version(known) > version(seen)
}

type Newest = Arc<Mutex<HashMap<String, Entry>>>;

async fn run(
    writer: StatusWriter,
    mut requests: mpsc::UnboundedReceiver<String>,
    cluster: Arc<dyn Cluster>,
    supervisor: Supervisor,
) {
    let slots = Arc::new(Semaphore::new(PARALLEL));
    while let Some(uid) = requests.recv().await {
        let (writer, cluster, slots) = (writer.clone(), cluster.clone(), slots.clone());
        supervisor.spawn_until_stop("status-write", async move {
            while write_newest(&writer, &uid, cluster.as_ref(), &slots).await == Next::Again {}
            writer.done.notify_waiters();
        });
    }
}

#[derive(PartialEq, Eq)]
enum Next {
    Again,
    Done,
}

async fn write_newest(writer: &StatusWriter, uid: &str, cluster: &dyn Cluster, slots: &Semaphore) -> Next {
    let newest = &writer.newest;
    let Ok(_slot) = slots.acquire().await else { return Next::Done };
    let Some((pod, status)) = take(newest, uid) else { return Next::Done };
    let Some(patch) = status_patch(&pod, &status) else { return finish(newest, uid, None, &status) };
    match cluster.patch_status(&pod, &patch).await {
        Ok(after) => {
            let since = newest.lock().get(uid).map(|e| e.since);
            since.into_iter().for_each(|since| writer.seconds.observe(since.elapsed().as_secs_f64()));
            finish(newest, uid, Some(after), &status)
        }
        Err(e) if e.is_not_found() => finish(newest, uid, None, &status),
        Err(e) => {
            tracing::warn!(pod = pod.metadata.name.as_deref(), error = %e, "cannot write the status yet");
            drop(_slot);
            tokio::time::sleep(RETRY).await;
            Next::Again
        }
    }
}

fn take(newest: &Newest, uid: &str) -> Option<(Arc<Pod>, PodStatus)> {
    let mut newest = newest.lock();
    let entry = newest.get_mut(uid)?;
    entry.progress = WriteState::Writing;
    Some((entry.pod.clone(), entry.status.clone()))
}

fn finish(newest: &Newest, uid: &str, after: Option<Pod>, written: &PodStatus) -> Next {
    let mut newest = newest.lock();
    let Some(entry) = newest.get_mut(uid) else { return Next::Done };
    if let Some(pod) = after.filter(|p| p.metadata.uid.as_deref() == Some(uid)) {
        entry.pod = Arc::new(pod);
    }
    if entry.status == *written {
        entry.progress = WriteState::Written;
        Next::Done
    } else {
        Next::Again
    }
}
