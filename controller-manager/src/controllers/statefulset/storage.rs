//! The claims of a stateful set's pods: makes those that are missing, and changes their owners.

use super::plan::{self, Owners, owners};
use super::reconcile::StatefulSets;
use crate::scaffold::context::namespaced;
use crate::scaffold::patch::{self, Guard, Part};
use crate::scaffold::{At, ReconcileError, is_exists};
use client::{ObjectKey, events};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::PostParams;
use std::sync::Arc;

impl StatefulSets {
    /// Makes the claims of the pod that are missing, then settles whose they are.
    pub(super) async fn make_claims(
        &self,
        key: &ObjectKey,
        set: &StatefulSet,
        pod: &Pod,
    ) -> Result<(), ReconcileError> {
        for claim in plan::claims(set, pod) {
            let name = claim.metadata.name.as_deref().unwrap_or_default();
            match self.claims.get(&key.namespace, name) {
                None => self.make_claim(key, set, pod, &claim).await?,
                Some(there) if there.metadata.deletion_timestamp.is_some() => {
                    return Err(ReconcileError::Unfinished { left: format!("pvc {name} is being deleted") });
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    async fn make_claim(
        &self,
        key: &ObjectKey,
        set: &StatefulSet,
        pod: &Pod,
        claim: &PersistentVolumeClaim,
    ) -> Result<(), ReconcileError> {
        let api = namespaced::<PersistentVolumeClaim>(&self.control.client, &key.namespace);
        let (name, pod) = (claim.metadata.name.as_deref().unwrap_or_default(), pod.metadata.name.as_deref());
        let (pod, about) = (pod.unwrap_or_default(), events::reference(set));
        let recorder = &self.control.recorder;
        match api.create(&PostParams::default(), claim).await {
            Ok(created) => {
                let text = format!("Create Claim {name} Pod {pod} in StatefulSet {} success", key.name);
                recorder.normal(&about, "SuccessfulCreate", text);
                self.control.writes.wrote(key, &self.claims, &created);
                Ok(())
            }
            Err(error) if is_exists(&error) => Ok(()),
            Err(error) => {
                let failed = Err(error).at(|| format!("create claim {name} of {key}"));
                if let Err(error) = &failed {
                    let set = &key.name;
                    let text = format!(
                        "Create Claim {name} for Pod {pod} in StatefulSet {set} failed error: {}",
                        error.cause()
                    );
                    recorder.warning(&about, "FailedCreate", text);
                }
                failed
            }
        }
    }

    /// Gives the claims of the pod the owners that the set's policy asks for.
    pub(super) async fn settle_owners(
        &self,
        key: &ObjectKey,
        set: &StatefulSet,
        pod: &Pod,
    ) -> Result<(), ReconcileError> {
        for claim in plan::claims(set, pod) {
            let name = claim.metadata.name.as_deref().unwrap_or_default();
            let Some(claim) = self.claims.get(&key.namespace, name) else { continue };
            match owners(set, &claim, pod) {
                Owners::Stay => {}
                Owners::Become(owners) => self.write_owners(key, &claim, owners).await?,
                Owners::Yield(owners) => {
                    let text = format!(
                        "PersistentVolumeClaim {name} has a conflicting OwnerReference that acts as a manging controller, the retention policy is ignored for this claim"
                    );
                    self.control.recorder.warning(&events::reference(set), "ConflictingController", text);
                    self.write_owners(key, &claim, owners).await?;
                }
            }
        }
        Ok(())
    }

    async fn write_owners(
        &self,
        key: &ObjectKey,
        claim: &Arc<PersistentVolumeClaim>,
        owners: Vec<k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference>,
    ) -> Result<(), ReconcileError> {
        let mut after = (**claim).clone();
        after.metadata.owner_references = (!owners.is_empty()).then_some(owners);
        let api = namespaced::<PersistentVolumeClaim>(&self.control.client, &key.namespace);
        let written = patch::write(&api, Part::Object, Guard::Version, &**claim, &after).await;
        if let Some(written) = written.at(|| format!("change the owners of claim {}", ObjectKey::of(&**claim)))? {
            self.control.writes.wrote(key, &self.claims, &written);
        }
        Ok(())
    }
}
