//! Claims of devices, their classes, and what drivers offer.

use super::{Starter, key};
use crate::devices::{Class, Slice};
use crate::framework::Event;
use crate::model::volumes::ClaimKey;
use crate::scheduler::Scheduler;
use client::informer::{Change, Informer, Scope};
use k8s_openapi::api::resource::v1 as resource;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::sync::Arc;

/// The running watches.
#[derive(Debug)]
pub(super) struct Watches {
    claims: Informer<resource::ResourceClaim>,
    classes: Informer<resource::DeviceClass>,
    slices: Informer<resource::ResourceSlice>,
}

impl Watches {
    pub(super) fn start(starter: &Starter<'_>) -> Self {
        Self {
            // Claims are written back whole, so that nothing may be missing from them.
            claims: starter.start(Scope::default(), |_| {}, on_claim),
            classes: starter.start(Scope::default(), |class| trim(&mut class.metadata), on_class),
            slices: starter.start(Scope::default(), |slice| trim(&mut slice.metadata), on_slice),
        }
    }

    pub(super) async fn synced(&self) {
        tokio::join!(self.claims.synced(), self.classes.synced(), self.slices.synced());
    }

    pub(super) fn are_synced(&self) -> bool {
        self.claims.is_synced() && self.classes.is_synced() && self.slices.is_synced()
    }
}

fn on_claim(scheduler: &Scheduler, change: &Change<resource::ResourceClaim>) {
    let object = change.object();
    let (namespace, name) = key(&object.metadata);
    let key = ClaimKey { namespace: Arc::from(namespace), name: Arc::from(name) };
    scheduler.change_claims(&key, |claims| match change {
        Change::Deleted(_) => {
            claims.remove(&key);
            None
        }
        Change::Added(claim) => {
            claims.set(&key, Arc::clone(claim));
            Some(Event::DeviceClaim { key: key.clone(), is_freed: false })
        }
        Change::Updated(old, new) => {
            claims.set(&key, Arc::clone(new));
            let had = |claim: &resource::ResourceClaim| claim.status.as_ref().is_some_and(|s| s.allocation.is_some());
            let is_freed = had(old) && !had(new);
            // What else changes about a claim, such as its finalizers, helps nobody.
            (old.status != new.status).then(|| Event::DeviceClaim { key: key.clone(), is_freed })
        }
    });
}

fn on_class(scheduler: &Scheduler, change: &Change<resource::DeviceClass>) {
    let event = scheduler.change_devices(|devices| match change {
        Change::Deleted(class) => {
            devices.remove_class(class.metadata.name.as_deref().unwrap_or_default());
            None
        }
        Change::Added(class) | Change::Updated(_, class) => {
            devices.set_class(Class::of(class));
            Some(Event::DeviceClass)
        }
    });
    event.into_iter().for_each(|event| scheduler.wake(event));
}

fn on_slice(scheduler: &Scheduler, change: &Change<resource::ResourceSlice>) {
    let event = scheduler.change_devices(|devices| match change {
        Change::Deleted(slice) => {
            devices.remove_slice(slice.metadata.name.as_deref().unwrap_or_default());
            None
        }
        Change::Added(slice) | Change::Updated(_, slice) => {
            devices.set_slice(Slice::of(slice));
            Some(Event::DeviceSlice)
        }
    });
    event.into_iter().for_each(|event| scheduler.wake(event));
}

fn trim(metadata: &mut ObjectMeta) {
    metadata.annotations = None;
    metadata.labels = None;
    metadata.owner_references = None;
    metadata.finalizers = None;
}
