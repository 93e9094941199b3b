//! `PodTopologyLabels`: a pod that is bound learns its node's zone and region.
//!
//! Upstream: `plugin/pkg/admission/podtopologylabels/admission.go`.

use crate::lookup::{get, text};
use apimachinery::meta::ObjectMeta;
use apimachinery::status::Status;
use apiserver_registry::Context;
use apiserver_registry::admission::{Attributes, Operation, Plugin};
use apiserver_storage::Store;
use async_trait::async_trait;
use serde_json::json;

const LABELS: [&str; 2] = ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];

pub(crate) struct PodTopologyLabels {
    store: Store,
}

impl PodTopologyLabels {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }
}

#[async_trait]
impl Plugin for PodTopologyLabels {
    fn name(&self) -> &'static str {
        "PodTopologyLabels"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        let binds = context.resource.plural == "bindings" || context.subresource_name() == "binding";
        operation == Operation::Create && binds && context.resource.group.is_empty()
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let node = text(attributes.object, "/target/name");
        // A missing node is the binding's own affair.
        let Some(node) = get(&self.store, ("", "v1", "nodes"), "", node).await? else { return Ok(()) };
        for label in LABELS {
            let Some(value) = node.label(label) else { continue };
            let labels = attributes.object.metadata_mut().entry("labels").or_insert_with(|| json!({}));
            if let Some(labels) = labels.as_object_mut() {
                labels.entry(label).or_insert_with(|| value.into());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Cluster, context, run};
    use apimachinery::Value;

    #[tokio::test]
    async fn bindings_carry_the_nodes_zone() {
        let cluster = Cluster::start().await;
        cluster.add("/nodes", json!({"metadata": {"name": "n", "labels": {LABELS[0]: "z", "other": "x"}}})).await;
        let plugin = PodTopologyLabels::new(cluster.store.clone());
        let binding = json!({"metadata": {"name": "p"}, "target": {"name": "n"}});
        let cx = context("/pods", "binding", "scheduler");
        let bound = run(&plugin, &cx, Operation::Create, binding, Value::Null).await.expect("admitted");
        assert_eq!(bound["metadata"]["labels"], json!({LABELS[0]: "z"}));
    }
}
