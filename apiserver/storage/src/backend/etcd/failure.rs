//! etcd's refusals, which are texts, as typed errors.

use crate::StorageError;
use etcd_client::Error;

pub(super) fn storage_error(error: Error) -> StorageError {
    match &error {
        Error::GRpcStatus(status) => from_text(status.message()).unwrap_or_else(|| match i32::from(status.code()) {
            DEADLINE_EXCEEDED | CANCELLED => StorageError::Timeout,
            _ => StorageError::Unavailable(status.message().to_owned()),
        }),
        other => StorageError::Unavailable(other.to_string()),
    }
}

const CANCELLED: i32 = 1;
const DEADLINE_EXCEEDED: i32 = 4;

fn from_text(text: &str) -> Option<StorageError> {
    let has = |part: &str| text.contains(part);
    Some(if has("required revision has been compacted") {
        StorageError::Expired { requested: 0, oldest: 0 }
    } else if has("required revision is a future revision") {
        StorageError::TooLarge { requested: 0, current: 0 }
    } else if has("request is too large") || has("received message larger than max") {
        StorageError::RequestTooLarge
    } else if has("database space exceeded") {
        StorageError::NoSpace
    } else if has("request timed out") || has("Timeout expired") {
        StorageError::Timeout
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_refusals() {
        for (text, expected) in [
            ("etcdserver: mvcc: required revision has been compacted", "revision 0 is too old, oldest is 0"),
            ("etcdserver: request is too large", "etcdserver: request is too large"),
            ("etcdserver: mvcc: database space exceeded", "etcdserver: mvcc: database space exceeded"),
            (
                "etcdserver: request timed out, possibly due to previous leader failure",
                "etcd did not answer within its deadline",
            ),
        ] {
            assert_eq!(from_text(text).map(|e| e.to_string()).as_deref(), Some(expected));
        }
        assert!(from_text("etcdserver: no leader").is_none());
    }
}
