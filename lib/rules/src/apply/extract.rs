//! The set of fields that an applied configuration names.
//!
//! Upstream: `structured-merge-diff/typed/tofieldset.go`.

use super::element::Element;
use super::place::{Declared, Form, Keys, Place};
use super::set::{FieldSet, Node};
use apimachinery::{Map, Value};
use std::collections::BTreeMap;

/// The fields of a value that has been checked; list elements that cannot be told apart are
/// left out.
pub(super) fn fields(place: Place<'_>, value: &Value) -> FieldSet {
    found(place, value).below
}

/// What was found at a place.
#[derive(Default)]
struct Found {
    is_member: bool,
    below: FieldSet,
}

fn found(place: Place<'_>, value: &Value) -> Found {
    match (place.form(Some(value)), value) {
        (Form::Scalar(_) | Form::Atomic(_), _) => Found { is_member: true, below: FieldSet::default() },
        (Form::Object, Value::Object(map)) => Found { is_member: false, below: members(place, map) },
        (Form::List(keys), Value::Array(list)) => Found { is_member: false, below: elements(place, keys, list) },
        _ => Found::default(),
    }
}

fn members(place: Place<'_>, map: &Map) -> FieldSet {
    let nodes = map.iter().filter_map(|(name, value)| {
        let (member, declared) = place.member(name)?;
        let Found { is_member, below } = found(member, value);
        let is_bare = value.is_null() || value.as_object().is_some_and(Map::is_empty);
        let is_member = is_member || is_bare || declared == Declared::AsElement;
        Some(Node { element: Element::field(name), is_member, below })
    });
    nodes.collect()
}

fn elements<'a>(place: Place<'a>, keys: Keys<'a>, list: &[Value]) -> FieldSet {
    let mut counts: BTreeMap<Element, (usize, &Value)> = BTreeMap::new();
    for item in list {
        if let Ok(element) = place.identify(keys, item) {
            counts.entry(element).or_insert((0, item)).0 += 1;
        }
    }
    let nodes = counts.into_iter().map(|(element, (count, item))| {
        // Of repeated elements nobody can say which of them a path below means.
        let below = if count > 1 { FieldSet::default() } else { found(place.element(), item).below };
        Node { element, is_member: true, below }
    });
    nodes.collect()
}

/// The set with all members that the schema lists by name and that have something below.
pub(super) fn with_named(place: Option<Place<'_>>, set: &FieldSet) -> FieldSet {
    let nodes = set.nodes().iter().map(|node| {
        let (inner, is_named) = match (&node.element, place) {
            (Element::Field(name), Some(place)) => match place.member(name) {
                Some((member, declared)) => (Some(member), declared == Declared::ByName && !node.below.is_empty()),
                None => (None, false),
            },
            (Element::Key(_), Some(place)) => (Some(place.element()), false),
            _ => (None, false),
        };
        let is_member = node.is_member || is_named;
        Node { element: node.element.clone(), is_member, below: with_named(inner, &node.below) }
    });
    nodes.collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{place, ty};
    use super::super::{fields::encode, set::FieldSet};
    use super::*;
    use serde_json::json;

    #[test]
    fn configurations_own_what_they_name() {
        let ty = ty("apps", "v1", "Deployment");
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "labels": {"a": "b"}},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "strategy": {},
                "template": {"metadata": {"labels": {"a": "b"}, "annotations": null}, "spec": {"tolerations": [], "containers": [
                    {"name": "web", "image": "x", "args": ["1", "2"], "ports": [{"containerPort": 80}],
                     "resources": {"limits": {"cpu": "1"}}}]}}}});
        let want = json!({"f:apiVersion": {}, "f:kind": {}, "f:metadata": {"f:name": {}, "f:labels": {"f:a": {}}},
            "f:spec": {"f:replicas": {}, "f:selector": {}, "f:strategy": {},
                "f:template": {"f:metadata": {"f:labels": {"f:a": {}}, "f:annotations": {}}, "f:spec": {"f:tolerations": {}, "f:containers": {
                    "k:{\"name\":\"web\"}": {".": {}, "f:name": {}, "f:image": {}, "f:args": {},
                        "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}},
                        "f:resources": {"f:limits": {"f:cpu": {}}}}}}}}});
        assert_eq!(encode(&fields(place(&ty.0, &ty.1), &object)), want);
    }

    #[test]
    fn repeated_elements_are_owned_as_one() {
        let ty = ty("", "v1", "Pod");
        let object = json!({"spec": {"containers": [{"name": "a", "env": [
            {"name": "X", "value": "1"}, {"name": "X", "value": "2"}, {"name": "Y"}]}]}});
        let set = fields(place(&ty.0, &ty.1), &object);
        let env = encode(&set).pointer("/f:spec/f:containers/k:{\"name\":\"a\"}/f:env").cloned();
        assert_eq!(env, Some(json!({"k:{\"name\":\"X\"}": {}, "k:{\"name\":\"Y\"}": {".": {}, "f:name": {}}})));
    }

    #[test]
    fn named_members_join() {
        let ty = ty("apps", "v1", "Deployment");
        let mut set = FieldSet::of_fields(&["spec", "template", "metadata", "labels", "a"]);
        set = with_named(Some(place(&ty.0, &ty.1)), &set);
        for (path, want) in [(&["spec"][..], true), (&["spec", "template", "metadata", "labels"], true)] {
            let path: Vec<Element> = path.iter().copied().map(Element::field).collect();
            assert_eq!(set.has(&path), want);
        }
    }
}
