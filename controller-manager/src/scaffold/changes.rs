//! What a plan wants written, and writing it.

use super::context::namespaced;
use super::error::is_namespace_terminating;
use super::patch::{self, Guard, Part};
use super::pod_control::same;
use super::{At, ReconcileError, Writes, is_not_found};
use client::informer::Cached;
use client::{Informer, ObjectKey};
use k8s_openapi::NamespaceResourceScope;
use kube::api::PostParams;
use serde::Serialize;
use std::sync::Arc;

/// A change to an object that a controller keeps.
#[derive(Debug)]
pub enum Change<K> {
    /// It is missing.
    Create(Box<K>),
    /// It is not as it should be.
    Update {
        /// As it is.
        before: Arc<K>,
        /// As it should be.
        after: Box<K>,
    },
    /// It should not be.
    Delete(Arc<K>),
}

/// For whom objects of a kind are written, and what has to know of it.
pub struct Target<'a, K> {
    /// The connection.
    pub client: &'a kube::Client,
    /// The queue key that waits for the writes, in the namespace of the objects.
    pub key: &'a ObjectKey,
    /// The cache that will show them.
    pub cache: &'a Informer<K>,
    /// The writes waited for.
    pub writes: &'a Writes,
}

impl<K> Target<'_, K>
where
    K: Cached + Serialize + kube::Resource<Scope = NamespaceResourceScope>,
{
    /// Writes a change. An object that is gone meanwhile, or a namespace that ends, is no failure:
    /// the event of it brings the controller back.
    pub async fn apply(&self, change: Change<K>) -> Result<(), ReconcileError> {
        let api = namespaced::<K>(self.client, &self.key.namespace);
        let written = match &change {
            Change::Create(object) => api.create(&PostParams::default(), object).await.map(Some),
            Change::Update { before, after } => {
                patch::write(&api, Part::Object, Guard::Version, &**before, after).await
            }
            Change::Delete(object) => {
                let name = object.meta().name.as_deref().unwrap_or_default();
                let deleted = api.delete(name, &same(&**object)).await;
                deleted.map(|_| self.writes.deleted(self.key, self.cache, &**object)).map(|()| None)
            }
        };
        match written {
            Ok(Some(object)) => self.writes.wrote(self.key, self.cache, &object),
            Ok(None) => {}
            Err(error) if is_namespace_terminating(&error) || is_not_found(&error) => {}
            Err(error) => return Err(error).at(|| format!("write the {} of {}", K::plural(&()), self.key)),
        }
        Ok(())
    }

    /// Deletes them all.
    pub async fn delete(&self, doomed: Vec<Arc<K>>) -> Result<(), ReconcileError> {
        for object in doomed {
            self.apply(Change::Delete(object)).await?;
        }
        Ok(())
    }
}
