//! An object that the server keeps: waiting for others to change it.

use super::context;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::selector::FieldSelector;
use apiserver_registry::{Registry, Verb};
use apiserver_storage::{Selection, Watch, WatchQuery};

/// The namespace of the server's own maps.
pub(super) const NAMESPACE: &str = "kube-system";

/// One object, watched from the first wait on.
pub(super) struct Followed {
    object: Value,
    watch: Option<Watch>,
}

impl Followed {
    /// The object of this kind, namespace and name.
    pub(super) fn new(object: Value) -> Self {
        Self { object, watch: None }
    }

    /// Waits for a change of the object; for ever if it cannot be watched, until the next turn.
    pub(super) async fn changed(&mut self, registry: &Registry) {
        if self.watch.is_none() {
            self.watch = self.open(registry).await;
        }
        let Some(open) = &mut self.watch else { return std::future::pending().await };
        if open.next().await.is_err() {
            self.watch = None;
        }
    }

    async fn open(&self, registry: &Registry) -> Option<Watch> {
        let resource = context(&self.object, Verb::Create).ok()?.resource;
        let fields = FieldSelector::parse(&format!("metadata.name={}", self.object.name())).ok()?;
        let namespace = resource.namespaced.then(|| self.object.namespace().to_owned());
        let selection = Selection { namespace, fields, ..Selection::default() };
        // The object as it is comes first, which costs one look at it.
        let from = Some(0);
        registry.store.watch(&resource, &WatchQuery { selection, from, ..WatchQuery::default() }).await.ok()
    }
}
