//! Prints objects as the rows of a `Table`.
//!
//! A [`Row`] does not depend on the time, so it can be kept; [`Row::render`] fills in the ages.
//!
//! Upstream: `pkg/printers/internalversion/printers.go`.

mod cell;
mod duration;

pub use cell::{Cell, Part, Row};
pub use duration::human;

use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::resources::ResourceInfo;
use jiff::Timestamp;

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Heading, such as `Ready`.
    pub name: &'static str,
    /// OpenAPI type: `string`, `integer`, `boolean` or `date`.
    pub kind: &'static str,
    /// OpenAPI format; `name` marks the column of names.
    pub format: &'static str,
    /// What the column tells.
    pub description: &'static str,
    /// 0 for the narrow view, more for `-o wide`.
    pub priority: i32,
}

const NAME: Column = Column {
    name: "Name",
    kind: "string",
    format: "name",
    description: "The name of the object, unique within its namespace.",
    priority: 0,
};

/// The columns of resources without printer of their own, custom ones among them.
const DEFAULT: &[Column] = &[
    NAME,
    Column { name: "Created At", kind: "date", format: "", description: "When the object was made.", priority: 0 },
];

/// The columns of the resource.
pub fn columns(_resource: &ResourceInfo) -> &'static [Column] {
    DEFAULT
}

/// The cells of one object, one for each of [`columns`], without the time in them.
pub fn row(_resource: &ResourceInfo, object: &Value) -> Row {
    Row(vec![Cell::text(object.name()), Cell::text(object.meta_str("creationTimestamp"))])
}

/// The cells of one object at this time.
pub fn cells(resource: &ResourceInfo, object: &Value, now: Timestamp) -> Vec<Value> {
    row(resource, object).render(now)
}

/// The cells of one object as text, for printing without a server.
pub fn texts(resource: &ResourceInfo, object: &Value, now: Timestamp) -> Vec<String> {
    row(resource, object).texts(now)
}
