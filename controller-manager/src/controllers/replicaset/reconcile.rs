//! Reads a replica set with its pods; creates, deletes, writes the status.

use super::plan::{self, Scale};
use crate::objects::{owner, selector::Selector};
use crate::scaffold::context::namespaced;
use crate::scaffold::informers::trims::{BY_OWNER, claimable};
use crate::scaffold::pod_control::{Owner, PodControl, settle_claims};
use crate::scaffold::{At, Controller, Next, ReconcileError, patch};
use client::{Informer, ObjectKey, events};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;

pub(super) struct ReplicaSets {
    pub(super) sets: Informer<ReplicaSet>,
    pub(super) control: PodControl,
}

impl Controller for ReplicaSets {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(set) = self.sets.get(&key.namespace, &key.name) else {
            self.control.writes.forget(key);
            return Ok(Next::OnChange);
        };
        let owned = self.claim(&set).await?;
        let now = Timestamp::now();
        let scale = plan::scale(&set, &owned, &self.related(&set), now);
        let scaled = self.apply(key, &set, &scale).await;
        let failure = scaled.as_ref().err().map(|error| scale.failure(error.cause()));
        let (status, available_in) = plan::status(&set, &owned, failure, now);
        let mut after = (*set).clone();
        after.status = Some(status);
        let api = namespaced::<ReplicaSet>(&self.control.client, &key.namespace);
        if let Some(written) =
            patch::write_status(&api, &set, &after).await.at(|| format!("write the status of {key}"))?
        {
            self.control.writes.wrote(key, &self.sets, &written);
        }
        scaled?;
        let wait = available_in.and_then(|wait| wait.try_into().ok());
        Ok(wait.map_or(Next::OnChange, Next::After))
    }
}

impl ReplicaSets {
    async fn claim(&self, set: &ReplicaSet) -> Result<Vec<Arc<Pod>>, ReconcileError> {
        let key = ObjectKey::of(set);
        let selector =
            set.spec.as_ref().map(|spec| Selector::new(&spec.selector)).unwrap_or_else(|| Ok(Selector::default()));
        let selector =
            selector.map_err(|error| ReconcileError::Unusable { object: key.to_string(), why: error.to_string() })?;
        let candidates = claimable(&self.control.pods, &set.metadata);
        let claims = owner::claim(&set.metadata, &selector, candidates);
        settle_claims(&self.control.client, set, claims, &self.control.pods, &self.control.writes).await
    }

    /// The pods of all sets that the set's own owner controls.
    fn related(&self, set: &ReplicaSet) -> Vec<Arc<Pod>> {
        let uid = |set: &ReplicaSet| set.metadata.uid.clone().unwrap_or_default();
        let Some(parent) = owner::controller_of(&set.metadata) else {
            return self.control.pods.by_index(BY_OWNER, &uid(set));
        };
        let siblings = self.sets.by_index(BY_OWNER, &parent.uid);
        siblings.iter().flat_map(|sibling| self.control.pods.by_index(BY_OWNER, &uid(sibling))).collect()
    }

    async fn apply(&self, key: &ObjectKey, set: &ReplicaSet, scale: &Scale) -> Result<(), ReconcileError> {
        let about = events::reference(set);
        let owner = Owner { key, reference: owner::controller_ref(set), about: &about };
        match scale {
            Scale::Keep => Ok(()),
            Scale::Create(count) => {
                let template = set.spec.as_ref().and_then(|spec| spec.template.clone()).unwrap_or_default();
                self.control.create_slowly(&owner, &template, *count).await
            }
            Scale::Delete(pods) => self.control.delete_all(&owner, pods).await,
        }
    }
}
