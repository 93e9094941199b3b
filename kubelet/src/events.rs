//! Events about pods, containers and the node.

use client::Recorder;
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use std::sync::Arc;

/// Whether an event tells of progress or of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something went as it should.
    Normal,
    /// Something did not.
    Warning,
}

/// Where events go.
pub trait Sink: Send + Sync {
    fn record(&self, about: &ObjectReference, severity: Severity, reason: &str, message: String);
}

impl Sink for Recorder {
    fn record(&self, about: &ObjectReference, severity: Severity, reason: &str, message: String) {
        match severity {
            Severity::Normal => self.normal(about, reason, message),
            Severity::Warning => self.warning(about, reason, message),
        }
    }
}

/// Nobody listens: without an apiserver events are only logged.
#[derive(Debug)]
pub struct LogOnly;

impl Sink for LogOnly {
    fn record(&self, about: &ObjectReference, severity: Severity, reason: &str, message: String) {
        tracing::info!(object = about.name.as_deref(), ?severity, reason, message, "event");
    }
}

/// Records events. Cheap to clone.
#[derive(Clone)]
pub struct Events(Arc<dyn Sink>);

impl Events {
    pub fn new(sink: Arc<dyn Sink>) -> Self {
        Self(sink)
    }

    /// An event about a pod.
    pub fn pod(&self, pod: &Pod, severity: Severity, reason: &str, message: impl Into<String>) {
        self.0.record(&pod_reference(pod, None), severity, reason, message.into());
    }

    /// An event about one container of a pod.
    pub fn container(&self, pod: &Pod, container: &str, severity: Severity, reason: &str, message: impl Into<String>) {
        self.0.record(&pod_reference(pod, Some(container)), severity, reason, message.into());
    }

    /// An event about the node. Upstream uses the node's name as its UID here.
    pub fn node(&self, node: &str, severity: Severity, reason: &str, message: impl Into<String>) {
        let about = ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Node".into()),
            name: Some(node.to_owned()),
            uid: Some(node.to_owned()),
            ..ObjectReference::default()
        };
        self.0.record(&about, severity, reason, message.into());
    }
}

fn pod_reference(pod: &Pod, container: Option<&str>) -> ObjectReference {
    let init = pod.spec.iter().flat_map(|s| s.init_containers.iter().flatten());
    let path = container.map(|name| {
        let list = if init.clone().any(|c| c.name == name) { "initContainers" } else { "containers" };
        format!("spec.{list}{{{name}}}")
    });
    ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        resource_version: pod.metadata.resource_version.clone(),
        field_path: path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_named_by_its_path() {
        let about = pod_reference(&Pod::default(), Some("c"));
        assert_eq!(about.field_path.as_deref(), Some("spec.containers{c}"));
    }
}
