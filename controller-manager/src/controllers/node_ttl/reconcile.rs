//! Writes a node's annotation.

use super::plan::{self, Size};
use crate::scaffold::patch::{self, Guard, Part};
use crate::scaffold::{At, Controller, Next, ReconcileError, is_not_found};
use client::{Informer, ObjectKey};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use parking_lot::Mutex;
use std::sync::Arc;

pub(super) struct Ttl {
    pub(super) client: kube::Client,
    pub(super) nodes: Informer<Node>,
    pub(super) size: Arc<Mutex<Size>>,
}

impl Controller for Ttl {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let size = *self.size.lock();
        let Some(node) = self.nodes.get("", &key.name) else { return Ok(Next::OnChange) };
        let Some(after) = plan::plan(&node, size) else { return Ok(Next::OnChange) };
        let api = Api::<Node>::all(self.client.clone());
        match patch::write(&api, Part::Object, Guard::Uid, &*node, &after).await {
            Err(error) if is_not_found(&error) => Ok(Next::OnChange),
            written => written.map(|_| Next::OnChange).at(|| format!("write the time to live of node {key}")),
        }
    }
}
