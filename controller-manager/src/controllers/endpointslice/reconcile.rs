//! Reads a Service with its pods and slices; writes the slices.

use super::plan::{self, MANAGED_BY, MANAGER, Observed};
use crate::objects::serving::{self, TriggerTimes};
use crate::scaffold::changes::Target;
use crate::scaffold::informers::trims::BY_SERVICE;
use crate::scaffold::{Controller, Next, ReconcileError, Writes};
use client::{Informer, ObjectKey};
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

pub(super) struct Slices {
    pub(super) client: kube::Client,
    pub(super) services: Informer<Service>,
    pub(super) pods: Informer<Pod>,
    pub(super) nodes: Informer<Node>,
    pub(super) slices: Informer<EndpointSlice>,
    pub(super) writes: Writes,
    pub(super) triggers: Mutex<HashMap<ObjectKey, TriggerTimes>>,
    pub(super) per_slice: usize,
}

impl Controller for Slices {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let service = self
            .services
            .get(&key.namespace, &key.name)
            .filter(|service| service.metadata.deletion_timestamp.is_none());
        let Some(service) = service else {
            // Its slices go with it: the garbage collector's business.
            self.triggers.lock().remove(key);
            self.writes.forget(key);
            return Ok(Next::OnChange);
        };
        let Some(selector) = serving::selector(&service) else { return Ok(Next::OnChange) };
        let pods = self.pods.list_namespace(&key.namespace);
        let pods: Vec<_> = pods.into_iter().filter(|pod| selector.matches(pod.metadata.labels.as_ref())).collect();
        let trigger =
            self.triggers.lock().entry(key.clone()).or_default().next(&service, pods.iter().map(|pod| &**pod));
        let groups = plan::desired(&service, &pods, |name| self.nodes.get("", name));
        let slices = self.ours(key);
        let observed = Observed { service: &service, groups, slices, trigger, per_slice: self.per_slice };
        let target = Target { client: &self.client, key, cache: &self.slices, writes: &self.writes };
        for change in plan::plan(observed) {
            target.apply(change).await?;
        }
        Ok(Next::OnChange)
    }
}

impl Slices {
    fn ours(&self, key: &ObjectKey) -> Vec<Arc<EndpointSlice>> {
        let mut slices = self.slices.by_index(BY_SERVICE, &key.to_string());
        slices.retain(|slice| {
            let manager = slice.metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY));
            manager.is_some_and(|manager| manager == MANAGER)
        });
        slices.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        slices
    }
}
