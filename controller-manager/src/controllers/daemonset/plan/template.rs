//! The pods of a daemon set.

use super::placement::tolerate_node_trouble;
use crate::objects::history::HASH_LABEL;
use crate::objects::{owner, template};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{
    Affinity, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod,
};

const GENERATION_ANNOTATION: &str = "deprecated.daemonset.template.generation";
const GENERATION_LABEL: &str = "pod-template-generation";

/// The number of the template, as old clients know it.
pub(super) fn generation(set: &DaemonSet) -> Option<i64> {
    set.metadata.annotations.as_ref()?.get(GENERATION_ANNOTATION)?.parse().ok()
}

/// Whether the pod was made of the current template.
pub(super) fn is_updated(pod: &Pod, set: &DaemonSet, hash: &str) -> bool {
    let label = |key: &str| pod.metadata.labels.as_ref().and_then(|labels| labels.get(key)).map(String::as_str);
    let same_hash = !hash.is_empty() && label(HASH_LABEL) == Some(hash);
    same_hash || generation(set).is_some_and(|number| label(GENERATION_LABEL) == Some(&number.to_string()))
}

/// The pod for a node: the scheduler binds it, to this node and no other.
pub(in super::super) fn pod(set: &DaemonSet, hash: &str, node: &str) -> Pod {
    let template = set.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
    let meta = &set.metadata;
    let (namespace, name) = (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
    let mut pod = template::pod(&template, namespace, name, owner::controller_ref(set));
    let labels = pod.metadata.labels.get_or_insert_default();
    if let Some(number) = generation(set) {
        labels.insert(GENERATION_LABEL.to_owned(), number.to_string());
    }
    if !hash.is_empty() {
        labels.insert(HASH_LABEL.to_owned(), hash.to_owned());
    }
    let spec = pod.spec.get_or_insert_default();
    tolerate_node_trouble(spec);
    bind(spec.affinity.get_or_insert_default(), node);
    pod
}

/// What the template requires of nodes holds for this one already.
fn bind(affinity: &mut Affinity, node: &str) {
    let name = NodeSelectorRequirement {
        key: "metadata.name".to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![node.to_owned()]),
    };
    let term = NodeSelectorTerm { match_fields: Some(vec![name]), match_expressions: None };
    let rules: &mut NodeAffinity = affinity.node_affinity.get_or_insert_default();
    rules.required_during_scheduling_ignored_during_execution = Some(NodeSelector { node_selector_terms: vec![term] });
}
