//! `PodSecurity`: the pod security standards, as a namespace's labels ask for them.
//!
//! Upstream: `plugin/pkg/admission/security/podsecurity`, `pod-security-admission`.

mod checks;

use crate::denial::forbidden;
use crate::lookup::get;
use apimachinery::Value;
use apimachinery::status::Status;
use apiserver_registry::Context;
use apiserver_registry::admission::{Attributes, Operation, Plugin};
use apiserver_storage::{Object, Store};
use async_trait::async_trait;
use checks::Level;

const PREFIX: &str = "pod-security.kubernetes.io/";
/// Where kinds keep the pods that they will make; these are warned about, not refused.
const TEMPLATES: &[(&str, &str)] = &[
    ("cronjobs", "/spec/jobTemplate/spec/template"),
    ("daemonsets", "/spec/template"),
    ("deployments", "/spec/template"),
    ("jobs", "/spec/template"),
    ("podtemplates", "/template"),
    ("replicasets", "/spec/template"),
    ("replicationcontrollers", "/spec/template"),
    ("statefulsets", "/spec/template"),
];

pub(crate) struct PodSecurity {
    store: Store,
}

/// What a request has to do with pods.
enum Subject<'a> {
    Pod(&'a Value),
    Template(&'a Value),
}

impl PodSecurity {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }
}

#[async_trait]
impl Plugin for PodSecurity {
    fn name(&self) -> &'static str {
        "PodSecurity"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        let plural = &*context.resource.plural;
        let pods = context.resource.group.is_empty() && plural == "pods";
        let part = matches!(context.subresource_name(), "" | "ephemeralcontainers");
        let makes_pods = TEMPLATES.iter().any(|(kind, _)| *kind == plural);
        matches!(operation, Operation::Create | Operation::Update) && part && (pods || makes_pods)
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let unchanged = attributes.object.get("spec") == attributes.old_object.get("spec");
        let Some(subject) = subject(attributes).filter(|_| !unchanged) else { return Ok(()) };
        let namespace = get(&self.store, ("", "v1", "namespaces"), "", &attributes.context.namespace).await?;
        let Some(namespace) = namespace else { return Ok(()) };
        let (Subject::Pod(pod) | Subject::Template(pod)) = subject;
        if let (Subject::Pod(_), Some(violation)) = (&subject, violation(&namespace, "enforce", pod)) {
            return Err(forbidden(attributes, &format!("violates PodSecurity {violation}")));
        }
        if let Some(violation) = violation(&namespace, "warn", pod) {
            attributes.context.warn(format!("would violate PodSecurity {violation}"));
        }
        Ok(())
    }
}

fn subject<'a>(attributes: &'a Attributes<'_>) -> Option<Subject<'a>> {
    let plural = &*attributes.context.resource.plural;
    if plural == "pods" {
        return Some(Subject::Pod(attributes.object));
    }
    let (_, pointer) = TEMPLATES.iter().find(|(kind, _)| *kind == plural)?;
    attributes.object.pointer(pointer).map(Subject::Template)
}

/// How a pod violates the level of this mode: `"restricted:latest": …`.
fn violation(namespace: &Object, mode: &str, pod: &Value) -> Option<String> {
    let level = namespace.label(&format!("{PREFIX}{mode}")).and_then(Level::parse)?;
    let version = namespace.label(&format!("{PREFIX}{mode}-version")).unwrap_or("latest");
    let findings = checks::run(level, pod);
    (!findings.is_empty()).then(|| format!("\"{}:{version}\": {}", level.as_str(), findings.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Cluster, context, create, run};
    use serde_json::json;

    async fn plugin(labels: Value) -> (Cluster, PodSecurity) {
        let cluster = Cluster::start().await;
        cluster.add("/namespaces", json!({"metadata": {"name": "ns", "labels": labels}})).await;
        let plugin = PodSecurity::new(cluster.store.clone());
        (cluster, plugin)
    }

    fn pod() -> Value {
        json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}})
    }

    #[tokio::test]
    async fn the_namespace_decides() {
        let (_cluster, plugin) = plugin(json!({})).await;
        create(&plugin, "/pods", pod()).await.expect("privileged by default");
        let (_cluster, plugin) = self::plugin(json!({"pod-security.kubernetes.io/enforce": "restricted"})).await;
        let refused = create(&plugin, "/pods", pod()).await.expect_err("restricted");
        let text = "pods \"p\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false \
                    (container \"c\" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities \
                    (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or \
                    container \"c\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container \"c\" must set \
                    securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")";
        assert_eq!((refused.code, refused.message.as_str()), (403, text));
    }

    #[tokio::test]
    async fn templates_are_warned_about() {
        let labels = json!({"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"});
        let (_cluster, plugin) = plugin(labels).await;
        let cx = context("apps/deployments", "", "u");
        let deployment =
            json!({"metadata": {"name": "d"}, "spec": {"template": {"spec": {"containers": [{"name": "c"}]}}}});
        run(&plugin, &cx, Operation::Create, deployment, Value::Null).await.expect("admitted");
        assert!(cx.warnings.lock()[0].starts_with("would violate PodSecurity \"restricted:latest\": "));
    }
}
