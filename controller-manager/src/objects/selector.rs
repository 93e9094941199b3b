//! Label selectors on typed objects.

use super::StringMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

/// A selector that is known to be well-formed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selector {
    equal: StringMap,
    expressions: Vec<Expression>,
}

#[derive(Clone, Debug, PartialEq)]
struct Expression {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
}

/// A selector that nothing can be selected with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operator:?} is not a valid label selector operator")]
pub struct BadOperator {
    /// What stands in its place.
    pub operator: String,
}

impl Selector {
    /// From the API's form.
    pub fn new(selector: &LabelSelector) -> Result<Self, BadOperator> {
        let expressions = selector.match_expressions.iter().flatten().map(expression).collect::<Result<_, _>>()?;
        Ok(Self { equal: selector.match_labels.clone().unwrap_or_default(), expressions })
    }

    /// All of these labels.
    pub fn labels(labels: &StringMap) -> Self {
        Self { equal: labels.clone(), expressions: Vec::new() }
    }

    /// Whether it has no requirement, and so selects everything.
    pub fn is_empty(&self) -> bool {
        self.equal.is_empty() && self.expressions.is_empty()
    }

    /// Whether these labels fulfil every requirement.
    pub fn matches(&self, labels: Option<&StringMap>) -> bool {
        let get = |key: &str| labels.and_then(|labels| labels.get(key));
        self.equal.iter().all(|(key, value)| get(key) == Some(value))
            && self.expressions.iter().all(|expression| expression.test.holds(get(&expression.key)))
    }
}

impl Test {
    fn holds(&self, value: Option<&String>) -> bool {
        match self {
            Self::In(values) => value.is_some_and(|value| values.contains(value)),
            Self::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Self::Exists => value.is_some(),
            Self::DoesNotExist => value.is_none(),
        }
    }
}

fn expression(requirement: &LabelSelectorRequirement) -> Result<Expression, BadOperator> {
    let values = || requirement.values.clone().unwrap_or_default();
    let test = match requirement.operator.as_str() {
        "In" => Test::In(values()),
        "NotIn" => Test::NotIn(values()),
        "Exists" => Test::Exists,
        "DoesNotExist" => Test::DoesNotExist,
        other => return Err(BadOperator { operator: other.to_owned() }),
    };
    Ok(Expression { key: requirement.key.clone(), test })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn matches(selector: Value, labels: Value) -> bool {
        let selector: LabelSelector = serde_json::from_value(selector).unwrap();
        let labels: StringMap = serde_json::from_value(labels).unwrap();
        Selector::new(&selector).unwrap().matches(Some(&labels))
    }

    #[test]
    fn requirements() {
        let expression = |operator: &str, values: &[&str]| json!({"matchExpressions": [{"key": "a", "operator": operator, "values": values}]});
        let table = [
            (json!({}), json!({"a": "1"}), true),
            (json!({"matchLabels": {"a": "1"}}), json!({"a": "1", "b": "2"}), true),
            (json!({"matchLabels": {"a": "1"}}), json!({"a": "2"}), false),
            (expression("In", &["1", "2"]), json!({"a": "2"}), true),
            (expression("In", &["1"]), json!({}), false),
            (expression("NotIn", &["1"]), json!({}), true),
            (expression("NotIn", &["1"]), json!({"a": "1"}), false),
            (expression("Exists", &[]), json!({"a": ""}), true),
            (expression("DoesNotExist", &[]), json!({"a": ""}), false),
        ];
        for (selector, labels, expected) in table {
            assert_eq!(matches(selector.clone(), labels.clone()), expected, "{selector} on {labels}");
        }
    }

    #[test]
    fn an_unknown_operator_is_refused() {
        let selector = serde_json::from_value(json!({"matchExpressions": [{"key": "a", "operator": "Like"}]})).unwrap();
        assert_eq!(Selector::new(&selector), Err(BadOperator { operator: "Like".into() }));
    }
}
