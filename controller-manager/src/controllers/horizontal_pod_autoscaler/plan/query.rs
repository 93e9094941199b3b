//! Label selectors as text, for queries.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// The selector as a query has it; empty for none.
pub(in super::super) fn text(selector: Option<&LabelSelector>) -> String {
    let Some(selector) = selector else { return String::new() };
    let mut terms: Vec<String> =
        selector.match_labels.iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
    for requirement in selector.match_expressions.iter().flatten() {
        let mut values = requirement.values.clone().unwrap_or_default();
        values.sort_unstable();
        let (key, values) = (&requirement.key, values.join(","));
        terms.push(match requirement.operator.as_str() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.clone(),
        });
    }
    terms.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn all_operators() {
        let selector = serde_json::from_value(json!({"matchLabels": {"a": "1"}, "matchExpressions": [
            {"key": "b", "operator": "In", "values": ["y", "x"]}, {"key": "c", "operator": "NotIn", "values": ["z"]},
            {"key": "d", "operator": "Exists"}, {"key": "e", "operator": "DoesNotExist"}]}))
        .unwrap();
        assert_eq!(text(Some(&selector)), "a=1,b in (x,y),c notin (z),d,!e");
        assert_eq!(text(None), "");
    }
}
