//! The annotation of client-side `kubectl apply`: it lets `kubectl` take over by server-side apply
//! what it applied before, and is kept up to date for the way back.
//!
//! Upstream: `apimachinery/pkg/util/managedfields/internal/{lastappliedmanager,lastappliedupdater}.go`.

use super::Writer;
use super::check::check;
use super::compare::{Changes, compare};
use super::error::Conflict;
use super::extract;
use super::place::Place;
use super::set::FieldSet;
use apimachinery::Value;
use apimachinery::codec::json;
use apimachinery::meta::ObjectMeta;
use apimachinery::schema::Shape;

/// The manager whose annotation it is.
pub(super) const KUBECTL: &str = "kubectl";
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// All annotations together.
const MAX_ANNOTATIONS: usize = 256 * 1024;

fn annotation(object: &Value) -> Option<&str> {
    object.annotations()?.get(ANNOTATION)?.as_str().filter(|text| !text.is_empty())
}

/// The conflicts that are about more than what client-side apply has set; `None` if there is
/// nothing to go by.
pub(super) fn remaining(writer: &Writer<'_>, live: &Value, conflicts: &[Conflict]) -> Option<Vec<Conflict>> {
    let allowed = unchanged(writer, live)?;
    Some(conflicts.iter().filter(|conflict| !allowed.has(&conflict.path)).cloned().collect())
}

/// The fields of the annotation that the live object still has so.
fn unchanged(writer: &Writer<'_>, live: &Value) -> Option<FieldSet> {
    let last = json::to_value(annotation(live)?.as_bytes()).ok()?;
    if last.get("apiVersion").and_then(Value::as_str) != Some(writer.api_version) {
        return None;
    }
    let shape = Shape::Message(writer.ty.id);
    let place = Place::root(writer.ty, &shape);
    check(place, &last).ok()?;
    let Changes { added, modified, removed } = compare(place, &last, live).ok()?;
    Some(extract::fields(place, &last).difference(&modified).difference(&added).difference(&removed))
}

/// Writes the configuration into the annotation, if the object has one.
pub(super) fn update(object: &mut Value, config: &Value) {
    if annotation(object).is_none() {
        return;
    }
    let mut config = config.clone();
    let annotations = config.metadata_mut().get_mut("annotations").and_then(Value::as_object_mut);
    let is_emptied = annotations.is_some_and(|annotations| {
        annotations.remove(ANNOTATION);
        annotations.is_empty()
    });
    if is_emptied {
        config.metadata_mut().remove("annotations");
    }
    let Some(annotations) = object.metadata_mut().get_mut("annotations").and_then(Value::as_object_mut) else { return };
    annotations.insert(ANNOTATION.to_owned(), format!("{config}\n").into());
    let size = |(key, value): (&String, &Value)| key.len() + value.as_str().map_or(0, str::len);
    if annotations.iter().map(size).sum::<usize>() > MAX_ANNOTATIONS {
        annotations.remove(ANNOTATION);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_annotation_follows_the_configuration() {
        let config = json!({"kind": "ConfigMap", "metadata": {"name": "a", "annotations": {ANNOTATION: "x"}}});
        let mut object = json!({"metadata": {"annotations": {ANNOTATION: "old", "b": "c"}}});
        update(&mut object, &config);
        let want = "{\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\"}}\n";
        assert_eq!(object, json!({"metadata": {"annotations": {ANNOTATION: want, "b": "c"}}}));
        let mut without = json!({"metadata": {"annotations": {"b": "c"}}});
        update(&mut without, &config);
        assert_eq!(without, json!({"metadata": {"annotations": {"b": "c"}}}));
        let large = json!({"data": {"a": "x".repeat(MAX_ANNOTATIONS)}, "metadata": {}});
        update(&mut object, &large);
        assert_eq!(object, json!({"metadata": {"annotations": {"b": "c"}}}));
    }
}
