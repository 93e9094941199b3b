//! The key-value contract that the store stands on: etcd's, cut down to what it needs.
//!
//! One battery (`tests/backend.rs` of this crate's unit tests) runs on every implementation.
//! Keys here are whole, prefix included.

pub(crate) mod etcd;
pub(crate) mod lease;
pub(crate) mod memory;
#[cfg(test)]
mod tests;

use crate::StorageError;
use async_trait::async_trait;

/// A stored key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kv {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    /// Revision of the last change of this key.
    pub(crate) mod_revision: u64,
}

/// A read of the keys in `[start, end)`.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    pub(crate) start: Vec<u8>,
    pub(crate) end: Vec<u8>,
    /// As of this revision; 0 is now.
    pub(crate) revision: u64,
    /// At most this many; 0 is no limit.
    pub(crate) limit: u64,
}

/// What a range read found.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) kvs: Vec<Kv>,
    /// Keys in the whole range, beyond the limit too.
    pub(crate) count: u64,
    /// The revision it was read at.
    pub(crate) revision: u64,
}

/// One guarded write: it happens if the key's mod revision is `expected` (0: absent).
#[derive(Debug)]
pub(crate) struct Write<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) expected: u64,
    pub(crate) op: Op<'a>,
}

/// What a write does.
#[derive(Debug)]
pub(crate) enum Op<'a> {
    /// Puts a value; lease 0 is none.
    Put {
        value: &'a [u8],
        lease: i64,
    },
    Delete,
}

/// How a guarded write ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Done at this revision.
    Done(u64),
    /// The guard failed; this is what is there.
    Refused(Option<Kv>),
}

/// A change, as the watch delivers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawEvent {
    pub(crate) key: Vec<u8>,
    pub(crate) revision: u64,
    /// `None` for a deletion.
    pub(crate) value: Option<Vec<u8>>,
}

/// A change of the past, with what was there before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PastEvent {
    pub(crate) event: RawEvent,
    pub(crate) before: Option<Kv>,
}

/// The claim on one turn of the compactor, see [`Backend::claim_compaction`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Whether this caller won the turn.
    pub(crate) won: bool,
    /// Version of the key: the logical time of the next turn.
    pub(crate) version: i64,
    /// The revision in the key, if somebody else won.
    pub(crate) compacted: u64,
    /// etcd's revision now.
    pub(crate) revision: u64,
}

/// An ordered stream of changes.
#[async_trait]
pub(crate) trait Events: Send {
    /// The next changes, never splitting a revision. [`StorageError::Expired`] if they were
    /// compacted away; after any error the stream is over.
    async fn next(&mut self) -> Result<Vec<RawEvent>, StorageError>;
}

/// The key-value store.
#[async_trait]
pub(crate) trait Backend: std::fmt::Debug + Send + Sync + 'static {
    /// Reads one key, linearizably.
    async fn get(&self, key: &[u8]) -> Result<Option<Kv>, StorageError>;

    /// Reads a range; at revision 0 linearizably.
    async fn range(&self, range: Range) -> Result<Page, StorageError>;

    /// Writes one key in a transaction.
    async fn commit(&self, write: Write<'_>) -> Result<Outcome, StorageError>;

    /// Makes a lease of this many seconds.
    async fn grant(&self, seconds: u64) -> Result<i64, StorageError>;

    /// Watches every key there is from this revision on.
    ///
    /// All keys, not only those of one prefix: then each revision of etcd shows in the stream,
    /// and "the stream has reached the current revision" is certain without progress requests,
    /// which etcd before 3.4.25 answers out of order (etcd-io/etcd#15220).
    async fn watch(&self, from: u64) -> Result<Box<dyn Events>, StorageError>;

    /// All changes of the revisions in `[from, until]`, of at most so many bytes.
    /// [`StorageError::Expired`] if they were compacted away or are more than that.
    async fn past(&self, from: u64, until: u64, max_bytes: usize) -> Result<Vec<PastEvent>, StorageError>;

    /// etcd's current revision, linearizably.
    async fn revision(&self) -> Result<u64, StorageError>;

    /// Claims a turn of the compactor: writes `revision` to the compaction key if that key has
    /// been written `version` times.
    async fn claim_compaction(&self, version: i64, revision: u64) -> Result<Claim, StorageError>;

    /// Forgets what is older than this revision.
    async fn compact(&self, revision: u64) -> Result<(), StorageError>;
}

/// A size that a change of the past takes.
pub(crate) fn past_size(past: &PastEvent) -> usize {
    let value = past.event.value.as_ref().map_or(0, Vec::len);
    past.event.key.len() + value + past.before.as_ref().map_or(0, |before| before.value.len())
}

/// The key that serialises the compactors of all apiservers, upstream's included.
pub(crate) const COMPACTION_KEY: &str = "compact_rev_key";

/// The end of the range of keys that start with `prefix`.
pub(crate) fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}
