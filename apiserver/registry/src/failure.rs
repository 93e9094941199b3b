//! Failed storage operations as the `Status` that the client sees.
//!
//! Upstream: `apiserver/pkg/registry/generic/registry` through `storage/errors/storage.go`.

use apimachinery::gvk::GroupResource;
use apimachinery::status::{Cause, Details, Reason, Status};
use apiserver_storage::StorageError;

/// What a lost race says, on every path.
pub(crate) const STALE: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// Why a change inside a transaction did not come about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The store could not.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The registry refused.
    #[error(transparent)]
    Refused(#[from] Status),
}

impl Failure {
    /// The `Status` of a failed operation on this object.
    pub(crate) fn status(self, resource: &GroupResource, name: &str) -> Status {
        match self {
            Failure::Storage(error) => storage(error, resource, name),
            Failure::Refused(status) => status,
        }
    }
}

/// The `Status` of a failed storage operation on this object.
pub(crate) fn storage(error: StorageError, resource: &GroupResource, name: &str) -> Status {
    match error {
        StorageError::Exists { .. } => Status::already_exists(resource, name),
        StorageError::NotFound { .. } => Status::not_found(resource, name),
        StorageError::Conflict { .. } => Status::conflict(resource, name, STALE),
        StorageError::Expired { requested, oldest } => {
            Status::expired(format!("too old resource version: {requested} ({oldest})"))
        }
        StorageError::ExpiredContinue { continue_token } => expired_continue(continue_token),
        error @ StorageError::TooLarge { .. } => too_large(error.to_string()),
        StorageError::BadContinue(why) => {
            Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
        }
        error @ (StorageError::Corrupt { .. } | StorageError::Sealed { .. }) => Status::internal(error),
        // Upstream passes etcd's refusals on without a reason.
        error @ (StorageError::RequestTooLarge | StorageError::NoSpace) => {
            Status::plain(500, Reason::Unknown, error.to_string())
        }
        StorageError::Unknown { .. } => {
            Status::plain(404, Reason::NotFound, "the server could not find the requested resource")
        }
        error @ StorageError::Closed => Status::unavailable(error.to_string()),
        StorageError::Timeout => {
            Status::timeout("Timeout: request did not complete within the allotted timeout".to_owned())
        }
        error @ StorageError::Unavailable(_) => Status::unavailable(error.to_string()),
    }
}

/// A token that was given out too long ago: the answer carries another one, for clients that
/// prefer an inconsistent list to starting anew.
fn expired_continue(continue_token: String) -> Status {
    let why = "The provided continue parameter is too old to display a consistent list result. You can start a new list \
               without the continue parameter, or use the continue token in this response to retrieve the remainder of \
               the results. Continuing with the provided token results in an inconsistent list - objects that were \
               created, modified, or deleted between the time the first chunk was returned and now may show up in the \
               list.";
    Status { continue_token: Some(continue_token.into()), ..Status::expired(why) }
}

fn too_large(message: String) -> Status {
    let cause = Cause {
        reason: "ResourceVersionTooLarge".into(),
        message: "Too large resource version".into(),
        ..Cause::default()
    };
    let details = Details { causes: vec![cause], retry_after_seconds: 1, ..Details::default() };
    Status { details: Some(Box::new(details)), ..Status::timeout(format!("Timeout: {message}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_every_failure_to_upstreams_code() {
        let pods = GroupResource::new("", "pods");
        let key = || "pods/default/a".to_owned();
        for (error, code, message) in [
            (StorageError::Exists { key: key() }, 409, "pods \"a\" already exists"),
            (StorageError::NotFound { key: key() }, 404, "pods \"a\" not found"),
            (
                StorageError::Conflict { key: key(), expected: 1, actual: 2 },
                409,
                "Operation cannot be fulfilled on pods \"a\": the object has been modified; please apply your changes to \
                 the latest version and try again",
            ),
            (StorageError::Expired { requested: 1, oldest: 5 }, 410, "too old resource version: 1 (5)"),
            (
                StorageError::TooLarge { requested: 9, current: 5 },
                504,
                "Timeout: Too large resource version: 9, current: 5",
            ),
            (StorageError::BadContinue("x".into()), 400, "invalid continue token: continue key is not valid: x"),
            (
                StorageError::Sealed { key: key(), why: "failed to decrypt DEK, error: x".into() },
                500,
                "Internal error occurred: unable to transform key \"pods/default/a\": failed to decrypt DEK, error: x",
            ),
            (StorageError::RequestTooLarge, 500, "etcdserver: request is too large"),
        ] {
            let status = storage(error, &pods, "a");
            assert_eq!((status.code, status.message.as_str()), (code, message));
        }
    }

    #[test]
    fn an_expired_list_says_how_to_go_on() {
        let expired = StorageError::ExpiredContinue { continue_token: "abc".into() };
        let status = storage(expired, &GroupResource::new("", "pods"), "").to_value();
        assert_eq!(status["code"], 410);
        assert_eq!(status["metadata"], serde_json::json!({"continue": "abc"}));
        assert_eq!(status.get("details"), None);
    }
}
