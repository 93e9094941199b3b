//! Which claims a pod and its containers have. Pure.
//!
//! Upstream: `dynamic-resource-allocation/resourceclaim`, `GetResources` of `pkg/kubelet/cm/dra/manager.go`.

use crate::pod::PodExt;
use k8s_openapi::api::core::v1::{Container, Pod, PodResourceClaim};
use k8s_openapi::api::resource::v1::ResourceClaim;
use std::collections::BTreeMap;

/// A claim of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The claim's name.
    pub claim: String,
    /// Whether it was made for this pod, which has to own it.
    pub is_made: bool,
}

/// All claims of a pod: those that it names, and the one for its extended resources.
///
/// # Errors
/// One of them has not been made yet.
pub fn of_pod(pod: &Pod) -> Result<Vec<Name>, String> {
    let mut names = Vec::new();
    for claim in PodExt::spec(pod).resource_claims.iter().flatten() {
        names.extend(of_claim(pod, claim)?);
    }
    let extended = pod.status.as_ref().and_then(|status| status.extended_resource_claim_status.as_ref());
    names.extend(extended.map(|extended| Name { claim: extended.resource_claim_name.clone(), is_made: false }));
    Ok(names)
}

/// The claim that one of the pod's names stands for, if there has to be one.
fn of_claim(pod: &Pod, claim: &PodResourceClaim) -> Result<Option<Name>, String> {
    if let Some(name) = &claim.resource_claim_name {
        return Ok(Some(Name { claim: name.clone(), is_made: false }));
    }
    let who = format!("pod \"{}/{}\"", pod.namespace(), pod.name());
    if claim.resource_claim_template_name.is_none() {
        return Err(format!("{who}, spec.resourceClaim {:?}: none of the supported fields are set", claim.name));
    }
    let mut statuses = pod.status.iter().flat_map(|status| status.resource_claim_statuses.iter().flatten());
    match statuses.find(|status| status.name == claim.name) {
        None => Err(format!("{who}: ResourceClaim not created yet")),
        Some(status) => Ok(status.resource_claim_name.clone().map(|claim| Name { claim, is_made: true })),
    }
}

/// The requests that a container has of each claim; an empty one means all of the claim.
///
/// # Errors
/// A claim has not been made yet.
pub fn of_container(pod: &Pod, container: &Container) -> Result<BTreeMap<String, Vec<String>>, String> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let wanted = || container.resources.iter().flat_map(|resources| resources.claims.iter().flatten());
    for claim in PodExt::spec(pod).resource_claims.iter().flatten() {
        let requests: Vec<_> = wanted().filter(|wanted| wanted.name == claim.name).collect();
        if requests.is_empty() {
            continue;
        }
        let Some(name) = of_claim(pod, claim)? else { continue };
        let requests = requests.into_iter().map(|wanted| wanted.request.clone().unwrap_or_default());
        all.entry(name.claim).or_default().extend(requests);
    }
    let extended = pod.status.as_ref().and_then(|status| status.extended_resource_claim_status.as_ref());
    for mapping in extended.iter().flat_map(|extended| &extended.request_mappings) {
        let mut asked = container.resources.iter().flat_map(|resources| resources.requests.iter().flatten());
        let is_asked = asked.any(|(resource, _)| *resource == mapping.resource_name);
        if mapping.container_name == container.name && is_asked {
            let claim = extended.map(|extended| extended.resource_claim_name.clone()).unwrap_or_default();
            all.entry(claim).or_default().push(mapping.request_name.clone());
        }
    }
    Ok(all)
}

/// Whether the pod may use the claim, and the drivers of its devices.
///
/// # Errors
/// It may not, in upstream's words.
pub fn check(pod: &Pod, name: &Name, claim: &ResourceClaim) -> Result<Vec<String>, String> {
    let metadata = &claim.metadata;
    let mut owners = metadata.owner_references.iter().flatten();
    if name.is_made && !owners.any(|owner| owner.controller == Some(true) && owner.uid == pod.uid()) {
        let (namespace, pod_name) = (pod.namespace(), pod.name());
        return Err(format!(
            "ResourceClaim {namespace}/{} was not created for Pod {namespace}/{pod_name} (Pod is not owner)",
            name.claim
        ));
    }
    let mut consumers = claim.status.iter().flat_map(|status| status.reserved_for.iter().flatten());
    if !consumers.any(|consumer| consumer.uid == pod.uid()) {
        let uid = metadata.uid.as_deref().unwrap_or_default();
        return Err(format!(
            "pod {} ({}) is not allowed to use ResourceClaim {} ({uid})",
            pod.name(),
            pod.uid(),
            name.claim
        ));
    }
    let allocation = claim.status.as_ref().and_then(|status| status.allocation.as_ref());
    let Some(allocation) = allocation else { return Err(format!("ResourceClaim {}: not allocated", name.claim)) };
    let results = allocation.devices.iter().flat_map(|devices| devices.results.iter().flatten());
    let mut drivers: Vec<_> = results.map(|result| result.driver.clone()).collect();
    drivers.sort();
    drivers.dedup();
    Ok(drivers)
}
