//! `describe`.

use super::{Session, with_query};
use crate::cli::Describe;
use crate::describe;
use crate::discovery::Resource;
use crate::targets;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

pub(super) async fn run(session: &Session, flags: &Describe) -> anyhow::Result<()> {
    let discovery = session.discovery().await?;
    let mut texts = Vec::new();
    for target in targets::parse(&discovery, "describe", &flags.resources)? {
        let namespace = (!flags.selection.all_namespaces).then_some(session.namespace.as_str());
        let collection = target.resource.path(namespace);
        let objects = match &target.name {
            Some(name) => vec![session.client.get(&format!("{collection}/{name}"), "application/json").await?],
            None => {
                let path = with_query(&collection, &[("labelSelector", &flags.selection.selector)]);
                let list = session.client.get(&path, "application/json").await?;
                list.get("items").and_then(Value::as_array).cloned().unwrap_or_default()
            }
        };
        for object in objects {
            let events = events(session, &target.resource, &object).await?;
            texts.push(describe::text(&target.resource, &object, &events));
        }
    }
    if texts.is_empty() {
        eprintln!("No resources found in {} namespace.", session.namespace);
    }
    crate::out!("{}", texts.join("\n\n"));
    Ok(())
}

/// The events about an object, oldest first.
async fn events(session: &Session, resource: &Resource, object: &Value) -> anyhow::Result<Vec<Value>> {
    let selector = format!("involvedObject.name={},involvedObject.uid={}", object.name(), object.uid());
    let namespace = match object.namespace() {
        "" => "default",
        namespace => namespace,
    };
    let scope = if resource.namespaced { format!("/namespaces/{namespace}") } else { String::new() };
    let path = with_query(&format!("/api/v1{scope}/events"), &[("fieldSelector", &selector)]);
    let list = session.client.get(&path, "application/json").await?;
    let mut events = list.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    events.sort_by_key(|e| e.get("lastTimestamp").and_then(Value::as_str).unwrap_or_default().to_owned());
    Ok(events)
}
