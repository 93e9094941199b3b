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
use apimachinery::schema::TypeRef;

/// Applies the defaults of the resource to an object as it came from a client or from storage.
pub fn apply(resource: &ResourceInfo, object: &mut Value) {
    match &resource.custom {
        Some(custom) => custom.default(object),
        None => walk::apply(&resource.schema, object),
    }
}

/// Applies the defaults of a built-in type, such as that of what is posted to a subresource.
pub fn apply_typed(ty: &TypeRef, value: &mut Value) {
    walk::apply(ty, value);
}

/// Gives a new job without labels those of its template, and says whether it did.
///
/// Upstream's job has one and the same map in both places from then on: what the apiserver adds to the template's labels
/// is among its own. Here that takes [`unshare_labels`] before labels are added, and [`apply`] after.
pub fn share_labels(resource: &ResourceInfo, object: &mut Value) -> bool {
    (&*resource.group, &*resource.plural) == ("batch", "jobs") && workloads::share_labels(object)
}

/// Takes back what [`share_labels`] gave, unless it was changed since.
pub fn unshare_labels(job: &mut Value) {
    workloads::unshare_labels(job);
}

#[cfg(test)]
mod tests;
