//! `Table`s: the server-side columns of `kubectl get`.
//!
//! The cells of an object are printed once and kept with it as a template, in which only the ages
//! and the place of the metadata are left open.
//!
//! Upstream: `apiserver/pkg/endpoints/handlers/response.go`, `.../registry/rest/table.go`.

use super::events::meta_version;
use super::{columns, json, object};
use crate::negotiate::{Output, RowObject};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::resources::ResourceInfo;
use apiserver_storage::Object;
use bytes::Bytes;
use jiff::Timestamp;
use rules::tables::{self, Cell, Column, Part, Row};

/// Begins a time in a template; eight bytes of milliseconds follow. JSON has no such byte.
const SINCE: u8 = 0;
/// The head of a template: where the metadata stands in the object's JSON.
const HEAD: usize = 8;

/// Turns objects of one table into rows, all at the same time.
pub struct Rows<'a> {
    resource: &'a ResourceInfo,
    output: Output,
    now: Timestamp,
}

impl<'a> Rows<'a> {
    /// Rows as of now.
    pub fn new(resource: &'a ResourceInfo, output: Output) -> Self {
        Self { resource, output, now: Timestamp::now() }
    }

    /// Appends the row of a stored object, with its metadata.
    pub fn push(&self, object: &Object, out: &mut Vec<u8>) {
        let json = object.json();
        let template = object.row(|object| template(self.resource, object));
        let (head, cells) = template.split_at(HEAD.min(template.len()));
        let number = |at: usize| head.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_be_bytes);
        let metadata = || json.get(number(0) as usize..number(4) as usize).unwrap_or(b"{}");
        self.push_row(cells, metadata, || json, out);
    }

    fn push_row<'b>(
        &self,
        cells: &[u8],
        metadata: impl FnOnce() -> &'b [u8],
        whole: impl FnOnce() -> &'b [u8],
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(b"{\"cells\":");
        fill(cells, self.now, out);
        out.extend_from_slice(b",\"object\":");
        match self.output.rows {
            RowObject::Metadata => object::push_partial(metadata(), self.output.beta, out),
            RowObject::Object => out.extend_from_slice(whole()),
            RowObject::None => out.extend_from_slice(b"null"),
        }
        out.push(b'}');
    }
}

/// The column definitions of a resource, as JSON.
pub fn columns(resource: &ResourceInfo) -> String {
    definitions(resource, &tables::columns(resource))
}

fn definitions(resource: &ResourceInfo, columns: &[Column<'_>]) -> String {
    let columns: Vec<Value> = columns
        .iter()
        .map(|c| {
            serde_json::json!({
                "name": c.name, "type": c.kind, "format": c.format, "description": columns::description(resource, c), "priority": c.priority,
            })
        })
        .collect();
    Value::Array(columns).to_string()
}

fn template(resource: &ResourceInfo, object: &Object) -> Bytes {
    let metadata = object.metadata();
    let mut out = Vec::with_capacity(192);
    for place in [metadata.start, metadata.end] {
        out.extend_from_slice(&u32::try_from(place).unwrap_or(0).to_be_bytes());
    }
    push_cells(&tables::row(resource, &object.value()), &mut out);
    out.into()
}

fn push_cells(row: &Row, out: &mut Vec<u8>) {
    out.push(b'[');
    for (i, cell) in row.0.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        push_cell(cell, out);
    }
    out.push(b']');
}

fn push_cell(cell: &Cell, out: &mut Vec<u8>) {
    let since = |time: &Timestamp, out: &mut Vec<u8>| {
        out.push(SINCE);
        out.extend_from_slice(&time.as_millisecond().to_be_bytes());
    };
    match cell {
        Cell::Value(value) => out.extend_from_slice(&json(value)),
        Cell::Since(time) => {
            out.push(b'"');
            since(time, out);
            out.push(b'"');
        }
        Cell::Timed(parts) => {
            out.push(b'"');
            for part in parts {
                match part {
                    Part::Text(text) => {
                        let quoted = json(&Value::String(text.clone()));
                        out.extend_from_slice(&quoted[1..quoted.len() - 1]);
                    }
                    Part::Since(time) => since(time, out),
                }
            }
            out.push(b'"');
        }
    }
}

