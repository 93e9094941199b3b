//! `get`: tables rendered by the server, or the objects themselves.

use super::{Session, with_query};
use crate::cli::Get;
use crate::files;
use crate::http::Refused;
use crate::print::{self, Output, table};
use crate::targets::{self, Target};
use apimachinery::Value;
use http_body_util::BodyExt;
use std::io::Write;

const AS_TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

pub(super) async fn run(session: &Session, get: &Get) -> anyhow::Result<()> {
    let output = Output::parse(&get.output)?;
    let discovery = session.discovery().await?;
    let targets = match get.files.filenames.is_empty() {
        true => targets::parse(&discovery, "get", &get.resources)?,
        false => {
            let manifests = files::read(&get.files, &discovery, session).await?;
            let name =
                |m: &files::Manifest| m.object.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned);
            manifests.into_iter().map(|m| Target { name: name(&m), resource: m.resource }).collect()
        }
    };
    if get.selection.all_namespaces && targets.iter().any(|t| t.name.is_some()) {
        anyhow::bail!("a resource cannot be retrieved by name across all namespaces");
    }
    if get.watch {
        return watch(session, get, &targets, output).await;
    }
    match output {
        Output::Table | Output::Wide => tables(session, get, &targets, output).await,
        _ => objects(session, get, &targets, output).await,
    }
}

fn path(session: &Session, get: &Get, target: &Target) -> String {
    let namespace = (!get.selection.all_namespaces).then_some(session.namespace.as_str());
    let collection = target.resource.path(namespace);
    match &target.name {
        Some(name) => format!("{collection}/{name}"),
        None => {
            let limit = if get.watch { "" } else { "500" };
            with_query(
                &collection,
                &[("fieldSelector", &get.field_selector), ("labelSelector", &get.selection.selector), ("limit", limit)],
            )
        }
    }
}

fn not_found_is_fine(get: &Get, error: &anyhow::Error) -> bool {
    get.ignore_not_found && error.downcast_ref::<Refused>().is_some_and(|r| r.code == 404)
}

async fn tables(session: &Session, get: &Get, targets: &[Target], output: Output) -> anyhow::Result<()> {
    let several = targets.iter().any(|t| t.resource != targets[0].resource);
    let mut printed = 0;
    let mut grids: Vec<(String, table::Grid)> = Vec::new();
    for target in targets {
        let options = table::Options {
            wide: output == Output::Wide,
            no_headers: get.no_headers,
            with_namespace: get.selection.all_namespaces && target.resource.namespaced,
            show_labels: get.show_labels,
            label_columns: get.label_columns.clone(),
            kind_prefix: several.then(|| target.resource.display()),
        };
        for page in pages(session, get, target, AS_TABLE).await? {
            let grid = table::grid(&page, &options);
            printed += grid.rows.len();
            // Names of one type share a table, as do pages of one list.
            match grids.last_mut() {
                Some((kind, last)) if *kind == target.resource.group_resource() => last.rows.extend(grid.rows),
                _ => grids.push((target.resource.group_resource(), grid)),
            }
        }
    }
    let shown: Vec<String> =
        grids.iter().filter(|(_, g)| !g.rows.is_empty()).map(|(_, g)| g.render(get.no_headers)).collect();
    std::io::stdout().write_all(shown.join("\n").as_bytes())?;
    if printed == 0 && !get.ignore_not_found {
        let namespaced = targets.iter().any(|t| t.resource.namespaced) && !get.selection.all_namespaces;
        match namespaced {
            true => eprintln!("No resources found in {} namespace.", session.namespace),
            false => eprintln!("No resources found"),
        }
    }
    Ok(())
}

/// All pages of a list, or the one object.
async fn pages(session: &Session, get: &Get, target: &Target, accept: &str) -> anyhow::Result<Vec<Value>> {
    let first = path(session, get, target);
    let mut pages = Vec::new();
    let mut next = first.clone();
    loop {
        let page = match session.client.get(&next, accept).await {
            Err(error) if not_found_is_fine(get, &error) => return Ok(pages),
            page => page?,
        };
        let token = page.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default().to_owned();
        pages.push(page);
        if token.is_empty() || target.name.is_some() {
            return Ok(pages);
        }
        next = format!("{first}&continue={}", super::encode(&token));
    }
}

