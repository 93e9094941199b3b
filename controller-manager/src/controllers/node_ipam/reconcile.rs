//! Writes `spec.podCIDR` of nodes that have none.

use super::plan::Pools;
use crate::scaffold::patch::{self, Guard, Part};
use crate::scaffold::{At, Controller, Next, ReconcileError, Writes, is_not_found};
use client::{Informer, ObjectKey, Recorder, events};
use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use parking_lot::Mutex;
use std::sync::Arc;

pub(super) struct NodeIpam {
    pub(super) client: kube::Client,
    pub(super) nodes: Informer<Node>,
    pub(super) pools: Arc<Mutex<Pools>>,
    pub(super) recorder: Recorder,
    pub(super) writes: Writes,
}

impl Controller for NodeIpam {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(node) = self.nodes.get("", &key.name) else { return Ok(Next::OnChange) };
        let assigned = self.pools.lock().assign(&node);
        let nets = assigned.map_err(|error| {
            let text = format!("Node {} status is now: CIDRNotAvailable", key.name);
            self.recorder.normal(&events::reference(&*node), "CIDRNotAvailable", text);
            ReconcileError::Unusable { object: format!("node {key}"), why: error.to_string() }
        })?;
        if nets.is_empty() {
            return Ok(Next::OnChange);
        }
        let written = self.write(&node, &nets).await;
        if written.is_err() {
            self.pools.lock().give_back(&nets);
        }
        written.map(|()| Next::OnChange)
    }
}

impl NodeIpam {
    async fn write(&self, node: &Node, nets: &[IpNet]) -> Result<(), ReconcileError> {
        let mut after = node.clone();
        let texts: Vec<_> = nets.iter().map(ToString::to_string).collect();
        let spec = after.spec.get_or_insert_default();
        spec.pod_cidr = texts.first().cloned();
        spec.pod_cidrs = Some(texts);
        let api = Api::<Node>::all(self.client.clone());
        match patch::write(&api, Part::Object, Guard::Uid, node, &after).await {
            Ok(Some(written)) => self.writes.wrote(&ObjectKey::of(node), &self.nodes, &written),
            Ok(None) => {}
            Err(error) if is_not_found(&error) => {}
            Err(error) => return Err(error).at(|| format!("give node {} a pod CIDR", ObjectKey::of(node))),
        }
        Ok(())
    }
}
