//! How many objects of any resource a namespace has: a metadata watch of each resource that some
//! quota limits the number of, begun when it is first asked about.
//!
//! Upstream: `resourcequota.QuotaMonitor`.

use crate::scaffold::discovery::{self, Kind};
use crate::scaffold::{Context, ReconcileError};
use component::Supervisor;
use futures::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher::{self, Event};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

const FIRST_DELAY: Duration = Duration::from_millis(100);
const LAST_DELAY: Duration = Duration::from_secs(30);
/// How long a count waits for the first list.
const LISTED_AT_MOST: Duration = Duration::from_secs(10);
/// What is served is not looked up more often for the sake of unknown names.
const DISCOVER_AT_MOST_EVERY: Duration = Duration::from_secs(5);

/// When a resource that is not served is looked for again.
const NOT_SERVED: Duration = Duration::from_secs(30);

/// How many objects of a resource a namespace has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    /// So many.
    Objects(usize),
    /// The cluster does not serve the resource, as far as is known.
    NotServed {
        /// When to ask again.
        again: Duration,
    },
}

/// Told of a namespace and a resource of which an object is gone.
type Freed = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// The watches.
pub(super) struct Counts {
    client: kube::Client,
    supervisor: Supervisor,
    freed: Freed,
    served: tokio::sync::Mutex<Served>,
    followed: Mutex<HashMap<String, Followed>>,
}

/// What the cluster serves, by `deployments.apps`.
#[derive(Default)]
struct Served {
    kinds: HashMap<String, Kind>,
    at: Option<Instant>,
}

#[derive(Clone)]
struct Followed {
    tally: Arc<Mutex<Tally>>,
    listed: watch::Receiver<bool>,
}

impl Counts {
    pub(super) fn new(context: &Context, freed: Freed) -> Self {
        Self {
            client: context.caches(),
            supervisor: context.supervisor.clone(),
            freed,
            served: tokio::sync::Mutex::default(),
            followed: Mutex::default(),
        }
    }

    /// How many there are.
    pub(super) async fn count(self: &Arc<Self>, resource: &str, namespace: &str) -> Result<Count, ReconcileError> {
        let known = self.followed.lock().get(resource).cloned();
        let followed = match known {
            Some(followed) => followed,
            None => match self.kind(resource).await? {
                Ok(kind) => self.follow(resource, kind),
                Err(again) => return Ok(Count::NotServed { again }),
            },
        };
        let mut listed = followed.listed.clone();
        match tokio::time::timeout(LISTED_AT_MOST, listed.wait_for(|listed| *listed)).await {
            Ok(Ok(_)) => Ok(Count::Objects(followed.tally.lock().of(namespace))),
            _ => Err(ReconcileError::Unfinished { left: format!("no list of {resource} yet") }),
        }
    }

    /// How a resource is reached; or when to look for it again.
    async fn kind(&self, resource: &str) -> Result<Result<Kind, Duration>, ReconcileError> {
        let mut served = self.served.lock().await;
        let age = served.at.map(|at| at.elapsed()).filter(|age| *age < DISCOVER_AT_MOST_EVERY);
        if !served.kinds.contains_key(resource) && age.is_none() {
            served.read(&self.client).await?;
        }
        let kind = served.kinds.get(resource).cloned();
        // What was looked up for another may be older than this resource.
        Ok(kind.ok_or(age.map_or(NOT_SERVED, |age| DISCOVER_AT_MOST_EVERY.saturating_sub(age))))
    }

    fn follow(self: &Arc<Self>, resource: &str, kind: Kind) -> Followed {
        let mut all = self.followed.lock();
        let counts = Arc::clone(self);
        let followed = all.entry(resource.to_owned()).or_insert_with(|| {
            let (sender, listed) = watch::channel(false);
            let tally = Arc::new(Mutex::new(Tally::default()));
            let task = counts.keep(resource.to_owned(), kind, Arc::clone(&tally), sender);
            self.supervisor.spawn_until_stop("quota monitor", task);
            Followed { tally, listed }
        });
        followed.clone()
    }

