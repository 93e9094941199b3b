//! Brings one claim forward.

use super::bind::Binder;
use super::plan::{self, ClaimStep, Facts};
use crate::objects::claims::class_of_claim;
use crate::objects::pods;
use crate::scaffold::informers::trims::BY_CLAIM;
use crate::scaffold::{Controller, Next, ReconcileError};
use client::{Informer, ObjectKey, events};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use std::sync::Arc;
use std::time::Duration;

pub(super) struct Claims {
    pub(super) binder: Arc<Binder>,
    pub(super) classes: Informer<StorageClass>,
    pub(super) pods: Informer<Pod>,
    /// Whether provisioners are asked.
    pub(super) provisions: bool,
    /// How often a claim that waits is looked at.
    pub(super) resync: Duration,
}

impl Controller for Claims {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(claim) = self.binder.claims.get(&key.namespace, &key.name) else {
            self.binder.of_claims.forget(key);
            return Ok(Next::OnChange);
        };
        let (volumes, classes) = (self.binder.volumes.list(), self.classes.list());
        let facts = Facts { volumes: &volumes, classes: &classes, unscheduled: self.unscheduled(key) };
        let step = plan::claim_step(&claim, &facts)
            .map_err(|error| ReconcileError::Unusable { object: key.to_string(), why: error.to_string() })?;
        match step {
            ClaimStep::Bind(volume) => {
                self.binder.bind(&volume, &claim).await?;
                return Ok(Next::OnChange);
            }
            ClaimStep::AssignClass(class) => {
                let mut after = (*claim).clone();
                after.spec.get_or_insert_default().storage_class_name = Some(class);
                self.binder.write_claim(&claim, &after).await?;
            }
            ClaimStep::Provision(class) => self.provision(&claim, class.as_deref()).await?,
            ClaimStep::Wait(event) => {
                let about = events::reference(&*claim);
                match event {
                    Some(("Normal", reason, message)) => self.binder.recorder.normal(&about, reason, message),
                    Some((_, reason, message)) => self.binder.recorder.warning(&about, reason, message),
                    None => {}
                }
                self.binder.set_status(&claim, plan::claim_status(&claim, "Pending", None)).await?;
            }
            ClaimStep::Lost(lost) => {
                if plan::phase_of_claim(&claim) != "Lost" {
                    self.binder.set_status(&claim, plan::claim_status(&claim, "Lost", None)).await?;
                    let (reason, message) = lost.event();
                    self.binder.recorder.warning(&events::reference(&*claim), reason, message);
                }
            }
        }
        Ok(Next::After(self.resync))
    }
}

impl Claims {
    /// The pods that use the claim and have no node, by name.
    fn unscheduled(&self, key: &ObjectKey) -> Vec<String> {
        let pods = self.pods.by_index(BY_CLAIM, &key.to_string());
        let waiting = pods.iter().filter(|pod| !pods::is_finished(pod) && pods::node(pod).is_empty());
        let mut names: Vec<_> = waiting.filter_map(|pod| pod.metadata.name.clone()).collect();
        names.sort_unstable();
        names
    }

    /// Says who is to make the volume; it then comes as any other.
    async fn provision(
        &self,
        claim: &PersistentVolumeClaim,
        class: Option<&StorageClass>,
    ) -> Result<(), ReconcileError> {
        if !self.provisions {
            return Ok(());
        }
        let about = events::reference(claim);
        let provisioner = match class {
            None => Err(format!("storageclass.storage.k8s.io {:?} not found", class_of_claim(claim))),
            Some(class) => plan::provisioner(class),
        };
        let provisioner = match provisioner {
            Ok(provisioner) => provisioner,
            Err(why) => {
                self.binder.recorder.warning(&about, "ProvisioningFailed", why);
                return Ok(());
            }
        };
        let mut after = claim.clone();
        let annotations = after.metadata.annotations.get_or_insert_default();
        for key in [plan::PROVISIONER, plan::BETA_PROVISIONER] {
            annotations.insert(key.to_owned(), provisioner.to_owned());
        }
        if class.is_some_and(|class| class.provisioner != provisioner) {
            annotations.insert(plan::MIGRATED_TO.to_owned(), provisioner.to_owned());
        }
        if after != *claim {
            self.binder.write_claim(claim, &after).await.inspect_err(|error| {
                let message = format!("Error saving claim: {}", error.cause());
                self.binder.recorder.warning(&about, "ProvisioningFailed", message);
            })?;
        }
        let message = format!(
            "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the \
             system administrator. If volume creation is delayed, please verify that the provisioner is running and \
             correctly registered."
        );
        self.binder.recorder.normal(&about, "ExternalProvisioning", message);
        Ok(())
    }
}
