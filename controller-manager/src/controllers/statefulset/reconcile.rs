//! Reads a stateful set with its pods and claims; carries the steps out, writes the status.

use super::history::History;
use super::plan::{self, Observed, Step};
use crate::objects::owner::{self, Claims};
use crate::objects::selector::Selector;
use crate::scaffold::context::namespaced;
use crate::scaffold::error::is_namespace_terminating;
use crate::scaffold::informers::trims::claimable;
use crate::scaffold::patch::{self, Guard, Part};
use crate::scaffold::pod_control::{PodControl, same, settle_claims};
use crate::scaffold::{At, Controller, Next, ReconcileError, is_not_found};
use client::{Informer, ObjectKey, events};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::PostParams;
use std::collections::HashMap;
use std::sync::Arc;

/// Most steps of a `Parallel` set that are done at the same time.
const BATCH: usize = 500;

pub(super) struct StatefulSets {
    pub(super) sets: Informer<StatefulSet>,
    pub(super) revisions: Informer<ControllerRevision>,
    pub(super) claims: Informer<PersistentVolumeClaim>,
    pub(super) control: PodControl,
}

impl Controller for StatefulSets {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(set) = self.sets.get(&key.namespace, &key.name) else {
            self.control.writes.forget(key);
            return Ok(Next::OnChange);
        };
        let selector = selector(&set)?;
        let pods = self.claim(&set, &selector).await?;
        let History { all, current, update, collisions } = self.history(key, &set, &selector).await?;
        let claims = self.claims_of(&set, &pods);
        let observed =
            Observed { set: Arc::clone(&set), pods, claims, current, update, collisions, now: Timestamp::now() };
        let (done, result) = self.run(key, &observed).await;
        let status = plan::status(&observed, &done);
        self.write_status(key, &set, status).await?;
        let in_use = [observed.current.name.as_str(), observed.update.name.as_str()];
        let surplus = plan::surplus(&set, &all, in_use, &observed.pods);
        self.control.target(key, &self.revisions).delete(surplus).await?;
        result?;
        let again = plan::available_in(&observed).and_then(|again| again.try_into().ok());
        Ok(again.map_or(Next::OnChange, Next::After))
    }
}

fn selector(set: &StatefulSet) -> Result<Selector, ReconcileError> {
    let raw = set.spec.as_ref().map(|spec| spec.selector.clone()).unwrap_or_default();
    Selector::new(&raw)
        .map_err(|error| ReconcileError::Unusable { object: ObjectKey::of(set).to_string(), why: error.to_string() })
}

impl StatefulSets {
    /// Only pods whose name is one of the set's are its.
    async fn claim(&self, set: &Arc<StatefulSet>, selector: &Selector) -> Result<Vec<Arc<Pod>>, ReconcileError> {
        let candidates = claimable(&self.control.pods, &set.metadata);
        let Claims { owned, adopt, mut release } = owner::claim(&set.metadata, selector, candidates);
        let (owned, strangers): (Vec<_>, Vec<_>) = owned.into_iter().partition(|pod| plan::is_member(set, pod));
        if set.metadata.deletion_timestamp.is_none() {
            release.extend(strangers);
        }
        let adopt = adopt.into_iter().filter(|pod| plan::is_member(set, pod)).collect();
        let (control, claims) = (&self.control, Claims { owned, adopt, release });
        settle_claims(&control.client, &**set, claims, &control.pods, &control.writes).await
    }

    /// The claims that the pods have, or will have, as far as they are there.
    fn claims_of(&self, set: &StatefulSet, pods: &[Arc<Pod>]) -> HashMap<String, Arc<PersistentVolumeClaim>> {
        let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
        let names = plan::claim_names(set, pods);
        names.into_iter().filter_map(|name| Some((name.clone(), self.claims.get(namespace, &name)?))).collect()
    }

    /// Carries the steps out, one after the other or together; gives those that were done.
    async fn run(&self, key: &ObjectKey, observed: &Observed) -> (Vec<Step>, Result<(), ReconcileError>) {
        let steps = plan::steps(observed);
        let (mut done, mut batch) = (Vec::new(), 1);
        while done.len() < steps.len() {
            let some = &steps[done.len()..steps.len().min(done.len() + batch)];
            let results = futures::future::join_all(some.iter().map(|step| self.step(key, &observed.set, step))).await;
            for (step, result) in some.iter().zip(results) {
                match result {
                    Ok(()) => done.push(step.clone()),
                    Err(error) => return (done, Err(error)),
                }
            }
            batch = if plan::is_ordered(observed) { 1 } else { (batch * 2).min(BATCH) };
        }
        (done, Ok(()))
    }

