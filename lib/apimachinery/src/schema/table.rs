//! Reads the table's text.

use super::{Field, PatchStrategy, Presence, Schema, Semantics, Shape, TypeDef, Zero};
use crate::Value;
use crate::gvk::GroupVersionKind;
use std::collections::{HashMap, HashSet};

/// The only kind that upstream's conversions give to parts of objects: the claim templates of stateful sets. Other parts
/// that are objects, such as the options of evictions, are read without (`pkg/apis/apps/v1/conversion.go`).
const TOLD: &str = "PersistentVolumeClaim";

/// A line of the table that makes no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("schema table, line {line}: {what}")]
pub(super) struct TableError {
    line: usize,
    what: String,
}

/// Prefixes that stand for packages.
const PACKAGES: &[(&str, &str)] = &[
    ("~", "io.k8s.apimachinery.pkg.apis.meta.v1."),
    ("x:", "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions."),
    ("r:", "io.k8s.kube-aggregator.pkg.apis.apiregistration."),
    ("=", "io.k8s.api.core.v1."),
    ("+", "io.k8s.api."),
    ("%", "io.k8s.apimachinery.pkg."),
];

pub(super) fn parse(text: &str) -> Result<Schema, TableError> {
    let mut schema = Schema::default();
    let lines = || text.lines().enumerate().filter(|(_, l)| !l.is_empty() && !l.starts_with('#'));
    for (number, line) in lines() {
        if let Some(head) = line.strip_prefix('@') {
            declare(&mut schema, head).map_err(|what| TableError { line: number + 1, what })?;
        }
    }
    let mut current = None;
    for (number, line) in lines() {
        if let Some(head) = line.strip_prefix('@') {
            current = schema.names.get(full_name(head.split(' ').next().unwrap_or_default()).as_str()).copied();
        } else if let Some(id) = current {
            let field = field(line, &schema.names).map_err(|what| TableError { line: number + 1, what })?;
            schema.types[id as usize].fields.push(field);
        }
    }
    for id in 0..schema.types.len() as u32 {
        let def = &mut schema.types[id as usize];
        let declared: Vec<u32> = def.fields.iter().map(|field| field.number).collect();
        def.fields.sort_by_key(|field| field.number);
        let position = |number: &u32| def.fields.iter().position(|field| field.number == *number);
        def.declared = declared.iter().filter_map(position).map(|position| position as u32).collect();
    }
    for id in 0..schema.types.len() as u32 {
        let mut members = Vec::new();
        collect_members(&schema, id, &mut members);
        members.sort();
        schema.types[id as usize].set_members(id, members);
    }
    let kept = schema.types.iter().flat_map(|def| &def.fields).filter(|field| field.keeps_empty);
    schema.kept = kept.map(|field| field.json.clone()).collect();
    for id in 0..schema.types.len() as u32 {
        schema.types[id as usize].zeros = zeros(&schema, id);
    }
    for id in embedded(&schema) {
        let kind = schema.kinds_of(id).find(|kind| &*kind.kind == TOLD);
        let told = kind.map(|kind| (kind.api_version().into(), kind.kind.as_ref().into()));
        schema.types[id as usize].embedded = told;
    }
    Ok(schema)
}

/// The objects that are parts of other objects, but no items of lists.
fn embedded(schema: &Schema) -> HashSet<u32> {
    let fields = schema.types.iter().flat_map(|def| &def.fields).filter(|field| &*field.json != "items");
    let inner = fields.filter_map(|field| match &field.shape {
        Shape::Message(id) => Some(*id),
        Shape::List(inner) | Shape::Map(inner) => match &**inner {
            Shape::Message(id) => Some(*id),
            _ => None,
        },
        _ => None,
    });
    inner.filter(|id| schema.get(*id).is_object).collect()
}

/// The members that are never absent, with their zero values. Types do not contain themselves
/// but by a pointer, so this ends.
fn zeros(schema: &Schema, id: u32) -> Vec<Zero> {
    let members = (0..).zip(&schema.get(id).members);
    let zero = |member: u32, name: &str, field: &Field| {
        let value = match (&field.shape, field.presence) {
            _ if field.is_null => Value::Null,
            (_, Presence::Pointer) => return None,
            (Shape::Message(inner), _) => {
                Value::Object(zeros(schema, *inner).into_iter().map(|zero| (zero.name.into(), zero.value)).collect())
            }
            (Shape::String, Presence::Always) => "".into(),
            (Shape::Int32 | Shape::Int64, Presence::Always) => 0.into(),
            (Shape::Bool, Presence::Always) => false.into(),
            (Shape::Quantity, _) => "0".into(),
            // Of all times only an object's own creation is left out when it is zero.
            (Shape::Time | Shape::MicroTime, _) if name != "creationTimestamp" => Value::Null,
            _ => return None,
        };
        Some(Zero { name: name.into(), json: value.to_string().into_bytes().into(), value, member })
    };
    members
        .filter_map(|(at, (name, owner, position))| zero(at, name, schema.get(*owner).fields.get(*position as usize)?))
        .collect()
}

fn declare(schema: &mut Schema, head: &str) -> Result<(), String> {
    let mut words = head.split(' ');
    let name: Box<str> = full_name(words.next().unwrap_or_default()).into();
    let id = schema.types.len() as u32;
    let mut def = TypeDef { name: name.clone(), ..TypeDef::default() };
    for kind in words {
        match kind {
            "object" => {
                def.is_object = true;
                continue;
            }
            "atomic" => {
                def.is_atomic = true;
                continue;
            }
            _ => {}
        }
        let mut parts = kind.splitn(3, '/').map(str::to_owned);
        let (Some(group), Some(version), Some(kind)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(format!("{kind}: not a group, version and kind"));
        };
        schema.kinds.insert(GroupVersionKind::new(group, version, kind), id);
    }
    schema.names.insert(name, id);
    schema.types.push(def);
    Ok(())
}

