//! The managers of `scale` are those of one field of the object.
//!
//! Upstream: `apimachinery/pkg/util/managedfields/scalehandler.go`.

use super::managers::{Entry, Managed, Operation};
use super::set::FieldSet;
use apimachinery::Value;

/// Version of the scale itself.
const SCALE: &str = "autoscaling/v1";
const REPLICAS: &[&str] = &["spec", "replicas"];

/// The object's managed fields as the scale has them.
pub fn to_scale(list: Option<&Value>, replicas: &[&str]) -> Option<Value> {
    let path = FieldSet::of_fields(replicas);
    let managed = Managed::read(list.cloned()).unwrap_or_default();
    let entries = managed.entries.into_iter().filter(|entry| entry.touches(&path)).map(|entry| {
        let manager = super::Manager { api_version: SCALE.to_owned(), ..entry.manager };
        Entry::new(manager, entry.time, FieldSet::of_fields(REPLICAS))
    });
    Managed { entries: entries.collect() }.write()
}

/// The object's managed fields after the scale's have changed: who no longer has the replicas
/// there loses them here, and who is new there joins here.
pub fn to_object(list: Option<&Value>, scale: Option<Value>, replicas: &[&str], api_version: &str) -> Option<Value> {
    let path = FieldSet::of_fields(replicas);
    let mut managed = Managed::read(list.cloned()).unwrap_or_default();
    let mut scale = Managed::read(scale).unwrap_or_default().entries;
    for entry in managed.entries.iter_mut().filter(|entry| entry.touches(&path)) {
        let same = |other: &Entry| {
            let (a, b) = (&entry.manager, &other.manager);
            (&a.name, a.operation, &a.subresource) == (&b.name, b.operation, &b.subresource)
        };
        match scale.iter().position(same) {
            Some(at) => drop(scale.remove(at)),
            None => entry.lose(&path),
        }
    }
    let joining = scale.into_iter().map(|entry| {
        let manager = super::Manager { api_version: api_version.to_owned(), ..entry.manager };
        // Upstream knows the time of appliers only.
        let time = entry.time.filter(|_| manager.operation == Operation::Apply);
        Entry::new(manager, time, path.clone())
    });
    managed.entries.extend(joining);
    managed.write()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(manager: &str, version: &str, subresource: &str, fields: Value) -> Value {
        let mut entry = json!({"manager": manager, "operation": "Update", "apiVersion": version, "fieldsType": "FieldsV1",
            "fieldsV1": fields});
        if !subresource.is_empty() {
            entry["subresource"] = subresource.into();
        }
        entry
    }

    #[test]
    fn replicas_change_hands() {
        let both = json!({"f:spec": {"f:paused": {}, "f:replicas": {}}});
        let replicas = json!({"f:spec": {"f:replicas": {}}});
        let list =
            json!([entry("a", "apps/v1", "", both), entry("b", "apps/v1", "", json!({"f:spec": {"f:paused": {}}}))]);
        let shown = to_scale(Some(&list), REPLICAS);
        assert_eq!(shown, Some(json!([entry("a", SCALE, "", replicas.clone())])));
        assert_eq!(to_object(Some(&list), shown, REPLICAS, "apps/v1").as_ref(), Some(&list));
        let stolen = json!([entry("c", SCALE, "scale", replicas.clone())]);
        let want = json!([
            entry("a", "apps/v1", "", json!({"f:spec": {"f:paused": {}}})),
            entry("b", "apps/v1", "", json!({"f:spec": {"f:paused": {}}})),
            entry("c", "apps/v1", "scale", replicas)
        ]);
        assert_eq!(to_object(Some(&list), Some(stolen), REPLICAS, "apps/v1"), Some(want));
    }
}
