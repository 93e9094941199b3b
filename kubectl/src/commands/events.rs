//! `events`.
//!
//! Upstream: `kubectl/pkg/cmd/events`.

use super::{Session, with_query};
use crate::cli::events::Events;
use crate::discovery::{Asks, Discovery, one_segment};
use crate::generate::GenerateError;
use crate::print::table::Grid;
use crate::print::{Printer, Set, harmless, without_managed_fields};
use crate::selected::while_listing;
use anyhow::bail;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use serde_json::json;
use std::io::Write;

pub(super) async fn run(session: &Session, flags: &Events) -> anyhow::Result<()> {
    let printer = Printer::of(&flags.print, Set::Objects, false)?.map(Printer::typed);
    if !flags.types.iter().all(|t| t.eq_ignore_ascii_case("Normal") || t.eq_ignore_ascii_case("Warning")) {
        bail!("valid --types are Normal or Warning");
    }
    let selector = selector(session, &flags.object).await?;
    let path = match flags.all_namespaces {
        true => "/api/v1/events".to_owned(),
        false => format!("/api/v1/namespaces/{}/events", one_segment(&session.namespace)),
    };
    match flags.watch {
        true => watch(session, flags, &path, &selector, printer).await,
        false => list(session, flags, &path, &selector, printer).await,
    }
}

/// The field selector of `--for TYPE/NAME`.
async fn selector(session: &Session, object: &str) -> anyhow::Result<String> {
    if object.is_empty() {
        return Ok(String::new());
    }
    let (kind, name) = match object.split('/').collect::<Vec<_>>().as_slice() {
        [_] => bail!("--for must be in resource/name form"),
        [kind, name] => (kind.to_lowercase(), (*name).to_owned()),
        _ => bail!("arguments in resource/name form may not have more than one slash"),
    };
    let mut found = Discovery::load(&session.client, Asks::TYPE).await?.find(&kind).cloned();
    if found.is_none() {
        found = session.discovery(Asks::TYPE).await?.find(&kind).cloned();
    }
    let Some(resource) = found else {
        let (name, group) = kind.split_once('.').unwrap_or((&kind, ""));
        return Err(GenerateError::NoSuchType(name.to_owned(), group.to_owned()).into());
    };
    Ok(format!(
        "involvedObject.kind={},involvedObject.apiVersion={},involvedObject.name={name}",
        resource.kind,
        resource.api_version()
    ))
}

fn wanted(flags: &Events, event: &Value) -> bool {
    let kind = event["type"].as_str().unwrap_or_default();
    flags.types.is_empty() || flags.types.iter().any(|t| t.eq_ignore_ascii_case(kind))
}

async fn list(
    session: &Session,
    flags: &Events,
    path: &str,
    selector: &str,
    printer: Option<Printer>,
) -> anyhow::Result<()> {
    let limit = if flags.chunk_size > 0 { flags.chunk_size.to_string() } else { String::new() };
    let (mut events, mut token, mut version) = (Vec::new(), String::new(), String::new());
    loop {
        let parameters = [("fieldSelector", selector), ("limit", &limit), ("continue", &token)];
        let page = session.client.get(&with_query(path, &parameters), "application/json").await;
        let mut page = page.map_err(|error| while_listing(error, "Unable to list \"events\""))?;
        if let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) {
            events.extend(items.into_iter().filter(|e| wanted(flags, e)).map(typed));
        }
        page.resource_version().clone_into(&mut version);
        token = page.meta_str("continue").to_owned();
        if token.is_empty() {
            break;
        }
    }
    if events.is_empty() {
        match flags.all_namespaces {
            true => eprintln!("No events found."),
            false => eprintln!("No events found in {} namespace.", session.namespace),
        }
        return Ok(());
    }
    events.sort_by_key(|event| time_of(event).to_owned());
    let mut shown = Shown { flags, printer, widths: Vec::new(), header_due: !flags.no_headers };
    match shown.printer {
        Some(_) => shown.object(json!({"kind": "EventList", "apiVersion": "v1", "metadata": {}, "items": events})),
        None => shown.rows(&events),
    }
}

