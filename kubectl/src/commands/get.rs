//! `get`: tables rendered by the server, or the objects themselves.
//!
//! Upstream: `kubectl/pkg/cmd/get/get.go`.

mod tables;
mod watch;

use super::{Session, with_query};
use crate::cli::Get;
use crate::discovery::{Asks, Discovery};
use crate::files::objects::among_others;
use crate::files::{self, Reading};
use crate::http::Refused;
use crate::print::sort::SortError;
use crate::print::{self, Printer, Set, sort};
use crate::selected::{Query, labelled, not_had, of_list};
use crate::targets::{self, Target, TargetError, Words};
use crate::writing::{Failures, Fatal};
use anyhow::bail;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use std::io::Write;

pub(super) async fn run(session: &Session, get: &Get) -> anyhow::Result<()> {
    if !get.raw.is_empty() {
        return raw(session, get).await;
    }
    check(get)?;
    let Asked { targets, single, failures } = targets(session, get).await?;
    let printer = Printer::of(&get.print, Set::Tables, get.no_headers)?;
    if get.selection.all_namespaces && !get.files.any() && targets.iter().any(|t| t.name.is_some()) {
        bail!("a resource cannot be retrieved by name across all namespaces");
    }
    if get.watch || get.watch_only {
        return watch::run(session, get, &targets, printer).await;
    }
    match printer {
        None => tables::run(session, get, &targets, failures).await,
        Some(printer) => objects(session, get, &targets, single, printer, failures).await,
    }
}

fn check(get: &Get) -> anyhow::Result<()> {
    if get.output_watch_events && !(get.watch || get.watch_only) {
        bail!("--output-watch-events option can only be used with --watch or --watch-only");
    }
    if get.show_labels && !matches!(get.print.output.as_str(), "" | "wide") {
        bail!("--show-labels option cannot be used with {} printer", get.print.output);
    }
    Ok(())
}

/// `--raw`: whatever the path answers.
async fn raw(session: &Session, get: &Get) -> anyhow::Result<()> {
    if !get.resources.is_empty() {
        bail!("arguments may not be passed when --raw is specified");
    }
    if get.watch || get.watch_only || !get.selection.selector.is_empty() {
        bail!("--raw may not be specified with other flags that filter the server request or alter the output");
    }
    if !get.print.output.is_empty() {
        bail!("--raw and --output are mutually exclusive");
    }
    let mut body = session.client.raw(&super::create::raw_path(&get.raw)?).await?;
    while let Some(part) = body.next().await? {
        std::io::stdout().write_all(&part)?;
        // The rest may never come.
        std::io::stdout().flush()?;
    }
    Ok(std::io::stdout().flush()?)
}

/// What the command line asks for.
struct Asked {
    targets: Vec<Target>,
    /// One object stands for itself, not in a list; and of what fails nothing is shown.
    single: bool,
    /// What could not be read of manifests, each with how many of the targets are before it.
    failures: Vec<(usize, anyhow::Error)>,
}

/// What went wrong, in the order of the command line: what could not be read, and what targets could not be had.
fn in_order(unread: Vec<(usize, anyhow::Error)>, failed: Vec<(usize, anyhow::Error)>) -> Vec<anyhow::Error> {
    let mut all: Vec<(usize, anyhow::Error)> = unread.into_iter().chain(failed).collect();
    all.sort_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, error)| error).collect()
}

impl Asked {
    fn words(targets: Vec<Target>) -> Self {
        let single = matches!(targets.as_slice(), [one] if one.name.is_some());
        Self { targets, single, failures: Vec::new() }
    }

    async fn files(session: &Session, get: &Get) -> anyhow::Result<Self> {
        let discovery = session
            .discovery_for(&get.files, Asks::of(&get.resources), files::Check::Decoded)
            .await
            .map_err(among_others)?;
        // What is built is told of as one of several.
        let reading = Reading::of(&get.files, &discovery, session, files::Check::Decoded);
        let mut reading = reading.map_err(|error| Failures(vec![error]))?;
        let (mut targets, mut failures) = (Vec::new(), Vec::new());
        while let Some(outcome) = reading.next().await {
            let manifest = match outcome {
                Ok(manifest) => manifest,
                Err(error) => {
                    failures.push((targets.len(), error));
                    continue;
                }
            };
            if get.selection.selector.is_empty() || labelled(&manifest.object, &get.selection.selector)? {
                targets.push(Target {
                    name: Some(manifest.object.name().to_owned()).filter(|name| !name.is_empty()),
                    resource: manifest.resource,
                    namespace: Some(manifest.namespace),
                });
            }
        }
        let single = files::is_one_place(&get.files);
        Ok(Self { targets, single, failures })
    }
}

async fn targets(session: &Session, get: &Get) -> anyhow::Result<Asked> {
    if get.resources.is_empty() && !get.files.any() {
        if get.watch || get.watch_only {
            bail!(crate::selected::NOTHING);
        }
        eprintln!(
            "You must specify the type of resource to get. Use \"kubectl api-resources\" for a complete list of supported resources.\n"
        );
        bail!(
            "Required resource not specified.\nUse \"kubectl explain <resource>\" for a detailed description of that resource (e.g. kubectl explain pods).\nSee 'kubectl get -h' for help and examples"
        );
    }
    let query = Query { field_selector: &get.field_selector, ..Query::new(&get.resources, &get.files) };
    if get.files.kustomize.is_empty() {
        files::all_named_exist(&get.files)?;
    }
    query.selector(&get.selection.selector).check()?;
    let bulk = matches!(Words::read("get", &get.resources), Ok(Words::Types { names, .. }) if names.is_empty());
    if bulk && !get.subresource.is_empty() {
        bail!("subresource cannot be used when bulk resources are specified");
    }
    if get.files.any() {
        return Asked::files(session, get).await;
    }
    let known = Discovery::load(&session.client, Asks::of(&get.resources)).await?;
    match targets::parse(&known, "get", &get.resources) {
        // A type may be younger than the cache.
        Err(TargetError::NoSuchType { .. }) => {
            let discovery = session.discovery(Asks::of(&get.resources)).await?;
            Ok(Asked::words(targets::parse(&discovery, "get", &get.resources)?))
        }
        found => Ok(Asked::words(found?)),
    }
}

