//! Quotas, disruption budgets, priority classes.
//!
//! Upstream: `kubectl/pkg/cmd/create/create_{quota,pdb,priorityclass}.go`.

use super::{GenerateError, int_or_string};
use crate::cli::generators::{PodDisruptionBudget, PriorityClass, Quota};
use apimachinery::quantity::Quantity;
use apimachinery::selector::{LabelSelector, Operator, Requirement};
use apimachinery::{Map, Value};
use serde_json::json;

/// A resource quota.
pub fn quota(name: &str, flags: &Quota) -> Result<Value, GenerateError> {
    let mut spec = Map::new();
    if !flags.hard.is_empty() {
        spec.insert("hard".into(), Value::Object(quantities(&flags.hard)?));
    }
    if !flags.scopes.is_empty() {
        let scopes: Vec<&str> = flags.scopes.split(',').collect();
        if scopes.contains(&"") {
            return Err(GenerateError::Flags("invalid resource quota scope \"\""));
        }
        spec.insert("scopes".into(), scopes.into());
    }
    Ok(json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}, "spec": spec}))
}

/// `cpu=1,memory=2Gi`.
pub fn quantities(text: &str) -> Result<Map, GenerateError> {
    let mut list = Map::new();
    for pair in text.split(',') {
        let [name, amount] = pair.split('=').collect::<Vec<_>>()[..] else {
            return Err(GenerateError::Value(format!("Invalid argument syntax {pair}, expected <resource>=<value>")));
        };
        let amount: Quantity = amount.parse().map_err(|_| {
            GenerateError::Flags(
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            )
        })?;
        list.insert(name.into(), amount.to_string().into());
    }
    Ok(list)
}

/// A disruption budget.
pub fn disruption_budget(name: &str, flags: &PodDisruptionBudget) -> Result<Value, GenerateError> {
    if flags.selector.is_empty() {
        return Err(GenerateError::Flags("a selector must be specified"));
    }
    let (member, text, wrong) = match (flags.min_available.as_str(), flags.max_unavailable.as_str()) {
        ("", "") => return Err(GenerateError::Flags("one of min-available or max-unavailable must be specified")),
        (min, "") => ("minAvailable", min, "invalid format specified for min-available"),
        ("", max) => ("maxUnavailable", max, "invalid format specified for max-unavailable"),
        _ => return Err(GenerateError::Flags("min-available and max-unavailable cannot be both specified")),
    };
    let digits = text.strip_suffix('%').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(GenerateError::Flags(wrong));
    }
    Ok(json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name},
        "spec": {member: int_or_string(text), "selector": label_selector(&flags.selector)?}}))
}

/// Equality requirements as labels.
pub fn labels(selector: &str) -> Result<Map, GenerateError> {
    let mut labels = Map::new();
    for pair in selector.split(',') {
        let Some((key, value)) = pair.split_once('=').filter(|(key, _)| !key.ends_with('!') && !key.is_empty()) else {
            return Err(GenerateError::Value(format!("unexpected label spec: {selector}")));
        };
        labels.insert(key.into(), value.strip_prefix('=').unwrap_or(value).into());
    }
    Ok(labels)
}

/// A selector as it is typed as the API has it.
fn label_selector(text: &str) -> Result<Value, GenerateError> {
    let selector = LabelSelector::parse(text)
        .map_err(|error| GenerateError::Value(format!("couldn't parse the selector string {text:?}: {error}")))?;
    let (mut labels, mut expressions) = (Map::new(), Vec::new());
    for Requirement { key, operator } in selector.requirements {
        let expression = |operator: &str, values: Vec<String>| match values.is_empty() {
            true => json!({"key": key, "operator": operator}),
            false => json!({"key": key, "operator": operator, "values": values}),
        };
        match operator {
            Operator::In(values) if values.len() == 1 => {
                let value = values.into_iter().next().unwrap_or_default();
                labels.insert(key, value.into());
            }
            Operator::In(values) => expressions.push(expression("In", values)),
            Operator::NotIn(values) => expressions.push(expression("NotIn", values)),
            Operator::Exists => expressions.push(expression("Exists", Vec::new())),
            Operator::DoesNotExist => expressions.push(expression("DoesNotExist", Vec::new())),
            Operator::GreaterThan(_) | Operator::LessThan(_) => {
                let name = if matches!(operator, Operator::LessThan(_)) { "lt" } else { "gt" };
                return Err(GenerateError::Value(format!("{name:?} isn't supported in label selectors")));
            }
        }
    }
    let mut selector = Map::new();
    if !labels.is_empty() {
        selector.insert("matchLabels".into(), labels.into());
    }
    if !expressions.is_empty() {
        selector.insert("matchExpressions".into(), expressions.into());
    }
    Ok(selector.into())
}

/// A priority class.
pub fn priority_class(name: &str, flags: &PriorityClass) -> Value {
    let mut object = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
        "value": flags.value, "preemptionPolicy": flags.preemption_policy});
    if flags.global_default {
        object["globalDefault"] = true.into();
    }
    if !flags.description.is_empty() {
        object["description"] = flags.description.as_str().into();
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_quantities_and_labels() {
        assert_eq!(
            quantities("cpu=1,memory=1024Mi").expect("fine"),
            *json!({"cpu": "1", "memory": "1Gi"}).as_object().expect("a map")
        );
        assert!(quantities("cpu").is_err() && quantities("cpu=x").is_err());
        assert_eq!(labels("a=b,c==d").expect("fine"), *json!({"a": "b", "c": "d"}).as_object().expect("a map"));
        assert!(labels("a!=b").is_err() && labels("a").is_err());
    }
}
