//! Label selectors as text.
//!
//! Upstream: `apimachinery/pkg/apis/meta/v1` (`LabelSelectorAsSelector`), `apimachinery/pkg/labels`.

use apimachinery::Value;
use rules::tree::Tree;

/// A selector of the API as a query has it, in the order of its keys; empty if it selects everything or nothing.
pub(super) fn text(selector: Option<&Value>) -> String {
    let Some(selector) = selector else { return String::new() };
    let pairs = selector.entries("matchLabels").map(|(key, value)| {
        let value = value.as_str().unwrap_or_default();
        (key.to_owned(), format!("{key}={value}"))
    });
    let mut parts: Vec<(String, String)> = pairs.chain(selector.items("matchExpressions").iter().map(part)).collect();
    parts.sort_by(|a, b| a.0.cmp(&b.0));
    parts.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(",")
}

fn part(expression: &Value) -> (String, String) {
    let key = expression.text("key");
    let mut values: Vec<&str> = expression.texts("values").collect();
    values.sort_unstable();
    let values = values.join(",");
    let text = match expression.text("operator") {
        "In" => format!("{key} in ({values})"),
        "NotIn" => format!("{key} notin ({values})"),
        "DoesNotExist" => format!("!{key}"),
        _ => key.to_owned(),
    };
    (key.to_owned(), text)
}

/// The same with `<none>` for nothing.
pub(super) fn shown(selector: Option<&Value>) -> String {
    super::sections::or_none(text(selector))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sorted_by_key() {
        let selector = json!({"matchLabels": {"b": "1"}, "matchExpressions": [
            {"key": "a", "operator": "In", "values": ["y", "x"]}, {"key": "c", "operator": "DoesNotExist"},
            {"key": "d", "operator": "Exists"}, {"key": "e", "operator": "NotIn", "values": ["z"]}]});
        assert_eq!(text(Some(&selector)), "a in (x,y),b=1,!c,d,e notin (z)");
        assert_eq!((shown(None), shown(Some(&json!({})))), ("<none>".into(), "<none>".into()));
    }
}
