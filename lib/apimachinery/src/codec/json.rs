//! JSON: strict decoding along the schema, in one pass from bytes to a tree.

mod custom;
mod declared;
mod head;
mod names;
mod part;
mod reader;
mod scalars;
mod tree;
mod write;

pub use custom::{any_kind, prune, restore, word};
pub use declared::declared;
pub use head::{Head, head, head_of};
pub use part::changed;
pub use reader::quoted;
pub use tree::from_tree;
pub use write::{plain, write, write_text};

use super::{DecodeError, Decoded};
use crate::quantity::QuantityError;
use crate::schema::{Field, Origin, Schema, Shape, TypeRef};
use crate::{Map, Value};
use names::Place;
use reader::{MAX_DEPTH, Reader, Token};
use std::borrow::Cow;

/// Findings reported at most; upstream stops there, too.
const MAX_FINDINGS: usize = 100;

/// Decodes a JSON object of type `ty`: duplicate and unknown fields are found, unknown ones
/// dropped, `null` members dropped, quantities made canonical, types checked.
///
/// What upstream's types cannot tell apart comes out the same: an empty value that is no pointer
/// is dropped, one that is always written is added, as if the object had been stored and read.
/// `apiVersion` and `kind` are kept, though the table does not list them.
///
/// Of a custom resource, types and `null`s stay as they are: they are for validation and
/// defaulting, which know the definition.
pub fn decode(ty: &TypeRef, bytes: &[u8]) -> Result<Decoded, DecodeError> {
    read(ty, bytes, Mismatches::Wait)
}

fn read(ty: &TypeRef, bytes: &[u8], mismatches: Mismatches) -> Result<Decoded, DecodeError> {
    let text = text(bytes)?;
    if ty.schema.origin == Origin::Definition {
        return custom::decode(ty, &text);
    }
    let mut decoder = Decoder {
        schema: &ty.schema,
        root: ty.id,
        reader: Reader::new(&text),
        path: Vec::new(),
        findings: Vec::new(),
        mismatches,
        mismatch: None,
    };
    let value = decoder.root(ty.id)?;
    decoder.reader.end()?;
    match decoder.mismatch {
        Some(error) => Err(error),
        None => Ok(Decoded { value, findings: decoder.findings }),
    }
}

/// Re-checks a tree along the schema, as a body that carried it would be checked: patches make
/// trees, and what they make must fit the type. The first thing that is wrong is told, as upstream does of trees.
pub fn conform(ty: &TypeRef, value: &Value) -> Result<Decoded, DecodeError> {
    if ty.schema.origin == Origin::Definition {
        if is_deeper(value, MAX_DEPTH) {
            return Err(DecodeError::Limit("exceeded max depth"));
        }
        return custom::conform(ty, value.clone());
    }
    let bytes = serde_json::to_vec(value).map_err(|e| DecodeError::Syntax(e.to_string()))?;
    read(ty, &bytes, Mismatches::End)
}

/// Whether something in a tree lies deeper than its text could be read again.
fn is_deeper(value: &Value, most: usize) -> bool {
    let is_beyond = |value: &Value| most == 0 || is_deeper(value, most - 1);
    match value {
        Value::Array(list) => list.iter().any(is_beyond),
        Value::Object(map) => map.values().any(is_beyond),
        _ => false,
    }
}

/// Decodes JSON without a type, with the members that are given twice, of which the last one counts.
///
/// Upstream: `UnmarshalStrict` in `sigs.k8s.io/json`.
pub fn to_value_with_findings(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    custom::read(&text(bytes)?)
}

/// Decodes JSON without a type, bounded in depth.
pub fn to_value(bytes: &[u8]) -> Result<Value, DecodeError> {
    let text = text(bytes)?;
    let mut reader = Reader::new(&text);
    let value = reader.any(0)?;
    reader.end()?;
    reader.refuse_excess()?;
    Ok(value)
}

/// JSON as text: as Go reads it, each byte that is no UTF-8 stands for U+FFFD. Only a string can have one.
fn text(bytes: &[u8]) -> Result<Cow<'_, str>, DecodeError> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Ok(Cow::Borrowed(text));
    }
    if let Some(first @ 0x80..) = bytes.trim_ascii_start().first() {
        let why = format!("invalid character {} looking for beginning of value", quoted(*first));
        return Err(DecodeError::Syntax(why));
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Ok(Cow::Owned(text))
}

struct Decoder<'a> {
    schema: &'a Schema,
    /// The type of the object.
    root: u32,
    reader: Reader<'a>,
    path: Vec<Segment<'a>>,
    findings: Vec<String>,
    mismatches: Mismatches,
    /// The first value of a wrong type, if it waits.
    mismatch: Option<DecodeError>,
}

