//! Objects that plugins look up: from the cache, and from etcd only where a miss would refuse.

use apimachinery::resources::{self, ResourceInfo};
use apimachinery::status::Status;
use apimachinery::{Name, Value};
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
    at(value, pointer).and_then(Value::as_str).unwrap_or_default()
}

/// What lies at a pointer without escapes, such as `/spec/volumes/0/name`.
pub(crate) fn at<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    let (mut value, mut rest) = (value, pointer);
    while let Some(steps) = rest.strip_prefix('/') {
        let end = steps.bytes().position(|byte| byte == b'/').unwrap_or(steps.len());
        let (step, after) = steps.split_at(end);
        value = match value {
            Value::Array(list) => list.get(step.parse::<usize>().ok()?)?,
            value => value.as_object()?.get(Name::of(step))?,
        };
        rest = after;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pointers_lead_where_serde_says() {
        let tree = json!({"spec": {"volumes": [{"name": "a"}, {"name": "b"}], "": 1}});
        for pointer in
            ["", "/", "/spec", "/spec/", "/spec/volumes/1/name", "/spec/volumes/2", "/spec/volumes/x", "/a/b"]
        {
            assert_eq!(at(&tree, pointer), tree.pointer(pointer), "{pointer}");
        }
        assert_eq!((text(&tree, "/spec/volumes/0/name"), text(&tree, "/spec/volumes")), ("a", ""));
    }
}
