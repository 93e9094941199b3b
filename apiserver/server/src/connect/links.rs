//! Links in proxied HTML and redirects, moved below the proxy's own path.
//!
//! Upstream: `apimachinery/pkg/util/proxy/transport.go`.

use crate::body::Body;
use crate::body::transform::{Inside, Transform, Transformed};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION};
use http::{Response, Uri};
use std::io;

/// Attributes that hold URLs.
const ATTRIBUTES: &[(&str, &[&str])] = &[
    ("a", &["href"]),
    ("applet", &["codebase"]),
    ("area", &["href"]),
    ("audio", &["src"]),
    ("base", &["href"]),
    ("blockquote", &["cite"]),
    ("body", &["background"]),
    ("button", &["formaction"]),
    ("command", &["icon"]),
    ("del", &["cite"]),
    ("embed", &["src"]),
    ("form", &["action"]),
    ("frame", &["longdesc", "src"]),
    ("head", &["profile"]),
    ("html", &["manifest"]),
    ("iframe", &["longdesc", "src"]),
    ("img", &["longdesc", "src", "usemap"]),
    ("input", &["src", "usemap", "formaction"]),
    ("ins", &["cite"]),
    ("link", &["href"]),
    ("object", &["classid", "codebase", "data", "usemap"]),
    ("q", &["cite"]),
    ("script", &["src"]),
    ("source", &["src"]),
    ("video", &["poster", "src"]),
];
/// A longer tag is passed on as it is.
const MAX_TAG: usize = 64 * 1024;

/// Where links lead, and where they should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rewrite {
    /// Path of the proxy, without a slash at its end.
    pub(super) prefix: String,
    /// `host:port` of the server behind it.
    pub(super) backend: String,
    /// `Host` of the client's request.
    pub(super) host: String,
}

impl Rewrite {
    /// Changes what has to be changed of a response.
    pub(super) fn apply(self, mut response: Response<Body>) -> Response<Body> {
        let text = |r: &Response<Body>, name| {
            r.headers().get(name).and_then(|v: &HeaderValue| v.to_str().ok()).unwrap_or_default().to_owned()
        };
        let location = text(&response, LOCATION);
        if !location.is_empty() {
            if let Some(value) = self.url(&location).and_then(|l| HeaderValue::from_str(&l).ok()) {
                response.headers_mut().insert(LOCATION, value);
            }
            return response;
        }
        let html = text(&response, CONTENT_TYPE).split(';').next().is_some_and(|t| t.trim() == "text/html");
        let encoding = text(&response, CONTENT_ENCODING);
        // What cannot be read cannot be changed.
        if !html || !matches!(encoding.as_str(), "" | "identity" | "gzip") {
            return response;
        }
        response.headers_mut().remove(CONTENT_LENGTH);
        let links = Links { rewrite: self, held: Vec::new() };
        response.map(|body| {
            let body = match encoding.as_str() {
                "gzip" => Transformed::new(body, Inside::new(links)),
                _ => Transformed::new(body, links),
            };
            Body::Transformed(Box::new(body))
        })
    }

    /// The URL to be shown instead; `None` if it may stay.
    fn url(&self, url: &str) -> Option<String> {
        let (rest, foreign) = match url.split_once("://").or_else(|| url.strip_prefix("//").map(|r| ("", r))) {
            Some((scheme, rest)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                let at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
                let host = &rest[..at];
                (&rest[at..], !host.is_empty() && host != self.backend && host != self.host)
            }
            _ => (url, false),
        };
        // Relative ones lead to the right place by themselves.
        if foreign || !rest.starts_with('/') || rest.starts_with(&self.prefix) {
            return None;
        }
        rest.parse::<Uri>().ok().map(|_| format!("{}{rest}", self.prefix))
    }
}

/// Changes the links of an HTML document.
struct Links {
    rewrite: Rewrite,
    /// The start of a tag whose end has not come yet.
    held: Vec<u8>,
}

impl Transform for Links {
    fn push(&mut self, piece: &[u8]) -> io::Result<Vec<u8>> {
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(piece);
        let open = text.iter().rposition(|b| *b == b'<').filter(|at| !text[*at..].contains(&b'>'));
        if let Some(at) = open.filter(|at| text.len() - at <= MAX_TAG) {
            self.held = text.split_off(at);
        }
        Ok(self.tags(&text))
    }

    fn finish(&mut self) -> io::Result<Vec<u8>> {
        Ok(std::mem::take(&mut self.held))
    }
}

