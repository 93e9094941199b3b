//! The managers of `scale` are those of one field of the object.
//!
//! Upstream: `apimachinery/pkg/util/managedfields/scalehandler.go`.

use super::managers::{Entry, Managed};
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

/// The object's managed fields after the scale's have changed: who does not have the replicas
/// there loses them here, and who is not known here joins.
pub fn to_object(list: Option<&Value>, scale: Option<Value>, replicas: &[&str], api_version: &str) -> Option<Value> {
    let path = FieldSet::of_fields(replicas);
    let mut managed = Managed::read(list.cloned()).unwrap_or_default();
    let mut scale = Managed::read(scale).unwrap_or_default().entries;
    for entry in managed.entries.iter_mut().filter(|entry| entry.touches(&path)) {
        // Who updates is known by the version, too, which is never that of scales: updaters always part with the replicas.
        match scale.iter().position(|other| other.manager.is(&entry.manager)) {
            Some(at) => drop(scale.remove(at)),
            None => entry.lose(&path),
        }
    }
    for joining in scale.into_iter().filter(|entry| entry.touches(&FieldSet::of_fields(REPLICAS))) {
        // Upstream knows the time only of who has been here, in whose place this comes.
        let former = managed.entries.iter().position(|other| other.manager.is(&joining.manager));
        let time = former.and_then(|at| managed.entries.remove(at).time);
        let manager = super::Manager { api_version: api_version.to_owned(), ..joining.manager };
        managed.entries.push(Entry::new(manager, time, path.clone()));
    }
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
    fn appliers_are_known_again() {
        let replicas = json!({"f:spec": {"f:replicas": {}}});
        let apply = |version: &str, time: &str| {
            let mut entry = entry("a", version, "scale", replicas.clone());
            (entry["operation"], entry["time"]) = ("Apply".into(), time.into());
            entry
        };
        let list = json!([apply("apps/v1", "2026-01-01T00:00:00Z")]);
        let shown = json!([apply(SCALE, "2026-01-02T00:00:00Z")]);
        assert_eq!(to_object(Some(&list), Some(shown.clone()), REPLICAS, "apps/v1"), Some(list));
        let mut want = apply("apps/v1", "");
        want.as_object_mut().expect("an object").remove("time");
        assert_eq!(to_object(None, Some(shown), REPLICAS, "apps/v1"), Some(json!([want])));
    }

    #[test]
    fn replicas_change_hands() {
        let both = json!({"f:spec": {"f:paused": {}, "f:replicas": {}}});
        let replicas = json!({"f:spec": {"f:replicas": {}}});
        let list =
            json!([entry("a", "apps/v1", "", both), entry("b", "apps/v1", "", json!({"f:spec": {"f:paused": {}}}))]);
        let shown = to_scale(Some(&list), REPLICAS);
        assert_eq!(shown, Some(json!([entry("a", SCALE, "", replicas.clone())])));
        // Upstream does not know an updater again, which then is there twice.
        let twice = json!([
            entry("a", "apps/v1", "", json!({"f:spec": {"f:paused": {}}})),
            entry("a", "apps/v1", "", replicas.clone()),
            entry("b", "apps/v1", "", json!({"f:spec": {"f:paused": {}}})),
        ]);
        let sorted = |list: Option<Value>| {
            let mut list = list.and_then(|list| list.as_array().cloned()).unwrap_or_default();
            list.sort_by_key(Value::to_string);
            list
        };
        assert_eq!(sorted(to_object(Some(&list), shown, REPLICAS, "apps/v1")), sorted(Some(twice)));
        let other = json!([entry("c", SCALE, "scale", json!({"f:metadata": {"f:labels": {}}}))]);
        let kept = json!([
            entry("a", "apps/v1", "", json!({"f:spec": {"f:paused": {}}})),
            entry("b", "apps/v1", "", json!({"f:spec": {"f:paused": {}}})),
        ]);
        assert_eq!(to_object(Some(&list), Some(other), REPLICAS, "apps/v1"), Some(kept));
        let stolen = json!([entry("c", SCALE, "scale", replicas.clone())]);
        let want = json!([
            entry("a", "apps/v1", "", json!({"f:spec": {"f:paused": {}}})),
            entry("b", "apps/v1", "", json!({"f:spec": {"f:paused": {}}})),
            entry("c", "apps/v1", "scale", replicas)
        ]);
        assert_eq!(to_object(Some(&list), Some(stolen), REPLICAS, "apps/v1"), Some(want));
    }
}
