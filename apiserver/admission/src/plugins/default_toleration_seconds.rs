//! `DefaultTolerationSeconds`: a pod stays five minutes on a node that fails, unless it says else.
//!
//! Upstream: `plugin/pkg/admission/defaulttolerationseconds/admission.go`.

use crate::lookup::{at, text};
use crate::pod::{is_pod, list, spec};
use apimachinery::Value;
use apimachinery::status::Status;
use apiserver_registry::Context;
use apiserver_registry::admission::{Attributes, Operation, Plugin};
use async_trait::async_trait;
use serde_json::json;

const SECONDS: u32 = 300;
const TAINTS: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

pub(crate) struct DefaultTolerationSeconds;

#[async_trait]
impl Plugin for DefaultTolerationSeconds {
    fn name(&self) -> &'static str {
        "DefaultTolerationSeconds"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        matches!(operation, Operation::Create | Operation::Update) && is_pod(context)
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        for taint in TAINTS {
            let tolerations = at(attributes.object, "/spec/tolerations").and_then(Value::as_array);
            if !tolerations.into_iter().flatten().any(|t| tolerates(t, taint)) {
                list(spec(attributes.object), "tolerations").push(json!({
                    "key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS,
                }));
            }
        }
        Ok(())
    }
}

fn tolerates(toleration: &Value, taint: &str) -> bool {
    let (key, effect) = (text(toleration, "/key"), text(toleration, "/effect"));
    (key == taint || key.is_empty()) && matches!(effect, "NoExecute" | "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::create;

    #[tokio::test]
    async fn adds_what_is_not_tolerated() {
        let added =
            |taint: &str| json!({"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
        let all = json!({"operator": "Exists"});
        let ready = json!({"key": TAINTS[0], "effect": "NoExecute", "tolerationSeconds": 5});
        let other = json!({"key": TAINTS[0], "effect": "NoSchedule"});
        for (given, want) in [
            (json!([]), json!([added(TAINTS[0]), added(TAINTS[1])])),
            (json!([all]), json!([all])),
            (json!([ready]), json!([ready, added(TAINTS[1])])),
            (json!([other]), json!([other, added(TAINTS[0]), added(TAINTS[1])])),
        ] {
            let pod = json!({"metadata": {"name": "p"}, "spec": {"tolerations": given}});
            let made = create(&DefaultTolerationSeconds, "/pods", pod).await.expect("admitted");
            assert_eq!(made["spec"]["tolerations"], want);
        }
    }
}
