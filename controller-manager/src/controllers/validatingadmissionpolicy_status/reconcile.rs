//! Writes the status of one policy.

use super::schemas::Schemas;
use super::{NAME, plan};
use crate::scaffold::{At, Controller, Next, ReconcileError, is_not_found};
use client::{Informer, ObjectKey};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

pub(super) struct Status {
    pub(super) client: kube::Client,
    pub(super) policies: Informer<ValidatingAdmissionPolicy>,
}

impl Controller for Status {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(policy) = self.policies.get("", &key.name).filter(|policy| plan::is_due(policy)) else {
            return Ok(Next::OnChange);
        };
        let Some(spec) = &policy.spec else { return Ok(Next::OnChange) };
        let schemas = Schemas::new(self.client.clone());
        let types = schemas.types(&plan::resources(spec), plan::params(spec)).await?;
        let mut checking = json!({});
        let warnings = plan::warnings(spec, &types);
        if !warnings.is_empty() {
            checking["expressionWarnings"] = json!(warnings);
        }
        let status = json!({"observedGeneration": policy.metadata.generation, "typeChecking": checking});
        let patch = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": key.name}, "status": status});
        let api = Api::<ValidatingAdmissionPolicy>::all(self.client.clone());
        let params = PatchParams::apply(NAME).force();
        match api.patch_status(&key.name, &params, &Patch::Apply(patch)).await {
            Err(error) if !is_not_found(&error) => Err(error).at(|| format!("write the status of policy {key}")),
            _ => Ok(Next::OnChange),
        }
    }
}
