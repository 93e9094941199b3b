//! Authentication: client certificates, token file, service account tokens, anonymous.

use apiserver_registry::UserInfo;
use rustls::pki_types::CertificateDer;
use std::sync::Arc;

/// What the server knows of the client.
#[derive(Debug)]
pub struct Credentials<'a> {
    /// The certificates that the TLS client presented, its own first; empty if none. The handshake
    /// has proved possession of the key, nothing more.
    pub certificates: &'a [CertificateDer<'a>],
    /// All request headers.
    pub headers: &'a http::HeaderMap,
}

/// The result of authentication.
#[derive(Clone, Debug)]
pub enum Authenticated {
    /// A user.
    User(Arc<UserInfo>),
    /// Credentials were given and are not valid: 401.
    Rejected,
    /// No credentials and no anonymous access: 401.
    Missing,
}

/// The configured authenticators in upstream's order. Cheap to share.
#[derive(Debug, Default)]
pub struct Authenticator {}

impl Authenticator {
    /// Authenticates a request. Answers from memory on the hot path.
    pub async fn authenticate(&self, _credentials: &Credentials<'_>) -> Authenticated {
        unimplemented!()
    }
}
