//! Metadata watches of all deletable kinds; discovered anew every half minute.

use super::graph::{Graph, Identity, Uid};
use crate::scaffold::Context;
use crate::scaffold::discovery::{self, Kind};
use client::Queue;
use component::Supervisor;
use futures::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ApiResource;
use kube::runtime::watcher::{self, Event};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

const DISCOVERY_PERIOD: Duration = Duration::from_secs(30);
/// Events come and go by themselves.
const IGNORED: &str = "events";
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LAST_DELAY: Duration = Duration::from_secs(30);

/// Group and kind.
type GroupKind = (String, String);

/// The watches.
pub(super) struct Monitors {
    client: kube::Client,
    supervisor: Supervisor,
    graph: Arc<Mutex<Graph>>,
    queue: Queue<Uid>,
    running: Mutex<HashMap<GroupKind, Running>>,
    /// Whether every watch of the first discovery has listed.
    synced: watch::Sender<bool>,
}

struct Running {
    kind: Kind,
    owner: Supervisor,
    listed: bool,
}

impl Monitors {
    pub(super) fn new(context: &Context, graph: Arc<Mutex<Graph>>, queue: Queue<Uid>) -> Self {
        Self {
            client: context.client.clone(),
            supervisor: context.supervisor.clone(),
            graph,
            queue,
            running: Mutex::default(),
            synced: watch::Sender::new(false),
        }
    }

    /// Waits until every kind was listed once.
    pub(super) async fn synced(&self) {
        let mut synced = self.synced.subscribe();
        // The sender lives as long as `self`.
        let _done = synced.wait_for(|synced| *synced).await;
    }

    /// How objects of this kind are reached; `None` if the cluster has none such.
    pub(super) fn kind(&self, api_version: &str, kind: &str) -> Option<Kind> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        self.running.lock().get(&(group.to_owned(), kind.to_owned())).map(|running| running.kind.clone())
    }

    /// Queues an object to be looked at.
    pub(super) fn look_at(&self, uid: Uid) {
        self.queue.add(uid);
    }

    /// Begins watches of new kinds, ends those of kinds that are gone.
    pub(super) async fn keep_current(self: Arc<Self>) {
        let mut delay = FIRST_DELAY;
        loop {
            match discovery::deletable(&self.client).await {
                Ok(kinds) => {
                    self.adjust(kinds);
                    delay = DISCOVERY_PERIOD;
                }
                Err(error) => {
                    let cause = error.cause();
                    tracing::warn!(%error, cause, "discovery failed; trying again");
                    delay = (delay * 2).min(LAST_DELAY);
                }
            }
            tokio::time::sleep(delay).await;
        }
    }

    fn adjust(self: &Arc<Self>, kinds: Vec<Kind>) {
        let watched = kinds.into_iter().filter(|kind| kind.watchable && kind.resource.plural != IGNORED);
        let wanted: HashMap<GroupKind, Kind> = watched.map(|kind| (group_kind(&kind.resource), kind)).collect();
        let mut running = self.running.lock();
        running.retain(|key, monitor| {
            let stays = wanted.contains_key(key);
            if !stays {
                monitor.owner.stop();
            }
            stays
        });
        for (key, kind) in wanted {
            running.entry(key.clone()).or_insert_with(|| {
                let owner = self.supervisor.child();
                owner.spawn_until_stop("garbage monitor", Arc::clone(self).follow(key, kind.clone()));
                Running { kind, owner, listed: false }
            });
        }
    }

    /// Follows one kind, from list to watch to list again.
    async fn follow(self: Arc<Self>, key: GroupKind, kind: Kind) {
        let stream = watcher::watcher(kind.metadata(&self.client), watcher::Config::default());
        let mut events = std::pin::pin!(stream);
        let mut known = Known::default();
        let mut delay = FIRST_DELAY;
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    delay = FIRST_DELAY;
                    self.ingest(&key, &kind.resource, event, &mut known);
                }
                Err(error) => {
                    tracing::debug!(kind = kind.group_resource(), %error, "watch failed; trying again");
                    // One kind that cannot be listed must not stop the collection of all others.
                    self.listed(&key);
                    tokio::time::sleep(delay).await;
                    delay = (delay * 2).min(LAST_DELAY);
                }
            }
        }
    }

    fn ingest(
        &self,
        key: &GroupKind,
        resource: &ApiResource,
        event: Event<kube::core::PartialObjectMeta<kube::api::DynamicObject>>,
        known: &mut Known,
    ) {
        match event {
            Event::Init => known.list_begins(),
            Event::InitApply(object) | Event::Apply(object) => {
                known.insert(object.metadata.uid.as_deref());
                let affected = self.graph.lock().observe(identity(resource, &object.metadata), &object.metadata);
                affected.into_iter().for_each(|uid| self.queue.add(uid));
            }
            Event::Delete(object) => {
                let uid = object.metadata.uid.unwrap_or_default();
                known.remove(&uid);
                self.gone(&uid);
            }
            Event::InitDone => {
                known.list_ends().iter().for_each(|uid| self.gone(uid));
                self.listed(key);
            }
        }
    }

    fn gone(&self, uid: &str) {
        let affected = self.graph.lock().forget(uid);
        affected.into_iter().for_each(|uid| self.queue.add(uid));
    }

    fn listed(&self, key: &GroupKind) {
        let mut running = self.running.lock();
        if let Some(monitor) = running.get_mut(key) {
            monitor.listed = true;
        }
        if running.values().all(|monitor| monitor.listed) && !*self.synced.borrow() {
            tracing::info!(kinds = running.len(), objects = self.graph.lock().len(), "garbage collector: all listed");
            self.synced.send_replace(true);
        }
    }
}

/// The uids of one kind: what a new list does not show is gone.
#[derive(Debug, Default)]
struct Known {
    present: HashSet<Uid>,
    stale: HashSet<Uid>,
}

impl Known {
    fn list_begins(&mut self) {
        self.stale.extend(self.present.drain());
    }

    fn insert(&mut self, uid: Option<&str>) {
        let Some(uid) = uid else { return };
        self.stale.remove(uid);
        if !self.present.contains(uid) {
            self.present.insert(uid.to_owned());
        }
    }

    fn remove(&mut self, uid: &str) {
        self.present.remove(uid);
        self.stale.remove(uid);
    }

    fn list_ends(&mut self) -> HashSet<Uid> {
        std::mem::take(&mut self.stale)
    }
}

fn group_kind(resource: &ApiResource) -> GroupKind {
    (resource.group.clone(), resource.kind.clone())
}

fn identity(resource: &ApiResource, meta: &ObjectMeta) -> Identity {
    Identity {
        api_version: resource.api_version.clone(),
        kind: resource.kind.clone(),
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_new_list_does_not_show_is_gone() {
        let mut known = Known::default();
        for uid in ["a", "b"] {
            known.insert(Some(uid));
        }
        known.list_begins();
        known.insert(Some("b"));
        known.insert(Some("c"));
        assert_eq!(known.list_ends(), HashSet::from(["a".to_owned()]));
        known.list_begins();
        assert_eq!(known.list_ends().len(), 2);
    }
}