async fn objects(session: &Session, get: &Get, targets: &[Target], output: Output) -> anyhow::Result<()> {
    let mut found = Vec::new();
    for target in targets {
        for page in pages(session, get, target, "application/json").await? {
            found.extend(items(target, page).into_iter().map(|object| (target.resource.clone(), object)));
        }
    }
    let tidy = |object: Value| if get.show_managed_fields { object } else { print::without_managed_fields(object) };
    let mut out = std::io::stdout().lock();
    if output == Output::Name {
        for (resource, object) in &found {
            writeln!(out, "{}", print::name(resource, object))?;
        }
        return Ok(());
    }
    let single = targets.len() == 1 && targets[0].name.is_some();
    let mut objects: Vec<Value> = found.into_iter().map(|(_, object)| tidy(object)).collect();
    let value = match (single, objects.pop()) {
        (true, None) => return Ok(()),
        (true, Some(one)) => one,
        (false, last) => {
            objects.extend(last);
            print::list(objects)
        }
    };
    let text = if output == Output::Json { print::json(&value) } else { print::yaml(&value) };
    Ok(out.write_all(text.as_bytes())?)
}

/// The objects of an answer, each with its kind, which lists leave out.
fn items(target: &Target, page: Value) -> Vec<Value> {
    let Value::Object(mut page) = page else { return Vec::new() };
    match page.remove("items") {
        Some(Value::Array(items)) => items
            .into_iter()
            .map(|mut item| {
                if let Some(map) = item.as_object_mut() {
                    map.insert("apiVersion".into(), target.resource.api_version().into());
                    map.insert("kind".into(), target.resource.kind.clone().into());
                }
                item
            })
            .collect(),
        _ => vec![Value::Object(page)],
    }
}

/// Prints the objects that are there, and then every change.
async fn watch(session: &Session, get: &Get, targets: &[Target], output: Output) -> anyhow::Result<()> {
    let [target] = targets else { anyhow::bail!("you may only specify a single resource type") };
    let mut all = target.clone();
    let field = target.name.as_ref().map(|name| format!("metadata.name={name}"));
    all.name = None;
    let selectors = Get { field_selector: field.unwrap_or_else(|| get.field_selector.clone()), ..copy(get) };
    let base = path(session, &selectors, &all);
    let joint = if base.contains('?') { '&' } else { '?' };
    let accept = if matches!(output, Output::Table | Output::Wide) { AS_TABLE } else { "application/json" };
    let mut body = session.client.stream(&format!("{base}{joint}watch=true"), accept).await?;
    let options = table::Options {
        wide: output == Output::Wide,
        with_namespace: get.selection.all_namespaces && all.resource.namespaced,
        show_labels: get.show_labels,
        label_columns: get.label_columns.clone(),
        ..table::Options::default()
    };
    let mut buffer: Vec<u8> = Vec::new();
    let mut header = !get.no_headers;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        buffer.extend_from_slice(&data);
        while let Some(end) = buffer.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            let event: Value = serde_json::from_slice(&line)?;
            show_event(&all, &event, output, &options, &mut header)?;
        }
    }
    Ok(())
}

fn show_event(
    target: &Target,
    event: &Value,
    output: Output,
    options: &table::Options,
    header: &mut bool,
) -> anyhow::Result<()> {
    let object = event.get("object").cloned().unwrap_or_default();
    if event.get("type").and_then(Value::as_str) == Some("ERROR") {
        anyhow::bail!("{}", object.get("message").and_then(Value::as_str).unwrap_or("the watch ended"));
    }
    let text = match output {
        Output::Table | Output::Wide => table::grid(&object, options).render(!std::mem::take(header)),
        Output::Name => format!("{}\n", print::name(&target.resource, &object)),
        Output::Json => print::json(&print::without_managed_fields(object)),
        Output::Yaml => format!("---\n{}", print::yaml(&print::without_managed_fields(object))),
    };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

fn copy(get: &Get) -> Get {
    Get {
        resources: Vec::new(),
        selection: get.selection.clone(),
        files: get.files.clone(),
        output: get.output.clone(),
        field_selector: String::new(),
        ignore_not_found: get.ignore_not_found,
        no_headers: get.no_headers,
        show_labels: get.show_labels,
        label_columns: get.label_columns.clone(),
        show_managed_fields: get.show_managed_fields,
        watch: true,
    }
}
