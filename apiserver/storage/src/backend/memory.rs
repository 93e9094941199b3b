//! A key-value store in memory with etcd's semantics, for tests.

use super::{
    Backend, COMPACTION_KEY, Claim, Events, Kv, Op, Outcome, Page, PastEvent, Range, RawEvent, Write, past_size,
};
use crate::StorageError;
use async_trait::async_trait;
use component::Supervisor;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The store. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    state: Arc<Mutex<State>>,
    revision: Arc<watch::Sender<u64>>,
    supervisor: Supervisor,
}

#[derive(Debug)]
struct State {
    revision: u64,
    compacted: u64,
    /// All versions of each key, ascending; `None` is a deletion.
    keys: BTreeMap<Vec<u8>, Vec<Version>>,
    history: Vec<RawEvent>,
    leases: Vec<(i64, Vec<Vec<u8>>)>,
}

#[derive(Clone, Debug)]
struct Version {
    revision: u64,
    value: Option<Vec<u8>>,
}

impl Memory {
    /// An empty store; leases end on the supervisor's tasks.
    pub(crate) fn new(supervisor: &Supervisor) -> Self {
        let state = State { revision: 1, compacted: 0, keys: BTreeMap::new(), history: Vec::new(), leases: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        Self { state, revision: Arc::new(watch::Sender::new(1)), supervisor: supervisor.clone() }
    }

    fn change(&self, state: &mut State, key: &[u8], value: Option<Vec<u8>>) -> u64 {
        state.revision += 1;
        let revision = state.revision;
        state.keys.entry(key.to_vec()).or_default().push(Version { revision, value: value.clone() });
        state.history.push(RawEvent { key: key.to_vec(), revision, value });
        self.revision.send_replace(revision);
        revision
    }

    fn expire(&self, lease: i64) {
        let mut state = self.state.lock();
        let Some(at) = state.leases.iter().position(|(id, _)| *id == lease) else { return };
        let (_, keys) = state.leases.swap_remove(at);
        for key in keys.into_iter().filter(|key| state.get(key).is_some()).collect::<Vec<_>>() {
            self.change(&mut state, &key, None);
        }
    }
}

impl State {
    fn get(&self, key: &[u8]) -> Option<Kv> {
        Self::at(key, self.keys.get(key)?, self.revision)
    }

    fn at(key: &[u8], versions: &[Version], revision: u64) -> Option<Kv> {
        let last = versions.iter().rev().find(|v| v.revision <= revision)?;
        Some(Kv { key: key.to_vec(), value: last.value.clone()?, mod_revision: last.revision })
    }

    fn attach(&mut self, key: &[u8], lease: i64) {
        self.leases.iter_mut().for_each(|(_, keys)| keys.retain(|k| k != key));
        if let Some((_, keys)) = self.leases.iter_mut().find(|(id, _)| *id == lease) {
            keys.push(key.to_vec());
        }
    }
}

#[async_trait]
impl Backend for Memory {
    async fn get(&self, key: &[u8]) -> Result<Option<Kv>, StorageError> {
        Ok(self.state.lock().get(key))
    }

    async fn range(&self, range: Range) -> Result<Page, StorageError> {
        let state = self.state.lock();
        let revision = if range.revision == 0 { state.revision } else { range.revision };
        if revision < state.compacted {
            return Err(StorageError::Expired { requested: revision, oldest: state.compacted });
        }
        if revision > state.revision {
            return Err(StorageError::TooLarge { requested: revision, current: state.revision });
        }
        let keys = state.keys.range(range.start..range.end);
        let mut kvs: Vec<Kv> = keys.filter_map(|(key, versions)| State::at(key, versions, revision)).collect();
        let count = kvs.len() as u64;
        if range.limit > 0 {
            kvs.truncate(usize::try_from(range.limit).unwrap_or(usize::MAX));
        }
        Ok(Page { kvs, count, revision: state.revision })
    }

