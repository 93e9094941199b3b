//! Laying an applied configuration over an object.
//!
//! Upstream: `structured-merge-diff/typed/merge.go`.

use super::element::Element;
use super::place::{Form, KeyError, Keys, Place};
use apimachinery::{Map, Value};
use std::collections::BTreeMap;

/// The live value with all that the configuration names; `null` in the configuration takes
/// scalars and atomic values away.
pub(super) fn merge(place: Place<'_>, live: Option<Value>, config: &Value) -> Result<Value, KeyError> {
    let is_bare = |value: &Value| match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    match (place.form(Some(config)), live) {
        (Form::Object | Form::List(_), live) if is_bare(config) && live.as_ref().is_none_or(is_bare) => {
            Ok(config.clone())
        }
        (Form::Object, live) => {
            let live = match live {
                Some(Value::Object(map)) => map,
                _ => Map::new(),
            };
            members(place, live, config.as_object()).map(Value::Object)
        }
        (Form::List(keys), live) => {
            let live = match live {
                Some(Value::Array(list)) => list,
                _ => Vec::new(),
            };
            elements(place, keys, live, config.as_array().map(Vec::as_slice).unwrap_or_default()).map(Value::Array)
        }
        _ => Ok(config.clone()),
    }
}

fn members(place: Place<'_>, mut live: Map, config: Option<&Map>) -> Result<Map, KeyError> {
    for (name, value) in config.into_iter().flatten() {
        if let Some((member, _)) = place.member(name) {
            let merged = merge(member, live.remove(name), value)?;
            live.insert(name.clone(), merged);
        }
    }
    Ok(live)
}

/// Weaves two lists: the configuration's order holds for what it names, and other live elements
/// stay between the neighbours that they had.
fn elements<'a>(place: Place<'a>, keys: Keys<'a>, live: Vec<Value>, config: &[Value]) -> Result<Vec<Value>, KeyError> {
    let named =
        config.iter().map(|item| Ok((place.identify(keys, item)?, item))).collect::<Result<Vec<_>, KeyError>>()?;
    let order: BTreeMap<&Element, usize> = named.iter().enumerate().map(|(at, (element, _))| (element, at)).collect();
    let live = live.into_iter().map(|item| Ok((place.identify(keys, &item)?, item)));
    let live = live.collect::<Result<Vec<(Element, Value)>, KeyError>>()?;
    let mut counts: BTreeMap<&Element, usize> = BTreeMap::new();
    live.iter().for_each(|(element, _)| *counts.entry(element).or_default() += 1);
    // Repeated live elements are not merged, the configuration's replaces them.
    let repeated: Vec<bool> = live.iter().map(|(element, _)| counts[element] > 1).collect();
    let mut weave = Weave { place, shared: shared_order(&named, &counts), next: 0, out: Vec::new() };
    let mut mergeable: BTreeMap<usize, Value> = BTreeMap::new();
    let mut steps = Vec::with_capacity(live.len());
    for ((element, item), is_repeated) in live.into_iter().zip(repeated) {
        match order.get(&element) {
            Some(at) => {
                if !is_repeated {
                    mergeable.insert(*at, item);
                }
                steps.push(Live::Named(*at));
            }
            None => steps.push(Live::Other(item)),
        }
    }
    weave.run(steps, &named, mergeable)?;
    Ok(weave.out)
}

/// Indices of the named elements that are live, in the configuration's order.
fn shared_order(named: &[(Element, &Value)], live: &BTreeMap<&Element, usize>) -> Vec<usize> {
    named.iter().enumerate().filter(|(_, (element, _))| live.contains_key(element)).map(|(at, _)| at).collect()
}

/// A live element in its place.
enum Live {
    /// The configuration names it; its index there.
    Named(usize),
    Other(Value),
}

struct Weave<'a> {
    place: Place<'a>,
    /// Named elements that are live, too.
    shared: Vec<usize>,
    /// The first of them that has not been taken.
    next: usize,
    out: Vec<Value>,
}

