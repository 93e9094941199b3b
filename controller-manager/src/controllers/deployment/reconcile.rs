//! Reads a deployment with its replica sets; applies the next step, writes the status.

use super::plan::{self, Change, FAILED_CREATE, NEW_SET_CREATED, NEW_SET_FOUND, Observed, Plan, progressing};
use crate::objects::{conditions, owner, selector::Selector};
use crate::scaffold::context::namespaced;
use crate::scaffold::error::{is_namespace_terminating, message};
use crate::scaffold::informers::trims::{BY_OWNER, claimable};
use crate::scaffold::patch::{self, Guard, Part};
use crate::scaffold::pod_control::{same, settle_claims};
use crate::scaffold::{At, Controller, Next, ReconcileError, Writes, is_exists, is_not_found};
use client::{Informer, ObjectKey, Recorder, events};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use kube::api::PostParams;

const REVISION: &str = "deployment.kubernetes.io/revision";

pub(super) struct Deployments {
    pub(super) client: kube::Client,
    pub(super) recorder: Recorder,
    pub(super) deployments: Informer<Deployment>,
    pub(super) sets: Informer<ReplicaSet>,
    pub(super) pods: Informer<Pod>,
    pub(super) writes: Writes,
}

impl Controller for Deployments {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(deployment) = self.deployments.get(&key.namespace, &key.name) else {
            self.writes.forget(key);
            return Ok(Next::OnChange);
        };
        let Some(selector) = self.selector(&deployment)? else {
            return self.only_observed(key, &deployment).await;
        };
        let claims = owner::claim(&deployment.metadata, &selector, claimable(&self.sets, &deployment.metadata));
        let sets = settle_claims(&self.client, &*deployment, claims, &self.sets, &self.writes).await?;
        let uids = sets.iter().filter_map(|set| set.metadata.uid.as_deref());
        let pods = uids.flat_map(|uid| self.pods.by_index(BY_OWNER, uid)).collect();
        let observed = Observed { deployment, sets, pods, now: Timestamp::now() };
        self.apply(key, &observed, plan::plan(&observed)).await
    }
}

/// How a change of a replica set went.
enum Applied {
    Done,
    /// Another object has the name: the next attempt hashes to another one.
    Collision,
}

impl Deployments {
    /// The selector; `None` (and a warning event) for one that selects all pods.
    fn selector(&self, deployment: &Deployment) -> Result<Option<Selector>, ReconcileError> {
        let raw = deployment.spec.as_ref().map(|spec| spec.selector.clone()).unwrap_or_default();
        let selector = Selector::new(&raw).map_err(|error| ReconcileError::Unusable {
            object: ObjectKey::of(deployment).to_string(),
            why: error.to_string(),
        })?;
        if selector.is_empty() {
            let text = "This deployment is selecting all pods. A non-empty selector is required.";
            self.recorder.warning(&events::reference(deployment), "SelectingAll", text);
            return Ok(None);
        }
        Ok(Some(selector))
    }

    async fn only_observed(&self, key: &ObjectKey, deployment: &Deployment) -> Result<Next, ReconcileError> {
        let mut status = deployment.status.clone().unwrap_or_default();
        status.observed_generation = deployment.metadata.generation;
        self.write_status(key, deployment, status).await?;
        Ok(Next::OnChange)
    }

    async fn apply(&self, key: &ObjectKey, observed: &Observed, plan: Plan) -> Result<Next, ReconcileError> {
        let Plan { changes, revision, mut status, again } = plan;
        let deployment = &*observed.deployment;
        let about = events::reference(deployment);
        let had_progress = conditions::find(status.conditions.as_deref().unwrap_or_default(), "Progressing").is_some();
        for change in changes {
            match self.apply_one(key, &about, &change).await {
                Ok(Applied::Done) => note_new_set(deployment, &change, &mut status, observed.now),
                Ok(Applied::Collision) => {
                    let mut status = deployment.status.clone().unwrap_or_default();
                    status.collision_count = Some(status.collision_count.unwrap_or(0) + 1);
                    self.write_status(key, deployment, status).await?;
                    return Err(ReconcileError::Unfinished {
                        left: "hash collision of the new replica set".to_owned(),
                    });
                }
                Err(error) => {
                    self.note_failure(key, &about, observed, &change, &error).await?;
                    return Err(error);
                }
            }
        }
        if !had_progress {
            note_found_set(observed, &mut status);
        }
        self.write(key, deployment, revision, status).await?;
        Ok(again.and_then(|again| again.try_into().ok()).map_or(Next::OnChange, Next::After))
    }

    async fn apply_one(
        &self,
        key: &ObjectKey,
        about: &ObjectReference,
        change: &Change,
    ) -> Result<Applied, ReconcileError> {
        let api = namespaced::<ReplicaSet>(&self.client, &key.namespace);
        match change {
            Change::Create(set) => return self.create(key, about, set).await,
            Change::Update { before, after } => {
                let written = patch::write(&api, Part::Object, Guard::Version, &**before, after).await;
                if let Some(written) = written.at(|| format!("update replica set {}", name(after)))? {
                    self.writes.wrote(key, &self.sets, &written);
                }
                self.say_scaled(about, after, size(before), size(after));
            }
            Change::Delete(set) => match api.delete(name(set), &same(&**set)).await {
                Ok(_) => self.writes.deleted(key, &self.sets, &**set),
                Err(error) if is_not_found(&error) => {}
                Err(error) => return Err(error).at(|| format!("delete replica set {}", name(set))),
            },
        }
        Ok(Applied::Done)
    }

