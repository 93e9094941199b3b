//! `PodNodeSelector`: the nodes that pods of a namespace may run on.
//!
//! Upstream: `plugin/pkg/admission/podnodeselector`.

use crate::lookup::get;
use crate::pod::{is_pod, spec};
use apimachinery::gvk::GroupResource;
use apimachinery::meta::ObjectMeta;
use apimachinery::selector::{label_key_errors, label_value_errors};
use apimachinery::status::Status;
use apimachinery::{Map, Value};
use apiserver_registry::Context;
use apiserver_registry::admission::{Attributes, Operation, Plugin};
use apiserver_storage::Store;
use async_trait::async_trait;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Where a namespace says what its pods select.
const ANNOTATION: &str = "scheduler.alpha.kubernetes.io/node-selector";
/// What stands in the configuration for namespaces that say nothing.
const DEFAULT: &str = "clusterDefaultNodeSelector";

type Labels = BTreeMap<String, String>;

pub(crate) struct PodNodeSelector {
    store: Store,
    /// By namespace, what pods may select there; and what they do by default.
    configured: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wire {
    pod_node_selector_plugin_config: BTreeMap<String, String>,
}

impl PodNodeSelector {
    /// With its configuration, if there is one.
    ///
    /// # Errors
    /// A configuration of another form.
    pub(crate) fn new(store: Store, configuration: Option<&Value>) -> Result<Self, String> {
        let wire = configuration.map(Wire::deserialize).transpose().map_err(|error| error.to_string())?;
        Ok(Self { store, configured: wire.unwrap_or_default().pod_node_selector_plugin_config })
    }

    fn configured(&self, key: &str) -> Result<Labels, Status> {
        labels(self.configured.get(key).map_or("", String::as_str))
    }

    /// What the namespace has its pods select.
    async fn of_namespace(&self, name: &str) -> Result<Labels, Status> {
        let namespace = get(&self.store, ("", "v1", "namespaces"), "", name).await?;
        let namespace = namespace.ok_or_else(|| Status::not_found(&GroupResource::new("", "namespaces"), name))?;
        let value = namespace.value();
        match value.annotations().and_then(|annotations| annotations.get(ANNOTATION)).and_then(Value::as_str) {
            Some(text) => labels(text),
            None => self.configured(DEFAULT),
        }
    }
}

#[async_trait]
impl Plugin for PodNodeSelector {
    fn name(&self) -> &'static str {
        "PodNodeSelector"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        operation == Operation::Create && is_pod(context)
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let namespace = self.of_namespace(&attributes.context.namespace).await?;
        if conflict(&namespace, &selected(attributes.object)) {
            return Err(refused(
                attributes,
                "pod node label selector conflicts with its namespace node label selector",
            ));
        }
        if !namespace.is_empty() {
            let selector = spec(attributes.object).entry("nodeSelector").or_insert(Value::Null);
            if !selector.is_object() {
                *selector = Value::Object(Map::new());
            }
            if let Value::Object(selector) = selector {
                selector.extend(namespace.into_iter().map(|(key, value)| (key, value.into())));
            }
        }
        Ok(())
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let selected = selected(attributes.object);
        if conflict(&self.of_namespace(&attributes.context.namespace).await?, &selected) {
            return Err(refused(
                attributes,
                "pod node label selector conflicts with its namespace node label selector",
            ));
        }
        let allowed = self.configured(&attributes.context.namespace)?;
        match allowed.is_empty() || selected.iter().all(|(key, value)| allowed.get(key) == Some(value)) {
            true => Ok(()),
            false => Err(refused(attributes, "pod node label selector labels conflict with its namespace whitelist")),
        }
    }
}

fn selected(pod: &Value) -> Labels {
    let selector = pod.pointer("/spec/nodeSelector").and_then(Value::as_object).into_iter().flatten();
    selector.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// Whether both have a key with another value.
fn conflict(one: &Labels, other: &Labels) -> bool {
    one.iter().any(|(key, value)| other.get(key).is_some_and(|theirs| theirs != value))
}

/// Labels as `key=value,key=value`.
fn labels(text: &str) -> Result<Labels, Status> {
    let mut labels = Labels::new();
    for label in text.split(',').filter(|_| !text.is_empty()) {
        let parts: Vec<&str> = label.split('=').collect();
        let [key, value] = parts.as_slice() else {
            return Err(Status::internal(format!("invalid selector: [{}]", parts.join(" "))));
        };
        let (key, value) = (key.trim(), value.trim());
        if let Some(why) = label_key_errors(key).into_iter().chain(label_value_errors(value)).next() {
            return Err(Status::internal(format!("invalid selector: {label}: {why}")));
        }
        labels.insert(key.to_owned(), value.to_owned());
    }
    Ok(labels)
}

fn refused(attributes: &Attributes<'_>, why: &str) -> Status {
    Status::forbidden(&attributes.context.resource.group_resource(), attributes.object.name(), why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Cluster, create};
    use serde_json::json;

    async fn made(annotation: Option<&str>, selector: Value) -> Result<Value, String> {
        let cluster = Cluster::start().await;
        let annotations = annotation.map(|text| json!({ANNOTATION: text})).unwrap_or_default();
        cluster.add("/namespaces", json!({"metadata": {"name": "ns", "annotations": annotations}})).await;
        let configuration = json!({"podNodeSelectorPluginConfig": {DEFAULT: "pool=a", "ns": "pool=a,disk=ssd,zone=z"}});
        let plugin = PodNodeSelector::new(cluster.store.clone(), Some(&configuration)).expect("a configuration");
        let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeSelector": selector}});
        create(&plugin, "/pods", pod).await.map(|pod| pod["spec"]["nodeSelector"].clone()).map_err(|s| s.message)
    }

    #[tokio::test]
    async fn namespaces_select_nodes() {
        assert_eq!(made(None, Value::Null).await, Ok(json!({"pool": "a"})));
        assert_eq!(made(Some("zone=z"), json!({"disk": "ssd"})).await, Ok(json!({"disk": "ssd", "zone": "z"})));
        let forbidden = |why: &str| Err(format!("pods \"p\" is forbidden: pod node label selector {why}"));
        assert_eq!(
            made(None, json!({"pool": "b"})).await,
            forbidden("conflicts with its namespace node label selector")
        );
        assert_eq!(made(None, json!({"cpu": "x"})).await, forbidden("labels conflict with its namespace whitelist"));
        assert!(made(Some("a"), Value::Null).await.expect_err("no selector").ends_with("invalid selector: [a]"));
    }
}
