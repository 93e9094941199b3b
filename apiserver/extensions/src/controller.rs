//! Follows all definitions: accepts their names, has what they define served, says so in their
//! status, and empties those that are being deleted.
//!
//! Upstream: `apiextensions-apiserver/pkg/controller/{status,establish,finalizer}`.

use crate::definition::{Definition, Names};
use crate::status::{self, Condition, Taken};
use apimachinery::meta::ObjectMeta;
use apimachinery::resources::{self, ResourceInfo};
use apimachinery::status::Status;
use apimachinery::{Value, time};
use apiserver_storage::{Change, Decide, Event, EventKind, Object, StorageError, Store, WatchQuery};
use async_trait::async_trait;
use component::Supervisor;
use parking_lot::Mutex;
use rules::apply::{Reset, Writer};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Time between a watch that ended and the next, and between passes over objects that do not go.
const PAUSE: Duration = Duration::from_millis(500);

/// Serves what definitions define.
#[async_trait]
pub trait Host: Send + Sync {
    /// Serves a definition in place of an earlier one of the same name.
    fn serve(&self, old: Option<&Definition>, new: Option<&Definition>);

    /// Deletes all objects of a resource; how many are left.
    async fn delete_all(&self, resource: &Arc<ResourceInfo>) -> Result<usize, Status>;
}