    async fn commit(&self, write: Write<'_>) -> Result<Outcome, StorageError> {
        let mut state = self.state.lock();
        let current = state.get(write.key);
        if current.as_ref().map_or(0, |kv| kv.mod_revision) != write.expected {
            return Ok(Outcome::Refused(current));
        }
        let (value, lease) = match write.op {
            Op::Put { value, lease } => (Some(value.to_vec()), lease),
            Op::Delete => (None, 0),
        };
        state.attach(write.key, lease);
        Ok(Outcome::Done(self.change(&mut state, write.key, value)))
    }

    async fn grant(&self, seconds: u64) -> Result<i64, StorageError> {
        let mut state = self.state.lock();
        let id = state.leases.iter().map(|(id, _)| *id).max().unwrap_or_default() + 1;
        state.leases.push((id, Vec::new()));
        let memory = self.clone();
        self.supervisor.spawn_until_stop("memory lease", async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            memory.expire(id);
        });
        Ok(id)
    }

    async fn watch(&self, from: u64) -> Result<Box<dyn Events>, StorageError> {
        Ok(Box::new(MemoryEvents { state: self.state.clone(), revision: self.revision.subscribe(), next: from }))
    }

    async fn past(&self, from: u64, until: u64, max_bytes: usize) -> Result<Vec<PastEvent>, StorageError> {
        let state = self.state.lock();
        if from < state.compacted {
            return Err(StorageError::Expired { requested: from, oldest: state.compacted });
        }
        let events = state.history.iter().filter(|event| (from..=until).contains(&event.revision));
        let past: Vec<PastEvent> = events
            .map(|event| {
                let versions = state.keys.get(&event.key).map(Vec::as_slice).unwrap_or_default();
                PastEvent { event: event.clone(), before: State::at(&event.key, versions, event.revision - 1) }
            })
            .collect();
        match past.iter().map(past_size).sum::<usize>() > max_bytes {
            true => Err(StorageError::Expired { requested: from, oldest: until }),
            false => Ok(past),
        }
    }

    async fn revision(&self) -> Result<u64, StorageError> {
        Ok(self.state.lock().revision)
    }

    async fn claim_compaction(&self, version: i64, revision: u64) -> Result<Claim, StorageError> {
        let key = COMPACTION_KEY.as_bytes();
        let mut state = self.state.lock();
        let written = state.keys.get(key).map_or(0, |versions| versions.len() as i64);
        if written == version {
            let now = self.change(&mut state, key, Some(revision.to_string().into_bytes()));
            return Ok(Claim { won: true, version: version + 1, compacted: 0, revision: now });
        }
        let value = state.get(key).and_then(|kv| String::from_utf8(kv.value).ok()).unwrap_or_default();
        let compacted = value.parse().unwrap_or_default();
        Ok(Claim { won: false, version: written, compacted, revision: state.revision })
    }

    async fn compact(&self, revision: u64) -> Result<(), StorageError> {
        let mut state = self.state.lock();
        state.compacted = state.compacted.max(revision);
        state.history.retain(|event| event.revision >= revision);
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryEvents {
    state: Arc<Mutex<State>>,
    revision: watch::Receiver<u64>,
    next: u64,
}

#[async_trait]
impl Events for MemoryEvents {
    async fn next(&mut self) -> Result<Vec<RawEvent>, StorageError> {
        loop {
            self.revision.borrow_and_update();
            {
                let state = self.state.lock();
                if self.next < state.compacted {
                    return Err(StorageError::Expired { requested: self.next, oldest: state.compacted });
                }
                let start = state.history.partition_point(|event| event.revision < self.next);
                let events = state.history[start..].to_vec();
                if let Some(last) = events.last() {
                    self.next = last.revision + 1;
                    return Ok(events);
                }
            }
            if self.revision.changed().await.is_err() {
                return Err(StorageError::Unavailable("the memory store is gone".into()));
            }
        }
    }
}
