//! An object that differs in part from one that fits its type: what a patch leaves.

use super::{Decoder, Mismatches, Reader, Segment, conform, zero};
use crate::Value;
use crate::codec::DecodeError;
use crate::schema::{Origin, Schema, Shape, TypeRef};

/// As [`conform`] of a tree, of which only those parts are decoded anew that differ from `old`, an object of the type.
pub(super) fn conform_changed(ty: &TypeRef, mut tree: Value, old: &Value) -> Result<Value, DecodeError> {
    if ty.schema.origin == Origin::Definition || !tree.is_object() || !old.is_object() {
        return Ok(conform(ty, &tree)?.value);
    }
    Part::new(ty).message(ty.id, &mut tree, old)?;
    Ok(tree)
}

/// As [`super::decode`] of the JSON of a tree, of which only those parts are decoded anew that differ from `old`, an
/// object of the type. `None` if that finds something: what it is, is for the text to say.
pub fn changed(ty: &TypeRef, mut tree: Value, old: &Value) -> Option<Value> {
    let mut part = Part::new(ty);
    part.message(ty.id, &mut tree, old).ok()?;
    (!part.finds).then_some(tree)
}

struct Part<'a> {
    schema: &'a Schema,
    /// The type of the whole.
    root: u32,
    path: Vec<Segment<'a>>,
    /// Whether something was unknown, or given twice.
    finds: bool,
}

impl<'a> Part<'a> {
    fn new(ty: &'a TypeRef) -> Self {
        Self { schema: &ty.schema, root: ty.id, path: Vec::new(), finds: false }
    }

    fn message(&mut self, id: u32, value: &mut Value, old: &Value) -> Result<(), DecodeError> {
        let (schema, mut gone) = (self.schema, Vec::new());
        let def = schema.get(id);
        let Some(map) = value.as_object_mut() else { return Ok(()) };
        for (name, value) in map.iter_mut() {
            let old = old.get(name);
            if old == Some(value) {
                continue;
            }
            let field = def.member(name).and_then(|at| schema.field_at(id, at));
            let head = ["apiVersion", "kind"].into_iter().find(|head| def.is_object && head == name);
            let (member, shape) = match (field, head) {
                (Some(field), _) => (&*field.json, &field.shape),
                (None, Some(head)) => (head, &Shape::String),
                (None, None) => {
                    self.finds = true;
                    gone.push(name.clone());
                    continue;
                }
            };
            self.path.push(Segment::Field(member));
            let is_there = self.value(shape, value, old)?;
            self.path.pop();
            if !is_there || field.is_some_and(|field| field.leaves_out(value)) {
                gone.push(name.clone());
            }
        }
        for name in &gone {
            map.remove(name);
        }
        def.fill(map);
        Ok(())
    }

    /// Makes a value what its shape has it be; answers whether there is one then.
    fn value(&mut self, shape: &'a Shape, value: &mut Value, old: Option<&Value>) -> Result<bool, DecodeError> {
        match (shape, &mut *value, old) {
            (Shape::Message(id), Value::Object(_), Some(old @ Value::Object(_))) => {
                self.message(*id, value, old)?;
                Ok(true)
            }
            (Shape::List(inner), Value::Array(list), Some(Value::Array(old))) => {
                for (at, item) in list.iter_mut().enumerate().filter(|(at, item)| old.get(*at) != Some(item)) {
                    self.path.push(Segment::Index(at));
                    if !self.value(inner, item, old.get(at))? {
                        *item = zero(self.schema, inner);
                    }
                    self.path.pop();
                }
                Ok(true)
            }
            _ => match self.decoded(shape, value)? {
                Some(decoded) => {
                    *value = decoded;
                    Ok(true)
                }
                None => Ok(false),
            },
        }
    }

    fn decoded(&mut self, shape: &Shape, value: &Value) -> Result<Option<Value>, DecodeError> {
        let text = serde_json::to_string(value).map_err(|error| DecodeError::Syntax(error.to_string()))?;
        let mut decoder = Decoder {
            schema: self.schema,
            root: self.root,
            reader: Reader::new(&text),
            path: self.path.clone(),
            findings: Vec::new(),
            mismatches: Mismatches::End,
            mismatch: None,
        };
        let decoded = decoder.value(shape)?;
        self.finds |= !decoder.findings.is_empty();
        Ok(decoded)
    }
}
