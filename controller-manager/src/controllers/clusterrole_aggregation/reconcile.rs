//! Writes the rules of one aggregated role.

use super::plan;
use crate::scaffold::patch::{self, Guard, Part};
use crate::scaffold::{At, Controller, Next, ReconcileError, Writes, is_not_found};
use client::{Informer, ObjectKey};
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;

pub(super) struct Aggregation {
    pub(super) client: kube::Client,
    pub(super) roles: Informer<ClusterRole>,
    pub(super) writes: Writes,
}

impl Controller for Aggregation {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(role) = self.roles.get("", &key.name) else { return Ok(Next::OnChange) };
        let Some(rules) = plan::plan(&role, self.roles.list()) else { return Ok(Next::OnChange) };
        let mut after = (*role).clone();
        after.rules = Some(rules);
        let api = Api::<ClusterRole>::all(self.client.clone());
        match patch::write(&api, Part::Object, Guard::Version, &*role, &after).await {
            Ok(Some(written)) => self.writes.wrote(key, &self.roles, &written),
            Ok(None) => {}
            Err(error) if is_not_found(&error) => {}
            Err(error) => return Err(error).at(|| format!("aggregate cluster role {key}")),
        }
        Ok(Next::OnChange)
    }
}
