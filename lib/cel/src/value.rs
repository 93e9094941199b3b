//! Values while an expression runs. JSON is looked at where it lies: only what an expression
//! touches is converted.

use crate::EvalError;
use crate::eval::Lazy;
use crate::library::authorizer::Authorization;
use crate::moment::Moment;
use crate::types::is_unordered;
use apimachinery::Value as Json;
use apimachinery::quantity::Quantity;
use apimachinery::schema::{Schema, Semantics, Shape, TypeRef};
use apimachinery::time::{format_go_duration, parse_go_nanos};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

/// A value.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// A boolean.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// A floating-point number.
    Double(f64),
    /// A text.
    String(Text<'a>),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// A point in time.
    Timestamp(Moment),
    /// Nanoseconds.
    Duration(i64),
    /// A list.
    List(List<'a>),
    /// A map or an object.
    Map(Map<'a>),
    /// A value that may be missing.
    Optional(Option<Arc<Value<'a>>>),
    /// A type's name.
    Type(&'static str),
    /// `kubernetes.Quantity`
    Quantity(Quantity),
    /// `kubernetes.URL`
    Url(Arc<crate::library::urls::Url>),
    /// `net.IP`
    Ip(IpAddr),
    /// `net.CIDR`
    Cidr(IpNet),
    /// `kubernetes.Semver`
    Semver(Arc<semver::Version>),
    /// `kubernetes.NamedFormat`
    Format(&'static crate::library::formats::Format),
    /// An authorizer, a check being built, or its outcome.
    Authorization(Authorization<'a>),
}

/// A text, borrowed from JSON or made.
#[derive(Clone, Debug)]
pub enum Text<'a> {
    /// Part of what the program runs over.
    Borrowed(&'a str),
    /// Made by the expression.
    Shared(Arc<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Text::Borrowed(text) => text,
            Text::Shared(text) => text,
        }
    }
}

/// A list, borrowed from JSON or made.
#[derive(Clone, Debug)]
pub struct List<'a>(Items<'a>);

#[derive(Clone, Debug)]
enum Items<'a> {
    Json(&'a [Json], Known<'a>),
    Shared(Arc<[Value<'a>]>),
}

/// A map, borrowed from JSON, made, or computed on demand.
#[derive(Clone, Debug)]
pub struct Map<'a>(Entries<'a>);

#[derive(Clone, Debug)]
enum Entries<'a> {
    Json(&'a apimachinery::Map, Known<'a>),
    Shared(Arc<BTreeMap<Key<'a>, Value<'a>>>),
    /// As before, with what stands for keys that it has not.
    Defaulting(Arc<BTreeMap<Key<'a>, Value<'a>>>, Arc<Value<'a>>),
    /// An object of a named type that the expression built.
    Object(Arc<str>, Arc<BTreeMap<Key<'a>, Value<'a>>>),
    Lazy(Lazy<'a>),
}

/// A key of a map. Integers of all kinds are the same key.
#[derive(Clone, Debug)]
pub(crate) enum Key<'a> {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Text(Text<'a>),
}

/// What a schema says about JSON.
#[derive(Clone, Copy, Debug)]
enum Known<'a> {
    /// Nothing.
    Nothing,
    /// All elements have this shape.
    Each(&'a Schema, &'a Shape, bool),
    /// It is an object of this type.
    Fields(&'a Schema, u32),
}

impl<'a> Value<'a> {
    /// JSON without a schema: times and quantities are strings.
    pub fn json(json: &'a Json) -> Self {
        Self::known(json, Known::Nothing)
    }

    /// JSON of a known type: times are timestamps, bytes are bytes.
    pub fn typed(json: &'a Json, of: &'a TypeRef) -> Self {
        Self::known(json, Known::Fields(&of.schema, of.id))
    }

    /// JSON of a known shape, such as a list of strings that is a field of its own.
    pub fn shaped(json: &'a Json, schema: &'a Schema, shape: &'a Shape, semantics: &'a Semantics) -> Self {
        Self::of_shape(json, schema, shape, is_unordered(semantics))
    }

    fn known(json: &'a Json, known: Known<'a>) -> Self {
        match json {
            Json::Null => Value::Null,
            Json::Bool(set) => Value::Bool(*set),
            Json::Number(number) => number_value(number),
            Json::String(text) => Value::String(Text::Borrowed(text)),
            Json::Array(items) => Value::List(List(Items::Json(items, known))),
            Json::Object(map) => Value::Map(Map(Entries::Json(map, known))),
        }
    }

    fn of_shape(json: &'a Json, schema: &'a Schema, shape: &'a Shape, unordered: bool) -> Self {
        let text = || json.as_str();
        let special = match shape {
            Shape::Double => json.as_f64().map(Value::Double),
            Shape::Time | Shape::MicroTime => text().and_then(|t| Moment::parse(t).ok()).map(Value::Timestamp),
            Shape::Duration => text().and_then(parse_go_nanos).map(Value::Duration),
            Shape::Bytes => text().and_then(|t| BASE64.decode(t).ok()).map(|bytes| Value::Bytes(bytes.into())),
            Shape::Message(id) => Some(Self::known(json, Known::Fields(schema, *id))),
            Shape::List(of) => Some(Self::known(json, Known::Each(schema, of, unordered))),
            Shape::Map(of) => Some(Self::known(json, Known::Each(schema, of, false))),
            _ => None,
        };
        special.unwrap_or_else(|| Self::json(json))
    }

    /// A text made here.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Value::String(Text::Shared(text.into()))
    }

    /// A list made here.
    pub fn list(items: Vec<Value<'a>>) -> Self {
        Value::List(List(Items::Shared(items.into())))
    }

    /// A map made here.
    pub fn entries(entries: impl IntoIterator<Item = (&'a str, Value<'a>)>) -> Self {
        Self::map(entries.into_iter().map(|(key, value)| (Key::Text(Text::Borrowed(key)), value)).collect())
    }

    /// A map made here that finds `default` for the keys that it has not; `in` still tells them apart.
    pub fn entries_or(entries: impl IntoIterator<Item = (&'a str, Value<'a>)>, default: Value<'a>) -> Self {
        let entries = entries.into_iter().map(|(key, value)| (Key::Text(Text::Borrowed(key)), value)).collect();
        Value::Map(Map(Entries::Defaulting(Arc::new(entries), Arc::new(default))))
    }

    /// A semantic version; why it is none otherwise.
    pub fn version(text: &str) -> Result<Self, String> {
        text.parse().map(|version| Value::Semver(Arc::new(version))).map_err(|error: semver::Error| error.to_string())
    }

    pub(crate) fn map(entries: BTreeMap<Key<'a>, Value<'a>>) -> Self {
        Value::Map(Map(Entries::Shared(Arc::new(entries))))
    }

    pub(crate) fn object(name: Arc<str>, entries: BTreeMap<Key<'a>, Value<'a>>) -> Self {
        Value::Map(Map(Entries::Object(name, Arc::new(entries))))
    }

    pub(crate) fn lazy(lazy: Lazy<'a>) -> Self {
        Value::Map(Map(Entries::Lazy(lazy)))
    }

    pub(crate) fn some(value: Value<'a>) -> Self {
        Value::Optional(Some(Arc::new(value)))
    }

    /// The boolean, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        if let Value::Bool(set) = self { Some(*set) } else { None }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Value::String(text) = self { Some(text) } else { None }
    }

    /// The elements, if it is a list.
    pub fn as_list(&self) -> Option<&List<'a>> {
        if let Value::List(list) = self { Some(list) } else { None }
    }

    /// The entries, if it is a map or an object.
    pub fn as_map(&self) -> Option<&Map<'a>> {
        if let Value::Map(map) = self { Some(map) } else { None }
    }

    /// Whether it is of a type of the function libraries.
    pub(crate) fn is_of_library(&self) -> bool {
        matches!(
            self,
            Value::Quantity(_)
                | Value::Url(_)
                | Value::Ip(_)
                | Value::Cidr(_)
                | Value::Semver(_)
                | Value::Format(_)
                | Value::Authorization(_)
        )
    }

    /// What `type()` says.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null_type",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Uint(_) => "uint",
            Value::Double(_) => "double",
            Value::String(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::Timestamp(_) => "google.protobuf.Timestamp",
            Value::Duration(_) => "google.protobuf.Duration",
            Value::List(_) => "list",
            Value::Map(_) => "map",
            Value::Optional(_) => "optional_type",
            Value::Type(_) => "type",
            Value::Quantity(_) => "kubernetes.Quantity",
            Value::Url(_) => "kubernetes.URL",
            Value::Ip(_) => "net.IP",
            Value::Cidr(_) => "net.CIDR",
            Value::Semver(_) => "kubernetes.Semver",
            Value::Format(_) => "kubernetes.NamedFormat",
            Value::Authorization(authorization) => authorization.type_name(),
        }
    }

    /// What Go calls the type, which some of upstream's errors tell.
    pub(crate) fn go_name(&self) -> &'static str {
        match self {
            Value::Null => "types.Null",
            Value::Bool(_) => "types.Bool",
            Value::Int(_) => "types.Int",
            Value::Uint(_) => "types.Uint",
            Value::Double(_) => "types.Double",
            Value::String(_) => "types.String",
            Value::Bytes(_) => "types.Bytes",
            Value::Timestamp(_) => "types.Timestamp",
            Value::Duration(_) => "types.Duration",
            Value::Optional(_) => "*types.Optional",
            Value::Type(_) => "*types.Type",
            Value::Quantity(_) => "cel.Quantity",
            Value::Url(_) => "cel.URL",
            Value::Ip(_) => "cel.IP",
            Value::Cidr(_) => "cel.CIDR",
            Value::Semver(_) => "cel.Semver",
            Value::Format(_) => "*cel.Format",
            Value::List(_) | Value::Map(_) | Value::Authorization(_) => self.type_name(),
        }
    }

    /// What is wrong with the names of the objects that an expression built: each says by its type
    /// where in the whole it stands, lists and maps on the way aside.
    ///
    /// Upstream: `apiserver/pkg/cel/mutation/dynamic/objects.go`.
    pub fn misnamed(&self) -> Option<String> {
        let name = self.as_map()?.object_name()?;
        let mut findings = Vec::new();
        self.check_names(name, &mut findings);
        (!findings.is_empty()).then(|| findings.join("\n"))
    }

    fn check_names(&self, expected: &str, findings: &mut Vec<String>) {
        match self {
            Value::List(List(Items::Shared(items))) => {
                items.iter().for_each(|item| item.check_names(expected, findings));
            }
            Value::Map(Map(Entries::Shared(entries))) => {
                entries.values().for_each(|value| value.check_names(expected, findings));
            }
            Value::Map(Map(Entries::Object(name, fields))) => {
                if **name != *expected {
                    findings.push(format!(
                        "unexpected type name {name:?}, expected {expected:?}, which matches field name path from root \
                         Object type"
                    ));
                }
                for (field, value) in fields.iter() {
                    value.check_names(&format!("{expected}.{field}"), findings);
                }
            }
            _ => {}
        }
    }

    /// The value as JSON; what JSON has no form for is an error.
    pub fn to_json(&self) -> Result<Json, EvalError> {
        Ok(match self {
            Value::Null | Value::Optional(None) => Json::Null,
            Value::Bool(set) => Json::Bool(*set),
            Value::Int(number) => (*number).into(),
            Value::Uint(number) => (*number).into(),
            Value::Double(number) => {
                serde_json::Number::from_f64(*number).map(Json::Number).ok_or(EvalError::Unconvertible("double"))?
            }
            Value::String(text) => Json::String(text.to_string()),
            Value::Bytes(bytes) => Json::String(BASE64.encode(bytes)),
            Value::Timestamp(time) => Json::String(time.to_string()),
            Value::Duration(nanos) => Json::String(format_go_duration(*nanos)),
            Value::List(list) => Json::Array(list.iter().map(|v| v.to_json()).collect::<Result<_, _>>()?),
            Value::Map(map) => Json::Object(map.to_json()?),
            Value::Optional(Some(value)) => value.to_json()?,
            Value::Quantity(quantity) => Json::String(quantity.to_string()),
            Value::Ip(ip) => Json::String(ip.to_string()),
            Value::Cidr(cidr) => Json::String(cidr.to_string()),
            Value::Semver(version) => Json::String(version.to_string()),
            Value::Type(_) | Value::Url(_) | Value::Format(_) | Value::Authorization(_) => {
                return Err(EvalError::Unconvertible(self.type_name()));
            }
        })
    }
}

