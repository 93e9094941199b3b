//! `certificatesigningrequests/approval`: the verdict, and nothing else; and when conditions were set.
//!
//! Upstream: `pkg/registry/certificates/certificates/strategy.go`.

use crate::strategies::member;
use crate::strategy::keep_all_but;
use apimachinery::{Value, time};

/// Of a request's new state only the conditions count.
pub(crate) fn keep_verdict_only(new: &mut Value, old: &Value) {
    date_conditions(new, old);
    let conditions = new.pointer("/status/conditions").cloned();
    keep_all_but(new, old, &["metadata"]);
    crate::metadata::set_or_remove(member(new, "status"), "conditions", conditions.as_ref());
}

/// Conditions say when they were set and when they became so; one that was so before keeps its time.
pub(crate) fn date_conditions(new: &mut Value, old: &Value) {
    let now = Value::from(time::now());
    let Some(conditions) = new.pointer_mut("/status/conditions").and_then(Value::as_array_mut) else { return };
    let before = old.pointer("/status/conditions").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for condition in conditions.iter_mut().filter(|condition| condition.is_object()) {
        if is_undated(condition, "lastUpdateTime") {
            condition["lastUpdateTime"] = now.clone();
        }
        if is_undated(condition, "lastTransitionTime") {
            let same = |other: &&Value| ["type", "status"].iter().all(|key| other.get(key) == condition.get(key));
            let since = before.iter().filter(same).find(|other| !is_undated(other, "lastTransitionTime"));
            let since = since.map_or(&now, |other| &other["lastTransitionTime"]).clone();
            condition["lastTransitionTime"] = since;
        }
    }
}

fn is_undated(condition: &Value, key: &str) -> bool {
    condition.get(key).is_none_or(Value::is_null)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_approver_writes_no_certificate() {
        let old = json!({"metadata": {}, "spec": {"request": "r"}, "status": {}});
        let approved = json!([{"type": "Approved", "lastUpdateTime": "a", "lastTransitionTime": "b"}]);
        let mut new =
            json!({"metadata": {}, "spec": {"request": "x"}, "status": {"certificate": "c", "conditions": approved}});
        keep_verdict_only(&mut new, &old);
        assert_eq!(new, json!({"metadata": {}, "spec": {"request": "r"}, "status": {"conditions": approved}}));
    }

    #[test]
    fn conditions_are_dated_once() {
        let condition = |status: &str| json!({"type": "Approved", "status": status});
        let (early, late) = ("2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z");
        let mut before = condition("True");
        (before["lastUpdateTime"], before["lastTransitionTime"]) = (early.into(), early.into());
        let mut given = condition("True");
        given["lastTransitionTime"] = late.into();
        let old = json!({"status": {"conditions": [before]}});
        for (new, is_since) in [(condition("True"), Some(early)), (condition("False"), None), (given, Some(late))] {
            let mut object = json!({"status": {"conditions": [new]}});
            date_conditions(&mut object, &old);
            let dated = &object["status"]["conditions"][0];
            let time = |key: &str| dated[key].as_str().expect("a time").to_owned();
            assert!(time("lastUpdateTime").as_str() > late, "{dated}");
            match is_since {
                Some(since) => assert_eq!(time("lastTransitionTime"), since),
                None => assert_eq!(time("lastTransitionTime"), time("lastUpdateTime")),
            }
        }
    }
}
