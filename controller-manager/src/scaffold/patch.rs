//! Writing only what changed: a JSON merge patch between two states of an object, guarded by the
//! resource version it was computed from. A cache that trims its objects can thus be written from.

use client::informer::Cached;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde::Serialize;
use serde_json::{Map, Value};

/// The merge patch that turns `before` into `after`; `None` if there is no difference.
pub fn merge_diff(before: &Value, after: &Value) -> Option<Value> {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let patch = members(before, after);
            (!patch.is_empty()).then_some(Value::Object(patch))
        }
        _ => (before != after).then(|| after.clone()),
    }
}

fn members(before: &Map<String, Value>, after: &Map<String, Value>) -> Map<String, Value> {
    let removed = before.keys().filter(|key| !after.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let set = after.iter().filter_map(|(key, value)| {
        let old = before.get(key).unwrap_or(&Value::Null);
        // A new object is given whole, also when it is empty.
        let difference = if old.is_object() { merge_diff(old, value) } else { (old != value).then(|| value.clone()) };
        Some((key.clone(), difference?))
    });
    removed.chain(set).collect()
}

/// Whether the patch fails when somebody else wrote meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Conflict unless the object still has the version the patch was computed from.
    Version,
    /// Conflict only if the object was replaced by another of the same name.
    Uid,
}

/// Which part of an object is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Everything but the status.
    Object,
    /// The status subresource.
    Status,
}

/// Writes the difference between two states of one object; gives the new object, or `None` if
/// there was none to write.
pub async fn write<K: Cached + Serialize>(
    api: &Api<K>,
    part: Part,
    guard: Guard,
    before: &K,
    after: &K,
) -> Result<Option<K>, kube::Error> {
    let (old, new) = (tree(before)?, tree(after)?);
    let Some(patch) = merge_diff(&old, &new) else { return Ok(None) };
    let name = before.meta().name.as_deref().unwrap_or_default();
    if !may_patch::<K>() {
        return update(api, part, guard, before, after, &patch).await.map(Some);
    }
    let patch = Patch::Merge(guarded(patch, guard, before));
    let params = PatchParams::default();
    match part {
        Part::Object => api.patch(name, &params, &patch).await.map(Some),
        Part::Status => api.patch_status(name, &params, &patch).await.map(Some),
    }
}

/// Upstream's controllers patch pods and nodes and update everything else; the bootstrap roles
/// allow them no more than that.
fn may_patch<K: Cached>() -> bool {
    matches!(&*K::kind(&()), "Pod" | "Node")
}

/// Of these kinds caches keep all but managed fields, which the apiserver leaves as they are when an update has none. They
/// are written back without being read, which the root CA publisher may not do with config maps at all.
fn is_whole<K: Cached>() -> bool {
    matches!(
        &*K::kind(&()),
        "ConfigMap"
            | "ControllerRevision"
            | "CronJob"
            | "DaemonSet"
            | "Deployment"
            | "EndpointSlice"
            | "Endpoints"
            | "Job"
            | "ReplicaSet"
            | "ReplicationController"
            | "ServiceAccount"
            | "StatefulSet"
    )
}

async fn update<K: Cached + Serialize>(
    api: &Api<K>,
    part: Part,
    guard: Guard,
    before: &K,
    after: &K,
    patch: &Value,
) -> Result<K, kube::Error> {
    let name = before.meta().name.as_deref().unwrap_or_default();
    let wanted = match guard {
        // It names the version that it was computed from.
        Guard::Version if is_whole::<K>() => after.clone(),
        _ => onto_live(api, guard, before, patch).await?,
    };
    let params = PostParams::default();
    match part {
        Part::Object => api.replace(name, &params, &wanted).await,
        Part::Status => api.replace_status(name, &params, &wanted).await,
    }
}

/// The live object with the difference applied: what the cache trimmed must not be lost.
async fn onto_live<K: Cached + Serialize>(
    api: &Api<K>,
    guard: Guard,
    before: &K,
    patch: &Value,
) -> Result<K, kube::Error> {
    let name = before.meta().name.as_deref().unwrap_or_default();
    let live = api.get(name).await?;
    let is_same = match guard {
        Guard::Version => live.meta().resource_version == before.meta().resource_version,
        Guard::Uid => live.meta().uid == before.meta().uid,
    };
    if !is_same {
        return Err(conflict(name));
    }
    let mut wanted = tree(&live)?;
    apply(&mut wanted, patch);
    serde_json::from_value(wanted).map_err(kube::Error::SerdeError)
}

/// What the apiserver would have answered.
fn conflict(name: &str) -> kube::Error {
    let message = format!("{name} has been modified; please apply your changes to the latest version and try again");
    kube::Error::Api(Box::new(kube::core::Status::failure(&message, "Conflict").with_code(409)))
}

/// Applies a merge patch.
fn apply(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else { return *target = patch.clone() };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        match value {
            Value::Null => drop(target.remove(key)),
            value => apply(target.entry(key.clone()).or_insert(Value::Null), value),
        }
    }
}

/// Writes a new status, guarded by the version.
pub async fn write_status<K: Cached + Serialize>(
    api: &Api<K>,
    before: &K,
    after: &K,
) -> Result<Option<K>, kube::Error> {
    write(api, Part::Status, Guard::Version, before, after).await
}

fn tree<K: Serialize>(object: &K) -> Result<Value, kube::Error> {
    serde_json::to_value(object).map_err(kube::Error::SerdeError)
}

fn guarded<K: Cached>(mut patch: Value, guard: Guard, before: &K) -> Value {
    let (field, value) = match guard {
        Guard::Version => ("resourceVersion", before.meta().resource_version.clone()),
        Guard::Uid => ("uid", before.meta().uid.clone()),
    };
    if let (Some(value), Some(patch)) = (value, patch.as_object_mut()) {
        let metadata = patch.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert(field.to_owned(), Value::String(value));
        }
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn differences() {
        let table = [
            (json!({"a": 1}), json!({"a": 1}), None),
            (json!({"a": 1}), json!({"a": 2}), Some(json!({"a": 2}))),
            (json!({"a": 1, "b": 2}), json!({"b": 2}), Some(json!({"a": null}))),
            (json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": 1, "c": 3}}), Some(json!({"a": {"c": 3}}))),
            (json!({"a": [1, 2]}), json!({"a": [2]}), Some(json!({"a": [2]}))),
            (json!({}), json!({"a": {}}), Some(json!({"a": {}}))),
        ];
        for (before, after, patch) in table {
            assert_eq!(merge_diff(&before, &after), patch, "{before} -> {after}");
        }
    }

    /// Objects without nulls, as typed objects serialize.
    fn objects() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-c]".prop_map(Value::from)
        ];
        let nested = leaf.prop_recursive(3, 24, 4, |inner| {
            prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect()))
        });
        prop::collection::btree_map("[a-d]", nested, 0..4).prop_map(|map| Value::Object(map.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn applying_the_difference_gives_the_new_state(before in objects(), after in objects()) {
            let mut patched = before.clone();
            if let Some(patch) = merge_diff(&before, &after) {
                apply(&mut patched, &patch);
            }
            prop_assert_eq!(patched, after);
        }
    }
}
