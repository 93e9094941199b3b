//! `get --watch`: what is there, and then every change.
//!
//! Upstream: `kubectl/pkg/cmd/get/get.go` (`watch`), `cli-runtime/pkg/printers/tableprinter.go`.

use super::tables::{AS_TABLE, options};
use super::{Get, Session, Target, items, pages, path};
use crate::commands::is_broken_pipe;
use crate::interrupt;
use crate::print::table::{self, Table};
use crate::print::{self, Printer};
use anyhow::{Context, bail};
use apimachinery::Value;
use std::collections::BTreeSet;
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
    let accept = if printer.is_none() && get.server_print { AS_TABLE } else { "application/json" };
    let mut shown =
        Shown { get, target, printer, columns: Value::Null, header_due: !get.no_headers, widths: Vec::new() };
    let mut versions = BTreeSet::new();
    pages(session, get, target, accept, |body| {
        let page = crate::http::unstructured(body)?;
        let text = |path: &str| page.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let token = text("/metadata/continue");
        versions.insert(text("/metadata/resourceVersion"));
        if !get.watch_only {
            shown.there(page).context("unable to output the provided object")?;
        }
        Ok(token)
    })
    .await?;
    if versions.is_empty() {
        // Not found, which is fine.
        return Ok(());
    }
    // An object is watched through its collection, and comes once more as it is.
    let (mut get, mut collection) = (get.clone(), target.clone());
    let mut skip = false;
    let mut version = if versions.len() == 1 { versions.pop_first().unwrap_or_default() } else { String::new() };
    if let Some(name) = collection.name.take() {
        get.field_selector = format!("metadata.name={name}");
        "0".clone_into(&mut version);
        skip = true;
    }
    let parameters = [
        ("fieldSelector", get.field_selector.as_str()),
        ("labelSelector", &get.selection.selector),
        ("resourceVersion", &version),
        ("watch", "true"),
    ];
    let mut events = session.client.watch(&path(session, &get, &collection, &parameters), accept).await?;
    interrupt::heed();
    while let Some(event) = events.next().await {
        if std::mem::take(&mut skip) {
            continue;
        }
        match shown.event(event) {
            Err(error) if is_broken_pipe(&error) => return Err(error),
            // What cannot be shown ends the watch, and that is all.
            Err(_) => break,
            Ok(()) => {}
        }
    }
    Ok(())
}

/// What was printed so far leaves to know.
struct Shown<'a> {
    get: &'a Get,
    target: &'a Target,
    printer: Option<Printer>,
    /// Only the first table says what its columns are.
    columns: Value,
    header_due: bool,
    /// Columns never get narrower.
    widths: Vec<usize>,
}

impl Shown<'_> {
    /// What a list or an object has before anything changes.
    fn there(&mut self, page: Value) -> anyhow::Result<()> {
        match self.printer {
            Some(_) => items(self.target, page).into_iter().try_for_each(|object| self.one("ADDED", object)),
            None => self.one("ADDED", page),
        }
    }

    fn event(&mut self, mut event: Value) -> anyhow::Result<()> {
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        match kind.as_str() {
            "BOOKMARK" => Ok(()),
            _ => self.one(&kind, event.get_mut("object").map(Value::take).unwrap_or_default()),
        }
    }

    fn one(&mut self, kind: &str, mut object: Value) -> anyhow::Result<()> {
        let Some(printer) = &mut self.printer else { return self.table(kind, object) };
        let mut out = std::io::stdout().lock();
        if !self.get.print.show_managed_fields && printer.shows_objects() {
            object = print::without_managed_fields(object);
        }
        if self.get.output_watch_events {
            object = serde_json::json!({"type": kind, "object": object});
        }
        printer.print(&mut out, &object)?;
        Ok(out.flush()?)
    }

    fn table(&mut self, kind: &str, mut object: Value) -> anyhow::Result<()> {
        if object["kind"] == "Table" {
            let columns = object["columnDefinitions"].as_array().is_some_and(|columns| !columns.is_empty());
            match columns {
                true if object["columnDefinitions"] == self.columns => {}
                true => {
                    self.columns = object["columnDefinitions"].clone();
                    self.header_due = !self.get.no_headers;
                }
                false => object["columnDefinitions"] = self.columns.clone(),
            }
        } else if self.columns != object["kind"] {
            // Not every server renders tables, and refusals are none.
            self.columns = object["kind"].clone();
            self.header_due = !self.get.no_headers;
        }
        let table = Table::read(&serde_json::to_vec(&object)?)?;
        let mut grid = table::grid(&table, &options(self.get, self.target, false));
        if grid.rows.is_empty() {
            return Ok(());
        }
        let header_due = std::mem::take(&mut self.header_due);
        if self.get.output_watch_events {
            // As wide as the longest of the usual types.
            grid.header.insert(0, "EVENT   ".into());
            grid.rows.iter_mut().for_each(|row| row.insert(0, format!("{kind:<8}")));
        }
        let mut out = std::io::stdout().lock();
        out.write_all(grid.render_from(!header_due, &mut self.widths).as_bytes())?;
        Ok(out.flush()?)
    }
}
