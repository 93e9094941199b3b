//! `get` as tables: pages are read one by one, and only their cells are kept.

use super::{Get, Session, Target, in_order, pages, unsortable};
use crate::print::sort::{self, SortError};
use crate::print::table::{self, Grid, Table};
use crate::writing::Failures;
use apimachinery::Value;
use std::io::Write;

/// Asks for a rendered table.
pub(super) const AS_TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

pub(super) async fn run(
    session: &Session,
    get: &Get,
    targets: &[Target],
    unread: Vec<(usize, anyhow::Error)>,
) -> anyhow::Result<()> {
    let several = targets.iter().any(|t| t.resource != targets[0].resource);
    let mut grids: Vec<(&Target, Grid)> = Vec::new();
    let mut rows: Vec<(Value, Vec<String>)> = Vec::new();
    let mut failed = Vec::new();
    for (place, target) in targets.iter().enumerate() {
        let options = options(get, target, several);
        let accept = if get.server_print { AS_TABLE } else { "application/json" };
        let outcome = pages(session, get, target, accept, |body| {
            let table = Table::read_answer(body)?;
            let mut grid = table::grid(&table, &options);
            if !get.sort_by.is_empty() {
                rows.extend(table.rows.iter().map(table::Row::tree).zip(grid.rows.drain(..)));
            }
            // Names of one type share a table, as do pages of one list.
            match grids.last_mut() {
                Some((last, all)) if last.resource == target.resource => all.rows.extend(grid.rows),
                _ => grids.push((target, grid)),
            }
            Ok(table.next_page().to_owned())
        });
        failed.extend(outcome.await.err().map(|error| (place, error)));
    }
    let all_one = grids.iter().all(|(target, _)| target.resource == grids[0].0.resource);
    if several && all_one && !get.show_kind {
        // Of the types that were named only one is there, and needs no telling from others.
        for (target, grid) in &mut grids {
            let kind = format!("{}/", target.resource.kind_name());
            grid.rows.iter_mut().chain(rows.iter_mut().map(|(_, row)| row)).for_each(|row| without_kind(row, &kind));
        }
    }
    let errors = in_order(unread, failed);
    if let Some((_, grid)) = grids.last_mut().filter(|_| !get.sort_by.is_empty()) {
        match sort::by(&mut rows, &get.sort_by, |(object, _)| object) {
            // Of several rows that all lack the field upstream prints none; one needs no order.
            Err(SortError::NoField(_)) if rows.len() > 1 => rows.clear(),
            Err(SortError::NoField(_)) => {}
            sorted => sorted.map_err(|error| unsortable(error, "sorter.go:375", "[][][]reflect.Value"))?,
        }
        grid.rows = rows.into_iter().map(|(_, row)| row).collect();
    }
    let shown: Vec<String> =
        grids.iter().filter(|(_, g)| !g.rows.is_empty()).map(|(_, g)| g.render(get.no_headers)).collect();
    let separator = if get.no_headers { "" } else { "\n" };
    std::io::stdout().write_all(shown.join(separator).as_bytes())?;
    if shown.is_empty() && errors.is_empty() && !get.ignore_not_found {
        nothing(session, get, targets);
    }
    match targets.iter().all(|target| target.name.is_some()) && !get.files.any() {
        true => Failures::outcome(errors),
        false => Failures::among_others(errors),
    }
}

/// Takes the kind from the name, which is the first cell that has it.
fn without_kind(row: &mut [String], kind: &str) {
    if let Some(cell) = row.iter_mut().find(|cell| cell.starts_with(kind)) {
        cell.drain(..kind.len());
    }
}

fn nothing(session: &Session, get: &Get, targets: &[Target]) {
    match targets.iter().all(|t| t.resource.namespaced) && !get.selection.all_namespaces {
        true => eprintln!("No resources found in {} namespace.", session.namespace),
        false => eprintln!("No resources found"),
    }
}

pub(super) fn options(get: &Get, target: &Target, several: bool) -> table::Options {
    table::Options {
        wide: get.print.output == "wide",
        no_headers: get.no_headers,
        with_namespace: get.selection.all_namespaces && target.resource.namespaced,
        show_labels: get.show_labels,
        label_columns: get.label_columns.clone(),
        kind_prefix: (several || get.show_kind).then(|| target.resource.kind_name()),
    }
}
