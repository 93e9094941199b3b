//! Columns.

use apimachinery::resources::AGE_DESCRIPTION;

/// A column of a table; those of built-in resources are static.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column<'a> {
    /// Heading, such as `Ready`.
    pub name: &'a str,
    /// OpenAPI type: `string`, `integer`, `boolean` or `date`.
    pub kind: &'a str,
    /// OpenAPI format; `name` marks the column of names.
    pub format: &'a str,
    /// What the column tells.
    pub description: &'a str,
    /// 0 for the narrow view, more for `-o wide`.
    pub priority: i32,
}

impl Column<'_> {
    /// Whether it is the column of names, or that of ages, which mean the same in every table.
    pub fn is_common(&self) -> bool {
        [NAME.description, AGE.description].contains(&self.description)
    }
}

impl Column<'static> {
    /// The same column, shown in the wide view only.
    pub(super) const fn wide(self) -> Self {
        Self { priority: 1, ..self }
    }
}

pub(super) const NAME: Column<'static> =
    Column { format: "name", ..text("Name", "The name, unique within a namespace and resource.") };
pub(super) const AGE: Column<'static> = text("Age", AGE_DESCRIPTION);
pub(super) const CONTAINERS: Column<'static> = text("Containers", "The names of the template's containers.").wide();
pub(super) const IMAGES: Column<'static> = text("Images", "The images of the template's containers.").wide();
pub(super) const SELECTOR: Column<'static> = text("Selector", "Which pods belong to the object.").wide();

pub(super) const fn text(name: &'static str, description: &'static str) -> Column<'static> {
    Column { name, kind: "string", format: "", description, priority: 0 }
}

pub(super) const fn number(name: &'static str, description: &'static str) -> Column<'static> {
    Column { kind: "integer", ..text(name, description) }
}

pub(super) const fn flag(name: &'static str, description: &'static str) -> Column<'static> {
    Column { kind: "boolean", ..text(name, description) }
}

pub(super) const fn date(name: &'static str, description: &'static str) -> Column<'static> {
    Column { kind: "date", ..text(name, description) }
}
