//! `meta/v1.Status`: the one error type that crosses the API.
//!
//! Upstream: `apimachinery/pkg/api/errors/errors.go`, `apis/meta/v1/types.go`.

use crate::Value;
use crate::field::FieldError;
use crate::go::quoted;
use crate::gvk::{GroupResource, GroupVersionKind};

/// Why a request failed, as `Status.reason` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Reason {
    Unknown,
    Unauthorized,
    Forbidden,
    NotFound,
    AlreadyExists,
    Conflict,
    Gone,
    Invalid,
    ServerTimeout,
    StoreReadError,
    Timeout,
    TooManyRequests,
    BadRequest,
    MethodNotAllowed,
    NotAcceptable,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    InternalError,
    Expired,
    ServiceUnavailable,
}

/// One cause in `Status.details`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Cause {
    /// Machine-readable cause type, such as `FieldValueInvalid`.
    pub reason: String,
    /// Human-readable message.
    pub message: String,
    /// Field path, such as `spec.containers[0].name`.
    pub field: String,
}

/// What a failed request was about.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Details {
    /// Object name.
    pub name: String,
    /// API group.
    pub group: String,
    /// Resource (plural), or kind for `Invalid`, as upstream does.
    pub kind: String,
    /// Object UID.
    pub uid: String,
    /// Causes.
    pub causes: Vec<Cause>,
    /// Seconds after which a retry makes sense; 0 says nothing.
    pub retry_after_seconds: u32,
}

/// A failed request: HTTP code, reason, message and details.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    /// HTTP status code.
    pub code: u16,
    /// Machine-readable reason.
    pub reason: Reason,
    /// Human-readable message.
    pub message: String,
    /// What the request was about.
    pub details: Option<Box<Details>>,
    /// `metadata.continue`: from where an expired list goes on, if the client accepts a newer state.
    pub continue_token: Option<Box<str>>,
}

impl Status {
    /// 404: `pods "x" not found`.
    pub fn not_found(resource: &GroupResource, name: &str) -> Self {
        Self::about(404, Reason::NotFound, resource, name, format!("{resource} {} not found", quoted(name)))
    }

    /// 409: `pods "x" already exists`.
    pub fn already_exists(resource: &GroupResource, name: &str) -> Self {
        Self::about(409, Reason::AlreadyExists, resource, name, format!("{resource} {} already exists", quoted(name)))
    }

    /// 409: `Operation cannot be fulfilled on pods "x": why`.
    pub fn conflict(resource: &GroupResource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} {}: {why}", quoted(name));
        Self::about(409, Reason::Conflict, resource, name, message)
    }

    /// 403: `pods "x" is forbidden: why`, without the name if it is empty.
    pub fn forbidden(resource: &GroupResource, name: &str, why: &str) -> Self {
        let message = match (resource.resource.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {why}"),
            (_, true) => format!("{resource} is forbidden: {why}"),
            _ => format!("{resource} {} is forbidden: {why}", quoted(name)),
        };
        Self::about(403, Reason::Forbidden, resource, name, message)
    }

    /// 422: `Pod "x" is invalid: [...]` with one cause per field error. The message says each of them once.
    pub fn invalid(kind: &GroupVersionKind, name: &str, errors: &[FieldError]) -> Self {
        let mut list: Vec<String> = Vec::with_capacity(errors.len());
        for text in errors.iter().map(ToString::to_string) {
            if !list.contains(&text) {
                list.push(text);
            }
        }
        let list = match list.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let label = match kind.group.is_empty() {
            true => kind.kind.to_string(),
            false => format!("{}.{}", kind.kind, kind.group),
        };
        let causes = errors.iter().map(FieldError::cause).collect();
        let details = Details {
            name: name.into(),
            group: kind.group.to_string(),
            kind: kind.kind.to_string(),
            causes,
            ..Details::default()
        };
        let message = format!("{label} {} is invalid: {list}", quoted(name));
        Self { details: Some(Box::new(details)), ..Self::plain(422, Reason::Invalid, message) }
    }

    /// 400 with `why` as its message.
    pub fn bad_request(why: impl Into<String>) -> Self {
        Self::plain(400, Reason::BadRequest, why)
    }

    /// 401 `Unauthorized`.
    pub fn unauthorized() -> Self {
        Self::plain(401, Reason::Unauthorized, "Unauthorized")
    }

    /// 405 with upstream's message.
    pub fn method_not_allowed() -> Self {
        Self::generic(405, Reason::MethodNotAllowed, "the server does not allow this method on the requested resource")
    }

    /// 405: `x is not supported on resources of kind "pods"`, where `x` is the verb.
    pub fn not_supported(resource: &GroupResource, verb: &str) -> Self {
        let message = format!("{verb} is not supported on resources of kind {}", quoted(&resource.to_string()));
        Self::about(405, Reason::MethodNotAllowed, resource, "", message)
    }

    /// 410 Expired: the resource version or continue token is too old.
    pub fn expired(why: impl Into<String>) -> Self {
        Self::plain(410, Reason::Expired, why)
    }

    /// 429 with `Retry-After`.
    pub fn too_many_requests(why: impl Into<String>, retry_after_seconds: u32) -> Self {
        let details = Details { retry_after_seconds, ..Details::default() };
        Self { details: Some(Box::new(details)), ..Self::plain(429, Reason::TooManyRequests, why) }
    }

    /// 500: `Internal error occurred: why`.
    pub fn internal(why: impl std::fmt::Display) -> Self {
        let why = why.to_string();
        let message = format!("Internal error occurred: {why}");
        let causes = vec![Cause { message: why, ..Cause::default() }];
        let details = Details { causes, ..Details::default() };
        Self { details: Some(Box::new(details)), ..Self::plain(500, Reason::InternalError, message) }
    }

    /// 504 Timeout.
    pub fn timeout(why: impl Into<String>) -> Self {
        Self::plain(504, Reason::Timeout, why)
    }

    /// 503 ServiceUnavailable.
    pub fn unavailable(why: impl Into<String>) -> Self {
        Self::plain(503, Reason::ServiceUnavailable, why)
    }

    /// A status with details that say nothing, as upstream has it of answers made from a code alone.
    pub fn generic(code: u16, reason: Reason, message: impl Into<String>) -> Self {
        Self { details: Some(Box::default()), ..Self::plain(code, reason, message) }
    }

    /// A status without details.
    pub fn plain(code: u16, reason: Reason, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None, continue_token: None }
    }

    fn about(code: u16, reason: Reason, resource: &GroupResource, name: &str, message: String) -> Self {
        let details = Details {
            name: name.into(),
            group: resource.group.to_string(),
            kind: resource.resource.to_string(),
            ..Details::default()
        };
        Self { details: Some(Box::new(details)), ..Self::plain(code, reason, message) }
    }

    /// The `Status` object as it goes over the wire.
    pub fn to_value(&self) -> Value {
        let mut status = serde_json::json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if self.reason != Reason::Unknown {
            status["reason"] = self.reason.as_str().into();
        }
        if let Some(details) = &self.details {
            status["details"] = details.to_value();
        }
        if let Some(token) = &self.continue_token {
            status["metadata"]["continue"] = token.as_ref().into();
        }
        status
    }
}

