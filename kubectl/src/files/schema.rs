//! Whether an object is as the server's OpenAPI 2 document has its kind: for what no server looks at as a whole, such as
//! a `List`, of which nothing is sent if an item of it is wrong.
//!
//! Upstream: `kubectl/pkg/validation/validation.go`, `kube-openapi/pkg/util/proto/validation`.

use super::objects::group_version;
use crate::print::quote;
use apimachinery::Value;

/// How often a definition may lead to another one at the same place.
const MAX_REFERENCES: usize = 32;

/// What is wrong with an object of a kind that the document has; nothing of other kinds.
pub(super) fn misfits(document: &Value, object: &Value) -> Vec<String> {
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    let kind = text("kind");
    let Ok((group, version)) = group_version(text("apiVersion")) else { return Vec::new() };
    let is_it = |schema: &Value| {
        let mut kinds = schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten();
        kinds.any(|of| of["group"] == *group && of["version"] == *version && of["kind"] == *kind)
    };
    let mut definitions = document["definitions"].as_object().into_iter().flatten();
    let mut visit = Visit { document, told: Vec::new() };
    if let Some((name, schema)) = definitions.find(|(_, schema)| is_it(schema)) {
        visit.value(object, kind, schema, name);
    }
    visit.told
}

/// What a schema wants.
enum Wanted<'a> {
    Kind(&'a apimachinery::Map),
    Map(Option<&'a Value>),
    Array(&'a Value),
    Primitive(&'a str),
    Anything,
}

impl<'a> Wanted<'a> {
    fn of(schema: &'a Value) -> Self {
        match (schema["type"].as_str(), schema["properties"].as_object()) {
            (None | Some("object"), Some(properties)) => Self::Kind(properties),
            (None, None) => Self::Anything,
            (Some("object"), None) => Self::Map(schema.get("additionalProperties").filter(|values| values.is_object())),
            (Some("array"), _) => Self::Array(&schema["items"]),
            (Some(simple), _) => Self::Primitive(simple),
        }
    }

    /// What Go calls it.
    fn name(&self) -> &'a str {
        match self {
            Self::Kind(_) | Self::Map(_) => "map",
            Self::Array(_) => "array",
            Self::Primitive(simple) => simple,
            Self::Anything => "",
        }
    }
}

struct Visit<'a> {
    document: &'a Value,
    told: Vec<String>,
}

impl Visit<'_> {
    /// Looks at a value: `path` leads to it, `place` to what the document says of it.
    fn value(&mut self, value: &Value, path: &str, schema: &Value, place: &str) {
        let document = self.document;
        let (mut schema, mut place) = (schema, place);
        for _ in 0..MAX_REFERENCES {
            let Some(name) = schema["$ref"].as_str().and_then(|to| to.strip_prefix("#/definitions/")) else { break };
            (schema, place) = (&document["definitions"][name], name);
        }
        match (Wanted::of(schema), value) {
            (Wanted::Anything, _) => {}
            (Wanted::Kind(properties), Value::Object(members)) => {
                self.members(members, path, properties, place);
                self.required(members, path, &schema["required"], place);
            }
            (Wanted::Map(values), Value::Object(members)) => {
                for (key, value) in sorted(members) {
                    let path = format!("{path}.{key}");
                    match value {
                        Value::Null => self.told.push(nothing(&path)),
                        value => self.value(value, &path, values.unwrap_or(&Value::Null), place),
                    }
                }
            }
            (Wanted::Array(items), Value::Array(list)) => {
                for (index, item) in list.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    match item {
                        Value::Null => self.wrong(&path, &nothing(&path)),
                        item => self.value(item, &path, items, place),
                    }
                }
            }
            (Wanted::Primitive(wanted), value) if fits(wanted, value) => {}
            (wanted, value) => {
                let (is, wanted) = (name_of(value), wanted.name());
                self.wrong(path, &format!("invalid type for {place}: got \"{is}\", expected \"{wanted}\""));
            }
        }
    }

    fn members(&mut self, members: &apimachinery::Map, path: &str, properties: &apimachinery::Map, place: &str) {
        for (key, value) in sorted(members).filter(|(_, value)| !value.is_null()) {
            match properties.get(key) {
                Some(schema) => self.value(value, &format!("{path}.{key}"), schema, &format!("{place}.{key}")),
                None => self.wrong(path, &format!("unknown field {} in {place}", quote(key))),
            }
        }
    }

    fn required(&mut self, members: &apimachinery::Map, path: &str, required: &Value, place: &str) {
        for key in required.as_array().into_iter().flatten().filter_map(Value::as_str) {
            if members.get(key).is_none_or(Value::is_null) {
                self.wrong(path, &format!("missing required field {} in {place}", quote(key)));
            }
        }
    }

    fn wrong(&mut self, path: &str, why: &str) {
        self.told.push(format!("ValidationError({path}): {why}"));
    }
}

