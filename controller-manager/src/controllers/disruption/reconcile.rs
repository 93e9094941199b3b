//! Reads a budget's pods and their owners; writes its status.

use super::plan::{self, Measure};
use super::scale::Scales;
use crate::objects::owner;
use crate::scaffold::context::namespaced;
use crate::scaffold::{At, Controller, Next, ReconcileError, is_not_found};
use client::{Informer, ObjectKey, Recorder, events};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use kube::api::PostParams;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

pub(super) struct Budgets {
    pub(super) client: kube::Client,
    pub(super) budgets: Informer<PodDisruptionBudget>,
    pub(super) pods: Informer<Pod>,
    pub(super) scales: Scales,
    pub(super) recorder: Recorder,
}

impl Controller for Budgets {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(budget) = self.budgets.get(&key.namespace, &key.name) else { return Ok(Next::OnChange) };
        match self.sync(key, &budget).await {
            Err(error) if !error.is_conflict() => {
                // At least nothing is to be evicted while it is not known whether it may be.
                let cause = error.cause();
                let why = if cause.is_empty() { error.to_string() } else { cause };
                self.write(key, &budget, plan::failed(&budget, why, Timestamp::now())).await?;
                Err(error)
            }
            synced => synced,
        }
    }
}

impl Budgets {
    async fn sync(&self, key: &ObjectKey, budget: &PodDisruptionBudget) -> Result<Next, ReconcileError> {
        let unusable = |why: String| ReconcileError::Unusable { object: key.to_string(), why };
        let about = events::reference(budget);
        let selector = plan::selector(budget).map_err(|error| unusable(error.to_string()))?;
        let mut pods = self.pods.list_namespace(&key.namespace);
        pods.retain(|pod| selector.as_ref().is_some_and(|s| s.matches(pod.metadata.labels.as_ref())));
        if pods.is_empty() {
            self.recorder.normal(&about, "NoPods", "No matching pods found");
        }
        let measure = plan::measure(budget);
        let wanted = match self.scale(budget, measure, &pods).await {
            Ok(scale) => plan::wanted(measure, pods.len(), scale).map_err(unusable),
            Err(error) => Err(error),
        };
        let wanted = wanted.inspect_err(|error| {
            let message = format!("Failed to calculate the number of expected pods: {error}");
            self.recorder.warning(&about, "CalculateExpectedPodCountFailed", message);
        })?;
        let now = Timestamp::now();
        let disrupted = plan::disrupted(budget, &pods, now);
        for pod in &disrupted.overdue {
            let message = format!("Pod was expected by PDB {}/{} to be deleted but it wasn't", key.namespace, key.name);
            self.recorder.warning(&events::reference(&**pod), "NotDeleted", message);
        }
        let healthy = plan::healthy(&pods, &disrupted.pods);
        let status = plan::status(budget, wanted, healthy, disrupted.pods, now);
        self.write(key, budget, status).await?;
        Ok(disrupted.recheck.map_or(Next::OnChange, |wait| Next::After(wait.try_into().unwrap_or_default())))
    }

    /// What the owners of the pods want together; not asked where it does not matter.
    async fn scale(
        &self,
        budget: &PodDisruptionBudget,
        measure: Measure<'_>,
        pods: &[Arc<Pod>],
    ) -> Result<i32, ReconcileError> {
        if matches!(measure, Measure::Number(_) | Measure::Nothing) {
            return Ok(0);
        }
        let mut scales: HashMap<String, i32> = HashMap::new();
        let mut asked: HashSet<&str> = HashSet::new();
        let mut unmanaged = false;
        for pod in pods {
            let Some(owner) = owner::controller_of(&pod.metadata) else {
                unmanaged = true;
                continue;
            };
            if !asked.insert(&owner.uid) {
                continue;
            }
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            let Some((uid, scale)) = self.scales.of(pod, owner).await? else {
                return Err(ReconcileError::Unfinished { left: format!("found no controllers for pod {name:?}") });
            };
            scales.insert(uid, scale);
        }
        if unmanaged {
            let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
            let selector = serde_json::to_string(&selector).unwrap_or_default();
            let message = format!(
                "Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be unmanaged. As a result, \
                 the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account \
                 for these pods please set \".spec.minAvailable\" field of the PDB to an integer value."
            );
            self.recorder.warning(&events::reference(budget), "UnmanagedPods", message);
        }
        Ok(scales.values().fold(0_i32, |sum, scale| sum.saturating_add(*scale)))
    }

    async fn write(
        &self,
        key: &ObjectKey,
        budget: &PodDisruptionBudget,
        status: PodDisruptionBudgetStatus,
    ) -> Result<(), ReconcileError> {
        if budget.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let after = PodDisruptionBudget { status: Some(status), ..budget.clone() };
        let api = namespaced::<PodDisruptionBudget>(&self.client, &key.namespace);
        match api.replace_status(&key.name, &PostParams::default(), &after).await {
            Err(error) if is_not_found(&error) => Ok(()),
            written => written.map(drop).at(|| format!("write the status of budget {key}")),
        }
    }
}
