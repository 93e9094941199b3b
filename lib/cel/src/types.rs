//! What the compiler knows about values.
//!
//! Upstream: `cel-go/common/types/types.go`, `cel-go/checker/types.go`.

use apimachinery::schema::{Field, Schema, Semantics, Shape, TypeRef};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A type of values.
#[derive(Clone, Debug, Default)]
pub enum Type {
    /// Anything; checked while it runs.
    #[default]
    Dyn,
    /// `null`.
    Null,
    /// `bool`.
    Bool,
    /// `int`.
    Int,
    /// `uint`.
    Uint,
    /// `double`.
    Double,
    /// `string`.
    String,
    /// `bytes`.
    Bytes,
    /// `google.protobuf.Timestamp`.
    Timestamp,
    /// `google.protobuf.Duration`.
    Duration,
    /// `type(T)`.
    Type(Arc<Type>),
    /// `list(T)`.
    List(Arc<Type>),
    /// `map(K, V)`.
    Map(Arc<Type>, Arc<Type>),
    /// `optional_type(T)`.
    Optional(Arc<Type>),
    /// An API type: its fields are known.
    Object(TypeRef),
    /// An object whose fields the environment declares.
    Record(Arc<Record>),
    /// `Object` or a type below it, as mutations build it.
    Partial(Arc<str>),
    /// One operation of a JSON patch.
    JsonPatch,
    /// A type of a function library.
    Opaque(Opaque),
    /// A parameter of a signature.
    #[doc(hidden)]
    Param(u8),
    /// What is not known yet; only while an expression is checked.
    #[doc(hidden)]
    Open(u32),
    /// Of what is wrong: nothing more is said about it.
    #[doc(hidden)]
    Error,
}

/// Named fields with their types.
#[derive(Debug, Default)]
pub struct Record {
    /// What error messages call the type.
    pub name: String,
    /// The fields.
    pub fields: BTreeMap<String, Type>,
}

/// Types of the function libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opaque {
    /// `quantity()`
    Quantity,
    /// `url()`
    Url,
    /// `ip()`
    Ip,
    /// `cidr()`
    Cidr,
    /// `semver()`
    Semver,
    /// `format.named()`
    Format,
    /// `authorizer`
    Authorizer,
    /// `authorizer.path()`
    PathCheck,
    /// `authorizer.group()`
    GroupCheck,
    /// `authorizer.group().resource()`
    ResourceCheck,
    /// `.check()`
    Decision,
}

/// Names in signatures, names in messages.
const OPAQUE: &[(Opaque, &str, &str)] = &[
    (Opaque::Quantity, "quantity", "kubernetes.Quantity"),
    (Opaque::Url, "url", "kubernetes.URL"),
    (Opaque::Ip, "ip", "net.IP"),
    (Opaque::Cidr, "cidr", "net.CIDR"),
    (Opaque::Semver, "semver", "kubernetes.Semver"),
    (Opaque::Format, "format", "kubernetes.NamedFormat"),
    (Opaque::Authorizer, "authorizer", "kubernetes.authorization.Authorizer"),
    (Opaque::PathCheck, "pathcheck", "kubernetes.authorization.PathCheck"),
    (Opaque::GroupCheck, "groupcheck", "kubernetes.authorization.GroupCheck"),
    (Opaque::ResourceCheck, "resourcecheck", "kubernetes.authorization.ResourceCheck"),
    (Opaque::Decision, "decision", "kubernetes.authorization.Decision"),
];

/// Types without parts: their names in signatures and messages, and what they are called in expressions, if they are.
const BASIC: &[(Type, &str, Option<&str>)] = &[
    (Type::Dyn, "dyn", None),
    (Type::Null, "null", Some("null_type")),
    (Type::Bool, "bool", Some("bool")),
    (Type::Int, "int", Some("int")),
    (Type::Uint, "uint", Some("uint")),
    (Type::Double, "double", Some("double")),
    (Type::String, "string", Some("string")),
    (Type::Bytes, "bytes", Some("bytes")),
    (Type::Timestamp, "timestamp", Some("google.protobuf.Timestamp")),
    (Type::Duration, "duration", Some("google.protobuf.Duration")),
];

impl Type {
    /// `list(of)`.
    pub fn list(of: Type) -> Self {
        Type::List(Arc::new(of))
    }

    /// `map(string, of)`.
    pub fn map(of: Type) -> Self {
        Type::Map(Arc::new(Type::String), Arc::new(of))
    }

    /// `optional_type(of)`.
    pub fn optional(of: Type) -> Self {
        Type::Optional(Arc::new(of))
    }

