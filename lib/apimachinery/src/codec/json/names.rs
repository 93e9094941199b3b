//! Where a value of a wrong type stands and what there should be, in Go's words.
//!
//! Upstream: Go's `encoding/json` (`UnmarshalTypeError`).

use super::Segment;
use crate::schema::{Field, Schema, Shape, TypeDef, full_name};
use std::collections::HashMap;
use std::sync::LazyLock;

const JSON_SCHEMA: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// A place in an object.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The type whose field it is, or is in.
    owner: String,
    /// The fields that lead there; messages leave list indices and map keys out, and name what is inlined.
    path: String,
    /// The type there, if the table of names knows it.
    declared: Option<&'static str>,
}

impl Place {
    /// The place at the end of a path that begins at an object of type `root`.
    pub(super) fn find(schema: &Schema, root: u32, segments: &[Segment<'_>]) -> Self {
        let (mut place, mut shape) = (Self::default(), Some(&Shape::Message(root)));
        for segment in segments {
            shape = match segment {
                Segment::Field(name) => place.enter(schema, shape, name),
                Segment::Index(_) => {
                    place.declared = place.declared.and_then(|name| name.strip_prefix("[]"));
                    shape.and_then(inner)
                }
                Segment::Key(_) => {
                    place.declared =
                        place.declared.and_then(|name| Some(name.strip_prefix("map[")?.split_once(']')?.1));
                    shape.and_then(inner)
                }
            };
        }
        place
    }

    fn enter<'s>(&mut self, schema: &'s Schema, shape: Option<&Shape>, name: &str) -> Option<&'s Shape> {
        let id = match shape? {
            Shape::Message(id) => *id,
            Shape::SchemaOrArray | Shape::SchemaOrBool | Shape::SchemaOrStrings => schema.id_of(JSON_SCHEMA)?,
            _ => return None,
        };
        let def = schema.get(id);
        let member = def.member(name).and_then(|at| def.members.get(at));
        let Some((_, holder, position)) = member else {
            // `apiVersion` and `kind`, which no field stands for.
            if !self.path.is_empty() {
                def.short_name().clone_into(&mut self.owner);
                push(&mut self.path, "TypeMeta");
            }
            push(&mut self.path, name);
            return None;
        };
        def.short_name().clone_into(&mut self.owner);
        for inlined in inlined(schema, def, *holder).into_iter().flatten() {
            push(&mut self.path, inlined.short_name());
        }
        push(&mut self.path, name);
        let holder = schema.get(*holder);
        self.declared = declared_type(holder, name);
        holder.fields.get(*position as usize).map(|field| &field.shape)
    }

    /// `Go struct field PodSpec.spec.hostPID`.
    pub(super) fn describe(&self) -> String {
        match self.path.is_empty() {
            true => "Go value".to_owned(),
            false => format!("Go struct field {}.{}", self.owner, self.path),
        }
    }

    /// The Go type of a value of this shape here.
    pub(super) fn go_type(&self, schema: &Schema, shape: &Shape) -> String {
        self.declared.map_or_else(|| go_type(schema, shape), str::to_owned)
    }
}

/// The Go type of a type's own field, if the table of names knows it.
pub(super) fn declared_type(def: &TypeDef, field: &str) -> Option<&'static str> {
    NAMES.get(&*def.name)?.get(field).copied()
}

/// The types that are inlined one in the other, from the one in `def` to the one at `wanted`; none if that is `def`.
fn inlined<'s>(schema: &'s Schema, def: &'s TypeDef, wanted: u32) -> Option<Vec<&'s TypeDef>> {
    if std::ptr::eq(def, schema.get(wanted)) {
        return Some(Vec::new());
    }
    let messages =
        def.fields.iter().filter(|field| field.json.is_empty()).filter_map(|Field { shape, .. }| match shape {
            Shape::Message(id) => Some(schema.get(*id)),
            _ => None,
        });
    messages.into_iter().find_map(|message| {
        let mut chain = inlined(schema, message, wanted)?;
        chain.insert(0, message);
        Some(chain)
    })
}

fn inner(shape: &Shape) -> Option<&Shape> {
    match shape {
        Shape::List(inner) | Shape::Map(inner) => Some(inner),
        Shape::Strings => Some(&Shape::String),
        Shape::SchemaOrArray => Some(shape),
        _ => None,
    }
}

