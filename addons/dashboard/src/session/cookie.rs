//! The cookie of a session: its number and its key.

use super::{Id, random};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::header::{self, HeaderMap, HeaderValue};
use zeroize::Zeroizing;

/// Browsers take a cookie with this prefix only over TLS, for all paths, and from this very host.
const NAME: &str = "__Host-kube-dashboard";
/// Scripts cannot read it, and no other site's page can have it sent. It ends with the browser.
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Strict";

/// A session's number and the key that opens what the server keeps of it.
#[derive(Clone)]
pub struct Cookie {
    /// The number.
    pub id: Id,
    /// The key.
    pub key: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for Cookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cookie")
    }
}

impl Cookie {
    /// A new one.
    pub fn random() -> Self {
        Self { id: random(), key: Zeroizing::new(random()) }
    }

    /// The one that a request carries.
    pub fn of_request(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        Self::decode(pairs.find(|(name, _)| *name == NAME)?.1)
    }

    fn decode(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(text.as_bytes()).ok()?);
        let (id, key) = bytes.split_at_checked(16)?;
        Some(Self { id: id.try_into().ok()?, key: Zeroizing::new(key.try_into().ok()?) })
    }

    /// The header that sets it.
    pub fn set(&self) -> HeaderValue {
        let bytes = Zeroizing::new([&self.id[..], &self.key[..]].concat());
        let text = format!("{NAME}={}; {ATTRIBUTES}", BASE64_URL_SAFE_NO_PAD.encode(&*bytes));
        let mut value = HeaderValue::from_str(&text).unwrap_or_else(|_| Self::unset());
        value.set_sensitive(true);
        value
    }

    /// The header that removes it.
    pub fn unset() -> HeaderValue {
        HeaderValue::from_static("__Host-kube-dashboard=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(value: &str) -> Option<Cookie> {
        Cookie::of_request(&HeaderMap::from_iter([(header::COOKIE, value.parse().expect("a value"))]))
    }

    #[test]
    fn what_is_set_comes_back() {
        let cookie = Cookie::random();
        let set = cookie.set().to_str().expect("text").to_owned();
        assert!(set.ends_with("; Path=/; Secure; HttpOnly; SameSite=Strict"), "{set}");
        let value = set.split(';').next().expect("a value");
        let back = request(&format!("other=1; {value}; more=2")).expect("a cookie");
        assert_eq!((back.id, *back.key), (cookie.id, *cookie.key));
    }

    #[test]
    fn all_else_is_no_cookie() {
        for value in ["", "a=b", "__Host-kube-dashboard=", "__Host-kube-dashboard=AAAA", "__Host-kube-dashboard=!!"] {
            assert!(request(value).is_none(), "{value}");
        }
        assert!(request(&format!("__Host-kube-dashboard={}", "A".repeat(65))).is_none());
    }

    #[test]
    fn removing_has_the_same_attributes() {
        assert_eq!(Cookie::unset(), format!("{NAME}=; {ATTRIBUTES}; Max-Age=0"));
    }
}
