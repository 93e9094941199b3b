//! The schema table: names, protobuf numbers, list and map semantics, patch strategies and
//! defaults of every field of every API type. Custom resources get a table of the same form.

mod settle;
mod table;

pub use settle::settle;
pub(crate) use table::full_name;

use crate::gvk::GroupVersionKind;
use crate::name::{START, start};
use crate::{Map, Name, Value};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

/// A set of types that refer to each other by index.
#[derive(Debug, Default)]
pub struct Schema {
    /// All types; [`TypeRef::id`] points here.
    pub types: Vec<TypeDef>,
    /// Whose types these are.
    pub origin: Origin,
    /// Names of all fields with [`Field::keeps_empty`].
    kept: HashSet<Box<str>>,
    names: HashMap<Box<str>, u32>,
    kinds: HashMap<GroupVersionKind, u32>,
}

/// Where a table comes from, which decides how strictly bodies are decoded along it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// The built-in table: wrong types are refused at once, and values become what upstream's
    /// types can hold.
    #[default]
    Builtin,
    /// A custom resource's definition: types are validation's business, `null` has a meaning.
    Definition,
}

/// One object type.
#[derive(Clone, Debug, Default)]
pub struct TypeDef {
    /// OpenAPI name, such as `io.k8s.api.core.v1.Pod`.
    pub name: Box<str>,
    /// Whether its JSON form has `apiVersion` and `kind`, which no field stands for.
    pub is_object: bool,
    /// Whether server-side apply replaces it as a whole.
    pub is_atomic: bool,
    /// Whether members that the table does not list are kept: only in custom resources.
    pub keeps_unknown: bool,
    /// The type's own fields in order of their protobuf numbers.
    pub fields: Vec<Field>,
    /// Positions in `fields` as upstream's structs declare them, which is the order of their JSON;
    /// empty for custom resources.
    pub declared: Vec<u32>,
    /// JSON names of the type's own fields and of all inlined messages', sorted, with the type
    /// and the position in its `fields`.
    pub members: Vec<(Box<str>, u32, u32)>,
    /// The first eight bytes of each of their names, as numbers that sort as the names do: they decide most look-ups.
    pub starts: Vec<u64>,
    /// Where in `members` each of `fields` stands; nowhere if it is an inlined message.
    pub places: Vec<Option<u32>>,
    /// What upstream writes for members that are not set: zero scalars that it never leaves out, empty objects, and
    /// `null` for times and for what [`Field::is_null`] tells of. In the order of `members`.
    pub zeros: Vec<Zero>,
    /// The version and kind that upstream writes into an object of this type which is a part of another one: messages
    /// do not carry them. Lists' items have none.
    pub embedded: Option<(Box<str>, Box<str>)>,
}

/// What a member is where it is not set.
#[derive(Clone, Debug)]
pub struct Zero {
    /// JSON name of the member.
    pub name: Box<str>,
    /// Its value.
    pub value: Value,
    /// The value as JSON.
    pub(crate) json: Box<[u8]>,
    /// The member's place in [`TypeDef::members`].
    pub(crate) member: u32,
}

/// One field of a type.
#[derive(Clone, Debug)]
pub struct Field {
    /// JSON name; empty for an inlined message.
    pub json: Box<str>,
    /// Protobuf field number.
    pub number: u32,
    /// Shape of the value.
    pub shape: Shape,
    /// Whether the field is written when it is absent.
    pub presence: Presence,
    /// Required by validation.
    pub required: bool,
    /// Whether JSON has `null` where the field is absent, or an empty list once it has been stored: upstream's type has no
    /// `omitempty` for it.
    pub is_null: bool,
    /// Whether an empty list or map is not the same as none to defaulting, admission and validation. Once stored, it is.
    pub keeps_empty: bool,
    /// List and map semantics.
    pub semantics: Semantics,
    /// What strategic merge does, if not replace.
    pub patch: Option<PatchStrategy>,
    /// Default value.
    pub default: Option<Value>,
    /// OpenAPI format, such as `int32`.
    pub format: Option<Box<str>>,
}

