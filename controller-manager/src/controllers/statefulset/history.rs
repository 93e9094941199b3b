//! Keeps the history of a stateful set: one revision for each template it had.

use super::plan::{self, Latest, Version};
use super::reconcile::StatefulSets;
use crate::objects::history::{self, DATA_HASH_LABEL, Draft};
use crate::objects::{owner, selector::Selector};
use crate::scaffold::context::namespaced;
use crate::scaffold::informers::trims::claimable;
use crate::scaffold::patch::{self, Guard, Part};
use crate::scaffold::pod_control::settle_claims;
use crate::scaffold::{At, ReconcileError, is_exists};
use client::ObjectKey;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use kube::Api;
use kube::api::PostParams;
use serde_json::Value;
use std::sync::Arc;

/// Names that are tried for one revision before the set is looked at anew.
const ATTEMPTS: i32 = 16;

/// The history, and what of it is in use.
pub(super) struct History {
    /// Oldest first.
    pub(super) all: Vec<Arc<ControllerRevision>>,
    pub(super) current: Version,
    pub(super) update: Version,
    pub(super) collisions: i32,
}

impl StatefulSets {
    /// The revisions of the set; that of its template is made if there is none.
    pub(super) async fn history(
        &self,
        key: &ObjectKey,
        set: &Arc<StatefulSet>,
        selector: &Selector,
    ) -> Result<History, ReconcileError> {
        let mut claims = owner::claim(&set.metadata, selector, claimable(&self.revisions, &set.metadata));
        // What does not match any more is no part of the history, but stays the set's.
        claims.release.clear();
        let control = &self.control;
        let mut all = settle_claims(&control.client, &**set, claims, &self.revisions, &control.writes).await?;
        plan::sort(&mut all);
        let template = set.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
        let patch = history::patch(&template);
        let mut collisions = set.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
        let latest = match plan::latest(&all, &patch) {
            Latest::Is(latest) => latest,
            Latest::Renumber(old, number) => self.renumbered(key, &old, number).await?,
            Latest::Create(number) => self.snapshot(key, set, &patch, number, &mut collisions).await?,
        };
        let update = Version { name: history::name(&latest).to_owned(), template };
        let wanted = set.status.as_ref().and_then(|status| status.current_revision.as_deref());
        let current = all.iter().find(|one| Some(history::name(one)) == wanted);
        let current = current
            .and_then(|one| Some(Version { name: history::name(one).to_owned(), template: history::template(one)? }));
        Ok(History { all, current: current.unwrap_or_else(|| update.clone()), update, collisions })
    }

    fn api(&self, key: &ObjectKey) -> Api<ControllerRevision> {
        namespaced(&self.control.client, &key.namespace)
    }

    async fn renumbered(
        &self,
        key: &ObjectKey,
        revision: &Arc<ControllerRevision>,
        number: i64,
    ) -> Result<Arc<ControllerRevision>, ReconcileError> {
        let after = ControllerRevision { revision: number, ..(**revision).clone() };
        let written = patch::write(&self.api(key), Part::Object, Guard::Version, &**revision, &after).await;
        let written = written.at(|| format!("renumber revision {} of {key}", history::name(revision)))?;
        if let Some(written) = &written {
            self.control.writes.wrote(key, &self.revisions, written);
        }
        Ok(written.map_or_else(|| Arc::clone(revision), Arc::new))
    }

    /// A revision of the current template; a name that is taken counts as a collision. Its
    /// annotations are the set's, which the cache has not all.
    async fn snapshot(
        &self,
        key: &ObjectKey,
        set: &StatefulSet,
        patch: &Value,
        number: i64,
        collisions: &mut i32,
    ) -> Result<Arc<ControllerRevision>, ReconcileError> {
        let sets = namespaced::<StatefulSet>(&self.control.client, &key.namespace);
        let live = sets.get(&key.name).await.at(|| format!("read {key}"))?;
        if live.metadata.uid != set.metadata.uid || live.metadata.generation != set.metadata.generation {
            return Err(ReconcileError::Unfinished { left: format!("{key} has changed") });
        }
        let template = set.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
        let labels = template.and_then(|meta| meta.labels.clone()).unwrap_or_default();
        for _ in 0..ATTEMPTS {
            let draft = history::revision(Draft {
                owner: &live.metadata,
                reference: owner::controller_ref(set),
                labels: labels.clone(),
                patch: patch.clone(),
                number,
                hash: history::data_hash(patch, *collisions),
                hash_label: DATA_HASH_LABEL,
            });
            if let Some(made) = self.create_revision(key, &draft).await? {
                return Ok(Arc::new(made));
            }
            *collisions += 1;
        }
        Err(ReconcileError::Unfinished { left: format!("no free name for a revision of {key}") })
    }

    /// `None` if another revision has the name.
    async fn create_revision(
        &self,
        key: &ObjectKey,
        draft: &ControllerRevision,
    ) -> Result<Option<ControllerRevision>, ReconcileError> {
        let (api, name) = (self.api(key), history::name(draft));
        match api.create(&PostParams::default(), draft).await {
            Ok(created) => {
                self.control.writes.wrote(key, &self.revisions, &created);
                Ok(Some(created))
            }
            Err(error) if is_exists(&error) => {
                let other = api.get(name).await.at(|| format!("read revision {name} of {key}"))?;
                let is_same = draft.data == other.data;
                Ok(is_same.then_some(other))
            }
            Err(error) => Err(error).at(|| format!("create revision {name} of {key}")),
        }
    }
}
