//! Fills in what a client left out.
//!
//! Defaulting is a walk along the schema table: each type has its [`hooks`] and the simple
//! defaults of the table's `default` column. Parts of an object below which no type has either
//! are not visited.
//!
//! Upstream: `SetDefaults_*` in `pkg/apis/*/v1/defaults.go`, called parent first.

mod admission;
mod autoscaling;
mod core;
mod hooks;
mod image;
mod pod;
mod policy;
mod service;
mod walk;
mod workloads;

use apimachinery::Value;
use apimachinery::resources::ResourceInfo;

/// Applies the defaults of the resource to an object as it came from a client or from storage.
pub fn apply(resource: &ResourceInfo, object: &mut Value) {
    match &resource.custom {
        Some(custom) => custom.default(object),
        None => walk::apply(&resource.schema, object),
    }
}

#[cfg(test)]
mod tests;
