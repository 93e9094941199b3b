//! Custom resources: any JSON, pruned along the table of their definition. Only metadata has types
//! that are checked here.
//!
//! Upstream: `apiextensions-apiserver/pkg/apiserver/schema/{pruning,objectmeta}`.

use super::MAX_FINDINGS;
use super::reader::{MAX_DEPTH, Reader, Token};
use crate::codec::{DecodeError, Decoded};
use crate::schema::{Schema, Shape, TypeDef, TypeRef};
use crate::{Map, Value};
use std::sync::{Arc, LazyLock};

const META: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Decodes text as an object of this type.
pub(super) fn decode(ty: &TypeRef, text: &str) -> Result<Decoded, DecodeError> {
    let read = read(text)?;
    let mut decoded = conform(ty, read.value)?;
    decoded.findings.splice(0..0, read.findings);
    Ok(decoded)
}

/// Reads any JSON, with the members that are given twice.
pub(super) fn read(text: &str) -> Result<Decoded, DecodeError> {
    let mut parser = Parser { reader: Reader::new(text), path: String::new(), findings: Vec::new() };
    let value = parser.value(0)?;
    parser.reader.end()?;
    parser.reader.refuse_excess()?;
    Ok(Decoded { value, findings: parser.findings })
}

/// Drops what the type does not know, and checks metadata.
pub(super) fn conform(ty: &TypeRef, mut value: Value) -> Result<Decoded, DecodeError> {
    let Some(map) = value.as_object_mut() else {
        let kind = ty.def().short_name();
        return Err(DecodeError::Type(format!("json: cannot unmarshal {} into Go value of type {kind}", word(&value))));
    };
    let mut findings = Vec::new();
    if let Some(metadata) = map.get_mut("metadata") {
        check_metadata(metadata, "metadata", &mut findings)?;
    }
    let mut pruner = Pruner::new(&ty.schema);
    pruner.object(ty.id, map);
    let mut pruned = pruner.unknown;
    pruned.sort();
    findings.extend(pruned.into_iter().map(|path| format!("unknown field {}", crate::go::quoted(&path))));
    let mut embedded = Embedded { schema: &ty.schema, findings: Vec::new(), path: String::new(), root: true };
    embedded.object(ty.id, map)?;
    embedded.findings.sort();
    findings.extend(embedded.findings);
    findings.truncate(MAX_FINDINGS);
    Ok(Decoded { value, findings })
}

/// A type for objects that are of another kind than they should be: nobody knows what belongs into them, but that they
/// have metadata.
pub fn any_kind() -> &'static TypeRef {
    static ANY: LazyLock<TypeRef> = LazyLock::new(|| {
        let any = TypeDef { is_object: true, keeps_unknown: true, ..TypeDef::default() };
        TypeRef { schema: Arc::new(Schema::of_definition(vec![any])), id: 0 }
    });
    &ANY
}

/// Drops what the type does not know of an object that did not come from a client.
pub fn prune(ty: &TypeRef, value: &mut Value) {
    if let Some(map) = value.as_object_mut() {
        Pruner::new(&ty.schema).object(ty.id, map);
    }
}

/// As [`prune`], for an object from storage: metadata that is malformed, from before there were
/// checks, is dropped member by member.
pub fn restore(ty: &TypeRef, value: &mut Value) {
    prune(ty, value);
    let Some(metadata) = value.get_mut("metadata") else { return };
    if check_metadata(metadata, "metadata", &mut Vec::new()).is_ok() {
        return;
    }
    let members = std::mem::take(metadata).as_object_mut().map(std::mem::take).unwrap_or_default();
    let fits = |(key, value): (String, Value)| {
        let mut single = Value::Object(Map::from_iter([(key, value)]));
        check_metadata(&mut single, "", &mut Vec::new()).ok()?;
        Some(single.as_object_mut().map(std::mem::take).unwrap_or_default())
    };
    *metadata = Value::Object(members.into_iter().filter_map(fits).flatten().collect());
}

/// Makes metadata what `ObjectMeta` can hold.
fn check_metadata(metadata: &mut Value, path: &str, findings: &mut Vec<String>) -> Result<(), DecodeError> {
    const NAME: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
    let Some(ty) = Schema::builtin().type_named(NAME) else { return Ok(()) };
    if metadata.is_null() {
        *metadata = Value::Object(Map::new());
    }
    let decoded = super::conform(&ty, metadata)?;
    *metadata = decoded.value;
    let prefixed = |finding: String| finding.replacen(" field \"", &format!(" field \"{path}."), 1);
    findings.extend(decoded.findings.into_iter().map(prefixed));
    Ok(())
}

/// What a value is, in the words of Go's messages.
pub fn word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Reads any JSON and finds keys that are given twice; the last one counts.
struct Parser<'a> {
    reader: Reader<'a>,
    path: String,
    findings: Vec<String>,
}

