//! Whether a request comes from the dashboard's own pages, and what every answer tells the browser.
//!
//! The session's cookie is `SameSite=Strict`. That leaves pages of the same site on another port, so requests
//! have to carry a header that no other page can send without being asked for leave, which is never given.

use http::header;
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// The header that only the dashboard's pages send.
pub const OWN: HeaderName = HeaderName::from_static("x-kube-dashboard");

/// What pages may do: run and load what comes from here, and nothing else.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";
/// What answers of the apiserver may do, should a browser ever show one: nothing.
const DATA_POLICY: &str = "default-src 'none'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'; sandbox";

/// How a request reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By a script that can set headers.
    Fetch,
    /// As a WebSocket, which cannot.
    WebSocket,
}

/// Whose request it is not.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// The browser says that another page sent it.
    #[error("the request comes from another site")]
    Site,
    /// Its origin is not this server's name.
    #[error("the request comes from another origin")]
    Origin,
    /// The header is missing.
    #[error("the request has no {OWN} header")]
    Header,
}

/// Passes what the dashboard's own pages send.
pub fn check(headers: &HeaderMap, host: Option<&str>, kind: Kind) -> Result<(), Foreign> {
    if headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin") {
        return Err(Foreign::Site);
    }
    let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    let is_own = |origin: &str| host.is_some_and(|host| origin.strip_prefix("https://") == Some(host));
    match (origin, kind) {
        (Some(origin), _) if !is_own(origin) => Err(Foreign::Origin),
        (None, Kind::WebSocket) => Err(Foreign::Origin),
        (_, Kind::Fetch) if !headers.contains_key(OWN) => Err(Foreign::Header),
        _ => Ok(()),
    }
}

/// The name under which the server was asked.
pub fn host<B>(request: &http::Request<B>) -> Option<&str> {
    let named = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    request.uri().authority().map(http::uri::Authority::as_str).or(named)
}

/// Headers of the pages themselves.
pub fn protect_page(headers: &mut HeaderMap) {
    protect(headers, PAGE_POLICY);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
}

/// Headers of all other answers, which are about the cluster and kept nowhere.
pub fn protect_data(headers: &mut HeaderMap) {
    protect(headers, DATA_POLICY);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

fn protect(headers: &mut HeaderMap, policy: &'static str) {
    for (name, value) in [
        ("content-security-policy", policy),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(kind: Kind, headers: &[(&'static str, &str)]) -> Result<(), Foreign> {
        let pair =
            |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), value.parse().expect("a value"));
        check(&headers.iter().map(pair).collect(), Some("dash.example:8443"), kind)
    }

    #[test]
    fn only_own_pages_pass() {
        let own = ("x-kube-dashboard", "1");
        let origin = ("origin", "https://dash.example:8443");
        for (headers, want) in [
            (&[own][..], Ok(())),
            (&[own, origin, ("sec-fetch-site", "same-origin")], Ok(())),
            (&[origin, ("sec-fetch-site", "same-origin")], Err(Foreign::Header)),
            (&[own, ("sec-fetch-site", "cross-site")], Err(Foreign::Site)),
            (&[own, ("sec-fetch-site", "same-site")], Err(Foreign::Site)),
            (&[own, ("sec-fetch-site", "none")], Err(Foreign::Site)),
            (&[own, ("origin", "https://dash.example:9999")], Err(Foreign::Origin)),
            (&[own, ("origin", "http://dash.example:8443")], Err(Foreign::Origin)),
            (&[own, ("origin", "null")], Err(Foreign::Origin)),
        ] {
            assert_eq!(judged(Kind::Fetch, headers), want, "{headers:?}");
        }
    }

    #[test]
    fn sockets_are_known_by_their_origin() {
        for (headers, want) in [
            (&[("origin", "https://dash.example:8443")][..], Ok(())),
            (&[("origin", "https://evil.example")], Err(Foreign::Origin)),
            (&[("x-kube-dashboard", "1")], Err(Foreign::Origin)),
        ] {
            assert_eq!(judged(Kind::WebSocket, headers), want, "{headers:?}");
        }
    }
}
