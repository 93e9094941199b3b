//! Keeps the history of a daemon set: one revision for each template it had.

use super::plan::Revisions;
use super::reconcile::DaemonSets;
use crate::objects::history::{self, Draft, HASH_LABEL};
use crate::objects::{owner, selector::Selector, template};
use crate::scaffold::context::namespaced;
use crate::scaffold::informers::trims::claimable;
use crate::scaffold::patch::{self, Guard, Part};
use crate::scaffold::pod_control::settle_claims;
use crate::scaffold::{At, ReconcileError, is_exists};
use client::ObjectKey;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use serde_json::Value;
use std::sync::Arc;

impl DaemonSets {
    /// The revisions of the set, the current one among them; it is made if there is none.
    pub(super) async fn history(
        &self,
        key: &ObjectKey,
        set: &Arc<DaemonSet>,
        selector: &Selector,
        pods: &[Arc<Pod>],
    ) -> Result<(String, Revisions), ReconcileError> {
        let template = set.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
        let patch = history::patch(&template);
        let mut all = Vec::new();
        for revision in self.claimed_revisions(set, selector).await? {
            all.push(self.labelled(key, revision).await?);
        }
        let revisions = Revisions::new(all, &patch);
        let current = match &revisions.current {
            Some(current) => {
                self.drop_doubles(key, &revisions, current, pods).await?;
                self.renumbered(key, current, revisions.number).await?
            }
            None => self.snapshot(key, set, patch, revisions.number).await?,
        };
        Ok((history::hash(&current).unwrap_or_default().to_owned(), revisions))
    }

    async fn claimed_revisions(
        &self,
        set: &Arc<DaemonSet>,
        selector: &Selector,
    ) -> Result<Vec<Arc<ControllerRevision>>, ReconcileError> {
        let claims = owner::claim(&set.metadata, selector, claimable(&self.revisions, &set.metadata));
        let control = &self.control;
        settle_claims(&control.client, &**set, claims, &self.revisions, &control.writes).await
    }

    fn api(&self, key: &ObjectKey) -> Api<ControllerRevision> {
        namespaced(&self.control.client, &key.namespace)
    }

    /// A revision without the label gets its name as its hash.
    async fn labelled(
        &self,
        key: &ObjectKey,
        revision: Arc<ControllerRevision>,
    ) -> Result<Arc<ControllerRevision>, ReconcileError> {
        if history::hash(&revision).is_some() {
            return Ok(revision);
        }
        let mut after = (*revision).clone();
        let name = history::name(&revision).to_owned();
        after.metadata.labels.get_or_insert_default().insert(HASH_LABEL.to_owned(), name);
        self.written(key, &revision, &after).await
    }

    async fn renumbered(
        &self,
        key: &ObjectKey,
        revision: &Arc<ControllerRevision>,
        number: i64,
    ) -> Result<Arc<ControllerRevision>, ReconcileError> {
        if revision.revision >= number {
            return Ok(Arc::clone(revision));
        }
        let after = ControllerRevision { revision: number, ..(**revision).clone() };
        self.written(key, revision, &after).await
    }

    async fn written(
        &self,
        key: &ObjectKey,
        before: &Arc<ControllerRevision>,
        after: &ControllerRevision,
    ) -> Result<Arc<ControllerRevision>, ReconcileError> {
        let written = patch::write(&self.api(key), Part::Object, Guard::Version, &**before, after).await;
        let written = written.at(|| format!("write revision {} of {key}", history::name(before)))?;
        if let Some(written) = &written {
            self.control.writes.wrote(key, &self.revisions, written);
        }
        Ok(written.map_or_else(|| Arc::clone(before), Arc::new))
    }

    /// Of several revisions of one template one stays, and the pods of the others become its own.
    async fn drop_doubles(
        &self,
        key: &ObjectKey,
        revisions: &Revisions,
        current: &ControllerRevision,
        pods: &[Arc<Pod>],
    ) -> Result<(), ReconcileError> {
        if revisions.doubles.is_empty() {
            return Ok(());
        }
        let hash = history::hash(current).unwrap_or_default();
        let api = namespaced::<Pod>(&self.control.client, &key.namespace);
        for pod in pods {
            let mut after = (**pod).clone();
            after.metadata.labels.get_or_insert_default().insert(HASH_LABEL.to_owned(), hash.to_owned());
            let written = patch::write(&api, Part::Object, Guard::Uid, &**pod, &after).await;
            if let Some(written) = written.at(|| format!("label pod {}", ObjectKey::of(&**pod)))? {
                self.control.writes.wrote(key, &self.control.pods, &written);
            }
        }
        self.control.target(key, &self.revisions).delete(revisions.doubles.clone()).await
    }

    /// A revision of the current template. Its annotations are the set's, which the cache has not all.
    async fn snapshot(
        &self,
        key: &ObjectKey,
        set: &DaemonSet,
        patch: Value,
        number: i64,
    ) -> Result<Arc<ControllerRevision>, ReconcileError> {
        let sets = namespaced::<DaemonSet>(&self.control.client, &key.namespace);
        let live = sets.get(&key.name).await.at(|| format!("read {key}"))?;
        let is_same = live.metadata.uid == set.metadata.uid && live.metadata.generation == set.metadata.generation;
        if !is_same {
            return Err(ReconcileError::Unfinished { left: format!("{key} has changed") });
        }
        let template = set.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
        let collisions = live.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
        let labels = template.metadata.as_ref().and_then(|meta| meta.labels.clone()).unwrap_or_default();
        let draft = history::revision(Draft {
            owner: &live.metadata,
            reference: owner::controller_ref(set),
            labels,
            patch: patch.clone(),
            number,
            hash: template::hash(&template, collisions),
            hash_label: HASH_LABEL,
        });
        let api = self.api(key);
        match api.create(&PostParams::default(), &draft).await {
            Ok(created) => {
                self.control.writes.wrote(key, &self.revisions, &created);
                Ok(Arc::new(created))
            }
            Err(error) if is_exists(&error) => {
                let name = history::name(&draft);
                let other = api.get(name).await.at(|| format!("read revision {name} of {key}"))?;
                if history::holds(&other, &patch) {
                    return Ok(Arc::new(other));
                }
                self.count_collision(key, &live).await
            }
            Err(error) => Err(error).at(|| format!("create a revision of {key}")),
        }
    }

    /// The next attempt hashes to another name.
    async fn count_collision(
        &self,
        key: &ObjectKey,
        set: &DaemonSet,
    ) -> Result<Arc<ControllerRevision>, ReconcileError> {
        let mut status = set.status.clone().unwrap_or_default();
        status.collision_count = Some(status.collision_count.unwrap_or(0) + 1);
        self.write_status(key, set, status).await?;
        Err(ReconcileError::Unfinished { left: "hash collision of the new revision".to_owned() })
    }
}
