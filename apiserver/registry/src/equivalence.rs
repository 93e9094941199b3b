//! The same objects under other names: versions and groups that share a resource's storage.
//! Admission rules that name one of them mean all of them.
//!
//! Upstream: `apiserver/pkg/endpoints/discovery/storageversionhash.go`,
//! `apimachinery/pkg/runtime/mapper.go` (`EquivalentResourceRegistry`).

use crate::admission::Operation;
use crate::{Context, Registry, convert, verbs};
use apimachinery::Value;
use apimachinery::resources::{self, ResourceInfo};
use apimachinery::status::Status;
use std::sync::Arc;

impl Registry {
    /// The other served resources that are the same objects, in discovery order.
    pub fn equivalents(&self, resource: &ResourceInfo) -> Vec<Arc<ResourceInfo>> {
        let is_same = |other: &ResourceInfo| other.group == resource.group && other.version == resource.version;
        let shares = |other: &&Arc<ResourceInfo>| {
            other.storage_prefix == resource.storage_prefix && other.is_stored() && !is_same(other)
        };
        let mut found: Vec<_> = resources::builtin().iter().filter(shares).cloned().collect();
        found.extend(self.custom_resources().iter().filter(shares).cloned());
        found
    }

    /// An object of one resource as an equivalent one.
    pub fn convert_to(&self, from: &ResourceInfo, to: &ResourceInfo, object: Value) -> Value {
        convert::from_storage(to, convert::to_storage(from, object))
    }

    /// Admission of a connection: `exec`, `attach`, `portforward` and `proxy`, by their options.
    pub async fn connect(&self, cx: &Context, mut options: Value) -> Result<(), Status> {
        verbs::admit(self, cx, Operation::Connect, &mut options, &Value::Null, &Value::Null).await?;
        verbs::validate(self, cx, Operation::Connect, &mut options, &Value::Null, &Value::Null).await
    }
}
