//! Identity asserted by a trusted front proxy in headers.
//!
//! Upstream: `apiserver/pkg/authentication/request/headerrequest`.

use super::{ClientCertificates, Credentials, Verdict};
use apiserver_registry::UserInfo;
use component::serve::front_proxy::ProxyHeaders;
use std::sync::Arc;

/// `--requestheader-*`.
#[derive(Debug)]
pub struct RequestHeader {
    /// `--requestheader-client-ca-file`.
    pub proxies: ClientCertificates,
    /// `--requestheader-allowed-names`; empty allows any proxy that the CA vouches for.
    pub allowed_names: Vec<String>,
    /// What they say.
    pub headers: ProxyHeaders,
}

impl RequestHeader {
    /// The user that a trusted proxy names. Headers from anybody else count for nothing.
    pub fn authenticate(&self, credentials: &Credentials<'_>) -> Verdict {
        let Some(user) = self.headers.user(credentials.headers) else { return Verdict::NotMine };
        match self.proxies.verify(credentials.certificates) {
            Some(proxy) if self.allowed_names.is_empty() || self.allowed_names.contains(&proxy.name) => {
                let component::serve::User { name, uid, groups, extra } = user;
                Verdict::User(Arc::new(UserInfo { name, uid, groups, extra }))
            }
            _ => Verdict::NotMine,
        }
    }
}
