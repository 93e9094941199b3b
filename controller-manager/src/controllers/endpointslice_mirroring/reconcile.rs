//! Reads Endpoints with their Service and slices; writes the slices.

use super::plan::{self, Change};
use crate::scaffold::context::namespaced;
use crate::scaffold::error::is_namespace_terminating;
use crate::scaffold::informers::trims::BY_SERVICE;
use crate::scaffold::patch::{self, Guard, Part};
use crate::scaffold::pod_control::same;
use crate::scaffold::{At, Controller, Next, ReconcileError, Writes, is_not_found};
use client::{Informer, ObjectKey, Recorder, events};
use k8s_openapi::api::core::v1::{Endpoints, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::PostParams;
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
        for change in changes {
            self.apply(key, change).await?;
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

    async fn apply(&self, key: &ObjectKey, change: Change) -> Result<(), ReconcileError> {
        let api = namespaced::<EndpointSlice>(&self.client, &key.namespace);
        let written = match &change {
            Change::Create(slice) => api.create(&PostParams::default(), slice).await.map(Some),
            Change::Update { before, after } => {
                patch::write(&api, Part::Object, Guard::Version, &**before, after).await
            }
            Change::Delete(slice) => {
                let deleted = api.delete(slice.metadata.name.as_deref().unwrap_or_default(), &same(&**slice)).await;
                deleted.map(|_| self.writes.deleted(key, &self.slices, &**slice)).map(|()| None)
            }
        };
        match written {
            Ok(Some(slice)) => self.writes.wrote(key, &self.slices, &slice),
            Ok(None) => {}
            Err(error) if is_namespace_terminating(&error) || is_not_found(&error) => {}
            Err(error) => return Err(error).at(|| format!("mirror the endpoints of {key}")),
        }
        Ok(())
    }
}
