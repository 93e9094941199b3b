//! Following objects: a look, and then every change from there.

use super::{Condition, Patience, Session};
use crate::commands::{is_another_kind, with_query};
use crate::discovery::Discovery;
use crate::files::Manifest;
use crate::http::{Pauses, Refused, Watch};
use crate::selected::{self, Query};
use crate::writing::is_not_found;
use anyhow::bail;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use std::time::Duration;

/// Between two looks for objects that are not there yet; upstream's.
const LOOK: Duration = Duration::from_millis(500);

/// Looks once.
pub(super) async fn once(session: &Session, manifest: &Manifest, condition: &Condition) -> anyhow::Result<Value> {
    let object = match session.client.get(&manifest.path(), "application/json").await {
        Err(error) if *condition == Condition::Delete && is_not_found(&error) => return Ok(manifest.object.clone()),
        object => object?,
    };
    match condition.met(&object)? {
        true => Ok(object),
        false => bail!("condition not met for {}/{}", manifest.resource.plural, manifest.object.name()),
    }
}

/// Follows an object until it has the condition; an object that goes away is an error, unless
/// that is what is waited for. A server that refuses or goes away is asked again.
pub(super) async fn until(session: &Session, manifest: &Manifest, condition: &Condition) -> anyhow::Result<Value> {
    let selector = format!("metadata.name={}", manifest.object.name());
    let mut pauses = Pauses::new();
    crate::interrupt::heed();
    loop {
        let path = with_query(&manifest.collection(), &[("fieldSelector", &selector)]);
        let list = match session.client.get(&path, "application/json").await {
            Ok(list) => list,
            Err(error) => {
                pauses.after(&error).await;
                continue;
            }
        };
        let found = list["items"].as_array().and_then(|items| items.first());
        let Some(found) = found else {
            match condition {
                Condition::Delete => return Ok(manifest.object.clone()),
                _ => return Err(gone(manifest).into()),
            }
        };
        if condition.met(found)? {
            return Ok(typed(manifest, found.clone()));
        }
        let parameters =
            [("watch", "true"), ("fieldSelector", &selector), ("resourceVersion", list.resource_version())];
        let path = with_query(&manifest.collection(), &parameters);
        match session.client.watch(&path, "application/json").await {
            Err(error) => pauses.after(&error).await,
            Ok(events) => match changes(events, manifest, condition, &mut pauses).await? {
                Some(object) => return Ok(typed(manifest, object)),
                None => pauses.pass().await,
            },
        }
    }
}

/// Looks at each change; nothing if the watch ended before the condition was met.
async fn changes(
    mut events: Watch,
    manifest: &Manifest,
    condition: &Condition,
    pauses: &mut Pauses,
) -> anyhow::Result<Option<Value>> {
    while let Some(mut event) = events.next().await {
        let object = event["object"].take();
        match event["type"].as_str().unwrap_or_default() {
            "DELETED" if *condition == Condition::Delete => return Ok(Some(object)),
            // What is there now tells whether it came back.
            "DELETED" | "ERROR" => return Ok(None),
            _ if is_another_kind(&object, manifest) => {}
            _ if condition.met(&object)? => return Ok(Some(object)),
            _ => pauses.reset(),
        }
    }
    Ok(None)
}

fn typed(manifest: &Manifest, mut object: Value) -> Value {
    if let Some(members) = object.as_object_mut() {
        members.insert("apiVersion".into(), manifest.resource.api_version().into());
        members.insert("kind".into(), manifest.resource.kind.as_str().into());
    }
    object
}

fn gone(manifest: &Manifest) -> Refused {
    let message = format!("{} {:?} not found", manifest.resource.group_resource(), manifest.object.name());
    Refused { code: 404, reason: "NotFound".into(), message, details: Value::Null }
}

/// Looks until all named objects are there, or one that is selected.
pub(super) async fn created(
    session: &Session,
    discovery: &Discovery,
    query: &Query<'_>,
    patience: Patience,
) -> anyhow::Result<()> {
    let there = async {
        loop {
            let mut selected = selected::resolve(session, discovery, query).await?;
            let missing = selected.failures.iter().any(is_not_found);
            selected.failures.retain(|error| !is_not_found(error));
            if let Some(error) = selected.failures.pop() {
                return Err(error);
            }
            if !missing && !selected.objects.is_empty() {
                return Ok(());
            }
            if patience == Patience::Once {
                bail!("timed out waiting for the condition");
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    match patience {
        Patience::Once => there.await,
        Patience::Until(until) => match tokio::time::timeout_at(until, there).await {
            Ok(outcome) => outcome,
            Err(_) => bail!("timed out waiting for the condition"),
        },
    }
}
