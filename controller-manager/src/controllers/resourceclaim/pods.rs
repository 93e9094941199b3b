//! Makes the claims of one pod, says in its status what they are called, and reserves them for a
//! pod that came to its node without the scheduler.

use super::plan;
use crate::objects::resources::{self, Name};
use crate::scaffold::context::namespaced;
use crate::scaffold::error::message;
use crate::scaffold::informers::trims::BY_OWNER;
use crate::scaffold::{At, Controller, Next, ReconcileError, Writes, is_not_found};
use client::{Informer, ObjectKey, Recorder, events};
use k8s_openapi::api::core::v1::{Pod, PodResourceClaim, PodResourceClaimStatus};
use k8s_openapi::api::resource::v1::{ResourceClaim, ResourceClaimTemplate};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

/// Who owns the list of claims in a pod's status.
const MANAGER: &str = "ResourceClaimController";

pub(super) struct Pods {
    pub(super) client: kube::Client,
    pub(super) recorder: Recorder,
    pub(super) pods: Informer<Pod>,
    pub(super) claims: Informer<ResourceClaim>,
    pub(super) templates: Informer<ResourceClaimTemplate>,
    pub(super) writes: Writes,
}

impl Controller for Pods {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let pod = self.pods.get(&key.namespace, &key.name).filter(|pod| pod.metadata.deletion_timestamp.is_none());
        let Some(pod) = pod else { return Ok(Next::OnChange) };
        let mut made = Vec::new();
        for claim in resources::spec_claims(&pod) {
            match self.make(key, &pod, claim).await {
                Ok(Some(name)) => made.push((claim.name.clone(), name)),
                Ok(None) => {}
                Err(failure) => {
                    let text = format!("PodResourceClaim {}: {}", claim.name, failure.0);
                    self.recorder.warning(&events::reference(&*pod), "FailedResourceClaimCreation", text);
                    return Err(failure.1);
                }
            }
        }
        if !made.is_empty() {
            self.say(key, &pod, made).await?;
        }
        self.reserve(key, &pod).await?;
        Ok(Next::OnChange)
    }
}

/// What the pod is told, and what failed.
struct Failure(String, ReconcileError);

impl Pods {
    /// The name of a claim that the pod's status does not have yet, made if need be.
    async fn make(&self, key: &ObjectKey, pod: &Pod, claim: &PodResourceClaim) -> Result<Option<String>, Failure> {
        match resources::name(pod, claim) {
            Some(Name::Unmade(_)) => {}
            Some(Name::Made(name)) => {
                let existing = self.claims.get(&key.namespace, &name);
                // One that is gone, or another's, is made anew.
                if existing.is_some_and(|existing| plan::is_made_for(pod, &existing)) {
                    return Ok(None);
                }
            }
            _ => return Ok(None),
        }
        let own = self.claims.by_index(BY_OWNER, pod.metadata.uid.as_deref().unwrap_or_default());
        if let Some(existing) = own.iter().find(|existing| plan::is_made_as(existing, &claim.name)) {
            return Ok(existing.metadata.name.clone());
        }
        let name = claim.resource_claim_template_name.clone().unwrap_or_default();
        let Some(template) = self.templates.get(&key.namespace, &name) else {
            let why =
                format!("resource claim template {name:?}: resourceclaimtemplate.resource.k8s.io {name:?} not found");
            let left = format!("pod {key} waits for resource claim template {name}");
            return Err(Failure(why, ReconcileError::Unfinished { left }));
        };
        let new = plan::from_template(pod, &claim.name, &template);
        let api = namespaced::<ResourceClaim>(&self.client, &key.namespace);
        match api.create(&PostParams::default(), &new).await {
            Ok(created) => {
                self.writes.wrote(key, &self.claims, &created);
                Ok(created.metadata.name)
            }
            Err(error) => {
                let why = format!("create ResourceClaim : {}", message(&error));
                Err(error).at(|| format!("make claim {} of pod {key}", claim.name)).map_err(|error| Failure(why, error))
            }
        }
    }

    /// Writes what the claims are called, as the owner of all of the list that it has made.
    async fn say(&self, key: &ObjectKey, pod: &Pod, made: Vec<(String, String)>) -> Result<(), ReconcileError> {
        let known = resources::statuses(pod).iter().filter(|status| !made.iter().any(|(name, _)| *name == status.name));
        let mut statuses: Vec<PodResourceClaimStatus> = known.cloned().collect();
        statuses.extend(made.iter().map(|(name, claim)| PodResourceClaimStatus {
            name: name.clone(),
            resource_claim_name: Some(claim.clone()),
        }));
        let patch = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"uid": pod.metadata.uid},
            "status": {"resourceClaimStatuses": statuses}});
        let api = namespaced::<Pod>(&self.client, &key.namespace);
        match api.patch_status(&key.name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(patch)).await {
            Ok(written) => self.writes.wrote(key, &self.pods, &written),
            Err(error) if is_not_found(&error) => {}
            Err(error) => return Err(error).at(|| format!("name the claims of pod {key}")),
        }
        Ok(())
    }

    async fn reserve(&self, key: &ObjectKey, pod: &Pod) -> Result<(), ReconcileError> {
        let api = namespaced::<ResourceClaim>(&self.client, &key.namespace);
        for claim in resources::claims_of(pod) {
            let after = self.claims.get(&claim.namespace, &claim.name).and_then(|claim| plan::reserve(pod, &claim));
            let Some(after) = after else { continue };
            match api.replace_status(&claim.name, &PostParams::default(), &after).await {
                Ok(written) => self.writes.wrote(key, &self.claims, &written),
                Err(error) if is_not_found(&error) => {}
                Err(error) => return Err(error).at(|| format!("reserve claim {claim} for pod {key}")),
            }
        }
        Ok(())
    }
}
