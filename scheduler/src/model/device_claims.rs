//! The claims of devices that a pod names, and what its containers ask of resources that devices may
//! stand for.
//!
//! Upstream: `dynamic-resource-allocation/resourceclaim`.

use super::volumes::ClaimKey;
use apimachinery::quantity::Quantity;
use k8s_openapi::api::core::v1 as core;
use std::sync::Arc;

/// Who made a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// Somebody; pods may share it.
    Named(ClaimKey),
    /// The claim controller, for this pod alone, which has to own it.
    ForPod(ClaimKey),
    /// The claim controller is still to make it.
    NotYet,
    /// This version does not know how it is named.
    Unknown {
        /// What the pod calls it.
        name: String,
    },
}

impl Made {
    /// The claims of a pod; those that turned out not to be needed are left out.
    pub fn all_of(pod: &core::Pod) -> Vec<Self> {
        let namespace: Arc<str> = Arc::from(pod.metadata.namespace.as_deref().unwrap_or_default());
        let key = |name: &str| ClaimKey { namespace: Arc::clone(&namespace), name: Arc::from(name) };
        let statuses = pod.status.as_ref().and_then(|status| status.resource_claim_statuses.as_deref());
        let claims = pod.spec.iter().flat_map(|spec| spec.resource_claims.iter().flatten());
        let made = claims.filter_map(|claim| {
            if let Some(name) = &claim.resource_claim_name {
                return Some(Self::Named(key(name)));
            }
            if claim.resource_claim_template_name.is_none() {
                return Some(Self::Unknown { name: claim.name.clone() });
            }
            match statuses.unwrap_or_default().iter().find(|status| status.name == claim.name) {
                None => Some(Self::NotYet),
                Some(status) => status.resource_claim_name.as_deref().map(|name| Self::ForPod(key(name))),
            }
        });
        made.collect()
    }

    /// The claim, if it has a name.
    pub fn key(&self) -> Option<&ClaimKey> {
        match self {
            Self::Named(key) | Self::ForPod(key) => Some(key),
            Self::NotYet | Self::Unknown { .. } => None,
        }
    }
}

/// When a container runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// Before the others, to its end.
    Before,
    /// As long as the pod.
    Throughout,
}

/// A container, as far as devices may stand for what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    /// Its name.
    pub name: String,
    /// When it runs.
    pub runs: Runs,
    /// The names of all that it asks for, sorted, and how much of it.
    pub requests: Vec<(String, i64)>,
}

/// The containers, init containers first; none, if no container asks for an extended resource.
pub fn asking(spec: &core::PodSpec) -> Vec<Asking> {
    let init = spec.init_containers.iter().flatten().map(|container| {
        let is_sidecar = container.restart_policy.as_deref() == Some("Always");
        (container, if is_sidecar { Runs::Throughout } else { Runs::Before })
    });
    let all = init.chain(spec.containers.iter().map(|container| (container, Runs::Throughout)));
    let all: Vec<_> = all
        .map(|(container, runs)| {
            let requests = container.resources.iter().flat_map(|resources| resources.requests.iter().flatten());
            let amount = |text: &str| text.parse::<Quantity>().map_or(0, |amount| amount.value());
            let requests = requests.map(|(name, amount_of)| (name.clone(), amount(&amount_of.0))).collect();
            Asking { name: container.name.clone(), runs, requests }
        })
        .collect();
    let asks = |asking: &Asking| asking.requests.iter().any(|(name, amount)| *amount > 0 && is_extended(name));
    if all.iter().any(asks) { all } else { Vec::new() }
}

/// Whether devices may stand for the resource.
pub fn is_extended(name: &str) -> bool {
    let is_native = !name.contains('/') || name.contains("kubernetes.io/");
    name.starts_with("deviceclass.resource.kubernetes.io/") || !is_native && !name.starts_with("requests.")
}
