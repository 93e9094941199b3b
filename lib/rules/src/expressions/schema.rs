//! Types of an OpenAPI schema, for expressions that are checked against it.
//!
//! Upstream: `apiserver/pkg/cel/common/schemas.go` (`SchemaDeclType`),
//! `apiserver/pkg/cel/openapi/resolver/refs.go`.

use apimachinery::{Map, Value};
use cel::Type;

const REFERENCE: &str = "#/components/schemas/";

/// The type of a kind that an OpenAPI v3 document describes; `None` if it does not, or if the schema
/// says nothing of its type. `name` is what messages call the type.
pub fn type_of_kind(document: &Value, group: &str, version: &str, kind: &str) -> Option<Type> {
    let schemas = document.pointer("/components/schemas")?.as_object()?;
    let is_meant = |schema: &Value| {
        let kinds = schema.get("x-kubernetes-group-version-kind").and_then(Value::as_array).into_iter().flatten();
        let text = |of: &Value, key: &str| of.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        kinds
            .into_iter()
            .any(|of| text(of, "group") == group && text(of, "version") == version && text(of, "kind") == kind)
    };
    let schema = schemas.values().find(|schema| is_meant(schema))?;
    Reader { schemas, within: Vec::new() }.read(schema, true, kind)
}

struct Reader<'a> {
    schemas: &'a Map,
    /// The definitions that are being read: one inside itself is an object of which nothing is known.
    within: Vec<&'a str>,
}

impl<'a> Reader<'a> {
    fn read(&mut self, schema: &'a Value, is_root: bool, name: &str) -> Option<Type> {
        let Some(definition) = reference(schema) else { return self.plain(schema, is_root, name) };
        if self.within.contains(&definition) {
            return Some(Type::record(name, []));
        }
        self.within.push(definition);
        let of = self.schemas.get(definition).and_then(|schema| self.plain(schema, is_root, name));
        self.within.pop();
        of
    }

    fn plain(&mut self, schema: &'a Value, is_root: bool, name: &str) -> Option<Type> {
        let text = |key: &str| schema.get(key).and_then(Value::as_str).unwrap_or_default();
        if is_set(schema, "x-kubernetes-int-or-string") {
            return Some(Type::Dyn);
        }
        Some(match (text("type"), text("format")) {
            ("array", _) => {
                let items = schema.get("items")?;
                Type::list(self.read(
                    items,
                    is_set(items, "x-kubernetes-embedded-resource"),
                    &format!("{name}.@idx"),
                )?)
            }
            ("object", _) => return self.object(schema, is_root, name),
            ("string", "byte") => Type::Bytes,
            ("string", "duration") => Type::Duration,
            ("string", "date" | "date-time") => Type::Timestamp,
            ("string", _) => Type::String,
            ("boolean", _) => Type::Bool,
            ("number", _) => Type::Double,
            ("integer", _) => Type::Int,
            _ => return None,
        })
    }

    fn object(&mut self, schema: &'a Value, is_root: bool, name: &str) -> Option<Type> {
        if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
            let is_resource = is_set(values, "x-kubernetes-embedded-resource");
            return Some(Type::map(self.read(values, is_resource, &format!("{name}.@elem"))?));
        }
        let mut fields: Vec<(String, Type)> = Vec::new();
        for (property, of) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let is_resource = is_set(of, "x-kubernetes-embedded-resource");
            let field = cel::escape(property);
            if let (Some(field), Some(of)) = (field, self.read(of, is_resource, &format!("{name}.{property}"))) {
                fields.push((field, of));
            }
        }
        if is_root {
            add_metadata(&mut fields, name);
        }
        Some(Type::record(name, fields.iter().map(|(field, of)| (field.as_str(), of.clone()))))
    }
}

/// What every resource has, even if its schema does not say so.
fn add_metadata(fields: &mut Vec<(String, Type)>, name: &str) {
    for key in ["apiVersion", "kind"] {
        if !fields.iter().any(|(field, _)| field == key) {
            fields.push((key.to_owned(), Type::String));
        }
    }
    let is_known = |of: &Type| matches!(of, Type::Record(record) if record.fields.contains_key("name"));
    if !fields.iter().any(|(field, of)| field == "metadata" && is_known(of)) {
        fields.retain(|(field, _)| field != "metadata");
        let metadata =
            Type::record(&format!("{name}.metadata"), [("name", Type::String), ("generateName", Type::String)]);
        fields.push(("metadata".to_owned(), metadata));
    }
}

fn is_set(schema: &Value, key: &str) -> bool {
    schema.get(key).and_then(Value::as_bool).unwrap_or_default()
}

/// The definition that a schema is, perhaps wrapped to be described.
fn reference(schema: &Value) -> Option<&str> {
    let direct = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix(REFERENCE));
    direct.or_else(|| schema.get("allOf")?.as_array()?.iter().find_map(reference))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expressions::Compiler;
    use serde_json::json;

    fn document() -> Value {
        let tree = json!({"type": "object", "properties": {"child": {"$ref": "#/components/schemas/Tree"}}});
        json!({"components": {"schemas": {
            "Tree": tree,
            "Crontab": {"type": "object", "x-kubernetes-group-version-kind": [{"group": "g", "version": "v1", "kind": "CronTab"}],
                "properties": {
                    "spec": {"allOf": [{"$ref": "#/components/schemas/Spec"}], "default": {}},
                    "metadata": {"type": "object"}}},
            "Spec": {"type": "object", "properties": {
                "replicas": {"type": "integer"}, "started": {"type": "string", "format": "date-time"},
                "port": {"x-kubernetes-int-or-string": true}, "size": {"oneOf": [{"type": "string"}, {"type": "number"}]},
                "namespace": {"type": "string"}, "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "boolean"}}}},
                "tree": {"$ref": "#/components/schemas/Tree"}}},
        }}})
    }

    #[test]
    fn expressions_are_checked_along_the_schema() {
        let of = type_of_kind(&document(), "g", "v1", "CronTab").expect("described");
        assert!(type_of_kind(&document(), "g", "v2", "CronTab").is_none());
        let compiler = Compiler::composed(false).with_types(vec![("object", of.clone()), ("oldObject", of)]);
        for source in [
            "object.spec.replicas > 1 && object.kind == 'CronTab' && object.metadata.name != ''",
            "object.spec.started < timestamp('2020-01-01T00:00:00Z') && object.spec.port == 'http'",
            "object.spec.list.all(item, item.a) && object.spec.labels['x'] == object.spec.__namespace__",
            "has(object.spec.tree.child)",
        ] {
            assert_eq!(compiler.any(source).map(drop), Ok(()), "{source}");
        }
        for (source, want) in [
            ("object.spec.replicas > '1'", "found no matching overload for '_>_' applied to '(int, string)'"),
            ("object.spec.maxRetries < 10", "undefined field 'maxRetries'"),
            ("object.spec.size == 1", "undefined field 'size'"),
            ("object.spec.namespace == ''", "undefined field 'namespace'"),
            ("object.spec.tree.child.child != null", "undefined field 'child'"),
            ("object.metadata.labels", "undefined field 'labels'"),
        ] {
            let error = compiler.any(source).expect_err(source);
            assert!(error.starts_with("ERROR: <input>:1:") && error.contains(want), "{source}: {error}");
        }
    }
}
