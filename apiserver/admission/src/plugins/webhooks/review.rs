//! `AdmissionReview`, there and back.
//!
//! Upstream: `apiserver/pkg/admission/plugin/webhook/request/admissionreview.go`,
//! `apiserver/pkg/admission/plugin/webhook/errors/statuserror.go`.

use super::hook::Version;
use apimachinery::Value;
use apimachinery::status::{Reason, Status};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

/// An answer that makes no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReviewError {
    #[error("converting (v1.AdmissionReview) to webhook version: no supported version")]
    NoVersion,
    #[error("received invalid webhook response: {0}")]
    Malformed(String),
    #[error("webhook response is absent")]
    Absent,
    #[error("received invalid webhook response: expected response.uid={expected:?}, got {got:?}")]
    OtherRequest { expected: String, got: String },
    #[error("received invalid webhook response: expected webhook response of {expected}, got {got}")]
    OtherKind { expected: String, got: String },
    #[error(
        "received invalid webhook response: webhook response.patchType must be specified when response.patch is set"
    )]
    NoPatchType,
    #[error("unsupported patch type {0:?}")]
    PatchType(String),
}

/// What a webhook says.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) allowed: bool,
    /// A JSON patch.
    pub(super) patch: Option<Value>,
    /// `status` of a refusal.
    pub(super) status: Value,
    pub(super) warnings: Vec<String>,
    /// What the audit event is to say.
    pub(super) annotations: Vec<(String, String)>,
}

impl Version {
    fn api_version(self) -> Option<&'static str> {
        match self {
            Version::V1 => Some("admission.k8s.io/v1"),
            Version::V1Beta1 => Some("admission.k8s.io/v1beta1"),
            Version::Unknown => None,
        }
    }
}

/// The body of a call.
pub(super) fn encode(version: Version, request: &Value) -> Result<Vec<u8>, ReviewError> {
    let api_version = version.api_version().ok_or(ReviewError::NoVersion)?;
    let review = json!({"kind": "AdmissionReview", "apiVersion": api_version, "request": request});
    serde_json::to_vec(&review).map_err(|error| ReviewError::Malformed(error.to_string()))
}

/// The answer to the request with this UID.
pub(super) fn decode(version: Version, uid: &str, body: &[u8]) -> Result<Answer, ReviewError> {
    let review = apimachinery::codec::json::to_value(body);
    let review = review.map_err(|error| ReviewError::Malformed(error.to_string()))?;
    let response = review.get("response").filter(|r| r.is_object()).ok_or(ReviewError::Absent)?;
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    if version == Version::V1 {
        check(&review, text(response, "uid"), uid)?;
    }
    let warnings = response.get("warnings").and_then(Value::as_array).into_iter().flatten();
    let annotations = response.get("auditAnnotations").and_then(Value::as_object).into_iter().flatten();
    Ok(Answer {
        allowed: response.get("allowed").and_then(Value::as_bool).unwrap_or(false),
        patch: patch(version, response)?,
        status: response.get("status").cloned().unwrap_or_default(),
        warnings: warnings.filter_map(Value::as_str).map(str::to_owned).collect(),
        annotations: annotations.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect(),
    })
}

/// Version 1 has to say what it answers.
fn check(review: &Value, got: String, expected: &str) -> Result<(), ReviewError> {
    let text = |key: &str| review.get(key).and_then(Value::as_str).unwrap_or_default();
    let kind = format!("{}, Kind={}", text("apiVersion"), text("kind"));
    let wanted = "admission.k8s.io/v1, Kind=AdmissionReview";
    if kind != wanted {
        return Err(ReviewError::OtherKind { expected: wanted.into(), got: kind });
    }
    match got == expected {
        true => Ok(()),
        false => Err(ReviewError::OtherRequest { expected: expected.to_owned(), got }),
    }
}

fn patch(version: Version, response: &Value) -> Result<Option<Value>, ReviewError> {
    let Some(encoded) = response.get("patch").and_then(Value::as_str).filter(|p| !p.is_empty()) else {
        return Ok(None);
    };
    match (response.get("patchType").and_then(Value::as_str), version) {
        (Some("JSONPatch"), _) | (None, Version::V1Beta1) => {}
        (None, _) => return Err(ReviewError::NoPatchType),
        (Some(other), _) => return Err(ReviewError::PatchType(other.to_owned())),
    }
    let malformed = |error: &dyn std::fmt::Display| ReviewError::Malformed(error.to_string());
    let bytes = BASE64.decode(encoded).map_err(|error| malformed(&error))?;
    apimachinery::codec::json::to_value(&bytes).map(Some).map_err(|error| malformed(&error))
}

/// The refusal that a webhook's `status` asks for.
pub(super) fn denial(name: &str, status: &Value) -> Status {
    let text = |key: &str| status.get(key).and_then(Value::as_str).unwrap_or_default();
    let code = status.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
    let denied = format!("admission webhook {name:?} denied the request");
    let message = match (text("message"), text("reason")) {
        ("", "") => format!("{denied} without explanation"),
        ("", why) | (why, _) => format!("{denied}: {why}"),
    };
    Status::plain(if (400..600).contains(&code) { code } else { 400 }, reason(text("reason")), message)
}

fn reason(text: &str) -> Reason {
    const KNOWN: &[Reason] = &[
        Reason::Unauthorized,
        Reason::Forbidden,
        Reason::NotFound,
        Reason::AlreadyExists,
        Reason::Conflict,
        Reason::Gone,
        Reason::Invalid,
        Reason::ServerTimeout,
        Reason::Timeout,
        Reason::TooManyRequests,
        Reason::BadRequest,
        Reason::MethodNotAllowed,
        Reason::NotAcceptable,
        Reason::RequestEntityTooLarge,
        Reason::UnsupportedMediaType,
        Reason::InternalError,
        Reason::Expired,
        Reason::ServiceUnavailable,
    ];
    KNOWN.iter().copied().find(|reason| reason.as_str() == text).unwrap_or(Reason::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let patch = BASE64.encode(r#"[{"op":"add","path":"/a","value":1}]"#);
        for (version, body, want) in [
            (Version::V1, json!({"uid": "u", "allowed": true}), Ok((true, false))),
            (Version::V1, json!({"uid": "u", "patch": patch, "patchType": "JSONPatch"}), Ok((false, true))),
            (Version::V1, json!({"uid": "u", "patch": patch}), Err(ReviewError::NoPatchType)),
            (Version::V1Beta1, json!({"patch": patch}), Ok((false, true))),
            (
                Version::V1,
                json!({"uid": "x"}),
                Err(ReviewError::OtherRequest { expected: "u".into(), got: "x".into() }),
            ),
            (Version::V1Beta1, json!(null), Err(ReviewError::Absent)),
        ] {
            let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": body});
            let got = decode(version, "u", review.to_string().as_bytes());
            assert_eq!(got.map(|a| (a.allowed, a.patch.is_some())), want, "{body}");
        }
        assert!(matches!(decode(Version::V1, "u", b"nonsense"), Err(ReviewError::Malformed(_))));
    }

    #[test]
    fn denials() {
        for (status, code, want) in [
            (json!(null), 400, "admission webhook \"a.b.c\" denied the request without explanation"),
            (json!({"message": "no", "code": 403}), 403, "admission webhook \"a.b.c\" denied the request: no"),
            (
                json!({"reason": "Forbidden", "code": 200}),
                400,
                "admission webhook \"a.b.c\" denied the request: Forbidden",
            ),
        ] {
            let got = denial("a.b.c", &status);
            assert_eq!((got.code, got.message.as_str()), (code, want));
        }
    }
}
