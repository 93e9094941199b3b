//! Taking fields out of an object.
//!
//! Upstream: `structured-merge-diff/typed/remove.go`.

use super::element::Element;
use super::place::{Form, Keys, Place};
use super::set::FieldSet;
use apimachinery::{Map, Value};

/// Takes all paths of the set out of a value. What becomes empty stays; atomic values can only be
/// taken out from above.
pub(super) fn remove(place: Place<'_>, value: &mut Value, set: &FieldSet) {
    if set.is_empty() {
        return;
    }
    match (place.form(Some(&*value)), value) {
        (Form::Object, Value::Object(map)) => members(place, map, set),
        (Form::List(keys), Value::Array(list)) => elements(place, keys, list, set),
        _ => {}
    }
}

fn members(place: Place<'_>, map: &mut Map, set: &FieldSet) {
    for node in set.nodes() {
        let Element::Field(name) = &node.element else { continue };
        if node.is_member {
            map.remove(&**name);
        } else if let (Some(value), Some((member, _))) = (map.get_mut(&**name), place.member(name)) {
            remove(member, value, &node.below);
        }
    }
}

fn elements<'a>(place: Place<'a>, keys: Keys<'a>, list: &mut Vec<Value>, set: &FieldSet) {
    list.retain_mut(|item| {
        let node = place.identify(keys, item).ok().and_then(|element| set.get(&element));
        if let Some(node) = node.filter(|node| !node.is_member) {
            remove(place.element(), item, &node.below);
        }
        node.is_none_or(|node| !node.is_member)
    });
}

#[cfg(test)]
mod tests {
    use super::super::fields::decode;
    use super::super::testing::{place, ty};
    use super::*;
    use serde_json::json;

    #[test]
    fn takes_out_members_and_elements() {
        let ty = ty("", "v1", "Pod");
        let mut object = json!({"metadata": {"labels": {"a": "b", "c": "d"}},
            "spec": {"containers": [{"name": "x", "image": "i", "env": [{"name": "E"}]}, {"name": "y"}], "nodeName": "n"}});
        let set = decode(
            &json!({"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:nodeName": {}, "f:containers": {
            "k:{\"name\":\"x\"}": {"f:env": {"k:{\"name\":\"E\"}": {}}}, "k:{\"name\":\"y\"}": {".": {}, "f:name": {}}}}}),
        );
        remove(place(&ty.0, &ty.1), &mut object, &set.expect("a set"));
        let want = json!({"metadata": {"labels": {"c": "d"}}, "spec": {"containers": [{"name": "x", "image": "i", "env": []}]}});
        assert_eq!(object, want);
    }
}
