//! The resource claims of a pod, as several controllers look at them.
//!
//! Upstream: `dynamic-resource-allocation/resourceclaim`.

use client::ObjectKey;
use k8s_openapi::api::core::v1::{Pod, PodResourceClaim, PodResourceClaimStatus};

/// Whether the pod asks for claims.
pub fn has_claims(pod: &Pod) -> bool {
    spec_claims(pod).next().is_some()
}

/// What the pod asks for.
pub fn spec_claims(pod: &Pod) -> impl Iterator<Item = &PodResourceClaim> {
    pod.spec.iter().flat_map(|spec| spec.resource_claims.iter().flatten())
}

/// How one of a pod's claims is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// The user's claim of this name.
    Given(String),
    /// The claim of this name, made for the pod.
    Made(String),
    /// None is needed.
    Unneeded,
    /// It is still to be made from this template.
    Unmade(String),
}

/// The name of one of the pod's claims; `None` if this version knows no such kind of claim.
pub fn name(pod: &Pod, claim: &PodResourceClaim) -> Option<Name> {
    if let Some(name) = &claim.resource_claim_name {
        return Some(Name::Given(name.clone()));
    }
    let template = claim.resource_claim_template_name.clone()?;
    let known = statuses(pod).iter().find(|status| status.name == claim.name);
    Some(match known {
        None => Name::Unmade(template),
        Some(PodResourceClaimStatus { resource_claim_name: None, .. }) => Name::Unneeded,
        Some(PodResourceClaimStatus { resource_claim_name: Some(name), .. }) => Name::Made(name.clone()),
    })
}

/// What the pod's status says of its claims.
pub fn statuses(pod: &Pod) -> &[PodResourceClaimStatus] {
    pod.status.as_ref().and_then(|status| status.resource_claim_statuses.as_deref()).unwrap_or_default()
}

/// The claims that the pod has, and the one that the scheduler made for its extended resources.
pub fn claims_of(pod: &Pod) -> Vec<ObjectKey> {
    let named = spec_claims(pod).filter_map(|claim| match name(pod, claim)? {
        Name::Given(name) | Name::Made(name) => Some(name),
        Name::Unneeded | Name::Unmade(_) => None,
    });
    let extended = pod.status.as_ref().and_then(|status| status.extended_resource_claim_status.as_ref());
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let names = named.chain(extended.map(|extended| extended.resource_claim_name.clone()));
    names.map(|name| ObjectKey { namespace: namespace.clone(), name }).collect()
}

/// The templates of the pod's claims, `namespace/name`.
pub fn templates_of(pod: &Pod) -> Vec<String> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let names = spec_claims(pod).filter_map(|claim| claim.resource_claim_template_name.as_deref());
    names.map(|name| format!("{namespace}/{name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(statuses: Value) -> Pod {
        let pod = json!({"metadata": {"namespace": "n", "name": "p", "uid": "u"},
            "spec": {"containers": [], "resourceClaims": [
                {"name": "given", "resourceClaimName": "g"}, {"name": "made", "resourceClaimTemplateName": "t"}]},
            "status": {"resourceClaimStatuses": statuses}});
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn names_of_claims() {
        let table = [
            (json!([]), Name::Unmade("t".to_owned())),
            (json!([{"name": "made", "resourceClaimName": "p-made-x"}]), Name::Made("p-made-x".to_owned())),
            (json!([{"name": "made"}]), Name::Unneeded),
        ];
        for (statuses, expected) in table {
            let pod = pod(statuses);
            let names: Vec<_> = spec_claims(&pod).filter_map(|claim| name(&pod, claim)).collect();
            assert_eq!(names, [Name::Given("g".to_owned()), expected]);
        }
        let keys = claims_of(&pod(json!([{"name": "made", "resourceClaimName": "m"}])));
        assert_eq!(keys.iter().map(ToString::to_string).collect::<Vec<_>>(), ["n/g", "n/m"]);
        assert_eq!(templates_of(&pod(json!([]))), ["n/t"]);
        assert!(has_claims(&pod(json!([]))) && !has_claims(&Pod::default()));
    }
}
