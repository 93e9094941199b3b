//! Answers that say no: a `Status`, or what something else on the way says.
//!
//! Upstream: `client-go/rest/request.go` (`transformResponse`), `apimachinery/pkg/api/errors`
//! (`NewGenericServerResponse`).

use crate::print::quote;
use apimachinery::Value;
use http::{HeaderMap, Method, header};
use serde_json::json;

/// How much of an answer that is no `Status` is repeated, in bytes.
const MAX_TEXT: usize = 2048;

/// An answer of the server that says no: its `Status`.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// HTTP status.
    pub code: u16,
    /// `Status.reason`.
    pub reason: String,
    /// `Status.message`, or upstream's words for the code.
    pub message: String,
    /// `Status.details`.
    pub details: Value,
}

impl Refused {
    /// Whether the server takes the object for wrong.
    pub fn is_invalid(&self) -> bool {
        self.reason == "Invalid" || self.reason.is_empty() && self.code == 422
    }
}

/// What a request is about, as answers without a `Status` are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its method.
    pub method: Method,
    /// Group of the resource; empty for core.
    pub group: String,
    /// Plural name of the resource; empty if the path is none of a resource.
    pub resource: String,
    /// Name of the object; empty for collections.
    pub name: String,
    /// Upstream looks for no `Status` in what is said of the server itself.
    bare: bool,
}

impl Subject {
    /// Reads a path of the API.
    pub fn of(method: &Method, path: &str) -> Self {
        let path = path.split('?').next().unwrap_or_default();
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let (group, parts) = match parts.as_slice() {
            ["api", _, rest @ ..] => ("", rest),
            ["apis", group, _, rest @ ..] => (*group, rest),
            _ => ("", &[][..]),
        };
        let parts = match parts {
            ["namespaces", _, rest @ ..] if !rest.is_empty() => rest,
            parts => parts,
        };
        let part = |at: usize| parts.get(at).copied().unwrap_or_default().to_owned();
        let bare = matches!(path, "/api" | "/apis" | "/version") || path.starts_with("/openapi/");
        Self { method: method.clone(), group: group.to_owned(), resource: part(0), name: part(1), bare }
    }

    /// A request of which nothing is known but the method.
    pub fn unknown(method: &Method) -> Self {
        let nothing = String::new;
        Self { method: method.clone(), group: nothing(), resource: nothing(), name: nothing(), bare: false }
    }

    /// ` (get pods.metrics.k8s.io web)`; nothing if no resource is asked.
    fn told(&self) -> String {
        if self.resource.is_empty() {
            return String::new();
        }
        let dot = if self.group.is_empty() { "" } else { "." };
        let space = if self.name.is_empty() { "" } else { " " };
        let verb = self.method.as_str().to_ascii_lowercase();
        format!(" ({verb} {}{dot}{}{space}{})", self.resource, self.group, self.name)
    }
}

/// A name that cannot be part of a path: what it would ask for is something else.
///
/// Upstream: `client-go/rest/request.go` (`IsValidPathSegmentName`).
#[derive(Debug, thiserror::Error)]
pub(super) enum BadName {
    /// The path would be that of all objects.
    #[error("resource name may not be empty")]
    Empty,
    /// The path would be that of something above.
    #[error("invalid {what} {name:?}: [may not be '{name}']")]
    Dots {
        /// `namespace` or `resource name`.
        what: &'static str,
        /// What is called so.
        name: String,
    },
    /// The name would be read as another one.
    #[error("invalid {what} {name:?}: [{signs}]")]
    Signs {
        /// `namespace` or `resource name`.
        what: &'static str,
        /// What is called so.
        name: String,
        /// What it may not contain.
        signs: String,
    },
}

