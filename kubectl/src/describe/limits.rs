//! Limit ranges.

use super::containers::quantity;
use super::sections::Sections;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use rules::tree::Tree;
use std::collections::BTreeSet;

const TITLES: [&str; 7] =
    ["Type", "Resource", "Min", "Max", "Default Request", "Default Limit", "Max Limit/Request Ratio"];
const COLUMNS: [&str; 5] = ["min", "max", "defaultRequest", "default", "maxLimitRequestRatio"];

pub(super) fn write(out: &mut Sections, range: &Value) {
    out.field(0, "Name", range.name());
    out.field(0, "Namespace", range.namespace());
    out.head(0, &TITLES);
    rows(out, "", range);
}

/// All limit ranges of a namespace.
pub(super) fn all(out: &mut Sections, ranges: &[Value]) {
    if ranges.is_empty() {
        out.line(0, "No LimitRange resource.");
        return;
    }
    out.line(0, "Resource Limits");
    out.line(0, format_args!(" {}", TITLES.join("\t")));
    out.line(0, format_args!(" {}", TITLES.map(|title| "-".repeat(title.len())).join("\t")));
    ranges.iter().for_each(|range| rows(out, " ", range));
}

/// A row per type and resource; upstream leaves the order of resources to chance.
fn rows(out: &mut Sections, indent: &str, range: &Value) {
    for item in range["spec"].items("limits") {
        let names: BTreeSet<&str> = COLUMNS.iter().flat_map(|c| item.entries(c)).map(|(name, _)| name).collect();
        for name in names {
            let cell = |column: &str| {
                let amount = item.at(column).and_then(|c| c.at(name));
                amount.map_or_else(|| "-".into(), |a| quantity(Some(a)).to_string())
            };
            let cells = COLUMNS.map(cell).join("\t");
            out.line(0, format_args!("{indent}{}\t{name}\t{cells}", item.text("type")));
        }
    }
}
