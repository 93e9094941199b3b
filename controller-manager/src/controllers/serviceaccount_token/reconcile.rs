//! Fills one Secret, or deletes it.

use super::plan;
use super::signing::SigningKey;
use crate::objects::secrets::{ACCOUNT_NAME, annotation, is_token_of};
use crate::scaffold::context::namespaced;
use crate::scaffold::{At, Controller, Next, ReconcileError, Writes, is_conflict, is_not_found};
use client::{Informer, ObjectKey};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::PostParams;
use std::sync::Arc;

pub(super) struct Tokens {
    pub(super) client: kube::Client,
    pub(super) secrets: Informer<Secret>,
    pub(super) accounts: Informer<ServiceAccount>,
    pub(super) writes: Writes,
    pub(super) key: Arc<SigningKey>,
    pub(super) root_ca: Option<String>,
}

impl Controller for Tokens {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(secret) = self.secrets.get(&key.namespace, &key.name) else {
            self.writes.forget(key);
            return Ok(Next::OnChange);
        };
        match self.account(&secret).await? {
            Some(account) => self.fill(key, &secret, &account).await?,
            None => self.delete(key, &secret).await?,
        }
        Ok(Next::OnChange)
    }
}

impl Tokens {
    /// The Secret's account. The cache may not have it yet: no token is deleted on its word.
    async fn account(&self, secret: &Secret) -> Result<Option<ServiceAccount>, ReconcileError> {
        let namespace = secret.metadata.namespace.as_deref().unwrap_or_default();
        let name = annotation(secret, ACCOUNT_NAME);
        if name.is_empty() {
            return Ok(None);
        }
        if let Some(cached) = self.accounts.get(namespace, name).filter(|account| is_token_of(secret, account)) {
            return Ok(Some((*cached).clone()));
        }
        let api = namespaced::<ServiceAccount>(&self.client, namespace);
        let live = api.get_opt(name).await.at(|| format!("read service account {namespace}/{name}"))?;
        Ok(live.filter(|account| is_token_of(secret, account)))
    }

    async fn fill(&self, key: &ObjectKey, cached: &Secret, account: &ServiceAccount) -> Result<(), ReconcileError> {
        let root_ca = self.root_ca.as_deref();
        if !plan::lacks(cached, root_ca) {
            return Ok(());
        }
        let api = namespaced::<Secret>(&self.client, &key.namespace);
        let Some(live) = api.get_opt(&key.name).await.at(|| format!("read secret {key}"))? else { return Ok(()) };
        if !plan::lacks(&live, root_ca) || live.metadata.uid != cached.metadata.uid {
            return Ok(());
        }
        let unusable = |why: String| ReconcileError::Unusable { object: key.to_string(), why };
        let token = match plan::lacks_token(&live) {
            true => Some(self.key.token(account, &live).map_err(|error| unusable(error.to_string()))?),
            false => None,
        };
        let after = plan::filled(&live, account, root_ca, token);
        match api.replace(&key.name, &PostParams::default(), &after).await {
            Err(error) if is_conflict(&error) || is_not_found(&error) => Ok(()),
            written => {
                let written = written.at(|| format!("write the token of secret {key}"))?;
                self.writes.wrote(key, &self.secrets, &written);
                Ok(())
            }
        }
    }

    async fn delete(&self, key: &ObjectKey, secret: &Secret) -> Result<(), ReconcileError> {
        let api = namespaced::<Secret>(&self.client, &key.namespace);
        match api.delete(&key.name, &crate::scaffold::pod_control::same(secret)).await {
            Err(error) if !is_not_found(&error) && !is_conflict(&error) => {
                Err(error).at(|| format!("delete secret {key} of an account that is gone"))
            }
            _ => Ok(()),
        }
    }
}
