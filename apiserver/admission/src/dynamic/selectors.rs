//! Selection by the labels of an object and of its namespace.
//!
//! Upstream: `apiserver/pkg/admission/plugin/webhook/predicates/{namespace,object}`.

use super::request::is_namespace;
use crate::lookup;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::selector::LabelSelector;
use apimachinery::status::Status;
use apiserver_registry::admission::Attributes;
use apiserver_storage::Store;

/// `namespaceSelector` and `objectSelector`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selectors {
    namespace: LabelSelector,
    object: LabelSelector,
}

impl Selectors {
    /// Reads both; what is absent, or was let in before it was checked, selects everything.
    pub(crate) fn parse(value: &Value) -> Self {
        let selector = |key: &str| {
            let parsed = value.get(key).map(LabelSelector::from_value);
            parsed.and_then(Result::ok).flatten().unwrap_or_default()
        };
        Self { namespace: selector("namespaceSelector"), object: selector("objectSelector") }
    }

    /// Whether the request's object and its namespace are selected.
    pub(crate) async fn select(&self, store: &Store, attributes: &Attributes<'_>) -> Result<bool, Status> {
        let labels = |object: &Value| self.object.matches(|key| label(object, key));
        let either = labels(attributes.object) || !attributes.old_object.is_null() && labels(attributes.old_object);
        Ok((self.object.is_empty() || either) && self.selects_namespace(store, attributes).await?)
    }

    async fn selects_namespace(&self, store: &Store, attributes: &Attributes<'_>) -> Result<bool, Status> {
        if self.namespace.is_empty() {
            return Ok(true);
        }
        if is_namespace(attributes.context) {
            let object = if attributes.object.is_null() { attributes.old_object } else { &*attributes.object };
            return Ok(self.namespace.matches(|key| label(object, key)));
        }
        Ok(match namespace_object(store, attributes).await? {
            Some(namespace) => self.namespace.matches(|key| label(&namespace, key)),
            // What is in no namespace is selected by all.
            None => true,
        })
    }
}

/// The namespace of the request's object; `None` if it is in none.
pub(crate) async fn namespace_object(store: &Store, attributes: &Attributes<'_>) -> Result<Option<Value>, Status> {
    let name = &attributes.context.namespace;
    if name.is_empty() {
        return Ok(None);
    }
    let resource = apimachinery::gvk::GroupResource::new("", "namespaces");
    match lookup::get(store, ("", "v1", "namespaces"), "", name).await? {
        Some(namespace) => Ok(Some(namespace.value())),
        None => Err(Status::not_found(&resource, name)),
    }
}

fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.labels()?.get(key)?.as_str()
}
