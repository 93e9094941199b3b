//! Selectors of devices: expressions over what a device is like.
//!
//! Upstream: `dynamic-resource-allocation/cel`.

use super::slices::{Attribute, Device};
use cel::{Bindings, Budget, Program, Value};
use parking_lot::Mutex;
use rules::expressions::devices::stored_selector;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// How many expressions are kept compiled; few classes and claims differ in them.
const KEPT: usize = 256;

type Compiled = Arc<Result<Program, String>>;

/// The expressions, compiled.
#[derive(Debug, Default)]
pub struct Selectors {
    compiled: Mutex<HashMap<String, Compiled>>,
}

/// Why a selector says nothing about a device; without whose it is.
#[derive(Debug, thiserror::Error)]
pub enum SelectorError {
    /// The server let in what this version cannot compile.
    #[error("CEL compile error: {0}")]
    Compile(String),
    /// It failed, or took too long.
    #[error("CEL runtime error: {0}")]
    Run(String),
}

impl Selectors {
    /// Whether the device is one of those that the expression selects.
    pub fn select(&self, expression: &str, device: &Device) -> Result<bool, SelectorError> {
        match &*self.get(expression) {
            Ok(program) => run(program, device).map_err(SelectorError::Run),
            Err(why) => Err(SelectorError::Compile(why.clone())),
        }
    }

    fn get(&self, expression: &str) -> Compiled {
        let mut compiled = self.compiled.lock();
        if let Some(known) = compiled.get(expression) {
            return Arc::clone(known);
        }
        if compiled.len() >= KEPT {
            compiled.clear();
        }
        let new: Compiled = Arc::new(stored_selector(expression).map_err(|error| error.to_string()));
        compiled.insert(expression.to_owned(), Arc::clone(&new));
        new
    }
}

fn run(program: &Program, device: &Device) -> Result<bool, String> {
    let bindings = Bindings::new().with("device", view(device)?);
    let verdict = cel::evaluate(program, &bindings, &mut Budget::per_call()).map_err(|error| error.to_string())?;
    let of = verdict.type_name();
    verdict.as_bool().ok_or_else(|| {
        format!("CEL result of type {of} could not be converted to bool: type conversion error from '{of}' to 'bool'")
    })
}

/// What expressions see of a device: what it has under a domain that it does not know is empty.
fn view(device: &Device) -> Result<Value<'_>, String> {
    let mut attributes: BTreeMap<&str, Vec<(&str, Value<'_>)>> = BTreeMap::new();
    for (name, attribute) in &device.attributes {
        let value = value(attribute).map_err(|why| format!("attribute {name}: {why}"))?;
        let (domain, id) = split(name, device);
        attributes.entry(domain).or_default().push((id, value));
    }
    let mut capacity: BTreeMap<&str, Vec<(&str, Value<'_>)>> = BTreeMap::new();
    for (name, of) in &device.capacity {
        let (domain, id) = split(name, device);
        capacity.entry(domain).or_default().push((id, Value::Quantity(of.value)));
    }
    Ok(Value::entries([
        ("driver", Value::text(Arc::clone(&device.id.driver))),
        ("allowMultipleAllocations", Value::Bool(device.is_shared)),
        ("attributes", by_domain(attributes)),
        ("capacity", by_domain(capacity)),
    ]))
}

fn by_domain<'d>(all: BTreeMap<&'d str, Vec<(&'d str, Value<'d>)>>) -> Value<'d> {
    Value::entries_or(all.into_iter().map(|(domain, of)| (domain, Value::entries(of))), Value::entries([]))
}

fn split<'d>(name: &'d str, device: &'d Device) -> (&'d str, &'d str) {
    name.split_once('/').unwrap_or((&device.id.driver, name))
}

fn value(attribute: &Attribute) -> Result<Value<'_>, String> {
    match attribute {
        Attribute::Int(number) => Ok(Value::Int(*number)),
        Attribute::Bool(set) => Ok(Value::Bool(*set)),
        Attribute::Text(text) => Ok(Value::text(text.as_str())),
        Attribute::Version(version) => Value::version(version).map_err(|why| format!("parse semantic version: {why}")),
        Attribute::Unsupported => Err("unsupported attribute value".to_owned()),
    }
}