async fn watch(
    session: &Session,
    flags: &Events,
    path: &str,
    selector: &str,
    printer: Option<Printer>,
) -> anyhow::Result<()> {
    let path = with_query(path, &[("fieldSelector", selector), ("watch", "true")]);
    let mut changes = session.client.watch(&path, "application/json").await?;
    let mut shown = Shown { flags, printer, widths: Vec::new(), header_due: !flags.no_headers };
    crate::interrupt::heed();
    while let Some(mut change) = changes.next().await {
        let event = change["object"].take();
        match change["type"].as_str().unwrap_or_default() {
            // Events are deleted after an hour, which is no news.
            "DELETED" | "BOOKMARK" | "ERROR" => {}
            _ if event["kind"].as_str().is_some_and(|kind| kind != "Event") => {}
            _ if !wanted(flags, &event) => {}
            _ if shown.printer.is_some() => shown.object(typed(event))?,
            _ => shown.rows(&[event])?,
        }
    }
    Ok(())
}

fn typed(mut event: Value) -> Value {
    *crate::writing::member(&mut event, "apiVersion") = "v1".into();
    *crate::writing::member(&mut event, "kind") = "Event".into();
    event
}

/// What has been printed so far.
struct Shown<'a> {
    flags: &'a Events,
    printer: Option<Printer>,
    /// Columns never get narrower.
    widths: Vec<usize>,
    header_due: bool,
}

impl Shown<'_> {
    fn object(&mut self, object: Value) -> anyhow::Result<()> {
        let Some(printer) = &mut self.printer else { return Ok(()) };
        let object = match self.flags.print.show_managed_fields || !printer.shows_objects() {
            true => object,
            false => without_managed_fields(object),
        };
        Ok(printer.print(&mut std::io::stdout().lock(), &object)?)
    }

    fn rows(&mut self, events: &[Value]) -> anyhow::Result<()> {
        let all = self.flags.all_namespaces;
        let titles = ["NAMESPACE", "LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"];
        let header = titles[usize::from(!all)..].iter().map(|t| (*t).to_owned()).collect();
        let now = jiff::Timestamp::now();
        let row = |event: &Value| {
            let text =
                |pointer: &str| harmless(event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().trim());
            let object = format!("{}/{}", text("/involvedObject/kind"), text("/involvedObject/name"));
            let mut row = vec![interval(event, now), text("/type"), text("/reason"), object, text("/message")];
            if all {
                row.insert(0, event.namespace().to_owned());
            }
            row
        };
        let grid = Grid { header, rows: events.iter().map(row).collect() };
        let text = grid.render_from(!std::mem::take(&mut self.header_due), &mut self.widths);
        Ok(std::io::stdout().write_all(text.as_bytes())?)
    }
}

/// The time that an event is sorted by.
fn time_of(event: &Value) -> &str {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).filter(|t| !t.is_empty());
    text("/series/lastObservedTime").or(text("/lastTimestamp")).or(text("/eventTime")).unwrap_or_default()
}

/// How long ago, how often, since when.
fn interval(event: &Value, now: jiff::Timestamp) -> String {
    let since = |value: &Value| match value.as_str().and_then(|t| t.parse().ok()) {
        Some(time) => rules::tables::human(now, time),
        None => "<unknown>".into(),
    };
    let first = if event["eventTime"].is_null() { since(&event["firstTimestamp"]) } else { since(&event["eventTime"]) };
    if let Some(series) = event.get("series").filter(|s| !s.is_null()) {
        let count = series["count"].as_i64().unwrap_or_default();
        return format!("{} (x{count} over {first})", since(&series["lastObservedTime"]));
    }
    match event["count"].as_i64() {
        Some(count) if count > 1 => format!("{} (x{count} over {first})", since(&event["lastTimestamp"])),
        _ => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        let now: jiff::Timestamp = "2026-01-01T01:00:00Z".parse().expect("a time");
        for (event, want) in [
            (json!({"firstTimestamp": "2026-01-01T00:59:00Z", "count": 1}), "60s"),
            (
                json!({"firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:59:50Z", "count": 7}),
                "10s (x7 over 60m)",
            ),
            (
                json!({"eventTime": "2026-01-01T00:50:00.000000Z", "series": {"count": 3, "lastObservedTime": "2026-01-01T00:59:55.000000Z"}}),
                "5s (x3 over 10m)",
            ),
            (json!({}), "<unknown>"),
        ] {
            assert_eq!(interval(&event, now), want, "{event}");
        }
    }
}
