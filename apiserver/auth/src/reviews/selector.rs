//! The selectors of a review: as text or as requirements. Requirements that are not understood are
//! left out, which asks for more and is therefore safe.

use super::strings;
use apimachinery::Value;
use apimachinery::field::{FieldError, FieldErrorKind, Path};
use apimachinery::selector::{
    FieldSelector, FieldTerm, LabelSelector, Operator, Requirement, label_key_errors, label_value_errors,
};

/// What could be read of a selector.
pub(super) struct Parsed<T> {
    pub(super) selector: Option<T>,
    pub(super) is_complete: bool,
}

/// The `fieldSelector` of resource attributes.
pub(super) fn fields(resource: &Value) -> Parsed<FieldSelector> {
    let parse = |text: &str| FieldSelector::parse(text).ok();
    read(resource.get("fieldSelector"), parse, field_term, |terms| FieldSelector { terms })
}

/// The `labelSelector` of resource attributes.
pub(super) fn labels(resource: &Value) -> Parsed<LabelSelector> {
    let parse = |text: &str| LabelSelector::parse(text).ok();
    read(resource.get("labelSelector"), parse, requirement, |requirements| LabelSelector { requirements })
}

fn read<T, R>(
    selector: Option<&Value>,
    parse: impl Fn(&str) -> Option<T>,
    one: impl Fn(&Value) -> Option<R>,
    all: impl Fn(Vec<R>) -> T,
) -> Parsed<T> {
    let Some(selector) = selector.filter(|s| !s.is_null()) else { return Parsed { selector: None, is_complete: true } };
    if let Some(text) = selector.get("rawSelector").and_then(Value::as_str).filter(|t| !t.is_empty()) {
        let selector = parse(text);
        return Parsed { is_complete: selector.is_some(), selector };
    }
    let listed: Vec<&Value> = selector.get("requirements").and_then(Value::as_array).into_iter().flatten().collect();
    let read: Vec<R> = listed.iter().filter_map(|r| one(r)).collect();
    Parsed { is_complete: read.len() == listed.len(), selector: (!read.is_empty()).then(|| all(read)) }
}

fn field_term(requirement: &Value) -> Option<FieldTerm> {
    let [value] = strings(requirement.get("values")).try_into().ok()?;
    let negated = match requirement.get("operator").and_then(Value::as_str)? {
        "In" => false,
        "NotIn" => true,
        _ => return None,
    };
    Some(FieldTerm { field: requirement.get("key")?.as_str()?.to_owned(), value, negated })
}

fn requirement(requirement: &Value) -> Option<Requirement> {
    let values = strings(requirement.get("values"));
    let operator = match requirement.get("operator").and_then(Value::as_str)? {
        "In" if !values.is_empty() => Operator::In(values),
        "NotIn" if !values.is_empty() => Operator::NotIn(values),
        "Exists" if values.is_empty() => Operator::Exists,
        "DoesNotExist" if values.is_empty() => Operator::DoesNotExist,
        _ => return None,
    };
    Some(Requirement { key: requirement.get("key")?.as_str()?.to_owned(), operator })
}

/// What is wrong with how a selector is given; `is_label` tells those of labels from those of fields.
pub(super) fn errors(selector: Option<&Value>, path: &Path, is_label: bool) -> Vec<FieldError> {
    let Some(selector) = selector.filter(|s| !s.is_null()) else { return Vec::new() };
    let raw = selector.get("rawSelector").and_then(Value::as_str).unwrap_or_default();
    let listed = selector.get("requirements").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut errors = Vec::new();
    let mut found = |path: Path, kind| errors.push(FieldError { path, kind });
    match (raw.is_empty(), listed.is_empty()) {
        (false, false) => {
            let detail = "may not specified at the same time as requirements".to_owned();
            found(path.child("rawSelector"), FieldErrorKind::Invalid(format!("{raw:?}"), detail));
        }
        (true, true) => {
            let detail = format!("when {path} is specified, requirements or rawSelector is required");
            found(path.child("requirements"), FieldErrorKind::Required(detail));
        }
        _ => {}
    }
    for (index, requirement) in listed.iter().enumerate() {
        let path = path.child("requirements").index(index);
        match is_label {
            true => label_errors(&path, requirement, &mut found),
            false => field_errors(&path, requirement, &mut found),
        }
    }
    errors
}

