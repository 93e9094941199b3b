//! Objects in etcd, and the watch cache in front of it.
//!
//! Invariant: only this crate knows etcd. Invariant: an object is encoded once per write; lists
//! and watch events splice the same bytes.
//!
//! Upstream: `apiserver/pkg/storage/{etcd3,cacher}`.
#![warn(missing_docs)]

pub mod error;
pub mod object;
pub mod query;
pub mod store;
pub mod watch;

pub use error::StorageError;
pub use object::Object;
pub use query::{ListPage, ListQuery, Match, Selection, WatchQuery};
pub use store::{Change, Store, StoreConfig};
pub use watch::{Event, EventKind, Watch};
