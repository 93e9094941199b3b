//! Reads a Service with its pods; writes its Endpoints.

use super::plan::{self, Change};
use crate::objects::serving::{self, TriggerTimes};
use crate::scaffold::context::namespaced;
use crate::scaffold::error::is_namespace_terminating;
use crate::scaffold::patch::{self, Guard, Part};
use crate::scaffold::pod_control::same;
use crate::scaffold::{At, Controller, Next, ReconcileError, Writes, is_exists, is_not_found};
use client::{Informer, ObjectKey};
use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use kube::api::PostParams;
use parking_lot::Mutex;
use std::collections::HashMap;

pub(super) struct EndpointsOf {
    pub(super) client: kube::Client,
    pub(super) services: Informer<Service>,
    pub(super) pods: Informer<Pod>,
    pub(super) endpoints: Informer<Endpoints>,
    pub(super) writes: Writes,
    /// Of the Services that this process has seen: their Endpoints go with them.
    pub(super) triggers: Mutex<HashMap<ObjectKey, TriggerTimes>>,
}

impl Controller for EndpointsOf {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(service) = self.services.get(&key.namespace, &key.name) else { return self.remove(key).await };
        let Some(selector) = serving::selector(&service) else { return Ok(Next::OnChange) };
        let pods = self.pods.list_namespace(&key.namespace);
        let pods: Vec<_> = pods.into_iter().filter(|pod| selector.matches(pod.metadata.labels.as_ref())).collect();
        let trigger =
            self.triggers.lock().entry(key.clone()).or_default().next(&service, pods.iter().map(|pod| &**pod));
        let current = self.endpoints.get(&key.namespace, &key.name);
        let api = namespaced::<Endpoints>(&self.client, &key.namespace);
        let written = match (plan::plan(&service, &pods, current.as_deref(), trigger), &current) {
            (Change::Create(endpoints), _) => api.create(&PostParams::default(), &endpoints).await.map(Some),
            (Change::Update(endpoints), Some(current)) => {
                patch::write(&api, Part::Object, Guard::Version, &**current, &endpoints).await
            }
            _ => Ok(None),
        };
        match written {
            Ok(Some(endpoints)) => self.writes.wrote(key, &self.endpoints, &endpoints),
            Ok(None) => {}
            Err(error) if is_namespace_terminating(&error) || is_exists(&error) || is_not_found(&error) => {}
            Err(error) => return Err(error).at(|| format!("write the endpoints of {key}")),
        }
        Ok(Next::OnChange)
    }
}

impl EndpointsOf {
    /// The Service is gone, and its Endpoints with it; those that nobody made for a Service stay.
    async fn remove(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let was_known = self.triggers.lock().remove(key).is_some();
        let current =
            self.endpoints.get(&key.namespace, &key.name).filter(|endpoints| was_known || plan::is_ours(endpoints));
        if let Some(current) = current {
            let api = namespaced::<Endpoints>(&self.client, &key.namespace);
            match api.delete(&key.name, &same(&*current)).await {
                Err(error) if !is_not_found(&error) => {
                    return Err(error).at(|| format!("delete the endpoints of {key}"));
                }
                _ => self.writes.forget(key),
            }
        }
        Ok(Next::OnChange)
    }
}