    async fn step(&self, key: &ObjectKey, set: &StatefulSet, step: &Step) -> Result<(), ReconcileError> {
        match step {
            Step::Create(pod) => {
                let created = self.create(key, set, pod).await;
                self.say(set, "Create", pod, created)
            }
            Step::Delete(pod, _) => {
                let deleted = self.delete(key, pod).await;
                self.say(set, "Delete", pod, deleted)
            }
            Step::MakeClaims(pod) => {
                self.make_claims(key, set, pod).await?;
                self.settle_owners(key, set, pod).await
            }
            Step::Conform(pod) => {
                let conformed = self.conform(key, set, pod).await;
                self.say(set, "Update", pod, conformed)
            }
            Step::Retain(pod) => self.settle_owners(key, set, pod).await,
        }
    }

    /// An event about what happened to a pod.
    fn say(
        &self,
        set: &StatefulSet,
        verb: &str,
        pod: &Pod,
        result: Result<(), ReconcileError>,
    ) -> Result<(), ReconcileError> {
        let (about, recorder) = (events::reference(set), &self.control.recorder);
        let name = |name: &Option<String>| name.clone().unwrap_or_default();
        let (pod, set) = (name(&pod.metadata.name), name(&set.metadata.name));
        match &result {
            Ok(()) => {
                let text = format!("{verb} Pod {pod} in StatefulSet {set} successful");
                recorder.normal(&about, &format!("Successful{verb}"), text);
            }
            Err(error) => {
                let cause = Some(error.cause()).filter(|cause| !cause.is_empty()).unwrap_or_else(|| error.to_string());
                let text = format!("{verb} Pod {pod} in StatefulSet {set} failed error: {cause}");
                recorder.warning(&about, &format!("Failed{verb}"), text);
            }
        }
        result
    }

    async fn create(&self, key: &ObjectKey, set: &StatefulSet, pod: &Pod) -> Result<(), ReconcileError> {
        self.make_claims(key, set, pod).await?;
        let api = namespaced::<Pod>(&self.control.client, &key.namespace);
        match api.create(&PostParams::default(), pod).await {
            Ok(created) => {
                self.control.writes.wrote(key, &self.control.pods, &created);
                self.settle_owners(key, set, &created).await
            }
            Err(error) if is_namespace_terminating(&error) => Ok(()),
            Err(error) => Err(error).at(|| format!("create pod {}", ObjectKey::of(pod))),
        }
    }

    async fn delete(&self, key: &ObjectKey, pod: &Pod) -> Result<(), ReconcileError> {
        let api = namespaced::<Pod>(&self.control.client, &key.namespace);
        match api.delete(pod.metadata.name.as_deref().unwrap_or_default(), &same(pod)).await {
            Ok(_) => {
                self.control.writes.deleted(key, &self.control.pods, pod);
                Ok(())
            }
            Err(error) if is_not_found(&error) => Ok(()),
            Err(error) => Err(error).at(|| format!("delete pod {}", ObjectKey::of(pod))),
        }
    }

    /// Makes the pod what it should be. What it is, the cache does not show whole.
    async fn conform(&self, key: &ObjectKey, set: &StatefulSet, pod: &Pod) -> Result<(), ReconcileError> {
        self.make_claims(key, set, pod).await?;
        self.settle_owners(key, set, pod).await?;
        let api = namespaced::<Pod>(&self.control.client, &key.namespace);
        let doing = || format!("update pod {}", ObjectKey::of(pod));
        let Some(live) = api.get_opt(pod.metadata.name.as_deref().unwrap_or_default()).await.at(doing)? else {
            return Ok(());
        };
        let mut after = live.clone();
        plan::identify(set, &mut after);
        if !plan::has_storage(set, &live) {
            plan::mount(set, &mut after);
        }
        let written = patch::write(&api, Part::Object, Guard::Version, &live, &after).await;
        if let Some(written) = written.at(doing)? {
            self.control.writes.wrote(key, &self.control.pods, &written);
        }
        Ok(())
    }

    async fn write_status(
        &self,
        key: &ObjectKey,
        before: &StatefulSet,
        status: StatefulSetStatus,
    ) -> Result<(), ReconcileError> {
        let after = StatefulSet { status: Some(status), ..before.clone() };
        let api = namespaced::<StatefulSet>(&self.control.client, &key.namespace);
        let written = patch::write_status(&api, before, &after).await;
        if let Some(written) = written.at(|| format!("write the status of {key}"))? {
            self.control.writes.wrote(key, &self.sets, &written);
        }
        Ok(())
    }
}
