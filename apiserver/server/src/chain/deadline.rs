//! How long requests may take.
//!
//! Upstream: `apiserver/pkg/endpoints/filters/request_deadline.go`, Go's `time.ParseDuration`.

use crate::query::Query;
use crate::request_info::RequestInfo;
use crate::server::Server;
use apimachinery::status::Status;
use component::GoDuration;
use component::duration::DurationError;
use std::time::Duration;

/// How long a request may take: as its `timeout` parameter says, at most the server's limit; none, or one below, is no
/// wish. Who asks for a watch is not heard.
///
/// Upstream: `apiserver/pkg/endpoints/filters/request_deadline.go`.
pub(super) fn timeout_of(server: &Server, info: &RequestInfo<'_>, query: &Query<'_>) -> Result<Duration, Status> {
    let limit = server.options.request_timeout;
    if is_long_running(info) {
        return Ok(limit);
    }
    match query.text("timeout") {
        "" => Ok(limit),
        // What stands behind a sign is read as what stands behind none, and named as it came.
        text => match text.strip_prefix('-').unwrap_or(text).parse() {
            Ok(GoDuration(asked)) if asked.is_zero() || text.starts_with('-') => Ok(limit),
            Ok(GoDuration(asked)) => Ok(asked.min(limit)),
            Err(error) => {
                let why = match error {
                    // A number that is too large is no number before it lacks a unit.
                    DurationError::MissingUnit(_) if !is_number(text) => format!("invalid duration {}", quoted(text)),
                    DurationError::MissingUnit(_) => format!("missing unit in duration {}", quoted(text)),
                    DurationError::UnknownUnit { unit, .. } => {
                        format!("unknown unit {} in duration {}", quoted(&unit), quoted(text))
                    }
                    _ => format!("invalid duration {}", quoted(text)),
                };
                Err(Status::bad_request(format!("invalid timeout specified in the request URL - time: {why}")))
            }
        },
    }
}

/// Whether the digits at the end of a text are a number that Go's reader of durations can hold.
fn is_number(text: &str) -> bool {
    let digits = text.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse::<u64>().is_ok_and(|number| number <= 1 << 63)
}

/// A text as Go's `time` quotes it: byte by byte where it is not ASCII.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            b' '..0x80 => out.push(char::from(byte)),
            byte => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push('"');
    out
}

/// Watches, tunnels and profiles: no deadline, no place in flight.
pub(super) fn is_long_running(info: &RequestInfo<'_>) -> bool {
    if !info.is_resource {
        return info.path.starts_with("/debug/pprof/");
    }
    matches!(info.verb, "watch" | "proxy")
        || matches!(info.subresource, "exec" | "attach" | "portforward" | "proxy" | "log")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    #[test]
    fn long_running_requests() {
        for (path, query, want) in [
            ("/api/v1/pods", "", false),
            ("/api/v1/pods", "watch=1", true),
            ("/api/v1/namespaces/a/pods/b/exec", "", true),
            ("/api/v1/namespaces/a/pods/b/log", "", true),
            ("/api/v1/namespaces/a/pods/b/status", "", false),
            ("/healthz", "", false),
            ("/debug/pprof", "", false),
            ("/debug/pprof/profile", "", true),
        ] {
            let query = Query::parse(query);
            let info = RequestInfo::parse(&Method::GET, path, &query).expect("a path");
            assert_eq!(is_long_running(&info), want, "{path}");
        }
    }

    #[test]
    fn durations_are_quoted_as_go_does() {
        for (text, want) in [("a b", r#""a b""#), ("a\"\\", r#""a\"\\""#), ("\u{e9}\n", r#""\xc3\xa9\x0a""#)] {
            assert_eq!(quoted(text), want);
        }
        assert!(is_number("5s12") && !is_number("9999999999999999999"));
    }
}
