//! `describe`.
//!
//! Upstream: `kubectl/pkg/cmd/describe/describe.go`.

use super::Session;
use crate::cli::Describe;
use crate::describe::{self, Source, described_version};
use crate::discovery::{Asks, Discovery, Resource};
use crate::files;
use crate::files::objects::among_others;
use crate::http::Refused;
use crate::selected::{self, Query};
use crate::targets::{self, Target, TargetError};
use crate::writing::Failures;
use anyhow::bail;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

/// An object to describe.
struct Found {
    resource: Resource,
    object: Value,
}

pub(super) async fn run(session: &Session, flags: &Describe) -> anyhow::Result<()> {
    if flags.resources.is_empty() && !flags.files.any() {
        bail!("error: {}", TargetError::Nothing("describe"));
    }
    Query::new(&flags.resources, &flags.files).selector(&flags.selection.selector).check()?;
    let discovery = session
        .discovery_for(&flags.files, Asks::of(&flags.resources), files::Check::Decoded)
        .await
        .map_err(among_others)?;
    let (found, mut failures) = find(session, &discovery, flags).await?;
    let events = flags.show_events.unwrap_or(found.len() <= 1 && failures.is_empty());
    let source = Source { session, chunk: flags.chunk_size, events };
    if let [failure] = failures.as_slice()
        && is_not_found(failure)
        && let [kind, prefix] = flags.resources.as_slice()
    {
        return match by_prefix(&source, &discovery, kind, prefix).await? {
            0 => Failures::outcome(failures),
            _ => Ok(()),
        };
    }
    let nothing = found.is_empty() && failures.is_empty();
    let mut divider = "";
    for one in &found {
        match described(&source, &discovery, one).await {
            Ok(text) => {
                crate::out!("{divider}{text}");
                divider = "\n\n";
            }
            Err(error) if failures.iter().any(|f| f.to_string() == error.to_string()) => {}
            Err(error) => failures.push(error),
        }
    }
    if nothing {
        match flags.selection.all_namespaces {
            true => eprintln!("No resources found"),
            false => eprintln!("No resources found in {} namespace.", session.namespace),
        }
    }
    match flags.resources.as_slice() {
        [] => Failures::among_others(failures),
        [kind] if !kind.contains('/') => Failures::among_others(failures),
        _ => Failures::outcome(failures),
    }
}

/// The objects of the command line, and what went wrong with the others.
async fn find(
    session: &Session,
    discovery: &Discovery,
    flags: &Describe,
) -> anyhow::Result<(Vec<Found>, Vec<anyhow::Error>)> {
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    if flags.files.any() {
        // What is built is told of as one of several.
        let read = files::read(&flags.files, discovery, session).await;
        let read = read.map_err(|error| Failures(vec![error]))?;
        failures = read.failures;
        for manifest in read.manifests {
            let selector = &flags.selection.selector;
            if !selector.is_empty() && !selected::labelled(&manifest.object, selector)? {
                continue;
            }
            match session.client.get_object(&manifest.path()).await {
                Ok(object) => found.push(Found { resource: manifest.resource, object }),
                Err(error) => {
                    let why = selected::not_had(session, &manifest.resource, &manifest.namespace, error).await;
                    failures.push(why);
                }
            }
        }
        return Ok((found, failures));
    }
    for target in targets::parse(discovery, "describe", &flags.resources)? {
        let objects = objects(session, flags, &target).await;
        match objects {
            Ok(objects) => {
                let of = |object| Found { resource: target.resource.clone(), object };
                found.extend(objects.into_iter().map(of));
            }
            Err(error) if target.name.is_some() && error.downcast_ref::<Refused>().is_none() => return Err(error),
            Err(error) => failures.push(error),
        }
    }
    Ok((found, failures))
}

async fn objects(session: &Session, flags: &Describe, target: &Target) -> anyhow::Result<Vec<Value>> {
    let (selection, resource) = (&flags.selection, &target.resource);
    let namespace = (!selection.all_namespaces).then_some(session.namespace.as_str());
    match &target.name {
        None => selected::list_by(session, resource, namespace, &selection.selector, "", flags.chunk_size).await,
        Some(_) if !selection.selector.is_empty() => bail!("name cannot be provided when a selector is specified"),
        Some(_) if selection.all_namespaces => bail!("a resource cannot be retrieved by name across all namespaces"),
        Some(name) => {
            let path = format!("{}/{name}", resource.path(namespace));
            match session.client.get_object(&path).await {
                Ok(object) => Ok(vec![object]),
                Err(error) => Err(selected::not_had(session, resource, &session.namespace, error).await),
            }
        }
    }
}

fn is_not_found(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| refused.reason == "NotFound")
}

/// Describes all objects of a type whose name begins so; how many those are.
async fn by_prefix(source: &Source<'_>, discovery: &Discovery, kind: &str, prefix: &str) -> anyhow::Result<usize> {
    let mut count = 0;
    let targets = targets::parse(discovery, "describe", &[kind.to_owned()])?;
    if targets.len() > 1 {
        bail!("you may only specify a single resource type");
    }
    for target in targets {
        let namespace = Some(source.session.namespace.as_str());
        for object in selected::list_by(source.session, &target.resource, namespace, "", "", source.chunk).await? {
            if object.name().starts_with(prefix) {
                let one = Found { resource: target.resource.clone(), object };
                crate::outln!("{}", described(source, discovery, &one).await?);
                count += 1;
            }
        }
    }
    Ok(count)
}

async fn described(source: &Source<'_>, discovery: &Discovery, found: &Found) -> anyhow::Result<String> {
    let Found { resource, object } = found;
    let better = described_version(resource).filter(|version| resource.version != *version);
    let served = better.and_then(|version| {
        let same = |r: &&Resource| r.group == resource.group && r.kind == resource.kind && r.version == version;
        discovery.resources.iter().find(same)
    });
    let Some(resource) = served else { return describe::text(source, resource, object).await };
    let path = format!("{}/{}", resource.path(Some(object.namespace())), object.name());
    let object = source.session.client.get_object(&path).await?;
    describe::text(source, resource, &object).await
}