fn number_value<'a>(number: &serde_json::Number) -> Value<'a> {
    match (number.as_i64(), number.as_u64()) {
        (Some(int), _) => Value::Int(int),
        (None, Some(uint)) => Value::Uint(uint),
        _ => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
    }
}

impl<'a> List<'a> {
    /// How many elements.
    pub fn len(&self) -> usize {
        match &self.0 {
            Items::Json(items, _) => items.len(),
            Items::Shared(items) => items.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An element.
    pub fn get(&self, index: usize) -> Option<Value<'a>> {
        match &self.0 {
            Items::Json(items, Known::Each(schema, shape, _)) => {
                Some(Value::of_shape(items.get(index)?, schema, shape, false))
            }
            Items::Json(items, _) => items.get(index).map(Value::json),
            Items::Shared(items) => items.get(index).cloned(),
        }
    }

    /// All elements.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// Whether the schema says that the order means nothing.
    pub(crate) fn is_unordered(&self) -> bool {
        matches!(self.0, Items::Json(_, Known::Each(_, _, true)))
    }
}

impl<'a> Map<'a> {
    /// How many entries.
    pub fn len(&self) -> usize {
        match &self.0 {
            Entries::Json(map, _) => map.len(),
            Entries::Shared(map) | Entries::Object(_, map) | Entries::Defaulting(map, _) => map.len(),
            Entries::Lazy(lazy) => lazy.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry of a text.
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        match &self.0 {
            Entries::Json(map, known) => map.get(key).map(|json| member(json, *known, key)),
            Entries::Shared(map) | Entries::Object(_, map) => map.get(&Key::Text(Text::Shared(key.into()))).cloned(),
            Entries::Defaulting(map, default) => {
                Some(map.get(&Key::Text(Text::Shared(key.into()))).unwrap_or(default).clone())
            }
            Entries::Lazy(_) => None,
        }
    }

    /// The entry of any key.
    pub(crate) fn entry(&self, key: &Value<'a>) -> Option<Value<'a>> {
        match (&self.0, key) {
            (Entries::Json(..) | Entries::Lazy(_), Value::String(text)) => self.get(text),
            (Entries::Shared(map) | Entries::Object(_, map), _) => map.get(&Key::of(key)?).cloned(),
            (Entries::Defaulting(map, default), _) => {
                Some(Key::of(key).and_then(|key| map.get(&key)).unwrap_or(default).clone())
            }
            _ => None,
        }
    }

    /// Whether it has the key itself.
    pub(crate) fn has(&self, key: &Value<'a>) -> bool {
        match &self.0 {
            Entries::Defaulting(map, _) => Key::of(key).is_some_and(|key| map.contains_key(&key)),
            _ => self.entry(key).is_some(),
        }
    }

    pub(crate) fn as_lazy(&self) -> Option<&Lazy<'a>> {
        if let Entries::Lazy(lazy) = &self.0 { Some(lazy) } else { None }
    }

    /// Whether the expression built it as an object of this type.
    pub fn is_object(&self, name: &str) -> bool {
        self.object_name() == Some(name)
    }

    /// The name of the type, if the expression built it as an object.
    pub(crate) fn object_name(&self) -> Option<&str> {
        if let Entries::Object(name, _) = &self.0 { Some(name) } else { None }
    }

    /// All keys, in order.
    pub fn keys(&self) -> Vec<Value<'a>> {
        match &self.0 {
            Entries::Json(map, _) => map.keys().map(|key| Value::String(Text::Borrowed(key))).collect(),
            Entries::Shared(map) | Entries::Object(_, map) | Entries::Defaulting(map, _) => {
                map.keys().map(Key::value).collect()
            }
            Entries::Lazy(_) => Vec::new(),
        }
    }

