//! Who asks, in the headers that an aggregated server trusts this one with.
//!
//! Upstream: `client-go/transport/round_trippers.go` (`SetAuthProxyHeaders`).

use apiserver_registry::UserInfo;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const USER: HeaderName = HeaderName::from_static("x-remote-user");
const UID: HeaderName = HeaderName::from_static("x-remote-uid");
const GROUP: HeaderName = HeaderName::from_static("x-remote-group");
const EXTRA: &str = "x-remote-extra-";

/// What an extra key must have escaped: all that is no token character of a header name, and `%`.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'*')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// The identity that the aggregator itself has with other servers.
pub fn own() -> UserInfo {
    UserInfo { name: "system:kube-aggregator".into(), groups: vec!["system:masters".into()], ..UserInfo::default() }
}

/// Replaces whatever the client claimed by who it is.
pub fn set(headers: &mut HeaderMap, user: &UserInfo) {
    remove(headers);
    let mut add = |name: HeaderName, text: &str| {
        // Names with characters that no header can carry cannot be told.
        if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
            headers.append(name, value);
        }
    };
    add(USER, &user.name);
    if !user.uid.is_empty() {
        add(UID, &user.uid);
    }
    for group in &user.groups {
        add(GROUP, group);
    }
    for (key, values) in &user.extra {
        let name = format!("{EXTRA}{}", utf8_percent_encode(key, ESCAPED));
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
            values.iter().for_each(|value| add(name.clone(), value));
        }
    }
}

fn remove(headers: &mut HeaderMap) {
    for name in [USER, UID, GROUP] {
        headers.remove(name);
    }
    let extra: Vec<HeaderName> = headers.keys().filter(|k| k.as_str().starts_with(EXTRA)).cloned().collect();
    for name in extra {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn replaces_claims() {
        let mut headers = HeaderMap::new();
        headers.insert("x-remote-user", HeaderValue::from_static("root"));
        headers.insert("x-remote-extra-x", HeaderValue::from_static("1"));
        headers.insert("accept", HeaderValue::from_static("*/*"));
        let user = UserInfo {
            name: "jane".into(),
            uid: "u1".into(),
            groups: vec!["a".into(), "b".into()],
            extra: BTreeMap::from([("example.org/Key".to_owned(), vec!["v".to_owned()])]),
        };
        set(&mut headers, &user);
        assert_eq!(headers["x-remote-user"], "jane");
        assert_eq!(headers["x-remote-uid"], "u1");
        assert_eq!(headers.get_all("x-remote-group").iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(headers["x-remote-extra-example.org%2fkey"], "v");
        assert!(!headers.contains_key("x-remote-extra-x") && headers.contains_key("accept"));
    }
}
