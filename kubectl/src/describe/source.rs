//! What a description needs from the server beside its object.

use crate::commands::{Session, with_query};
use crate::http::Refused;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use rules::tree::Tree;

/// Where descriptions get what belongs to their object.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The connection.
    pub session: &'a Session,
    /// Objects per page of a list; 0 for all at once.
    pub chunk: i64,
    /// Whether events are shown.
    pub events: bool,
}

/// Which objects of a collection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chosen<'a> {
    pub(super) labels: &'a str,
    pub(super) fields: &'a str,
}

/// What events are about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) name: &'a str,
    pub(super) namespace: &'a str,
    pub(super) kind: &'a str,
    pub(super) uid: &'a str,
}

impl<'a> Subject<'a> {
    pub(super) fn of(object: &'a Value) -> Self {
        Self { name: object.name(), namespace: object.namespace(), kind: object.text("kind"), uid: object.uid() }
    }
}

impl Source<'_> {
    /// One object.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.session.client.get(path, "application/json").await
    }

    /// The objects of a collection, page by page.
    pub(super) async fn list(&self, path: &str, chosen: Chosen<'_>) -> anyhow::Result<Vec<Value>> {
        let limit = if self.chunk > 0 { self.chunk.to_string() } else { String::new() };
        let (mut objects, mut token) = (Vec::new(), String::new());
        loop {
            let parameters = [
                ("labelSelector", chosen.labels),
                ("fieldSelector", chosen.fields),
                ("limit", &limit),
                ("continue", &token),
            ];
            let page = self.get(&with_query(path, &parameters)).await;
            let mut page = page.map_err(|error| placed(error, path, chosen))?;
            page.at("metadata").map(|m| m.text("continue")).unwrap_or_default().clone_into(&mut token);
            if let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) {
                objects.extend(items);
            }
            if token.is_empty() {
                return Ok(objects);
            }
        }
    }

    /// The pods of a namespace that a selector selects.
    pub(super) async fn pods(&self, namespace: &str, selector: &str) -> anyhow::Result<Vec<Value>> {
        let chosen = Chosen { labels: selector, ..Chosen::default() };
        self.list(&format!("/api/v1/namespaces/{namespace}/pods"), chosen).await
    }

    /// The events about something.
    pub(super) async fn events_about(&self, subject: Subject<'_>) -> anyhow::Result<Vec<Value>> {
        let scope =
            if subject.namespace.is_empty() { String::new() } else { format!("/namespaces/{}", subject.namespace) };
        let mut terms = vec![
            format!("involvedObject.name={}", subject.name),
            format!("involvedObject.namespace={}", subject.namespace),
        ];
        let more = [("involvedObject.kind", subject.kind), ("involvedObject.uid", subject.uid)];
        terms.extend(
            more.iter().filter(|(_, value)| !value.is_empty()).map(|(field, value)| format!("{field}={value}")),
        );
        let fields = terms.join(",");
        self.list(&format!("/api/v1{scope}/events"), Chosen { fields: &fields, ..Chosen::default() }).await
    }
}

/// A refusal to list that says what was asked for.
fn placed(error: anyhow::Error, path: &str, chosen: Chosen<'_>) -> anyhow::Error {
    let what = path.rsplit('/').next().unwrap_or_default();
    match error.downcast::<Refused>() {
        Ok(mut refused) if matches!(refused.reason.as_str(), "BadRequest" | "NotFound") => {
            refused.message = match chosen {
                Chosen { labels: "", fields: "" } => format!("Unable to list {what:?}: {}", refused.message),
                Chosen { labels, fields } => format!(
                    "Unable to find {what:?} that match label selector {labels:?}, field selector {fields:?}: {}",
                    refused.message
                ),
            };
            refused.into()
        }
        Ok(refused) => refused.into(),
        Err(error) => error,
    }
}
