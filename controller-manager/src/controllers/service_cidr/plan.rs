//! What to do about a service CIDR.

use crate::objects::claims::{Protection, protection};
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};
use std::net::IpAddr;
use std::sync::Arc;

/// Held until no address needs the CIDR.
pub(super) const FINALIZER: &str = "networking.k8s.io/service-cidr-finalizer";
const MANAGED_BY: &str = "ipaddress.kubernetes.io/managed-by";
const ALLOCATOR: &str = "ipallocator.k8s.io";
/// How long apiservers may take to see that it is being deleted, and to allocate from it no more.
const GRACE: SignedDuration = SignedDuration::from_secs(10);

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Let it go.
    Release,
    /// Look again then: apiservers may still allocate from it.
    Wait(SignedDuration),
    /// Say that addresses hold it.
    Hold,
    /// Protect it and say that it is ready.
    Ready {
        /// Whether it lacks its finalizer.
        protect: bool,
    },
    /// It is being deleted and held by others.
    Nothing,
}

/// Status, reason and message of the `Ready` condition.
pub(super) type Verdict = (&'static str, &'static str, &'static str);
pub(super) const READY: Verdict = ("True", "", "Kubernetes Service CIDR is ready");
pub(super) const TERMINATING: Verdict = (
    "False",
    "Terminating",
    "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR",
);

/// Decides about a CIDR, given all of them and all addresses.
pub(super) fn step(
    cidr: &ServiceCIDR,
    all: &[Arc<ServiceCIDR>],
    addresses: impl Iterator<Item = IpAddr>,
    now: Timestamp,
) -> Step {
    let state = protection(&cidr.metadata, FINALIZER);
    let Some(deleted) = &cidr.metadata.deletion_timestamp else {
        return Step::Ready { protect: state == Protection::Missing };
    };
    if !is_free(cidr, all, addresses) {
        return Step::Hold;
    }
    let left = GRACE - now.duration_since(deleted.0);
    match (left.is_positive(), state) {
        (true, _) => Step::Wait(left),
        (false, Protection::Held) => Step::Release,
        (false, _) => Step::Nothing,
    }
}

/// Whether other CIDRs hold all that is allocated in it.
fn is_free(cidr: &ServiceCIDR, all: &[Arc<ServiceCIDR>], mut addresses: impl Iterator<Item = IpAddr>) -> bool {
    let is_other = |other: &&Arc<ServiceCIDR>| other.metadata.name != cidr.metadata.name;
    let inside_another = ranges(cidr)
        .iter()
        .all(|range| all.iter().filter(is_other).any(|other| ranges(other).iter().any(|outer| outer.contains(range))));
    inside_another
        || !addresses.any(|address| {
            contains(cidr, address) && !all.iter().filter(is_other).any(|other| contains(other, address))
        })
}

/// Its ranges.
pub(super) fn ranges(cidr: &ServiceCIDR) -> Vec<IpNet> {
    cidr.spec.iter().flat_map(|spec| spec.cidrs.iter().flatten()).filter_map(|text| text.parse().ok()).collect()
}

/// Whether one contains the other in part.
pub(super) fn overlaps(cidr: &ServiceCIDR, with: &[IpNet]) -> bool {
    ranges(cidr).iter().any(|a| with.iter().any(|b| a.contains(b) || b.contains(a)))
}

/// Whether the address is in it.
pub(super) fn contains(cidr: &ServiceCIDR, address: IpAddr) -> bool {
    ranges(cidr).iter().any(|range| range.contains(&address))
}

/// The address that an object stands for, if the apiserver allocated it to a Service.
pub(super) fn address(object: &IPAddress) -> Option<IpAddr> {
    let managed = object.metadata.labels.as_ref()?.get(MANAGED_BY)?;
    (managed == ALLOCATOR).then(|| object.metadata.name.as_deref()?.parse().ok())?
}

/// Whether its condition says this already.
pub(super) fn says(cidr: &ServiceCIDR, (status, reason, message): Verdict) -> bool {
    let conditions = cidr.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions
        .filter(|condition| condition.type_ == "Ready")
        .any(|condition| condition.status == status && condition.reason == reason && condition.message == message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cidr(name: &str, ranges: &[&str], deleted: bool) -> Arc<ServiceCIDR> {
        Arc::new(
            serde_json::from_value(json!({"metadata": {"name": name, "finalizers": [FINALIZER],
                "deletionTimestamp": deleted.then_some("2026-01-01T00:00:00Z")}, "spec": {"cidrs": ranges}}))
            .unwrap(),
        )
    }

    #[test]
    fn a_cidr_stays_while_an_address_needs_it() {
        let at =
            |seconds: i64| "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds);
        let dying = cidr("dying", &["10.1.0.0/24"], true);
        let outer = cidr("outer", &["10.1.0.0/16"], false);
        let half = cidr("half", &["10.1.0.0/25"], false);
        let low: IpAddr = "10.1.0.5".parse().unwrap();
        let high: IpAddr = "10.1.0.200".parse().unwrap();
        let table = [
            (vec![], vec![], 20, Step::Release),
            (vec![], vec![], 4, Step::Wait(SignedDuration::from_secs(6))),
            (vec![], vec![low], 20, Step::Hold),
            (vec![outer], vec![low], 20, Step::Release),
            (vec![Arc::clone(&half)], vec![low], 20, Step::Release),
            (vec![half], vec![low, high], 20, Step::Hold),
        ];
        for (mut others, addresses, seconds, expected) in table {
            others.push(Arc::clone(&dying));
            assert_eq!(step(&dying, &others, addresses.into_iter(), at(seconds)), expected, "{others:?}");
        }
        let living = cidr("living", &["10.2.0.0/24"], false);
        assert_eq!(step(&living, &[], std::iter::empty(), at(0)), Step::Ready { protect: false });
        let mut bare = (*living).clone();
        bare.metadata.finalizers = None;
        assert_eq!(step(&bare, &[], std::iter::empty(), at(0)), Step::Ready { protect: true });
    }

    #[test]
    fn only_allocated_addresses_count() {
        let object = |by: &str| -> IPAddress {
            serde_json::from_value(json!({"metadata": {"name": "fd00::1", "labels": {MANAGED_BY: by}}})).unwrap()
        };
        assert_eq!(address(&object(ALLOCATOR)), "fd00::1".parse().ok());
        assert_eq!(address(&object("me")), None);
        assert!(overlaps(&cidr("a", &["10.0.0.0/8"], false), &["10.1.0.0/16".parse().unwrap()]));
        assert!(!overlaps(&cidr("a", &["fd00::/64"], false), &["10.1.0.0/16".parse().unwrap()]));
    }
}
