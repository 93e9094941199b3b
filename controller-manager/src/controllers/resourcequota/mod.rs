//! Counts what the objects of a namespace use of its quotas. Admission adds what comes; this
//! subtracts what goes, and counts anew when a quota changes and every few minutes.
//!
//! Upstream: `pkg/controller/resourcequota`.

mod counts;
mod plan;
mod reconcile;

use crate::scaffold::{Context, Lane};
use client::informer::Change;
use client::{Informer, ObjectKey};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, ResourceQuota, Service};
use std::sync::Arc;

/// The controller's name.
pub const NAME: &str = "resourcequota-controller";

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let quotas = lane.maps(own);
    let (of_quotas, of_pods, of_services, of_claims) = (quotas.clone(), quotas.clone(), quotas.clone(), quotas.clone());
    // Admission charges a new quota to the others before anybody sees it: who counts between the two misses it.
    lane.maps(move |change: &Change<ResourceQuota>| match change {
        Change::Updated(..) => Vec::new(),
        change => limiting(&of_quotas, change.object().metadata.namespace.as_deref(), "resourcequotas"),
    });
    let pods = lane.maps(move |change: &Change<Pod>| match plan::frees_pod(change) {
        true => limiting(&of_pods, change.object().metadata.namespace.as_deref(), "pods"),
        false => Vec::new(),
    });
    let services = lane.maps(move |change: &Change<Service>| match plan::frees_service(change) {
        true => limiting(&of_services, change.object().metadata.namespace.as_deref(), "services"),
        false => Vec::new(),
    });
    let claims = lane.maps(move |change: &Change<PersistentVolumeClaim>| match plan::frees_claim(change) {
        true => limiting(&of_claims, change.object().metadata.namespace.as_deref(), "persistentvolumeclaims"),
        false => Vec::new(),
    });
    let queue = lane.queue();
    let of_others = quotas.clone();
    let freed = move |namespace: &str, resource: &str| {
        limiting(&of_others, Some(namespace), resource).into_iter().for_each(|key| queue.add(key));
    };
    let counts = counts::Counts::new(context, Arc::new(freed));
    let flags = context.options.quota;
    let controller = reconcile::Quotas {
        client: context.client.clone(),
        informers: Arc::clone(&context.informers),
        quotas,
        pods,
        services,
        claims,
        counts: Arc::new(counts),
        resync: flags.resource_quota_sync_period.0,
    };
    lane.run(flags.concurrent_resource_quota_syncs, controller);
}

/// A quota is counted when its limits change, not when its status does: that is our own doing, or
/// admission's.
fn own(change: &Change<ResourceQuota>) -> Vec<ObjectKey> {
    match change {
        Change::Updated(before, after) if before.spec == after.spec => Vec::new(),
        change => vec![ObjectKey::of(&**change.object())],
    }
}

/// The quotas of a namespace that limit something of this resource.
fn limiting(quotas: &Informer<ResourceQuota>, namespace: Option<&str>, resource: &str) -> Vec<ObjectKey> {
    let quotas = quotas.list_namespace(namespace.unwrap_or_default());
    quotas.iter().filter(|quota| plan::limits(quota, resource)).map(|quota| ObjectKey::of(&**quota)).collect()
}
