//! The walk along the schema table.

use super::hooks::{Hook, hook};
use crate::tree::Fill;
use apimachinery::Value;
use apimachinery::quantity::Quantity;
use apimachinery::schema::{Field, Presence, Schema, Shape, TypeRef};
use std::sync::{Arc, LazyLock};

/// What defaulting does at one type.
#[derive(Default)]
struct Step {
    hook: Option<Hook>,
    fills: Vec<Filling>,
    /// Members to go down into.
    below: Vec<(Box<str>, Below)>,
    /// Types whose members stand among this type's own.
    inlined: Vec<u32>,
}

/// A default of the schema table.
struct Filling {
    member: Box<str>,
    value: Value,
    /// Whether a zero value counts as absent.
    over_zero: bool,
}

/// A value that is cloned where it is needed only.
struct Lent<'a>(&'a Value);

impl From<Lent<'_>> for Value {
    fn from(lent: Lent<'_>) -> Self {
        lent.0.clone()
    }
}

/// What a member holds.
enum Below {
    One(u32),
    List(u32),
    Map(u32),
    /// A resource list: kept in thousandths, for compatibility.
    Quantities,
}

/// The steps of all types of the built-in table, indexed as the table is.
static BUILTIN: LazyLock<Vec<Step>> = LazyLock::new(|| plan(Schema::builtin()));

pub(super) fn apply(schema: &TypeRef, object: &mut Value) {
    debug_assert!(Arc::ptr_eq(&schema.schema, Schema::builtin()));
    visit(&BUILTIN, schema.id, object);
}

fn visit(steps: &[Step], id: u32, value: &mut Value) {
    let Some(step) = steps.get(id as usize).filter(|_| value.is_object()) else { return };
    if let Some(hook) = step.hook {
        hook(value);
    }
    for Filling { member, value: default, over_zero } in &step.fills {
        match over_zero {
            true => value.fill_zero(member, Lent(default)),
            false => value.fill(member, Lent(default)),
        }
    }
    step.inlined.iter().for_each(|inlined| visit(steps, *inlined, value));
    for (member, below) in &step.below {
        let Some(inner) = value.inner(member) else { continue };
        match below {
            Below::One(id) => visit(steps, *id, inner),
            Below::List(id) => inner.as_array_mut().into_iter().flatten().for_each(|v| visit(steps, *id, v)),
            Below::Map(id) => inner.as_object_mut().into_iter().flatten().for_each(|(_, v)| visit(steps, *id, v)),
            Below::Quantities => inner.as_object_mut().into_iter().flatten().for_each(|(_, v)| round_up(v)),
        }
    }
}

/// Rounds amounts finer than a thousandth up.
fn round_up(value: &mut Value) {
    let Some(text) = value.as_str().filter(|t| t.ends_with(['n', 'u']) || t.contains("e-")) else { return };
    if let Ok(quantity) = text.parse::<Quantity>() {
        *value = Quantity::from_millis(quantity.milli_value()).to_string().into();
    }
}

/// Types whose resource lists stay as they are: upstream's defaults of their groups know nothing of such.
const EXACT: [&str; 3] =
    ["io.k8s.api.node.v1.Overhead", "io.k8s.api.node.v1beta1.Overhead", "io.k8s.api.node.v1alpha1.Overhead"];

/// Makes the steps: own work first, then what is worth going down into.
fn plan(schema: &Schema) -> Vec<Step> {
    let mut steps: Vec<Step> = schema.types.iter().map(|def| own(&def.name, &def.fields)).collect();
    let mut useful: Vec<bool> = steps.iter().map(|s| s.hook.is_some() || !s.fills.is_empty()).collect();
    while spread(schema, &mut useful) {}
    for (step, def) in steps.iter_mut().zip(&schema.types) {
        for field in &def.fields {
            match below(&field.shape).filter(|b| is_useful(b, &useful)) {
                Some(Below::Quantities) if EXACT.contains(&&*def.name) => {}
                Some(Below::One(id)) if field.json.is_empty() => step.inlined.push(id),
                Some(below) => step.below.push((field.json.clone(), below)),
                None => {}
            }
        }
    }
    steps
}

/// Marks the types that lead to a useful one; whether any was new.
fn spread(schema: &Schema, useful: &mut [bool]) -> bool {
    let mut changed = false;
    for (id, def) in schema.types.iter().enumerate().filter(|(_, d)| !d.fields.is_empty()) {
        if !useful[id] && def.fields.iter().filter_map(|f| below(&f.shape)).any(|b| is_useful(&b, useful)) {
            useful[id] = true;
            changed = true;
        }
    }
    changed
}

fn own(name: &str, fields: &[Field]) -> Step {
    Step { hook: hook(name), fills: fields.iter().filter_map(filling).collect(), ..Step::default() }
}

/// The default of a field, if it is more than the zero value that is there anyway.
fn filling(field: &Field) -> Option<Filling> {
    let value = field.default.clone()?;
    let is_zero = value.as_i64() == Some(0) || value.as_bool() == Some(false) || value.as_str() == Some("");
    let pointer = field.presence == Presence::Pointer;
    (pointer || !is_zero).then(|| Filling { member: field.json.clone(), value, over_zero: !pointer })
}

fn below(shape: &Shape) -> Option<Below> {
    match shape {
        Shape::Message(id) => Some(Below::One(*id)),
        Shape::List(inner) => message(inner).map(Below::List),
        Shape::Map(inner) if **inner == Shape::Quantity => Some(Below::Quantities),
        Shape::Map(inner) => message(inner).map(Below::Map),
        _ => None,
    }
}

fn message(shape: &Shape) -> Option<u32> {
    match shape {
        Shape::Message(id) => Some(*id),
        _ => None,
    }
}

fn is_useful(below: &Below, useful: &[bool]) -> bool {
    match below {
        Below::One(id) | Below::List(id) | Below::Map(id) => useful[*id as usize],
        Below::Quantities => true,
    }
}
