//! Storage errors as `Status`, where the server meets them itself: in running watches.

use apimachinery::status::{Reason, Status};
use apiserver_storage::StorageError;

/// The status that an ERROR event of a watch carries.
pub fn watch_status(error: &StorageError) -> Status {
    match error {
        StorageError::Expired { requested, oldest } => {
            Status::expired(format!("too old resource version: {requested} ({oldest})"))
        }
        StorageError::TooLarge { requested, current } => {
            let why = format!("Too large resource version: {requested}, current: {current}");
            Status::plain(504, Reason::Timeout, why)
        }
        other => Status::internal(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expired_watches_are_gone() {
        let status = watch_status(&StorageError::Expired { requested: 5, oldest: 9 });
        assert_eq!((status.code, status.message.as_str()), (410, "too old resource version: 5 (9)"));
    }
}