impl Weave<'_> {
    fn run(
        &mut self,
        live: Vec<Live>,
        named: &[(Element, &Value)],
        mut mergeable: BTreeMap<usize, Value>,
    ) -> Result<(), KeyError> {
        let mut live = live.into_iter().peekable();
        let mut taken = 0;
        while live.peek().is_some() || taken < named.len() {
            match live.peek() {
                Some(Live::Named(at)) if *at == taken && taken < named.len() => {
                    live.next();
                }
                // Live, but not the one whose turn it is.
                Some(Live::Named(at)) if taken < named.len() && self.turn().is_some_and(|turn| turn != *at) => {
                    live.next();
                    continue;
                }
                Some(Live::Other(_)) => {
                    if let Some(Live::Other(item)) = live.next() {
                        self.out.push(item);
                    }
                    continue;
                }
                Some(Live::Named(at)) if *at < taken => {
                    live.next();
                    if taken >= named.len() {
                        continue;
                    }
                }
                _ => {}
            }
            let Some((_, config)) = named.get(taken) else { continue };
            let merged = merge(self.place.element(), mergeable.remove(&taken), config)?;
            self.out.push(merged);
            if self.turn() == Some(taken) {
                self.next += 1;
            }
            taken += 1;
        }
        Ok(())
    }

    fn turn(&self) -> Option<usize> {
        self.shared.get(self.next).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{place, ty};
    use super::*;
    use serde_json::json;

    fn finalizers(live: &[&str], config: &[&str]) -> Vec<String> {
        let ty = ty("", "v1", "ConfigMap");
        let object = |list: &[&str]| json!({"metadata": {"finalizers": list}});
        let merged = merge(place(&ty.0, &ty.1), Some(object(live)), &object(config)).expect("strings");
        let list = merged["metadata"]["finalizers"].as_array().expect("a list");
        list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    #[test]
    fn lists_are_woven() {
        for (live, config, want) in [
            (&["a", "b"][..], &["c"][..], &["a", "b", "c"][..]),
            (&["a", "b", "c"], &["b"], &["a", "b", "c"]),
            (&["a", "b", "c"], &["c", "a"], &["b", "c", "a"]),
            (&["a", "b", "c"], &["d", "b"], &["a", "d", "b", "c"]),
            (&[], &["a", "b"], &["a", "b"]),
            (&["x", "a", "y", "b", "z"], &["b", "a"], &["x", "y", "b", "z", "a"]),
        ] {
            assert_eq!(finalizers(live, config), want, "{live:?} and {config:?}");
        }
    }

    #[test]
    fn objects_merge_and_atoms_are_replaced() {
        let ty = ty("apps", "v1", "Deployment");
        let live = json!({"spec": {"replicas": 1, "paused": true, "selector": {"matchLabels": {"a": "b", "c": "d"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "1", "args": ["x"]}]}}}});
        let config = json!({"spec": {"replicas": 2, "selector": {"matchLabels": {"a": "z"}},
            "template": {"metadata": {"labels": {"x": "y"}}, "spec": {"containers": [{"name": "a", "args": ["y"]}, {"name": "b"}]}}}});
        let want = json!({"spec": {"replicas": 2, "paused": true, "selector": {"matchLabels": {"a": "z"}},
            "template": {"metadata": {"labels": {"a": "b", "x": "y"}},
                "spec": {"containers": [{"name": "a", "image": "1", "args": ["y"]}, {"name": "b"}]}}}});
        assert_eq!(merge(place(&ty.0, &ty.1), Some(live), &config), Ok(want));
    }

    #[test]
    fn empty_and_null_differ_from_absent() {
        let ty = ty("", "v1", "ConfigMap");
        for (live, config, want) in [
            (json!({}), json!({"data": {}}), json!({"data": {}})),
            (json!({"data": {"a": "b"}}), json!({"data": {}}), json!({"data": {"a": "b"}})),
            (json!({"data": {"a": "b"}}), json!({"data": null}), json!({"data": {"a": "b"}})),
            (json!({"immutable": true}), json!({"immutable": null}), json!({"immutable": null})),
            (json!({}), json!({"data": null}), json!({"data": null})),
        ] {
            assert_eq!(merge(place(&ty.0, &ty.1), Some(live), &config), Ok(want), "{config}");
        }
    }
}
