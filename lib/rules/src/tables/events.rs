//! Events, in both of their versions' forms.

use super::cell::Cell;
use super::column::{Column, NAME, text};
use super::words::or;
use super::{Printer, name};
use crate::tree::Tree;
use apimachinery::Value;

pub(super) static EVENT: Printer = Printer {
    columns: &[
        text("Last Seen", "When it happened last."),
        text("Type", "Whether it is normal or a warning."),
        text("Reason", "What happened, in a word."),
        text("Object", "What it happened to."),
        text("Subobject", "The part of the object it happened to.").wide(),
        text("Source", "Who reports it.").wide(),
        text("Message", "What happened."),
        text("First Seen", "When it happened first.").wide(),
        text("Count", "How often it happened.").wide(),
        Column { priority: 1, ..NAME },
    ],
    row,
};

fn row(event: &Value) -> Vec<Cell> {
    let object = either(event, "involvedObject", "regarding");
    let first = or_time(event, "firstTimestamp", "deprecatedFirstTimestamp", "eventTime");
    let series = event.at("series");
    let last = match series {
        Some(series) => series.text("lastObservedTime"),
        None => or(or_time(event, "lastTimestamp", "deprecatedLastTimestamp", ""), first),
    };
    let count = either(event, "count", "deprecatedCount").as_i64().filter(|c| *c != 0).unwrap_or(1);
    let message = either(event, "message", "note").as_str().unwrap_or_default();
    vec![
        Cell::since(last),
        Cell::text(event.text("type")),
        Cell::text(event.text("reason")),
        Cell::text(target(object)),
        Cell::text(object.text("fieldPath")),
        Cell::text(source(event)),
        Cell::text(message.trim()),
        Cell::since(first),
        Cell::Value(series.map_or(count, |s| s.int("count")).into()),
        name(event),
    ]
}

fn either<'a>(event: &'a Value, one: &str, other: &str) -> &'a Value {
    event.at(one).or_else(|| event.at(other)).unwrap_or(&Value::Null)
}

fn or_time<'a>(event: &'a Value, one: &str, other: &str, third: &str) -> &'a str {
    [one, other, third].iter().map(|key| event.text(key)).find(|t| !t.is_empty()).unwrap_or_default()
}

fn target(object: &Value) -> String {
    let kind = object.text("kind").to_lowercase();
    match object.text("name") {
        "" => kind,
        name => format!("{kind}/{name}"),
    }
}

fn source(event: &Value) -> String {
    let old = either(event, "source", "deprecatedSource");
    let controller = or(event.text("reportingComponent"), event.text("reportingController"));
    let component = or(old.text("component"), controller);
    match or(old.text("host"), event.text("reportingInstance")) {
        "" => component.to_owned(),
        host => format!("{component}, {host}"),
    }
}
