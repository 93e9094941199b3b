//! Brings one service CIDR forward.

use super::plan::{self, FINALIZER, Step, Verdict};
use crate::scaffold::{At, Controller, Next, ReconcileError, is_not_found};
use client::{Informer, ObjectKey, Recorder, events};
use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

const MANAGER: &str = "service-cidr-controller";

pub(super) struct Cidrs {
    pub(super) client: kube::Client,
    pub(super) recorder: Recorder,
    pub(super) cidrs: Informer<ServiceCIDR>,
    pub(super) addresses: Informer<IPAddress>,
}

impl Controller for Cidrs {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(cidr) = self.cidrs.get("", &key.name) else { return Ok(Next::OnChange) };
        let addresses = self.addresses.list();
        let addresses = addresses.iter().filter_map(|object| plan::address(object));
        match plan::step(&cidr, &self.cidrs.list(), addresses, Timestamp::now()) {
            Step::Nothing => {}
            Step::Wait(left) => return Ok(Next::After(left.try_into().unwrap_or_default())),
            Step::Release => {
                self.finalizer(key, &json!({"metadata": {"$deleteFromPrimitiveList/finalizers": [FINALIZER]}})).await?;
            }
            Step::Hold => self.say(key, &cidr, plan::TERMINATING).await?,
            Step::Ready { protect } => {
                if protect {
                    self.finalizer(key, &json!({"metadata": {"finalizers": [FINALIZER]}})).await?;
                }
                if let Err(error) = self.say(key, &cidr, plan::READY).await {
                    let message = "The ServiceCIDR Status can not be set to Ready=True";
                    self.recorder.warning(&events::reference(&*cidr), "KubernetesServiceCIDRError", message);
                    return Err(error);
                }
            }
        }
        Ok(Next::OnChange)
    }
}

impl Cidrs {
    async fn finalizer(&self, key: &ObjectKey, patch: &serde_json::Value) -> Result<(), ReconcileError> {
        let api = Api::<ServiceCIDR>::all(self.client.clone());
        match api.patch(&key.name, &PatchParams::default(), &Patch::Strategic(patch)).await {
            Err(error) if is_not_found(&error) => Ok(()),
            written => written.map(drop).at(|| format!("write the finalizer of service CIDR {key}")),
        }
    }

    async fn say(&self, key: &ObjectKey, cidr: &ServiceCIDR, verdict: Verdict) -> Result<(), ReconcileError> {
        if plan::says(cidr, verdict) {
            return Ok(());
        }
        let (status, reason, message) = verdict;
        let condition = json!({"type": "Ready", "status": status, "reason": reason, "message": message,
            "lastTransitionTime": Time(Timestamp::now())});
        let patch = json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
            "metadata": {"name": key.name}, "status": {"conditions": [condition]}});
        let api = Api::<ServiceCIDR>::all(self.client.clone());
        match api.patch_status(&key.name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(patch)).await {
            Err(error) if is_not_found(&error) => Ok(()),
            written => written.map(drop).at(|| format!("write the status of service CIDR {key}")),
        }
    }
}
