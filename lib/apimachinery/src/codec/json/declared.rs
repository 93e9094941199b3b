//! JSON as upstream writes objects: members in the order that Go's structs declare them in, without white space.
//!
//! Upstream: Go's `encoding/json`, `apimachinery/pkg/runtime/serializer/json`.

use crate::Value;
use crate::codec::fields;
use crate::go::{json_number, push_json_text};
use crate::schema::{Origin, Schema, Shape, TypeRef};

const JSON_SCHEMA: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// The object as upstream's JSON of it. Custom resources have no structs: their members are sorted.
pub fn declared(ty: &TypeRef, object: &Value) -> String {
    let mut writer = Writer { schema: &ty.schema, out: String::with_capacity(4096) };
    match ty.schema.origin {
        Origin::Builtin => writer.value(&Shape::Message(ty.id), object),
        Origin::Definition => writer.any(object),
    }
    writer.out
}

struct Writer<'a> {
    schema: &'a Schema,
    out: String,
}

impl Writer<'_> {
    fn value(&mut self, shape: &Shape, value: &Value) {
        match (shape, value) {
            (Shape::Message(id), Value::Object(_)) => self.object(*id, value),
            (Shape::List(inner), Value::Array(list)) => self.list(list, |writer, item| writer.value(inner, item)),
            (Shape::Map(inner), Value::Object(map)) => {
                self.enclosed('{', '}', map, |writer, (key, value)| writer.member(key, inner, value));
            }
            (Shape::SchemaOrArray, Value::Array(list)) => self.list(list, |writer, item| writer.value(shape, item)),
            (Shape::SchemaOrArray | Shape::SchemaOrBool | Shape::SchemaOrStrings, Value::Object(_)) => {
                match self.schema.id_of(JSON_SCHEMA) {
                    Some(id) => self.object(id, value),
                    None => self.any(value),
                }
            }
            (Shape::FieldsV1, value) => {
                let mut text = Vec::new();
                fields::write(&mut text, value);
                self.out.push_str(&String::from_utf8_lossy(&text));
            }
            (_, value) => self.any(value),
        }
    }

    fn object(&mut self, id: u32, value: &Value) {
        let mut members = Vec::new();
        if self.schema.get(id).is_object {
            members.extend(["kind", "apiVersion"].map(|name| (name, &Shape::String)));
        }
        self.collect(id, &mut members);
        let present = members.into_iter().filter_map(|(name, shape)| Some((name, shape, value.get(name)?)));
        self.enclosed('{', '}', present, |writer, (name, shape, value)| writer.member(name, shape, value));
    }

    /// The members of a type, those of inlined messages at their place.
    fn collect<'b>(&self, id: u32, members: &mut Vec<(&'b str, &'b Shape)>)
    where
        Self: 'b,
    {
        for field in self.schema.get(id).declared_fields() {
            match (&*field.json, &field.shape) {
                ("", Shape::Message(inlined)) => self.collect(*inlined, members),
                (name, shape) => members.push((name, shape)),
            }
        }
    }

    fn member(&mut self, name: &str, shape: &Shape, value: &Value) {
        push_json_text(&mut self.out, name);
        self.out.push(':');
        self.value(shape, value);
    }

    fn list(&mut self, list: &[Value], write: impl Fn(&mut Self, &Value)) {
        self.enclosed('[', ']', list, write);
    }

    fn enclosed<I: IntoIterator>(&mut self, open: char, close: char, items: I, write: impl Fn(&mut Self, I::Item)) {
        self.out.push(open);
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                self.out.push(',');
            }
            write(self, item);
        }
        self.out.push(close);
    }

    fn any(&mut self, value: &Value) {
        match value {
            Value::Null => self.out.push_str("null"),
            Value::Bool(set) => self.out.push_str(if *set { "true" } else { "false" }),
            Value::Number(number) => self.out.push_str(&json_number(number)),
            Value::String(text) => push_json_text(&mut self.out, text),
            Value::Array(list) => self.list(list, Self::any),
            Value::Object(map) => self.enclosed('{', '}', map, |writer, (key, value)| {
                push_json_text(&mut writer.out, key);
                writer.out.push(':');
                writer.any(value);
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gvk::GroupVersionKind;
    use serde_json::json;

    fn text(group: &'static str, version: &'static str, kind: &'static str, object: &Value) -> String {
        let ty = Schema::builtin().kind(&GroupVersionKind::new(group, version, kind)).expect("built in");
        declared(&ty, object)
    }

    #[test]
    fn members_stand_as_they_are_declared() {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "status": {"phase": "Running", "conditions": []},
            "metadata": {"labels": {"b": "<", "a": "é"}, "name": "p", "managedFields": [
                {"manager": "m", "fieldsV1": {"f:x": {"k:{\"port\":443}": {}, "k:{\"port\":80}": {}}}, "apiVersion": "v1"}]},
            "spec": {"containers": [{"image": "i", "name": "c", "env": [{"value": "1", "name": "E"}]}],
                "volumes": [{"emptyDir": {}, "name": "v"}], "priority": 5},
        });
        let want = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","labels":{"a":"é","b":"\u003c"},"managedFields":[{"manager":"m","apiVersion":"v1","fieldsV1":{"f:x":{"k:{\"port\":80}":{},"k:{\"port\":443}":{}}}}]},"spec":{"volumes":[{"name":"v","emptyDir":{}}],"containers":[{"name":"c","image":"i","env":[{"name":"E","value":"1"}]}],"priority":5},"status":{"phase":"Running","conditions":[]}}"#;
        assert_eq!(text("", "v1", "Pod", &pod), want);
    }

    #[test]
    fn schemas_are_structs_wherever_they_stand() {
        let schema = json!({"type": "object", "description": "d", "items": {"type": "string", "format": "x"},
            "additionalProperties": true, "default": {"b": 1, "a": 1.0}});
        let crd = json!({"spec": {"versions": [{"schema": {"openAPIV3Schema": schema}, "name": "v1"}], "group": "g"}});
        let want = r#"{"spec":{"group":"g","versions":[{"name":"v1","schema":{"openAPIV3Schema":{"description":"d","type":"object","default":{"a":1,"b":1},"items":{"type":"string","format":"x"},"additionalProperties":true}}}]}}"#;
        assert_eq!(text("apiextensions.k8s.io", "v1", "CustomResourceDefinition", &crd), want);
    }
}
