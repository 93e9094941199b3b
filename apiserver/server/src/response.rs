//! Putting responses together.

use crate::body::Body;
use crate::encode::object;
use crate::negotiate::{Media, Output};
use apimachinery::status::Status;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{Response, StatusCode, Uri};

/// Header of the request's audit ID.
pub const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");
/// How many letters the texts of all `Warning` headers have together, as upstream.
const MAX_WARNINGS: usize = 4 * 1024;
/// How many one has if all of them together had more.
const MAX_WARNING: usize = 256;

/// A body in one of the API's encodings.
pub fn encoded(code: StatusCode, media: Media, body: Body) -> Response<Body> {
    with_type(code, media.content_type(), body)
}

/// A body of any content type.
pub fn with_type(code: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Plain text.
pub fn text(code: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    with_type(code, "text/plain; charset=utf-8", Body::Full(text.into()))
}

/// A document that is JSON whatever the client asked for.
pub fn json(bytes: impl Into<Bytes>) -> Response<Body> {
    with_type(StatusCode::OK, "application/json", Body::Full(bytes.into()))
}

/// Marks an answer that is given before the filter that keeps answers out of caches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BeforeCaching;

/// What a path gets that starts like one of a resource and is none.
pub(crate) fn bad_path(uri: &Uri, path: &str) -> Response<Body> {
    let whole = uri.path_and_query().map_or("", |uri| uri.as_str());
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let why = "failed to create RequestInfo: unable to determine kind and namespace from url";
    let text = format!("Internal Server Error: {whole:?}: {why}, {path}{query}\n");
    // Nothing in it may look like a page to a browser.
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut response = error_text(StatusCode::INTERNAL_SERVER_ERROR, text);
    response.extensions_mut().insert(BeforeCaching);
    response
}

/// What a path with broken escapes gets from Go's server, which gives up the connection.
pub(crate) fn unreadable() -> Response<Body> {
    let mut response = text(StatusCode::BAD_REQUEST, "400 Bad Request");
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// What is said of requests that take too long.
pub(crate) const TIMED_OUT: &str = "Timeout: request did not complete within the allotted timeout";

/// 504 for a request that takes too long.
///
/// Upstream: `apiserver/pkg/server/filters/timeout.go`, which writes JSON and leaves it to Go to guess its type.
pub(crate) fn timed_out() -> Response<Body> {
    let body = format!(
        "{{\"metadata\":{{}},\"status\":\"Failure\",\"message\":\"{TIMED_OUT}\",\"reason\":\"Timeout\",\"details\":{{}},\
         \"code\":504}}\n"
    );
    text(StatusCode::GATEWAY_TIMEOUT, body)
}

/// A redirect.
pub fn redirect(code: StatusCode, to: &str) -> Response<Body> {
    let mut response = text(code, "");
    if let Ok(value) = to.parse() {
        response.headers_mut().insert(LOCATION, value);
    }
    response
}

/// Plain text of which clients are to make nothing else, as Go's server says what is wrong.
pub fn error_text(code: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = self::text(code, text);
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What unknown paths that belong to no API get.
pub fn not_found() -> Response<Body> {
    error_text(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// A failed request.
pub fn failure(status: &Status, output: Output) -> Response<Body> {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = encoded(code, output.media, Body::Full(object::status(status, output)));
    if let Some(seconds) = status.details.as_ref().map(|d| d.retry_after_seconds).filter(|s| *s > 0) {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// Adds a `Warning: 299` header for each text. Where they are too much together, each is cut and the
/// last ones are left out.
pub fn add_warnings(response: &mut Response<Body>, warnings: &[String]) {
    if warnings.is_empty() {
        return;
    }
    let is_new = |(i, text): &(usize, &String)| !text.is_empty() && !warnings[..*i].contains(text);
    let texts: Vec<&str> = warnings.iter().enumerate().filter(is_new).map(|(_, text)| text.as_str()).collect();
    let letters = |text: &str| text.chars().count();
    let limit = match texts.iter().map(|text| letters(text)).sum::<usize>() <= MAX_WARNINGS {
        true => MAX_WARNINGS,
        false => MAX_WARNING,
    };
    let mut written = 0;
    for text in texts {
        if written >= MAX_WARNINGS {
            break;
        }
        written += letters(text).min(limit);
        if let Ok(value) = HeaderValue::from_bytes(warning_value(text, limit).as_bytes()) {
            response.headers_mut().append(http::header::WARNING, value);
        }
    }
}

fn warning_value(text: &str, limit: usize) -> String {
    let mut value = String::from("299 - \"");
    for c in text.chars().take(limit) {
        match c {
            '"' | '\\' => value.extend(['\\', c]),
            c if c.is_control() => value.push(' '),
            c => value.push(c),
        }
    }
    value.push('"');
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_quoted() {
        assert_eq!(warning_value("unknown field \"a\"", 99), "299 - \"unknown field \\\"a\\\"\"");
        assert_eq!(warning_value("a\nb", 99), "299 - \"a b\"");
        let mut response = text(StatusCode::OK, "");
        add_warnings(&mut response, &["a".into(), "b\u{e4}".into(), "a".into(), String::new()]);
        assert_eq!(response.headers().get_all("warning").iter().count(), 2);
    }

    #[test]
    fn too_many_warnings_are_cut() {
        let mut response = text(StatusCode::OK, "");
        let warnings: Vec<String> = (10..40).map(|i| format!("{i}").repeat(500)).collect();
        add_warnings(&mut response, &warnings);
        let lengths: Vec<usize> = response.headers().get_all("warning").iter().map(HeaderValue::len).collect();
        assert_eq!(lengths, [MAX_WARNING + "299 - \"\"".len(); 16]);
    }

    #[test]
    fn failures_say_when_to_retry() {
        let response = failure(&Status::too_many_requests("later", 3), Output::default());
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "3");
        assert_eq!(response.headers()["content-type"], "application/json");
    }
}
