//! Binds claims to volumes, asks provisioners for volumes, and reclaims volumes whose claim is gone.
//!
//! Two queues, of claims and of volumes, work on the same pairs: each writes both sides of a pair,
//! the volume first, and what one leaves undone the other finishes.
//!
//! Upstream: `pkg/controller/volume/persistentvolume`.

mod bind;
mod claims;
mod plan;
mod reclaim;
mod volumes;

use crate::objects::claims::{class_of_claim, class_of_volume};
use crate::scaffold::{Context, Lane};
use client::informer::Change;
use client::{Informer, ObjectKey};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use std::sync::Arc;

/// The controller's name.
pub const NAME: &str = "persistentvolume-binder-controller";

/// Starts it.
pub fn start(context: &Context) {
    let flags = &context.options.volumes;
    let mut of_claims = Lane::new(context, NAME);
    let mut of_volumes = Lane::new(context, "persistentvolume-binder-volumes");
    let volume_queue = of_volumes.queue();
    let claims = of_claims.watches::<PersistentVolumeClaim>();
    // A volume follows its claim: it is released when the claim goes.
    claims.subscribe(move |change| {
        let volume = change.object().spec.as_ref().and_then(|spec| spec.volume_name.clone());
        let volume = volume.filter(|name| !name.is_empty() && !matches!(change, Change::Added(_)));
        volume.into_iter().for_each(|name| volume_queue.add(ObjectKey { namespace: String::new(), name }));
    });
    let pending = claims.clone();
    let classes = of_claims.maps(move |change: &Change<StorageClass>| {
        waiting(&pending, |claim| {
            let class = class_of_claim(claim);
            class.is_empty() || change.object().metadata.name.as_deref() == Some(class)
        })
    });
    let volumes = of_volumes.watches::<PersistentVolume>();
    let pending = claims.clone();
    of_claims.maps(move |change: &Change<PersistentVolume>| wanting(change, &pending));
    let pods = of_claims.reads::<Pod>();
    of_volumes.reads::<PersistentVolumeClaim>();
    let binder = Arc::new(bind::Binder {
        client: context.client.clone(),
        claims,
        volumes,
        recorder: context.recorder("persistentvolume-controller"),
        of_claims: of_claims.writes(),
        of_volumes: of_volumes.writes(),
    });
    let claim_queue = of_claims.queue();
    let resync = flags.pvclaimbinder_sync_period.0;
    of_claims.run(
        1,
        claims::Claims {
            binder: Arc::clone(&binder),
            classes,
            pods: pods.clone(),
            provisions: flags.enable_dynamic_provisioning,
            resync,
        },
    );
    of_volumes.run(1, volumes::Volumes { binder, claim_queue, pods, resync });
}

/// The claims that wait for a volume and fulfil a condition.
fn waiting(claims: &Informer<PersistentVolumeClaim>, which: impl Fn(&PersistentVolumeClaim) -> bool) -> Vec<ObjectKey> {
    let all = claims.list();
    let waiting = all.iter().filter(|claim| plan::is_pending(claim) && which(claim));
    waiting.map(|claim| ObjectKey::of(&**claim)).collect()
}

/// The claims that a change of a volume concerns: the one it is for; all that could take it, if it
/// is free.
fn wanting(change: &Change<PersistentVolume>, claims: &Informer<PersistentVolumeClaim>) -> Vec<ObjectKey> {
    let volume = change.object();
    let name = volume.metadata.name.as_deref();
    match plan::claimant(volume) {
        Some(key) => vec![key],
        None if matches!(change, Change::Deleted(_)) => Vec::new(),
        None => waiting(claims, |claim| {
            let wanted = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref());
            match wanted.filter(|wanted| !wanted.is_empty()) {
                Some(wanted) => Some(wanted) == name,
                None => class_of_claim(claim) == class_of_volume(volume),
            }
        }),
    }
}
