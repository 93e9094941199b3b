//! What the schema says about a place in an object: which form its values have, what owns what
//! as a whole, and how list elements are told apart.
//!
//! Upstream derives the same from OpenAPI: `kube-openapi/pkg/schemaconv/openapi.go`,
//! `structured-merge-diff/typed/helpers.go`.

use super::element::Element;
use apimachinery::schema::{Field, PatchStrategy, Presence, Schema, Semantics, Shape, TypeRef};
use apimachinery::{Map, Value};
use std::sync::LazyLock;

/// A place in objects of a schema.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    schema: &'a Schema,
    shape: &'a Shape,
    semantics: &'a Semantics,
    patch: Option<&'a PatchStrategy>,
    presence: Presence,
    is_null: bool,
    keeps_empty: bool,
}

/// The form of a value.
#[derive(Clone, Copy)]
pub(super) enum Form<'a> {
    Scalar(Scalar),
    /// A list or an object that is owned as a whole.
    Atomic(Whole),
    /// A list whose elements are owned one by one.
    List(Keys<'a>),
    /// An object or a map whose members are owned one by one.
    Object,
}

/// What a scalar may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Numeric,
    Text,
    Boolean,
    Any,
}

/// What is owned as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whole {
    List,
    Object,
}

/// How list elements are told apart.
#[derive(Clone, Copy)]
pub(super) enum Keys<'a> {
    /// By themselves.
    Set,
    /// By these members.
    Members(&'a [Box<str>]),
    /// By the patch merge key.
    Member(&'a str),
}

/// Whether the schema lists a member by name, or only its kind of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Declared {
    ByName,
    AsElement,
}

/// Why a list element cannot be told apart from others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// In a list with keys.
    #[error("associative list with keys may not have a null element")]
    NullWithKeys,
    /// In a list with keys.
    #[error("associative list with keys may not have non-map elements")]
    NotAMap,
    /// None of the keys is given, and none has a default.
    #[error(
        "associative list with keys has an element that omits all key fields {0} (and doesn't have default values for \
         any key fields)"
    )]
    NoKeys(String),
    /// In a set.
    #[error("associative list without keys has an element that's a map type")]
    MapInSet,
    /// In a set.
    #[error("not supported: associative list with lists as elements")]
    ListInSet,
    /// In a set.
    #[error("associative list without keys has an element that's an explicit null")]
    NullInSet,
}

static PLAIN: Semantics = Semantics::Default;
static TEXT: Shape = Shape::String;
/// Whatever stands there: objects member by member, lists as a whole.
static FREE: Shape = Shape::Json;
static NO_TEXT: LazyLock<Value> = LazyLock::new(|| Value::String(String::new()));
static ZERO: LazyLock<Value> = LazyLock::new(|| Value::Number(0.into()));
static NOTHING: LazyLock<Value> = LazyLock::new(|| Value::Object(Map::new()));
static NULL: Value = Value::Null;

impl<'a> Place<'a> {
    /// An object of this type.
    pub(super) fn root(ty: &'a TypeRef, shape: &'a Shape) -> Self {
        Self::plain(&ty.schema, shape)
    }

    fn plain(schema: &'a Schema, shape: &'a Shape) -> Self {
        Self {
            schema,
            shape,
            semantics: &PLAIN,
            patch: None,
            presence: Presence::Pointer,
            is_null: false,
            keeps_empty: false,
        }
    }

    fn of(schema: &'a Schema, field: &'a Field) -> Self {
        let Field { shape, semantics, presence, is_null, keeps_empty, .. } = field;
        let (patch, is_null, keeps_empty) = (field.patch.as_ref(), *is_null, *keeps_empty);
        Self { schema, shape, semantics, patch, presence: *presence, is_null, keeps_empty }
    }

