//! Before a pod with claims of devices can be bound: what its claims get is written to them, with
//! the pod as one who uses them, and devices that need preparation have to get it.
//!
//! Upstream: `PreBind` and `Unreserve` in `pkg/scheduler/framework/plugins/dynamicresources`.

use crate::model::Pod;
use crate::model::volumes::ClaimKey;
use crate::plugins::dynamic_resources::extended::Extended;
use crate::plugins::dynamic_resources::readiness::{self, Readiness};
use crate::plugins::dynamic_resources::{Claim, Planned, Relief, has_devices};
use crate::scheduler::{Placement, Scheduler};
use client::Recorder;
use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::resource::v1 as resource;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Keeps a claim that has devices from vanishing.
const FINALIZER: &str = "resource.kubernetes.io/delete-protection";
/// How often a write is tried that others come in between: upstream's `retry.DefaultRetry`.
const TRIES: usize = 5;
/// How often readiness is looked at if nothing changes.
const POLL: Duration = Duration::from_secs(5);

/// Why a pod's claims are not ready for it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClaimError {
    /// A claim vanished or changed in between.
    #[error("claim {claim} got {what} in the meantime")]
    Meanwhile {
        /// The claim.
        claim: String,
        /// What happened to it.
        what: &'static str,
    },
    /// Something could not be written.
    #[error("{what} {claim}: {source}")]
    Write {
        /// What.
        what: &'static str,
        /// About which claim.
        claim: String,
        /// Why.
        source: kube::Error,
    },
    /// A device cannot be prepared.
    #[error("{0}")]
    Failed(String),
    /// That takes too long.
    #[error("device binding timeout: claim={0}")]
    Late(String),
    /// A claim is gone.
    #[error("could not find ResourceClaim \"{0}\"")]
    Gone(ClaimKey),
    /// The scheduler stops.
    #[error("context canceled")]
    Stopped,
}

/// What was written for a pod, to be undone if it cannot be bound.
#[derive(Debug, Default)]
pub(crate) struct Done {
    claims: Vec<(ClaimKey, Claim)>,
    made: Option<Claim>,
}

/// Writes the plan and waits until all devices are ready. What has been written stands in `done`
/// even if that fails.
pub(crate) async fn bind(
    client: &kube::Client,
    places: &Semaphore,
    scheduler: &Scheduler,
    recorder: &Recorder,
    placement: &Placement,
    done: &mut Done,
) -> Result<(), ClaimError> {
    {
        // A place is for requests; waiting takes none.
        let Ok(_place) = places.acquire().await else { return Err(ClaimError::Stopped) };
        for planned in &placement.devices.claims {
            let claim = match is_reserved(&planned.claim, &placement.attempt.pod) {
                true => Arc::clone(&planned.claim),
                false => reserve(client, &placement.attempt.pod, planned).await?,
            };
            let (key, shown) = (planned.key.clone(), Arc::clone(&claim));
            scheduler.change_devices(|devices| devices.claims.written(&key, shown));
            done.claims.push((planned.key.clone(), claim));
        }
        if let Some(extended) = &placement.devices.extended {
            make(client, scheduler, &placement.attempt.pod, extended, done).await?;
        }
    }
    let allocations = done.claims.iter().filter_map(|(_, claim)| claim.status.as_ref()?.allocation.as_ref());
    if allocations.into_iter().any(readiness::is_needed) {
        let message = format!("waiting for binding conditions for device on node {}", placement.node);
        recorder.normal(&placement.attempt.pod.reference(), "BindingConditionsPending", message);
        wait(scheduler, done, placement.timeouts.devices).await?;
    }
    Ok(())
}

async fn wait(scheduler: &Scheduler, done: &Done, timeout: Duration) -> Result<(), ClaimError> {
    let end = tokio::time::Instant::now() + timeout;
    loop {
        let progress = scheduler.progress();
        let mut waits_for = None;
        for (key, _) in &done.claims {
            let claim = scheduler.device_claim(key).ok_or_else(|| ClaimError::Gone(key.clone()))?;
            match readiness::of(&claim, Timestamp::now(), timeout) {
                Readiness::Ready => {}
                Readiness::Waiting => waits_for = Some(key.name.to_string()),
                Readiness::Late => return Err(ClaimError::Late(key.name.to_string())),
                Readiness::Failed(why) => return Err(ClaimError::Failed(why)),
            }
        }
        let Some(waits_for) = waits_for else { return Ok(()) };
        if tokio::time::Instant::now() >= end {
            return Err(ClaimError::Late(waits_for));
        }
        drop(tokio::time::timeout(POLL, progress).await);
    }
}

