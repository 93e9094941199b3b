//! Objects in etcd, and the watch cache in front of it.
//!
//! Invariant: only this crate knows etcd. Invariant: an object is encoded once per write; lists
//! and watch events splice the same bytes.
//!
//! Upstream: `apiserver/pkg/storage/{etcd3,cacher}`.
#![warn(missing_docs)]

mod backend;
mod cache;
mod compactor;
mod core;
mod encode;
pub mod encryption;
pub mod error;
mod feed;
mod form;
mod freshness;
mod list;
mod metrics;
pub mod object;
mod own;
mod past;
pub mod query;
pub mod store;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod token;
pub mod watch;
mod write;

pub use encryption::Encryption;
pub use error::StorageError;
pub use object::Object;
pub use query::{ListPage, ListQuery, Match, Selection, WatchQuery};
pub use store::{Change, Override, Store, StoreConfig};
pub use token::check_continue;
pub use watch::{Event, EventKind, Watch};
pub use write::Decide;
