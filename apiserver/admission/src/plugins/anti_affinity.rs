//! `LimitPodHardAntiAffinityTopology`: pods may keep others off their node, and off nothing larger.
//!
//! Upstream: `plugin/pkg/admission/antiaffinity`.

use crate::lookup::{at, text};
use crate::pod::is_pod;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::status::Status;
use apiserver_registry::Context;
use apiserver_registry::admission::{Attributes, Operation, Plugin};
use async_trait::async_trait;

const TERMS: &str = "/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution";
const ALLOWED: &str = "kubernetes.io/hostname";

pub(crate) struct LimitPodHardAntiAffinityTopology;

#[async_trait]
impl Plugin for LimitPodHardAntiAffinityTopology {
    fn name(&self) -> &'static str {
        "LimitPodHardAntiAffinityTopology"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        matches!(operation, Operation::Create | Operation::Update) && is_pod(context)
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let terms = at(attributes.object, TERMS).and_then(Value::as_array).into_iter().flatten();
        let Some(key) = terms.map(|term| text(term, "/topologyKey")).find(|key| *key != ALLOWED) else {
            return Ok(());
        };
        let why = format!(
            "affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey {key} but only key {ALLOWED} is allowed"
        );
        Err(Status::forbidden(&attributes.context.resource.group_resource(), attributes.object.name(), &why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::create;
    use serde_json::json;

    #[tokio::test]
    async fn only_the_node_is_kept_free() {
        let pod = |key: &str| {
            let terms = json!([{"topologyKey": ALLOWED}, {"topologyKey": key}]);
            json!({"metadata": {"name": "p"}, "spec": {"affinity": {"podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": terms}}}})
        };
        create(&LimitPodHardAntiAffinityTopology, "/pods", pod(ALLOWED)).await.expect("admitted");
        let refused = create(&LimitPodHardAntiAffinityTopology, "/pods", pod("zone")).await.expect_err("a zone");
        let want = "pods \"p\" is forbidden: affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey zone but only key \
                    kubernetes.io/hostname is allowed";
        assert_eq!(refused.message, want);
    }
}
