//! A structural schema as a schema table, so that decoding, patches and server-side apply treat
//! custom resources as built-in ones.

use super::{Additional, Format, ListType, Node, Type};
use apimachinery::schema::{Field, Presence, Schema, Semantics, Shape, TypeDef, TypeRef};
use std::sync::Arc;

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The type of a custom resource of this name and schema.
pub fn table(name: &str, root: &Node) -> TypeRef {
    let mut builder = Builder { types: Vec::new() };
    builder.import_metadata();
    let id = builder.object(root, Level::Resource, name);
    TypeRef { schema: Arc::new(Schema::of_definition(builder.types)), id }
}

/// How rules see a value of this schema.
pub(super) fn view(node: &Node, is_root: bool) -> (Arc<Schema>, Shape, Semantics) {
    let mut builder = Builder { types: Vec::new() };
    builder.import_metadata();
    let shape = match is_root {
        true => Shape::Message(builder.object(node, Level::Resource, "")),
        false => builder.shape(node),
    };
    (Arc::new(Schema::of_definition(builder.types)), shape, semantics(node))
}

/// Whether an object has `apiVersion`, `kind` and `metadata` that the schema need not list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Resource,
    Part,
}

/// Types made so far; the first is `ObjectMeta`.
struct Builder {
    types: Vec<TypeDef>,
}

impl Builder {
    /// Copies the built-in types that metadata consist of.
    fn import_metadata(&mut self) {
        let builtin = Schema::builtin();
        let mut pending: Vec<u32> = builtin.id_of(OBJECT_META).into_iter().collect();
        let mut imported: Vec<u32> = Vec::new();
        while let Some(id) = pending.pop() {
            if !imported.contains(&id) {
                imported.push(id);
                pending.extend(builtin.get(id).fields.iter().filter_map(|field| referred(&field.shape)));
            }
        }
        let place = |id: u32| imported.iter().position(|other| *other == id).unwrap_or_default() as u32;
        for id in &imported {
            let mut def = builtin.get(*id).clone();
            def.fields.iter_mut().for_each(|field| relocate(&mut field.shape, &place));
            self.types.push(def);
        }
    }

    fn object(&mut self, node: &Node, level: Level, name: &str) -> u32 {
        let id = self.types.len() as u32;
        self.types.push(TypeDef::default());
        let is_object = level == Level::Resource || node.extensions.is_embedded;
        let mut fields = Vec::with_capacity(node.properties.len() + usize::from(is_object));
        if is_object {
            fields.push(field("metadata", Shape::Message(0), Semantics::Default));
        }
        let own = |key: &str| !is_object || !matches!(key, "apiVersion" | "kind" | "metadata");
        for (key, property) in node.properties.iter().filter(|(key, _)| own(key)) {
            let mut field = field(key, self.shape(property), semantics(property));
            field.required = node.limits.required.iter().any(|required| required == key);
            field.default = property.default.clone();
            fields.push(field);
        }
        self.types[id as usize] = TypeDef {
            name: name.into(),
            is_object,
            is_atomic: node.extensions.is_atomic_map,
            keeps_unknown: node.extensions.preserves_unknown,
            fields,
            ..TypeDef::default()
        };
        id
    }

    fn shape(&mut self, node: &Node) -> Shape {
        if node.extensions.int_or_string {
            return Shape::IntOrString;
        }
        match node.ty {
            Some(Type::String) => text(node),
            Some(Type::Integer) => Shape::Int64,
            Some(Type::Number) => Shape::Double,
            Some(Type::Boolean) => Shape::Bool,
            Some(Type::Array) => Shape::List(Box::new(self.items(node))),
            Some(Type::Object) => self.map_or_object(node),
            // Without a type, anything goes; known parts of it are not described any further.
            Some(Type::Unknown) | None if node.properties.is_empty() => Shape::Json,
            Some(Type::Unknown) | None => Shape::Message(self.object(node, Level::Part, "")),
        }
    }

    fn items(&mut self, node: &Node) -> Shape {
        match &node.items {
            Some(items) => self.shape(items),
            None => Shape::Json,
        }
    }

    fn map_or_object(&mut self, node: &Node) -> Shape {
        match &node.additional {
            Additional::Schema(values) if node.properties.is_empty() => Shape::Map(Box::new(self.shape(values))),
            // Objects among values without a schema lose their members, as upstream has it.
            Additional::Any if node.properties.is_empty() && !node.extensions.preserves_unknown => {
                Shape::Map(Box::new(Shape::Message(self.object(&Node::default(), Level::Part, ""))))
            }
            _ if node.properties.is_empty()
                && node.extensions.preserves_unknown
                && !node.extensions.is_embedded
                && !node.extensions.is_atomic_map =>
            {
                Shape::Json
            }
            _ => Shape::Message(self.object(node, Level::Part, "")),
        }
    }
}

