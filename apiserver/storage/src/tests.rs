//! The contract of [`crate::Store`], over every backend.

mod builtin;
mod encrypted;
mod faults;
mod kms;
mod lists;
mod resources;
mod watches;
mod writes;

use crate::testing::{self, TestBackend};
use crate::{Change, Event, EventKind, ListPage, ListQuery, Match, Selection, StorageError, Store, StoreConfig, Watch};
use apimachinery::Value;
use apimachinery::resources::ResourceInfo;
use apimachinery::selector::{FieldSelector, LabelSelector};
use component::Supervisor;
use std::sync::Arc;
use std::time::Duration;

/// Runs each test over memory and over etcd.
macro_rules! on_each_backend {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test] async fn $name() { super::$name::<crate::testing::MemoryBackend>().await })*
        }
        mod etcd {
            $(#[tokio::test] async fn $name() { super::$name::<crate::testing::EtcdBackend>().await })*
        }
    };
}
pub(crate) use on_each_backend;

/// A store over a backend, with one resource.
struct Fixture<B> {
    backend: B,
    store: Store,
    things: Arc<ResourceInfo>,
    _supervisor: StopOnDrop,
}

struct StopOnDrop(Supervisor);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl<B: TestBackend> Fixture<B> {
    async fn start() -> Option<Self> {
        let backend = B::start()?;
        let things = testing::things();
        let (store, supervisor) = open(&backend, std::slice::from_ref(&things)).await;
        Some(Self { backend, store, things, _supervisor: supervisor })
    }

    /// Another apiserver on the same data.
    async fn another(&self) -> (Store, StopOnDrop) {
        open(&self.backend, std::slice::from_ref(&self.things)).await
    }

    async fn create(&self, namespace: &str, name: &str, app: &str, node: &str) -> Arc<crate::Object> {
        let value = testing::thing(namespace, name, app, node);
        let key = self.things.key(namespace, name);
        self.store.create(&self.things, &key, value, None).await.expect("is new")
    }

    async fn set_node(&self, key: &str, node: &str) -> Arc<crate::Object> {
        let change = async |object: &Arc<crate::Object>| Ok::<_, StorageError>(Change::Put(with_node(object, node)));
        self.store.update(&self.things, key, None, change).await.expect("updates").0
    }

    async fn delete(&self, key: &str) -> Arc<crate::Object> {
        let change = async |_: &Arc<crate::Object>| Ok::<_, StorageError>(Change::Delete(None));
        self.store.update(&self.things, key, None, change).await.expect("deletes").0
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage, StorageError> {
        self.store.list(&self.things, query).await
    }

    async fn watch(&self, query: crate::WatchQuery) -> Watch {
        self.store.watch(&self.things, &query).await.expect("watches")
    }
}

async fn open<B: TestBackend>(backend: &B, resources: &[Arc<ResourceInfo>]) -> (Store, StopOnDrop) {
    let supervisor = Supervisor::new();
    let config = StoreConfig::default();
    let store = Store::over(backend.backend().await, &config, resources, &supervisor).await.expect("opens");
    (store, StopOnDrop(supervisor))
}

fn with_node(object: &crate::Object, node: &str) -> Value {
    let mut value = object.value();
    value["spec"]["node"] = node.into();
    value
}

fn names(page: &ListPage) -> Vec<&str> {
    page.items.iter().map(|object| object.name()).collect()
}

fn labels(text: &str) -> Selection {
    Selection { labels: LabelSelector::parse(text).expect("a selector"), ..Selection::default() }
}

fn fields(text: &str) -> Selection {
    Selection { fields: FieldSelector::parse(text).expect("a selector"), ..Selection::default() }
}

fn namespace(name: &str) -> Selection {
    Selection { namespace: Some(name.into()), ..Selection::default() }
}

/// The next item of a watch as text, such as `Added a 5`.
async fn next(watch: &mut Watch) -> String {
    let item = tokio::time::timeout(Duration::from_secs(10), watch.next()).await.expect("something comes");
    match item {
        Ok(Event::Change { kind, object }) => format!("{kind:?} {} {}", object.name(), object.revision()),
        Ok(Event::Bookmark { initial_events_end: true, revision }) => format!("InitialEnd {revision}"),
        Ok(Event::Bookmark { revision, .. }) => format!("Bookmark {revision}"),
        Err(error) => format!("Error {error}"),
    }
}

fn change(kind: EventKind, object: &crate::Object) -> String {
    format!("{kind:?} {} {}", object.name(), object.revision())
}
