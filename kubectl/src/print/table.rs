//! Tables: the server's columns, aligned.

use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

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
    /// Aligned text: columns are three blanks apart.
    pub fn render(&self, no_headers: bool) -> String {
        let shown = (!no_headers).then_some(&self.header).into_iter().chain(&self.rows);
        let mut widths = vec![0; self.header.len()];
        for row in shown.clone() {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for row in shown {
            let mut line = String::new();
            for (i, cell) in row.iter().enumerate() {
                line.push_str(cell);
                if i + 1 < row.len() {
                    let blanks = widths.get(i).copied().unwrap_or_default() + 3 - cell.chars().count().min(widths[i]);
                    line.extend(std::iter::repeat_n(' ', blanks));
                }
            }
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

/// The grid of a `meta.k8s.io/v1 Table`.
pub fn grid(table: &Value, options: &Options) -> Grid {
    let list = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let columns = list(table, "columnDefinitions");
    let shown: Vec<usize> = (0..columns.len())
        .filter(|i| options.wide || columns[*i].get("priority").and_then(Value::as_i64).unwrap_or(0) == 0)
        .collect();
    let title = |i: &usize| columns[*i].get("name").and_then(Value::as_str).unwrap_or_default().to_uppercase();
    let mut grid = Grid { header: extra_titles(options), rows: Vec::new() };
    let at = usize::from(options.with_namespace);
    grid.header.splice(at..at, shown.iter().map(title));
    for row in list(table, "rows") {
        let cells = list(&row, "cells");
        let mut line = extra_cells(row.get("object").unwrap_or(&Value::Null), options);
        line.splice(at..at, shown.iter().map(|i| cell(cells.get(*i))));
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

/// A cell's text, without anything that a terminal would act on.
fn cell(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => "<none>".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn table() -> Value {
        json!({"columnDefinitions": [{"name": "Name"}, {"name": "Age"}, {"name": "IP", "priority": 1}],
            "rows": [{"cells": ["web", "5m", "10.0.0.1"], "object": {"metadata": {"namespace": "ns", "labels": {"app": "web"}}}},
                     {"cells": ["a\u{1b}[31m", 7, null], "object": {"metadata": {"namespace": "other"}}}]})
    }

    #[test]
    fn aligns_columns() {
        let text = grid(&table(), &Options::default()).render(false);
        assert_eq!(text, "NAME     AGE\nweb      5m\na [31m   7\n");
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
        assert_eq!(grid.rows[1][3..], ["<none>", "", "<none>"]);
        assert!(!grid.render(true).contains("NAMESPACE"));
    }
}
