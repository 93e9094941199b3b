//! Looks at all pods every 20 seconds.

use super::plan::{self, Observed, Why};
use crate::objects::pods;
use crate::scaffold::pod_control::{mark_and_delete, same};
use crate::scaffold::{At, Controller, Next, ReconcileError};
use client::{Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;

const PERIOD: Duration = Duration::from_secs(20);

pub(super) struct PodGc {
    pub(super) client: kube::Client,
    pub(super) pods: Informer<Pod>,
    pub(super) nodes: Informer<Node>,
    pub(super) keep_finished: usize,
    /// Nodes that pods name and that do not exist.
    pub(super) missing: Mutex<HashMap<String, Timestamp>>,
}

impl Controller for PodGc {
    async fn reconcile(&self, _key: &ObjectKey) -> Result<Next, ReconcileError> {
        let (pods, nodes, now) = (self.pods.list(), self.nodes.list(), Timestamp::now());
        let missing = plan::missing(&pods, &nodes, &self.missing.lock(), now);
        self.missing.lock().clone_from(&missing);
        let keep_finished = self.keep_finished;
        let doomed = plan::plan(&Observed { pods: &pods, nodes: &nodes, missing: &missing, keep_finished, now });
        let mut verified = HashMap::new();
        for (pod, why) in doomed {
            if why == Why::Orphaned && !self.is_gone(pods::node(&pod), &mut verified).await? {
                continue;
            }
            self.collect(&pod, why, now).await?;
        }
        Ok(Next::After(PERIOD))
    }
}

impl PodGc {
    /// Whether the apiserver, too, says that there is no such node.
    async fn is_gone(&self, node: &str, verified: &mut HashMap<String, bool>) -> Result<bool, ReconcileError> {
        if let Some(gone) = verified.get(node) {
            return Ok(*gone);
        }
        let found = Api::<Node>::all(self.client.clone()).get_opt(node).await.at(|| format!("read node {node}"))?;
        verified.insert(node.to_owned(), found.is_none());
        Ok(found.is_none())
    }

    async fn collect(&self, pod: &Pod, why: Why, now: Timestamp) -> Result<(), ReconcileError> {
        tracing::info!(pod = %ObjectKey::of(pod), ?why, "collecting");
        let failed = plan::failed(pod, why, now);
        mark_and_delete(&self.client, pod, failed.as_ref(), &same(pod).grace_period(0)).await
    }
}
