//! The tasks behind [`Fairness`]: they follow the objects, say which schemas lead nowhere, and lend
//! seats.
//!
//! Upstream: `apiserver/pkg/util/flowcontrol/apf_controller.go`.

use crate::fairness::Fairness;
use apimachinery::meta::{ObjectMeta, list_mut};
use apimachinery::resources::{self, ResourceInfo};
use apimachinery::status::{Reason, Status};
use apimachinery::{Map, Value, time};
use apiserver_registry::{Body, Context, Format, Registry, UserInfo, Verb};
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
async fn report(registry: &Registry, mut schema: Value, levels: &[Value]) -> Result<(), Status> {
    let level = schema.pointer("/spec/priorityLevelConfiguration/name").and_then(Value::as_str).unwrap_or_default();
    let condition = dangling(level, levels.iter().any(|l| l.name() == level));
    if !record(&mut schema, condition) {
        return Ok(());
    }
    let Some(resource) = resource("flowschemas") else { return Ok(()) };
    let cx = Context {
        user: Arc::new(UserInfo {
            name: "system:apiserver".into(),
            groups: vec!["system:masters".into(), "system:authenticated".into()],
            ..UserInfo::default()
        }),
        verb: Verb::Update,
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
    let body = Body { bytes: serde_json::to_vec(&schema).unwrap_or_default().into(), format: Format::Json };
    match registry.update(&cx, body).await {
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

/// Puts the condition into the schema; `false` if it says that already.
fn record(schema: &mut Value, condition: Value) -> bool {
    let Some(schema) = schema.as_object_mut() else { return false };
    let status = schema.entry("status").or_insert_with(|| Map::new().into());
    let Some(status) = status.as_object_mut() else { return false };
    let conditions = list_mut(status, "conditions");
    match conditions.iter_mut().find(|c| c.get("type") == condition.get("type")) {
        Some(old) if ["status", "reason", "message"].iter().all(|k| old.get(*k) == condition.get(*k)) => return false,
        Some(old) => *old = condition,
        None => conditions.push(condition),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_written_once() {
        let mut schema = json!({});
        assert!(record(&mut schema, dangling("l", false)));
        assert!(!record(&mut schema, dangling("l", false)));
        assert!(record(&mut schema, dangling("l", true)));
        let condition = &schema["status"]["conditions"][0];
        assert_eq!(
            (condition["status"].as_str(), condition["message"].as_str()),
            (
                Some("False"),
                Some("This FlowSchema references the PriorityLevelConfiguration object named \"l\" and it exists")
            )
        );
    }
}
