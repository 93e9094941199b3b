//! Whom the headers of a request ask to act as.
//!
//! Upstream: `apiserver/pkg/endpoints/filters/impersonation/constrained_impersonation.go`
//! (`processImpersonationHeaders`).

use apimachinery::go::quoted;
use apimachinery::status::Status;
use apiserver_registry::UserInfo;
use http::{HeaderMap, HeaderValue};
use std::borrow::Cow;

pub(super) const USER: &str = "impersonate-user";
pub(super) const GROUP: &str = "impersonate-group";
pub(super) const UID: &str = "impersonate-uid";
pub(super) const EXTRA: &str = "impersonate-extra-";

/// Whether there is any header of impersonation.
pub(super) fn any(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name.as_str().starts_with("impersonate-"))
}

/// The user that is asked for, as the headers have it; `None` if none is.
pub(super) fn read(headers: &HeaderMap) -> Result<Option<UserInfo>, Status> {
    let first = |name: &str| headers.get(name).map(text).unwrap_or_default();
    let mut wanted = UserInfo {
        name: first(USER),
        uid: first(UID),
        groups: headers.get_all(GROUP).iter().map(text).collect(),
        ..UserInfo::default()
    };
    for (name, value) in headers {
        if let Some(key) = name.as_str().strip_prefix(EXTRA) {
            wanted.extra.entry(unescaped(key).into_owned()).or_default().push(text(value));
        }
    }
    match (wanted.name.is_empty(), is_bare(&wanted)) {
        (false, _) => Ok(Some(wanted)),
        (true, true) => Ok(None),
        (true, false) => {
            let why = format!("requested {} without impersonating a user name", in_go(&wanted));
            Err(Status::bad_request(why))
        }
    }
}

/// Whether nothing but a name is asked for.
pub(super) fn is_bare(wanted: &UserInfo) -> bool {
    wanted.uid.is_empty() && wanted.groups.is_empty() && wanted.extra.is_empty()
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// A key that is not escaped right stays as it is.
fn unescaped(key: &str) -> Cow<'_, str> {
    match crate::query::has_whole_escapes(key) {
        true => percent_encoding::percent_decode_str(key).decode_utf8_lossy(),
        false => Cow::Borrowed(key),
    }
}

/// The user as Go prints it.
fn in_go(wanted: &UserInfo) -> String {
    let list = |texts: &[String]| match texts {
        [] => "[]string(nil)".to_owned(),
        texts => format!("[]string{{{}}}", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")),
    };
    let extra = match wanted.extra.is_empty() {
        true => "(nil)".to_owned(),
        false => {
            let members = wanted.extra.iter().map(|(key, values)| format!("{}:{}", quoted(key), list(values)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
    };
    let (uid, groups) = (quoted(&wanted.uid), list(&wanted.groups));
    format!("&user.DefaultInfo{{Name:\"\", UID:{uid}, Groups:{groups}, Extra:map[string][]string{extra}}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;
    use std::collections::BTreeMap;

    fn headers(pairs: &[(&'static str, &[u8])]) -> HeaderMap {
        let pair = |(key, value): &(&'static str, &[u8])| {
            (HeaderName::from_static(key), HeaderValue::from_bytes(value).expect("a value"))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn headers_name_a_user() {
        let wanted = read(&headers(&[
            (USER, b"you"),
            (USER, b"another"),
            (UID, b"1"),
            (GROUP, b"a"),
            (GROUP, b""),
            ("impersonate-extra-a%2fb", b"c"),
            ("impersonate-extra-a%2fb", b"\xff"),
            ("impersonate-extra-a%2", b""),
        ]));
        let extra = [("a/b", vec!["c", "\u{fffd}"]), ("a%2", vec![""])];
        let extra = extra.map(|(key, values)| (key.to_owned(), values.into_iter().map(str::to_owned).collect()));
        let want = UserInfo {
            name: "you".into(),
            uid: "1".into(),
            groups: vec!["a".into(), String::new()],
            extra: BTreeMap::from(extra),
        };
        assert_eq!(wanted, Ok(Some(want)));
        for none in [&[][..], &[(USER, &b""[..])], &[(USER, b""), (UID, b"")]] {
            assert_eq!(read(&headers(none)), Ok(None));
        }
    }

    #[test]
    fn what_is_asked_for_without_a_name_is_refused_in_gos_words() {
        let nil = "Groups:[]string(nil), Extra:map[string][]string(nil)";
        for (pairs, want) in [
            (&[(GROUP, &b"g"[..])][..], "UID:\"\", Groups:[]string{\"g\"}, Extra:map[string][]string(nil)"),
            (&[(GROUP, b"")], "UID:\"\", Groups:[]string{\"\"}, Extra:map[string][]string(nil)"),
            (&[(UID, b"\xc2\xa0")], &format!("UID:\"\\u00a0\", {nil}")),
            (
                &[("impersonate-extra-b", b"2"), ("impersonate-extra-a", b"1"), ("impersonate-extra-a", b"")],
                "UID:\"\", Groups:[]string(nil), \
                 Extra:map[string][]string{\"a\":[]string{\"1\", \"\"}, \"b\":[]string{\"2\"}}",
            ),
        ] {
            let refusal = read(&headers(pairs)).expect_err("no name");
            let want = format!("requested &user.DefaultInfo{{Name:\"\", {want}}} without impersonating a user name");
            assert_eq!((refusal.code, refusal.message), (400, want));
        }
    }
}
