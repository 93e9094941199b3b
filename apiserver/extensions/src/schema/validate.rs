//! What is wrong with a value by its schema, in upstream's words.
//!
//! Upstream: `kube-openapi/pkg/validation/validate` through
//! `apiextensions-apiserver/pkg/apiserver/validation`.

mod junctors;
mod scalars;

use super::{Additional, ListType, Node, Type};
use apimachinery::field::{FieldError, FieldErrorKind as Kind, Path};
use apimachinery::go::quoted;
use apimachinery::{Map, Value};

/// Where errors of the outermost value are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The object itself.
    Object,
    /// A member of the object, which messages do not name.
    Member(&'static str),
}

/// What is wrong with `new`. Where `old` is the same as `new`, nothing is: what was stored may stay.
pub fn validate(node: &Node, new: &Value, old: Option<&Value>, base: Base) -> Vec<FieldError> {
    let place = Place { base, parent: None, step: Step::Root };
    check(node, new, old, &place).errors
}

/// A place in the value, spelled out only when something is wrong there.
#[derive(Clone, Copy)]
struct Place<'a> {
    base: Base,
    parent: Option<&'a Place<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Member(&'a str),
    Index(usize),
}

impl<'a> Place<'a> {
    fn member<'b>(&'b self, name: &'b str) -> Place<'b> {
        Place { base: self.base, parent: Some(self), step: Step::Member(name) }
    }

    fn index(&'a self, index: usize) -> Place<'a> {
        Place { base: self.base, parent: Some(self), step: Step::Index(index) }
    }

    fn is_root(&self) -> bool {
        matches!(self.step, Step::Root)
    }

    /// The path as messages have it: `spec.list[0].a`.
    fn name(&self) -> String {
        let mut text = self.parent.map(Place::name).unwrap_or_default();
        match self.step {
            Step::Root => {}
            Step::Member(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(name);
            }
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
        text
    }

    fn path(&self) -> Path {
        match (self.base, self.name()) {
            (Base::Object, name) if name.is_empty() => Path::new("<nil>"),
            (Base::Object, name) => Path::new(&name),
            (Base::Member(member), name) if name.is_empty() => Path::new(member),
            (Base::Member(member), name) => Path::new(member).child(&name),
        }
    }

    /// Where errors are that upstream gives no place.
    fn nowhere(&self) -> Path {
        match self.base {
            Base::Object => Path::new("<nil>"),
            Base::Member(member) => Path::new(member),
        }
    }
}

/// What a check has found.
#[derive(Default)]
struct Outcome {
    errors: Vec<FieldError>,
    /// How much of the value has been looked at: of several alternatives that fail, the one that
    /// fits best explains why.
    matches: u32,
}

impl Outcome {
    fn add(&mut self, path: Path, kind: Kind) {
        self.errors.push(FieldError { path, kind });
    }

    /// An error with the value and a message that begins with the place.
    fn invalid(&mut self, at: &Place<'_>, value: impl Into<String>, message: &str) {
        let name = at.name();
        let message = format!("{name} in body {message}");
        self.add(at.path(), Kind::Invalid(value.into(), message));
    }

    fn wrong_type(&mut self, at: &Place<'_>, wanted: &str, found: &str) {
        let message = format!("{} in body must be of type {wanted}: {found:?}", at.name());
        self.add(at.path(), Kind::TypeInvalid(quoted(found), message));
    }

    fn merge(&mut self, other: Outcome) {
        self.errors.extend(other.errors);
        self.matches += other.matches;
    }
}

fn check(node: &Node, new: &Value, old: Option<&Value>, at: &Place<'_>) -> Outcome {
    let mut out = Outcome { errors: Vec::new(), matches: 1 };
    scalars::check_type(node, new, at, &mut out);
    if !new.is_null() {
        if let Some(junctors) = &node.junctors {
            junctors::check(junctors, new, at, &mut out);
        }
        match new {
            Value::String(text) => scalars::check_text(node, text, at, &mut out),
            Value::Number(number) => scalars::check_number(node, number, at, &mut out),
            Value::Array(list) => check_list(node, list, old, at, &mut out),
            _ => {}
        }
    }
    scalars::check_enum(node, new, at, &mut out);
    if let Value::Object(map) = new {
        check_object(node, map, old, at, &mut out);
    }
    if !out.errors.is_empty() && old == Some(new) {
        out.errors.clear();
    }
    out
}

fn check_list(node: &Node, list: &[Value], old: Option<&Value>, at: &Place<'_>, out: &mut Outcome) {
    let limits = &node.limits;
    if let Some(items) = &node.items {
        for (index, value) in list.iter().enumerate() {
            out.merge(check(items, value, counterpart(node, value, old), &at.index(index)));
        }
    }
    let length = list.len() as u64;
    if let Some(min) = limits.min_items.filter(|min| length < *min) {
        out.invalid(at, length.to_string(), &format!("should have at least {min} items"));
    }
    if let Some(max) = limits.max_items.filter(|max| length > *max) {
        out.add(at.path(), Kind::TooMany(list.len(), max as usize));
    }
    if limits.unique_items && (1..list.len()).any(|index| list[..index].contains(&list[index])) {
        out.invalid(at, "\"\"", "shouldn't contain duplicates");
    }
}

/// The element of the old list that stands for the same thing: only lists of type map know.
pub(super) fn counterpart<'o>(node: &Node, value: &Value, old: Option<&'o Value>) -> Option<&'o Value> {
    if node.extensions.list_type != ListType::Map {
        return None;
    }
    let same = |other: &&Value| node.extensions.list_keys.iter().all(|key| other.get(&**key) == value.get(&**key));
    old?.as_array()?.iter().find(same)
}

fn check_object(node: &Node, map: &Map, old: Option<&Value>, at: &Place<'_>, out: &mut Outcome) {
    let limits = &node.limits;
    let size = map.len() as u64;
    if let Some(min) = limits.min_properties.filter(|min| size < *min) {
        out.invalid(at, size.to_string(), &format!("should have at least {min} properties"));
    }
    if let Some(max) = limits.max_properties.filter(|max| size > *max) {
        out.add(at.path(), Kind::TooMany(map.len(), max as usize));
    }
    let old = old.filter(|_| node.has_correlatable_members()).and_then(Value::as_object);
    for (key, value) in map {
        let is_kind = at.is_root() && matches!(key.as_str(), "kind" | "apiVersion");
        let old = old.and_then(|old| old.get(key)).filter(|_| !is_kind);
        match (node.properties.get(key.as_str()), &node.additional) {
            (Some(property), _) => out.merge(check(property, value, old, &at.member(key))),
            (None, Additional::Schema(values)) => out.merge(check(values, value, old, &at.member(key))),
            (None, Additional::Forbidden) => {
                let message = format!("{}.{key} in body is a forbidden property", at.name());
                out.add(at.path(), Kind::Invalid(quoted(key), message));
            }
            (None, _) => {}
        }
    }
    for required in limits.required.iter().filter(|key| !map.contains_key(&***key)) {
        out.add(at.member(required).path(), Kind::Required(String::new()));
    }
}

/// The types that a schema allows, as messages name them.
fn type_names(node: &Node) -> &'static str {
    match node.ty {
        _ if node.extensions.int_or_string => "integer,string",
        Some(Type::Object) => "object",
        Some(Type::Array) => "array",
        Some(Type::String) => "string",
        Some(Type::Integer) => "integer",
        Some(Type::Number) => "number",
        Some(Type::Boolean) => "boolean",
        Some(Type::Unknown) | None => "",
    }
}

#[cfg(test)]
mod tests;
