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
}

impl BadAddress {
    /// The error as a person is told of it: only what has no host is wrong in itself.
    pub(super) fn told(self, server: &str) -> anyhow::Error {
        match self {
            BadAddress::NoHost(_) => self.into(),
            BadAddress::NoUrl(why) => {
                Unanswered { method: "Get".into(), url: server.to_owned(), why: Why::Broken(why) }.into()
            }
        }
    }
}

/// Where a server is. Go takes for a host what is none to others: `8080`, `::1`, or nothing at all, which is this
/// machine.
#[derive(Clone, Debug)]
pub(super) struct Address {
    /// For the choice of a proxy. A host that is none to the standard is another one here.
    pub(super) url: Url,
    /// Whom to connect to.
    pub(super) host: String,
    pub(super) port: u16,
    /// The host as requests name it.
    pub(super) authority: String,
    /// The base URL without a slash at its end. Of a user's password there are three stars.
    pub(super) shown: String,
    /// Why no request can be sent.
    pub(super) leads_nowhere: Option<String>,
}

impl Address {
    /// The path below which the server has the API, empty if it is the root.
    pub(super) fn base_path(&self) -> &str {
        self.url.path().trim_end_matches('/')
    }
}

/// Reads a server's address. What has no scheme is reached over HTTP.
pub(super) fn read(server: &str) -> Result<Address, BadAddress> {
    let text = match whole(server) {
        true => server.to_owned(),
        false => format!("http://{}", checked(server)?),
    };
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", &text));
    let scheme = scheme.to_ascii_lowercase();
    let given = authority(rest);
    let (user, host_port) = given.rsplit_once('@').map_or((None, given), |(user, host)| (Some(user), host));
    let host_port = host_port.strip_suffix(':').unwrap_or(host_port);
    let (host, number) = split_port(host_port);
    let number = number.filter(|number| !number.is_empty());
    let usual = if scheme == "https" { 443 } else { 80 };
    let (port, mut leads_nowhere) = match number.map(str::parse) {
        None => (usual, None),
        Some(Ok(port)) => (port, None),
        Some(Err(_)) => (usual, Some(format!("dial tcp: address {}: invalid port", number.unwrap_or_default()))),
    };
    if host_port.is_empty() {
        leads_nowhere = Some("http: no Host in request URL".into());
    }
    if !matches!(scheme.as_str(), "http" | "https") {
        leads_nowhere = Some(format!("unsupported protocol scheme {scheme:?}"));
    }
    let path = path(&rest[given.len()..]);
    let scheme_of_requests = if scheme == "https" { "https" } else { "http" };
    let of = |host: &str| Url::parse(&format!("{scheme_of_requests}://{host}{path}"));
    let url = of(host_port).ok().filter(|url| !is_number(host) && url.has_host());
    let url = url.or_else(|| of(ELSEWHERE).ok()).ok_or_else(|| BadAddress::NoHost(server.to_owned()))?;
    let user = user.map(|user| match user.split_once(':') {
        Some((name, _)) => format!("{name}:***@"),
        None => format!("{user}@"),
    });
    let shown = format!("{scheme}://{}{host_port}{}", user.unwrap_or_default(), url.path().trim_end_matches('/'));
    let mut host = percent_encoding::percent_decode_str(host).decode_utf8_lossy().into_owned();
    // Name servers know ASCII only.
    if !host.is_ascii() {
        url.host_str().unwrap_or_default().clone_into(&mut host);
    }
    Ok(Address { url, host, port, authority: host_port.to_owned(), shown, leads_nowhere })
}

/// Stands for hosts that are none to the standard: a name that nobody has.
const ELSEWHERE: &str = "host.invalid";

/// The host without its brackets, and the port if one is named.
fn split_port(host_port: &str) -> (&str, Option<&str>) {
    let is_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit());
    let (host, port) = match host_port.rsplit_once(':') {
        Some((host, port)) if is_port(port) => (host, Some(port)),
        _ => (host_port, None),
    };
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    (inner.unwrap_or(host), port)
}

/// Whether the standard would read a number as an address: Go does not.
fn is_number(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let is_numeric = last.starts_with(|c: char| c.is_ascii_digit());
    is_numeric && host.parse::<std::net::Ipv4Addr>().is_err()
}

/// Whether a host can be asked of a name server, as Go sees it.
pub(super) fn is_name(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let of_label = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let is_label = |label: &str| !label.is_empty() && label.len() <= 63 && label.chars().all(of_label);
    // A label may begin and end with anything but a dash.
    let no_dash = |label: &str| !label.starts_with('-') && !label.ends_with('-');
    let all_numeric = name.chars().all(|c| c.is_ascii_digit() || c == '.');
    host == "." || name.len() <= 253 && !all_numeric && name.split('.').all(|label| is_label(label) && no_dash(label))
}