fn go_type(schema: &Schema, shape: &Shape) -> String {
    match shape {
        Shape::String | Shape::Time | Shape::MicroTime | Shape::Duration | Shape::Quantity => "string".into(),
        Shape::Bytes => "[]uint8".into(),
        // Numbers that stand for themselves or for text are read as numbers.
        Shape::Int32 | Shape::IntOrString => "int32".into(),
        Shape::Int64 => "int64".into(),
        Shape::Bool => "bool".into(),
        Shape::Double => "float64".into(),
        Shape::List(inner) => format!("[]{}", named(schema, inner)),
        Shape::Map(inner) => format!("map[string]{}", named(schema, inner)),
        Shape::Strings => "[]string".into(),
        Shape::Message(id) => qualified(schema, *id),
        Shape::RawExtension => "map[string]interface {}".into(),
        Shape::FieldsV1 | Shape::Json | Shape::SchemaOrArray | Shape::SchemaOrBool | Shape::SchemaOrStrings => {
            "object".into()
        }
    }
}

/// The Go type of elements, which are not read by themselves.
fn named(schema: &Schema, shape: &Shape) -> String {
    match shape {
        Shape::IntOrString => "intstr.IntOrString".into(),
        Shape::Quantity => "resource.Quantity".into(),
        Shape::Json => "v1.JSON".into(),
        Shape::Time => "v1.Time".into(),
        Shape::MicroTime => "v1.MicroTime".into(),
        Shape::Duration => "v1.Duration".into(),
        Shape::RawExtension => "runtime.RawExtension".into(),
        other => go_type(schema, other),
    }
}

/// `v1.PodSpec`.
fn qualified(schema: &Schema, id: u32) -> String {
    let name = &schema.get(id).name;
    let mut parts = name.rsplit('.');
    match (parts.next(), parts.next()) {
        (Some(kind), Some(package)) => format!("{package}.{kind}"),
        _ => name.to_string(),
    }
}

fn push(text: &mut String, name: &str) {
    if !text.is_empty() {
        text.push('.');
    }
    text.push_str(name);
}

type Names = HashMap<String, HashMap<&'static str, &'static str>>;

/// Go types by OpenAPI name and JSON name. Read when the first message needs it.
static NAMES: LazyLock<Names> = LazyLock::new(|| {
    let (mut names, mut current) = (Names::new(), String::new());
    for line in include_str!("../../schema/gotypes.txt").lines().filter(|line| !line.starts_with('#')) {
        match (line.strip_prefix('@'), line.split_once(' ')) {
            (Some(ty), _) => current = full_name(ty),
            (None, Some((field, name))) => drop(names.entry(current.clone()).or_default().insert(field, name)),
            (None, None) => {}
        }
    }
    names
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_of_a_field() {
        let schema = Schema::builtin();
        for (ty, fields) in NAMES.iter() {
            let ty = schema.type_named(ty).unwrap_or_else(|| panic!("{ty} is a type"));
            for field in fields.keys() {
                assert!(ty.field(field).is_some(), "{} {field}", ty.def().name);
            }
        }
    }

    #[test]
    fn places() {
        let schema = Schema::builtin();
        let pod = schema.id_of("io.k8s.api.core.v1.Pod").expect("Pod");
        let at = |segments: &[Segment<'_>]| Place::find(schema, pod, segments);
        let volumes = [Segment::Field("spec"), Segment::Field("volumes"), Segment::Index(0)];
        let [spec, list, index] = volumes;
        let place = at(&[spec, list, index, Segment::Field("emptyDir"), Segment::Field("medium")]);
        assert_eq!(place.describe(), "Go struct field EmptyDirVolumeSource.spec.volumes.VolumeSource.emptyDir.medium");
        assert_eq!(place.go_type(schema, &Shape::String), "v1.StorageMedium");
        let place = at(&[Segment::Field("metadata"), Segment::Field("labels"), Segment::Key("a".into())]);
        assert_eq!(place.describe(), "Go struct field ObjectMeta.metadata.labels");
        assert_eq!(place.go_type(schema, &Shape::Bytes), "[]uint8");
        assert_eq!(at(&[]).describe(), "Go value");
    }
}
