//! `metadata.managedFields`: who manages which fields.
//!
//! Upstream: `apimachinery/pkg/util/managedfields/internal/{managedfields,capmanagers}.go`.

use super::element::ElementError;
use super::fields;
use super::set::FieldSet;
use apimachinery::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Managers from updates that are kept apart at most.
const MAX_UPDATERS: usize = 10;
/// The manager of fields whose oldest updaters are no longer kept apart.
const ANCIENT: &str = "ancient-changes";
/// The only encoding of fields.
const FIELDS_V1: &str = "FieldsV1";

/// How a manager came to its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// By server-side apply.
    Apply,
    /// By any other write.
    Update,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// One that manages fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manager {
    /// Its name, such as `kubectl`.
    pub name: String,
    /// How it writes.
    pub operation: Operation,
    /// The version in which its fields are named.
    pub api_version: String,
    /// The subresource that it writes to; may be empty.
    pub subresource: String,
}

impl Manager {
    /// Whether both are the same manager: an applier is, in whatever version it applies.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }

    /// Who applies is the same in all versions.
    fn identity(&self) -> (&str, Operation, &str, &str) {
        let version = match self.operation {
            Operation::Apply => "",
            Operation::Update => &self.api_version,
        };
        (&self.name, self.operation, &self.subresource, version)
    }
}

impl fmt::Display for Manager {
    /// As conflicts name it: `"kubectl" with subresource "scale" using apps/v1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.name)?;
        if !self.subresource.is_empty() {
            write!(f, " with subresource {:?}", self.subresource)?;
        }
        match self.operation {
            Operation::Apply => Ok(()),
            Operation::Update => write!(f, " using {}", self.api_version),
        }
    }
}

/// Why managed fields cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManagedError {
    /// Neither of the two operations.
    #[error("operation must be `Apply` or `Update`")]
    Operation,
    /// No version.
    #[error("apiVersion must not be empty")]
    ApiVersion,
    /// No encoding.
    #[error("missing fieldsType in managed fields entry {0}")]
    NoType(usize),
    /// An unknown encoding.
    #[error("invalid fieldsType {0:?} in managed fields entry {1}")]
    Type(String, usize),
    /// Fields that are none.
    #[error("error decoding set: {0}")]
    Fields(#[from] ElementError),
}

/// A manager's fields. They are decoded only when they change.
#[derive(Clone, Debug, PartialEq)]
enum Fields {
    Encoded(Value),
    Decoded(FieldSet),
}

/// A manager, its fields, and when it wrote last.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) manager: Manager,
    pub(super) time: Option<String>,
    fields: Fields,
}

impl Entry {
    pub(super) fn new(manager: Manager, time: Option<String>, set: FieldSet) -> Self {
        Self { manager, time, fields: Fields::Decoded(set) }
    }

    fn read(at: usize, entry: Value) -> Result<Self, ManagedError> {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let operation = match &*text("operation") {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return Err(ManagedError::Operation),
        };
        let api_version = text("apiVersion");
        if api_version.is_empty() {
            return Err(ManagedError::ApiVersion);
        }
        match text("fieldsType") {
            given if given == FIELDS_V1 => {}
            given if given.is_empty() => return Err(ManagedError::NoType(at)),
            given => return Err(ManagedError::Type(given, at)),
        }
        let manager = Manager { name: text("manager"), operation, api_version, subresource: text("subresource") };
        let time = entry.get("time").and_then(Value::as_str).map(str::to_owned);
        let Value::Object(mut entry) = entry else { return Err(ManagedError::Operation) };
        let fields = entry.remove("fieldsV1").unwrap_or_else(|| Value::Object(Map::new()));
        Ok(Self { manager, time, fields: Fields::Encoded(fields) })
    }

    fn write(self) -> Value {
        let fields = match self.fields {
            Fields::Encoded(fields) => fields,
            Fields::Decoded(set) => fields::encode(&set),
        };
        write(self.manager, self.time, fields)
    }

    /// Its fields, decoded; what cannot be is nothing.
    pub(super) fn set(&self) -> FieldSet {
        match &self.fields {
            Fields::Encoded(fields) => fields::decode(fields).unwrap_or_default(),
            Fields::Decoded(set) => set.clone(),
        }
    }

    pub(super) fn touches(&self, set: &FieldSet) -> bool {
        match &self.fields {
            Fields::Encoded(fields) => fields::touches(fields, set),
            Fields::Decoded(own) => own.intersects(set),
        }
    }