fn collect_members(schema: &Schema, id: u32, members: &mut Vec<(Box<str>, u32, u32)>) {
    for (position, field) in schema.get(id).fields.iter().enumerate() {
        match (&*field.json, &field.shape) {
            ("", Shape::Message(inlined)) => collect_members(schema, *inlined, members),
            _ => members.push((field.json.clone(), id, position as u32)),
        }
    }
}

fn field(line: &str, names: &HashMap<Box<str>, u32>) -> Result<Field, String> {
    let mut words = line.split(' ');
    let json = words.next().unwrap_or_default();
    let number = words.next().and_then(|n| n.parse().ok()).ok_or("no field number")?;
    let shape = shape(words.next().unwrap_or_default(), names)?;
    let mut field = Field {
        json: if json == "-" { "" } else { json }.into(),
        number,
        shape,
        presence: Presence::OmitEmpty,
        required: false,
        is_null: false,
        keeps_empty: false,
        semantics: Semantics::Default,
        patch: None,
        default: None,
        format: None,
    };
    for word in words {
        apply(&mut field, word)?;
    }
    Ok(field)
}

fn apply(field: &mut Field, word: &str) -> Result<(), String> {
    match word.split_once('=') {
        None => match word {
            "!" => field.required = true,
            "*" => field.presence = Presence::Pointer,
            "." => field.presence = Presence::Always,
            "n" => field.is_null = true,
            "e" => field.keeps_empty = true,
            // Left out of JSON when zero, as `omitempty` fields are.
            "z" => {}
            other => return Err(format!("{other}: unknown mark")),
        },
        Some(("L", text)) => field.semantics = semantics(text)?,
        Some(("P", text)) => field.patch = Some(patch(text)),
        Some(("D", text)) => field.default = Some(serde_json::from_str(text).map_err(|e| format!("{text}: {e}"))?),
        Some(("F", text)) => field.format = Some(text.into()),
        Some((other, _)) => return Err(format!("{other}: unknown mark")),
    }
    Ok(())
}

fn semantics(text: &str) -> Result<Semantics, String> {
    Ok(match text.split_once(':') {
        Some(("map", keys)) => Semantics::MapList(keys.split(',').map(Into::into).collect()),
        None if text == "atomic" => Semantics::AtomicList,
        None if text == "set" => Semantics::Set,
        None if text == "map-atomic" => Semantics::AtomicMap,
        None if text == "map-granular" => Semantics::GranularMap,
        _ => return Err(format!("{text}: unknown semantics")),
    })
}

fn patch(text: &str) -> PatchStrategy {
    let (strategy, key) = text.split_once(':').unwrap_or((text, ""));
    let has = |word: &str| strategy.split(',').any(|w| w == word);
    PatchStrategy { merge: has("merge"), retain_keys: has("retainKeys"), key: key.into(), text: strategy.into() }
}

fn shape(word: &str, names: &HashMap<Box<str>, u32>) -> Result<Shape, String> {
    if let Some(inner) = word.strip_prefix("[]") {
        return Ok(Shape::List(Box::new(shape(inner, names)?)));
    }
    if let Some(inner) = word.strip_prefix("{}") {
        return Ok(Shape::Map(Box::new(shape(inner, names)?)));
    }
    if let Some(name) = word.strip_prefix('@') {
        let name = full_name(name);
        return names.get(name.as_str()).map(|id| Shape::Message(*id)).ok_or(format!("{name}: no such type"));
    }
    Ok(match word {
        "s" => Shape::String,
        "i" => Shape::Int32,
        "l" => Shape::Int64,
        "b" => Shape::Bool,
        "d" => Shape::Double,
        "y" => Shape::Bytes,
        "quantity" => Shape::Quantity,
        "time" => Shape::Time,
        "microtime" => Shape::MicroTime,
        "duration" => Shape::Duration,
        "intstr" => Shape::IntOrString,
        "raw" => Shape::RawExtension,
        "fields" => Shape::FieldsV1,
        "json" => Shape::Json,
        "schema-or-array" => Shape::SchemaOrArray,
        "schema-or-bool" => Shape::SchemaOrBool,
        "schema-or-strings" => Shape::SchemaOrStrings,
        "strings" => Shape::Strings,
        other => return Err(format!("{other}: unknown shape")),
    })
}

/// The OpenAPI name of a type that a table names shortly.
pub(crate) fn full_name(name: &str) -> String {
    let package = PACKAGES.iter().find_map(|(mark, package)| Some((package, name.strip_prefix(mark)?)));
    package.map_or_else(|| name.to_owned(), |(package, rest)| format!("{package}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_nonsense() {
        for (text, want) in [
            ("@a\nx 1 q", "schema table, line 2: q: unknown shape"),
            ("@a\nx one s", "schema table, line 2: no field number"),
            ("@a\nx 1 s ?", "schema table, line 2: ?: unknown mark"),
            ("@a\nx 1 @b", "schema table, line 2: b: no such type"),
            ("@a b", "schema table, line 1: b: not a group, version and kind"),
        ] {
            assert_eq!(parse(text).map(drop).map_err(|e| e.to_string()), Err(want.to_owned()));
        }
    }
}