/// Whether upstream's type can tell an absent field from a zero one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A pointer: absent and zero differ.
    Pointer,
    /// No pointer, zero is left out of JSON; protobuf always carries it.
    OmitEmpty,
    /// No pointer; JSON and protobuf always carry it.
    Always,
}

/// The shape of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A string.
    String,
    /// A 32-bit integer.
    Int32,
    /// A 64-bit integer.
    Int64,
    /// A boolean.
    Bool,
    /// A floating-point number.
    Double,
    /// Bytes, in JSON as base64.
    Bytes,
    /// `resource.Quantity`: a string or number, canonical on output.
    Quantity,
    /// RFC 3339 with seconds.
    Time,
    /// RFC 3339 with microseconds.
    MicroTime,
    /// A duration in Go's form.
    Duration,
    /// An integer or a string.
    IntOrString,
    /// Any object, kept as it is.
    RawExtension,
    /// Managed fields, kept as they are.
    FieldsV1,
    /// Any JSON value.
    Json,
    /// A JSON schema or a list of them.
    SchemaOrArray,
    /// A JSON schema or a boolean.
    SchemaOrBool,
    /// A JSON schema or a list of strings.
    SchemaOrStrings,
    /// A list of strings that is a message of its own in protobuf.
    Strings,
    /// An object of this type.
    Message(u32),
    /// A list.
    List(Box<Shape>),
    /// A map with string keys.
    Map(Box<Shape>),
}

/// `x-kubernetes-list-type` and `x-kubernetes-map-type`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Semantics {
    /// As the shape says: lists atomic, maps and objects granular.
    #[default]
    Default,
    /// An atomic list.
    AtomicList,
    /// A list of unique scalars.
    Set,
    /// A list of objects with these keys.
    MapList(Vec<Box<str>>),
    /// An atomic map or object.
    AtomicMap,
    /// A granular map or object, though its type may be atomic elsewhere.
    GranularMap,
}

/// `x-kubernetes-patch-strategy` and `-merge-key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchStrategy {
    /// Lists are merged by key (or as sets of scalars).
    pub merge: bool,
    /// `$retainKeys` is understood.
    pub retain_keys: bool,
    /// Key of list elements; empty for scalars.
    pub key: Box<str>,
    /// The strategy as OpenAPI prints it, such as `merge,retainKeys`.
    pub text: Box<str>,
}

/// A type in a schema; cheap to clone.
#[derive(Clone, Debug)]
pub struct TypeRef {
    /// The table the type is in.
    pub schema: Arc<Schema>,
    /// Index into [`Schema::types`].
    pub id: u32,
}

static BUILTIN: LazyLock<Arc<Schema>> = LazyLock::new(|| {
    Arc::new(table::parse(include_str!("schema/types.txt")).expect("the built-in table parses: tested"))
});

