//! Keeps the index current by watching the four RBAC resources.

use super::index::{Index, RoleRef};
use super::{GROUP, Rbac};
use apimachinery::resources::{self, ResourceInfo};
use apiserver_storage::{Event, EventKind, Object, Store, Watch, WatchQuery};
use component::Supervisor;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// Pause before a watch that could not be opened is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// Namespaces and names.
type Keys = HashSet<(String, String)>;

pub(super) fn start(rbac: &Rbac, store: &Store, supervisor: &Supervisor) {
    for plural in ["roles", "clusterroles", "rolebindings", "clusterrolebindings"] {
        if let Some(resource) = resources::find(GROUP, "v1", plural) {
            let follower = follow(rbac.clone(), store.clone(), resource.clone());
            supervisor.spawn_until_stop("rbac index", follower);
        }
    }
}

async fn follow(rbac: Rbac, store: Store, resource: Arc<ResourceInfo>) {
    let query = WatchQuery { send_initial_events: true, bookmarks: true, ..WatchQuery::default() };
    loop {
        match store.watch(&resource, &query).await {
            Ok(watch) => follow_once(&rbac, &resource, watch).await,
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

/// Applies a watch until it ends. What the initial events do not name is gone.
async fn follow_once(rbac: &Rbac, resource: &ResourceInfo, mut watch: Watch) {
    let mut initial = Some(Keys::new());
    while let Ok(event) = watch.next().await {
        match event {
            Event::Change { kind, object } => {
                if let Some(initial) = &mut initial {
                    initial.insert((object.namespace().to_owned(), object.name().to_owned()));
                }
                rbac.change(|index| apply(index, resource, kind, &object));
            }
            Event::Bookmark { initial_events_end: true, .. } => {
                let known = initial.take().unwrap_or_default();
                rbac.change(|index| retain(index, resource, &known));
            }
            Event::Bookmark { .. } => {}
        }
    }
}

fn apply(index: &mut Index, resource: &ResourceInfo, kind: EventKind, object: &Object) {
    let value = (kind != EventKind::Deleted).then(|| object.value());
    let (namespace, name) = (object.namespace(), object.name());
    match is_role(resource) {
        true => {
            index.set_role(RoleRef { namespace: namespace.to_owned(), name: name.to_owned() }, value.as_ref());
        }
        false => index.set_binding(namespace, name, value.as_ref()),
    }
}

fn retain(index: &mut Index, resource: &ResourceInfo, known: &Keys) {
    let is_kept = |namespace: &str, name: &str| known.contains(&(namespace.to_owned(), name.to_owned()));
    match is_role(resource) {
        true => index.retain_roles(resource.namespaced, is_kept),
        false => index.retain_bindings(resource.namespaced, is_kept),
    }
}

fn is_role(resource: &ResourceInfo) -> bool {
    matches!(&*resource.plural, "roles" | "clusterroles")
}
