//! Creates what is missing of the policy and adds what was taken from it, unless an object's
//! `autoupdate` annotation says otherwise. What administrators added stays.

use super::policy::{PolicyObject, objects};
use apimachinery::meta::ObjectMeta;
use apimachinery::resources::{self, ResourceInfo};
use apimachinery::{Value, time};
use apiserver_storage::{Change, StorageError, Store};
use futures::{StreamExt, TryStreamExt};
use std::sync::Arc;

/// Writes under way at a time.
const CONCURRENCY: usize = 32;

/// Why the policy could not be brought about.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The table names a resource that is not served.
    #[error("the bootstrap policy names {0}, which is not served")]
    NotServed(&'static str),
    /// An object could not be written.
    #[error("bootstrap policy object {name}")]
    Write {
        /// The object.
        name: String,
        /// Why.
        #[source]
        source: StorageError,
    },
}

/// Makes the stored policy at least what the table says.
pub async fn ensure_policy(store: &Store) -> Result<(), PolicyError> {
    let work = futures::stream::iter(objects()).map(|object| ensure(store, object));
    work.buffer_unordered(CONCURRENCY).try_collect().await
}

async fn ensure(store: &Store, object: PolicyObject) -> Result<(), PolicyError> {
    let resource = resources::find("rbac.authorization.k8s.io", "v1", object.plural)
        .ok_or(PolicyError::NotServed(object.plural))?;
    let key = resource.key(&object.namespace, &object.name);
    let result = match store.cached(resource, &key) {
        Some(current) if merged(&current.value(), &object.value).is_none() => Ok(()),
        Some(_) => repair(store, resource, &key, &object.value).await,
        None => match create(store, resource, &key, object.value.clone()).await {
            // Another apiserver was faster.
            Err(StorageError::Exists { .. }) => repair(store, resource, &key, &object.value).await,
            result => result,
        },
    };
    result.map_err(|source| PolicyError::Write { name: object.name, source })
}

async fn create(store: &Store, resource: &Arc<ResourceInfo>, key: &str, mut value: Value) -> Result<(), StorageError> {
    value.set_meta("uid", uuid::Uuid::new_v4().to_string());
    value.set_meta("creationTimestamp", time::now());
    store.create(resource, key, value, None).await.map(drop)
}

async fn repair(store: &Store, resource: &Arc<ResourceInfo>, key: &str, wanted: &Value) -> Result<(), StorageError> {
    let change = async |current: &Arc<apiserver_storage::Object>| {
        Ok::<_, StorageError>(merged(&current.value(), wanted).map_or(Change::Keep, Change::Put))
    };
    store.update(resource, key, None, change).await.map(drop)
}

/// The object with what it lacks of the policy; `None` if it lacks nothing or is left alone.
fn merged(current: &Value, wanted: &Value) -> Option<Value> {
    let autoupdate = current.annotations().and_then(|a| a.get("rbac.authorization.kubernetes.io/autoupdate"));
    if autoupdate.and_then(Value::as_str) == Some("false") {
        return None;
    }
    let mut merged = current.clone();
    for key in ["rules", "subjects"] {
        add_missing(&mut merged, wanted, key);
    }
    if let Some(rule) = wanted.get("aggregationRule")
        && merged.get("aggregationRule").is_none()
    {
        merged["aggregationRule"] = rule.clone();
    }
    for key in ["labels", "annotations"] {
        for (name, value) in
            wanted.pointer(&format!("/metadata/{key}")).and_then(Value::as_object).into_iter().flatten()
        {
            merged["metadata"][key][name] = value.clone();
        }
    }
    (merged != *current).then_some(merged)
}

fn add_missing(current: &mut Value, wanted: &Value, key: &str) {
    let Some(wanted) = wanted.get(key).and_then(Value::as_array).filter(|w| !w.is_empty()) else { return };
    if !current.get(key).is_some_and(Value::is_array) {
        current[key] = Value::Array(Vec::new());
    }
    let Some(present) = current.get_mut(key).and_then(Value::as_array_mut) else { return };
    for item in wanted {
        if !present.contains(item) {
            present.push(item.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn adds_what_is_missing_and_keeps_the_rest() {
        let rule = |verb: &str| json!({"verbs": [verb], "apiGroups": [""], "resources": ["pods"]});
        let wanted = json!({"metadata": {"labels": {"a": "b"}}, "rules": [rule("get"), rule("list")]});
        let current = json!({"metadata": {"labels": {"mine": "1"}}, "rules": [rule("list"), rule("watch")]});
        let merged = merged(&current, &wanted).expect("something was missing");
        assert_eq!(merged["rules"], json!([rule("list"), rule("watch"), rule("get")]));
        assert_eq!(merged["metadata"]["labels"], json!({"a": "b", "mine": "1"}));
    }

    #[test]
    fn leaves_right_and_exempt_objects_alone() {
        let wanted = json!({"metadata": {"labels": {"a": "b"}}, "rules": [1]});
        assert_eq!(merged(&wanted, &wanted), None);
        let exempt = json!({"metadata": {"annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"}}});
        assert_eq!(merged(&exempt, &wanted), None);
    }
}
