//! Persistent volumes and claims.

use super::super::{member, text};
use super::phase;
use apimachinery::{Map, Value, time};

const TRANSITION: &str = "lastPhaseTransitionTime";

pub(super) fn create(volume: &mut Value) {
    phase(volume, "Pending");
    member(volume, "status").insert(TRANSITION.into(), time::now().into());
}

/// A phase that changes does so now, if the client does not say when.
pub(super) fn update_status(volume: &mut Value, old: &Value) {
    let at = |object: &Value| object.pointer("/status/lastPhaseTransitionTime").filter(|time| !time.is_null()).cloned();
    let (given, before) = (at(volume), at(old));
    let time = match text(volume, "/status/phase") == text(old, "/status/phase") {
        true if given.is_none() => before,
        false if given.is_none() || given == before => Some(time::now().into()),
        _ => return,
    };
    if let Some(time) = time {
        member(volume, "status").insert(TRANSITION.into(), time);
    }
}

pub(super) fn create_claim(claim: &mut Value) {
    phase(claim, "Pending");
    settle_sources(claim, &Value::Null);
}

pub(super) fn update_claim(claim: &mut Value, old: &Value) {
    settle_sources(claim, old);
}

/// Drops data sources that nobody may use, and names the one that is left in both members: old clients know one of
/// them only.
fn settle_sources(claim: &mut Value, old: &Value) {
    let used = |key: &str| old.get("spec").and_then(|spec| spec.get(key)).is_some_and(|source| !source.is_null());
    let (source_used, reference_used) = (used("dataSource"), used("dataSourceRef"));
    let Some(spec) = claim.get_mut("spec").and_then(Value::as_object_mut) else { return };
    if !text_of(spec, "dataSourceRef", "namespace").is_empty() && !reference_used {
        spec.remove("dataSourceRef");
    }
    let given = |spec: &Map, key: &str| spec.get(key).is_some_and(|source| !source.is_null());
    if !source_used && !reference_used && !given(spec, "dataSourceRef") && !is_known_source(spec) {
        spec.remove("dataSource");
    }
    match (given(spec, "dataSource"), given(spec, "dataSourceRef")) {
        (true, false) => copy_source(spec, "dataSource", "dataSourceRef"),
        (false, true) if text_of(spec, "dataSourceRef", "namespace").is_empty() => {
            copy_source(spec, "dataSourceRef", "dataSource");
        }
        _ => {}
    }
}

/// Claims and snapshots are what the older of the two members is for.
fn is_known_source(spec: &Map) -> bool {
    matches!(
        (text_of(spec, "dataSource", "kind"), text_of(spec, "dataSource", "apiGroup")),
        ("PersistentVolumeClaim", "") | ("VolumeSnapshot", "snapshot.storage.k8s.io")
    )
}

fn copy_source(spec: &mut Map, from: &str, to: &str) {
    let Some(source) = spec.get(from).and_then(Value::as_object) else { return };
    let parts = source.iter().filter(|(key, _)| ["apiGroup", "kind", "name"].contains(&key.as_str()));
    let copy: Map = parts.map(|(key, value)| (key.clone(), value.clone())).collect();
    spec.insert(to.into(), Value::Object(copy));
}

fn text_of<'a>(spec: &'a Map, key: &str, part: &str) -> &'a str {
    spec.get(key).and_then(|source| source.get(part)).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sources_of_claims_are_settled() {
        let claim = json!({"kind": "PersistentVolumeClaim", "name": "x"});
        let custom = json!({"apiGroup": "g.io", "kind": "K", "name": "x"});
        let away = json!({"kind": "PersistentVolumeClaim", "name": "x", "namespace": "n"});
        for (given, old, want) in [
            (json!({"dataSource": claim}), json!({}), json!({"dataSource": claim, "dataSourceRef": claim})),
            (json!({"dataSourceRef": custom}), json!({}), json!({"dataSource": custom, "dataSourceRef": custom})),
            (json!({"dataSource": custom}), json!({}), json!({})),
            (
                json!({"dataSource": custom}),
                json!({"dataSource": custom}),
                json!({"dataSource": custom, "dataSourceRef": custom}),
            ),
            (json!({"dataSourceRef": away}), json!({}), json!({})),
            (json!({"dataSourceRef": away}), json!({"dataSourceRef": away}), json!({"dataSourceRef": away})),
        ] {
            let mut object = json!({"spec": given});
            settle_sources(&mut object, &json!({"spec": old}));
            assert_eq!(object["spec"], want, "{given}");
        }
    }

    #[test]
    fn phases_change_at_a_time() {
        let old = json!({"status": {"phase": "Pending", "lastPhaseTransitionTime": "then"}});
        let mut same = json!({"status": {"phase": "Pending"}});
        update_status(&mut same, &old);
        assert_eq!(same, old);
        for given in [json!({"phase": "Bound"}), json!({"phase": "Bound", "lastPhaseTransitionTime": "then"})] {
            let mut changed = json!({"status": given});
            update_status(&mut changed, &old);
            assert!(!["", "then"].contains(&text(&changed, "/status/lastPhaseTransitionTime")));
        }
    }
}
