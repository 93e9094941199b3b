//! Reading and writing pods the way most plugins do.

pub(crate) use apimachinery::meta::list_mut as list;
use apimachinery::{Map, Value};
use apiserver_registry::Context;

/// Whether the request is about pods themselves.
pub(crate) fn is_pod(context: &Context) -> bool {
    context.subresource.is_none() && context.resource.group.is_empty() && context.resource.plural == "pods"
}

/// `spec`, made if absent.
pub(crate) fn spec(object: &mut Value) -> &mut Map {
    map(object, "spec")
}

/// A member as a map, made if absent.
pub(crate) fn map<'a>(object: &'a mut Value, member: &str) -> &'a mut Map {
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let object = object.as_object_mut().expect("made an object above");
    let value = object.entry(member).or_insert_with(|| Value::Object(Map::new()));
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("made an object above")
}

/// The containers of these lists of a pod.
pub(crate) fn containers<'a>(pod: &'a Value, lists: &'a [&str]) -> impl Iterator<Item = &'a Value> {
    let spec = pod.get("spec");
    lists.iter().filter_map(move |list| spec?.get(*list)?.as_array()).flatten()
}

/// The same to be changed, for one list.
pub(crate) fn containers_mut<'a>(pod: &'a mut Value, list: &str) -> impl Iterator<Item = &'a mut Map> {
    let containers = pod.get_mut("spec").and_then(|s| s.get_mut(list)).and_then(Value::as_array_mut);
    containers.into_iter().flatten().filter_map(Value::as_object_mut)
}
