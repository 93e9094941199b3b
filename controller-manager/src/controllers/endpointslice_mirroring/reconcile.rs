//! Reads Endpoints with their Service and slices; writes the slices.

use super::plan::{self, Change};
use crate::scaffold::changes::Target;
use crate::scaffold::informers::trims::BY_SERVICE;
use crate::scaffold::{Controller, Next, ReconcileError, Writes};
use client::{Informer, ObjectKey, Recorder, events};
use k8s_openapi::api::core::v1::{Endpoints, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use std::sync::Arc;

pub(super) struct Mirrors {
    pub(super) client: kube::Client,
    pub(super) recorder: Recorder,
    pub(super) services: Informer<Service>,
    pub(super) endpoints: Informer<Endpoints>,
    pub(super) slices: Informer<EndpointSlice>,
    pub(super) writes: Writes,
    /// The most addresses that are mirrored of one subset.
    pub(super) most: usize,
}

impl Controller for Mirrors {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let slices = self.ours(key);
        let service = self.services.get(&key.namespace, &key.name);
        let endpoints = self.endpoints.get(&key.namespace, &key.name);
        let changes = match endpoints.filter(|endpoints| plan::is_mirrored(endpoints, service.as_deref())) {
            Some(endpoints) => {
                let desired = plan::desired(&endpoints, self.most);
                self.report(&endpoints, &desired);
                plan::plan(&endpoints, desired, slices)
            }
            None => slices.into_iter().map(Change::Delete).collect(),
        };
        let target = Target { client: &self.client, key, cache: &self.slices, writes: &self.writes };
        for change in changes {
            target.apply(change).await?;
        }
        Ok(Next::OnChange)
    }
}

impl Mirrors {
    fn ours(&self, key: &ObjectKey) -> Vec<Arc<EndpointSlice>> {
        let mut slices = self.slices.by_index(BY_SERVICE, &key.to_string());
        slices.retain(|slice| plan::mirrored_from(slice).is_some());
        slices.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        slices
    }

    fn report(&self, endpoints: &Endpoints, desired: &plan::Desired) {
        let about = events::reference(endpoints);
        if desired.invalid > 0 {
            let message = format!("Skipped {} invalid IP addresses when mirroring to EndpointSlices", desired.invalid);
            self.recorder.warning(&about, "InvalidIPAddress", message);
        }
        if desired.surplus > 0 {
            let message = format!(
                "A max of {} addresses can be mirrored to EndpointSlices per Endpoints subset. {} addresses were skipped",
                self.most,
                desired.surplus + desired.invalid
            );
            self.recorder.warning(&about, "TooManyAddressesToMirror", message);
        }
    }
}
