//! The tasks behind [`Fairness`]: they follow the objects, say which schemas lead nowhere, and lend
//! seats.
//!
//! Upstream: `apiserver/pkg/util/flowcontrol/apf_controller.go`.

use crate::fairness::Fairness;
use apimachinery::meta::ObjectMeta;
use apimachinery::resources::{self, ResourceInfo};
use apimachinery::status::{Reason, Status};
use apimachinery::{Value, time};
use apiserver_registry::{Body, Context, Format, PatchType, Registry, UserInfo, Verb};
use apiserver_storage::{Event, Store, WatchQuery};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

const GROUP: &str = "flowcontrol.apiserver.k8s.io";
/// How often seats are lent anew, as upstream.
const LENDING: Duration = Duration::from_secs(10);
/// Wait between bursts of changes, and after a failed write.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest time for one write.
const DEADLINE: Duration = Duration::from_secs(10);

impl Fairness {
    /// Follows the objects. Never ends by itself.
    pub async fn run(&self, registry: &Registry) {
        let lending = async {
            let mut ticks = tokio::time::interval(LENDING);
            loop {
                ticks.tick().await;
                self.lend();
            }
        };
        tokio::join!(self.follow(registry), lending);
    }

    async fn follow(&self, registry: &Registry) {
        let store = &registry.store;
        loop {
            let since = store.revision();
            let schemas = objects(store, "flowschemas");
            let levels = objects(store, "prioritylevelconfigurations");
            self.configure(&schemas, &levels);
            for schema in schemas {
                if let Err(status) = report(registry, schema, &levels).await {
                    tracing::debug!(%status, "condition of a flow schema");
                }
            }
            tokio::select! {
                () = changed(store, "flowschemas", since) => {}
                () = changed(store, "prioritylevelconfigurations", since) => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn resource(plural: &str) -> Option<&'static Arc<ResourceInfo>> {
    resources::find(GROUP, "v1", plural)
}

fn objects(store: &Store, plural: &str) -> Vec<Value> {
    resource(plural).map(|r| store.cached_list(r, None).iter().map(|o| o.value()).collect()).unwrap_or_default()
}

/// Resolves when an object of this kind changes after a revision.
async fn changed(store: &Store, plural: &str, since: u64) {
    let query = WatchQuery { from: Some(since.max(1)), ..WatchQuery::default() };
    let Some(resource) = resource(plural) else { return std::future::pending().await };
    if let Ok(mut watch) = store.watch(resource, &query).await {
        while matches!(watch.next().await, Ok(Event::Bookmark { .. })) {}
    }
}

/// Writes the `Dangling` condition of a schema, if it is not there yet.
async fn report(registry: &Registry, schema: Value, levels: &[Value]) -> Result<(), Status> {
    let level = schema.pointer("/spec/priorityLevelConfiguration/name").and_then(Value::as_str).unwrap_or_default();
    let condition = dangling(level, levels.iter().any(|l| l.name() == level));
    if is_said(&schema, &condition) {
        return Ok(());
    }
    let Some(resource) = resource("flowschemas") else { return Ok(()) };
    let cx = Context {
        user: Arc::new(UserInfo {
            name: "system:apiserver".into(),
            groups: vec!["system:masters".into(), "system:authenticated".into()],
            ..UserInfo::default()
        }),
        verb: Verb::Patch,
        resource: resource.clone(),
        subresource: resource.subresource("status").cloned(),
        namespace: String::new(),
        name: schema.name().to_owned(),
        dry_run: false,
        field_manager: "api-priority-and-fairness-config-consumer-v1".into(),
        field_validation: Default::default(),
        deadline: Instant::now() + DEADLINE,
        warnings: Default::default(),
        annotations: None,
    };
    let config = json!({"apiVersion": resource.api_version(), "kind": &*resource.kind,
        "metadata": {"name": schema.name()}, "status": {"conditions": [condition]}});
    let body = Body { bytes: config.to_string().into(), format: Format::Yaml };
    match registry.patch(&cx, PatchType::Apply, true, body).await {
        Ok(_) => Ok(()),
        // Somebody else was faster; the change is looked at anyway.
        Err(status) if matches!(status.reason, Reason::Conflict | Reason::NotFound) => Ok(()),
        Err(status) => Err(status),
    }
}

fn dangling(level: &str, exists: bool) -> Value {
    let references = format!("This FlowSchema references the PriorityLevelConfiguration object named {level:?}");
    let (status, reason, message) = match exists {
        true => ("False", "Found", format!("{references} and it exists")),
        false => ("True", "NotFound", format!("{references} but there is no such object")),
    };
    json!({"type": "Dangling", "status": status, "reason": reason, "message": message,
        "lastTransitionTime": time::now()})
}

/// Whether the schema has this condition.
fn is_said(schema: &Value, condition: &Value) -> bool {
    let conditions = schema.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let says = |old: &Value| ["type", "status", "reason", "message"].iter().all(|k| old.get(*k) == condition.get(*k));
    conditions.into_iter().any(says)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_written_once() {
        let schema = json!({"status": {"conditions": [dangling("l", true)]}});
        let message = schema["status"]["conditions"][0]["message"].as_str();
        assert_eq!(
            message,
            Some("This FlowSchema references the PriorityLevelConfiguration object named \"l\" and it exists")
        );
        for (level, exists, want) in [("l", true, true), ("l", false, false), ("m", true, false)] {
            assert_eq!(is_said(&schema, &dangling(level, exists)), want, "{level} {exists}");
        }
        assert!(!is_said(&json!({}), &dangling("l", true)));
    }
}
