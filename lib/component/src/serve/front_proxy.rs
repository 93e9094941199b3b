//! Users that a trusted proxy in front vouches for by headers, as the apiserver does for the servers that it
//! passes requests on to.
//!
//! Upstream: `apiserver/pkg/authentication/request/headerrequest`.

use super::User;
use http::HeaderMap;
use std::collections::BTreeMap;

/// The group of everybody who is somebody.
const AUTHENTICATED: &str = "system:authenticated";

/// Which headers say what of a user (`--requestheader-*`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyHeaders {
    /// The user's name; the first one that is there counts.
    pub username: Vec<String>,
    /// The user's UID; the first one that is there counts.
    pub uid: Vec<String>,
    /// The user's groups; all count.
    pub group: Vec<String>,
    /// How the headers of what else is known begin.
    pub extra_prefixes: Vec<String>,
}

impl ProxyHeaders {
    /// The user that the headers name.
    pub fn user(&self, headers: &HeaderMap) -> Option<User> {
        let name = self.username.iter().find_map(|header| first(headers, header))?;
        let uid = self.uid.iter().find_map(|header| first(headers, header)).unwrap_or_default();
        let mut groups: Vec<String> = self.group.iter().flat_map(|header| all(headers, header)).collect();
        if !groups.iter().any(|group| group == AUTHENTICATED) && name != "system:anonymous" {
            groups.push(AUTHENTICATED.to_owned());
        }
        Some(User { name: name.to_owned(), uid: uid.to_owned(), groups, extra: self.extra(headers) })
    }

    fn extra(&self, headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for prefix in self.extra_prefixes.iter().map(|prefix| prefix.to_ascii_lowercase()) {
            for (header, value) in headers {
                if let (Some(key), Ok(value)) = (header.as_str().strip_prefix(&prefix), value.to_str()) {
                    extra.entry(unescape(key)).or_default().push(value.to_owned());
                }
            }
        }
        extra
    }
}

fn first<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().filter(|value| !value.is_empty())
}

fn all(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.filter(|value| !value.is_empty()).map(str::to_owned).collect()
}

/// Extra keys are percent-encoded, because header names cannot carry every character.
fn unescape(key: &str) -> String {
    let bytes = key.as_bytes();
    let (mut out, mut i) = (Vec::with_capacity(bytes.len()), 0);
    while i < bytes.len() {
        let hex = key.get(i + 1..i + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[i], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                i += 3;
            }
            (byte, _) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().expect("a value"));
        }
        headers
    }

    #[test]
    fn headers_name_a_user() {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let rules = ProxyHeaders {
            username: list(&["X-Remote-User", "X-Other-User"]),
            uid: list(&["X-Remote-Uid"]),
            group: list(&["X-Remote-Group"]),
            extra_prefixes: list(&["X-Remote-Extra-"]),
        };
        assert_eq!(rules.user(&headers(&[("x-remote-user", ""), ("x-remote-group", "g")])), None);
        let found = rules.user(&headers(&[
            ("x-other-user", "jane"),
            ("x-remote-uid", "u"),
            ("x-remote-group", "g"),
            ("x-remote-group", ""),
            ("x-remote-extra-example.org%2fscope", "s"),
        ]));
        let wanted = User {
            name: "jane".into(),
            uid: "u".into(),
            groups: list(&["g", AUTHENTICATED]),
            extra: BTreeMap::from([("example.org/scope".to_owned(), list(&["s"]))]),
        };
        assert_eq!(found, Some(wanted));
        let nobody = rules.user(&headers(&[("x-remote-user", "system:anonymous")])).expect("a user");
        assert!(nobody.groups.is_empty());
    }

    #[test]
    fn odd_keys_stay() {
        assert_eq!(unescape("100%"), "100%");
        assert_eq!(unescape("%zz"), "%zz");
    }
}
