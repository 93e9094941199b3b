//! Between the requested version of a resource and the one it is stored in.
//!
//! Nearly all resources are stored as they are served. The rest is events (two groups, one
//! storage), horizontal pod autoscalers (v1 is a view of v2), kinds that differ in name only, and
//! custom resources, of which each object says its version and a webhook may have to be asked.

mod autoscaling;
mod custom;
mod events;

pub(crate) use custom::{Filter, between, served, served_all, stored};

use apimachinery::Value;
use apimachinery::resources::{self, ResourceInfo};
use apiserver_storage::Selection;
use std::sync::Arc;

/// How two versions of a resource differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Difference {
    None,
    /// `apiVersion` and nothing else.
    Name,
    /// `events.k8s.io/v1` over core events.
    Events,
    /// `autoscaling/v1` over `autoscaling/v2`.
    Autoscaler,
}

fn difference(resource: &ResourceInfo) -> Difference {
    if resource.custom.is_some() {
        // Their objects have been converted one by one.
        return Difference::None;
    }
    let stored = &resource.storage_kind;
    if stored.group == resource.group && stored.version == resource.version {
        return Difference::None;
    }
    match (&*resource.group, &*resource.plural) {
        ("events.k8s.io", "events") => Difference::Events,
        ("autoscaling", "horizontalpodautoscalers") => Difference::Autoscaler,
        _ => Difference::Name,
    }
}

/// Whether stored objects differ from served ones.
pub(crate) fn is_needed(resource: &ResourceInfo) -> bool {
    difference(resource) != Difference::None
}

/// The resource in the version it is stored in, which the store's caches know it by.
pub(crate) fn stored_as(resource: &Arc<ResourceInfo>) -> Arc<ResourceInfo> {
    match difference(resource) {
        Difference::None => resource.clone(),
        _ => {
            let kind = &resource.storage_kind;
            resources::find(&kind.group, &kind.version, &resource.plural).unwrap_or(resource).clone()
        }
    }
}

/// A stored tree as the served version.
pub(crate) fn from_storage(resource: &ResourceInfo, value: Value) -> Value {
    let value = match difference(resource) {
        Difference::None => return value,
        Difference::Name => value,
        Difference::Events => events::from_core(value),
        Difference::Autoscaler => autoscaling::to_v1(value),
    };
    with_version(value, resource.api_version(), &resource.kind)
}

/// A served tree as the stored version.
pub(crate) fn to_storage(resource: &ResourceInfo, value: Value) -> Value {
    let value = match difference(resource) {
        Difference::None => return value,
        Difference::Name => value,
        Difference::Events => events::to_core(value),
        Difference::Autoscaler => autoscaling::to_v2(value),
    };
    with_version(value, resource.storage_kind.api_version(), &resource.storage_kind.kind)
}

fn with_version(mut value: Value, version: String, kind: &str) -> Value {
    if let Some(map) = value.as_object_mut() {
        map.insert("apiVersion".into(), version.into());
        map.insert("kind".into(), kind.into());
    }
    value
}

/// A selection in terms of the stored version; `None` if it is the same.
pub(crate) fn selection(resource: &ResourceInfo, selection: &Selection) -> Option<Selection> {
    if difference(resource) != Difference::Events || selection.fields.terms.is_empty() {
        return None;
    }
    let mut converted = selection.clone();
    for term in &mut converted.fields.terms {
        term.field = events::core_field(&term.field);
    }
    Some(converted)
}
