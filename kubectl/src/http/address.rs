//! Where a server is: a URL, or a host with a port.
//!
//! Upstream: `client-go/rest/url_utils.go` (`DefaultServerURL`), Go's `net/url`.

use super::{Unanswered, Why};
use url::Url;

/// Why a server's address is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadAddress {
    #[error("host must be a URL or a host:port pair: {0:?}")]
    NoHost(String),
    /// What Go says of a URL.
    #[error("{0}")]
    NoUrl(String),
    /// A URL that leads nowhere; what Go says once it is asked.
    #[error("{0}")]
    LeadsNowhere(String),
}

impl BadAddress {
    /// The error as a person is told of it: only what has no host is wrong in itself.
    pub(super) fn told(self, server: &str) -> anyhow::Error {
        match self {
            BadAddress::NoHost(_) => self.into(),
            BadAddress::NoUrl(why) | BadAddress::LeadsNowhere(why) => {
                Unanswered { method: "Get".into(), url: server.to_owned(), why: Why::Broken(why) }.into()
            }
        }
    }
}

/// Reads a server's address. What has no scheme is reached over HTTP.
pub(super) fn read(server: &str) -> Result<Url, BadAddress> {
    let text = match whole(server) {
        true => server.to_owned(),
        false => format!("http://{}", checked(server)?),
    };
    match Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        Ok(url) => Err(BadAddress::LeadsNowhere(format!("unsupported protocol scheme {:?}", url.scheme()))),
        // Go looks at the number only when it connects.
        Err(url::ParseError::InvalidPort) => {
            let port = authority(&text[text.find("://").map_or(0, |at| at + 3)..]).rsplit(':').next().unwrap_or("");
            Err(BadAddress::LeadsNowhere(format!("dial tcp: address {port}: invalid port")))
        }
        Err(error) => Err(BadAddress::LeadsNowhere(error.to_string())),
    }
}

/// What Go says of a reference to elsewhere that is none.
pub(super) fn bad_location(location: &str) -> Option<String> {
    if location.chars().any(|c| c.is_ascii_control()) {
        return Some("net/url: invalid control character in URL".into());
    }
    let path = match location.split_once("//") {
        Some((scheme, rest)) if scheme.is_empty() || scheme.ends_with(':') => match bad_host(authority(rest)) {
            None => rest,
            why => return why,
        },
        _ => location,
    };
    bad_escape(path.split(['?', '#']).next().unwrap_or_default())
}

/// Whether it is a URL with a host, as Go reads it.
fn whole(server: &str) -> bool {
    let Some((scheme, rest)) = server.split_once("://") else { return false };
    let scheme_is_one = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    let host = authority(rest);
    scheme_is_one && !host.is_empty() && bad_host(host).is_none() && bad_escape(rest).is_none()
}

fn authority(rest: &str) -> &str {
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// What is to be the rest of a URL: a host without a path.
fn checked(server: &str) -> Result<&str, BadAddress> {
    let host = authority(server);
    let path = server[host.len()..].split(['?', '#']).next().unwrap_or_default();
    if let Some(why) = bad_host(host).or_else(|| bad_escape(path)) {
        return Err(BadAddress::NoUrl(why));
    }
    match path {
        "" | "/" if !host.is_empty() => Ok(server),
        _ => Err(BadAddress::NoHost(server.to_owned())),
    }
}

/// What Go says of a host that is none.
fn bad_host(host: &str) -> Option<String> {
    let host = host.rsplit('@').next().unwrap_or_default();
    let (name, port) = match host.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(None) => return Some("missing ']' in host".into()),
        Some(Some((name, port))) => (name, port),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let number = port.strip_prefix(':').unwrap_or(port);
    if !port.is_empty() && (!port.starts_with(':') || !number.bytes().all(|b| b.is_ascii_digit())) {
        return Some(format!("invalid port {port:?} after host"));
    }
    if let Some(why) = bad_escape(name) {
        return Some(why);
    }
    let odd =
        name.chars().find(|c| c.is_ascii_control() || matches!(c, ' ' | '"' | '\\' | '^' | '`' | '{' | '|' | '}'));
    odd.map(|c| format!("invalid character {:?} in host name", c.to_string()))
}

/// A `%` that escapes nothing.
fn bad_escape(text: &str) -> Option<String> {
    text.match_indices('%').find_map(|(at, _)| {
        let rest: String = text[at..].chars().take(3).collect();
        let escapes = rest.len() == 3 && rest.bytes().skip(1).all(|b| b.is_ascii_hexdigit());
        (!escapes).then(|| format!("invalid URL escape {rest:?}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_leads_to_a_server() {
        for (server, want) in [
            ("localhost:8080", "http://localhost:8080/"),
            ("https://h", "https://h/"),
            ("HTTP://h:1/a", "http://h:1/a"),
            ("[::1]:6443", "http://[::1]:6443/"),
            ("http://h:1/ a", "http://h:1/%20a"),
        ] {
            assert_eq!(read(server).map(String::from).as_deref(), Ok(want), "{server}");
        }
    }

    #[test]
    fn tells_what_does_not() {
        for (server, want) in [
            ("http://", r#"host must be a URL or a host:port pair: "http://""#),
            ("https://", r#"host must be a URL or a host:port pair: "https://""#),
            ("://", r#"host must be a URL or a host:port pair: "://""#),
            ("/x", r#"host must be a URL or a host:port pair: "/x""#),
            ("unix:///x", r#"host must be a URL or a host:port pair: "unix:///x""#),
            ("http://x:abc", r#"host must be a URL or a host:port pair: "http://x:abc""#),
            ("http://h:-1", r#"host must be a URL or a host:port pair: "http://h:-1""#),
            ("http://[::1", r#"host must be a URL or a host:port pair: "http://[::1""#),
            ("http://exa mple", r#"host must be a URL or a host:port pair: "http://exa mple""#),
            ("x y", r#"invalid character " " in host name"#),
            ("http://%zz", r#"invalid URL escape "%zz""#),
            ("http:127.0.0.1", r#"invalid port ":127.0.0.1" after host"#),
            ("ftp://x", r#"unsupported protocol scheme "ftp""#),
            ("http://h:99999", "dial tcp: address 99999: invalid port"),
        ] {
            assert_eq!(read(server).map_err(|error| error.to_string()).err().as_deref(), Some(want), "{server}");
        }
    }

    #[test]
    fn references_may_lead_nowhere() {
        for (location, want) in [
            ("/x?a=%zz", None),
            ("https://h:1/a%20b", None),
            ("//", None),
            ("../..", None),
            ("%zz", Some(r#"invalid URL escape "%zz""#)),
            ("http://[::1", Some("missing ']' in host")),
            ("//h:x/", Some(r#"invalid port ":x" after host"#)),
            ("a\u{7}", Some("net/url: invalid control character in URL")),
        ] {
            assert_eq!(bad_location(location).as_deref(), want, "{location}");
        }
    }
}