impl Parser<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, DecodeError> {
        if depth > MAX_DEPTH {
            return Err(DecodeError::Limit("exceeded max depth"));
        }
        match self.reader.peek()? {
            Token::Object => self.object(depth),
            Token::Array => self.list(depth),
            _ => self.reader.any(depth),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, DecodeError> {
        let mut map = Map::new();
        self.reader.open(b'{')?;
        while let Some(key) = self.reader.key()? {
            let length = enter(&mut self.path, &key);
            if map.contains_key(&*key) && self.findings.len() < MAX_FINDINGS {
                let finding = format!("duplicate field {:?}", self.path);
                if !self.findings.contains(&finding) {
                    self.findings.push(finding);
                }
            }
            let value = self.value(depth + 1)?;
            self.path.truncate(length);
            map.insert(key.into_owned(), value);
        }
        Ok(Value::Object(map))
    }

    fn list(&mut self, depth: usize) -> Result<Value, DecodeError> {
        let mut list = Vec::new();
        self.reader.open(b'[')?;
        while self.reader.element()? {
            let length = enter_index(&mut self.path, list.len());
            list.push(self.value(depth + 1)?);
            self.path.truncate(length);
        }
        Ok(Value::Array(list))
    }
}

/// Appends a member to a path; the length before it.
fn enter(path: &mut String, key: &str) -> usize {
    let length = path.len();
    if length > 0 {
        path.push('.');
    }
    path.push_str(key);
    length
}

fn enter_index(path: &mut String, index: usize) -> usize {
    let length = path.len();
    path.push_str(&format!("[{index}]"));
    length
}

/// Drops unknown members, and keeps their paths.
struct Pruner<'a> {
    schema: &'a Schema,
    path: String,
    unknown: Vec<String>,
}

impl<'a> Pruner<'a> {
    fn new(schema: &'a Schema) -> Self {
        Self { schema, path: String::new(), unknown: Vec::new() }
    }

    fn object(&mut self, id: u32, map: &mut Map) {
        let schema = self.schema;
        let def = schema.get(id);
        map.retain(|key, value| {
            if def.is_object && META.contains(&key.as_str()) {
                return true;
            }
            let length = enter(&mut self.path, key);
            let is_kept = match schema.field(id, key) {
                Some(field) => {
                    self.value(&field.shape, value);
                    true
                }
                None if def.keeps_unknown => true,
                None => {
                    self.found();
                    false
                }
            };
            self.path.truncate(length);
            is_kept
        });
    }

    fn value(&mut self, shape: &Shape, value: &mut Value) {
        match (shape, value) {
            (Shape::Json, _) => {}
            (Shape::Message(id), Value::Object(map)) => self.object(*id, map),
            (Shape::Map(inner), Value::Object(map)) => {
                for (key, value) in map {
                    let length = enter(&mut self.path, key);
                    self.value(inner, value);
                    self.path.truncate(length);
                }
            }
            (Shape::List(inner), Value::Array(list)) => self.list(list, |pruner, value| pruner.value(inner, value)),
            (_, other) => self.misfit(other),
        }
    }

    /// A value of another type than the schema says: nothing in it is known.
    fn misfit(&mut self, value: &mut Value) {
        match value {
            Value::Object(map) => map.retain(|key, _| {
                let length = enter(&mut self.path, key);
                self.found();
                self.path.truncate(length);
                false
            }),
            Value::Array(list) => self.list(list, Self::misfit),
            _ => {}
        }
    }

    fn list(&mut self, list: &mut [Value], mut each: impl FnMut(&mut Self, &mut Value)) {
        for (index, value) in list.iter_mut().enumerate() {
            let length = enter_index(&mut self.path, index);
            each(self, value);
            self.path.truncate(length);
        }
    }

    fn found(&mut self) {
        if self.unknown.len() < MAX_FINDINGS {
            self.unknown.push(self.path.clone());
        }
    }
}

/// Checks the metadata of objects inside the object.
struct Embedded<'a> {
    schema: &'a Schema,
    path: String,
    findings: Vec<String>,
    /// The outermost object's own metadata have been checked.
    root: bool,
}

impl Embedded<'_> {
    fn object(&mut self, id: u32, map: &mut Map) -> Result<(), DecodeError> {
        let schema = self.schema;
        if schema.get(id).is_object && !std::mem::take(&mut self.root) {
            self.meta(map)?;
        }
        for (key, value) in map {
            let Some(field) = schema.field(id, key) else { continue };
            let length = enter(&mut self.path, key);
            self.value(&field.shape, value)?;
            self.path.truncate(length);
        }
        Ok(())
    }

    fn meta(&mut self, map: &mut Map) -> Result<(), DecodeError> {
        for key in ["apiVersion", "kind"] {
            if let Some(value) = map.get(key).filter(|value| !value.is_string()) {
                let path = &self.path;
                return Err(DecodeError::Type(format!("{path}.{key}: Invalid value: {value}: must be a string")));
            }
        }
        let Some(metadata) = map.get_mut("metadata") else { return Ok(()) };
        let path = format!("{}.metadata", self.path);
        let shown = metadata.to_string();
        check_metadata(metadata, &path, &mut self.findings)
            .map_err(|error| DecodeError::Type(format!("{path}: Invalid value: {shown}: {error}")))
    }

    fn value(&mut self, shape: &Shape, value: &mut Value) -> Result<(), DecodeError> {
        match (shape, value) {
            (Shape::Message(id), Value::Object(map)) => self.object(*id, map),
            (Shape::Map(inner), Value::Object(map)) if is_deep(inner) => map.iter_mut().try_for_each(|(key, value)| {
                let length = enter(&mut self.path, key);
                self.value(inner, value)?;
                self.path.truncate(length);
                Ok(())
            }),
            (Shape::List(inner), Value::Array(list)) if is_deep(inner) => {
                list.iter_mut().enumerate().try_for_each(|(index, value)| {
                    let length = enter_index(&mut self.path, index);
                    self.value(inner, value)?;
                    self.path.truncate(length);
                    Ok(())
                })
            }
            _ => Ok(()),
        }
    }
}