/// A base path without its query. What would be a fragment belongs to it.
fn path(rest: &str) -> String {
    let path = rest.split('?').next().unwrap_or_default();
    if !path.starts_with('/') {
        return String::new();
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/")).replace('#', "%23")
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
    if server.chars().any(|c| c.is_ascii_control()) {
        return false;
    }
    let scheme_is_one = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    let host = authority(rest);
    scheme_is_one && !host.is_empty() && bad_host(host).is_none() && bad_escape(rest).is_none()
}

/// All between the slashes of a URL and its path.
fn authority(rest: &str) -> &str {
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// What is to be the rest of a URL: a host without a path.
fn checked(server: &str) -> Result<&str, BadAddress> {
    if server.chars().any(|c| c.is_ascii_control()) {
        return Err(BadAddress::NoUrl("net/url: invalid control character in URL".into()));
    }
    let host = authority(server);
    let path = server[host.len()..].split(['?', '#']).next().unwrap_or_default();
    if let Some(why) = bad_host(host).or_else(|| bad_escape(path)) {
        return Err(BadAddress::NoUrl(why));
    }
    match path {
        "" | "/" => Ok(server),
        _ => Err(BadAddress::NoHost(server.to_owned())),
    }
}

/// What Go says of a host that is none.
fn bad_host(host: &str) -> Option<String> {
    let host = host.rsplit('@').next().unwrap_or_default();
    let (name, port) = match host.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(None) => return Some("missing ']' in host".into()),
        Some(Some((name, port))) => {
            let plain = name.split('%').next().unwrap_or_default();
            if plain.parse::<std::net::Ipv6Addr>().is_err() {
                return Some(format!("invalid host: ParseAddr({plain:?}): unable to parse IP"));
            }
            (plain, port)
        }
        None => host.split_at(host.rfind(':').unwrap_or(host.len())),
    };
    let number = port.strip_prefix(':').unwrap_or(port);
    if !port.is_empty() && (!port.starts_with(':') || !number.bytes().all(|b| b.is_ascii_digit())) {
        return Some(format!("invalid port {port:?} after host"));
    }
    // Of a host only what is beyond ASCII may be escaped.
    let escaped = name.match_indices('%').map(|(at, _)| name[at..].chars().take(3).collect::<String>());
    let in_ascii =
        |escape: &String| escape.len() != 3 || !matches!(escape.as_bytes()[1], b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F');
    if let Some(why) =
        bad_escape(name).or(escaped.into_iter().find(in_ascii).map(|escape| format!("invalid URL escape {escape:?}")))
    {
        return Some(why);
    }
    let odd = name.chars().find(|c| c.is_ascii_control() || matches!(c, ' ' | '\\' | '^' | '`' | '{' | '|' | '}'));
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
        for (server, shown, host, port) in [
            ("localhost:8080", "http://localhost:8080", "localhost", 8080),
            ("https://h", "https://h", "h", 443),
            ("HTTP://h:1/a", "http://h:1/a", "h", 1),
            ("[::1]:6443", "http://[::1]:6443", "::1", 6443),
            ("http://h:1/ a/", "http://h:1/%20a", "h", 1),
            ("http://h//x/../y//", "http://h/y", "h", 80),
            ("http://h/x#y", "http://h/x%23y", "h", 80),
            ("http://h#y", "http://h", "h", 80),
            ("http://h/?q", "http://h", "h", 80),
            ("http://a:b@h", "http://a:***@h", "h", 80),
            ("8080", "http://8080", "8080", 80),
            (":8080", "http://:8080", "", 8080),
            ("::1", "http://::1", ":", 1),
            ("::1:8080", "http://::1:8080", "::1", 8080),
            ("h:", "http://h", "h", 80),
            ("http:127.0.0.1:80", "http://http:127.0.0.1:80", "http:127.0.0.1", 80),
            ("http://[fe80::1%25lo]:1", "http://[fe80::1%25lo]:1", "fe80::1%lo", 1),
        ] {
            let address = read(server).expect("an address");
            let told = (address.shown.as_str(), address.host.as_str(), address.port);
            assert_eq!((told, address.leads_nowhere), ((shown, host, port), None), "{server}");
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
            ("http://[zz]:1", r#"host must be a URL or a host:port pair: "http://[zz]:1""#),
            ("http://%41", r#"host must be a URL or a host:port pair: "http://%41""#),
            ("http://exa mple", r#"host must be a URL or a host:port pair: "http://exa mple""#),
            ("x y", r#"invalid character " " in host name"#),
            ("[]", r#"invalid host: ParseAddr(""): unable to parse IP"#),
            ("http://%zz", r#"invalid URL escape "%zz""#),
            ("http:127.0.0.1", r#"invalid port ":127.0.0.1" after host"#),
            ("http://h/\u{1}", "net/url: invalid control character in URL"),
        ] {
            assert_eq!(read(server).err().map(|error| error.to_string()).as_deref(), Some(want), "{server}");
        }
        for (server, want) in [
            ("ftp://x", r#"unsupported protocol scheme "ftp""#),
            ("http://h:99999", "dial tcp: address 99999: invalid port"),
            ("/", "http: no Host in request URL"),
            ("http://:", "http: no Host in request URL"),
        ] {
            assert_eq!(read(server).expect("read").leads_nowhere.as_deref(), Some(want), "{server}");
        }
    }

    #[test]
    fn some_hosts_are_no_names() {
        for (host, want) in [
            ("a.b", true),
            ("a_b.", true),
            (".", true),
            ("8080", false),
            ("1.2", false),
            (":", false),
            ("..", false),
            ("*", false),
        ] {
            assert_eq!(is_name(host), want, "{host}");
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