impl Schema {
    /// The table of all built-in types, parsed once.
    pub fn builtin() -> &'static Arc<Schema> {
        &BUILTIN
    }

    /// A table of a custom resource's types; [`TypeDef::members`] are filled in.
    pub fn of_definition(mut types: Vec<TypeDef>) -> Self {
        for (id, def) in (0..).zip(&mut types) {
            let members = (0..).zip(&def.fields).map(|(at, field)| (field.json.clone(), id, at));
            let mut members: Vec<_> = members.collect();
            members.sort();
            def.set_members(id, members);
        }
        Self { types, origin: Origin::Definition, ..Self::default() }
    }

    /// The type of this OpenAPI name.
    pub fn type_named(self: &Arc<Self>, name: &str) -> Option<TypeRef> {
        self.names.get(name).map(|id| TypeRef { schema: self.clone(), id: *id })
    }

    /// The index of the type of this OpenAPI name.
    pub fn id_of(&self, name: &str) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// The type of this kind.
    pub fn kind(self: &Arc<Self>, kind: &GroupVersionKind) -> Option<TypeRef> {
        self.kinds.get(kind).map(|id| TypeRef { schema: self.clone(), id: *id })
    }

    /// All kinds.
    pub fn kinds(&self) -> impl Iterator<Item = &GroupVersionKind> {
        self.kinds.keys()
    }

    /// The kinds of a type, usually none or one.
    pub fn kinds_of(&self, id: u32) -> impl Iterator<Item = &GroupVersionKind> {
        self.kinds.iter().filter(move |(_, i)| **i == id).map(|(kind, _)| kind)
    }

    /// The type at this index.
    pub fn get(&self, id: u32) -> &TypeDef {
        &self.types[id as usize]
    }

    /// The field of type `id` (or of a message inlined into it) with this JSON name.
    pub fn field(&self, id: u32, json: &str) -> Option<&Field> {
        self.field_at(id, self.get(id).member(json)?)
    }

    /// The field that is the member of type `id` at this place.
    pub fn field_at(&self, id: u32, member: usize) -> Option<&Field> {
        let (_, owner, position) = self.get(id).members.get(member)?;
        self.get(*owner).fields.get(*position as usize)
    }
}

impl Field {
    /// Whether upstream's JSON leaves this value of the field out: it is empty and no pointer.
    /// Structs are never empty to Go.
    pub fn leaves_out(&self, value: &Value) -> bool {
        if self.presence != Presence::OmitEmpty {
            return false;
        }
        match (&self.shape, value) {
            // An empty list of managed fields asks to forget them.
            (Shape::List(_), Value::Array(_)) if &*self.json == "managedFields" => false,
            (Shape::List(_), Value::Array(_)) | (Shape::Map(_), Value::Object(_)) if self.keeps_empty => false,
            _ if self.is_null => false,
            (Shape::List(_) | Shape::Strings, Value::Array(list)) => list.is_empty(),
            (Shape::Map(_), Value::Object(map)) => map.is_empty(),
            (Shape::String | Shape::Bytes, Value::String(text)) => text.is_empty(),
            (Shape::Bool, Value::Bool(set)) => !set,
            (Shape::Int32 | Shape::Int64 | Shape::Double, Value::Number(number)) => number.as_f64() == Some(0.0),
            // Of all times only an object's own creation is left out when it is zero.
            (Shape::Time | Shape::MicroTime, Value::Null) => &*self.json == "creationTimestamp",
            _ => false,
        }
    }
}

impl TypeRef {
    /// The type's definition.
    pub fn def(&self) -> &TypeDef {
        self.schema.get(self.id)
    }

    /// The field with this JSON name.
    pub fn field(&self, json: &str) -> Option<&Field> {
        self.schema.field(self.id, json)
    }

    /// A type of the same schema.
    pub fn sibling(&self, id: u32) -> TypeRef {
        TypeRef { schema: self.schema.clone(), id }
    }
}

impl TypeDef {
    /// The place of the member with this JSON name in [`Self::members`].
    pub fn member(&self, json: &str) -> Option<usize> {
        let start = start(json.as_bytes());
        let first = self.starts.partition_point(|other| *other < start);
        let same = |at: &usize| self.starts.get(*at) == Some(&start);
        (first..).take_while(same).find(|at| {
            let name = &*self.members[*at].0;
            // A short name is all in its start, but for zeros at its end.
            name.len() == json.len() && (json.len() <= START || name == json)
        })
    }

    /// The members that an object of the type has when none is set.
    pub fn zero(&self) -> Map {
        let mut map = Map::new();
        self.fill(&mut map);
        map
    }

    /// Adds the members that an object always has where they are not set.
    pub(crate) fn fill(&self, map: &mut Map) {
        for zero in &self.zeros {
            if !map.contains_key(Name::of(&zero.name)) {
                map.insert(zero.name.to_string(), zero.value.clone());
            }
        }
    }

