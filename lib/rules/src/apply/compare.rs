//! What differs between two states of an object, as sets of fields.
//!
//! Upstream: `structured-merge-diff/typed/compare.go`. There both states are Go structs, whose
//! members without a pointer are never absent; [`Place::zero`] stands in for those.

use super::element::Element;
use super::place::{Form, KeyError, Keys, Place};
use super::set::{FieldSet, Node};
use apimachinery::codec::fields::values;
use apimachinery::{Map, Value};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The fields in which two states differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// In the second state only.
    pub added: FieldSet,
    /// In both, with other values.
    pub modified: FieldSet,
    /// In the first state only.
    pub removed: FieldSet,
}

impl Changes {
    /// Whether the states are the same.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    /// What the second state has and the first has not, or not so.
    pub fn into_set(self) -> FieldSet {
        self.added.union(self.modified)
    }
}

/// Compares two states of an object.
pub(super) fn compare(place: Place<'_>, old: &Value, new: &Value) -> Result<Changes, KeyError> {
    let (mut found, nothing) = (Branches::default(), Map::new());
    let (old, new) = (old.as_object().unwrap_or(&nothing), new.as_object().unwrap_or(&nothing));
    members(place, Some(old), Some(new), &mut found)?;
    Ok(found.below)
}

/// What was found at a place: about the path itself, and below it.
#[derive(Default)]
struct Branches {
    itself: Option<Change>,
    below: Changes,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Added,
    Modified,
    Removed,
}

impl Branches {
    /// Hangs what was found at an element below.
    fn hang(&mut self, element: Element, found: Branches) {
        let Changes { added, modified, removed } = found.below;
        for (set, below, change) in [
            (&mut self.below.added, added, Change::Added),
            (&mut self.below.modified, modified, Change::Modified),
            (&mut self.below.removed, removed, Change::Removed),
        ] {
            let is_member = found.itself == Some(change);
            if is_member || !below.is_empty() {
                set.push(Node { element: element.clone(), is_member, below });
            }
        }
    }
}

/// Compares two values at a place, of which at least one is there.
fn visit(place: Place<'_>, old: Option<&Value>, new: Option<&Value>) -> Result<Branches, KeyError> {
    let mut found = Branches::default();
    // `null` takes the form of what it is compared with.
    let form = |one: Option<&Value>, other: Option<&Value>| place.form(one.filter(|v| !v.is_null()).or(other));
    let is_leaf = match (form(old, new), form(new, old)) {
        (Form::Object, Form::Object) => below_object(place, old, new, &mut found)?,
        (Form::List(keys), Form::List(_)) => below_list(place, keys, old, new, &mut found)?,
        // Where anything may stand, what stood there goes with all that is below it.
        (Form::Object, _) => below_object(place, old, None, &mut found).map(|_| true)?,
        (_, Form::Object) => below_object(place, None, new, &mut found).map(|_| true)?,
        _ => true,
    };
    found.itself = match (old, new) {
        (None, _) => Some(Change::Added),
        (_, None) => Some(Change::Removed),
        (Some(old), Some(new)) if is_leaf && !same(old, new) => Some(Change::Modified),
        _ => None,
    };
    Ok(found)
}

/// Answers whether both are without members, so that the object itself is the leaf.
fn below_object(
    place: Place<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
    found: &mut Branches,
) -> Result<bool, KeyError> {
    let (old, new) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
    members(place, old, new, found)?;
    Ok(old.is_none_or(Map::is_empty) && new.is_none_or(Map::is_empty))
}

/// Compares the members of two objects in the order of their names.
fn members(place: Place<'_>, old: Option<&Map>, new: Option<&Map>, found: &mut Branches) -> Result<(), KeyError> {
    let (has_old, has_new) = (old.is_some(), new.is_some());
    let (mut old, mut new) = (old.into_iter().flatten().peekable(), new.into_iter().flatten().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        let before = if order.is_le() { old.next() } else { None };
        let after = if order.is_ge() { new.next() } else { None };
        let Some((name, _)) = before.or(after) else { return Ok(()) };
        let Some((member, _)) = place.member(name) else { continue };
        let inner = match (before.map(|(_, value)| value), after.map(|(_, value)| value)) {
            (Some(before), Some(after)) if before == after => continue,
            (Some(before), None) if has_new && member.is_zero(before) => continue,
            (None, Some(after)) if has_old && member.is_zero(after) => continue,
            // Only an object that is there has zero members.
            (before, after) => {
                let zero = |is_there: bool| if is_there { member.zero() } else { None };
                visit(member, before.or(zero(has_old)), after.or(zero(has_new)))?
            }
        };
        found.hang(Element::field(name), inner);
    }
}

/// Answers whether both are without elements, so that the list itself is the leaf.
fn below_list<'a>(
    place: Place<'a>,
    keys: Keys<'a>,
    old: Option<&Value>,
    new: Option<&Value>,
    found: &mut Branches,
) -> Result<bool, KeyError> {
    let mut pairs: BTreeMap<Element, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
    for item in old.and_then(Value::as_array).into_iter().flatten() {
        pairs.entry(place.identify(keys, item)?).or_default().0.push(item);
    }
    for item in new.and_then(Value::as_array).into_iter().flatten() {
        pairs.entry(place.identify(keys, item)?).or_default().1.push(item);
    }
    let is_empty = pairs.is_empty();
    for (element, (old, new)) in pairs {
        pair(place.element(), element, &old, &new, found)?;
    }
    Ok(is_empty)
}

