//! Reading and writing object metadata on trees.

use crate::{Map, Name, Value};

/// The members of metadata that are present, in the order that upstream prints them in.
pub fn in_order(metadata: &Value) -> impl Iterator<Item = (&'static str, &Value)> {
    const ORDER: [&str; 15] = [
        "name",
        "generateName",
        "namespace",
        "selfLink",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "labels",
        "annotations",
        "ownerReferences",
        "finalizers",
        "managedFields",
    ];
    ORDER.into_iter().filter_map(|key| metadata.get(key).map(|value| (key, value)))
}

/// Reads of `metadata`; absent strings read as empty.
pub trait ObjectMeta {
    /// `metadata` as a map, if present.
    fn metadata(&self) -> Option<&Map>;
    /// `metadata` as a map, made if absent.
    fn metadata_mut(&mut self) -> &mut Map;

    /// A string member of `metadata`.
    fn meta_str(&self, key: &str) -> &str {
        self.metadata().and_then(|m| m.get(Name::of(key))).and_then(Value::as_str).unwrap_or_default()
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
        self.metadata()?.get(Name::of("labels"))?.as_object()
    }
    /// `metadata.annotations`.
    fn annotations(&self) -> Option<&Map> {
        self.metadata()?.get(Name::of("annotations"))?.as_object()
    }
    /// `metadata.finalizers`; empty if absent.
    fn finalizers(&self) -> Vec<&str> {
        let list = self.metadata().and_then(|m| m.get(Name::of("finalizers"))).and_then(Value::as_array);
        list.map(|l| l.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    }
    /// `metadata.ownerReferences`; empty if absent.
    fn owner_references(&self) -> Vec<OwnerReference<'_>> {
        let list = self.metadata().and_then(|m| m.get(Name::of("ownerReferences"))).and_then(Value::as_array);
        list.map(|l| l.iter().map(OwnerReference::of).collect()).unwrap_or_default()
    }
    /// The owner that manages this object, if one does.
    fn controller(&self) -> Option<OwnerReference<'_>> {
        self.owner_references().into_iter().find(|owner| owner.controller)
    }
    /// `metadata.generation`; 0 if absent.
    fn generation(&self) -> i64 {
        self.metadata().and_then(|m| m.get(Name::of("generation"))).and_then(Value::as_i64).unwrap_or_default()
    }
    /// Whether `metadata.deletionTimestamp` is set.
    fn is_deleting(&self) -> bool {
        !self.meta_str("deletionTimestamp").is_empty()
    }
}

/// One of `metadata.ownerReferences`; absent strings read as empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnerReference<'a> {
    /// `apiVersion` of the owner.
    pub api_version: &'a str,
    /// Its kind.
    pub kind: &'a str,
    /// Its name, in the object's own namespace or in none.
    pub name: &'a str,
    /// Its UID.
    pub uid: &'a str,
    /// Whether the owner manages the object; at most one does.
    pub controller: bool,
    /// Whether foreground deletion of the owner waits for the object.
    pub block_owner_deletion: bool,
}

impl<'a> OwnerReference<'a> {
    fn of(reference: &'a Value) -> Self {
        let text = |key: &str| reference.get(key).and_then(Value::as_str).unwrap_or_default();
        let is_set = |key: &str| reference.get(key).and_then(Value::as_bool).unwrap_or_default();
        Self {
            api_version: text("apiVersion"),
            kind: text("kind"),
            name: text("name"),
            uid: text("uid"),
            controller: is_set("controller"),
            block_owner_deletion: is_set("blockOwnerDeletion"),
        }
    }

    /// The reference as it stands in an object.
    pub fn to_value(&self) -> Value {
        let mut value = serde_json::json!({
            "apiVersion": self.api_version, "kind": self.kind, "name": self.name, "uid": self.uid,
        });
        for (key, set) in [("controller", self.controller), ("blockOwnerDeletion", self.block_owner_deletion)] {
            if set {
                value[key] = true.into();
            }
        }
        value
    }
}

impl ObjectMeta for Value {
    fn metadata(&self) -> Option<&Map> {
        self.as_object()?.get(Name::of("metadata"))?.as_object()
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

/// A list member of a tree, to be extended; made if there is none. Absent and `null` are the same to Go, and so they are
/// here: members that upstream never leaves out are `null` before anybody sets them.
pub fn list_mut<'a>(map: &'a mut Map, member: &str) -> &'a mut Vec<Value> {
    let value = map.entry(member).or_insert(Value::Null);
    if !value.is_array() {
        *value = Value::Array(Vec::new());
    }
    value.as_array_mut().expect("made an array above")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn absent_members_read_as_empty() {
        for value in [Value::Null, json!({}), json!({"metadata": 1}), json!({"metadata": {"name": 1, "labels": "x"}})] {
            assert_eq!((value.name(), value.uid(), value.generation()), ("", "", 0), "{value}");
            assert!(value.labels().is_none() && value.finalizers().is_empty() && !value.is_deleting());
            assert!(value.owner_references().is_empty() && value.controller().is_none());
        }
    }

    #[test]
    fn members_are_set_whatever_was_there() {
        for mut value in [Value::Null, json!({"metadata": null}), json!({"metadata": {"uid": "u"}})] {
            value.set_meta("name", "a");
            assert_eq!(value.name(), "a", "{value}");
        }
    }

    #[test]
    fn owners() {
        let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "1", "controller": true});
        let other = json!({"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "2", "blockOwnerDeletion": true});
        let object = json!({"metadata": {"ownerReferences": [other, owner], "generation": 3}});
        let controller = object.controller().expect("a controller");
        assert_eq!((controller.kind, controller.name, object.generation()), ("ReplicaSet", "r", 3));
        let again: Vec<Value> = object.owner_references().iter().map(OwnerReference::to_value).collect();
        assert_eq!(object["metadata"]["ownerReferences"], Value::from(again));
    }
}
