//! Creates the accounts a namespace lacks.

use super::plan;
use crate::scaffold::context::namespaced;
use crate::scaffold::error::is_namespace_terminating;
use crate::scaffold::{At, Controller, Next, ReconcileError, Writes, is_exists, is_not_found};
use client::{Informer, ObjectKey};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::PostParams;

pub(super) struct ServiceAccounts {
    pub(super) client: kube::Client,
    pub(super) namespaces: Informer<Namespace>,
    pub(super) accounts: Informer<ServiceAccount>,
    pub(super) writes: Writes,
}

impl Controller for ServiceAccounts {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(namespace) = self.namespaces.get("", &key.name) else { return Ok(Next::OnChange) };
        for account in plan::missing(&namespace, |name| self.accounts.get(&key.name, name).is_some()) {
            let api = namespaced::<ServiceAccount>(&self.client, &key.name);
            match api.create(&PostParams::default(), &account).await {
                Ok(created) => self.writes.wrote(key, &self.accounts, &created),
                Err(error) if is_exists(&error) || is_not_found(&error) || is_namespace_terminating(&error) => {}
                Err(error) => return Err(error).at(|| format!("create service account in {key}")),
            }
        }
        Ok(Next::OnChange)
    }
}
