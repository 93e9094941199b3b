//! One `APIService` for each group version that this server serves itself: the built-in ones from the
//! start, those of custom resources while they are served.
//!
//! Upstream: `kube-aggregator/pkg/controllers/autoregister`, `pkg/controlplane/controller/crdregistration`.

use crate::service::text;
use crate::{priority, write};
use apimachinery::meta::ObjectMeta;
use apimachinery::resources::ResourceInfo;
use apimachinery::status::{Reason, Status};
use apimachinery::{Value, resources};
use apiserver_registry::{Registry, Verb};
use apiserver_storage::{Store, WatchQuery};
use futures::{TryStreamExt, stream};
use serde_json::{Map, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Label of objects that are kept for a reason: [`ON_START`] or [`ALWAYS`].
const MANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";
/// Brought up to date by each start, then left to whoever changes or deletes them.
const ON_START: &str = "onstart";
/// Kept as they are.
const ALWAYS: &str = "true";
/// Writes under way at a time: whoever waits for the start waits for all of the first turn.
const CONCURRENCY: usize = 32;
/// Wait after a failed or finished turn.
const PAUSE: Duration = Duration::from_millis(200);

/// Group and version.
type GroupVersion = (String, String);

/// When a plan is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Start,
    Running,
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
enum Action {
    Create(Value),
    /// The object with another spec.
    Update(Value),
    Delete(String),
}

/// Registers what is served, says so, and then follows custom resource definitions and whoever
/// meddles with the objects. Never ends by itself.
pub async fn run(registry: &Registry, started: impl FnOnce()) {
    let mut started = Some(started);
    loop {
        let since = registry.store.revision();
        let phase = if started.is_some() { Phase::Start } else { Phase::Running };
        match turn(registry, phase).await {
            Ok(()) => {
                if let Some(started) = started.take() {
                    started();
                }
                changes(&registry.store, since).await;
            }
            Err(status) => tracing::warn!(%status, "API service registration, trying again"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn turn(registry: &Registry, phase: Phase) -> Result<(), Status> {
    let current: Vec<Value> = objects(&registry.store, priority::OWN, "apiservices");
    let definitions = objects(&registry.store, "apiextensions.k8s.io", "customresourcedefinitions");
    let actions = plan(&builtin(registry.builtin()), &served(&definitions), &current, phase);
    let actions = stream::iter(actions.into_iter().map(Ok));
    actions.try_for_each_concurrent(CONCURRENCY, |action| act(registry, action)).await
}

fn objects(store: &Store, group: &str, plural: &str) -> Vec<Value> {
    let resource = resources::find(group, "v1", plural);
    resource.map(|r| store.cached_list(r, None).iter().map(|o| o.value()).collect()).unwrap_or_default()
}

/// Resolves when an object that plans depend on changes after a revision.
async fn changes(store: &Store, since: u64) {
    let one = |group: &'static str, plural: &'static str| async move {
        let query = WatchQuery { from: Some(since.max(1)), ..WatchQuery::default() };
        let Some(resource) = resources::find(group, "v1", plural) else { return };
        if let Ok(mut watch) = store.watch(resource, &query).await {
            while matches!(watch.next().await, Ok(apiserver_storage::Event::Bookmark { .. })) {}
        }
    };
    tokio::select! {
        () = one(priority::OWN, "apiservices") => {}
        () = one("apiextensions.k8s.io", "customresourcedefinitions") => {}
    }
}

async fn act(registry: &Registry, action: Action) -> Result<(), Status> {
    let outcome = match &action {
        Action::Create(object) => {
            registry.create(&write::context(Verb::Create, object.name())?, write::body(object)).await.map(drop)
        }
        Action::Update(object) => {
            registry.update(&write::context(Verb::Update, object.name())?, write::body(object)).await.map(drop)
        }
        Action::Delete(name) => registry.delete(&write::context(Verb::Delete, name)?, &json!({})).await.map(drop),
    };
    match outcome {
        // Another apiserver was faster.
        Err(status) if matches!(status.reason, Reason::AlreadyExists | Reason::Conflict | Reason::NotFound) => Ok(()),
        outcome => outcome,
    }
}

/// The group versions that are built in. The aggregator registers every group but its own.
fn builtin<'a>(served: impl Iterator<Item = &'a Arc<ResourceInfo>>) -> BTreeSet<GroupVersion> {
    let all = served.filter(|r| r.group != priority::OWN);
    all.map(|r| (r.group.to_string(), r.version.to_string())).collect()
}

/// The group versions that custom resource definitions serve.
fn served(definitions: &[Value]) -> BTreeSet<GroupVersion> {
    let mut served = BTreeSet::new();
    for definition in definitions {
        let spec = definition.get("spec").unwrap_or(&Value::Null);
        let versions = spec.get("versions").and_then(Value::as_array).into_iter().flatten();
        let versions = versions.filter(|v| v.get("served").and_then(Value::as_bool) == Some(true));
        served.extend(versions.map(|v| (text(spec, "group").to_owned(), text(v, "name").to_owned())));
    }
    served
}

fn plan(
    builtin: &BTreeSet<GroupVersion>,
    custom: &BTreeSet<GroupVersion>,
    current: &[Value],
    phase: Phase,
) -> Vec<Action> {
    let mut desired = BTreeMap::new();
    for ((group, version), mode) in custom.iter().map(|gv| (gv, ALWAYS)).chain(builtin.iter().map(|gv| (gv, ON_START)))
    {
        desired.insert(format!("{version}.{group}"), object(group, version, mode));
    }
    let mut actions = Vec::new();
    for existing in current {
        let wanted = desired.remove(existing.name());
        actions.extend(settle(existing, wanted.as_ref(), phase));
    }
    let missing = desired.into_values().filter(|o| phase == Phase::Start || mode(o) == ALWAYS);
    actions.extend(missing.map(Action::Create));
    actions
}

/// What happens to an object that exists.
fn settle(existing: &Value, wanted: Option<&Value>, phase: Phase) -> Option<Action> {
    match (mode(existing), wanted) {
        // Somebody else's.
        ("", _) => None,
        (ON_START, _) | (_, Some(_)) if phase == Phase::Running && wanted.is_none_or(|w| mode(w) == ON_START) => None,
        (_, None) => Some(Action::Delete(existing.name().to_owned())),
        (_, Some(wanted)) if existing.get("spec") == wanted.get("spec") => None,
        (_, Some(wanted)) => {
            let mut updated = existing.clone();
            updated["spec"] = wanted["spec"].clone();
            updated["metadata"]["labels"][MANAGED] = mode(wanted).into();
            Some(Action::Update(updated))
        }
    }
}

fn mode(object: &Value) -> &str {
    object.labels().and_then(|l| l.get(MANAGED)).and_then(Value::as_str).unwrap_or_default()
}

fn object(group: &str, version: &str, mode: &str) -> Value {
    let priority = priority::local(group, version);
    let mut spec = Map::new();
    if !group.is_empty() {
        spec.insert("group".into(), group.into());
    }
    spec.insert("version".into(), version.into());
    spec.insert("groupPriorityMinimum".into(), priority.group.into());
    spec.insert("versionPriority".into(), priority.version.into());
    json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": format!("{version}.{group}"), "labels": {MANAGED: mode}},
        "spec": spec,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(list: &[(&str, &str)]) -> BTreeSet<GroupVersion> {
        list.iter().map(|(g, v)| ((*g).to_owned(), (*v).to_owned())).collect()
    }

    fn names(actions: &[Action]) -> Vec<String> {
        let name = |a: &Action| match a {
            Action::Create(o) => format!("+{}", o.name()),
            Action::Update(o) => format!("~{}", o.name()),
            Action::Delete(name) => format!("-{name}"),
        };
        actions.iter().map(name).collect()
    }

    #[test]
    fn upstreams_table() {
        let meddled = |mode| {
            let mut object = object("apps", "v1", mode);
            object["spec"]["versionPriority"] = 1.into();
            object
        };
        let foreign = || {
            let mut object = object("c.io", "v1", "");
            object["metadata"]["labels"] = json!({});
            object
        };
        let (apps, c) = (versions(&[("apps", "v1")]), versions(&[("c.io", "v1")]));
        let none = BTreeSet::new();
        use Phase::{Running, Start};
        for (builtin, custom, current, phase, want) in [
            (&apps, &c, vec![], Start, &["+v1.apps", "+v1.c.io"][..]),
            (&apps, &c, vec![], Running, &["+v1.c.io"]),
            (&apps, &c, vec![object("apps", "v1", ON_START), object("c.io", "v1", ALWAYS)], Start, &[]),
            (&apps, &none, vec![meddled(ON_START)], Start, &["~v1.apps"]),
            (&apps, &none, vec![meddled(ON_START)], Running, &[]),
            (&none, &apps, vec![meddled(ALWAYS)], Running, &["~v1.apps"]),
            (&none, &none, vec![object("old.io", "v1", ON_START)], Start, &["-v1.old.io"]),
            (&none, &none, vec![object("old.io", "v1", ON_START)], Running, &[]),
            (&none, &none, vec![object("c.io", "v1", ALWAYS)], Running, &["-v1.c.io"]),
            (&none, &none, vec![foreign()], Start, &[]),
            (&none, &c, vec![foreign()], Running, &[]),
        ] {
            assert_eq!(names(&plan(builtin, custom, &current, phase)), want, "{current:?} {phase:?}");
        }
    }

    #[test]
    fn definitions_serve_versions() {
        let definition = json!({"spec": {"group": "c.io", "versions": [
            {"name": "v1", "served": true}, {"name": "v2", "served": false}]}});
        assert_eq!(served(&[definition]), versions(&[("c.io", "v1")]));
        let builtin = builtin(resources::builtin().iter());
        assert!(builtin.contains(&(String::new(), "v1".into())));
        assert!(!builtin.iter().any(|(g, _)| g == priority::OWN));
        assert!(builtin.iter().all(|(g, _)| priority::is_builtin(g)));
    }
}
