//! Laying a configuration over an object without a record of who manages what, as mutating
//! admission policies do.
//!
//! Upstream: `apiserver/pkg/admission/plugin/policy/mutating/patch/smd.go`.

use super::check::{self, Misfits};
use super::element::Element;
use super::merge;
use super::place::{Declared, Form, KeyError, Place, Whole};
use apimachinery::Value;
use apimachinery::schema::{Shape, TypeRef};

/// Why a configuration cannot be laid over an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverlayError {
    /// It does not fit the type.
    #[error("failed to convert patch object to typed object: {0}")]
    Misfit(Misfits),
    /// It would replace what is owned as a whole, and might take away more than it means to.
    #[error("invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {}", .0.join(", "))]
    Atomic(Vec<String>),
    /// The object's lists cannot be merged with.
    #[error("failed to merge patch: {0}")]
    Merge(KeyError),
}

/// The object with all that the configuration names. The result may not fit its type.
pub fn overlay(ty: &TypeRef, live: Value, config: &Value) -> Result<Value, OverlayError> {
    let shape = Shape::Message(ty.id);
    let place = Place::root(ty, &shape);
    check::check(place, config).map_err(OverlayError::Misfit)?;
    let mut atomics = Vec::new();
    find_atomics(place, config, &mut String::new(), &mut atomics);
    if !atomics.is_empty() {
        return Err(OverlayError::Atomic(atomics));
    }
    merge::merge(place, Some(live), config).map_err(OverlayError::Merge)
}

/// The paths of what is owned as a whole.
fn find_atomics(place: Place<'_>, value: &Value, path: &mut String, found: &mut Vec<String>) {
    match (place.form(Some(value)), value) {
        (form @ (Form::Object | Form::Atomic(Whole::Object)), Value::Object(map)) => {
            if matches!(form, Form::Atomic(_)) {
                found.push(path.clone());
            }
            for (name, value) in map {
                if let Some((member, Declared::ByName)) = place.member(name) {
                    below(&Element::field(name), member, value, path, found);
                }
            }
        }
        (form @ (Form::List(_) | Form::Atomic(Whole::List)), Value::Array(list)) => {
            if matches!(form, Form::Atomic(_)) {
                found.push(path.clone());
            }
            for (index, item) in (0..).zip(list) {
                below(&Element::Index(index), place.element(), item, path, found);
            }
        }
        _ => {}
    }
}

fn below(step: &Element, place: Place<'_>, value: &Value, path: &mut String, found: &mut Vec<String>) {
    let length = path.len();
    path.push_str(&step.to_string());
    find_atomics(place, value, path, found);
    path.truncate(length);
}

#[cfg(test)]
mod tests {
    use super::super::testing::ty;
    use super::*;
    use serde_json::json;

    fn laid(live: Value, config: Value) -> Result<Value, String> {
        overlay(&ty("apps", "v1", "Deployment").0, live, &config).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_named_is_merged() {
        let live =
            json!({"spec": {"paused": true, "template": {"spec": {"containers": [{"name": "a", "image": "x"}]}}}});
        let config = json!({"spec": {"replicas": 3, "template": {"spec": {"containers": [
            {"name": "a", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}]}}}});
        let want = json!({"spec": {"paused": true, "replicas": 3, "template": {"spec": {"containers": [
            {"name": "a", "image": "x", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}]}}}});
        assert_eq!(laid(live, config), Ok(want));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (config, want) in [
            (
                json!({"spec": {"replicaz": 1}}),
                "failed to convert patch object to typed object: .spec.replicaz: field not declared in schema",
            ),
            (
                json!({"spec": {"selector": {"matchLabels": {"a": "b"}}}}),
                "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.selector",
            ),
            (
                json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "args": ["x"]}]}}}}),
                "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: \
                 .spec.template.spec.containers[0].args",
            ),
        ] {
            assert_eq!(laid(json!({}), config), Err(want.into()));
        }
    }
}
