//! Whether devices that need preparation have got it.
//!
//! Upstream: `isClaimReadyForBinding` and `isClaimTimeout` of `dynamicresources.go`.

use jiff::Timestamp;
use k8s_openapi::api::resource::v1 as resource;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use std::time::Duration;

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// The claim can be used.
    Ready,
    /// Somebody is at it.
    Waiting,
    /// That takes too long.
    Late,
    /// It cannot be done, for this reason.
    Failed(String),
}

/// How far the devices of a claim are, which may take `timeout`; one that has none waits.
pub(crate) fn of(claim: &resource::ResourceClaim, now: Timestamp, timeout: Duration) -> Readiness {
    let status = claim.status.as_ref();
    let Some(allocation) = status.and_then(|status| status.allocation.as_ref()) else { return Readiness::Waiting };
    for result in allocation.devices.iter().flat_map(|devices| devices.results.iter().flatten()) {
        let wanted = result.binding_conditions.as_deref().unwrap_or_default();
        if wanted.is_empty() {
            continue;
        }
        let mut devices = status.iter().flat_map(|status| status.devices.iter().flatten());
        let device =
            devices.find(|d| (&d.driver, &d.pool, &d.device) == (&result.driver, &result.pool, &result.device));
        let conditions = device.and_then(|device| device.conditions.as_deref()).unwrap_or_default();
        let failed = result.binding_failure_conditions.iter().flatten().find_map(|kind| is_true(conditions, kind));
        if let Some(Condition { reason, message, .. }) = failed {
            let name = claim.metadata.name.as_deref().unwrap_or_default();
            return Readiness::Failed(format!(
                "device binding failed: claim={name}, reason={reason}, message={message:?}"
            ));
        }
        if wanted.iter().any(|kind| is_true(conditions, kind).is_none()) {
            return if is_late(allocation, now, timeout) { Readiness::Late } else { Readiness::Waiting };
        }
    }
    Readiness::Ready
}

/// Whether a claim's devices need preparation at all.
pub(crate) fn is_needed(allocation: &resource::AllocationResult) -> bool {
    let mut results = allocation.devices.iter().flat_map(|devices| devices.results.iter().flatten());
    results.any(|result| result.binding_conditions.as_ref().is_some_and(|wanted| !wanted.is_empty()))
}

fn is_true<'c>(conditions: &'c [Condition], kind: &str) -> Option<&'c Condition> {
    conditions.iter().find(|condition| condition.type_ == kind && condition.status == "True")
}

fn is_late(allocation: &resource::AllocationResult, now: Timestamp, timeout: Duration) -> bool {
    let since = allocation.allocation_timestamp.as_ref().map(|time| time.0);
    since.is_some_and(|since| now.duration_since(since).unsigned_abs() > timeout && now > since)
}
