//! The schema table: names, protobuf numbers, list and map semantics, patch strategies and
//! defaults of every field of every API type. Custom resources get a table of the same form.

use std::sync::Arc;

/// A set of types that refer to each other by index.
#[derive(Debug)]
pub struct Schema {
    /// All types; [`TypeRef::id`] points here.
    pub types: Vec<TypeDef>,
}

/// One object type.
#[derive(Debug)]
pub struct TypeDef {
    /// OpenAPI name, such as `io.k8s.api.core.v1.Pod`.
    pub name: Box<str>,
    /// Fields, sorted by JSON name.
    pub fields: Vec<Field>,
}

/// One field of a type.
#[derive(Debug)]
pub struct Field {
    /// JSON name.
    pub json: Box<str>,
    /// Protobuf field number; 0 if the type has no protobuf form.
    pub number: u32,
    /// Shape of the value.
    pub shape: Shape,
}

/// The shape of a value. To be refined by this crate; others use the methods on [`TypeRef`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A string.
    String,
}

/// A type in a schema; cheap to clone.
#[derive(Clone, Debug)]
pub struct TypeRef {
    /// The table the type is in.
    pub schema: Arc<Schema>,
    /// Index into [`Schema::types`].
    pub id: u32,
}

impl Schema {
    /// The table of all built-in types, parsed once.
    pub fn builtin() -> &'static Arc<Schema> {
        unimplemented!()
    }

    /// The type of this OpenAPI name.
    pub fn type_named(self: &Arc<Self>, _name: &str) -> Option<TypeRef> {
        unimplemented!()
    }
}