fn path(session: &Session, get: &Get, target: &Target, parameters: &[(&str, &str)]) -> String {
    let of_command = (!get.selection.all_namespaces).then_some(session.namespace.as_str());
    let namespace = target.namespace.as_deref().or(of_command);
    let collection = target.resource.path(namespace);
    let base = match (&target.name, get.subresource.as_str()) {
        (None, _) => collection,
        (Some(name), "") => format!("{collection}/{}", files::segment(name)),
        (Some(name), subresource) => format!("{collection}/{}/{subresource}", files::segment(name)),
    };
    with_query(&base, parameters)
}

/// All pages of a list, or the one object, as the server sends them.
async fn pages(
    session: &Session,
    get: &Get,
    target: &Target,
    accept: &str,
    mut each: impl FnMut(&[u8]) -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let limit = if get.chunk_size > 0 { get.chunk_size.to_string() } else { String::new() };
    let include = if get.sort_by.is_empty() || !accept.contains("Table") { "" } else { "Object" };
    let mut token = String::new();
    loop {
        let parameters: &[(&str, &str)] = match target.name {
            Some(_) => &[("includeObject", include)],
            None => &[
                ("fieldSelector", &get.field_selector),
                ("includeObject", include),
                ("labelSelector", &get.selection.selector),
                ("limit", &limit),
                ("continue", &token),
            ],
        };
        let page = session.client.get_bytes(&path(session, get, target, parameters), accept).await;
        match page {
            Err(error) if not_found_is_fine(get, &error) => return Ok(()),
            Err(error) if target.name.is_some() => {
                let namespace = target.namespace.as_deref().unwrap_or(&session.namespace);
                return Err(not_had(session, &target.resource, namespace, error).await);
            }
            Err(error) if target.name.is_none() => {
                return Err(of_list(error, &target.resource, &get.selection.selector, &get.field_selector));
            }
            page => {
                let read = each(&page?);
                token = match target.name {
                    Some(_) => read?,
                    None => read.map_err(|error| {
                        of_list(error, &target.resource, &get.selection.selector, &get.field_selector)
                    })?,
                }
            }
        }
        if token.is_empty() || target.name.is_some() {
            return Ok(());
        }
    }
}

/// Values that have no order end the command where they are compared; other errors are as they are.
fn unsortable(error: SortError, place: &'static str, within: &str) -> anyhow::Error {
    let SortError::Unsortable { field, kind } = error else { return error.into() };
    // The whole object is no value in a variable of any type, as its fields are.
    let outer = if kind == "map" { "map" } else { "interface" };
    let text = format!("Field {field} in {within} is an unsortable type: {outer}, err: unsortable type: {kind}");
    Fatal { place, text }.into()
}

fn not_found_is_fine(get: &Get, error: &anyhow::Error) -> bool {
    get.ignore_not_found && error.downcast_ref::<Refused>().is_some_and(|r| r.code == 404)
}

async fn objects(
    session: &Session,
    get: &Get,
    targets: &[Target],
    single: bool,
    mut printer: Printer,
    unread: Vec<(usize, anyhow::Error)>,
) -> anyhow::Result<()> {
    let (mut found, mut failed) = (Vec::new(), Vec::new());
    for (place, target) in targets.iter().enumerate() {
        let outcome = pages(session, get, target, "application/json", |body| {
            let page = crate::http::unstructured(body)?;
            let token = page.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default().to_owned();
            found.extend(items(target, page));
            Ok(token)
        });
        failed.extend(outcome.await.err().map(|error| (place, error)));
    }
    let errors = in_order(unread, failed);
    if single && !errors.is_empty() {
        return Failures::outcome(errors);
    }
    if !get.print.show_managed_fields && printer.shows_objects() {
        found = found.into_iter().map(print::without_managed_fields).collect();
    }
    if !get.sort_by.is_empty() {
        sort::by(&mut found, &get.sort_by, |object| object)
            .map_err(|error| unsortable(error, "sorter.go:329", "*unstructured.Unstructured"))?;
    }
    let mut out = std::io::stdout().lock();
    match found.as_slice() {
        [one] if single => printer.print(&mut out, one)?,
        [] if single || get.ignore_not_found => {}
        _ => printer.print(&mut out, &print::list(found))?,
    }
    out.flush()?;
    drop(out);
    Failures::outcome(errors)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::tests::sample;
    use serde_json::json;

    #[test]
    fn items_of_lists_say_what_they_are() {
        let discovery = sample();
        let target = Target { resource: discovery.find("po").expect("pods").clone(), name: None, namespace: None };
        let items = items(&target, json!({"kind": "PodList", "items": [{"metadata": {"name": "a"}}]}));
        assert_eq!(items, [json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}})]);
    }
}