    /// Takes fields from it.
    pub(super) fn lose(&mut self, set: &FieldSet) {
        if self.touches(set) {
            self.fields = Fields::Decoded(self.set().difference(set));
        }
    }

    /// Gives fields to it.
    pub(super) fn gain(&mut self, set: FieldSet) {
        if let Fields::Encoded(fields) = &self.fields
            && fields::covers(fields, &set)
        {
            return;
        }
        self.fields = Fields::Decoded(self.set().union(set));
    }

    fn has_nothing(&self) -> bool {
        match &self.fields {
            Fields::Encoded(fields) => fields.as_object().is_none_or(Map::is_empty),
            Fields::Decoded(set) => set.is_empty(),
        }
    }
}

/// One of `metadata.managedFields`.
fn write(manager: Manager, time: Option<String>, fields: Value) -> Value {
    let Manager { name, operation, api_version, subresource } = manager;
    let mut entry = Map::new();
    for (key, text) in [("manager", name), ("apiVersion", api_version), ("subresource", subresource)] {
        if !text.is_empty() {
            entry.insert(key.to_owned(), text.into());
        }
    }
    entry.insert("operation".into(), operation.as_str().into());
    if let Some(time) = time {
        entry.insert("time".into(), time.into());
    }
    entry.insert("fieldsType".into(), FIELDS_V1.into());
    entry.insert("fieldsV1".into(), fields);
    Value::Object(entry)
}

/// `metadata.managedFields` of what one manager alone manages; `fields` is the text of `fieldsV1`.
pub(super) fn alone(manager: Manager, time: &str, fields: String) -> Value {
    Value::Array(vec![write(manager, Some(time.to_owned()), fields.into())])
}

/// Who manages which fields of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Managed {
    pub(super) entries: Vec<Entry>,
}

impl Managed {
    /// Reads `metadata.managedFields` that this server, or another one, has written. Of a manager that is there twice the
    /// later entry counts.
    pub(super) fn read(list: Option<Value>) -> Result<Self, ManagedError> {
        let Some(Value::Array(list)) = list else { return Ok(Self::default()) };
        let read = list.into_iter().enumerate().map(|(at, entry)| Entry::read(at, entry));
        let mut entries = read.collect::<Result<Vec<_>, _>>()?;
        // Of clients there may be any number.
        let mut later = BTreeSet::new();
        let mut is_last: Vec<bool> = entries.iter().rev().map(|e| later.insert(e.manager.identity())).collect();
        entries.retain(|_| is_last.pop() == Some(true));
        Ok(Self { entries })
    }

    /// The same of what a client has sent: all fields are checked.
    pub(super) fn read_strictly(list: Option<Value>) -> Result<Self, ManagedError> {
        let mut managed = Self::default();
        for mut entry in Self::read(list)?.entries {
            if let Fields::Encoded(fields) = &entry.fields {
                entry.fields = Fields::Decoded(fields::decode(fields)?);
            }
            managed.entries.push(entry);
        }
        Ok(managed)
    }

    /// `metadata.managedFields`; `None` if nobody manages anything.
    pub(super) fn write(mut self) -> Option<Value> {
        self.entries.retain(|entry| !entry.has_nothing());
        if self.entries.is_empty() {
            return None;
        }
        self.entries.sort_by(|a, b| {
            let key = |entry: &Entry| {
                let Manager { name, api_version, subresource, .. } = &entry.manager;
                // Times of one form sort as texts do.
                (entry.manager.operation, entry.time.clone(), name.clone(), api_version.clone(), subresource.clone())
            };
            key(a).cmp(&key(b))
        });
        Some(self.entries.into_iter().map(Entry::write).collect())
    }

    /// Takes a manager out.
    pub(super) fn take(&mut self, manager: &Manager) -> Option<Entry> {
        let at = self.entries.iter().position(|entry| entry.manager.is(manager))?;
        Some(self.entries.remove(at))
    }

    /// Gives fields to a manager.
    pub(super) fn give(&mut self, manager: &Manager, set: FieldSet, time: &str) {
        match self.entries.iter_mut().find(|entry| entry.manager.is(manager)) {
            Some(entry) => {
                entry.gain(set);
                entry.time = Some(time.to_owned());
            }
            None => self.entries.push(Entry::new(manager.clone(), Some(time.to_owned()), set)),
        }
    }

