//! ConfigMaps and Secrets, read once for all pods that use them and again after a while.

use super::ClusterError;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

type Key = (String, String);

/// Objects of one kind by namespace and name.
#[derive(Debug)]
pub struct Cache<K> {
    ttl: Duration,
    entries: Mutex<HashMap<Key, (Instant, Arc<K>)>>,
}

impl<K> Cache<K> {
    /// A cache that reads an object again when it is older than `ttl`.
    pub fn new(ttl: Duration) -> Self {
        Self { ttl, entries: Mutex::default() }
    }

    /// The object, from memory or by `fetch`. Absence is not remembered: who waits for an object
    /// gets it as soon as it is there.
    pub async fn get<F>(&self, namespace: &str, name: &str, fetch: F) -> Result<Arc<K>, ClusterError>
    where
        F: Future<Output = Result<K, ClusterError>>,
    {
        let key = (namespace.to_owned(), name.to_owned());
        if let Some((at, object)) = self.entries.lock().get(&key)
            && at.elapsed() < self.ttl
        {
            return Ok(object.clone());
        }
        let fetched = fetch.await;
        let mut entries = self.entries.lock();
        entries.retain(|_, (at, _)| at.elapsed() < self.ttl);
        let object = Arc::new(fetched?);
        entries.insert(key, (Instant::now(), object.clone()));
        Ok(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reads_once_within_the_ttl() {
        let cache = Cache::new(Duration::from_secs(60));
        let missing = || async { Err(ClusterError::Api("no".into())) };
        assert!(cache.get("n", "a", missing()).await.is_err());
        assert_eq!(*cache.get("n", "a", async { Ok(1) }).await.unwrap(), 1);
        assert_eq!(*cache.get("n", "a", async { Ok(2) }).await.unwrap(), 1);
        let none = Cache::new(Duration::ZERO);
        assert_eq!(*none.get("n", "a", async { Ok(1) }).await.unwrap(), 1);
        assert_eq!(*none.get("n", "a", async { Ok(2) }).await.unwrap(), 2);
    }
}
