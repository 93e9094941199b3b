//! Whether an applied configuration fits the schema, with upstream's words if not.
//!
//! Upstream: `structured-merge-diff/typed/validate.go`.

use super::element::Element;
use super::place::{Form, Keys, Place, Scalar, Whole};
use apimachinery::go::{Plain, quoted};
use apimachinery::{Map, Value};
use std::collections::BTreeSet;
use std::fmt;

/// What does not fit at one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    path: String,
    what: String,
}

/// All that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfits(Vec<Misfit>);

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.is_empty() {
            true => f.write_str(&self.what),
            false => write!(f, "{}: {}", self.path, self.what),
        }
    }
}

impl fmt::Display for Misfits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => one.fmt(f),
            many => {
                f.write_str("errors:")?;
                many.iter().try_for_each(|misfit| write!(f, "\n  {misfit}"))
            }
        }
    }
}

/// Checks a value.
pub(super) fn check(place: Place<'_>, value: &Value) -> Result<(), Misfits> {
    let mut checker = Checker { path: Vec::new(), misfits: Vec::new() };
    checker.value(place, value);
    match checker.misfits.is_empty() {
        true => Ok(()),
        false => Err(Misfits(checker.misfits)),
    }
}

struct Checker {
    path: Vec<Element>,
    misfits: Vec<Misfit>,
}

impl Checker {
    fn value(&mut self, place: Place<'_>, value: &Value) {
        if value.is_null() {
            return;
        }
        match (place.form(Some(value)), value) {
            (Form::Scalar(scalar), value) => self.scalar(scalar, value),
            (Form::Object | Form::Atomic(Whole::Object), Value::Object(map)) => self.members(place, map),
            (Form::List(keys), Value::Array(list)) => self.elements(place, keys, list),
            (Form::Atomic(Whole::List), Value::Array(list)) => {
                for (index, item) in (0..).zip(list) {
                    self.below(Element::Index(index), place.element(), item);
                }
            }
            (Form::Object | Form::Atomic(Whole::Object), other) => {
                self.report(format!("expected map, got &{{{}}}", Plain(other)));
            }
            (Form::List(_) | Form::Atomic(Whole::List), other) => {
                self.report(format!("expected list, got &{{{}}}", Plain(other)));
            }
        }
    }

    fn scalar(&mut self, scalar: Scalar, value: &Value) {
        let what = match (scalar, value) {
            (Scalar::Numeric, Value::Number(_))
            | (Scalar::Text, Value::String(_))
            | (Scalar::Boolean, Value::Bool(_))
            | (Scalar::Any, Value::Number(_) | Value::String(_) | Value::Bool(_)) => return,
            (Scalar::Numeric, value) => format!("expected numeric (int or float), got {}", go_type(value)),
            (Scalar::Text, value) => {
                format!("expected string, got &value.valueUnstructured{{Value:{}}}", go_syntax(value))
            }
            (Scalar::Boolean, value) => format!("expected boolean, got &{{{}}}", Plain(value)),
            (Scalar::Any, value) => format!("expected any scalar, got &{{{}}}", Plain(value)),
        };
        self.report(what);
    }

    fn members(&mut self, place: Place<'_>, map: &Map) {
        for (name, value) in map {
            match place.member(name) {
                Some((member, _)) => self.below(Element::field(name), member, value),
                None => {
                    self.path.push(Element::field(name));
                    self.report("field not declared in schema".to_owned());
                    self.path.pop();
                    // Upstream looks at no further member.
                    return;
                }
            }
        }
    }

    fn elements<'a>(&mut self, place: Place<'a>, keys: Keys<'a>, list: &[Value]) {
        let mut seen = BTreeSet::new();
        for (index, item) in list.iter().enumerate() {
            match place.identify(keys, item) {
                Ok(element) => {
                    if !seen.insert(element.clone()) {
                        self.report(format!("duplicate entries for key {element}"));
                    }
                    self.below(element, place.element(), item);
                }
                Err(error) => return self.report(format!("element {index}: {error}")),
            }
        }
    }

    fn below(&mut self, element: Element, place: Place<'_>, value: &Value) {
        self.path.push(element);
        self.value(place, value);
        self.path.pop();
    }

    fn report(&mut self, what: String) {
        let path = self.path.iter().map(ToString::to_string).collect();
        self.misfits.push(Misfit { path, what });
    }
}

/// A value as Go's `%#v` prints it.
fn go_syntax(value: &Value) -> String {
    match value {
        Value::Array(list) => {
            format!("[]interface {{}}{{{}}}", list.iter().map(go_syntax).collect::<Vec<_>>().join(", "))
        }
        Value::Object(map) => {
            let members: Vec<String> =
                map.iter().map(|(name, value)| format!("{}:{}", quoted(name), go_syntax(value))).collect();
            format!("map[string]interface {{}}{{{}}}", members.join(", "))
        }
        Value::Null => "interface {}(nil)".into(),
        Value::String(text) => quoted(text),
        other => Plain(other).to_string(),
    }
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{place, ty};
    use super::*;
    use serde_json::json;

    #[test]
    fn says_what_does_not_fit() {
        let ty = ty("apps", "v1", "Deployment");
        for (object, want) in [
            (json!({"spec": {"unknownField": 1}}), ".spec.unknownField: field not declared in schema"),
            (json!({"spec": {"replicas": "x"}}), ".spec.replicas: expected numeric (int or float), got string"),
            (
                json!({"spec": {"template": {"spec": {"nodeName": 5}}}}),
                ".spec.template.spec.nodeName: expected string, got &value.valueUnstructured{Value:5}",
            ),
            (json!({"spec": {"paused": "x"}}), ".spec.paused: expected boolean, got &{x}"),
            (json!({"spec": []}), ".spec: expected map, got &{[]}"),
            (
                json!({"spec": {"template": {"spec": {"containers": {"a": 1}}}}}),
                ".spec.template.spec.containers: expected list, got &{map[a:1]}",
            ),
            (
                json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "env": [{"name": "X"}, {"name": "X"}]}]}}}}),
                ".spec.template.spec.containers[name=\"a\"].env: duplicate entries for key [name=\"X\"]",
            ),
            (
                json!({"spec": {"template": {"spec": {"containers": [{}, {"image": "i"}]}}}}),
                ".spec.template.spec.containers: duplicate entries for key [name=\"\"]",
            ),
            (
                json!({"metadata": {"nonsense": 1}, "spec": {"nonsense": 1}}),
                "errors:\n  .metadata.nonsense: field not declared in schema\n  .spec.nonsense: field not declared in \
                 schema",
            ),
        ] {
            let shape = ty.1.clone();
            let got = check(place(&ty.0, &shape), &object).expect_err("a misfit");
            assert_eq!(got.to_string(), want);
        }
    }

    #[test]
    fn takes_what_fits() {
        let ty = ty("", "v1", "Pod");
        let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": null},
            "spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": 1, "memory": "1Gi"}},
                "livenessProbe": {"httpGet": {"port": "web"}}}]}});
        assert_eq!(check(place(&ty.0, &ty.1), &object), Ok(()));
    }
}