/// Texts that rules see as something else.
fn text(node: &Node) -> Shape {
    match node.limits.format {
        Some(Format::DateTime { .. } | Format::Date) => Shape::Time,
        Some(Format::Duration) => Shape::Duration,
        Some(Format::Byte) => Shape::Bytes,
        _ => Shape::String,
    }
}

fn referred(shape: &Shape) -> Option<u32> {
    match shape {
        Shape::Message(id) => Some(*id),
        Shape::List(inner) | Shape::Map(inner) => referred(inner),
        _ => None,
    }
}

fn relocate(shape: &mut Shape, place: &impl Fn(u32) -> u32) {
    match shape {
        Shape::Message(id) => *id = place(*id),
        Shape::List(inner) | Shape::Map(inner) => relocate(inner, place),
        _ => {}
    }
}

fn field(json: &str, shape: Shape, semantics: Semantics) -> Field {
    Field {
        json: json.into(),
        number: 0,
        shape,
        presence: Presence::Pointer,
        is_null: false,
        keeps_empty: false,
        required: false,
        semantics,
        patch: None,
        default: None,
        format: None,
    }
}

fn semantics(node: &Node) -> Semantics {
    match (node.ty, node.extensions.list_type) {
        (Some(Type::Array), ListType::Set) => Semantics::Set,
        (Some(Type::Array), ListType::Map) => Semantics::MapList(node.extensions.list_keys.clone()),
        (Some(Type::Array), ListType::Atomic) => Semantics::AtomicList,
        _ if node.extensions.is_atomic_map => Semantics::AtomicMap,
        _ => Semantics::Default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::node;
    use apimachinery::codec::json;
    use serde_json::json;

    #[test]
    fn tables_look_like_built_in_ones() {
        let root = node(json!({"type": "object", "properties": {"metadata": {"type": "object"}, "spec": {
        "type": "object", "required": ["n"], "properties": {
            "n": {"type": "integer", "default": 3},
            "port": {"x-kubernetes-int-or-string": true},
            "rules": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}, "x-kubernetes-map-type": "atomic"},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        }}}}));
        let ty = table("Thing", &root);
        assert!(ty.def().is_object && ty.def().short_name() == "Thing");
        let Some(Field { shape: Shape::Message(spec), .. }) = ty.field("spec") else { panic!("spec is an object") };
        let field = |name| ty.schema.field(*spec, name).expect(name);
        assert_eq!((field("n").required, field("n").default.clone()), (true, Some(json!(3))));
        assert_eq!(field("port").shape, Shape::IntOrString);
        assert_eq!(field("rules").semantics, Semantics::MapList(vec!["name".into()]));
        assert_eq!(
            (&field("labels").shape, &field("labels").semantics),
            (&Shape::Map(Box::new(Shape::String)), &Semantics::AtomicMap)
        );
        assert_eq!(field("free").shape, Shape::Json);
        let Some(Field { shape: Shape::Message(metadata), .. }) = ty.field("metadata") else { panic!("metadata") };
        let owners = ty.schema.field(*metadata, "ownerReferences").expect("owners");
        let Shape::List(inner) = &owners.shape else { panic!("a list") };
        let Shape::Message(owner) = **inner else { panic!("of objects") };
        assert_eq!(ty.schema.get(owner).short_name(), "OwnerReference");
    }

    #[test]
    fn prunes_along_the_schema() {
        let root = node(json!({"type": "object", "properties": {
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {
                "closed": {"type": "object", "properties": {"a": {"type": "string"}}}}},
            "any": {"type": "object", "additionalProperties": true},
            "empty": {"type": "object"},
            "pod": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}},
        }}));
        let mut value = json!({"kind": "K", "apiVersion": "g/v1", "metadata": {"name": "a"}, "x": 1,
            "open": {"y": {"z": 1}, "closed": {"a": "1", "b": "2"}}, "any": {"s": "1", "o": {"p": 1}}, "empty": {"q": 1},
            "pod": {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p"}, "spec": {"r": 1}, "t": 1}});
        json::prune(&table("K", &root), &mut value);
        assert_eq!(
            value,
            json!({"kind": "K", "apiVersion": "g/v1", "metadata": {"name": "a"},
                "open": {"y": {"z": 1}, "closed": {"a": "1"}}, "any": {"s": "1", "o": {}}, "empty": {},
                "pod": {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p"}, "spec": {}}})
        );
    }
}
