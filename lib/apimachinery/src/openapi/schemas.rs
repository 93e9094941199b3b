//! The schemas of types, in either dialect.

use super::texts::Texts;
use crate::gvk::GroupVersionKind;
use crate::schema::{Field, PatchStrategy, Presence, Schema, Semantics, Shape, TypeDef};
use crate::{Map, Value};
use serde_json::json;

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Swagger 2.0: no defaults, no alternatives.
    V2,
    /// OpenAPI 3.0.
    V3,
}

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
const EXTENSIONS: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1";

/// Types of which one member says which other is set: discriminator and members by their Go name.
const UNIONS: &[(&str, &str, &[(&str, &str)])] = &[
    ("io.k8s.api.core.v1.AppArmorProfile", "type", &[("localhostProfile", "LocalhostProfile")]),
    ("io.k8s.api.core.v1.PodSchedulingGroup", "", &[("podGroupName", "PodGroupName")]),
    ("io.k8s.api.core.v1.SeccompProfile", "type", &[("localhostProfile", "LocalhostProfile")]),
    ("io.k8s.api.flowcontrol.v1.LimitResponse", "type", &[("queuing", "Queuing")]),
    (
        "io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationSpec",
        "type",
        &[("exempt", "Exempt"), ("limited", "Limited")],
    ),
    (
        "io.k8s.api.flowcontrol.v1.Subject",
        "kind",
        &[("group", "Group"), ("serviceAccount", "ServiceAccount"), ("user", "User")],
    ),
];

impl Dialect {
    /// A reference to a schema.
    pub(super) fn reference(self, name: &str) -> Value {
        let place = match self {
            Dialect::V2 => "definitions",
            Dialect::V3 => "components/schemas",
        };
        json!({ "$ref": format!("#/{place}/{name}") })
    }

    /// The schema of a type, built in or one of those that the table has no fields of.
    pub(super) fn schema(self, name: &str, kinds: &[GroupVersionKind], texts: &Texts) -> Value {
        match Schema::builtin().type_named(name) {
            Some(ty) => self.object(ty.def(), kinds, texts),
            None => described(self.special(name), texts.of_type(name).map(str::to_owned)),
        }
    }

    fn object(self, def: &TypeDef, kinds: &[GroupVersionKind], texts: &Texts) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for (name, owner, position) in &def.members {
            let field = &Schema::builtin().get(*owner).fields[*position as usize];
            let property = described(self.property(field), texts.member_text(def, name));
            properties.insert(name.to_string(), property);
            if field.required {
                required.push(name.to_string());
            }
        }
        if def.is_object {
            for name in ["apiVersion", "kind"] {
                let property = described(json!({ "type": "string" }), texts.member_text(def, name));
                properties.insert(name.into(), property);
            }
        }
        let mut schema = described(json!({ "type": "object" }), texts.type_text(def));
        if !properties.is_empty() {
            schema["properties"] = Value::Object(properties);
        }
        if !required.is_empty() {
            schema["required"] = required.into();
        }
        if def.is_atomic {
            schema["x-kubernetes-map-type"] = "atomic".into();
        }
        if let Some((_, discriminator, members)) = UNIONS.iter().find(|(name, ..)| *name == &*def.name) {
            schema["x-kubernetes-unions"] = union(discriminator, members);
        }
        if !kinds.is_empty() {
            schema["x-kubernetes-group-version-kind"] = kinds.iter().map(kind).collect();
        }
        schema
    }

    fn property(self, field: &Field) -> Value {
        let mut property = match self.shape(&field.shape, field.format.as_deref()) {
            // Siblings of a reference mean nothing in OpenAPI 3.0.
            reference if self == Dialect::V3 && reference.get("$ref").is_some() => json!({ "allOf": [reference] }),
            plain => plain,
        };
        if let Some(default) = default(field).filter(|_| self == Dialect::V3) {
            property["default"] = default;
        }
        for (key, value) in semantics(&field.semantics).into_iter().chain(patch(field.patch.as_ref())) {
            property[key] = value;
        }
        property
    }

    fn shape(self, shape: &Shape, format: Option<&str>) -> Value {
        let name = match shape {
            Shape::String => return json!({ "type": "string" }),
            Shape::Bool => return json!({ "type": "boolean" }),
            Shape::Int32 => return json!({ "type": "integer", "format": format.unwrap_or("int32") }),
            Shape::Int64 => return json!({ "type": "integer", "format": format.unwrap_or("int64") }),
            Shape::Double => return json!({ "type": "number", "format": "double" }),
            Shape::Bytes => return json!({ "type": "string", "format": "byte" }),
            Shape::Strings => return json!({ "type": "array", "items": { "type": "string" } }),
            Shape::List(inner) => return json!({ "type": "array", "items": self.shape(inner, None) }),
            Shape::Map(inner) => {
                return json!({ "type": "object", "additionalProperties": self.shape(inner, None) });
            }
            shape => referenced(shape),
        };
        name.map_or_else(|| json!({}), |name| self.reference(&name))
    }

    /// Types that are not plain objects.
    fn special(self, name: &str) -> Value {
        match (self, name.rsplit('.').next().unwrap_or_default()) {
            (_, "Time" | "MicroTime") => json!({ "type": "string", "format": "date-time" }),
            (_, "Duration") => json!({ "type": "string" }),
            (Dialect::V2, "Quantity") => json!({ "type": "string" }),
            (Dialect::V3, "Quantity") => json!({ "oneOf": [{ "type": "string" }, { "type": "number" }] }),
            (Dialect::V2, "IntOrString") => json!({ "type": "string", "format": "int-or-string" }),
            (Dialect::V3, "IntOrString") => {
                json!({ "format": "int-or-string", "oneOf": [{ "type": "integer" }, { "type": "string" }] })
            }
            (_, "RawExtension" | "FieldsV1" | "Patch") => json!({ "type": "object" }),
            _ => json!({}),
        }
    }
}

