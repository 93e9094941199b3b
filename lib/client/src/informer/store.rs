//! The cached objects with their indexes; no locks, no I/O.

use super::{Change, ObjectKey};
use std::collections::HashMap;
use std::sync::Arc;

type IndexKeys<K> = Box<dyn Fn(&K) -> Vec<String> + Send + Sync>;

/// Objects by namespace and name, and by the values of each index.
pub(super) struct Store<K> {
    objects: HashMap<String, HashMap<String, Entry<K>>>,
    indexes: HashMap<&'static str, Index<K>>,
    /// Counts lists; an entry of an earlier list was not in the present one.
    list: u32,
}

struct Entry<K> {
    object: Arc<K>,
    list: u32,
}

struct Index<K> {
    keys: IndexKeys<K>,
    /// Per value, the objects by address: removal without a search, without a copy of their key.
    values: HashMap<String, HashMap<usize, Arc<K>>>,
}

impl<K> Default for Store<K> {
    fn default() -> Self {
        Self { objects: HashMap::new(), indexes: HashMap::new(), list: 0 }
    }
}

/// An object's resource version as a number; 0 if it is none.
pub(super) fn version<K: kube::Resource>(object: &K) -> u64 {
    object.meta().resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(0)
}

impl<K: kube::Resource> Store<K> {
    pub(super) fn add_index(&mut self, name: &'static str, keys: IndexKeys<K>) {
        self.indexes.insert(name, Index { keys, values: HashMap::new() });
    }

    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.objects.get(namespace)?.get(name).map(|entry| Arc::clone(&entry.object))
    }

    pub(super) fn list(&self) -> Vec<Arc<K>> {
        let mut all = Vec::with_capacity(self.len());
        all.extend(self.objects.values().flat_map(HashMap::values).map(|entry| Arc::clone(&entry.object)));
        all
    }

    pub(super) fn len(&self) -> usize {
        self.objects.values().map(HashMap::len).sum()
    }

    pub(super) fn list_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let objects = self.objects.get(namespace).into_iter().flat_map(HashMap::values);
        objects.map(|entry| Arc::clone(&entry.object)).collect()
    }

    pub(super) fn by_index(&self, index: &str, value: &str) -> Vec<Arc<K>> {
        let Some(index) = self.indexes.get(index) else { return Vec::new() };
        index.values.get(value).map(|found| found.values().cloned().collect()).unwrap_or_default()
    }

    /// Takes an object in; nothing if it is known in this version already.
    pub(super) fn apply(&mut self, object: Arc<K>) -> Option<Change<K>> {
        let ObjectKey { namespace, name } = ObjectKey::of(&*object);
        let entry = Entry { object: Arc::clone(&object), list: self.list };
        let objects = self.objects.entry(namespace).or_default();
        if let Some(known) = objects.get_mut(&name)
            && is_same_version(&*known.object, &*object)
        {
            known.list = self.list;
            return None;
        }
        let old = objects.insert(name, entry).map(|entry| entry.object);
        if let Some(old) = &old {
            self.unindex(old);
        }
        self.index(&object);
        Some(match old {
            // Another object of the same name: the first one's deletion went unseen.
            Some(old) => Change::Updated(old, object),
            None => Change::Added(object),
        })
    }

    pub(super) fn remove(&mut self, key: &ObjectKey) -> Option<Arc<K>> {
        let objects = self.objects.get_mut(&key.namespace)?;
        let gone = objects.remove(&key.name)?.object;
        if objects.is_empty() {
            self.objects.remove(&key.namespace);
        }
        self.unindex(&gone);
        Some(gone)
    }

    pub(super) fn begin_list(&mut self) {
        self.list = self.list.wrapping_add(1);
    }

    /// Removes and gives what the list did not show.
    pub(super) fn end_list(&mut self) -> Vec<Arc<K>> {
        let entries = self.objects.values().flat_map(HashMap::values);
        let stale = entries.filter(|entry| entry.list != self.list).map(|entry| ObjectKey::of(&*entry.object));
        let stale: Vec<_> = stale.collect();
        stale.iter().filter_map(|key| self.remove(key)).collect()
    }

    fn index(&mut self, object: &Arc<K>) {
        for index in self.indexes.values_mut() {
            for value in (index.keys)(object) {
                index.values.entry(value).or_default().insert(address(object), Arc::clone(object));
            }
        }
    }

    fn unindex(&mut self, object: &Arc<K>) {
        for index in self.indexes.values_mut() {
            for value in (index.keys)(object) {
                if let Some(found) = index.values.get_mut(&value) {
                    found.remove(&address(object));
                    if found.is_empty() {
                        index.values.remove(&value);
                    }
                }
            }
        }
    }
}

fn address<K>(object: &Arc<K>) -> usize {
    Arc::as_ptr(object).addr()
}

fn is_same_version<K: kube::Resource>(a: &K, b: &K) -> bool {
    let (a, b) = (a.meta(), b.meta());
    a.resource_version.is_some() && a.resource_version == b.resource_version && a.uid == b.uid
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    fn object(name: &str, version: &str, color: &str) -> Arc<ConfigMap> {
        Arc::new(ConfigMap {
            metadata: ObjectMeta {
                namespace: Some("n".into()),
                name: Some(name.into()),
                resource_version: Some(version.into()),
                labels: Some([("color".to_owned(), color.to_owned())].into()),
                ..Default::default()
            },
            ..Default::default()
        })
    }

    fn store() -> Store<ConfigMap> {
        let mut store = Store::default();
        store.add_index(
            "color",
            Box::new(|o: &ConfigMap| o.metadata.labels.iter().flatten().map(|l| l.1.clone()).collect()),
        );
        store
    }

    fn names(mut found: Vec<Arc<ConfigMap>>) -> Vec<String> {
        found.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        found.iter().filter_map(|o| o.metadata.name.clone()).collect()
    }

    #[test]
    fn an_index_follows_its_objects() {
        let mut store = store();
        assert!(matches!(store.apply(object("a", "1", "red")), Some(Change::Added(_))));
        store.apply(object("b", "2", "red"));
        assert_eq!(names(store.by_index("color", "red")), ["a", "b"]);
        assert!(matches!(store.apply(object("a", "3", "blue")), Some(Change::Updated(..))));
        assert_eq!(names(store.by_index("color", "red")), ["b"]);
        assert_eq!(names(store.by_index("color", "blue")), ["a"]);
        store.remove(&ObjectKey { namespace: "n".into(), name: "b".into() });
        assert!(store.by_index("color", "red").is_empty());
        assert!(store.by_index("nonesuch", "red").is_empty());
        assert_eq!(names(store.list_namespace("n")), ["a"]);
    }

    #[test]
    fn the_same_version_is_no_change() {
        let mut store = store();
        store.apply(object("a", "1", "red"));
        assert!(store.apply(object("a", "1", "red")).is_none());
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn what_a_new_list_does_not_show_is_gone() {
        let mut store = store();
        store.apply(object("a", "1", "red"));
        store.apply(object("b", "2", "red"));
        store.begin_list();
        assert!(store.apply(object("b", "2", "red")).is_none());
        store.apply(object("c", "5", "red"));
        assert_eq!(names(store.end_list()), ["a"]);
        assert_eq!(names(store.list()), ["b", "c"]);
    }
}
