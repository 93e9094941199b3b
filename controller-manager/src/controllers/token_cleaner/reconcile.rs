//! Deletes one token, or waits for its end.

use super::plan::{self, Step};
use crate::scaffold::context::namespaced;
use crate::scaffold::pod_control::same;
use crate::scaffold::{At, Controller, Next, ReconcileError, is_conflict, is_not_found};
use client::{Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;

pub(super) struct Tokens {
    pub(super) client: kube::Client,
    pub(super) secrets: Informer<Secret>,
}

impl Controller for Tokens {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(secret) = self.secrets.get(&key.namespace, &key.name) else { return Ok(Next::OnChange) };
        match plan::plan(&secret, Timestamp::now()) {
            Step::Keep => Ok(Next::OnChange),
            Step::Wait(left) => Ok(Next::After(left)),
            Step::Delete => {
                let api = namespaced::<Secret>(&self.client, &key.namespace);
                match api.delete(&key.name, &same(&*secret)).await {
                    Err(error) if !is_not_found(&error) && !is_conflict(&error) => {
                        Err(error).at(|| format!("delete bootstrap token {key}"))
                    }
                    _ => Ok(Next::OnChange),
                }
            }
        }
    }
}
