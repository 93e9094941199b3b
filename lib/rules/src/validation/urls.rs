//! URLs as upstream's language reads them: more liberal than a browser, with words of its own for
//! what is wrong.
//!
//! Upstream: Go's `net/url`.

use std::fmt::Write;

/// The parts of a URL that a webhook's may or may not have.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Url<'a> {
    pub(super) scheme: String,
    pub(super) host: &'a str,
    pub(super) user: Option<&'a str>,
    pub(super) query: &'a str,
    pub(super) fragment: &'a str,
}

/// Why a text is no URL.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct UrlError(pub(super) String);

impl<'a> Url<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, UrlError> {
        let (whole, fragment) = text.split_once('#').unwrap_or((text, ""));
        if whole.bytes().any(|b| b < 0x20 || b == 0x7f) {
            return Err(wrong("net/url: invalid control character in URL"));
        }
        let mut url = Self { fragment, ..Self::default() };
        if whole != "*" {
            url.read(whole)?;
        }
        escapes(fragment, |_| true)?;
        Ok(url)
    }

    fn read(&mut self, whole: &'a str) -> Result<(), UrlError> {
        let (scheme, rest) = scheme(whole)?;
        self.scheme = scheme.to_ascii_lowercase();
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        self.query = query;
        if !rest.starts_with('/') {
            // What follows a scheme without a slash is opaque.
            return match rest.split('/').next().is_some_and(|first| first.contains(':')) {
                _ if !scheme.is_empty() => Ok(()),
                true => Err(wrong("first path segment in URL cannot contain colon")),
                false => escapes(rest, |_| true),
            };
        }
        let after = rest.strip_prefix("//").filter(|_| !self.scheme.is_empty() || !rest.starts_with("///"));
        let Some(after) = after else { return escapes(rest, |_| true) };
        let (authority, path) = after.split_at(after.find('/').unwrap_or(after.len()));
        self.authority(authority)?;
        escapes(path, |_| true)
    }

    fn authority(&mut self, authority: &'a str) -> Result<(), UrlError> {
        let Some((user, named)) = authority.rsplit_once('@') else {
            self.host = host(authority)?;
            return Ok(());
        };
        self.host = host(named)?;
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&b);
        if !user.bytes().all(allowed) {
            return Err(wrong("net/url: invalid userinfo"));
        }
        escapes(user, |_| true)?;
        self.user = Some(user);
        Ok(())
    }
}

fn wrong(why: &str) -> UrlError {
    UrlError(why.to_owned())
}

fn scheme(text: &str) -> Result<(&str, &str), UrlError> {
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if index > 0 => {}
            b':' if index == 0 => return Err(wrong("missing protocol scheme")),
            b':' => return Ok((&text[..index], &text[index + 1..])),
            _ => break,
        }
    }
    Ok(("", text))
}

fn host(host: &str) -> Result<&str, UrlError> {
    let port = match host.rfind('[') {
        Some(0) => {
            let end = host.rfind(']').ok_or_else(|| wrong("missing ']' in host"))?;
            &host[end + 1..]
        }
        Some(_) => return Err(wrong("invalid IP-literal")),
        None => host.find(':').map_or("", |colon| &host[host.rfind(':').unwrap_or(colon)..]),
    };
    let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(|p| p.bytes().all(|b| b.is_ascii_digit()));
    if !is_port {
        return Err(UrlError(format!("invalid port {port:?} after host")));
    }
    let allowed = |b: u8| b >= 0x80 || b.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"%".contains(&b);
    if let Some(bad) = host.chars().find(|c| c.is_ascii() && !allowed(*c as u8)) {
        return Err(UrlError(format!("invalid character {:?} in host name", bad.to_string())));
    }
    // Only what is no plain character may be escaped in a host.
    escapes(host, |byte| byte >= 0x80)?;
    Ok(host)
}

/// Whether all percent signs begin an escape of what may be escaped.
fn escapes(text: &str, may: impl Fn(u8) -> bool) -> Result<(), UrlError> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(next) = bytes[at..].iter().position(|b| *b == b'%') {
        at += next;
        let digits = bytes.get(at + 1..at + 3).filter(|d| d.iter().all(u8::is_ascii_hexdigit));
        let value = digits.and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 16).ok());
        if !value.is_some_and(&may) {
            let shown = String::from_utf8_lossy(&bytes[at..bytes.len().min(at + 3)]);
            let mut why = String::from("invalid URL escape ");
            let _ = write!(why, "{shown:?}");
            return Err(UrlError(why));
        }
        at += 3;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let url = Url::parse("HTTPS://u:p@[::1]:80/a%20b?q#f").expect("a URL");
        assert_eq!((url.scheme.as_str(), url.host, url.user), ("https", "[::1]:80", Some("u:p")));
        assert_eq!((url.query, url.fragment), ("q", "f"));
        for (text, host) in
            [("", ""), ("a/b", ""), ("/abs", ""), ("mailto:x", ""), ("//h/p", "h"), ("https:///p", ""), ("*", "")]
        {
            assert_eq!(Url::parse(text).map(|url| url.host), Ok(host), "{text}");
        }
    }

    #[test]
    fn complaints() {
        for (text, why) in [
            ("::1", "missing protocol scheme"),
            ("1:2", "first path segment in URL cannot contain colon"),
            ("https://h:x", "invalid port \":x\" after host"),
            ("https://[::1", "missing ']' in host"),
            ("https://a b", "invalid character \" \" in host name"),
            ("https://h/%zz", "invalid URL escape \"%zz\""),
            ("https://h%41", "invalid URL escape \"%41\""),
            ("https://h/%4", "invalid URL escape \"%4\""),
            ("a\u{1}", "net/url: invalid control character in URL"),
        ] {
            assert_eq!(Url::parse(text), Err(UrlError(why.into())), "{text}");
        }
    }
}