fn is_reserved(claim: &resource::ResourceClaim, pod: &Pod) -> bool {
    let mut consumers = claim.status.iter().flat_map(|status| status.reserved_for.iter().flatten());
    consumers.any(|consumer| consumer.uid == pod.uid)
}

/// Writes what the claim gets, and that the pod uses it.
async fn reserve(client: &kube::Client, pod: &Pod, planned: &Planned) -> Result<Claim, ClaimError> {
    let claims: Api<resource::ResourceClaim> = Api::namespaced(client.clone(), &planned.key.namespace);
    write(&claims, pod, (*planned.claim).clone(), planned.allocation.as_deref()).await.map(Arc::new)
}

async fn write(
    claims: &Api<resource::ResourceClaim>,
    pod: &Pod,
    mut claim: resource::ResourceClaim,
    allocation: Option<&resource::AllocationResult>,
) -> Result<resource::ResourceClaim, ClaimError> {
    let name = claim.metadata.name.clone().unwrap_or_default();
    let full = format!("{}/{name}", pod.namespace);
    let mut tries = 1;
    loop {
        match try_write(claims, pod, &name, claim, allocation).await {
            Err(ClaimError::Write { source: kube::Error::Api(status), .. }) if status.code == 409 && tries < TRIES => {
                tries += 1;
                let error = |source| ClaimError::Write { what: "get updated claim", claim: full.clone(), source };
                claim = claims.get(&name).await.map_err(error)?;
            }
            outcome => return outcome,
        }
    }
}

async fn try_write(
    claims: &Api<resource::ResourceClaim>,
    pod: &Pod,
    name: &str,
    mut claim: resource::ResourceClaim,
    allocation: Option<&resource::AllocationResult>,
) -> Result<resource::ResourceClaim, ClaimError> {
    let full = || format!("{}/{name}", pod.namespace);
    let meanwhile = |what| Err(ClaimError::Meanwhile { claim: full(), what });
    if claim.metadata.deletion_timestamp.is_some() {
        return meanwhile("deleted");
    }
    if let Some(allocation) = allocation {
        if has_devices(&claim) {
            return meanwhile("allocated elsewhere");
        }
        let finalizers = claim.metadata.finalizers.get_or_insert_default();
        if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            finalizers.push(FINALIZER.to_owned());
            let error = |source| ClaimError::Write { what: "add finalizer to claim", claim: full(), source };
            claim = claims.replace(name, &PostParams::default(), &claim).await.map_err(error)?;
        }
        claim.status.get_or_insert_default().allocation = Some(allocation.clone());
    }
    let status = claim.status.get_or_insert_default();
    status.reserved_for.get_or_insert_default().push(resource::ResourceClaimConsumerReference {
        api_group: None,
        name: pod.name.to_string(),
        resource: "pods".to_owned(),
        uid: pod.uid.clone(),
    });
    let Some(current) = &mut status.allocation else { return meanwhile("deallocated elsewhere") };
    current.allocation_timestamp.get_or_insert_with(|| Time(Timestamp::now()));
    let what = match allocation {
        Some(_) => "add allocation and reservation to claim",
        None => "add reservation to claim",
    };
    let error = |source| ClaimError::Write { what, claim: full(), source };
    claims.replace_status(name, &PostParams::default(), &claim).await.map_err(error)
}

