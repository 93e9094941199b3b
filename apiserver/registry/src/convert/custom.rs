//! Versions of custom resources. Objects lie in etcd and in the cache in the version that they were
//! written in; each is converted on the way out, once.
//!
//! Upstream: `apiextensions-apiserver/pkg/apiserver/conversion`.

use crate::Registry;
use apimachinery::Value;
use apimachinery::resources::{Custom, ResourceInfo};
use apimachinery::selector::FieldSelector;
use apimachinery::status::Status;
use apiserver_extensions::conversion;
use apiserver_storage::{Object, Selection};
use std::sync::Arc;

/// A stored object in the version of the request.
pub(crate) async fn served(
    registry: &Registry,
    resource: &ResourceInfo,
    object: Arc<Object>,
) -> Result<Arc<Object>, Status> {
    if resource.custom.is_none() {
        return Ok(object);
    }
    let mut one = served_all(registry, resource, vec![object]).await?;
    one.pop().ok_or_else(|| Status::internal("conversion lost an object"))
}

/// Stored objects in the version of the request, in their order.
pub(crate) async fn served_all(
    registry: &Registry,
    resource: &ResourceInfo,
    mut objects: Vec<Arc<Object>>,
) -> Result<Vec<Arc<Object>>, Status> {
    let Some(custom) = &resource.custom else { return Ok(objects) };
    let version = resource.api_version();
    let mut foreign = Vec::new();
    for (index, object) in objects.iter_mut().enumerate().filter(|(_, o)| !o.is_of_version(&version)) {
        match object.converted(&version) {
            Some(converted) => *object = converted,
            None => foreign.push(index),
        }
    }
    if foreign.is_empty() {
        return Ok(objects);
    }
    let originals = foreign.iter().map(|index| objects[*index].value()).collect();
    let caller = registry.options.conversion.as_deref();
    let converted =
        conversion::convert(caller, custom.conversion(), originals, &version).await.map_err(Status::internal)?;
    for (index, mut value) in foreign.into_iter().zip(converted) {
        custom.prune(&mut value);
        objects[index] = objects[index].keep_converted(&version, value);
    }
    Ok(objects)
}

/// An object of the request's version in the version that is stored.
pub(crate) async fn stored(registry: &Registry, resource: &ResourceInfo, object: Value) -> Result<Value, Status> {
    let Some(custom) = &resource.custom else { return Ok(super::to_storage(resource, object)) };
    let version = resource.storage_kind.api_version();
    if resource.is_stored_as_served() {
        return Ok(object);
    }
    let caller = registry.options.conversion.as_deref();
    let converted =
        conversion::convert(caller, custom.conversion(), vec![object], &version).await.map_err(Status::internal)?;
    let mut value = converted.into_iter().next().ok_or_else(|| Status::internal("conversion lost an object"))?;
    // Prunes along the schema of the object's own version.
    custom.read(&mut value);
    Ok(value)
}

/// An object of a custom resource in another of its versions.
pub(crate) async fn between(
    registry: &Registry,
    custom: &dyn Custom,
    object: Value,
    version: &str,
) -> Result<Value, Status> {
    let caller = registry.options.conversion.as_deref();
    let converted =
        conversion::convert(caller, custom.conversion(), vec![object], version).await.map_err(Status::internal)?;
    let mut value = converted.into_iter().next().ok_or_else(|| Status::internal("conversion lost an object"))?;
    custom.prune(&mut value);
    Ok(value)
}

/// Fields that can only be told after conversion.
pub(crate) struct Filter(FieldSelector);

impl Filter {
    /// Takes the fields out of a selection that a webhook may show differently.
    pub(crate) fn of(resource: &ResourceInfo, selection: &Selection) -> Option<(Self, Selection)> {
        let is_asked = resource.custom.as_ref().is_some_and(|custom| custom.conversion().is_some());
        let is_own = |field: &str| !matches!(field, "metadata.name" | "metadata.namespace");
        if !is_asked || !selection.fields.terms.iter().any(|term| is_own(&term.field)) {
            return None;
        }
        let mut rest = selection.clone();
        let (own, others) = rest.fields.terms.into_iter().partition(|term| is_own(&term.field));
        rest.fields.terms = others;
        Some((Self(FieldSelector { terms: own }), rest))
    }

    /// Whether a converted object is selected.
    pub(crate) fn matches(&self, object: &Object) -> bool {
        self.0.terms.iter().all(|term| (object.field(&term.field).unwrap_or_default() == term.value) != term.negated)
    }
}
