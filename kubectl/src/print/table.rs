//! Tables: the server's columns, aligned.

use apimachinery::meta::ObjectMeta;
use apimachinery::{Value, codec};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What to print beside the server's columns.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Columns of lower priority, too.
    pub wide: bool,
    /// No header line.
    pub no_headers: bool,
    /// A column for the namespace.
    pub with_namespace: bool,
    /// A column with all labels.
    pub show_labels: bool,
    /// Columns for these labels.
    pub label_columns: Vec<String>,
    /// `type/` in front of names.
    pub kind_prefix: Option<String>,
}

/// Rows of text with a header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grid {
    /// Column titles.
    pub header: Vec<String>,
    /// Cells.
    pub rows: Vec<Vec<String>>,
}

impl Grid {
    /// Aligned text: columns are three blanks apart and at least six wide.
    pub fn render(&self, no_headers: bool) -> String {
        self.render_from(no_headers, &mut Vec::new())
    }

    /// The same below what was printed before: columns are at least as wide as they were then.
    pub fn render_from(&self, no_headers: bool, widths: &mut Vec<usize>) -> String {
        let shown = (!no_headers).then_some(&self.header).into_iter().chain(&self.rows);
        widths.resize(widths.len().max(self.header.len()), 0);
        for row in shown.clone() {
            // The last cell of a row makes no column wider.
            for (width, cell) in widths.iter_mut().zip(row.iter().take(row.len().saturating_sub(1))) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for row in shown {
            let mut line = String::new();
            for (i, cell) in row.iter().enumerate() {
                line.push_str(cell);
                if i + 1 < row.len() {
                    let width = (widths.get(i).copied().unwrap_or_default() + 3).max(6);
                    let blanks = width.saturating_sub(cell.chars().count());
                    line.extend(std::iter::repeat_n(' ', blanks));
                }
            }
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

/// A `meta.k8s.io/v1 Table` as it comes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Table {
    kind: String,
    metadata: ListMeta,
    column_definitions: Vec<Column>,
    /// It stands for a refusal.
    #[serde(skip)]
    is_refusal: bool,
    /// A row per object.
    #[serde(deserialize_with = "or_default")]
    pub rows: Vec<Row>,
}

/// `null` is nothing, as Go writes an empty list.
fn or_default<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Row>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ListMeta {
    r#continue: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Column {
    name: String,
    priority: i32,
}

/// A row; its object is looked at only when asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Row {
    cells: Vec<Value>,
    object: Option<Box<RawValue>>,
}

impl Row {
    /// The row's object.
    pub fn tree(&self) -> Value {
        self.object.as_ref().and_then(|o| serde_json::from_str(o.get()).ok()).unwrap_or_default()
    }
}

impl Table {
    /// Reads a table; an object or a list is rendered here.
    pub fn read(body: &[u8]) -> anyhow::Result<Self> {
        let table: Table = serde_json::from_slice(body).map_err(|error| unreadable(body, &error))?;
        match table.kind.as_str() {
            "Table" => Ok(table),
            "" if body.trim_ascii_start().starts_with(b"[") => {
                anyhow::bail!("json: cannot unmarshal array into Go value of type unstructured.detector")
            }
            "" => anyhow::bail!("Object 'Kind' is missing in '{}'", String::from_utf8_lossy(body)),
            _ => Ok(Self::rendered(serde_json::from_slice(body)?)),
        }
    }

    /// The same of a whole answer, which may be a refusal.
    pub fn read_answer(body: &[u8]) -> anyhow::Result<Self> {
        match Self::read(body)? {
            table if table.is_refusal => crate::http::unstructured(body).map(Self::rendered),
            table => Ok(table),
        }
    }

    /// The token of the next page, empty on the last.
    pub fn next_page(&self) -> &str {
        &self.metadata.r#continue
    }

    /// A refusal in the middle of what was asked for.
    fn refusal(status: &Value) -> Self {
        let cells = ["status", "reason", "message"].map(|key| status[key].as_str().unwrap_or_default().into());
        let column = |name: &str| Column { name: name.to_owned(), priority: 0 };
        Self {
            kind: "Table".into(),
            column_definitions: ["Status", "Reason", "Message"].map(column).into(),
            rows: vec![Row { cells: cells.into(), object: None }],
            is_refusal: true,
            ..Self::default()
        }
    }

    /// Objects that the server did not render: their names and ages, as upstream shows them.
    fn rendered(mut value: Value) -> Self {
        if value["kind"] == "Status" {
            return Self::refusal(&value);
        }
        let next = value.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default().to_owned();
        let objects = match value.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => items,
            _ => vec![value],
        };
        let now = jiff::Timestamp::now();
        let cells = |object: &Value| {
            let created = object.meta_str("creationTimestamp").parse().ok();
            let age = created.map_or("<unknown>".into(), |t| rules::tables::human(now, t));
            vec![object.name().into(), Value::String(age)]
        };
        let column = |name: &str| Column { name: name.to_owned(), priority: 0 };
        let row = |object: Value| Row { cells: cells(&object), object: serde_json::value::to_raw_value(&object).ok() };
        Self {
            kind: "Table".into(),
            metadata: ListMeta { r#continue: next },
            column_definitions: vec![column("Name"), column("Age")],
            rows: objects.into_iter().map(row).collect(),
            ..Self::default()
        }
    }
}

/// Why an answer is not what it should be.
pub(crate) fn unreadable(body: &[u8], error: &serde_json::Error) -> anyhow::Error {
    match codec::json::to_value(body) {
        Ok(Value::Null) => anyhow::anyhow!("Object 'Kind' is missing in 'null'"),
        Ok(Value::Array(_)) => {
            anyhow::anyhow!("json: cannot unmarshal array into Go value of type unstructured.detector")
        }
        Ok(value) if !value["kind"].is_string() => {
            anyhow::anyhow!("Object 'Kind' is missing in '{}'", String::from_utf8_lossy(body))
        }
        Ok(_) => anyhow::anyhow!("{error}"),
        Err(error) => anyhow::anyhow!("{error}"),
    }
}

/// The grid of a table.
pub fn grid(table: &Table, options: &Options) -> Grid {
    let columns = &table.column_definitions;
    let shown: Vec<usize> = (0..columns.len()).filter(|i| options.wide || columns[*i].priority == 0).collect();
    let mut grid = Grid { header: extra_titles(options), rows: Vec::new() };
    let at = usize::from(options.with_namespace);
    grid.header.splice(at..at, shown.iter().map(|i| crate::print::harmless(&columns[*i].name).to_uppercase()));
    let looks_at_objects = options.with_namespace || options.show_labels || !options.label_columns.is_empty();
    for row in &table.rows {
        let object = if looks_at_objects { row.tree() } else { Value::Null };
        let mut line = extra_cells(&object, options);
        line.splice(at..at, shown.iter().map(|i| cell(row.cells.get(*i))));
        if let (Some(prefix), Some(name)) = (&options.kind_prefix, line.get_mut(at)) {
            *name = format!("{prefix}/{name}");
        }
        grid.rows.push(line);
    }
    grid
}

fn extra_titles(options: &Options) -> Vec<String> {
    let mut titles = Vec::new();
    if options.with_namespace {
        titles.push("NAMESPACE".to_owned());
    }
    titles.extend(options.label_columns.iter().map(|l| l.rsplit('/').next().unwrap_or(l).to_uppercase()));
    if options.show_labels {
        titles.push("LABELS".to_owned());
    }
    titles
}

fn extra_cells(object: &Value, options: &Options) -> Vec<String> {
    let mut cells = Vec::new();
    if options.with_namespace {
        cells.push(object.namespace().to_owned());
    }
    let label =
        |key: &String| object.labels().and_then(|l| l.get(key)).and_then(Value::as_str).unwrap_or("").to_owned();
    cells.extend(options.label_columns.iter().map(label));
    if options.show_labels {
        let labels = object.labels().into_iter().flatten();
        let pairs: Vec<String> = labels.map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
        cells.push(if pairs.is_empty() { "<none>".into() } else { pairs.join(",") });
    }
    cells
}

/// A cell's first line, without anything that a terminal would act on.
fn cell(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => return String::new(),
        Some(Value::String(text)) => text.as_str(),
        Some(other) => return other.to_string(),
    };
    let (line, more) = match text.find(['\n', '\r', '\u{c}']) {
        Some(end) => (&text[..end], "..."),
        None => (text, ""),
    };
    crate::print::harmless(line).replace('\t', " ") + more
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn table() -> Table {
        serde_json::from_value(json!({"kind": "Table", "columnDefinitions": [{"name": "Name"}, {"name": "Age"}, {"name": "IP", "priority": 1}],
            "rows": [{"cells": ["web", "5m", "10.0.0.1"], "object": {"metadata": {"namespace": "ns", "labels": {"app": "web"}}}},
                     {"cells": ["a\u{1b}[31m", 7, null], "object": {"metadata": {"namespace": "other"}}}]})).expect("a table")
    }

    #[test]
    fn aligns_columns() {
        let text = grid(&table(), &Options::default()).render(false);
        assert_eq!(text, "NAME      AGE\nweb       5m\na^[[31m   7\n");
    }

    #[test]
    fn adds_columns_as_asked() {
        let options = Options {
            wide: true,
            with_namespace: true,
            show_labels: true,
            label_columns: vec!["app".into()],
            kind_prefix: Some("pod".into()),
            ..Options::default()
        };
        let grid = grid(&table(), &options);
        assert_eq!(grid.header, ["NAMESPACE", "NAME", "AGE", "IP", "APP", "LABELS"]);
        assert_eq!(grid.rows[0], ["ns", "pod/web", "5m", "10.0.0.1", "web", "app=web"]);
        assert_eq!(grid.rows[1][3..], ["", "", "<none>"]);
        assert!(!grid.render(true).contains("NAMESPACE"));
    }
}
