//! The same objects under other names: versions and groups that share a resource's storage.
//! Admission rules that name one of them mean all of them.
//!
//! Upstream: `apiserver/pkg/endpoints/discovery/storageversionhash.go`,
//! `apimachinery/pkg/runtime/mapper.go` (`EquivalentResourceRegistry`).

use crate::admission::Operation;
use crate::{Context, Registry, convert, verbs};
use apimachinery::Value;
use apimachinery::gvk::GroupVersionKind;
use apimachinery::resources::{self, ResourceInfo};
use apimachinery::status::Status;
use apiserver_storage::{Match, Object, Selection};
use std::sync::Arc;

impl Registry {
    /// The other served resources that are the same objects, in discovery order.
    pub fn equivalents(&self, resource: &ResourceInfo) -> Vec<Arc<ResourceInfo>> {
        let is_same = |other: &ResourceInfo| other.group == resource.group && other.version == resource.version;
        let shares = |other: &&Arc<ResourceInfo>| {
            other.storage_prefix == resource.storage_prefix && other.is_stored() && !is_same(other)
        };
        let mut found: Vec<_> = self.builtin().filter(shares).cloned().collect();
        found.extend(self.custom_resources().iter().filter(shares).cloned());
        found
    }

    /// An object of one resource as an equivalent one.
    pub async fn convert_to(&self, from: &ResourceInfo, to: &ResourceInfo, object: Value) -> Result<Value, Status> {
        match &to.custom {
            Some(custom) => convert::between(self, &**custom, object, &to.api_version()).await,
            None => Ok(convert::from_storage(to, convert::to_storage(from, object))),
        }
    }

    /// The resource that stores objects of a kind.
    pub fn resource_of_kind(&self, kind: &GroupVersionKind) -> Option<Arc<ResourceInfo>> {
        let builtin = resources::for_kind(kind).cloned();
        let custom = || self.custom_resources().into_iter().find(|resource| resource.gvk() == *kind);
        builtin.or_else(custom).filter(|resource| resource.is_stored())
    }

    /// An object as the cache has it, in the resource's version; a miss is verified.
    pub async fn peek(
        &self,
        resource: &Arc<ResourceInfo>,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Value>, Status> {
        let stored = convert::stored_as(resource);
        let key = resource.key(namespace, name);
        let found = match self.store.cached(&stored, &key) {
            None => self.store.get(&stored, &key, Match::MostRecent).await.map_err(Status::internal)?,
            found => found,
        };
        match found {
            Some(object) => self.in_version(resource, object).await.map(Some),
            None => Ok(None),
        }
    }

    /// The objects with these labels as the cache has them, in the resource's version.
    pub async fn peek_all(&self, resource: &Arc<ResourceInfo>, selection: &Selection) -> Result<Vec<Value>, Status> {
        let mut values = Vec::new();
        for object in self.store.cached_matching(&convert::stored_as(resource), selection) {
            values.push(self.in_version(resource, object).await?);
        }
        Ok(values)
    }

    async fn in_version(&self, resource: &ResourceInfo, object: Arc<Object>) -> Result<Value, Status> {
        let object = convert::served(self, resource, object).await?;
        Ok(convert::from_storage(resource, object.value()))
    }

    /// Admission of a connection: `exec`, `attach`, `portforward` and `proxy`, by their options.
    pub async fn connect(&self, cx: &Context, mut options: Value) -> Result<(), Status> {
        verbs::admit(self, cx, Operation::Connect, &mut options, &Value::Null, &Value::Null).await?;
        verbs::validate(self, cx, Operation::Connect, &mut options, &Value::Null, &Value::Null).await
    }
}
