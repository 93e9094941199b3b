//! Reads a set with its pods; creates, deletes, writes the status.

use super::kind::Replicating;
use super::plan::{self, Scale};
use crate::objects::owner;
use crate::scaffold::context::namespaced;
use crate::scaffold::informers::trims::{BY_OWNER, claimable};
use crate::scaffold::pod_control::{Owner, PodControl, settle_claims};
use crate::scaffold::{At, Controller, Next, ReconcileError, patch};
use client::{Informer, ObjectKey, events};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;

pub(super) struct Replicas<K> {
    pub(super) sets: Informer<K>,
    pub(super) control: PodControl,
}

impl<K: Replicating> Controller for Replicas<K> {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(object) = self.sets.get(&key.namespace, &key.name) else {
            self.control.writes.forget(key);
            return Ok(Next::OnChange);
        };
        let set = object.as_set();
        let owned = self.claim(&*object).await?;
        let now = Timestamp::now();
        let scale = plan::scale(&set, &owned, &self.related(&set), now);
        let scaled = self.apply(key, &*object, &set, &scale).await;
        let failure = scaled.as_ref().err().map(|error| scale.failure(error.cause()));
        let (status, available_in) = plan::status(&set, &owned, failure, now);
        let after = object.with_status(status);
        let api = namespaced::<K>(&self.control.client, &key.namespace);
        if let Some(written) =
            patch::write_status(&api, &*object, &after).await.at(|| format!("write the status of {key}"))?
        {
            self.control.writes.wrote(key, &self.sets, &written);
        }
        scaled?;
        let wait = available_in.and_then(|wait| wait.try_into().ok());
        Ok(wait.map_or(Next::OnChange, Next::After))
    }
}

impl<K: Replicating> Replicas<K> {
    async fn claim(&self, object: &K) -> Result<Vec<Arc<Pod>>, ReconcileError> {
        let selector = object.selector().map_err(|error| ReconcileError::Unusable {
            object: ObjectKey::of(object).to_string(),
            why: error.to_string(),
        })?;
        let candidates = claimable(&self.control.pods, object.meta());
        let claims = owner::claim(object.meta(), &selector, candidates);
        settle_claims(&self.control.client, object, claims, &self.control.pods, &self.control.writes).await
    }

    /// The pods of all sets that the set's own owner controls.
    fn related(&self, set: &ReplicaSet) -> Vec<Arc<Pod>> {
        let Some(parent) = owner::controller_of(&set.metadata) else {
            return self.control.pods.by_index(BY_OWNER, set.metadata.uid.as_deref().unwrap_or_default());
        };
        let siblings = self.sets.by_index(BY_OWNER, &parent.uid);
        let uids = siblings.iter().filter_map(|sibling| sibling.meta().uid.as_deref());
        uids.flat_map(|uid| self.control.pods.by_index(BY_OWNER, uid)).collect()
    }

    async fn apply(&self, key: &ObjectKey, object: &K, set: &ReplicaSet, scale: &Scale) -> Result<(), ReconcileError> {
        let about = events::reference(object);
        let owner = Owner { key, reference: owner::controller_ref(object), about: &about };
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