    /// An object with these fields.
    pub fn record<'a>(name: &str, fields: impl IntoIterator<Item = (&'a str, Type)>) -> Self {
        let fields = fields.into_iter().map(|(field, of)| (field.to_owned(), of)).collect();
        Type::Record(Arc::new(Record { name: name.to_owned(), fields }))
    }

    /// The type of values of a shape.
    pub fn of_shape(schema: &Arc<Schema>, shape: &Shape) -> Self {
        match shape {
            Shape::String | Shape::Quantity => Type::String,
            Shape::Int32 | Shape::Int64 => Type::Int,
            Shape::Bool => Type::Bool,
            Shape::Double => Type::Double,
            Shape::Bytes => Type::Bytes,
            Shape::Time | Shape::MicroTime => Type::Timestamp,
            Shape::Duration => Type::Duration,
            Shape::Strings => Type::list(Type::String),
            Shape::Message(id) => Type::Object(TypeRef { schema: schema.clone(), id: *id }),
            Shape::List(of) => Type::list(Type::of_shape(schema, of)),
            Shape::Map(of) => Type::map(Type::of_shape(schema, of)),
            _ => Type::Dyn,
        }
    }

    /// The name that upstream's compiler declares the type by, where it complains about a result.
    pub fn declared(&self) -> String {
        match self {
            Type::List(of) => format!("list({})", of.declared()),
            Type::Map(key, value) => format!("map({}, {})", key.declared(), value.declared()),
            Type::Optional(of) => format!("optional_type({})", of.declared()),
            Type::Type(of) => format!("type({})", of.declared()),
            other => match other.basic() {
                Some((_, _, Some(name))) => (*name).to_owned(),
                _ => other.to_string(),
            },
        }
    }

    /// The line of [`BASIC`] about the type.
    fn basic(&self) -> Option<&'static (Type, &'static str, Option<&'static str>)> {
        BASIC.iter().find(|(basic, ..)| std::mem::discriminant(basic) == std::mem::discriminant(self))
    }

    /// Whether `null` passes for a value of it, as the first checker had it.
    pub(crate) fn is_nullable(&self) -> bool {
        matches!(
            self,
            Type::Object(_)
                | Type::Record(_)
                | Type::Partial(_)
                | Type::JsonPatch
                | Type::Optional(_)
                | Type::Opaque(_)
                | Type::Timestamp
                | Type::Duration
        )
    }
}

/// The type of a member of an API object; `None` if there is none.
pub(crate) fn member(of: &TypeRef, name: &str) -> Option<Type> {
    match of.field(name) {
        Some(Field { shape, .. }) => Some(Type::of_shape(&of.schema, shape)),
        None if of.def().is_object && matches!(name, "apiVersion" | "kind") => Some(Type::String),
        None => None,
    }
}

/// The type that an identifier names.
pub(crate) fn named(name: &str) -> Option<Type> {
    if let Some((basic, ..)) = BASIC.iter().find(|(.., known)| *known == Some(name)) {
        return Some(basic.clone());
    }
    Some(match name {
        "list" => Type::list(Type::Dyn),
        "map" => Type::Map(Arc::new(Type::Dyn), Arc::new(Type::Dyn)),
        "type" => Type::Type(Arc::new(Type::Dyn)),
        "optional_type" => Type::optional(Type::Dyn),
        "net.IP" => Type::Opaque(Opaque::Ip),
        "net.CIDR" => Type::Opaque(Opaque::Cidr),
        _ => return None,
    })
}

/// Whether the order of a list means nothing.
pub(crate) fn is_unordered(semantics: &Semantics) -> bool {
    matches!(semantics, Semantics::Set | Semantics::MapList(_))
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Type(of) => write!(f, "type({of})"),
            Type::List(of) => write!(f, "list({of})"),
            Type::Map(key, value) => write!(f, "map({key}, {value})"),
            Type::Optional(of) => write!(f, "optional_type({of})"),
            Type::Object(of) => f.write_str(&of.def().name),
            Type::Record(record) => f.write_str(&record.name),
            Type::Partial(name) => f.write_str(name),
            Type::JsonPatch => f.write_str("JSONPatch"),
            Type::Opaque(opaque) => {
                let known = OPAQUE.iter().find(|(known, ..)| known == opaque);
                f.write_str(known.map(|(_, _, name)| *name).unwrap_or_default())
            }
            Type::Param(letter) => write!(f, "{}", char::from(*letter)),
            Type::Open(_) => f.write_str("dyn"),
            Type::Error => f.write_str("!error!"),
            basic => f.write_str(basic.basic().map(|(_, name, _)| *name).unwrap_or_default()),
        }
    }
}

/// Reads a type of a signature: `map(string, list(A))`.
pub(crate) fn parse(text: &str) -> Option<Type> {
    let text = text.trim();
    if let Some((head, rest)) = text.split_once('(') {
        let inner = rest.strip_suffix(')')?;
        return match head {
            "list" => Some(Type::list(parse(inner)?)),
            "optional" => Some(Type::optional(parse(inner)?)),
            "type" => Some(Type::Type(Arc::new(parse(inner)?))),
            "map" => {
                let (key, value) = inner.split_once(',')?;
                Some(Type::Map(Arc::new(parse(key)?), Arc::new(parse(value)?)))
            }
            _ => None,
        };
    }
    if let Some((basic, ..)) = BASIC.iter().find(|(_, name, _)| *name == text) {
        return Some(basic.clone());
    }
    Some(match text {
        "A" | "B" => Type::Param(text.as_bytes()[0]),
        _ => Type::Opaque(OPAQUE.iter().find(|(_, name, _)| *name == text)?.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures() {
        for text in ["list(int)", "map(string, list(dyn))", "bytes"] {
            assert_eq!(parse(text).map(|t| t.to_string()).as_deref(), Some(text));
        }
        assert!(parse("nonsense").is_none());
    }

    #[test]
    fn types_without_parts_are_all_in_the_table() {
        for (basic, name, identifier) in BASIC {
            assert_eq!(
                (basic.to_string().as_str(), parse(name).map(|of| of.to_string()).as_deref()),
                (*name, Some(*name))
            );
            let declared = identifier.unwrap_or(name);
            assert_eq!(basic.declared(), declared);
            assert_eq!(identifier.and_then(named).map(|of| of.to_string()).as_deref(), identifier.and(Some(*name)));
        }
    }
}