    /// Gives the type, which is the one of this index, its members, which are sorted.
    fn set_members(&mut self, id: u32, members: Vec<(Box<str>, u32, u32)>) {
        self.starts = members.iter().map(|(name, ..)| start(name.as_bytes())).collect();
        self.places = vec![None; self.fields.len()];
        for (at, (_, owner, position)) in (0..).zip(&members) {
            if let Some(place) = self.places.get_mut(*position as usize).filter(|_| *owner == id) {
                *place = Some(at);
            }
        }
        self.members = members;
    }

    /// The type's own fields as upstream's structs declare them.
    pub fn declared_fields(&self) -> impl Iterator<Item = &Field> {
        self.declared.iter().filter_map(|position| self.fields.get(*position as usize))
    }

    /// The last part of the name, such as `Pod`.
    pub fn short_name(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::protobuf::MAX_FIELDS;

    #[test]
    fn finds_each_member_by_its_name() {
        let schema = Schema::builtin();
        for def in &schema.types {
            assert!(def.members.len() < 256 && def.fields.len() <= MAX_FIELDS, "{}: codecs count on that", def.name);
            let placed = def.places.iter().enumerate().filter_map(|(at, place)| Some((at, (*place)?)));
            for (at, place) in placed {
                assert_eq!(def.members[place as usize].0, def.fields[at].json);
            }
            let inlined = def.fields.iter().filter(|field| field.json.is_empty()).count();
            assert_eq!(def.places.iter().filter(|place| place.is_none()).count(), inlined, "{}", def.name);
            for (at, (name, ..)) in def.members.iter().enumerate() {
                assert_eq!(def.member(name), Some(at), "{} {name}", def.name);
                for other in [format!("{name}\0"), format!("{name}x"), name[..name.len() - 1].to_owned()] {
                    let listed = def.members.iter().position(|(name, ..)| **name == *other);
                    assert_eq!(def.member(&other), listed, "{} {other}", def.name);
                }
            }
        }
        assert_eq!(TypeDef::default().member("x"), None);
    }

    #[test]
    fn knows_pods() {
        let schema = Schema::builtin();
        let pod = schema.kind(&GroupVersionKind::new("", "v1", "Pod")).expect("Pod is built in");
        assert_eq!(&*pod.def().name, "io.k8s.api.core.v1.Pod");
        let Some(Field { shape: Shape::Message(spec), .. }) = pod.field("spec") else { panic!("spec is a message") };
        let containers = schema.field(*spec, "containers").expect("containers");
        assert_eq!((containers.number, containers.required), (2, true));
        assert_eq!(containers.semantics, Semantics::MapList(vec!["name".into()]));
        assert_eq!(containers.patch.as_ref().map(|p| (p.merge, &*p.key)), Some((true, "name")));
        assert_eq!(schema.field(*spec, "hostNetwork").expect("hostNetwork").presence, Presence::OmitEmpty);
        assert_eq!(schema.field(*spec, "priority").expect("priority").presence, Presence::Pointer);
    }

    #[test]
    fn inlined_messages_give_their_members() {
        let schema = Schema::builtin();
        let volume = schema.type_named("io.k8s.api.core.v1.Volume").expect("Volume");
        assert!(volume.field("name").is_some() && volume.field("hostPath").is_some() && volume.field("").is_none());
        assert!(volume.field("nonsense").is_none());
    }

    #[test]
    fn every_reference_resolves() {
        let schema = Schema::builtin();
        assert!(schema.types.len() > 1000);
        for def in &schema.types {
            assert!(def.members.windows(2).all(|w| w[0].0 < w[1].0), "{}: members sorted and unique", def.name);
            assert!(def.fields.windows(2).all(|w| w[0].number < w[1].number), "{}: numbers ascend", def.name);
        }
    }
}
