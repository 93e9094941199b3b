//! Devices: what drivers offer in ResourceSlices, what claims have of it, and what a claim may get.
//!
//! Entry points: [`Devices`] is what the apiserver shows, with what this scheduler has reserved;
//! [`allocate()`] finds devices for claims on one node. Pure but for the identity that a share of a
//! device gets.
//!
//! Upstream: `dynamic-resource-allocation/structured`, as its `incubating` allocator does with the
//! default feature gates.

pub mod allocate;
pub mod capacity;
pub mod constraints;
pub mod counters;
pub mod outcome;
pub mod pools;
pub mod search;
pub mod selectors;
pub mod slices;
pub mod state;
pub mod wants;

#[cfg(test)]
mod tests;

pub use allocate::{AllocateError, Node, allocate};
pub use selectors::Selectors;
pub use slices::{Class, DeviceId, Slice};
pub use state::{Claims, Devices};

use apimachinery::quantity::Quantity;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Written;
use std::collections::BTreeMap;

/// Most devices that one claim may get: `AllocationResultsMaxSize`.
pub const MOST_DEVICES: usize = 32;

/// Amounts by name.
pub type Amounts = BTreeMap<String, Quantity>;

/// An amount; the server lets none in that cannot be read.
fn amount(written: &Written) -> Option<Quantity> {
    written.0.parse().ok()
}

fn amounts<'q>(written: impl IntoIterator<Item = (&'q String, &'q Written)>) -> Amounts {
    written.into_iter().filter_map(|(name, written)| Some((name.clone(), amount(written)?))).collect()
}
