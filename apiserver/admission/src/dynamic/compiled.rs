//! Configuration objects, compiled once for each of their revisions.

use apimachinery::Value;
use apimachinery::resources::{self, ResourceInfo};
use apiserver_storage::{Object, Store};
use parking_lot::Mutex;
use std::sync::Arc;

/// All objects of a configuration resource in their compiled form, in the order of their names.
/// It follows the watch cache: what was written is in force as soon as it can be read.
pub(crate) struct Compiled<T> {
    store: Store,
    resource: Option<&'static Arc<ResourceInfo>>,
    compile: Box<dyn Fn(&Value) -> T + Send + Sync>,
    current: Mutex<Vec<(Arc<Object>, Arc<T>)>>,
}

impl<T> Compiled<T> {
    pub(crate) fn new(store: Store, plural: &str, compile: impl Fn(&Value) -> T + Send + Sync + 'static) -> Self {
        let resource = resources::find("admissionregistration.k8s.io", "v1", plural);
        Self { store, resource, compile: Box::new(compile), current: Mutex::default() }
    }

    fn objects(&self) -> Vec<Arc<Object>> {
        self.resource.map(|resource| self.store.cached_list(resource, None)).unwrap_or_default()
    }

    /// Whether there is no such object: the usual case, and a cheap question.
    pub(crate) fn is_empty(&self) -> bool {
        self.resource.is_none_or(|resource| self.store.count(resource) == 0)
    }

    /// The compiled objects; only those that changed are compiled again.
    pub(crate) fn all(&self) -> Vec<Arc<T>> {
        let mut objects = self.objects();
        objects.sort_by(|a, b| a.name().cmp(b.name()));
        let mut current = self.current.lock();
        let same = |(known, object): (&(Arc<Object>, _), &Arc<Object>)| Arc::ptr_eq(&known.0, object);
        if current.len() != objects.len() || !current.iter().zip(&objects).all(same) {
            *current = objects.into_iter().map(|object| self.renewed(&current, object)).collect();
        }
        current.iter().map(|(_, compiled)| compiled.clone()).collect()
    }

    fn renewed(&self, current: &[(Arc<Object>, Arc<T>)], object: Arc<Object>) -> (Arc<Object>, Arc<T>) {
        if let Some((_, compiled)) = current.iter().find(|(known, _)| Arc::ptr_eq(known, &object)) {
            return (object, compiled.clone());
        }
        let compiled = Arc::new((self.compile)(&object.value()));
        (object, compiled)
    }
}