/// Copies a template with its times filled in.
fn fill(template: &[u8], now: Timestamp, out: &mut Vec<u8>) {
    let mut rest = template;
    while let Some(at) = memchr::memchr(SINCE, rest) {
        out.extend_from_slice(&rest[..at]);
        let Some((millis, after)) = rest[at + 1..].split_first_chunk::<8>() else { return };
        if let Ok(since) = Timestamp::from_millisecond(i64::from_be_bytes(*millis)) {
            out.extend_from_slice(tables::human(now, since).as_bytes());
        }
        rest = after;
    }
    out.extend_from_slice(rest);
}

/// A table of one stored object.
pub fn of_object(object: &Object, resource: &ResourceInfo, output: Output) -> Bytes {
    let mut row = Vec::new();
    Rows::new(resource, output).push(object, &mut row);
    of_row(object.revision(), Some(resource), &row, output)
}

/// A table of one object that is not stored as such.
pub fn of_value(value: &Value, resource: &ResourceInfo, output: Output) -> Bytes {
    let mut row = Vec::new();
    push_value(&Rows::new(resource, output), &tables::row(resource, value), value, &mut row);
    of_row(value.resource_version().parse().unwrap_or(0), Some(resource), &row, output)
}

/// A table of objects that are not stored as such, at no revision.
pub fn of_values(values: &[Value], resource: &ResourceInfo, output: Output) -> Bytes {
    let (rows, mut out) = (Rows::new(resource, output), Vec::new());
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push_value(&rows, &tables::row(resource, value), value, &mut out);
    }
    of_row(0, Some(resource), &out, output)
}

/// A table of one scale of the resource.
pub fn of_scale(scale: &Value, resource: &ResourceInfo, output: Output) -> Bytes {
    let mut row = Vec::new();
    push_value(&Rows::new(resource, output), &tables::scale_row(scale), scale, &mut row);
    let columns = definitions(resource, tables::scale_columns(resource));
    with_columns(scale.resource_version().parse().unwrap_or(0), &columns, &row, output)
}

fn push_value(rows: &Rows<'_>, row: &Row, value: &Value, out: &mut Vec<u8>) {
    let mut cells = Vec::new();
    push_cells(row, &mut cells);
    let metadata = value.get("metadata").map(json).unwrap_or_default();
    let whole = json(value);
    rows.push_row(&cells, || &metadata, || &whole, out);
}

/// A table of these rows; without columns if the client has them already.
pub fn of_row(revision: u64, resource: Option<&ResourceInfo>, row: &[u8], output: Output) -> Bytes {
    with_columns(revision, &resource.map_or_else(|| "null".to_owned(), columns), row, output)
}

fn with_columns(revision: u64, columns: &str, row: &[u8], output: Output) -> Bytes {
    let version = meta_version(output.beta);
    let metadata = if revision == 0 { "{}".to_owned() } else { format!(r#"{{"resourceVersion":"{revision}"}}"#) };
    let head = format!(
        r#"{{"kind":"Table","apiVersion":"{version}","metadata":{metadata},"columnDefinitions":{columns},"rows":["#
    );
    [head.as_bytes(), row, b"]}"].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::resources;
    use serde_json::json;

    #[test]
    fn templates_leave_the_time_open() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let now: Timestamp = "2026-01-01T00:00:30Z".parse().expect("a time");
        let mut template = Vec::new();
        push_cell(
            &Cell::Timed(vec![Part::Text("\"2\" (".into()), Part::Since(start), Part::Text(")".into())]),
            &mut template,
        );
        let mut out = Vec::new();
        fill(&template, now, &mut out);
        assert_eq!(String::from_utf8(out).expect("text"), r#""\"2\" (30s)""#);
    }

    #[test]
    fn tables_of_trees() {
        let pods = resources::find("", "v1", "pods").expect("pods");
        let pod = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a", "resourceVersion": "7"}});
        let table: Value = serde_json::from_slice(&of_value(&pod, pods, Output::default())).expect("json");
        assert_eq!((&table["kind"], &table["metadata"]["resourceVersion"]), (&json!("Table"), &json!("7")));
        let row = &table["rows"][0];
        assert_eq!(row["cells"][0], "a");
        assert_eq!(row["object"]["metadata"], pod["metadata"]);
        for (rows, want) in [(RowObject::Object, pod.clone()), (RowObject::None, Value::Null)] {
            let output = Output { rows, ..Output::default() };
            let table: Value = serde_json::from_slice(&of_value(&pod, pods, output)).expect("json");
            assert_eq!(table["rows"][0]["object"], want);
        }
        let columns = table["columnDefinitions"].as_array().expect("columns").len();
        assert_eq!(row["cells"].as_array().map(Vec::len), Some(columns));
    }
}