/// Checks the names in a path.
pub(super) fn check_names(path: &str) -> Result<(), BadName> {
    let path = path.split('?').next().unwrap_or_default();
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    for (at, segment) in segments.iter().enumerate() {
        let name = percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned();
        // Behind a namespace there is something in it.
        let namespace = at > 0 && segments[at - 1] == "namespaces" && segments.len() > at + 1;
        let what = if namespace { "namespace" } else { "resource name" };
        match name.as_str() {
            "" => return Err(BadName::Empty),
            "." | ".." => return Err(BadName::Dots { what, name }),
            _ if name.contains(['/', '%']) => {
                let signs = ["/", "%"].into_iter().filter(|sign| name.contains(sign));
                let signs = signs.map(|sign| format!("may not contain '{sign}'")).collect::<Vec<_>>().join(" ");
                return Err(BadName::Signs { what, name, signs });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Reads an answer that says no.
pub fn refused(code: u16, headers: &HeaderMap, body: &[u8], subject: &Subject) -> Refused {
    let media = media_type(headers);
    let readable = media.as_deref().is_none_or(|media| media.ends_with("json") || media.ends_with("yaml"));
    match (readable && !subject.bare).then(|| structured(code, body)).flatten() {
        Some(refused) => refused,
        None => {
            let text = media.is_none_or(|media| media.starts_with("text/"));
            let said = if text { cut(body) } else { "unknown".to_owned() };
            unexplained(code, &said, subject)
        }
    }
}

fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().unwrap_or_default();
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()).filter(|media| !media.is_empty())
}

fn cut(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(MAX_TEXT)]).trim().to_owned()
}

/// A `Status` that says no.
pub fn structured(code: u16, body: &[u8]) -> Option<Refused> {
    let status: Value = serde_json::from_slice(body).ok()?;
    let text = |key: &str| status.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let fails = text("kind") == "Status" && text("status") != "Success";
    // The code of the answer stands where the `Status` has none.
    let code = status.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok()).unwrap_or(code);
    let details = status.get("details").cloned().unwrap_or_default();
    fails.then(|| Refused { code, reason: text("reason"), message: text("message"), details })
}

/// A refusal by something that does not know `Status`: upstream's words for the code.
fn unexplained(code: u16, said: &str, subject: &Subject) -> Refused {
    let (reason, message) = words(code, said, subject);
    let message = format!("{message}{}", subject.told());
    let details = json!({"group": subject.group, "kind": subject.resource, "name": subject.name,
        "causes": [{"reason": "UnexpectedServerResponse", "message": said}]});
    Refused { code, reason: reason.to_owned(), message, details }
}

