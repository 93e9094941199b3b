//! Makes the resource claims that pods have templates for, and takes back what pods had reserved
//! that will not run any more. Claims of pod groups are behind a gate that is off.
//!
//! Upstream: `pkg/controller/resourceclaim`.

mod plan;
mod pods;
mod release;

use crate::objects::resources;
use crate::scaffold::informers::trims::{BY_RESOURCE_CLAIM, BY_RESOURCE_TEMPLATE};
use crate::scaffold::{Context, Lane};
use client::informer::Change;
use client::{Informer, ObjectKey};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::resource::v1::{ResourceClaim, ResourceClaimTemplate};

/// The controller's name.
pub const NAME: &str = "resourceclaim-controller";
/// The name of the queue of claims.
const RELEASES: &str = "resourceclaim-controller-releases";

/// Starts it: one lane for pods that need claims, one for claims that are to be let go.
pub fn start(context: &Context) {
    start_pods(context);
    start_releases(context);
}

fn start_pods(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let pods = lane.maps(|change: &Change<Pod>| match change {
        Change::Added(pod) | Change::Updated(_, pod) if resources::has_claims(pod) => vec![ObjectKey::of(&**pod)],
        _ => Vec::new(),
    });
    let users = pods.clone();
    let claims =
        lane.maps(move |change: &Change<ResourceClaim>| keys_of(&users, BY_RESOURCE_CLAIM, &**change.object()));
    let users = pods.clone();
    let templates = lane
        .maps(move |change: &Change<ResourceClaimTemplate>| keys_of(&users, BY_RESOURCE_TEMPLATE, &**change.object()));
    let controller = pods::Pods {
        client: context.client.clone(),
        recorder: context.recorder("resource_claim"),
        pods,
        claims,
        templates,
        writes: lane.writes(),
    };
    lane.run(context.options.workers.resource_claim, controller);
}

fn start_releases(context: &Context) {
    let mut lane = Lane::new(context, RELEASES);
    let claims = lane.maps(|change: &Change<ResourceClaim>| match change {
        Change::Deleted(_) => Vec::new(),
        Change::Added(claim) | Change::Updated(_, claim) => vec![ObjectKey::of(&**claim)],
    });
    let pods = lane.maps(|change: &Change<Pod>| match change {
        Change::Deleted(pod) => resources::claims_of(pod),
        Change::Added(pod) | Change::Updated(_, pod) if plan::is_done(pod) => resources::claims_of(pod),
        _ => Vec::new(),
    });
    let controller = release::Claims { client: context.client.clone(), pods, claims, writes: lane.writes() };
    lane.run(context.options.workers.resource_claim, controller);
}

/// The pods that name an object.
fn keys_of<K: kube::Resource>(pods: &Informer<Pod>, index: &'static str, object: &K) -> Vec<ObjectKey> {
    let users = pods.by_index(index, &ObjectKey::of(object).to_string());
    users.iter().map(|pod| ObjectKey::of(&**pod)).collect()
}