/// Runs until the supervisor stops.
pub fn run(store: Store, host: Arc<dyn Host>, supervisor: &Supervisor) {
    let Some(resource) = resources::find("apiextensions.k8s.io", "v1", "customresourcedefinitions") else { return };
    let cleaner = Cleaner { store: store.clone(), host: host.clone(), resource, busy: Arc::default() };
    let mut controller =
        Controller { store, host, resource, cleaner, supervisor: supervisor.clone(), known: BTreeMap::new() };
    supervisor.spawn_until_stop("custom resource definitions", async move {
        loop {
            if let Err(error) = controller.follow().await {
                tracing::debug!(%error, "watch of definitions ended, starting it again");
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
}

/// Notes the server itself as the manager of what it writes of a status.
fn track(resource: &ResourceInfo, before: &Value, definition: &mut Value) {
    let writer = Writer {
        manager: "kube-apiserver",
        api_version: &resource.api_version(),
        subresource: "status",
        now: &time::now(),
        ty: &resource.schema,
        reset: Reset::NOTHING,
        convert: &|_, _| None,
    };
    rules::apply::track(&writer, before, definition);
}

/// What the controller knows of a definition.
struct Known {
    group: String,
    accepted: Names,
    served: Option<Served>,
}

/// What is served of a definition, and what it was made of.
struct Served {
    definition: Definition,
    spec: Value,
    names: Names,
    terminating: bool,
}

struct Controller {
    store: Store,
    host: Arc<dyn Host>,
    resource: &'static Arc<ResourceInfo>,
    cleaner: Cleaner,
    supervisor: Supervisor,
    known: BTreeMap<String, Known>,
}

impl Controller {
    async fn follow(&mut self) -> Result<(), StorageError> {
        let query = WatchQuery { send_initial_events: true, ..WatchQuery::default() };
        let mut watch = self.store.watch(self.resource, &query).await?;
        let mut present = Some(BTreeSet::new());
        loop {
            match watch.next().await? {
                Event::Change { kind: EventKind::Deleted, object } => self.forget(object.name()).await,
                Event::Change { object, .. } => {
                    present.iter_mut().for_each(|names| names.extend([object.name().to_owned()]));
                    self.sync(&object).await;
                }
                // Whatever went while nobody watched is not among the initial events.
                Event::Bookmark { .. } => {
                    let Some(present) = present.take() else { continue };
                    let gone: Vec<String> =
                        self.known.keys().filter(|name| !present.contains(*name)).cloned().collect();
                    for name in gone {
                        self.forget(&name).await;
                    }
                }
            }
        }
    }

    /// Brings one definition's service and status up to date. Conflicts are left to the event that
    /// they announce.
    async fn sync(&mut self, object: &Object) {
        let current = object.value();
        let name = object.name();
        let wanted = self.planned(name, &current).unwrap_or_else(|| current.clone());
        self.note(name, &wanted);
        let is_named = status::is_true(&wanted, "NamesAccepted") || status::is_true(&wanted, "Established");
        let is_served = is_named && self.serve(name, &wanted).await;
        let settled = if is_served { status::establish(&wanted).unwrap_or(wanted) } else { wanted };
        if settled != current {
            let released = settled["status"]["acceptedNames"] != current["status"]["acceptedNames"];
            self.write(object, settled).await;
            if released {
                self.reconsider(name).await;
            }
        } else if current.is_deleting() && current.finalizers().contains(&status::CLEANUP) {
            self.clean(name, &current);
        }
    }

    /// The definition with the status that it must have before it is served.
    fn planned(&self, name: &str, definition: &Value) -> Option<Value> {
        let group = definition.pointer("/spec/group").and_then(Value::as_str).unwrap_or_default();
        let others = self.known.iter().filter(|(other, known)| *other != name && known.group == group);
        let taken = Taken::by(others.map(|(_, known)| &known.accepted));
        let named = status::name(definition, &taken);
        let judged = status::judge(named.as_ref().unwrap_or(definition));
        judged.or(named)
    }

    fn note(&mut self, name: &str, definition: &Value) {
        let group = definition.pointer("/spec/group").and_then(Value::as_str).unwrap_or_default().to_owned();
        let accepted = Names::read(definition.pointer("/status/acceptedNames"));
        let known = self.known.entry(name.to_owned()).or_insert_with(|| Known {
            group: String::new(),
            accepted: Names::default(),
            served: None,
        });
        (known.group, known.accepted) = (group, accepted);
    }

    /// Serves a definition as it is now; whether it is served.
    async fn serve(&mut self, name: &str, definition: &Value) -> bool {
        let Some(known) = self.known.get_mut(name) else { return false };
        let spec = definition.get("spec").cloned().unwrap_or_default();
        let terminating = status::is_true(definition, "Terminating");
        let old = known.served.as_ref();
        let same_spec = old.is_some_and(|old| old.spec == spec && old.names == known.accepted);
        if same_spec && old.is_some_and(|old| old.terminating == terminating) {
            return true;
        }
        let new = match Definition::read(definition) {
            Ok(new) => new,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::error!(definition = name, %error, cause, "a definition cannot be served");
                return false;
            }
        };
        let stored = match (same_spec, old.is_some()) {
            (true, _) => Ok(()),
            (false, true) => self.store.replace_resource(&new.stored).await,
            (false, false) => self.store.add_resource(&new.stored).await,
        };
        if let Err(error) = stored {
            tracing::warn!(definition = name, %error, "the objects of a definition cannot be read");
            return false;
        }
        self.host.serve(old.map(|old| &old.definition), Some(&new));
        known.served = Some(Served { definition: new, spec, names: known.accepted.clone(), terminating });
        true
    }

    async fn write(&self, object: &Object, mut settled: Value) {
        track(self.resource, &object.value(), &mut settled);
        let mut settled = Some(settled);
        let mut change = Now(|_: &Object| settled.take().map_or(Change::Keep, Change::Put));
        let written = self.store.decide(self.resource, object.key(), Some(object.revision()), &mut change).await;
        match written {
            Ok(_) | Err(StorageError::Conflict { .. } | StorageError::NotFound { .. }) => {}
            Err(error) => tracing::warn!(definition = object.name(), %error, "cannot write the status of a definition"),
        }
    }

    async fn forget(&mut self, name: &str) {
        let Some(known) = self.known.remove(name) else { return };
        if let Some(served) = &known.served {
            self.host.serve(Some(&served.definition), None);
            self.store.remove_resource(&served.definition.stored);
        }
        // Its names are free for others of the group.
        self.reconsider_group(&known.group, name).await;
    }

    /// Looks again at the other definitions of a group, whose names may be free now.
    async fn reconsider(&mut self, name: &str) {
        let Some(group) = self.known.get(name).map(|known| known.group.clone()) else { return };
        self.reconsider_group(&group, name).await;
    }

    async fn reconsider_group(&mut self, group: &str, but: &str) {
        let others = self.known.iter().filter(|(name, known)| known.group == group && *name != but);
        let waiting: Vec<String> =
            others.filter(|(_, known)| known.served.is_none()).map(|(name, _)| name.clone()).collect();
        for name in waiting {
            if let Some(object) = self.store.cached(self.resource, &self.resource.key("", &name)) {
                Box::pin(self.sync(&object)).await;
            }
        }
    }

    /// Empties a definition that is being deleted, beside everything else.
    fn clean(&self, name: &str, definition: &Value) {
        let served = self.known.get(name).and_then(|known| known.served.as_ref());
        let established = status::is_true(definition, "Established");
        let instances = served.map(|served| served.definition.stored.clone()).filter(|_| established);
        if !self.cleaner.busy.lock().insert(name.to_owned()) {
            return;
        }
        let (cleaner, name) = (self.cleaner.clone(), name.to_owned());
        self.supervisor.spawn_until_stop("custom resource cleanup", async move {
            cleaner.run(&name, instances).await;
            cleaner.busy.lock().remove(&name);
        });
    }
}

/// A decision that awaits nothing.
struct Now<F>(F);

#[async_trait]
impl<F: FnMut(&Object) -> Change + Send> Decide<StorageError> for Now<F> {
    async fn decide(&mut self, current: &Arc<Object>) -> Result<Change, StorageError> {
        Ok((self.0)(current))
    }
}

/// Deletes the objects of definitions that are going.
#[derive(Clone)]
struct Cleaner {
    store: Store,
    host: Arc<dyn Host>,
    resource: &'static Arc<ResourceInfo>,
    /// Definitions that are being emptied.
    busy: Arc<Mutex<BTreeSet<String>>>,
}

impl Cleaner {
    async fn run(&self, name: &str, instances: Option<Arc<ResourceInfo>>) {
        let Some(instances) = instances else {
            let never = Condition::new("Terminating", false, "NeverEstablished", "resource was never established");
            return self.finish(name, never).await;
        };
        let message = "CustomResource deletion is in progress";
        self.say(name, Condition::new("Terminating", true, "InstanceDeletionInProgress", message)).await;
        loop {
            match self.host.delete_all(&instances).await {
                Ok(0) => break,
                // Finalizers hold some.
                Ok(_) => {}
                Err(status) => {
                    let message = format!("could not issue all deletes: {}", status.message);
                    self.say(name, Condition::new("Terminating", true, "InstanceDeletionFailed", message)).await;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.finish(name, Condition::new("Terminating", false, "InstanceDeletionCompleted", "removed all instances"))
            .await;
    }

    async fn say(&self, name: &str, condition: Condition) {
        self.change(name, |definition| status::set(definition, &condition)).await;
    }

    async fn finish(&self, name: &str, condition: Condition) {
        let end = |definition: &mut Value| {
            status::set(definition, &condition);
            let others: Vec<Value> =
                definition.finalizers().into_iter().filter(|f| *f != status::CLEANUP).map(Value::from).collect();
            match others.is_empty() {
                true => drop(definition.metadata_mut().remove("finalizers")),
                false => definition.set_meta("finalizers", others),
            }
        };
        self.change(name, end).await;
    }

    /// Changes a definition; without a finalizer it goes.
    async fn change(&self, name: &str, mut change: impl FnMut(&mut Value) + Send) {
        let key = self.resource.key("", name);
        let mut decide = Now(|current: &Object| {
            let mut definition = current.value();
            if !definition.is_deleting() {
                return Change::Keep;
            }
            change(&mut definition);
            match definition.finalizers().is_empty() {
                true => Change::Delete(Some(definition)),
                false => Change::Put(definition),
            }
        });
        match self.store.decide(self.resource, &key, None, &mut decide).await {
            Ok(_) | Err(StorageError::NotFound { .. }) => {}
            Err(error) => tracing::warn!(definition = name, %error, "cannot write a definition that is being deleted"),
        }
    }
}