impl Links {
    fn tags(&self, mut text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len() + 256);
        while let Some(start) = memchr::memchr(b'<', text) {
            out.extend_from_slice(&text[..start]);
            text = &text[start..];
            let end = memchr::memchr(b'>', text).map_or(text.len(), |at| at + 1);
            match std::str::from_utf8(&text[..end]).ok().and_then(|tag| self.tag(tag)) {
                Some(changed) => out.extend_from_slice(changed.as_bytes()),
                None => out.extend_from_slice(&text[..end]),
            }
            text = &text[end..];
        }
        out.extend_from_slice(text);
        out
    }

    /// The tag with its links changed, if it has any that must be.
    fn tag(&self, tag: &str) -> Option<String> {
        let name_end = tag[1..].find(|c: char| !c.is_ascii_alphanumeric())? + 1;
        let name = tag[1..name_end].to_ascii_lowercase();
        let (_, attributes) = ATTRIBUTES.iter().find(|(n, _)| *n == name)?;
        let mut out = String::new();
        let mut copied = 0;
        for value in values(tag, name_end, attributes) {
            let url = tag[value.clone()].replace("&amp;", "&");
            if let Some(changed) = self.rewrite.url(&url) {
                out.push_str(&tag[copied..value.start]);
                out.push_str(&changed.replace('&', "&amp;"));
                copied = value.end;
            }
        }
        (copied > 0).then(|| out + &tag[copied..])
    }
}

/// Where the values of these attributes stand in a tag.
fn values(tag: &str, from: usize, attributes: &[&str]) -> Vec<std::ops::Range<usize>> {
    let bytes = tag.as_bytes();
    let skip = |mut at: usize, is: &dyn Fn(u8) -> bool| {
        while at < bytes.len() && is(bytes[at]) {
            at += 1;
        }
        at
    };
    let blank = |b: u8| b.is_ascii_whitespace() || b == b'/';
    let mut found = Vec::new();
    let mut at = skip(from, &blank);
    while at < bytes.len() && bytes[at] != b'>' {
        let name = at..skip(at, &|b| !blank(b) && b != b'=' && b != b'>').max(at + 1);
        at = skip(name.end, &|b| b.is_ascii_whitespace());
        if bytes.get(at) == Some(&b'=') {
            at = skip(at + 1, &|b| b.is_ascii_whitespace());
            let value = match bytes.get(at) {
                Some(quote @ (b'"' | b'\'')) => at + 1..skip(at + 1, &|b| b != *quote),
                _ => at..skip(at, &|b| !b.is_ascii_whitespace() && b != b'>'),
            };
            at = value.end + usize::from(matches!(bytes.get(value.end), Some(b'"' | b'\'')));
            let is_link = tag.get(name).is_some_and(|n| attributes.iter().any(|a| n.eq_ignore_ascii_case(a)));
            if is_link && tag.get(value.clone()).is_some() {
                found.push(value);
            }
        }
        at = skip(at, &blank);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    fn rewrite() -> Rewrite {
        Rewrite { prefix: "/p/proxy".into(), backend: "10.0.0.1:80".into(), host: "api:6443".into() }
    }

    fn page(pieces: &[&str]) -> String {
        let mut links = Links { rewrite: rewrite(), held: Vec::new() };
        let mut out = Vec::new();
        for piece in pieces {
            out.extend(links.push(piece.as_bytes()).expect("a piece"));
        }
        out.extend(links.finish().expect("the rest"));
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn links_of_pages() {
        for (page_in, want) in [
            (&["<a href=\"/rewriteme\">test</a>"][..], "<a href=\"/p/proxy/rewriteme\">test</a>"),
            (&["<a hr", "ef='/a?x=1&amp;y", "=2'>t</", "a>"], "<a href='/p/proxy/a?x=1&amp;y=2'>t</a>"),
            (&["<A class=x HREF=/a/ >t</A> 1 < 2 > 0"], "<A class=x HREF=/p/proxy/a/ >t</A> 1 < 2 > 0"),
            (&["<a href=\"b\"><a href=\"http://else/x\">"], "<a href=\"b\"><a href=\"http://else/x\">"),
            (&["<img src=\"http://10.0.0.1:80/x\" alt=\"/y\"/>"], "<img src=\"/p/proxy/x\" alt=\"/y\"/>"),
            (&["<a href=\"/p/proxy/x\"><p href=\"/x\">"], "<a href=\"/p/proxy/x\"><p href=\"/x\">"),
            (&["<a =\"", "<a href", "<"], "<a =\"<a href<"),
        ] {
            assert_eq!(page(page_in), want);
        }
    }

    #[tokio::test]
    async fn responses_by_their_type() {
        let of = |content_type: &str, location: &str| {
            let mut response = Response::new(Body::from("<a href=\"/x\">"));
            response.headers_mut().insert(CONTENT_TYPE, content_type.parse().expect("a value"));
            if !location.is_empty() {
                response.headers_mut().insert(LOCATION, location.parse().expect("a value"));
            }
            rewrite().apply(response)
        };
        let body = async |r: Response<Body>| r.into_body().collect().await.expect("a body").to_bytes();
        assert_eq!(body(of("text/html; charset=utf-8", "")).await, "<a href=\"/p/proxy/x\">");
        assert_eq!(body(of("text/plain", "")).await, "<a href=\"/x\">");
        assert_eq!(of("text/html", "/login?a=b").headers()[LOCATION], "/p/proxy/login?a=b");
        assert_eq!(of("text/html", "http://api:6443/x").headers()[LOCATION], "/p/proxy/x");
        assert_eq!(of("text/html", "https://else/x").headers()[LOCATION], "https://else/x");
    }
}
