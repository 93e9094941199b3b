//! Watches: a cursor into the shared, ordered history of one resource.

use crate::{Object, StorageError};
use std::sync::Arc;

/// What happened to an object, as the watcher sees it through its selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Created, or now selected.
    Added,
    /// Changed.
    Modified,
    /// Deleted, or no longer selected. The object is its last state, with the revision of the
    /// deletion as `resourceVersion`.
    Deleted,
}

/// One item of a watch.
#[derive(Clone, Debug)]
pub enum Event {
    /// A change.
    Change {
        /// What happened.
        kind: EventKind,
        /// The object.
        object: Arc<Object>,
    },
    /// The watcher has seen everything up to this revision.
    Bookmark {
        /// The revision.
        revision: u64,
        /// Ends the initial events of `sendInitialEvents`.
        initial_events_end: bool,
    },
}

/// A running watch.
#[derive(Debug)]
pub struct Watch {}

impl Watch {
    /// The next item. An error ends the watch: [`StorageError::Expired`] when the watcher was
    /// too slow or its revision was compacted, which the server sends as an ERROR event.
    pub async fn next(&mut self) -> Result<Event, StorageError> {
        unimplemented!()
    }

    /// An item that is ready now, so that several can be written in one go.
    pub fn try_next(&mut self) -> Option<Result<Event, StorageError>> {
        unimplemented!()
    }
}
