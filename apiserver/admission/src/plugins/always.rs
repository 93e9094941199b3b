//! Plugins of one rule without exceptions: `AlwaysAdmit`, `AlwaysDeny`, `AlwaysPullImages`,
//! `DenyServiceExternalIPs`.
//!
//! Upstream: `plugin/pkg/admission/{admit,deny,alwayspullimages}`,
//! `plugin/pkg/admission/network/denyserviceexternalips`.

use crate::denial::forbidden;
use crate::pod::{containers, containers_mut, is_pod};
use apimachinery::Value;
use apimachinery::status::Status;
use apiserver_registry::Context;
use apiserver_registry::admission::{Attributes, Operation, Plugin};
use async_trait::async_trait;

/// `AlwaysAdmit`.
pub(crate) struct Admit;

#[async_trait]
impl Plugin for Admit {
    fn name(&self) -> &'static str {
        "AlwaysAdmit"
    }

    fn handles(&self, _: Operation, _: &Context) -> bool {
        false
    }
}

/// `AlwaysDeny`.
pub(crate) struct Deny;

#[async_trait]
impl Plugin for Deny {
    fn name(&self) -> &'static str {
        "AlwaysDeny"
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        self.validate(attributes).await
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        Err(forbidden(attributes, "admission control is denying all modifications"))
    }
}

/// `AlwaysPullImages`: whoever runs an image has shown that they may pull it.
pub(crate) struct PullImages;

const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

#[async_trait]
impl Plugin for PullImages {
    fn name(&self) -> &'static str {
        "AlwaysPullImages"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        matches!(operation, Operation::Create | Operation::Update) && is_pod(context)
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        for list in LISTS {
            for container in containers_mut(attributes.object, list) {
                container.insert("imagePullPolicy".into(), "Always".into());
            }
        }
        Ok(())
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let always = |c: &Value| c.get("imagePullPolicy").and_then(Value::as_str) == Some("Always");
        match containers(attributes.object, &LISTS).all(always) {
            true => Ok(()),
            false => Err(forbidden(attributes, "spec.containers: imagePullPolicy must be Always")),
        }
    }
}

/// `DenyServiceExternalIPs`: no new external addresses.
pub(crate) struct DenyExternalIps;

#[async_trait]
impl Plugin for DenyExternalIps {
    fn name(&self) -> &'static str {
        "DenyServiceExternalIPs"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        let writes = matches!(operation, Operation::Create | Operation::Update);
        writes && context.resource.group.is_empty() && context.resource.plural == "services"
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let before = external(attributes.old_object);
        match external(attributes.object).iter().all(|ip| before.contains(ip)) {
            true => Ok(()),
            false => Err(forbidden(attributes, "Use of external IPs is denied by admission control")),
        }
    }
}

fn external(service: &Value) -> Vec<&Value> {
    service.pointer("/spec/externalIPs").and_then(Value::as_array).into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{context, create, run};
    use serde_json::json;

    #[tokio::test]
    async fn images_are_always_pulled() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"imagePullPolicy": "Never"}]}});
        let made = create(&PullImages, "/pods", pod).await.expect("admitted");
        assert_eq!(made["spec"]["containers"][0]["imagePullPolicy"], "Always");
    }

    #[tokio::test]
    async fn external_addresses_are_only_kept() {
        let service = |ips: Value| json!({"metadata": {"name": "s"}, "spec": {"externalIPs": ips}});
        let cx = context("/services", "", "u");
        for (new, old, allowed) in
            [(json!(["1.1.1.1"]), json!(["1.1.1.1", "2.2.2.2"]), true), (json!(["3.3.3.3"]), json!(["1.1.1.1"]), false)]
        {
            let result = run(&DenyExternalIps, &cx, Operation::Update, service(new), service(old)).await;
            assert_eq!(result.is_ok(), allowed);
        }
        assert!(create(&Deny, "/services", service(json!([]))).await.is_err());
    }
}
