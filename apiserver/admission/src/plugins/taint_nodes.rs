//! `TaintNodesByCondition`: a new node takes no pods before it is found to be ready.
//!
//! Upstream: `plugin/pkg/admission/nodetaint/admission.go`.

use crate::lookup::text;
use crate::pod::{list, spec};
use apimachinery::status::Status;
use apiserver_registry::Context;
use apiserver_registry::admission::{Attributes, Operation, Plugin};
use async_trait::async_trait;
use serde_json::json;

const NOT_READY: &str = "node.kubernetes.io/not-ready";

pub(crate) struct TaintNodesByCondition;

#[async_trait]
impl Plugin for TaintNodesByCondition {
    fn name(&self) -> &'static str {
        "TaintNodesByCondition"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        operation == Operation::Create && context.resource.plural == "nodes" && context.subresource.is_none()
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let taints = list(spec(attributes.object), "taints");
        if !taints.iter().any(|t| text(t, "/key") == NOT_READY && text(t, "/effect") == "NoSchedule") {
            taints.push(json!({"key": NOT_READY, "effect": "NoSchedule"}));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::create;

    #[tokio::test]
    async fn new_nodes_are_tainted_once() {
        let node = json!({"metadata": {"name": "n"}});
        let once = create(&TaintNodesByCondition, "/nodes", node).await.expect("admitted");
        let twice = create(&TaintNodesByCondition, "/nodes", once.clone()).await.expect("admitted");
        assert_eq!(once["spec"]["taints"], json!([{"key": NOT_READY, "effect": "NoSchedule"}]));
        assert_eq!(once, twice);
    }
}
