//! Mirror pods: what the apiserver shows of the static pods of this node.
//!
//! A mirror that is missing is created; one that shows another manifest, that somebody deleted, or
//! whose static pod is gone is removed.
//!
//! Upstream: `pkg/kubelet/pod/mirror_client.go`, `SyncPod` of `pkg/kubelet/kubelet.go`.

use super::manifest;
use super::statics::Source;
use crate::cluster::Cluster;
use crate::metrics::pods::PodCounts;
use crate::node::NodeFacts;
use crate::pod::{CONFIG_HASH, CONFIG_MIRROR, PodExt};
use crate::status::StatusWriter;
use client::informer::Informer;
use k8s_openapi::api::core::v1::Pod;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Pause before what failed is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// What the mirrors are made from, and where they are.
pub struct Mirrors {
    /// The static pods that are wanted.
    pub statics: watch::Receiver<HashMap<Source, Vec<Arc<Pod>>>>,
    /// The pods of this node at the apiserver.
    pub seen: Informer<Pod>,
    pub node: NodeFacts,
    pub cluster: Arc<dyn Cluster>,
    pub statuses: StatusWriter,
    pub counts: PodCounts,
}

/// What is to be done for one pod.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// It has no mirror.
    Create(Arc<Pod>),
    /// A mirror that shows nothing that is wanted.
    Delete(Arc<Pod>),
}

/// Whether all steps succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    Again,
}

impl Mirrors {
    /// Keeps the mirrors right for ever; give it to the supervisor.
    pub async fn run(mut self) {
        self.seen.synced().await;
        let changed = Arc::new(Notify::new());
        let bell = changed.clone();
        self.seen.subscribe(move |change| {
            if change.object().is_mirror() {
                bell.notify_one();
            }
        });
        loop {
            let statics: Vec<_> = self.statics.borrow_and_update().values().flatten().cloned().collect();
            let seen = self.seen.list();
            self.counts.mirrored(seen.iter().filter(|pod| pod.is_mirror()).count());
            let retry = self.act(plan(&statics, &seen)).await == Outcome::Again;
            tokio::select! {
                () = changed.notified() => {}
                told = self.statics.changed() => if told.is_err() { return },
                () = tokio::time::sleep(RETRY), if retry => {}
            }
        }
    }

    async fn act(&self, steps: Vec<Step>) -> Outcome {
        let mut outcome = Outcome::Done;
        for step in steps {
            let done = match &step {
                Step::Create(pod) => self.create(pod).await,
                Step::Delete(mirror) => self.delete(mirror).await,
            };
            if !done {
                outcome = Outcome::Again;
            }
        }
        outcome
    }

    async fn create(&self, pod: &Arc<Pod>) -> bool {
        // The mirror belongs to the node's object, which has to be there first.
        let facts = self.node.get();
        let Some(uid) = facts.uid.as_deref() else { return false };
        match self.cluster.create_pod(&manifest::mirror(pod, &facts.name, uid)).await {
            Ok(()) => {
                tracing::info!(pod = pod.formatted(), "created the mirror pod");
                self.statuses.rewrite(pod.uid());
                true
            }
            Err(e) => {
                tracing::warn!(pod = pod.formatted(), error = %e, "cannot create the mirror pod yet");
                false
            }
        }
    }

    async fn delete(&self, mirror: &Arc<Pod>) -> bool {
        match self.cluster.delete_pod(mirror.namespace(), mirror.name(), mirror.uid()).await {
            Ok(()) => {
                tracing::info!(pod = mirror.formatted(), "deleted the mirror pod");
                true
            }
            Err(e) if e.is_not_found() => true,
            Err(e) => {
                tracing::warn!(pod = mirror.formatted(), error = %e, "cannot delete the mirror pod yet");
                false
            }
        }
    }
}

fn plan(statics: &[Arc<Pod>], seen: &[Arc<Pod>]) -> Vec<Step> {
    let same = |a: &Pod, b: &Pod| a.name() == b.name() && a.namespace() == b.namespace();
    let shows =
        |mirror: &Pod, pod: &Pod| same(mirror, pod) && mirror.annotation(CONFIG_MIRROR) == pod.annotation(CONFIG_HASH);
    let mirrors = seen.iter().filter(|p| p.is_mirror());
    let wrong = mirrors.filter(|m| m.is_being_deleted() || !statics.iter().any(|pod| shows(m, pod)));
    // One that is to go first has to be seen gone.
    let missing = statics.iter().filter(|pod| !seen.iter().any(|m| same(m, pod)));
    wrong.cloned().map(Step::Delete).chain(missing.cloned().map(Step::Create)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    fn fixed(name: &str, image: &str) -> Arc<Pod> {
        let text = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{containers: [{{name: c, image: {image}}}]}}\n"
        );
        Arc::new(manifest::parse(&text, "file", "n").unwrap())
    }

    fn mirror(pod: &Pod) -> Arc<Pod> {
        Arc::new(manifest::mirror(pod, "n", "node-uid"))
    }

    #[test]
    fn what_is_missing_or_wrong() {
        let (a, changed, b) = (fixed("a", "x"), fixed("a", "z"), fixed("b", "x"));
        let mut deleted = (*mirror(&a)).clone();
        deleted.metadata.deletion_timestamp = Some(Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH));
        let deleted = Arc::new(deleted);
        let mut foreign = (*mirror(&b)).clone();
        foreign.metadata.annotations = None;
        for (what, statics, seen, want) in [
            ("missing", vec![a.clone()], vec![], vec![Step::Create(a.clone())]),
            ("there", vec![a.clone()], vec![mirror(&a)], vec![]),
            ("changed", vec![changed], vec![mirror(&a)], vec![Step::Delete(mirror(&a))]),
            ("deleted by somebody", vec![a.clone()], vec![deleted.clone()], vec![Step::Delete(deleted)]),
            ("no longer wanted", vec![], vec![mirror(&a)], vec![Step::Delete(mirror(&a))]),
            ("another pod has the name", vec![b], vec![Arc::new(foreign)], vec![]),
        ] {
            assert_eq!(plan(&statics, &seen), want, "{what}");
        }
    }
}
