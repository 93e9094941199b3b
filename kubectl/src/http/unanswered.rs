//! Requests that got no answer, in Go's words.
//!
//! Upstream: `kubectl/pkg/cmd/util/helpers.go` (`StandardErrorMessage`), Go's `net` and `net/http`.

use super::heard::Heard;
use std::error::Error;
use std::io::{self, ErrorKind};

/// Why a request got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Nobody listens at the address.
    #[error("dial tcp {0}: connect: connection refused")]
    Refused(String),
    /// No connection comes about, or it breaks; what Go says of it.
    #[error("{0}")]
    Broken(String),
    /// The server is gone before it answers. Reading again may help.
    #[error("{0}")]
    Gone(String),
    /// `--request-timeout` is over.
    #[error("net/http: request canceled (Client.Timeout exceeded while awaiting headers)")]
    Late,
    /// `--request-timeout` is over before there is a connection.
    #[error("net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)")]
    NotReached,
}

/// A request that got no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{method} \"{url}\": {why}")]
pub struct Unanswered {
    /// `Get`, `Post`.
    pub method: String,
    /// All of its URL.
    pub url: String,
    /// Why.
    pub why: Why,
}

/// A request that got no answer, and none for another reason when it was made before.
///
/// Upstream: `client-go/rest/with_retry.go` (`WrapPreviousError`).
#[derive(Clone, Debug, thiserror::Error)]
#[error("{now} - error from a previous attempt: {before}")]
pub(super) struct Again {
    pub(super) now: Unanswered,
    pub(super) before: Why,
}

/// Whether an error is that of a request that got no answer, be it at last.
pub(crate) fn is_unanswered(error: &anyhow::Error) -> bool {
    error.is::<Unanswered>() || error.is::<Again>()
}

impl Why {
    /// Whether it may be only for now: the server went away, or took too long.
    pub fn may_pass(&self) -> bool {
        matches!(self, Why::Gone(_) | Why::Late | Why::NotReached)
    }
}

impl Unanswered {
    /// What a person is told when that is all that went wrong.
    pub fn told(&self) -> String {
        let why = self.why.to_string();
        // Whoever it was that refused: the server, or a proxy on the way to it.
        if !why.contains("connection refused") {
            return format!("Unable to connect to the server: {why}");
        }
        let host = self.url.split("://").nth(1).unwrap_or(&self.url);
        let host = host.split(['/', '?']).next().unwrap_or(host);
        // Whoever it is that asks is not told.
        let host = host.rsplit('@').next().unwrap_or(host);
        format!("The connection to the server {host} was refused - did you specify the right host or port?")
    }
}

/// Go's words for what cannot be unpacked.
pub(super) fn unpacking(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::UnexpectedEof => "unexpected EOF",
        _ => "gzip: invalid header",
    }
}

/// An answer that broke off.
#[derive(Clone, Debug, thiserror::Error)]
#[error("unexpected error when reading response body. Please retry. Original error: {0}")]
pub struct CutShort(pub String);

/// Go's words for an error of the network: those of the C library in small letters.
pub(crate) fn io_words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.to_ascii_lowercase()
}

/// What Go says of a body that `--request-timeout` ended.
pub(super) const TOO_LONG: &str =
    "context deadline exceeded (Client.Timeout or context cancellation while reading body)";

/// What Go says of a body that ends before its end.
pub(super) const UNEXPECTED_END: &str = "unexpected EOF";

/// A name that no name server knows. Go tells which of them it asked, if it asked any.
pub(super) fn no_such_host(host: &str) -> String {
    if !super::address::is_name(host) {
        return format!("dial tcp: lookup {host}: no such host");
    }
    let servers = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let server = servers.lines().find_map(|line| line.trim().strip_prefix("nameserver")).unwrap_or("127.0.0.1").trim();
    let server = if server.contains(':') { format!("[{server}]") } else { server.to_owned() };
    format!("dial tcp: lookup {host} on {server}:53: no such host")
}

/// Why no connection came about.
pub(super) fn dial(address: &str, error: &io::Error) -> Why {
    match error.kind() {
        ErrorKind::ConnectionRefused => Why::Refused(address.to_owned()),
        // The server was there, and is gone again.
        ErrorKind::ConnectionReset => Why::Gone(format!("dial tcp {address}: connect: {}", io_words(error))),
        ErrorKind::TimedOut if error.raw_os_error().is_none() => {
            Why::Broken(format!("dial tcp {address}: i/o timeout"))
        }
        _ => Why::Broken(format!("dial tcp {address}: connect: {}", io_words(error))),
    }
}

/// Why a connection gave no answer; `route` is its two ends, `heard` what came through it.
pub(super) fn exchange(error: &hyper::Error, route: &str, heard: &Heard) -> Why {
    let cause = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match cause {
        Some(cause) if cause.kind() == ErrorKind::ConnectionReset => {
            Why::Gone(format!("read tcp {route}: read: {}", io_words(cause)))
        }
        Some(cause) if cause.kind() == ErrorKind::UnexpectedEof => Why::Gone("EOF".into()),
        Some(cause) => Why::Broken(super::tls::words(cause)),
        None if (error.is_incomplete_message() || error.is_parse())
            && let Some(why) = heard.why() =>
        {
            Why::Broken(why)
        }
        None if error.is_incomplete_message() || error.is_canceled() || error.is_closed() => Why::Gone("EOF".into()),
        None if error.is_parse() => {
            Why::Broken("net/http: HTTP/1.x transport connection broken: malformed HTTP response".into())
        }
        None => Why::Broken(error.to_string()),
    }
}

/// Why a body ended early; `route` is the two ends of the connection.
pub(super) fn body(error: &hyper::Error, route: &str) -> String {
    let cause = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match cause {
        Some(cause) if cause.raw_os_error().is_some() => format!("read tcp {route}: read: {}", io_words(cause)),
        Some(cause) if cause.kind() == ErrorKind::InvalidInput => "invalid byte in chunk length".into(),
        _ => UNEXPECTED_END.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_is_told_as_upstream_does() {
        let unanswered = |why| Unanswered { method: "Get".into(), url: "https://h:1/x?y".into(), why };
        let refused = unanswered(dial("10.0.0.1:1", &ErrorKind::ConnectionRefused.into()));
        assert_eq!(refused.to_string(), "Get \"https://h:1/x?y\": dial tcp 10.0.0.1:1: connect: connection refused");
        assert_eq!(
            refused.told(),
            "The connection to the server h:1 was refused - did you specify the right host or port?"
        );
        let lost = unanswered(dial("10.0.0.1:1", &io::Error::from_raw_os_error(113)));
        assert_eq!(lost.told(), "Unable to connect to the server: dial tcp 10.0.0.1:1: connect: no route to host");
        assert_eq!(dial("a:1", &ErrorKind::TimedOut.into()).to_string(), "dial tcp a:1: i/o timeout");
    }
}
