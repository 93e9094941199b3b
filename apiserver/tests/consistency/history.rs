//! What the clients did and saw, and what etcd says happened.

use std::collections::BTreeMap;

/// Nanoseconds since the run began.
pub(crate) type Moment = u64;

/// One finished operation of a client.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) begin: Moment,
    pub(crate) end: Moment,
    pub(crate) what: What,
}

/// What a client asked for and what it was told.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// A create, update or patch that was acknowledged.
    Wrote { key: String, value: u64, revision: u64, after: After },
    /// One whose answer was lost: it may have happened.
    MayHaveWritten { value: u64 },
    /// One that was refused: it must not have happened.
    Refused { value: u64 },
    /// A delete that was acknowledged; the uid tells which life of the key it ended.
    Deleted { key: String },
    /// A consistent read of one object.
    Read { key: String, found: Option<Seen> },
    /// A consistent list: the state at a revision.
    Listed { revision: u64, objects: BTreeMap<String, Seen> },
}

/// What must have been there before a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Nothing: a create.
    Absence,
    /// Exactly this revision: an update with a resource version.
    Revision(u64),
    /// Anything: a patch.
    Presence,
}

/// One state of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) revision: u64,
    pub(crate) value: u64,
}

/// One change as etcd has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) key: String,
    /// `None` is a deletion.
    pub(crate) value: Option<u64>,
}

/// What one watch showed without a break in its claim to be complete.
#[derive(Clone, Debug, Default)]
pub(crate) struct Segment {
    /// Everything after this revision is promised.
    pub(crate) from: u64,
    pub(crate) events: Vec<Change>,
    /// Everything up to this revision was shown: the last event's or bookmark's.
    pub(crate) until: u64,
}

/// Everything of one run.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) operations: Vec<Operation>,
    pub(crate) segments: Vec<Segment>,
}