    fn to_json(&self) -> Result<apimachinery::Map, EvalError> {
        match &self.0 {
            Entries::Json(map, _) => Ok((*map).clone()),
            Entries::Shared(map) | Entries::Object(_, map) | Entries::Defaulting(map, _) => {
                map.iter().map(|(key, value)| Ok((key.to_string(), value.to_json()?))).collect()
            }
            Entries::Lazy(_) => Err(EvalError::Unconvertible("variables")),
        }
    }
}

fn member<'a>(json: &'a Json, known: Known<'a>, key: &str) -> Value<'a> {
    match known {
        Known::Nothing => Value::json(json),
        Known::Each(schema, shape, _) => Value::of_shape(json, schema, shape, false),
        Known::Fields(schema, id) => match schema.field(id, key) {
            Some(field) => Value::shaped(json, schema, &field.shape, &field.semantics),
            None => Value::json(json),
        },
    }
}

impl<'a> Key<'a> {
    /// The key that a value is; `None` if it cannot be one.
    pub(crate) fn of(value: &Value<'a>) -> Option<Self> {
        match value {
            Value::Bool(set) => Some(Key::Bool(*set)),
            Value::Int(number) => Some(Key::Int(*number)),
            Value::Uint(number) => Some(Key::Uint(*number)),
            Value::Double(number) if number.fract() == 0.0 && number.abs() < 1e18 => Some(Key::Int(*number as i64)),
            Value::String(text) => Some(Key::Text(text.clone())),
            _ => None,
        }
    }

    pub(crate) fn text(text: &str) -> Self {
        Key::Text(Text::Shared(text.into()))
    }

    fn value(&self) -> Value<'a> {
        match self {
            Key::Bool(set) => Value::Bool(*set),
            Key::Int(number) => Value::Int(*number),
            Key::Uint(number) => Value::Uint(*number),
            Key::Text(text) => Value::String(text.clone()),
        }
    }

    /// Booleans, then numbers, then texts.
    fn rank(&self) -> (u8, i128, &str) {
        match self {
            Key::Bool(set) => (0, i128::from(*set), ""),
            Key::Int(number) => (1, i128::from(*number), ""),
            Key::Uint(number) => (1, i128::from(*number), ""),
            Key::Text(text) => (2, 0, text),
        }
    }
}

impl std::fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Key::Bool(set) => write!(f, "{set}"),
            Key::Int(number) => write!(f, "{number}"),
            Key::Uint(number) => write!(f, "{number}"),
            Key::Text(text) => f.write_str(text),
        }
    }
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Key<'_> {}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

/// Types that identifiers name.
pub(crate) const TYPE_NAMES: &[&str] =
    &["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type", "optional_type"];
