//! What a request fails with on its way through the filters.

use crate::response;
use apimachinery::status::Status;

/// What a request fails with, and in whose words.
pub(super) struct Failure {
    pub(super) status: Status,
    pub(super) by: By,
}

/// Who refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// What decides whether the user may: clients are to make nothing else of the answer.
    Filter,
    /// What looks at the time: it does not ask how the client wants to hear of it.
    Clock,
    /// Anything else.
    Other,
}

impl Failure {
    pub(super) fn of_filter(status: Status) -> Self {
        Self { status, by: By::Filter }
    }

    pub(super) fn of_clock() -> Self {
        Self { status: Status::timeout(response::TIMED_OUT), by: By::Clock }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self { status, by: By::Other }
    }
}