fn field_errors(path: &Path, requirement: &Value, found: &mut impl FnMut(Path, FieldErrorKind)) {
    if text(requirement, "key").is_empty() {
        found(path.child("key"), FieldErrorKind::Required("must be specified".into()));
    }
    count_errors(path, requirement, found);
}

fn label_errors(path: &Path, requirement: &Value, found: &mut impl FnMut(Path, FieldErrorKind)) {
    count_errors(path, requirement, found);
    let key = text(requirement, "key");
    for finding in label_key_errors(key) {
        found(path.child("key"), FieldErrorKind::Invalid(format!("{key:?}"), finding));
    }
    for (index, value) in strings(requirement.get("values")).iter().enumerate() {
        for finding in label_value_errors(value) {
            found(path.child("values").index(index), FieldErrorKind::Invalid(format!("{value:?}"), finding));
        }
    }
}

/// Operators that are not known here may be so to whom the answer is for.
fn count_errors(path: &Path, requirement: &Value, found: &mut impl FnMut(Path, FieldErrorKind)) {
    let is_empty = requirement.get("values").and_then(Value::as_array).is_none_or(Vec::is_empty);
    let kind = match (text(requirement, "operator"), is_empty) {
        ("In" | "NotIn", true) => {
            FieldErrorKind::Required("must be specified when `operator` is 'In' or 'NotIn'".into())
        }
        ("Exists" | "DoesNotExist", false) => {
            FieldErrorKind::Forbidden("may not be specified when `operator` is 'Exists' or 'DoesNotExist'".into())
        }
        _ => return,
    };
    found(path.child("values"), kind);
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_and_requirements_are_the_same() {
        let raw = fields(&json!({"fieldSelector": {"rawSelector": "spec.nodeName=n1"}}));
        let requirements = json!([{"key": "spec.nodeName", "operator": "In", "values": ["n1"]}]);
        let listed = fields(&json!({"fieldSelector": {"requirements": requirements}}));
        assert!(raw.is_complete && listed.is_complete);
        assert_eq!(raw.selector, listed.selector);
        let raw = labels(&json!({"labelSelector": {"rawSelector": "a in (b)"}}));
        let listed =
            labels(&json!({"labelSelector": {"requirements": [{"key": "a", "operator": "In", "values": ["b"]}]}}));
        assert_eq!(raw.selector, listed.selector);
    }

    #[test]
    fn what_is_not_understood_is_left_out() {
        let one = json!({"key": "a", "operator": "In", "values": ["b"]});
        let odd = json!({"key": "a", "operator": "Near"});
        for (requirements, selector, complete) in
            [(json!([one]), true, true), (json!([one, odd]), true, false), (json!([odd]), false, false)]
        {
            let parsed = fields(&json!({"fieldSelector": {"requirements": requirements}}));
            assert_eq!((parsed.selector.is_some(), parsed.is_complete), (selector, complete), "{requirements}");
        }
        assert!(fields(&json!({})).is_complete);
    }

    #[test]
    fn one_form_is_needed() {
        let path = Path::new("spec.resourceAttributes").child("fieldSelector");
        for (selector, wrong) in [
            (json!({"rawSelector": "a=b"}), false),
            (json!({}), true),
            (json!({"rawSelector": "a=b", "requirements": [{}]}), true),
        ] {
            assert_eq!(!errors(Some(&selector), &path, false).is_empty(), wrong, "{selector}");
        }
        assert!(errors(None, &path, false).is_empty());
    }

    #[test]
    fn requirements_are_whole() {
        let of = |is_label: bool, requirement: Value| -> Vec<String> {
            let selector = json!({"requirements": [requirement]});
            errors(Some(&selector), &Path::new("s"), is_label).iter().map(ToString::to_string).collect()
        };
        let right = json!({"key": "a", "operator": "Near"});
        assert_eq!((of(true, right.clone()), of(false, right)), (vec![], vec![]));
        assert_eq!(of(false, json!({})), ["s.requirements[0].key: Required value: must be specified"]);
        assert_eq!(
            of(false, json!({"key": "a", "operator": "In"})),
            ["s.requirements[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"]
        );
        assert_eq!(
            of(true, json!({"key": "/a", "operator": "Exists", "values": ["b"]})),
            [
                "s.requirements[0].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                "s.requirements[0].key: Invalid value: \"/a\": prefix part must be non-empty",
            ]
        );
    }
}
