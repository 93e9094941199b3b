//! Objects that plugins look up: from the cache, and from etcd only where a miss would refuse.

use apimachinery::Value;
use apimachinery::resources::{self, ResourceInfo};
use apimachinery::status::Status;
use apiserver_storage::{Match, Object, Store};
use std::sync::Arc;

/// An object by name. The cache may be a moment behind, so a miss is verified.
pub(crate) async fn get(
    store: &Store,
    resource: (&str, &str, &str),
    namespace: &str,
    name: &str,
) -> Result<Option<Arc<Object>>, Status> {
    let Some(resource) = find(resource) else { return Ok(None) };
    let key = resource.key(namespace, name);
    if let Some(found) = store.cached(resource, &key) {
        return Ok(Some(found));
    }
    store.get(resource, &key, Match::MostRecent).await.map_err(Status::internal)
}

/// All objects of a resource that the cache has.
pub(crate) fn list(store: &Store, resource: (&str, &str, &str), namespace: Option<&str>) -> Vec<Arc<Object>> {
    find(resource).map(|resource| store.cached_list(resource, namespace)).unwrap_or_default()
}

fn find((group, version, plural): (&str, &str, &str)) -> Option<&'static Arc<ResourceInfo>> {
    resources::find(group, version, plural)
}

/// A string below a tree, or the empty string.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
