//! `get --watch`: what is there, and then every change.

use super::tables::{AS_TABLE, options};
use super::{Get, Session, Target, path};
use crate::print::table::{self, Table};
use crate::print::{self, Printer};
use anyhow::bail;
use apimachinery::Value;
use std::io::Write;

pub(super) async fn run(
    session: &Session,
    get: &Get,
    targets: &[Target],
    printer: Option<Printer>,
) -> anyhow::Result<()> {
    let [target] = targets else {
        match get.files.any() {
            true => bail!(
                "watch is only supported on individual resources and resource collections - more than 1 resource was found"
            ),
            false => bail!("you may only specify a single resource type"),
        }
    };
    // An object is watched through its collection.
    let mut get = get.clone();
    let mut collection = target.clone();
    if let Some(name) = collection.name.take() {
        get.field_selector = format!("metadata.name={name}");
    }
    let accept = if printer.is_none() { AS_TABLE } else { "application/json" };
    let mut version = String::new();
    if get.watch_only {
        let list = session.client.get(&path(session, &get, &collection, &[("limit", "1")]), "application/json").await?;
        version = list.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
    } else if target.name.is_some() {
        // A name that is not there is an error, not an endless wait.
        session.client.get(&path(session, &get, target, &[]), "application/json").await?;
    }
    let parameters = [
        ("fieldSelector", get.field_selector.as_str()),
        ("labelSelector", &get.selection.selector),
        ("resourceVersion", &version),
        ("watch", "true"),
    ];
    let mut events = session.client.watch(&path(session, &get, &collection, &parameters), accept).await?;
    let mut shown = Shown { get: &get, target: &collection, printer, columns: None, header_due: !get.no_headers };
    while let Some(line) = events.next().await? {
        shown.event(serde_json::from_slice(&line)?)?;
    }
    Ok(())
}

/// What the events before have left to know.
struct Shown<'a> {
    get: &'a Get,
    target: &'a Target,
    printer: Option<Printer>,
    /// Only the first table says what its columns are.
    columns: Option<Value>,
    header_due: bool,
}

impl Shown<'_> {
    fn event(&mut self, mut event: Value) -> anyhow::Result<()> {
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut object = event.get_mut("object").map(Value::take).unwrap_or_default();
        match kind.as_str() {
            "ERROR" => bail!("{}", object.get("message").and_then(Value::as_str).unwrap_or("the watch ended")),
            "BOOKMARK" => return Ok(()),
            _ => {}
        }
        let mut out = std::io::stdout().lock();
        match &mut self.printer {
            Some(printer) => {
                if !self.get.print.show_managed_fields && printer.shows_objects() {
                    object = print::without_managed_fields(object);
                }
                if self.get.output_watch_events {
                    object = serde_json::json!({"type": kind, "object": object});
                }
                printer.print(&mut out, &object)?;
            }
            None => {
                match object.get("columnDefinitions").filter(|c| c.as_array().is_some_and(|c| !c.is_empty())) {
                    Some(columns) => self.columns = Some(columns.clone()),
                    // Not every server renders tables.
                    None if object["kind"] != "Table" => {}
                    None => object["columnDefinitions"] = self.columns.clone().unwrap_or_default(),
                }
                let table = Table::read(&serde_json::to_vec(&object)?)?;
                let mut grid = table::grid(&table, &options(self.get, self.target, false));
                if self.get.output_watch_events {
                    grid.header.insert(0, "EVENT".into());
                    grid.rows.iter_mut().for_each(|row| row.insert(0, kind.clone()));
                }
                out.write_all(grid.render(!std::mem::take(&mut self.header_due)).as_bytes())?;
            }
        }
        Ok(out.flush()?)
    }
}
