//! Identity asserted by a trusted front proxy in headers.
//!
//! Upstream: `apiserver/pkg/authentication/request/headerrequest`.

use super::{AUTHENTICATED, ClientCertificates, Credentials, Verdict};
use apiserver_registry::UserInfo;
use http::HeaderMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// `--requestheader-*`.
#[derive(Debug)]
pub struct RequestHeader {
    /// `--requestheader-client-ca-file`.
    pub proxies: ClientCertificates,
    /// `--requestheader-allowed-names`; empty allows any proxy that the CA vouches for.
    pub allowed_names: Vec<String>,
    /// `--requestheader-username-headers`.
    pub username_headers: Vec<String>,
    /// `--requestheader-uid-headers`.
    pub uid_headers: Vec<String>,
    /// `--requestheader-group-headers`.
    pub group_headers: Vec<String>,
    /// `--requestheader-extra-headers-prefix`.
    pub extra_prefixes: Vec<String>,
}

impl RequestHeader {
    /// The user that a trusted proxy names. Headers from anybody else count for nothing.
    pub fn authenticate(&self, credentials: &Credentials<'_>) -> Verdict {
        let headers = credentials.headers;
        let Some(name) = self.username_headers.iter().find_map(|h| first(headers, h)) else {
            return Verdict::NotMine;
        };
        match self.proxies.verify(credentials.certificates) {
            Some(proxy) if self.allowed_names.is_empty() || self.allowed_names.contains(&proxy.name) => {
                Verdict::User(Arc::new(self.user(name, headers)))
            }
            _ => Verdict::NotMine,
        }
    }

    fn user(&self, name: &str, headers: &HeaderMap) -> UserInfo {
        let uid = self.uid_headers.iter().find_map(|h| first(headers, h)).unwrap_or_default();
        let mut groups: Vec<String> = self.group_headers.iter().flat_map(|h| all(headers, h)).collect();
        if !groups.iter().any(|g| g == AUTHENTICATED) && name != "system:anonymous" {
            groups.push(AUTHENTICATED.into());
        }
        UserInfo { name: name.into(), uid: uid.into(), groups, extra: self.extra(headers) }
    }

    fn extra(&self, headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for prefix in self.extra_prefixes.iter().map(|p| p.to_ascii_lowercase()) {
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
    headers.get(name)?.to_str().ok().filter(|v| !v.is_empty())
}

fn all(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers.get_all(name).iter().filter_map(|v| v.to_str().ok()).map(str::to_owned).collect()
}

/// Extra keys are percent-encoded, because header names cannot carry every character.
fn unescape(key: &str) -> String {
    let bytes = key.as_bytes();
    let (mut out, mut i) = (Vec::with_capacity(bytes.len()), 0);
    while i < bytes.len() {
        let hex = key.get(i + 1..i + 3).and_then(|h| u8::from_str_radix(h, 16).ok());
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

    #[test]
    fn unescapes_extra_keys() {
        assert_eq!(unescape("example.org%2fscope"), "example.org/scope");
        assert_eq!(unescape("100%"), "100%");
        assert_eq!(unescape("%zz"), "%zz");
    }
}
