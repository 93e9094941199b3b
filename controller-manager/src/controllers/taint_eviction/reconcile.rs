//! Looks at one pod of a tainted node: waits, or deletes it.

use super::plan::{self, Verdict};
use crate::objects::pods;
use crate::scaffold::pod_control::{mark_and_delete, same};
use crate::scaffold::{Controller, Next, ReconcileError};
use client::{Informer, ObjectKey, Recorder, events};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use parking_lot::Mutex;
use std::collections::HashMap;

pub(super) struct TaintEviction {
    pub(super) client: kube::Client,
    pub(super) nodes: Informer<Node>,
    pub(super) pods: Informer<Pod>,
    pub(super) recorder: Recorder,
    /// Pods that will have to leave, by uid, and since when that is known.
    pub(super) waiting: Mutex<HashMap<ObjectKey, (String, Timestamp)>>,
}

impl Controller for TaintEviction {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let now = Timestamp::now();
        let pod = self.pods.get(&key.namespace, &key.name);
        let node = pod.as_ref().and_then(|pod| self.nodes.get("", pods::node(pod)));
        let (Some(pod), Some(node)) = (pod, node) else {
            self.waiting.lock().remove(key);
            return Ok(Next::OnChange);
        };
        match plan::decide(&pod, &node, self.seen(key, &pod, now), now) {
            Verdict::Stay => self.cancel(key, &pod),
            Verdict::LeaveIn(left) => return Ok(Next::After(left.try_into().unwrap_or_default())),
            Verdict::LeaveNow => self.evict(key, &pod, now).await?,
        }
        Ok(Next::OnChange)
    }
}

impl TaintEviction {
    fn seen(&self, key: &ObjectKey, pod: &Pod, now: Timestamp) -> Timestamp {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let mut waiting = self.waiting.lock();
        let entry = waiting.entry(key.clone()).or_insert_with(|| (uid.clone(), now));
        if entry.0 != uid {
            *entry = (uid, now);
        }
        entry.1
    }

    fn cancel(&self, key: &ObjectKey, pod: &Pod) {
        let waited = self.waiting.lock().remove(key);
        if waited.is_some_and(|(_, since)| since < Timestamp::now()) && pods::is_active(pod) {
            let text = format!("Cancelling deletion of Pod {key}");
            self.recorder.normal(&events::reference(pod), "TaintManagerEviction", text);
        }
    }

    async fn evict(&self, key: &ObjectKey, pod: &Pod, now: Timestamp) -> Result<(), ReconcileError> {
        let text = format!("Marking for deletion Pod {key}");
        self.recorder.normal(&events::reference(pod), "TaintManagerEviction", text);
        let mut marked = pod.clone();
        plan::WHY.mark(&mut marked, now);
        mark_and_delete(&self.client, pod, Some(&marked), &same(pod)).await?;
        self.waiting.lock().remove(key);
        Ok(())
    }
}
