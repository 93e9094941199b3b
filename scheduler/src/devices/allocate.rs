//! Finds devices for claims on one node.
//!
//! Upstream: `Allocate` of `structured/internal/incubating/allocator_incubating.go`.

use super::search::Search;
use super::state::Devices;
use super::{outcome, pools, wants};
use crate::model::selector::Labels;
use k8s_openapi::api::resource::v1 as resource;

/// The node that the devices have to be reached from.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its labels.
    pub labels: &'a Labels,
}

/// Why claims get no devices, besides that there are none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllocateError {
    /// Something is wrong with what is offered to this node; another one may do.
    #[error("{0}")]
    OnNode(String),
    /// It took too long.
    #[error("timed out trying to allocate devices")]
    Late,
    /// Something is wrong with the claims or classes; no node helps.
    #[error("{0}")]
    Fatal(String),
}

/// What each of the claims gets on the node; `None` if they cannot all have what they ask for.
/// `is_late` is asked at every step.
pub fn allocate(
    devices: &Devices,
    node: Node<'_>,
    claims: &[&resource::ResourceClaim],
    is_late: &dyn Fn() -> bool,
) -> Result<Option<Vec<resource::AllocationResult>>, AllocateError> {
    let mut search = Search::new(devices, node, pools::gather(devices, &node), is_late);
    for claim in claims {
        search.add(claim, wants::of_claim(devices, claim)?)?;
    }
    if search.run()? {
        let results = claims.iter().zip(&search.tasks).zip(&search.choices);
        return Ok(Some(results.map(|((claim, task), choice)| outcome::result(claim, task, choice, node)).collect()));
    }
    match search.has_invalid_pool() {
        true => Err(AllocateError::OnNode("invalid resource pools were encountered".to_owned())),
        false => Ok(None),
    }
}