impl Details {
    fn to_value(&self) -> Value {
        let mut map = crate::Map::new();
        for (key, text) in [("name", &self.name), ("group", &self.group), ("kind", &self.kind), ("uid", &self.uid)] {
            if !text.is_empty() {
                map.insert(key.into(), text.as_str().into());
            }
        }
        if !self.causes.is_empty() {
            map.insert("causes".into(), self.causes.iter().map(Cause::to_value).collect());
        }
        if self.retry_after_seconds != 0 {
            map.insert("retryAfterSeconds".into(), self.retry_after_seconds.into());
        }
        Value::Object(map)
    }
}

impl Cause {
    fn to_value(&self) -> Value {
        let mut map = crate::Map::new();
        for (key, text) in [("reason", &self.reason), ("message", &self.message), ("field", &self.field)] {
            if !text.is_empty() {
                map.insert(key.into(), text.as_str().into());
            }
        }
        Value::Object(map)
    }
}

impl Reason {
    /// The word on the wire; empty for [`Reason::Unknown`].
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Unknown => "",
            Reason::Unauthorized => "Unauthorized",
            Reason::Forbidden => "Forbidden",
            Reason::NotFound => "NotFound",
            Reason::AlreadyExists => "AlreadyExists",
            Reason::Conflict => "Conflict",
            Reason::Gone => "Gone",
            Reason::Invalid => "Invalid",
            Reason::ServerTimeout => "ServerTimeout",
            Reason::StoreReadError => "StorageReadError",
            Reason::Timeout => "Timeout",
            Reason::TooManyRequests => "TooManyRequests",
            Reason::BadRequest => "BadRequest",
            Reason::MethodNotAllowed => "MethodNotAllowed",
            Reason::NotAcceptable => "NotAcceptable",
            Reason::RequestEntityTooLarge => "RequestEntityTooLarge",
            Reason::UnsupportedMediaType => "UnsupportedMediaType",
            Reason::InternalError => "InternalError",
            Reason::Expired => "Expired",
            Reason::ServiceUnavailable => "ServiceUnavailable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_gos_quotes() {
        let pods = GroupResource::new("", "pods");
        for (name, want) in [("a", "pods \"a\" not found"), ("a\n\"", "pods \"a\\n\\\"\" not found")] {
            assert_eq!(Status::not_found(&pods, name).message, want);
        }
        let kind = GroupVersionKind::new("apps", "v1", "Deployment");
        assert_eq!(Status::invalid(&kind, "a\t", &[]).message, "Deployment.apps \"a\\t\" is invalid: []");
    }
}