/// What a value of a wrong type does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mismatches {
    /// It waits for the end: Go reads on after it, and tells what a type's own decoder refuses before it.
    Wait,
    /// It ends the decoding.
    End,
}

/// The members of an object that have been given.
#[derive(Default)]
struct Seen([u64; 4]);

impl Seen {
    /// Notes a member by its place in the type, below 256 in all types there are; answers whether it had been given
    /// before.
    fn is_again(&mut self, at: usize) -> bool {
        let Some(word) = self.0.get_mut(at / 64) else { return false };
        let before = *word;
        *word |= 1 << (at % 64);
        *word == before
    }
}

#[derive(Clone)]
enum Segment<'a> {
    Field(&'a str),
    Key(String),
    Index(usize),
}

impl<'a> Decoder<'a> {
    fn root(&mut self, id: u32) -> Result<Value, DecodeError> {
        match self.reader.peek()? {
            Token::Object => self.object(id),
            other => {
                let error = self.wrong_type(other.describe(), &Shape::Message(id));
                // What is no JSON at all is told before.
                self.reader.pass(0)?;
                Err(error)
            }
        }
    }

    /// A value of this shape; `None` for `null`.
    fn value(&mut self, shape: &'a Shape) -> Result<Option<Value>, DecodeError> {
        if self.path.len() > MAX_DEPTH {
            return Err(DecodeError::Limit("exceeded max depth"));
        }
        let token = self.reader.peek()?;
        if token == Token::Null {
            self.reader.any(0)?;
            return Ok(None);
        }
        match (shape, token) {
            (Shape::Message(id), Token::Object) => self.object(*id).map(Some),
            (Shape::List(inner), Token::Array) => self.list(inner).map(Some),
            (Shape::Map(inner), Token::Object) => self.map(inner).map(Some),
            (Shape::Strings, Token::Array) => self.list(&Shape::String).map(Some),
            (Shape::SchemaOrArray | Shape::SchemaOrBool | Shape::SchemaOrStrings, Token::Object)
            | (Shape::SchemaOrArray, Token::Array) => self.json_schema().map(Some),
            (Shape::SchemaOrBool, Token::Bool) => self.reader.any(0).map(Some),
            (Shape::SchemaOrStrings, Token::Array) => self.list(&Shape::String).map(Some),
            (Shape::Json | Shape::RawExtension, _) | (Shape::FieldsV1, Token::Object) => {
                self.reader.any(self.path.len()).map(Some)
            }
            (shape, Token::String | Token::Number | Token::Bool) => {
                let start = self.reader.at();
                let value = self.reader.any(0)?;
                let text = self.reader.since(start);
                match scalars::check(shape, value, text) {
                    Ok(value) => Ok(Some(value)),
                    Err(wrong) => self.refuse(shape, self.scalar_error(wrong, shape)),
                }
            }
            (Shape::Quantity, _) => Err(DecodeError::Type(QuantityError::Form.to_string())),
            (Shape::SchemaOrBool, _) => Err(DecodeError::Type(scalars::NO_SCHEMA.into())),
            (shape, token) => {
                let error = self.wrong_type(token.describe(), shape);
                self.reader.pass(self.path.len())?;
                self.refuse(shape, error)
            }
        }
    }

    /// Refuses a value: at once if its type has a decoder of its own, else if nothing else is wrong with the object.
    fn refuse(&mut self, shape: &Shape, error: DecodeError) -> Result<Option<Value>, DecodeError> {
        match shape {
            _ if self.mismatches == Mismatches::End => Err(error),
            Shape::String
            | Shape::Int32
            | Shape::Int64
            | Shape::Bool
            | Shape::Double
            | Shape::Bytes
            | Shape::Strings
            | Shape::Message(_)
            | Shape::List(_)
            | Shape::Map(_) => {
                self.mismatch.get_or_insert(error);
                Ok(None)
            }
            _ => Err(error),
        }
    }