/// Whether there may be objects in values of this shape.
fn is_deep(shape: &Shape) -> bool {
    matches!(shape, Shape::Message(_) | Shape::Map(_) | Shape::List(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Field, Presence, Semantics};
    use serde_json::json;

    fn field(json: &str, shape: Shape) -> Field {
        Field {
            json: json.into(),
            number: 0,
            shape,
            presence: Presence::Pointer,
            is_null: false,
            keeps_empty: false,
            required: false,
            semantics: Semantics::Default,
            patch: None,
            default: None,
            format: None,
        }
    }

    fn thing() -> TypeRef {
        let inner = vec![
            field("n", Shape::Int64),
            field("list", Shape::List(Box::new(Shape::Message(2)))),
            field("map", Shape::Map(Box::new(Shape::String))),
            field("any", Shape::Json),
            field("template", Shape::Message(3)),
        ];
        let types = vec![
            TypeDef { is_object: true, fields: vec![field("spec", Shape::Message(1))], ..TypeDef::default() },
            TypeDef { fields: inner, ..TypeDef::default() },
            TypeDef { fields: vec![field("a", Shape::String)], ..TypeDef::default() },
            TypeDef { is_object: true, keeps_unknown: true, ..TypeDef::default() },
        ];
        TypeRef { schema: Arc::new(Schema::of_definition(types)), id: 0 }
    }

    #[test]
    fn prunes_and_says_so() {
        let text = r#"{"kind":"Thing","metadata":{"name":"a","bad":1},"x":1,"\u0000y":1,
            "spec":{"n":"no number","n":null,"list":[{"a":"1","b":{}}],"map":{"k":"v"},"any":{"z":[1]},"y":2,
            "template":{"kind":"Pod","apiVersion":"v1","metadata":{"labels":{},"odd":1},"spec":{"q":1}}}}"#;
        let decoded = decode(&thing(), text).expect("well-formed");
        assert_eq!(
            decoded.findings,
            [
                r#"duplicate field "spec.n""#,
                r#"unknown field "metadata.bad""#,
                r#"unknown field "\x00y""#,
                r#"unknown field "spec.list[0].b""#,
                r#"unknown field "spec.y""#,
                r#"unknown field "x""#,
                r#"unknown field "spec.template.metadata.odd""#,
            ]
        );
        assert_eq!(
            decoded.value,
            json!({"kind": "Thing", "metadata": {"name": "a"}, "spec": {"n": null, "list": [{"a": "1"}], "map": {"k": "v"},
                "any": {"z": [1]}, "template": {"kind": "Pod", "apiVersion": "v1", "metadata": {}, "spec": {"q": 1}}}})
        );
    }

    #[test]
    fn values_of_other_types_have_nothing_that_is_known() {
        let value = json!({"spec": {"n": {"a": 1}, "list": {"b": 1}, "map": [{"c": 1}], "template": [[{"d": 1}]]}});
        let decoded = conform(&thing(), value).expect("an object");
        assert_eq!(decoded.value, json!({"spec": {"n": {}, "list": {}, "map": [{}], "template": [[{}]]}}));
        assert_eq!(decoded.findings.len(), 4);
    }

    #[test]
    fn metadata_must_fit() {
        for (value, want) in [
            (json!([]), "json: cannot unmarshal array into Go value of type "),
            (json!({"metadata": {"labels": 1}}), "cannot unmarshal number into Go struct field ObjectMeta.labels"),
            (json!({"spec": {"template": {"kind": 1}}}), "spec.template.kind: Invalid value: 1: must be a string"),
            (json!({"spec": {"template": {"metadata": {"name": 1}}}}), "spec.template.metadata: Invalid value"),
        ] {
            let error = conform(&thing(), value).expect_err("refused").to_string();
            assert!(error.contains(want), "{error}");
        }
    }

    #[test]
    fn stored_metadata_are_mended() {
        let mut value = json!({"metadata": {"name": "a", "labels": 3, "uid": "u"}, "gone": 1});
        restore(&thing(), &mut value);
        assert_eq!(value, json!({"metadata": {"name": "a", "uid": "u"}}));
    }
}
