//! Cells, some of which change with the time alone.

use super::duration::human;
use apimachinery::Value;
use jiff::Timestamp;

/// One row, as many cells as the resource has columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Row(pub Vec<Cell>);

/// One cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// What does not change with the time.
    Value(Value),
    /// The time since then, such as `5m`.
    Since(Timestamp),
    /// Text with times in it, such as `2 (5m ago)`.
    Timed(Vec<Part>),
}

/// A piece of a [`Cell::Timed`].
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// As it stands.
    Text(String),
    /// The time since then.
    Since(Timestamp),
}

impl Cell {
    /// A cell of text.
    pub fn text(text: impl Into<String>) -> Self {
        Cell::Value(Value::String(text.into()))
    }

    /// The time since an RFC 3339 time; `<unknown>` if there is none.
    pub fn since(time: &str) -> Self {
        match time.parse() {
            Ok(time) => Cell::Since(time),
            Err(_) => Cell::text("<unknown>"),
        }
    }

    /// The cell at this time.
    pub fn render(&self, now: Timestamp) -> Value {
        match self {
            Cell::Value(value) => value.clone(),
            Cell::Since(time) => human(now, *time).into(),
            Cell::Timed(parts) => parts.iter().map(|p| p.render(now)).collect::<String>().into(),
        }
    }

    /// Whether the cell changes with the time.
    pub fn is_timed(&self) -> bool {
        !matches!(self, Cell::Value(_))
    }
}

impl Part {
    fn render(&self, now: Timestamp) -> String {
        match self {
            Part::Text(text) => text.clone(),
            Part::Since(time) => human(now, *time),
        }
    }
}

impl Row {
    /// The cells at this time.
    pub fn render(&self, now: Timestamp) -> Vec<Value> {
        self.0.iter().map(|cell| cell.render(now)).collect()
    }

    /// The cells at this time as text, as a terminal shows them.
    pub fn texts(&self, now: Timestamp) -> Vec<String> {
        let text = |value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        self.0.iter().map(|cell| text(cell.render(now))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_the_time() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let now: Timestamp = "2026-01-01T00:03:00Z".parse().expect("a time");
        let restarts = Cell::Timed(vec![Part::Text("2 (".into()), Part::Since(start), Part::Text(" ago)".into())]);
        let row = Row(vec![Cell::text("a"), Cell::Value(3.into()), Cell::Since(start), restarts, Cell::since("")]);
        assert_eq!(row.texts(now), ["a", "3", "3m", "2 (3m ago)", "<unknown>"]);
        assert_eq!(row.render(now)[1], 3);
        assert_eq!(row.0.iter().map(Cell::is_timed).collect::<Vec<_>>(), [false, false, true, true, false]);
    }
}
