//! Reads a daemon set with its pods and all nodes; creates, deletes, writes the status.

use super::plan::{self, Backoffs, Observed, Plan};
use crate::objects::{owner, selector::Selector};
use crate::scaffold::context::namespaced;
use crate::scaffold::informers::trims::claimable;
use crate::scaffold::pod_control::{Owner, PodControl, settle_claims};
use crate::scaffold::{At, Controller, Next, ReconcileError, patch};
use client::{Informer, ObjectKey, events};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::{Node, Pod};
use parking_lot::Mutex;
use std::sync::Arc;

/// Most pods that are created or deleted for one set at once.
const BURST: usize = 250;

pub(super) struct DaemonSets {
    pub(super) sets: Informer<DaemonSet>,
    pub(super) nodes: Informer<Node>,
    pub(super) revisions: Informer<ControllerRevision>,
    pub(super) control: PodControl,
    pub(super) backoffs: Mutex<Backoffs>,
}

impl Controller for DaemonSets {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(set) = self.sets.get(&key.namespace, &key.name) else {
            self.control.writes.forget(key);
            return Ok(Next::OnChange);
        };
        let selector = selector(&set)?;
        if selector.is_empty() {
            let text = "This daemon set is selecting all pods. A non-empty selector is required.";
            self.control.recorder.warning(&events::reference(&*set), "SelectingAll", text);
            return Ok(Next::OnChange);
        }
        // While it is being deleted its history may be gone already: nothing can be said of it.
        if set.metadata.deletion_timestamp.is_some() {
            return Ok(Next::OnChange);
        }
        let pods = self.claim(&set, &selector).await?;
        let (hash, revisions) = self.history(key, &set, &selector, &pods).await?;
        let observed = Observed::new(Arc::clone(&set), &pods, self.nodes.list(), hash.clone(), Timestamp::now());
        let (managed, result) = self.manage(key, &set, &hash, &observed).await;
        let result = match result {
            Ok(()) => self.control.target(key, &self.revisions).delete(revisions.surplus(&set, &pods)).await,
            failed => failed,
        };
        let (status, available_in) = plan::status(&observed);
        self.write_status(key, &set, status).await?;
        result?;
        let again = [managed, available_in].into_iter().flatten().min();
        Ok(again.map_or(Next::OnChange, |again| Next::After(again.try_into().unwrap_or_default())))
    }
}

fn selector(set: &DaemonSet) -> Result<Selector, ReconcileError> {
    let raw = set.spec.as_ref().map(|spec| spec.selector.clone()).unwrap_or_default();
    Selector::new(&raw)
        .map_err(|error| ReconcileError::Unusable { object: ObjectKey::of(set).to_string(), why: error.to_string() })
}

impl DaemonSets {
    async fn claim(&self, set: &Arc<DaemonSet>, selector: &Selector) -> Result<Vec<Arc<Pod>>, ReconcileError> {
        let claims = owner::claim(&set.metadata, selector, claimable(&self.control.pods, &set.metadata));
        let control = &self.control;
        settle_claims(&control.client, &**set, claims, &control.pods, &control.writes).await
    }

    /// One pod a node; when that is so, a step of the update.
    async fn manage(
        &self,
        key: &ObjectKey,
        set: &DaemonSet,
        hash: &str,
        observed: &Observed,
    ) -> (Option<jiff::SignedDuration>, Result<(), ReconcileError>) {
        let managed = plan::manage(observed, &mut self.backoffs.lock());
        let again = managed.again;
        let about = events::reference(set);
        for note in &managed.notes {
            match note.is_warning {
                true => self.control.recorder.warning(&about, note.reason, note.text.clone()),
                false => self.control.recorder.normal(&about, note.reason, note.text.clone()),
            }
        }
        let is_busy = !managed.create.is_empty() || !managed.delete.is_empty();
        let plan = if is_busy { managed } else { plan::update(observed) };
        (again, self.apply(key, set, hash, plan).await)
    }

    async fn apply(&self, key: &ObjectKey, set: &DaemonSet, hash: &str, plan: Plan) -> Result<(), ReconcileError> {
        let about = events::reference(set);
        let owner = Owner { key, reference: owner::controller_ref(set), about: &about };
        let created = self.create_slowly(&owner, set, hash, &plan.create).await;
        let doomed = &plan.delete[..plan.delete.len().min(BURST)];
        let deleted = self.control.delete_all(&owner, doomed).await;
        created.and(deleted)
    }

    /// In batches of 1, 2, 4, …: what refuses one pod may refuse them all.
    async fn create_slowly(
        &self,
        owner: &Owner<'_>,
        set: &DaemonSet,
        hash: &str,
        nodes: &[String],
    ) -> Result<(), ReconcileError> {
        let (mut left, mut batch) = (&nodes[..nodes.len().min(BURST)], 1);
        while !left.is_empty() {
            let (now, later) = left.split_at(batch.min(left.len()));
            let create = |node: String| async move { self.control.create(owner, &plan::pod(set, hash, &node)).await };
            let made = futures::future::join_all(now.iter().cloned().map(create)).await;
            made.into_iter().collect::<Result<Vec<()>, _>>()?;
            left = later;
            batch *= 2;
        }
        Ok(())
    }

    /// Writes the status, if it differs.
    pub(super) async fn write_status(
        &self,
        key: &ObjectKey,
        before: &DaemonSet,
        status: DaemonSetStatus,
    ) -> Result<(), ReconcileError> {
        let after = DaemonSet { status: Some(status), ..before.clone() };
        let api = namespaced::<DaemonSet>(&self.control.client, &key.namespace);
        let written = patch::write_status(&api, before, &after).await;
        if let Some(written) = written.at(|| format!("write the status of {key}"))? {
            self.control.writes.wrote(key, &self.sets, &written);
        }
        Ok(())
    }
}
