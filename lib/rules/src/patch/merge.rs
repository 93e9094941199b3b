//! Merge patches (RFC 7396): members replace members, `null` removes.

use super::PatchError;
use super::lazy::{self, Members, Node};
use apimachinery::Value;

/// Applies a merge patch, which must be an object.
pub fn apply(mut target: Value, patch: &Value) -> Result<Value, PatchError> {
    if !patch.is_object() {
        return Err(PatchError::Malformed("a merge patch is an object".into()));
    }
    json_patch::merge(&mut target, patch);
    Ok(target)
}

/// The text of an object with a merge patch applied. Both texts are well-formed. A list takes the place of the object;
/// what of it is no object then is for the caller to say.
pub fn apply_to_text(target: &str, patch: &str) -> Result<String, PatchError> {
    let malformed = || PatchError::Malformed("Invalid JSON Patch".into());
    let (Some(mut target), Some(mut patch)) = (Node::of(target), Node::of(patch)) else { return Err(malformed()) };
    if let (Some(members), Some(changes)) = (target.as_object(), patch.as_object()) {
        merge(members, std::mem::take(changes));
        return Ok(lazy::text(Some(&target)));
    }
    patch.as_list().ok_or_else(malformed)?;
    patch.prune();
    Ok(lazy::text(Some(&patch)))
}

fn merge(members: &mut Members, changes: Members) {
    for (name, change) in changes {
        let Some(mut change) = change else {
            members.remove(&name);
            continue;
        };
        match members.get_mut(&name) {
            Some(Some(present)) => merge_into(present, change),
            _ => {
                change.prune();
                members.insert(name, Some(change));
            }
        }
    }
}

/// Upstream keeps the `null`s of a list that takes the place of an object.
fn merge_into(present: &mut Node, mut change: Node) {
    match (present.as_object(), change.as_object()) {
        (Some(members), Some(changes)) => merge(members, std::mem::take(changes)),
        (Some(_), None) => *present = change,
        (None, _) => {
            change.prune();
            *present = change;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The examples of the RFC's appendix that have an object for a patch.
    #[test]
    fn examples_of_the_rfc() {
        for (target, patch, want) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            assert_eq!(apply(target.clone(), &patch), Ok(want), "{target} and {patch}");
        }
        assert!(matches!(apply(json!({}), &json!([])), Err(PatchError::Malformed(_))));
    }

    #[test]
    fn what_a_patch_does_not_reach_stays_as_it_is() {
        let target = r#"{"kind":"K","b":{"z":1.0,"a":{"y":1,"x":2}},"l":[{"z":1,"y":null}]}"#;
        for (patch, want) in [
            (r#"{}"#, r#"{"b":{"z":1.0,"a":{"y":1,"x":2}},"kind":"K","l":[{"z":1,"y":null}]}"#),
            (r#"{"b":{"c":1e3},"l":null}"#, r#"{"b":{"a":{"y":1,"x":2},"c":1e3,"z":1.0},"kind":"K"}"#),
            (
                r#"{"b":{"a":[{"q":null,"p":1}]},"l":[{"q":null,"p":1,"o":2}]}"#,
                r#"{"b":{"a":[{"q":null,"p":1}],"z":1.0},"kind":"K","l":[{"o":2,"p":1}]}"#,
            ),
            (
                r#"{"b":5,"new":{"b":{"c":null},"a":[null]}}"#,
                r#"{"b":5,"kind":"K","l":[{"z":1,"y":null}],"new":{"a":[null],"b":{}}}"#,
            ),
            (r#"[1,{"a":null}]"#, "[1,{}]"),
        ] {
            assert_eq!(apply_to_text(target, patch).as_deref(), Ok(want), "{patch}");
        }
        for patch in ["null", "5", "\"x\""] {
            assert_eq!(apply_to_text(target, patch), Err(PatchError::Malformed("Invalid JSON Patch".into())));
        }
    }
}
