//! Where requests carry their bearer token.
//!
//! Upstream: `apiserver/pkg/authentication/request/{bearertoken,websocket}`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use std::borrow::Cow;

/// What browsers, which cannot set headers, put before their token in the list of subprotocols.
const SUBPROTOCOL: &str = "base64url.bearer.authorization.k8s.io.";

/// The token of an `Authorization: Bearer` header, or of a WebSocket handshake.
pub(super) fn token(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    from_header(headers).map(Cow::Borrowed).or_else(|| from_subprotocol(headers).map(Cow::Owned))
}

/// Whether a token stands behind more than one space, where nobody looks for it.
pub(super) fn is_spaced(headers: &HeaderMap) -> bool {
    let header = headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut words = header.trim().splitn(3, ' ');
    words.next().is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer"))
        && words.next() == Some("")
        && words.next().is_some_and(|rest| !rest.trim().is_empty())
}

/// The scheme's case does not matter; what follows a second space is not part of the token.
fn from_header(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?.trim();
    let mut words = header.split(' ');
    let (scheme, token) = (words.next()?, words.next()?);
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn from_subprotocol(headers: &HeaderMap) -> Option<String> {
    let is = |name: &str, value: &str| {
        headers.get(name).and_then(|v| v.to_str().ok()).is_some_and(|v| v.to_ascii_lowercase().contains(value))
    };
    if !headers.contains_key("sec-websocket-protocol") || !is("upgrade", "websocket") {
        return None;
    }
    let lists = headers.get_all("sec-websocket-protocol").iter().filter_map(|v| v.to_str().ok());
    let (mut token, mut others) = (None, false);
    for protocol in lists.flat_map(|list| list.split(',')).map(str::trim) {
        match protocol.strip_prefix(SUBPROTOCOL) {
            Some(encoded) => token = URL_SAFE_NO_PAD.decode(encoded).ok(),
            None => others = true,
        }
    }
    // The server must choose a protocol, and it must not be this one.
    token.filter(|_| others).and_then(|bytes| String::from_utf8(bytes).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (http::HeaderName::from_static(k), http::HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn reads_headers() {
        for (header, want) in [
            ("Bearer abc", Some("abc")),
            ("bearer abc", Some("abc")),
            ("Bearer  abc", None),
            (" Bearer abc def", Some("abc")),
            ("Bearer ", None),
            ("Basic abc", None),
            ("abc", None),
        ] {
            assert_eq!(token(&headers(&[("authorization", header)])).as_deref(), want, "{header:?}");
        }
    }

    #[test]
    fn reads_subprotocols() {
        let upgrade = ("upgrade", "websocket");
        let with = |list: &'static str| headers(&[upgrade, ("sec-websocket-protocol", list)]);
        let list = "base64url.bearer.authorization.k8s.io.YWJj, v4.channel.k8s.io";
        assert_eq!(token(&with(list)).as_deref(), Some("abc"));
        assert_eq!(token(&with("base64url.bearer.authorization.k8s.io.YWJj")), None);
        assert_eq!(token(&headers(&[("sec-websocket-protocol", list)])), None);
    }
}
