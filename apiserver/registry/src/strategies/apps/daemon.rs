//! The number of a daemon set's template, which counts its changes in an annotation.

use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// A new set begins at 1, or at the number that it was given.
pub(super) fn create(set: &mut Value) {
    let given = number(set);
    number_template(set, given.max(1));
}

/// A changed template gets the next number, whatever the client says.
pub(super) fn update(set: &mut Value, old: &Value) {
    let changed = set.pointer("/spec/template") != old.pointer("/spec/template");
    number_template(set, number(old) + i64::from(changed));
}

/// A change of the status is no change of the template.
pub(super) fn keep(set: &mut Value, old: &Value) {
    number_template(set, number(old));
}

/// The number of the template; 0 if it has none.
fn number(set: &Value) -> i64 {
    let text = set.annotations().and_then(|a| a.get(TEMPLATE_GENERATION)).and_then(Value::as_str);
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn number_template(set: &mut Value, number: i64) {
    let annotations =
        set.metadata_mut().entry("annotations").or_insert_with(|| Value::Object(apimachinery::Map::new()));
    if annotations.is_null() {
        *annotations = Value::Object(apimachinery::Map::new());
    }
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(TEMPLATE_GENERATION.into(), number.to_string().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn templates_are_numbered() {
        let set = |image: &str| json!({"metadata": {"name": "a"}, "spec": {"template": {"image": image}}});
        let mut first = set("a");
        create(&mut first);
        assert_eq!(number(&first), 1);
        for (image, want) in [("a", 1), ("b", 2)] {
            let mut next = set(image);
            update(&mut next, &first);
            assert_eq!(number(&next), want);
        }
        let mut status = set("b");
        keep(&mut status, &first);
        assert_eq!(number(&status), 1);
    }
}
