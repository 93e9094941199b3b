//! Answers that say no: a `Status`, or what something else on the way says.
//!
//! Upstream: `client-go/rest/request.go` (`transformResponse`), `apimachinery/pkg/api/errors`
//! (`NewGenericServerResponse`).

use crate::print::quote;
use apimachinery::Value;
use http::{HeaderMap, Method, header};
use rules::patch::go_kind;
use serde_json::json;

/// How much of an answer that is no `Status` is repeated, in bytes.
const MAX_TEXT: usize = 2048;

/// The reasons that mean something.
const KNOWN_REASONS: [&str; 17] = [
    "Unauthorized",
    "Forbidden",
    "NotFound",
    "AlreadyExists",
    "Conflict",
    "Gone",
    "Invalid",
    "ServerTimeout",
    "StoreReadError",
    "Timeout",
    "TooManyRequests",
    "BadRequest",
    "MethodNotAllowed",
    "NotAcceptable",
    "RequestEntityTooLarge",
    "UnsupportedMediaType",
    "InternalError",
];

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
    /// Whether there is no such object: by its reason, and by its code where the reason says nothing.
    ///
    /// Upstream: `apimachinery/pkg/api/errors` (`IsNotFound`).
    pub fn is_not_found(&self) -> bool {
        self.reason == "NotFound" || self.code == 404 && !KNOWN_REASONS.contains(&self.reason.as_str())
    }

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

/// What is wrong with what an answer says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadMedia {
    #[error("mime: no media type")]
    Nothing,
    #[error("mime: expected slash after first token")]
    NoSlash,
    #[error("mime: expected token after slash")]
    NoSubtype,
    #[error("mime: unexpected content after media subtype")]
    More,
    #[error("mime: invalid media parameter")]
    Parameter,
}

/// Whether an answer says in vain what it is. One that does not say it at all is taken for what was asked for.
///
/// Upstream: Go's `mime.ParseMediaType`.
pub(super) fn bad_media(headers: &HeaderMap) -> Option<BadMedia> {
    let media = headers.get(header::CONTENT_TYPE)?.to_str().ok().filter(|media| !media.is_empty())?;
    let (essence, parameters) = media.split_once(';').map_or((media, None), |(essence, rest)| (essence, Some(rest)));
    let of_token = |c: char| c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?=".contains(c);
    let is_token = |text: &str| !text.is_empty() && text.chars().all(of_token);
    let essence = essence.trim();
    let (kind, rest) = essence.split_at(essence.find(|c| !of_token(c)).unwrap_or(essence.len()));
    match (kind, rest.strip_prefix('/')) {
        ("", _) => return Some(BadMedia::Nothing),
        (_, None) if !rest.is_empty() => return Some(BadMedia::NoSlash),
        (_, Some(subtype)) if !subtype.starts_with(of_token) => return Some(BadMedia::NoSubtype),
        (_, Some(subtype)) if !is_token(subtype) => return Some(BadMedia::More),
        _ => {}
    }
    let parameters = parameters.map(str::trim).filter(|parameters| !parameters.is_empty())?;
    let is_parameter = |text: &str| text.trim().split_once('=').is_some_and(|(name, _)| is_token(name.trim_end()));
    let mut parts = parameters.trim_end_matches(';').split(';');
    // A value in quotes may have anything in it.
    (!parameters.contains('"') && !parts.all(is_parameter)).then_some(BadMedia::Parameter)
}

/// Reads an answer that says no.
pub fn refused(code: u16, headers: &HeaderMap, body: &[u8], subject: &Subject) -> Refused {
    let media = media_type(headers);
    let readable = media.as_deref().is_none_or(|media| media.ends_with("json"));
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
    let fails = status["kind"] == "Status" && status["status"] == "Failure";
    (fails && mistyped(&status).is_none()).then(|| of_status(code, &status))
}