    /// Follows one resource until the cluster does not serve it any more.
    async fn keep(
        self: Arc<Self>,
        resource: String,
        kind: Kind,
        tally: Arc<Mutex<Tally>>,
        listed: watch::Sender<bool>,
    ) {
        let mut events = std::pin::pin!(watcher::watcher(kind.metadata(&self.client), watcher::Config::default()));
        let mut delay = FIRST_DELAY;
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    delay = FIRST_DELAY;
                    let is_list = matches!(event, Event::InitDone);
                    let namespaces = tally.lock().ingest(event);
                    namespaces.iter().for_each(|namespace| (self.freed)(namespace, &resource));
                    if is_list {
                        listed.send_replace(true);
                    }
                }
                Err(error) => {
                    tracing::debug!(resource, %error, "watch failed; trying again");
                    tokio::time::sleep(delay).await;
                    delay = (delay * 2).min(LAST_DELAY);
                    if self.is_gone(&resource).await {
                        break;
                    }
                }
            }
        }
        self.followed.lock().remove(&resource);
        let namespaces = tally.lock().namespaces();
        namespaces.iter().for_each(|namespace| (self.freed)(namespace, &resource));
    }

    /// Whether discovery works and does not show the resource.
    async fn is_gone(&self, resource: &str) -> bool {
        let mut served = self.served.lock().await;
        served.read(&self.client).await.is_ok() && !served.kinds.contains_key(resource)
    }
}

impl Served {
    async fn read(&mut self, client: &kube::Client) -> Result<(), ReconcileError> {
        let kinds = discovery::deletable(client).await?;
        let kinds = kinds.into_iter().filter(|kind| kind.namespaced && kind.watchable);
        self.kinds = kinds.map(|kind| (kind.group_resource(), kind)).collect();
        self.at = Some(Instant::now());
        Ok(())
    }
}

/// The objects of one resource by namespace.
#[derive(Debug, Default)]
struct Tally {
    present: HashMap<String, HashSet<String>>,
    /// While a list runs: what it has shown.
    listing: Option<HashMap<String, HashSet<String>>>,
}

impl Tally {
    fn of(&self, namespace: &str) -> usize {
        self.present.get(namespace).map_or(0, HashSet::len)
    }

    fn namespaces(&self) -> Vec<String> {
        self.present.keys().cloned().collect()
    }

    /// Takes an event in; gives the namespaces in which objects are gone.
    fn ingest<K: kube::Resource>(&mut self, event: Event<K>) -> Vec<String> {
        match event {
            Event::Init => self.listing = Some(HashMap::new()),
            Event::InitApply(object) => insert(self.listing.get_or_insert_default(), object.meta()),
            Event::Apply(object) => insert(&mut self.present, object.meta()),
            Event::Delete(object) => {
                let namespace = object.meta().namespace.clone().unwrap_or_default();
                if let Some(names) = self.present.get_mut(&namespace) {
                    names.remove(object.meta().name.as_deref().unwrap_or_default());
                    if names.is_empty() {
                        self.present.remove(&namespace);
                    }
                }
                return vec![namespace];
            }
            Event::InitDone => {
                let now = self.listing.take().unwrap_or_default();
                let before = std::mem::replace(&mut self.present, now);
                let fewer = |namespace: &String, names: &HashSet<String>| {
                    let now = self.present.get(namespace);
                    names.iter().any(|name| now.is_none_or(|now| !now.contains(name)))
                };
                let gone = before.iter().filter(|(namespace, names)| fewer(namespace, names));
                return gone.map(|(namespace, _)| namespace.clone()).collect();
            }
        }
        Vec::new()
    }
}

fn insert(present: &mut HashMap<String, HashSet<String>>, meta: &ObjectMeta) {
    let names = present.entry(meta.namespace.clone().unwrap_or_default()).or_default();
    names.insert(meta.name.clone().unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    fn map(namespace: &str, name: &str) -> ConfigMap {
        let metadata =
            ObjectMeta { namespace: Some(namespace.into()), name: Some(name.into()), ..ObjectMeta::default() };
        ConfigMap { metadata, ..ConfigMap::default() }
    }

    #[test]
    fn objects_come_and_go() {
        let mut tally = Tally::default();
        let events = [
            Event::Init,
            Event::InitApply(map("a", "1")),
            Event::InitApply(map("a", "2")),
            Event::InitApply(map("b", "1")),
            Event::InitDone,
            Event::Apply(map("a", "3")),
            Event::Apply(map("a", "3")),
        ];
        for event in events {
            assert!(tally.ingest(event).is_empty());
        }
        assert_eq!((tally.of("a"), tally.of("b"), tally.of("c")), (3, 1, 0));
        assert_eq!(tally.ingest(Event::Delete(map("a", "1"))), ["a"]);
        assert_eq!(tally.of("a"), 2);
        tally.ingest(Event::<ConfigMap>::Init);
        tally.ingest(Event::InitApply(map("a", "2")));
        tally.ingest(Event::InitApply(map("a", "3")));
        assert_eq!(tally.of("b"), 1);
        assert_eq!(tally.ingest(Event::<ConfigMap>::InitDone), ["b"]);
        assert_eq!(tally.of("b"), 0);
    }
}