    fn object(&mut self, id: u32) -> Result<Value, DecodeError> {
        let schema = self.schema;
        let mut map = Map::new();
        let (mut seen, mut heads) = (Seen::default(), Seen::default());
        self.reader.open(b'{')?;
        while let Some(key) = self.reader.key()? {
            let implicit = schema.get(id).is_object && matches!(&*key, "apiVersion" | "kind");
            let member = schema.get(id).member(&key);
            let field = member.and_then(|at| schema.field_at(id, at));
            if member.is_some_and(|at| seen.is_again(at)) || implicit && heads.is_again(usize::from(key == "kind")) {
                self.find("duplicate", &key);
            }
            match (field, implicit) {
                (None, false) => {
                    self.find("unknown", &key);
                    self.reader.pass(self.path.len() + 1)?;
                }
                (Some(field @ Field { shape, json, .. }), _) => {
                    self.path.push(Segment::Field(json));
                    let value = self.value(shape)?;
                    self.path.pop();
                    match value.filter(|value| !field.leaves_out(value)) {
                        Some(value) => drop(map.insert(key.into_owned(), value)),
                        None => drop(map.remove(&*key)),
                    }
                }
                (None, true) => {
                    self.path.push(Segment::Field(if key == "kind" { "kind" } else { "apiVersion" }));
                    let earlier = self.mismatch.take();
                    let value = self.value(&Shape::String)?;
                    match self.mismatch.take() {
                        // Without them nobody knows what the other members should be.
                        Some(error) if self.path.len() == 1 => return Err(error),
                        error => self.mismatch = earlier.or(error),
                    }
                    self.path.pop();
                    map.extend(value.map(|v| (key.into_owned(), v)));
                }
            }
        }
        schema.get(id).fill(&mut map);
        Ok(Value::Object(map))
    }

    fn list(&mut self, inner: &'a Shape) -> Result<Value, DecodeError> {
        let mut list = Vec::new();
        self.reader.open(b'[')?;
        while self.reader.element()? {
            self.path.push(Segment::Index(list.len()));
            // A null element is the zero value of its type, as Go decodes it.
            let value = self.value(inner)?.unwrap_or_else(|| zero(self.schema, inner));
            self.path.pop();
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn map(&mut self, inner: &'a Shape) -> Result<Value, DecodeError> {
        let mut map = Map::new();
        self.reader.open(b'{')?;
        while let Some(key) = self.reader.key()? {
            if map.contains_key(&*key) {
                self.find("duplicate", &key);
            }
            self.path.push(Segment::Key(key.clone().into_owned()));
            let value = self.value(inner)?.unwrap_or_else(|| zero(self.schema, inner));
            self.path.pop();
            map.insert(key.into_owned(), value);
        }
        Ok(Value::Object(map))
    }

    /// A JSON schema inside one of the special shapes, or a list of them.
    fn json_schema(&mut self) -> Result<Value, DecodeError> {
        const NAME: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";
        let Some(id) = self.schema.id_of(NAME) else { return self.reader.any(self.path.len()) };
        if self.reader.peek()? == Token::Object {
            return self.object(id);
        }
        let mut list = Vec::new();
        self.reader.open(b'[')?;
        while self.reader.element()? {
            self.path.push(Segment::Index(list.len()));
            list.push(self.object(id)?);
            self.path.pop();
        }
        Ok(Value::Array(list))
    }

    fn find(&mut self, what: &str, key: &str) {
        if self.findings.len() < MAX_FINDINGS {
            let path = self.finding_path(key);
            let finding = format!("{what} field {path:?}");
            if !self.findings.contains(&finding) {
                self.findings.push(finding);
            }
        }
    }

    /// `spec.containers[0].KEY`.
    fn finding_path(&self, last: &str) -> String {
        let mut text = String::new();
        for segment in &self.path {
            match segment {
                Segment::Field(name) => push_member(&mut text, name),
                Segment::Key(name) => push_member(&mut text, name),
                Segment::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        push_member(&mut text, last);
        text
    }

    fn scalar_error(&self, wrong: scalars::Wrong, shape: &Shape) -> DecodeError {
        match wrong {
            scalars::Wrong::Type(found) => self.wrong_type(&found, shape),
            scalars::Wrong::Text(text) => DecodeError::Type(text),
        }
    }

    fn wrong_type(&self, found: &str, shape: &Shape) -> DecodeError {
        let place = Place::find(self.schema, self.root, &self.path);
        let wanted = place.go_type(self.schema, shape);
        DecodeError::Mismatch {
            message: format!("json: cannot unmarshal {found} into {} of type {wanted}", place.describe()),
            found: found.to_owned(),
            wanted,
        }
    }
}

fn push_member(text: &mut String, name: &str) {
    if !text.is_empty() {
        text.push('.');
    }
    text.push_str(name);
}

/// What Go makes of `null` in a list or a map: the zero value of its type, as JSON has it.
fn zero(schema: &Schema, shape: &Shape) -> Value {
    match shape {
        Shape::String | Shape::Bytes => "".into(),
        Shape::Int32 | Shape::Int64 | Shape::Double | Shape::IntOrString => 0.into(),
        Shape::Bool => false.into(),
        Shape::Quantity => "0".into(),
        Shape::Message(id) => Value::Object(schema.get(*id).zero()),
        Shape::Map(_) => Value::Object(Map::new()),
        Shape::List(_) | Shape::Strings => Value::Array(Vec::new()),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests;