fn described(mut schema: Value, text: Option<String>) -> Value {
    if let Some(text) = text {
        schema["description"] = text.into();
    }
    schema
}

/// The names of the types that a type's fields refer to.
pub(super) fn references(def: &TypeDef) -> Vec<String> {
    let fields = def.members.iter().map(|(_, owner, at)| &Schema::builtin().get(*owner).fields[*at as usize]);
    fields.filter_map(|field| referenced(innermost(&field.shape))).collect()
}

fn innermost(shape: &Shape) -> &Shape {
    match shape {
        Shape::List(inner) | Shape::Map(inner) => innermost(inner),
        shape => shape,
    }
}

fn referenced(shape: &Shape) -> Option<String> {
    Some(match shape {
        Shape::Message(id) => Schema::builtin().get(*id).name.to_string(),
        Shape::Quantity => "io.k8s.apimachinery.pkg.api.resource.Quantity".into(),
        Shape::Time => format!("{META}.Time"),
        Shape::MicroTime => format!("{META}.MicroTime"),
        Shape::Duration => format!("{META}.Duration"),
        Shape::IntOrString => "io.k8s.apimachinery.pkg.util.intstr.IntOrString".into(),
        Shape::RawExtension => "io.k8s.apimachinery.pkg.runtime.RawExtension".into(),
        Shape::FieldsV1 => format!("{META}.FieldsV1"),
        Shape::Json => format!("{EXTENSIONS}.JSON"),
        Shape::SchemaOrArray => format!("{EXTENSIONS}.JSONSchemaPropsOrArray"),
        Shape::SchemaOrBool => format!("{EXTENSIONS}.JSONSchemaPropsOrBool"),
        Shape::SchemaOrStrings => format!("{EXTENSIONS}.JSONSchemaPropsOrStringArray"),
        _ => return None,
    })
}

/// The declared default, or the zero value of what is never absent.
fn default(field: &Field) -> Option<Value> {
    match (&field.default, &field.shape, field.presence) {
        (Some(default), ..) => Some(default.clone()),
        (None, Shape::Message(_), Presence::OmitEmpty | Presence::Always) => Some(json!({})),
        (None, Shape::String, Presence::Always) => Some("".into()),
        (None, Shape::Int32 | Shape::Int64, Presence::Always) => Some(0.into()),
        (None, Shape::Bool, Presence::Always) => Some(false.into()),
        _ => None,
    }
}

fn semantics(semantics: &Semantics) -> Vec<(&'static str, Value)> {
    const LIST: &str = "x-kubernetes-list-type";
    const MAP: &str = "x-kubernetes-map-type";
    match semantics {
        Semantics::Default => Vec::new(),
        Semantics::AtomicList => vec![(LIST, "atomic".into())],
        Semantics::Set => vec![(LIST, "set".into())],
        Semantics::MapList(keys) => {
            let keys = keys.iter().map(|key| Value::from(&**key)).collect();
            vec![(LIST, "map".into()), ("x-kubernetes-list-map-keys", keys)]
        }
        Semantics::AtomicMap => vec![(MAP, "atomic".into())],
        Semantics::GranularMap => vec![(MAP, "granular".into())],
    }
}

fn patch(patch: Option<&PatchStrategy>) -> Vec<(&'static str, Value)> {
    let Some(patch) = patch else { return Vec::new() };
    let mut marks = vec![("x-kubernetes-patch-strategy", Value::from(&*patch.text))];
    if !patch.key.is_empty() {
        marks.push(("x-kubernetes-patch-merge-key", Value::from(&*patch.key)));
    }
    marks
}

fn union(discriminator: &str, members: &[(&str, &str)]) -> Value {
    let fields: Map = members.iter().map(|(json, go)| ((*json).to_owned(), Value::from(*go))).collect();
    let mut union = json!({ "fields-to-discriminateBy": fields });
    if !discriminator.is_empty() {
        union["discriminator"] = discriminator.into();
    }
    json!([union])
}

/// A kind as `x-kubernetes-group-version-kind` has it.
pub(super) fn kind(kind: &GroupVersionKind) -> Value {
    json!({ "group": kind.group, "version": kind.version, "kind": kind.kind })
}
