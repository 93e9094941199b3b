//! Makes the claims of one pod.

use super::plan;
use crate::objects::claims;
use crate::objects::pods;
use crate::scaffold::context::namespaced;
use crate::scaffold::error::{is_namespace_terminating, message};
use crate::scaffold::{At, Controller, Next, ReconcileError, is_exists};
use client::{Informer, ObjectKey, Recorder, events};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::PostParams;

pub(super) struct Volumes {
    pub(super) client: kube::Client,
    pub(super) recorder: Recorder,
    pub(super) pods: Informer<Pod>,
    pub(super) claims: Informer<PersistentVolumeClaim>,
}

impl Controller for Volumes {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let pod = self.pods.get(&key.namespace, &key.name).filter(|pod| !pods::is_terminating(pod));
        let Some(pod) = pod else { return Ok(Next::OnChange) };
        let api = namespaced::<PersistentVolumeClaim>(&self.client, &key.namespace);
        for volume in plan::ephemeral(&pod) {
            let report = |why: &str| {
                let message = format!("ephemeral volume {}: {why}", volume.name);
                self.recorder.warning(&events::reference(&*pod), "FailedBinding", message);
            };
            let name = claims::name(&pod, volume).unwrap_or_default();
            let existing = self.claims.get(&key.namespace, &name);
            let planned = plan::plan(&pod, volume, existing.as_deref()).map_err(|why| {
                report(&why);
                ReconcileError::Unfinished { left: why }
            });
            let Some(claim) = planned? else { continue };
            match api.create(&PostParams::default(), &claim).await {
                Err(error) if is_namespace_terminating(&error) => return Ok(Next::OnChange),
                Err(error) if !is_exists(&error) => {
                    report(&format!("create PVC {name}: {}", message(&error)));
                    return Err(error).at(|| format!("create claim {name} of pod {key}"));
                }
                // One that the cache does not have yet is looked at when it does.
                Err(_) => {
                    return Err(ReconcileError::Unfinished { left: format!("claim {name} is not in the cache yet") });
                }
                Ok(_) => {}
            }
        }
        Ok(Next::OnChange)
    }
}