fn words(code: u16, said: &str, subject: &Subject) -> (&'static str, String) {
    let fixed = |reason, message: &str| (reason, message.to_owned());
    match code {
        400 => fixed("BadRequest", "the server rejected our request for an unknown reason"),
        401 => fixed("Unauthorized", "the server has asked for the client to provide credentials"),
        403 => fixed("Forbidden", said),
        404 => fixed("NotFound", "the server could not find the requested resource"),
        405 => fixed("MethodNotAllowed", "the server does not allow this method on the requested resource"),
        406 if matches!(said, "" | "unknown") => {
            fixed("NotAcceptable", "the server was unable to respond with a content type that the client supports")
        }
        406 => fixed("NotAcceptable", said),
        409 if subject.method == Method::POST => fixed("AlreadyExists", "the server reported a conflict"),
        409 => fixed("Conflict", "the server reported a conflict"),
        415 => fixed("UnsupportedMediaType", said),
        422 => fixed("Invalid", "the server rejected our request due to an error in our request"),
        429 => {
            fixed("TooManyRequests", "the server has received too many requests and has asked us to try again later")
        }
        503 => fixed("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => fixed(
            "Timeout",
            "the server was unable to return a response in the time allotted, but may still be processing the request",
        ),
        500.. => {
            let said = quote(said);
            ("InternalError", format!("an error on the server ({said}) has prevented the request from succeeding"))
        }
        _ => ("", format!("the server responded with the status code {code} but did not return more information")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(media: &'static str) -> HeaderMap {
        let value = http::HeaderValue::from_static(media);
        if media.is_empty() { HeaderMap::new() } else { HeaderMap::from_iter([(header::CONTENT_TYPE, value)]) }
    }

    fn told(code: u16, media: &'static str, body: &str) -> (String, String) {
        let subject = Subject::of(&Method::GET, "/api/v1/namespaces/default/pods/p?x=y");
        let refused = refused(code, &headers(media), body.as_bytes(), &subject);
        (refused.reason, refused.message)
    }

    #[test]
    fn a_status_is_taken_at_its_word() {
        let status =
            r#"{"kind":"Status","status":"Failure","reason":"NotFound","message":"pods \"x\" not found","code":404}"#;
        let want = ("NotFound".to_owned(), "pods \"x\" not found".to_owned());
        for media in ["", "application/json", "application/json; charset=utf-8"] {
            assert_eq!(told(404, media, status), want, "{media}");
        }
        // Whoever sends a `Status` as a text does not mean it.
        assert_ne!(told(404, "text/plain", status), want);
    }

    #[test]
    fn other_answers_are_told_by_their_code() {
        for (code, media, body, reason, message) in [
            (
                400,
                "text/plain",
                "x",
                "BadRequest",
                "the server rejected our request for an unknown reason (get pods p)",
            ),
            (403, "text/plain", " no \n", "Forbidden", "no (get pods p)"),
            (403, "application/json", "{}", "Forbidden", "unknown (get pods p)"),
            (
                406,
                "",
                "",
                "NotAcceptable",
                "the server was unable to respond with a content type that the client supports (get pods p)",
            ),
            (
                410,
                "",
                "",
                "",
                "the server responded with the status code 410 but did not return more information (get pods p)",
            ),
            (422, "", "x", "Invalid", "the server rejected our request due to an error in our request (get pods p)"),
            (
                502,
                "text/html",
                "<a>\"\u{1b}\n",
                "InternalError",
                r#"an error on the server ("<a>\"\x1b") has prevented the request from succeeding (get pods p)"#,
            ),
        ] {
            assert_eq!(told(code, media, body), (reason.to_owned(), message.to_owned()), "{code}");
        }
        assert!(told(500, "", &"x".repeat(5000)).1.len() < 2200);
    }

    #[test]
    fn names_never_lead_elsewhere() {
        let told = |path: &str| check_names(path).err().map(|error| error.to_string());
        assert_eq!(told("/api/v1/namespaces/default/pods/p?a=%20&b=/../"), None);
        for (path, want) in [
            ("/api/v1/namespaces/default/pods/", "resource name may not be empty"),
            ("/api/v1/namespaces//pods", "resource name may not be empty"),
            ("/api/v1/namespaces/../pods", "invalid namespace \"..\": [may not be '..']"),
            (
                "/api/v1/namespaces/a%2Fb%25/pods",
                "invalid namespace \"a/b%\": [may not contain '/' may not contain '%']",
            ),
            ("/api/v1/namespaces/..", "invalid resource name \"..\": [may not be '..']"),
            ("/api/v1/pods/..", "invalid resource name \"..\": [may not be '..']"),
            ("/api/v1/pods/a%252fb", "invalid resource name \"a%2fb\": [may not contain '%']"),
            ("/api/v1/pods/a%2Fb", "invalid resource name \"a/b\": [may not contain '/']"),
            ("/api/v1/namespaces/../pods/a", "invalid namespace \"..\": [may not be '..']"),
            ("/api/v1/namespaces/..", "invalid resource name \"..\": [may not be '..']"),
        ] {
            assert_eq!(told(path).as_deref(), Some(want), "{path}");
        }
    }

    #[test]
    fn paths_tell_what_is_asked() {
        for (path, want) in [
            ("/api/v1/pods", " (post pods)"),
            ("/api/v1/namespaces/default", " (post namespaces default)"),
            ("/apis/apps/v1/namespaces/x/deployments/d/scale", " (post deployments.apps d)"),
            ("/apis/apps/v1", ""),
            ("/version", ""),
            ("/apis", ""),
        ] {
            assert_eq!(Subject::of(&Method::POST, path).told(), want, "{path}");
        }
        let conflict = refused(409, &HeaderMap::new(), b"", &Subject::unknown(&Method::POST));
        assert_eq!(
            (conflict.reason.as_str(), conflict.message.as_str()),
            ("AlreadyExists", "the server reported a conflict")
        );
    }
}
