//! Columns.

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

impl Column {
    /// The same column, shown in the wide view only.
    pub(super) const fn wide(self) -> Self {
        Self { priority: 1, ..self }
    }
}

pub(super) const NAME: Column =
    Column { format: "name", ..text("Name", "The name, unique within a namespace and resource.") };
pub(super) const AGE: Column = text("Age", "The time since the object was made.");
pub(super) const CONTAINERS: Column = text("Containers", "The names of the template's containers.").wide();
pub(super) const IMAGES: Column = text("Images", "The images of the template's containers.").wide();
pub(super) const SELECTOR: Column = text("Selector", "Which pods belong to the object.").wide();

pub(super) const fn text(name: &'static str, description: &'static str) -> Column {
    Column { name, kind: "string", format: "", description, priority: 0 }
}

pub(super) const fn number(name: &'static str, description: &'static str) -> Column {
    Column { kind: "integer", ..text(name, description) }
}

pub(super) const fn flag(name: &'static str, description: &'static str) -> Column {
    Column { kind: "boolean", ..text(name, description) }
}

pub(super) const fn date(name: &'static str, description: &'static str) -> Column {
    Column { kind: "date", ..text(name, description) }
}
