//! What a namespace's quota counts: which objects a quota is about, what an object uses, and which
//! kind of object a limited name is counted by. Admission charges by it, and the controller counts.
//!
//! Upstream: `pkg/quota/v1/evaluator/core`, `apiserver/pkg/quota/v1`.

mod demand;
mod scope;
mod usage;

pub use crate::placement::requests::Amounts;
pub use demand::amounts_of_pod;
pub use scope::{covers, fits_requirement, fitting};
pub use usage::{is_over, of, unspecified};

use apimachinery::quantity::{Format, Quantity};

/// A resource, without its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource<'a> {
    /// API group; empty for the core group.
    pub group: &'a str,
    /// `pods`.
    pub plural: &'a str,
}

impl Resource<'_> {
    /// `pods`, `deployments.apps`.
    pub fn name(&self) -> String {
        match self.group {
            "" => self.plural.to_owned(),
            group => format!("{}.{group}", self.plural),
        }
    }

    fn is_core(&self, plural: &str) -> bool {
        self.group.is_empty() && self.plural == plural
    }
}

/// Resources of the core group that are counted under their own name.
const COUNTED: &[&str] = &[
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
];
/// What a storage class's amounts end with.
const OF_STORAGE_CLASS: &str = ".storageclass.storage.k8s.io/";
/// What a device class's devices end with.
const OF_DEVICE_CLASS: &str = ".deviceclass.resource.k8s.io/devices";
const CLAIMS: &str = "persistentvolumeclaims";
const DEVICE_CLAIMS: &str = "resourceclaims.resource.k8s.io";

/// The resource whose objects use what this name of a quota limits, as [`Resource::name`] has it;
/// `None` if nothing does.
pub fn counted_by(limited: &str) -> Option<&str> {
    if let Some(resource) = limited.strip_prefix("count/") {
        return Some(resource);
    }
    if limited.ends_with(OF_DEVICE_CLASS) {
        return Some(DEVICE_CLAIMS);
    }
    if let Some((_, what)) = limited.split_once(OF_STORAGE_CLASS) {
        return matches!(what, CLAIMS | "requests.storage").then_some(CLAIMS);
    }
    match limited {
        "requests.storage" => Some(CLAIMS),
        "services.nodeports" | "services.loadbalancers" => Some("services"),
        "cpu" | "memory" | "ephemeral-storage" | "limits.cpu" | "limits.memory" | "limits.ephemeral-storage" => {
            Some("pods")
        }
        name if COUNTED.contains(&name) => Some(name),
        name if name.starts_with("hugepages-") => Some("pods"),
        name => name.strip_prefix("requests.").filter(|asked| is_asked_of_nodes(asked)).map(|_| "pods"),
    }
}

/// Whether pods ask nodes for it: one of the plain resources, or an extended one.
fn is_asked_of_nodes(name: &str) -> bool {
    is_plain(name) || name.starts_with("hugepages-") || is_extended(name)
}

/// Resources whose requests also count under their plain name.
fn is_plain(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage")
}

/// Whether the name has a domain that is not Kubernetes' own.
fn is_extended(name: &str) -> bool {
    name.split_once('/').is_some_and(|(domain, _)| domain != "kubernetes.io" && !domain.ends_with(".kubernetes.io"))
}

fn count(n: i64) -> Quantity {
    Quantity::from_units(n, Format::DecimalSi)
}

/// Adds amounts up.
pub fn add(total: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let sum = total.get(name).map_or(*amount, |sum| *sum + *amount);
        total.insert(name.clone(), sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limited_name_says_what_uses_it() {
        let table = [
            ("pods", Some("pods")),
            ("count/pods", Some("pods")),
            ("count/deployments.apps", Some("deployments.apps")),
            ("requests.cpu", Some("pods")),
            ("limits.ephemeral-storage", Some("pods")),
            ("requests.example.com/gpu", Some("pods")),
            ("requests.kubernetes.io/x", None),
            ("requests.hugepages-2Mi", Some("pods")),
            ("hugepages-2Mi", Some("pods")),
            ("requests.storage", Some("persistentvolumeclaims")),
            ("gold.storageclass.storage.k8s.io/requests.storage", Some("persistentvolumeclaims")),
            ("gold.storageclass.storage.k8s.io/cpu", None),
            ("gpu.deviceclass.resource.k8s.io/devices", Some("resourceclaims.resource.k8s.io")),
            ("services.nodeports", Some("services")),
            ("secrets", Some("secrets")),
            ("nonesuch", None),
        ];
        for (limited, resource) in table {
            assert_eq!(counted_by(limited), resource, "{limited}");
        }
    }

    #[test]
    fn amounts_add_up() {
        let one: Amounts = [("a".to_owned(), count(1))].into();
        let mut total = one.clone();
        add(&mut total, &one);
        add(&mut total, &[("b".to_owned(), count(3))].into());
        assert_eq!(total, [("a".to_owned(), count(2)), ("b".to_owned(), count(3))].into());
    }
}
