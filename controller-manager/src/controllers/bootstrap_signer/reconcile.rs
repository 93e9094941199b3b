//! Writes the signatures.

use super::plan;
use crate::scaffold::context::namespaced;
use crate::scaffold::{At, Controller, Next, ReconcileError, is_not_found};
use client::{Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::PostParams;

pub(super) struct Signer {
    pub(super) client: kube::Client,
    pub(super) maps: Informer<ConfigMap>,
    pub(super) tokens: Informer<Secret>,
}

impl Controller for Signer {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(map) = self.maps.get(&key.namespace, &key.name) else { return Ok(Next::OnChange) };
        let (tokens, ends) = plan::tokens(&self.tokens.list(), Timestamp::now());
        if let Some(after) = plan::signed(&map, &tokens) {
            let api = namespaced::<ConfigMap>(&self.client, &key.namespace);
            match api.replace(&key.name, &PostParams::default(), &after).await {
                Err(error) if is_not_found(&error) => {}
                written => drop(written.at(|| format!("sign {key}"))?),
            }
        }
        Ok(ends.map_or(Next::OnChange, |left| Next::After(left.try_into().unwrap_or_default())))
    }
}
