//! URLs.
//!
//! Upstream: `apiserver/pkg/cel/library/urls.go` (Go's `url.ParseRequestURI`).

use super::{Function, global, member, text, wrong};
use crate::cost;
use crate::estimate::calls;
use crate::value::{Key, Value};
use crate::{Budget, EvalError};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An absolute URL, or an absolute path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    scheme: String,
    host: String,
    path: String,
    query: String,
}

pub(super) const FUNCTIONS: &[Function] = &[
    global("url", &["string -> url"], |a, budget| {
        let given = text(a, 0)?;
        budget.charge_walk(given.len())?;
        match Url::parse(given) {
            Some(url) => Ok(Value::Url(Arc::new(url))),
            None => {
                let why = why(given);
                wrong(format!("URL parse error during conversion from string: parse {given:?}: {why}"))
            }
        }
    })
    .estimated(calls::change)
    .metered(cost::walk),
    global("isURL", &["string -> bool"], |a, budget| {
        budget.charge_walk(text(a, 0)?.len())?;
        Ok(Value::Bool(Url::parse(text(a, 0)?).is_some()))
    }),
    member("getScheme", PART, |a, _| part(a, |u| u.scheme.clone())),
    member("getHost", PART, |a, _| part(a, |u| u.host.clone())),
    member("getHostname", PART, |a, _| part(a, |u| u.hostname().to_owned())),
    member("getPort", PART, |a, _| part(a, |u| u.port().to_owned())),
    member("getEscapedPath", PART, |a, _| part(a, |u| u.path.clone())),
    member("getQuery", &["url -> map(string, list(string))"], query),
];

const PART: &[&str] = &["url -> string"];

fn part<'a>(a: &[Value<'a>], part: fn(&Url) -> String) -> Result<Value<'a>, EvalError> {
    match &a[0] {
        Value::Url(url) => Ok(Value::text(part(url))),
        _ => Err(EvalError::NoOverload),
    }
}

fn query<'a>(a: &[Value<'a>], budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    let Value::Url(url) = &a[0] else { return Err(EvalError::NoOverload) };
    budget.charge_walk(url.query.len())?;
    let mut all: BTreeMap<String, Vec<Value<'a>>> = BTreeMap::new();
    for pair in url.query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        all.entry(decode(key)).or_default().push(Value::text(decode(value)));
    }
    Ok(Value::map(all.into_iter().map(|(key, values)| (Key::text(&key), Value::list(values))).collect()))
}

/// What is wrong with a text that is no URL, in the words of Go's `net/url`.
fn why(given: &str) -> String {
    if given.chars().any(|c| c.is_ascii_control()) {
        return "net/url: invalid control character in URL".into();
    }
    if given.is_empty() {
        return "empty url".into();
    }
    if given.starts_with(':') {
        return "missing protocol scheme".into();
    }
    let authority = given.split_once("://").filter(|(scheme, _)| is_scheme(scheme)).map(|(_, rest)| rest);
    let Some(authority) = authority else { return "invalid URI for request".into() };
    let host = authority.split(['/', '?']).next().unwrap_or_default();
    if host.starts_with('[') && !host.contains(']') {
        return "missing ']' in host".into();
    }
    let after = host.rfind(']').map_or(0, |at| at + 1);
    if let Some(at) = host[after..].find(':').map(|at| at + after)
        && !host[at + 1..].bytes().all(|byte| byte.is_ascii_digit())
    {
        return format!("invalid port {:?} after host", &host[at..]);
    }
    if let Some(escape) = wrong_escape(given) {
        return format!("invalid URL escape {escape:?}");
    }
    match host.chars().find(|c| *c == ' ' || "<>\"\\^`{|}".contains(*c)) {
        Some(c) => format!("invalid character {:?} in host name", c.to_string()),
        None => "invalid URI for request".into(),
    }
}

/// The first percent sign that is not followed by two digits, with what follows.
fn wrong_escape(text: &str) -> Option<&str> {
    let is_right = |at: usize| text.get(at + 1..at + 3).is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    let at = text.match_indices('%').map(|(at, _)| at).find(|at| !is_right(*at))?;
    Some(&text[at..text.floor_char_boundary((at + 3).min(text.len()))])
}

/// `%41` and `+` replaced.
fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match (bytes[at], code.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (_, Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', None) => out.push(b' '),
            (other, None) => out.push(other),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl Url {
    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.chars().any(|c| c.is_control() || c == ' ') || wrong_escape(text).is_some() {
            return None;
        }
        let (scheme, rest) = match text.find(':') {
            Some(at) if !text.starts_with('/') && is_scheme(&text[..at]) => (&text[..at], &text[at + 1..]),
            _ if text.starts_with('/') => ("", text),
            _ => return None,
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, path) = match rest.strip_prefix("//") {
            Some(authority) if !scheme.is_empty() => {
                let end = authority.find('/').unwrap_or(authority.len());
                authority.split_at(end)
            }
            _ if rest.starts_with('/') => ("", rest),
            // What has a scheme and no path is opaque to Go, and as good as any.
            _ => ("", ""),
        };
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        is_host(host).then(|| Self {
            scheme: scheme.to_ascii_lowercase(),
            host: host.into(),
            path: path.into(),
            query: query.into(),
        })
    }

    fn port(&self) -> &str {
        let after = self.host.rfind(']').map_or(0, |at| at + 1);
        self.host[after..].rsplit_once(':').map_or("", |(_, port)| port)
    }

    fn hostname(&self) -> &str {
        let port = self.port();
        let host = if port.is_empty() {
            self.host.trim_end_matches(':')
        } else {
            &self.host[..self.host.len() - port.len() - 1]
        };
        host.trim_start_matches('[').trim_end_matches(']')
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// A name or an address with brackets, and perhaps a port of digits.
fn is_host(host: &str) -> bool {
    let after = host.rfind(']').map_or(0, |at| at + 1);
    let port = host[after..].split_once(':').map_or("", |(_, port)| port);
    let bracketed = host.starts_with('[') == (after > 0);
    bracketed
        && port.chars().all(|c| c.is_ascii_digit())
        && !host.contains(['<', '>', '"', '\\', '^', '`', '{', '|', '}'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_like_go() {
        for (text, want) in [
            ("https://example.com:80/path?x=1", Some(("https", "example.com", "80", "/path"))),
            ("https://[::1]:80/", Some(("https", "::1", "80", "/"))),
            ("/absolute/path", Some(("", "", "", "/absolute/path"))),
            ("relative", None),
            ("https://a b", None),
            ("https://a:b/", None),
            ("../x", None),
            ("http://a/%zz", None),
        ] {
            let url = Url::parse(text);
            let got = url.as_ref().map(|u| (&*u.scheme, u.hostname(), u.port(), &*u.path));
            assert_eq!(got, want, "{text}");
        }
    }
}