    /// Merges the oldest updaters of each version until there are few enough.
    pub(super) fn cap(&mut self) {
        self.entries.retain(|entry| !entry.has_nothing());
        let updaters = self.entries.iter().filter(|entry| entry.manager.operation == Operation::Update).count();
        if updaters <= MAX_UPDATERS {
            return;
        }
        let (mut old, rest): (Vec<Entry>, Vec<Entry>) =
            std::mem::take(&mut self.entries).into_iter().partition(|e| e.manager.operation == Operation::Update);
        self.entries = rest;
        old.sort_by(|a, b| (&a.time, &a.manager.name).cmp(&(&b.time, &b.manager.name)));
        self.entries.extend(merged(old, updaters - MAX_UPDATERS));
    }
}

/// Merges updaters, oldest first, until there are `excess` fewer.
fn merged(old: Vec<Entry>, mut excess: usize) -> Vec<Entry> {
    let mut kept: Vec<Entry> = Vec::with_capacity(old.len());
    // Where the first of each version is, which takes up the others.
    let mut buckets: BTreeMap<String, usize> = BTreeMap::new();
    for entry in old {
        match buckets.get(&entry.manager.api_version) {
            Some(at) if excess > 0 => {
                let bucket = &mut kept[*at];
                bucket.manager.name = ANCIENT.to_owned();
                bucket.manager.subresource = String::new();
                bucket.gain(entry.set());
                bucket.time = entry.time;
                excess -= 1;
            }
            _ => {
                buckets.entry(entry.manager.api_version.clone()).or_insert(kept.len());
                kept.push(entry);
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(manager: &str, operation: &str, time: &str, field: &str) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": "v1", "time": time, "fieldsType": "FieldsV1",
            "fieldsV1": {"f:data": {(format!("f:{field}")): {}}}})
    }

    #[test]
    fn entries_are_read_and_written_in_order() {
        let list = json!([
            entry("b", "Update", "2026-01-01T00:00:00Z", "x"),
            entry("z", "Apply", "2026-01-02T00:00:00Z", "y"),
            entry("a", "Update", "2026-01-01T00:00:00Z", "z")
        ]);
        let written = Managed::read(Some(list)).expect("entries").write().expect("a list");
        let names: Vec<&str> = written.as_array().into_iter().flatten().filter_map(|e| e["manager"].as_str()).collect();
        assert_eq!(names, ["z", "a", "b"]);
        assert_eq!(Managed::default().write(), None);
    }

    #[test]
    fn malformed_entries_are_refused() {
        let good = entry("a", "Update", "t", "x");
        for (key, value, want) in [
            ("operation", json!("Patch"), "operation must be `Apply` or `Update`"),
            ("apiVersion", json!(""), "apiVersion must not be empty"),
            ("fieldsType", json!(""), "missing fieldsType in managed fields entry 0"),
            ("fieldsType", json!("X"), "invalid fieldsType \"X\" in managed fields entry 0"),
            ("fieldsV1", json!({"a": {}}), "error decoding set: missing colon: a"),
        ] {
            let mut bad = good.clone();
            bad[key] = value;
            let error = Managed::read_strictly(Some(json!([bad]))).expect_err("refused");
            assert_eq!(error.to_string(), want);
        }
    }

    #[test]
    fn the_oldest_updaters_become_one() {
        let list =
            (10..22).map(|n| entry(&format!("m{n}"), "Update", &format!("2026-01-{n}T00:00:00Z"), &format!("k{n}")));
        let mut managed = Managed::read(Some(list.collect())).expect("entries");
        managed.cap();
        let written = managed.write().expect("a list");
        assert_eq!(written.as_array().map(Vec::len), Some(10));
        assert_eq!(written[0]["manager"], ANCIENT);
        assert_eq!(written[0]["time"], "2026-01-12T00:00:00Z");
        assert_eq!(written[0]["fieldsV1"], json!({"f:data": {"f:k10": {}, "f:k11": {}, "f:k12": {}}}));
    }

    #[test]
    fn managers_are_shown_as_conflicts_name_them() {
        let manager = |operation, subresource: &str| Manager {
            name: "x".into(),
            operation,
            api_version: "apps/v1".into(),
            subresource: subresource.into(),
        };
        assert_eq!(manager(Operation::Update, "").to_string(), "\"x\" using apps/v1");
        assert_eq!(manager(Operation::Apply, "").to_string(), "\"x\"");
        assert_eq!(manager(Operation::Update, "scale").to_string(), "\"x\" with subresource \"scale\" using apps/v1");
    }
}
