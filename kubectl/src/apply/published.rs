//! The types that a server publishes, as patches look at them: what is merged by which key.
//!
//! Upstream: `kubectl/pkg/cmd/apply/patcher.go` (`buildStrategicMergeFromOpenAPI`),
//! `apimachinery/pkg/util/strategicpatch/meta.go` (`PatchMetaFromOpenAPIV3`).

use apimachinery::gvk::GroupVersionKind;
use apimachinery::schema::{Field, PatchStrategy, Presence, Schema, Semantics, Shape, TypeDef, TypeRef};
use apimachinery::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;

const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// The type of a kind in an OpenAPI 3 document, if the server takes strategic patches of it.
pub fn type_of(document: &Value, kind: &GroupVersionKind) -> Option<TypeRef> {
    if !takes_strategic(document, kind) {
        return None;
    }
    let schemas = document["components"]["schemas"].as_object()?;
    let is_it = |schema: &Value| {
        let mut kinds = schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten();
        kinds.any(|published| names(published, kind))
    };
    let (name, _) = schemas.iter().find(|(_, schema)| is_it(schema))?;
    Some(Reader { schemas, types: Vec::new(), ids: HashMap::new() }.read(name))
}

fn takes_strategic(document: &Value, kind: &GroupVersionKind) -> bool {
    let mut paths = document["paths"].as_object().into_iter().flatten();
    paths.any(|(_, path)| {
        let patch = &path["patch"];
        names(&patch["x-kubernetes-group-version-kind"], kind)
            && patch["requestBody"]["content"].get(STRATEGIC).is_some()
    })
}

fn names(published: &Value, kind: &GroupVersionKind) -> bool {
    published["group"] == *kind.group && published["version"] == *kind.version && published["kind"] == *kind.kind
}

/// Reads a type and all that it leads to.
struct Reader<'a> {
    schemas: &'a Map,
    types: Vec<TypeDef>,
    /// Types that have their place, though their fields may not be read yet.
    ids: HashMap<&'a str, u32>,
}

impl<'a> Reader<'a> {
    fn read(mut self, name: &'a str) -> TypeRef {
        let id = self.named(name);
        TypeRef { schema: Arc::new(Schema::of_definition(self.types)), id }
    }

    /// A type of a name is read once, as it may contain itself.
    fn named(&mut self, name: &'a str) -> u32 {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = self.reserve();
        self.ids.insert(name, id);
        if let Some(schema) = self.schemas.get(name) {
            self.fill(id, schema);
        }
        id
    }

    fn reserve(&mut self) -> u32 {
        self.types.push(TypeDef::default());
        (self.types.len() - 1) as u32
    }

    fn fill(&mut self, id: u32, schema: &'a Value) {
        let properties = schema["properties"].as_object().into_iter().flatten();
        let fields = properties.map(|(name, property)| self.field(name, property)).collect();
        self.types[id as usize].fields = fields;
    }

    fn field(&mut self, name: &str, schema: &'a Value) -> Field {
        Field {
            json: name.into(),
            number: 0,
            shape: self.shape(schema),
            presence: Presence::Pointer,
            is_null: false,
            keeps_empty: false,
            required: false,
            semantics: match schema["x-kubernetes-map-type"] == "atomic" {
                true => Semantics::AtomicMap,
                false => Semantics::Default,
            },
            patch: strategy(schema),
            default: None,
            format: None,
        }
    }

    fn shape(&mut self, schema: &'a Value) -> Shape {
        if let Some(name) = referred(schema) {
            return Shape::Message(self.named(name));
        }
        let inner = |key: &str| schema.get(key).filter(|inner| inner.is_object());
        if let Some(items) = inner("items") {
            return Shape::List(Box::new(self.shape(items)));
        }
        if let Some(values) = inner("additionalProperties") {
            return Shape::Map(Box::new(self.shape(values)));
        }
        if inner("properties").is_some() {
            let id = self.reserve();
            self.fill(id, schema);
            return Shape::Message(id);
        }
        Shape::Json
    }
}

/// The name of the schema that a property refers to, by itself or, beside a default, as the one of
/// `allOf`.
fn referred(schema: &Value) -> Option<&str> {
    let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str())?;
    reference.strip_prefix("#/components/schemas/")
}

fn strategy(schema: &Value) -> Option<PatchStrategy> {
    let text = schema["x-kubernetes-patch-strategy"].as_str()?;
    let has = |word: &str| text.split(',').any(|part| part == word);
    Some(PatchStrategy {
        merge: has("merge"),
        retain_keys: has("retainKeys"),
        key: schema["x-kubernetes-patch-merge-key"].as_str().unwrap_or_default().into(),
        text: text.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::three_way;
    use crate::writing::PatchKind;
    use serde_json::json;

    fn flunder() -> GroupVersionKind {
        GroupVersionKind::new("wardle.example.com", "v1", "Flunder")
    }

    fn document(content: &str) -> Value {
        let kind = json!({"group": "wardle.example.com", "version": "v1", "kind": "Flunder"});
        let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
        json!({
            "paths": {"/apis/wardle.example.com/v1/flunders/{name}": {"patch": {
                "x-kubernetes-group-version-kind": kind, "requestBody": {"content": {content: {}}}}}},
            "components": {"schemas": {
                "Flunder": {"x-kubernetes-group-version-kind": [kind], "properties": {
                    "spec": {"allOf": [reference("Spec")], "default": {}}}},
                "Spec": {"properties": {
                    "parts": {"type": "array", "items": reference("Part"),
                        "x-kubernetes-patch-strategy": "merge,retainKeys", "x-kubernetes-patch-merge-key": "name"},
                    "words": {"type": "array", "items": {"type": "string"}, "x-kubernetes-patch-strategy": "merge"},
                    "inner": reference("Spec")}},
                "Part": {"properties": {"name": {"type": "string"}, "size": {"type": "integer"}}}}}
        })
    }

    #[test]
    fn lists_are_merged_as_the_document_says() {
        let ty = type_of(&document(STRATEGIC), &flunder()).expect("strategic");
        let object = |parts: Value, words: Value| json!({"spec": {"inner": {"parts": parts, "words": words}}});
        let last = object(json!([{"name": "a", "size": 1}, {"name": "b"}]), json!(["x"]));
        let wanted = object(json!([{"name": "a", "size": 2}]), json!(["y"]));
        let current = object(json!([{"name": "a", "size": 1}, {"name": "b"}, {"name": "c"}]), json!(["x", "z"]));
        let (kind, patch) = three_way(Some(&ty), Some(&last), &wanted, &current);
        assert_eq!(kind, PatchKind::Strategic);
        let made = rules::patch::strategic::apply(&ty, current, &patch).expect("applies");
        assert_eq!(made, object(json!([{"name": "a", "size": 2}, {"name": "c"}]), json!(["y", "z"])));
    }

    #[test]
    fn only_kinds_that_take_strategic_patches_have_one() {
        assert!(type_of(&document("application/merge-patch+json"), &flunder()).is_none());
        let other = GroupVersionKind::new("wardle.example.com", "v1", "Fischer");
        assert!(type_of(&document(STRATEGIC), &other).is_none());
    }
}