/// Compares the elements of one key. Lists that repeat a key are not valid and exist; their
/// repeated elements are owned as one.
fn pair(
    place: Place<'_>,
    element: Element,
    old: &[&Value],
    new: &[&Value],
    found: &mut Branches,
) -> Result<(), KeyError> {
    let as_one = |change| Branches { itself: Some(change), below: Changes::default() };
    let (one_before, one_after) = (old.first().copied(), new.first().copied());
    match (old.len(), new.len()) {
        _ if old == new => {}
        (..=1, ..=1) => found.hang(element, visit(place, one_before, one_after)?),
        (2.., 2..) => found.hang(element, as_one(Change::Modified)),
        (2.., _) => {
            if one_after.is_some() {
                found.hang(element.clone(), visit(place, None, one_after)?);
            }
            found.hang(element, as_one(Change::Removed));
        }
        _ => {
            if one_before.is_some() {
                found.hang(element.clone(), visit(place, one_before, None)?);
            }
            found.hang(element, as_one(Change::Added));
        }
    }
    Ok(())
}

/// Whether two leaves are the same; `1` and `1.0` are.
fn same(old: &Value, new: &Value) -> bool {
    old == new || old.is_number() && new.is_number() && values(old, new) == Ordering::Equal
}

#[cfg(test)]
mod tests {
    use super::super::fields::encode;
    use super::super::testing::{place, ty};
    use super::*;
    use serde_json::json;

    fn changes(kind: (&str, &str), old: &Value, new: &Value) -> (Value, Value, Value) {
        let ty = ty(kind.0, "v1", kind.1);
        let Changes { added, modified, removed } = compare(place(&ty.0, &ty.1), old, new).expect("keys");
        (encode(&added), encode(&modified), encode(&removed))
    }

    #[test]
    fn a_new_object_adds_what_its_type_can_leave_out() {
        let new = json!({"metadata": {"labels": {"a": "b"}}, "status": {},
            "spec": {"replicas": 1, "minReadySeconds": 0, "selector": {"matchLabels": {"a": "b"}},
                "strategy": {"type": "Recreate"},
                "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [
                    {"name": "c", "image": "i", "resources": {}, "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}}}});
        let (added, modified, removed) = changes(("apps", "Deployment"), &json!({}), &new);
        let want = json!({"f:metadata": {"f:labels": {".": {}, "f:a": {}}},
            "f:spec": {"f:replicas": {}, "f:minReadySeconds": {}, "f:strategy": {"f:type": {}},
                "f:template": {"f:metadata": {"f:labels": {".": {}, "f:a": {}}}, "f:spec": {"f:containers": {
                    "k:{\"name\":\"c\"}": {".": {}, "f:name": {}, "f:image": {}, "f:resources": {}, "f:ports": {".": {},
                        "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}, "f:protocol": {}}}}}}}}});
        // Without one there is `null`, which changes.
        let changed = json!({"f:spec": {"f:selector": {}}});
        assert_eq!((added, modified, removed), (want, changed, json!({})));
    }

    #[test]
    fn finds_what_differs() {
        let old = json!({"data": {"a": "1", "b": "2"}, "metadata": {"finalizers": ["x", "y"]}});
        let new = json!({"data": {"a": "3", "c": "4"}, "metadata": {"finalizers": ["y", "z"]}, "immutable": true});
        let (added, modified, removed) = changes(("", "ConfigMap"), &old, &new);
        assert_eq!(
            added,
            json!({"f:data": {"f:c": {}}, "f:immutable": {}, "f:metadata": {"f:finalizers": {"v:\"z\"": {}}}})
        );
        assert_eq!(modified, json!({"f:data": {"f:a": {}}}));
        assert_eq!(removed, json!({"f:data": {"f:b": {}}, "f:metadata": {"f:finalizers": {"v:\"x\"": {}}}}));
    }

    #[test]
    fn emptied_lists_and_maps_lose_their_elements() {
        let (_, _, removed) =
            changes(("", "ConfigMap"), &json!({"data": {"a": "1"}}), &json!({"metadata": {"name": "x"}}));
        assert_eq!(removed, json!({"f:data": {".": {}, "f:a": {}}}));
        let (added, modified, removed) = changes(("", "ConfigMap"), &json!({"data": {"a": "1"}}), &json!({"data": {}}));
        assert_eq!((added, modified, removed), (json!({}), json!({}), json!({"f:data": {"f:a": {}}})));
    }

    #[test]
    fn repeated_elements_change_as_one() {
        let pod = |env: Value| json!({"spec": {"containers": [{"name": "a", "env": env}]}});
        let (one, two) =
            (json!([{"name": "X", "value": "1"}]), json!([{"name": "X", "value": "1"}, {"name": "X", "value": "2"}]));
        let at = |fields: &Value| fields.pointer("/f:spec/f:containers/k:{\"name\":\"a\"}/f:env").cloned();
        let (added, _, removed) = changes(("", "Pod"), &pod(one.clone()), &pod(two.clone()));
        let whole = json!({"k:{\"name\":\"X\"}": {".": {}, "f:name": {}, "f:value": {}}});
        let bare = json!({"k:{\"name\":\"X\"}": {}});
        assert_eq!((at(&added), at(&removed)), (Some(bare.clone()), Some(whole.clone())));
        let (added, _, removed) = changes(("", "Pod"), &pod(two.clone()), &pod(one));
        assert_eq!((at(&added), at(&removed)), (Some(whole), Some(bare)));
        let (added, modified, removed) = changes(("", "Pod"), &pod(two.clone()), &pod(two));
        assert_eq!((added, modified, removed), (json!({}), json!({}), json!({})));
    }
}
