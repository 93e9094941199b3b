//! `namespaceObject`.
//!
//! Upstream: `apiserver/pkg/admission/plugin/cel/condition.go` (`CreateNamespaceObject`).

use crate::dynamic::request::is_namespace;
use crate::dynamic::selectors::namespace_object;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::status::Status;
use apiserver_registry::admission::Attributes;
use apiserver_storage::Store;

/// The namespace of the request's object as expressions see it, without owners and managers; `null`
/// if it is in none, or is one itself.
pub(super) async fn of(store: &Store, attributes: &Attributes<'_>) -> Result<Value, Status> {
    if is_namespace(attributes.context) {
        return Ok(Value::Null);
    }
    let Some(mut namespace) = namespace_object(store, attributes).await? else { return Ok(Value::Null) };
    for hidden in ["managedFields", "ownerReferences", "selfLink"] {
        namespace.metadata_mut().remove(hidden);
    }
    Ok(namespace)
}