    /// The form of this value; of free-form places the value decides.
    pub(super) fn form(&self, value: Option<&Value>) -> Form<'a> {
        match self.shape {
            Shape::String | Shape::Bytes | Shape::Duration => Form::Scalar(Scalar::Text),
            Shape::Int32 | Shape::Int64 | Shape::Double => Form::Scalar(Scalar::Numeric),
            Shape::Bool => Form::Scalar(Scalar::Boolean),
            Shape::Quantity | Shape::Time | Shape::MicroTime | Shape::IntOrString => Form::Scalar(Scalar::Any),
            Shape::Strings => Form::Atomic(Whole::List),
            Shape::List(_) => self.list_form(),
            Shape::Message(id) if self.is_atomic(*id) => Form::Atomic(Whole::Object),
            Shape::Map(_) if *self.semantics == Semantics::AtomicMap => Form::Atomic(Whole::Object),
            Shape::Message(_) | Shape::Map(_) => Form::Object,
            // What is in them is nobody's schema: it is replaced as a whole.
            Shape::RawExtension => match value {
                Some(Value::Object(_)) | None => Form::Atomic(Whole::Object),
                Some(Value::Array(_)) => Form::Atomic(Whole::List),
                Some(_) => Form::Scalar(Scalar::Any),
            },
            Shape::FieldsV1 => Form::Object,
            Shape::Json | Shape::SchemaOrArray | Shape::SchemaOrBool | Shape::SchemaOrStrings => match value {
                Some(Value::Object(_)) if *self.semantics == Semantics::AtomicMap => Form::Atomic(Whole::Object),
                Some(Value::Object(_)) => Form::Object,
                Some(Value::Array(_)) => self.list_form(),
                _ => Form::Scalar(Scalar::Any),
            },
        }
    }

    fn is_atomic(&self, id: u32) -> bool {
        match self.semantics {
            Semantics::AtomicMap => true,
            Semantics::GranularMap => false,
            _ => self.schema.get(id).is_atomic,
        }
    }

    fn list_form(&self) -> Form<'a> {
        match (self.semantics, self.patch) {
            (Semantics::Set, _) => Form::List(Keys::Set),
            (Semantics::MapList(keys), _) => Form::List(Keys::Members(keys)),
            (Semantics::Default, Some(patch)) if patch.merge && patch.key.is_empty() => Form::List(Keys::Set),
            (Semantics::Default, Some(patch)) if patch.merge => Form::List(Keys::Member(&patch.key)),
            _ => Form::Atomic(Whole::List),
        }
    }

    /// The place of a member of an object here; `None` if the schema has no such member.
    pub(super) fn member(&self, name: &str) -> Option<(Self, Declared)> {
        match self.shape {
            Shape::Message(id) => {
                let def = self.schema.get(*id);
                match self.schema.field(*id, name) {
                    Some(field) => Some((Self::of(self.schema, field), Declared::ByName)),
                    None if def.is_object && matches!(name, "kind" | "apiVersion") => {
                        Some((Self::plain(self.schema, &TEXT), Declared::ByName))
                    }
                    // Objects without members, or with others than the schema lists.
                    None => (def.members.is_empty() || def.keeps_unknown)
                        .then_some((Self::plain(self.schema, &FREE), Declared::AsElement)),
                }
            }
            Shape::Map(inner) => Some((Self::plain(self.schema, inner), Declared::AsElement)),
            _ => Some((Self::plain(self.schema, &FREE), Declared::AsElement)),
        }
    }

    /// The place of a list's elements.
    pub(super) fn element(&self) -> Self {
        match self.shape {
            Shape::List(inner) => Self::plain(self.schema, inner),
            Shape::Strings => Self::plain(self.schema, &TEXT),
            _ => Self::plain(self.schema, &FREE),
        }
    }

    /// What upstream's type holds where a value is absent and it cannot say so: what it never leaves out is `null`
    /// there, if it is no struct.
    pub(super) fn zero(&self) -> Option<&'static Value> {
        match (self.shape, self.presence) {
            _ if self.is_null => Some(&NULL),
            (Shape::Message(_), Presence::OmitEmpty | Presence::Always) => Some(&NOTHING),
            _ => None,
        }
    }

    /// Whether a value is what an absent one reads as in upstream's type.
    pub(super) fn is_zero(&self, value: &Value) -> bool {
        match value {
            Value::Null if self.is_null => true,
            Value::Null => self.presence != Presence::Pointer && matches!(self.shape, Shape::Time | Shape::MicroTime),
            Value::Array(list) if self.keeps_empty => list.is_empty(),
            Value::Object(map) if self.keeps_empty => map.is_empty(),
            _ if self.presence != Presence::Always => false,
            Value::String(text) => text.is_empty(),
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::Bool(set) => !set,
            _ => false,
        }
    }

    /// What tells an element of a list here apart from others.
    pub(super) fn identify(&self, keys: Keys<'a>, item: &Value) -> Result<Element, KeyError> {
        match (keys, item) {
            (Keys::Set, Value::Object(_)) => Err(KeyError::MapInSet),
            (Keys::Set, Value::Array(_)) => Err(KeyError::ListInSet),
            (Keys::Set, Value::Null) => Err(KeyError::NullInSet),
            (Keys::Set, value) => Ok(Element::Value(value.clone())),
            (_, Value::Null) => Err(KeyError::NullWithKeys),
            (Keys::Members(names), Value::Object(map)) => self.keyed(names.iter().map(|name| &**name), map),
            (Keys::Member(name), Value::Object(map)) => self.keyed([name].into_iter(), map),
            _ => Err(KeyError::NotAMap),
        }
    }

    fn keyed<'n>(&self, names: impl Iterator<Item = &'n str> + Clone, map: &Map) -> Result<Element, KeyError> {
        let element = self.element();
        let given = |name: &'n str| {
            let value = map.get(name).or_else(|| element.default_of(name))?;
            Some((Box::from(name), value.clone()))
        };
        let mut keys: Vec<(Box<str>, Value)> = names.clone().filter_map(given).collect();
        if keys.is_empty() {
            let quoted: Vec<String> = names.map(|name| format!("{name:?}")).collect();
            return Err(KeyError::NoKeys(format!("[{}]", quoted.join(" "))));
        }
        keys.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Element::Key(keys.into()))
    }

    /// What a key that is not given reads as: what upstream's type never leaves out has the zero of its type.
    fn default_of(&self, member: &str) -> Option<&'a Value> {
        let Shape::Message(id) = self.shape else { return None };
        let field = self.schema.field(*id, member)?;
        let zero = match (field.presence, &field.shape) {
            (Presence::Always, Shape::String) => Some(&*NO_TEXT),
            (Presence::Always, Shape::Int32 | Shape::Int64) => Some(&*ZERO),
            _ => None,
        };
        field.default.as_ref().or(zero)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn identify(kind: &str, list: &[&str], item: &Value) -> Result<String, String> {
        let ty = Schema::builtin().type_named(kind).expect("a type");
        let shape = Shape::Message(ty.id);
        let place = list.iter().fold(Place::root(&ty, &shape), |place, name| place.member(name).expect("a member").0);
        let Form::List(keys) = place.form(None) else { return Err("no such list".into()) };
        place.identify(keys, item).map(|element| element.text()).map_err(|error| error.to_string())
    }

    #[test]
    fn elements_are_told_apart_by_their_keys() {
        let container = "io.k8s.api.core.v1.Container";
        for (item, want) in [
            (json!({"containerPort": 80}), Ok("k:{\"containerPort\":80,\"protocol\":\"TCP\"}")),
            (json!({"containerPort": 53, "protocol": "UDP"}), Ok("k:{\"containerPort\":53,\"protocol\":\"UDP\"}")),
            (json!(null), Err("associative list with keys may not have a null element")),
            (json!("x"), Err("associative list with keys may not have non-map elements")),
        ] {
            assert_eq!(identify(container, &["ports"], &item).as_deref().map_err(String::as_str), want, "{item}");
        }
        assert_eq!(identify(container, &["env"], &json!({})).as_deref(), Ok("k:{\"name\":\"\"}"));
        let meta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
        assert_eq!(identify(meta, &["finalizers"], &json!("a/b")).as_deref(), Ok("v:\"a/b\""));
        assert!(identify(meta, &["finalizers"], &json!({})).is_err());
    }

    #[test]
    fn forms_follow_the_table() {
        let ty = Schema::builtin().type_named("io.k8s.api.apps.v1.DeploymentSpec").expect("a type");
        let shape = Shape::Message(ty.id);
        let spec = Place::root(&ty, &shape);
        let form = |name: &str| spec.member(name).map(|(place, _)| place.form(None));
        assert!(matches!(form("selector"), Some(Form::Atomic(Whole::Object))));
        assert!(matches!(form("replicas"), Some(Form::Scalar(Scalar::Numeric))));
        assert!(matches!(form("template"), Some(Form::Object)));
        assert!(form("nonsense").is_none());
        assert!(spec.member("template").expect("there").0.zero().is_some());
        assert!(spec.member("replicas").expect("there").0.zero().is_none());
    }

    #[test]
    fn free_form_values_are_replaced_as_a_whole() {
        let ty = Schema::builtin().type_named("io.k8s.api.apps.v1.ControllerRevision").expect("a type");
        let shape = Shape::Message(ty.id);
        let (data, _) = Place::root(&ty, &shape).member("data").expect("there");
        assert!(matches!(data.form(Some(&json!({"a": {"b": 1}}))), Form::Atomic(Whole::Object)));
        assert!(matches!(data.form(Some(&json!([1]))), Form::Atomic(Whole::List)));
        assert!(matches!(data.form(Some(&json!("x"))), Form::Scalar(Scalar::Any)));
    }

    #[test]
    fn what_is_kept_when_empty_is_nobodys() {
        let ty = Schema::builtin().type_named("io.k8s.api.core.v1.PodSpec").expect("a type");
        let shape = Shape::Message(ty.id);
        let (overhead, _) = Place::root(&ty, &shape).member("overhead").expect("there");
        for (value, want) in [(json!({}), true), (json!({"cpu": "1"}), false)] {
            assert_eq!(overhead.is_zero(&value), want, "{value}");
        }
    }
}