    async fn create(
        &self,
        key: &ObjectKey,
        about: &ObjectReference,
        set: &ReplicaSet,
    ) -> Result<Applied, ReconcileError> {
        let api = namespaced::<ReplicaSet>(&self.client, &key.namespace);
        match api.create(&PostParams::default(), set).await {
            Ok(created) => {
                self.writes.wrote(key, &self.sets, &created);
                self.say_scaled(about, &created, 0, size(&created));
                Ok(Applied::Done)
            }
            Err(error) if is_namespace_terminating(&error) => Ok(Applied::Done),
            Err(error) if is_exists(&error) => self.after_collision(key, set).await,
            Err(error) => Err(error).at(|| format!("create replica set {}", name(set))),
        }
    }

    /// The name is taken. If by our own set, which the cache has not shown yet, all is well.
    async fn after_collision(&self, key: &ObjectKey, set: &ReplicaSet) -> Result<Applied, ReconcileError> {
        let api = namespaced::<ReplicaSet>(&self.client, &key.namespace);
        let other = api.get_opt(name(set)).await.at(|| format!("read replica set {}", name(set)))?;
        let uid = |set: &ReplicaSet| owner::controller_of(&set.metadata).map(|owner| owner.uid.clone());
        match other {
            Some(other) if uid(&other) == uid(set) && template(&other) == template(set) => {
                self.writes.wrote(key, &self.sets, &other);
                Ok(Applied::Done)
            }
            _ => Ok(Applied::Collision),
        }
    }

    fn say_scaled(&self, about: &ObjectReference, set: &ReplicaSet, from: i32, to: i32) {
        let direction = match to.cmp(&from) {
            std::cmp::Ordering::Greater => "up",
            std::cmp::Ordering::Less => "down",
            std::cmp::Ordering::Equal => return,
        };
        let text = format!("Scaled {direction} replica set {} from {from} to {to}", name(set));
        self.recorder.normal(about, "ScalingReplicaSet", text);
    }

    /// A replica set that cannot be made is an event and a condition.
    async fn note_failure(
        &self,
        key: &ObjectKey,
        about: &ObjectReference,
        observed: &Observed,
        change: &Change,
        error: &ReconcileError,
    ) -> Result<(), ReconcileError> {
        let (Change::Create(set), ReconcileError::Api { source, .. }) = (change, error) else { return Ok(()) };
        let text = format!("Failed to create new replica set {:?}: {}", name(set), message(source));
        self.recorder.warning(about, FAILED_CREATE, text.clone());
        if !has_deadline(&observed.deployment) {
            return Ok(());
        }
        let mut status = observed.deployment.status.clone().unwrap_or_default();
        let condition = progressing("False", FAILED_CREATE, text, observed.now);
        conditions::set(status.conditions.get_or_insert_default(), condition);
        self.write_status(key, &observed.deployment, status).await
    }

    async fn write_status(
        &self,
        key: &ObjectKey,
        before: &Deployment,
        status: DeploymentStatus,
    ) -> Result<(), ReconcileError> {
        self.write(key, before, None, status).await
    }

    /// The revision, if it is known, goes the way of the status, as annotations may.
    async fn write(
        &self,
        key: &ObjectKey,
        before: &Deployment,
        revision: Option<String>,
        status: DeploymentStatus,
    ) -> Result<(), ReconcileError> {
        let mut after = before.clone();
        after.status = Some(status);
        if let Some(revision) = revision {
            after.metadata.annotations.get_or_insert_default().insert(REVISION.to_owned(), revision);
        }
        let api = namespaced::<Deployment>(&self.client, &key.namespace);
        if let Some(written) =
            patch::write_status(&api, before, &after).await.at(|| format!("write the status of {key}"))?
        {
            self.writes.wrote(key, &self.deployments, &written);
        }
        Ok(())
    }
}

fn name(set: &ReplicaSet) -> &str {
    set.metadata.name.as_deref().unwrap_or_default()
}

fn size(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

fn template(set: &ReplicaSet) -> Option<&k8s_openapi::api::core::v1::PodTemplateSpec> {
    set.spec.as_ref().and_then(|spec| spec.template.as_ref())
}

fn has_deadline(deployment: &Deployment) -> bool {
    deployment.spec.as_ref().and_then(|spec| spec.progress_deadline_seconds).is_some_and(|seconds| seconds != i32::MAX)
}

/// A replica set was made: that is progress.
fn note_new_set(deployment: &Deployment, change: &Change, status: &mut DeploymentStatus, now: Timestamp) {
    if let (Change::Create(set), true) = (change, has_deadline(deployment)) {
        let text = format!("Created new replica set {:?}", name(set));
        conditions::set(status.conditions.get_or_insert_default(), progressing("True", NEW_SET_CREATED, text, now));
    }
}

/// A deployment that finds its replica set there already begins with that as its progress.
fn note_found_set(observed: &Observed, status: &mut DeploymentStatus) {
    let sets = plan::Sets::new(&observed.deployment, &observed.sets);
    let Some(set) = sets.new_set().filter(|_| has_deadline(&observed.deployment)) else { return };
    let text = format!("Found new replica set {:?}", name(set));
    let condition = progressing("True", NEW_SET_FOUND, text, observed.now);
    conditions::set(status.conditions.get_or_insert_default(), condition);
}
