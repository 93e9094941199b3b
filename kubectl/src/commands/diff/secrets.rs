//! Values of secrets are never shown: only whether they differ.
//!
//! Upstream: `kubectl/pkg/cmd/diff` (`Masker`).

use apimachinery::Value;

const SAME: &str = "***";
const BEFORE: &str = "*** (before)";
const AFTER: &str = "*** (after)";

/// Masks the data of both sides.
pub(super) fn mask(live: Option<&mut Value>, merged: Option<&mut Value>) {
    let data = |object: &Option<&mut Value>, key: &str| object.as_ref().and_then(|o| o["data"].get(key).cloned());
    let keys: Vec<String> = [&live, &merged]
        .into_iter()
        .flatten()
        .flat_map(|o| o["data"].as_object().into_iter().flatten().map(|(k, _)| k.clone()))
        .collect();
    let changed: Vec<(String, bool)> = keys
        .into_iter()
        .map(|key| {
            let (before, after) = (data(&live, &key), data(&merged, &key));
            let changed = before.is_some() && after.is_some() && before != after;
            (key, changed)
        })
        .collect();
    for (object, text) in [(live, BEFORE), (merged, AFTER)] {
        let Some(object) = object else { continue };
        for (key, changed) in &changed {
            if let Some(value) = object["data"].get_mut(key) {
                *value = if *changed { text } else { SAME }.into();
            }
        }
        if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut)
            && let Some(applied) = annotations.get_mut(crate::apply::LAST_APPLIED)
        {
            *applied = SAME.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_differences_show() {
        let mut live = json!({"data": {"a": "1", "b": "1", "gone": "1"}});
        let mut merged = json!({"data": {"a": "1", "b": "2", "new": "1"}});
        mask(Some(&mut live), Some(&mut merged));
        assert_eq!(live["data"], json!({"a": SAME, "b": BEFORE, "gone": SAME}));
        assert_eq!(merged["data"], json!({"a": SAME, "b": AFTER, "new": SAME}));
    }
}
