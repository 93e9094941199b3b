//! One stored object, encoded once and shared by the cache, lists and watches.

use apimachinery::Value;
use bytes::Bytes;

/// An object at one revision. Handed out as `Arc<Object>`, never changed.
#[derive(Debug)]
pub struct Object {
    json: Bytes,
}

impl Object {
    /// The key below the storage prefix, such as `pods/default/a`.
    pub fn key(&self) -> &str {
        unimplemented!()
    }

    /// etcd's modification revision: the object's `resourceVersion`.
    pub fn revision(&self) -> u64 {
        unimplemented!()
    }

    /// `metadata.namespace`; empty if cluster-scoped.
    pub fn namespace(&self) -> &str {
        unimplemented!()
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        unimplemented!()
    }

    /// `metadata.uid`.
    pub fn uid(&self) -> &str {
        unimplemented!()
    }

    /// A label's value.
    pub fn label(&self, _key: &str) -> Option<&str> {
        unimplemented!()
    }

    /// A declared selectable field's value (`metadata.name` and `metadata.namespace` included).
    pub fn field(&self, _label: &str) -> Option<&str> {
        unimplemented!()
    }

    /// The whole object as JSON in its storage version, `kind` and `apiVersion` first,
    /// `resourceVersion` in place.
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// The bytes of [`Self::json`] after `{"kind":"…","apiVersion":"…",`: lists of built-in
    /// kinds print `{` and this, as upstream does.
    pub fn json_without_kind(&self) -> Bytes {
        unimplemented!()
    }

    /// The object as a tree, parsed anew on each call.
    pub fn value(&self) -> Value {
        unimplemented!()
    }

    /// The object as a bare protobuf message with `resourceVersion`, made on first demand.
    /// `None` for types without a protobuf form.
    pub fn protobuf(&self) -> Option<&Bytes> {
        unimplemented!()
    }

    /// A form derived from the object, such as its Table row as JSON, made once and kept.
    /// `make` must not depend on anything but the object.
    pub fn row(&self, _make: impl FnOnce(&Value) -> Bytes) -> &Bytes {
        unimplemented!()
    }
}
