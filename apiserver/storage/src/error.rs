//! What can go wrong between the registry and etcd.

/// A failed storage operation. The registry maps it to a `Status`.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StorageError {
    /// The key exists already.
    #[error("key exists: {key}")]
    Exists {
        /// Key below the prefix.
        key: String,
    },
    /// The key does not exist.
    #[error("key not found: {key}")]
    NotFound {
        /// Key below the prefix.
        key: String,
    },
    /// The object is not at the expected revision.
    #[error("{key} is at revision {actual}, expected {expected}")]
    Conflict {
        /// Key below the prefix.
        key: String,
        /// Expected modification revision.
        expected: u64,
        /// Actual modification revision; 0 if the object is gone.
        actual: u64,
    },
    /// The revision was compacted away.
    #[error("revision {requested} is too old, oldest is {oldest}")]
    Expired {
        /// Revision asked for.
        requested: u64,
        /// Oldest revision that can be served.
        oldest: u64,
    },
    /// The continue token's revision was compacted away.
    #[error("the continue token is too old")]
    ExpiredContinue {
        /// Continues the list at the most recent revision: the client may take the
        /// inconsistency or start anew.
        continue_token: String,
    },
    /// The revision lies in the future and did not come within the deadline.
    #[error("Too large resource version: {requested}, current: {current}")]
    TooLarge {
        /// Revision asked for.
        requested: u64,
        /// Current revision.
        current: u64,
    },
    /// The continue token cannot be read.
    #[error("continue key is not valid: {0}")]
    BadContinue(String),
    /// The stored bytes cannot be read.
    #[error("object {key} cannot be decoded: {why}")]
    Corrupt {
        /// Key below the prefix.
        key: String,
        /// The decoder's words.
        why: String,
    },
    /// The stored bytes are encrypted with a key that cannot be had at present.
    #[error("unable to transform key {key:?}: {why}")]
    Sealed {
        /// Key below the prefix.
        key: String,
        /// The key management service's words.
        why: String,
    },
    /// The write is larger than etcd takes (`--etcd` request limit, 1.5 MiB by default).
    #[error("etcdserver: request is too large")]
    RequestTooLarge,
    /// etcd's quota is used up.
    #[error("etcdserver: mvcc: database space exceeded")]
    NoSpace,
    /// etcd did not answer in time; the write may or may not have happened.
    #[error("etcd did not answer within its deadline")]
    Timeout,
    /// No such resource was given to [`crate::Store::open`] or [`crate::Store::add_resource`].
    #[error("{prefix} is not stored here")]
    Unknown {
        /// Its storage prefix.
        prefix: String,
    },
    /// The resource is gone or has another definition now: its watches end.
    #[error("the resource has changed")]
    Closed,
    /// etcd cannot be reached or refused the call.
    #[error("etcd: {0}")]
    Unavailable(String),
}