/// What a `Status` says. The code of the answer stands where it has none.
pub(super) fn of_status(code: u16, status: &Value) -> Refused {
    let text = |key: &str| status[key].as_str().unwrap_or_default().to_owned();
    let code = status["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(code);
    let details = status.get("details").cloned().unwrap_or_default();
    Refused { code, reason: text("reason"), message: text("message"), details }
}

/// The first member of a `Status` that is of another type than those have it, as Go names the two types.
pub(super) fn mistyped(status: &Value) -> Option<String> {
    let (details, causes) = (&status["details"], &status["details"]["causes"]);
    let wrong = |value: &Value, place: &str, wanted: &str| {
        (!value.is_null()).then(|| format!("{} into Go struct field {place} of type {wanted}", go_kind(value)))
    };
    let texts = |value: &Value, place: &str, keys: &[&str]| {
        let mut values = keys.iter().map(|key| (&value[*key], format!("{place}.{key}")));
        values.find_map(|(value, place)| wrong(value, &place, "string").filter(|_| !value.is_string()))
    };
    let number = |value: &Value, place: &str| {
        let fits = value.as_i64().is_some_and(|number| i32::try_from(number).is_ok());
        wrong(value, place, "int32").filter(|_| !fits)
    };
    let object = |value: &Value, place, wanted| wrong(value, place, wanted).filter(|_| !value.is_object());
    let cause = |cause: &Value| {
        let place = "StatusCause.details.causes";
        object(cause, place, "v1.StatusCause").or_else(|| texts(cause, place, &["reason", "message", "field"]))
    };
    texts(status, "Status", &["kind", "apiVersion", "status", "message", "reason"])
        .or_else(|| number(&status["code"], "Status.code"))
        .or_else(|| object(&status["metadata"], "Status.metadata", "v1.ListMeta"))
        .or_else(|| object(details, "Status.details", "v1.StatusDetails"))
        .or_else(|| texts(details, "Status.details", &["name", "group", "kind", "uid"]))
        .or_else(|| number(&details["retryAfterSeconds"], "Status.details.retryAfterSeconds"))
        .or_else(|| wrong(causes, "Status.details.causes", "[]v1.StatusCause").filter(|_| !causes.is_array()))
        .or_else(|| causes.as_array().into_iter().flatten().find_map(cause))
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
    fn a_status_has_members_of_its_types() {
        for (more, want) in [
            (r#""details": {"causes": [{"message": "m"}, null], "name": null}"#, true),
            (r#""details": null, "metadata": {}, "code": 404"#, true),
            (r#""details": "d""#, false),
            (r#""details": {"causes": "c"}"#, false),
            (r#""details": {"causes": ["c"]}"#, false),
            (r#""reason": 5"#, false),
            (r#""code": "404""#, false),
            (r#""code": 40000000000"#, false),
        ] {
            let status = format!(r#"{{"kind": "Status", "status": "Failure", {more}}}"#);
            assert_eq!(structured(404, status.as_bytes()).is_some(), want, "{more}");
        }
        let told = |details: Value| mistyped(&json!({"details": details}));
        let want = "number into Go struct field Status.details of type v1.StatusDetails";
        assert_eq!(told(json!(5)).as_deref(), Some(want));
        let want = "string into Go struct field Status.details.causes of type []v1.StatusCause";
        assert_eq!(told(json!({"causes": "odd"})).as_deref(), Some(want));
    }

    #[test]
    fn nothing_is_found_by_reason_or_by_code() {
        for (code, reason, want) in [
            (404, "NotFound", true),
            (404, "Odd", true),
            (404, "", true),
            (404, "Conflict", false),
            (200, "NotFound", true),
        ] {
            let refused = Refused { code, reason: reason.into(), message: String::new(), details: Value::Null };
            assert_eq!(refused.is_not_found(), want, "{code} {reason}");
        }
    }

    #[test]
    fn answers_say_what_they_are() {
        for (media, want) in [
            ("application/json; charset=utf-8", None),
            ("application/json;", None),
            ("a/b; c=\"d;e\"", None),
            ("text", None),
            ("", None),
            (";", Some(BadMedia::Nothing)),
            ("a b", Some(BadMedia::NoSlash)),
            ("a/", Some(BadMedia::NoSubtype)),
            ("a/b c", Some(BadMedia::More)),
            ("a/b; c", Some(BadMedia::Parameter)),
        ] {
            assert_eq!(bad_media(&headers(media)), want, "{media}");
        }
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
