//! `ExtendedResourceToleration`: a pod that asks for a special resource tolerates the taint of
//! that name, which keeps other pods off such nodes.
//!
//! Upstream: `plugin/pkg/admission/extendedresourcetoleration/admission.go`.

use crate::lookup::text;
use crate::pod::{containers, is_pod, list, spec};
use apimachinery::Value;
use apimachinery::status::Status;
use apiserver_registry::Context;
use apiserver_registry::admission::{Attributes, Operation, Plugin};
use async_trait::async_trait;
use serde_json::json;
use std::collections::BTreeSet;

pub(crate) struct ExtendedResourceToleration;

#[async_trait]
impl Plugin for ExtendedResourceToleration {
    fn name(&self) -> &'static str {
        "ExtendedResourceToleration"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        matches!(operation, Operation::Create | Operation::Update) && is_pod(context)
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let wanted = extended(attributes.object);
        for resource in wanted {
            let tolerations = list(spec(attributes.object), "tolerations");
            if !tolerations.iter().any(|t| text(t, "/key") == resource && text(t, "/operator") == "Exists") {
                tolerations.push(json!({"key": resource, "operator": "Exists"}));
            }
        }
        Ok(())
    }
}

/// Names outside of Kubernetes' own domain, sorted.
fn extended(pod: &Value) -> BTreeSet<String> {
    let all = containers(pod, &["initContainers", "containers"]);
    let requests = all.filter_map(|c| c.pointer("/resources/requests")?.as_object()).flatten().map(|(name, _)| name);
    let special =
        |name: &&String| name.contains('/') && !name.contains("kubernetes.io/") && !name.starts_with("requests.");
    requests.filter(special).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::create;

    #[tokio::test]
    async fn special_resources_are_tolerated() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [
            {"resources": {"requests": {"cpu": "1", "example.com/gpu": "1", "kubernetes.io/x": "1"}}}]}});
        let made = create(&ExtendedResourceToleration, "/pods", pod).await.expect("admitted");
        assert_eq!(made["spec"]["tolerations"], json!([{"key": "example.com/gpu", "operator": "Exists"}]));
    }
}
