//! Reading and writing object metadata on trees.

use crate::{Map, Value};

/// Reads of `metadata`; absent strings read as empty.
pub trait ObjectMeta {
    /// `metadata` as a map, if present.
    fn metadata(&self) -> Option<&Map>;
    /// `metadata` as a map, made if absent.
    fn metadata_mut(&mut self) -> &mut Map;

    /// A string member of `metadata`.
    fn meta_str(&self, key: &str) -> &str {
        self.metadata().and_then(|m| m.get(key)).and_then(Value::as_str).unwrap_or_default()
    }
    /// `metadata.name`.
    fn name(&self) -> &str {
        self.meta_str("name")
    }
    /// `metadata.namespace`.
    fn namespace(&self) -> &str {
        self.meta_str("namespace")
    }
    /// `metadata.uid`.
    fn uid(&self) -> &str {
        self.meta_str("uid")
    }
    /// `metadata.resourceVersion`.
    fn resource_version(&self) -> &str {
        self.meta_str("resourceVersion")
    }
    /// Sets a member of `metadata`.
    fn set_meta(&mut self, key: &str, value: impl Into<Value>)
    where
        Self: Sized,
    {
        self.metadata_mut().insert(key.to_owned(), value.into());
    }
    /// `metadata.labels`.
    fn labels(&self) -> Option<&Map> {
        self.metadata()?.get("labels")?.as_object()
    }
    /// `metadata.annotations`.
    fn annotations(&self) -> Option<&Map> {
        self.metadata()?.get("annotations")?.as_object()
    }
    /// `metadata.finalizers`; empty if absent.
    fn finalizers(&self) -> Vec<&str> {
        let list = self.metadata().and_then(|m| m.get("finalizers")).and_then(Value::as_array);
        list.map(|l| l.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    }
    /// Whether `metadata.deletionTimestamp` is set.
    fn is_deleting(&self) -> bool {
        !self.meta_str("deletionTimestamp").is_empty()
    }
}

impl ObjectMeta for Value {
    fn metadata(&self) -> Option<&Map> {
        self.get("metadata")?.as_object()
    }

    fn metadata_mut(&mut self) -> &mut Map {
        if !self.is_object() {
            *self = Value::Object(Map::new());
        }
        let map = self.as_object_mut().expect("made an object above");
        let metadata = map.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        if !metadata.is_object() {
            *metadata = Value::Object(Map::new());
        }
        metadata.as_object_mut().expect("made an object above")
    }
}