fn sorted(members: &apimachinery::Map) -> impl Iterator<Item = (&String, &Value)> {
    let mut members: Vec<_> = members.iter().collect();
    members.sort_by_key(|(key, _)| *key);
    members.into_iter()
}

fn nothing(path: &str) -> String {
    format!("unknown object type \"nil\" in {path}")
}

/// Whether a value will do for a simple type. Text takes all that is simple, as upstream's check always did.
fn fits(wanted: &str, value: &Value) -> bool {
    match value {
        Value::Object(_) | Value::Array(_) => false,
        _ if wanted == "string" => true,
        Value::Bool(_) => wanted == "boolean",
        Value::Number(_) => matches!(wanted, "integer" | "number"),
        _ => false,
    }
}

fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "map",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document() -> Value {
        let kinds = json!([{"group": "", "version": "v1", "kind": "Pod"}]);
        json!({"definitions": {
            "a.Pod": {
                "type": "object",
                "properties": {
                    "apiVersion": {"type": "string"},
                    "kind": {"type": "string"},
                    "metadata": {"type": "object"},
                    "spec": {"$ref": "#/definitions/a.Spec"},
                },
                "x-kubernetes-group-version-kind": kinds,
            },
            "a.Spec": {
                "type": "object",
                "required": ["count"],
                "properties": {
                    "count": {"type": "integer"},
                    "names": {"type": "array", "items": {"type": "string"}},
                    "labels": {"type": "object", "additionalProperties": {"type": "boolean"}},
                    "inner": {"$ref": "#/definitions/a.Spec"},
                    "any": {"description": "anything"},
                    "loop": {"$ref": "#/definitions/a.Loop"},
                },
            },
            "a.Loop": {"$ref": "#/definitions/a.Loop"},
        }})
    }

    #[test]
    fn what_the_document_does_not_have_is_wrong() {
        for (spec, want) in [
            (json!({"count": 1, "names": ["a", 5], "labels": {"x": true}, "any": [null], "loop": 1}), vec![]),
            (json!({"count": 1.5, "inner": null}), vec![]),
            (
                json!({"foo": 1, "bar": null}),
                vec![
                    "ValidationError(Pod.spec): unknown field \"foo\" in a.Spec",
                    "ValidationError(Pod.spec): missing required field \"count\" in a.Spec",
                ],
            ),
            (
                json!({"count": "x", "names": {}, "labels": {"a": 1, "b": null}}),
                vec![
                    "ValidationError(Pod.spec.count): invalid type for a.Spec.count: got \"string\", expected \"integer\"",
                    "ValidationError(Pod.spec.labels.a): invalid type for a.Spec.labels: got \"integer\", expected \"boolean\"",
                    "unknown object type \"nil\" in Pod.spec.labels.b",
                    "ValidationError(Pod.spec.names): invalid type for a.Spec.names: got \"map\", expected \"array\"",
                ],
            ),
            (
                json!({"count": 1, "names": [null, []]}),
                vec![
                    "ValidationError(Pod.spec.names[0]): unknown object type \"nil\" in Pod.spec.names[0]",
                    "ValidationError(Pod.spec.names[1]): invalid type for a.Spec.names: got \"array\", expected \"string\"",
                ],
            ),
            (json!(5), vec!["ValidationError(Pod.spec): invalid type for a.Spec: got \"integer\", expected \"map\""]),
        ] {
            let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec});
            assert_eq!(misfits(&document(), &object), want, "{object}");
        }
        assert!(misfits(&document(), &json!({"apiVersion": "v1", "kind": "Foo", "x": 1})).is_empty());
    }
}