/// Makes the claim for extended resources, and says in the pod's status which containers use what of it.
async fn make(
    client: &kube::Client,
    scheduler: &Scheduler,
    pod: &Pod,
    extended: &Extended,
    done: &mut Done,
) -> Result<(), ClaimError> {
    let claims: Api<resource::ResourceClaim> = Api::namespaced(client.clone(), &pod.namespace);
    let error = |source| ClaimError::Write {
        what: "create claim for extended resources",
        claim: format!("{}/", pod.namespace),
        source,
    };
    let created = claims.create(&PostParams::default(), &extended.claim).await.map_err(error)?;
    let name: Arc<str> = Arc::from(created.metadata.name.as_deref().unwrap_or_default());
    let key = ClaimKey { namespace: Arc::clone(&pod.namespace), name };
    let shown = Arc::new(created.clone());
    done.made = Some(Arc::clone(&shown));
    scheduler.change_devices(|devices| devices.claims.created(&key, shown));
    let claim = Arc::new(write(&claims, pod, created, extended.allocation.as_deref()).await?);
    let shown = Arc::clone(&claim);
    scheduler.change_devices(|devices| {
        devices.claims.written(&key, shown);
        devices.claims.unreserve(&extended.key);
    });
    done.made = Some(Arc::clone(&claim));
    let pods: Api<core::Pod> = Api::namespaced(client.clone(), &pod.namespace);
    let patch = json!({"metadata": {"uid": pod.uid}, "status": {"extendedResourceClaimStatus": {
        "requestMappings": extended.mappings, "resourceClaimName": &*key.name,
    }}});
    let what = "update pod ExtendedResourceClaimStatus for claim";
    let error = |source| ClaimError::Write { what, claim: key.to_string(), source };
    pods.patch_status(&pod.name, &PatchParams::default(), &Patch::Strategic(patch)).await.map_err(error)?;
    Ok(())
}

/// Takes back what was written for a pod that is not bound. What fails is done by the claim
/// controller, or when the pod is tried again.
pub(crate) async fn undo(client: &kube::Client, pod: &Pod, done: Done) {
    for (key, claim) in done.claims.iter().filter(|(_, claim)| is_reserved(claim, pod)) {
        let claims: Api<resource::ResourceClaim> = Api::namespaced(client.clone(), &key.namespace);
        let consumers = json!([{"$patch": "delete", "uid": pod.uid}]);
        let patch = json!({"metadata": {"uid": claim.metadata.uid}, "status": {"reservedFor": consumers}});
        if let Err(error) = claims.patch_status(&key.name, &PatchParams::default(), &Patch::Strategic(patch)).await {
            tracing::warn!(pod = %pod.key(), claim = %key, %error, "cannot take the pod out of the claim's users");
        }
    }
    if let Some(claim) = done.made {
        delete(client, &claim).await;
    }
}

/// Gives back what keeps a pod from being placed.
pub(crate) async fn relieve(client: &kube::Client, pod: &Pod, relief: &Relief) {
    let claim = match relief {
        Relief::NoClaims | Relief::None => return,
        Relief::Delete(claim) => return delete(client, claim).await,
        Relief::Deallocate(claim) => claim,
    };
    let claims: Api<resource::ResourceClaim> = Api::namespaced(client.clone(), &pod.namespace);
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    let free = resource::ResourceClaim { status: None, ..(**claim).clone() };
    if let Err(error) = claims.replace_status(name, &PostParams::default(), &free).await {
        tracing::warn!(pod = %pod.key(), claim = name, %error, "cannot give the claim's devices back");
    }
}

/// Deletes a claim that was made here.
async fn delete(client: &kube::Client, claim: &resource::ResourceClaim) {
    let namespace = claim.metadata.namespace.as_deref().unwrap_or_default();
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    let claims: Api<resource::ResourceClaim> = Api::namespaced(client.clone(), namespace);
    if let Err(error) = try_delete(&claims, name, claim.clone()).await {
        tracing::warn!(namespace, claim = name, %error, "cannot delete the claim for extended resources");
    }
}

async fn try_delete(
    claims: &Api<resource::ResourceClaim>,
    name: &str,
    mut claim: resource::ResourceClaim,
) -> Result<(), kube::Error> {
    for _ in 0..TRIES {
        if let Some(finalizers) = &mut claim.metadata.finalizers {
            finalizers.retain(|finalizer| finalizer != FINALIZER);
        }
        match claims.replace(name, &PostParams::default(), &claim).await {
            Ok(_) => break,
            Err(kube::Error::Api(status)) if status.code == 409 => claim = claims.get(name).await?,
            Err(error) => return Err(error),
        }
    }
    claims.delete(name, &DeleteParams::default()).await.map(drop)
}
