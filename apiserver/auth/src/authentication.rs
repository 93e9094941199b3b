//! Authentication: request-header proxies, client certificates, the token file, service account
//! tokens, anonymous — tried in upstream's order, answered from memory.
//!
//! Upstream: `pkg/kubeapiserver/authenticator/config.go`.

pub mod client_cert;
pub mod request_header;
pub mod service_account;
pub mod token_file;

pub use client_cert::ClientCertificates;
pub use request_header::RequestHeader;
pub use service_account::ServiceAccountTokens;
pub use token_file::TokenFile;

use apiserver_registry::UserInfo;
use rustls::pki_types::CertificateDer;
use std::sync::Arc;

/// The group of everybody who proved an identity.
pub const AUTHENTICATED: &str = "system:authenticated";
/// The group of everybody else.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";

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
pub struct Authenticator {
    /// `--requestheader-*`.
    pub request_header: Option<RequestHeader>,
    /// `--client-ca-file`.
    pub client_certificates: Option<ClientCertificates>,
    /// `--token-auth-file`.
    pub token_file: Option<TokenFile>,
    /// `--service-account-*`.
    pub service_accounts: Option<Arc<ServiceAccountTokens>>,
    /// `--anonymous-auth`.
    pub anonymous: bool,
}

/// What one authenticator says of a request.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// This is the user.
    User(Arc<UserInfo>),
    /// Credentials of this kind were given and are wrong.
    Invalid,
    /// No credentials of this kind.
    NotMine,
}

impl Authenticator {
    /// Authenticates a request. Answers from memory on the hot path.
    pub async fn authenticate(&self, credentials: &Credentials<'_>) -> Authenticated {
        let mut rejected = false;
        for verdict in
            [self.by_request_header(credentials), self.by_certificate(credentials), self.by_token(credentials)]
        {
            match verdict {
                Verdict::User(user) => return Authenticated::User(user),
                Verdict::Invalid => rejected = true,
                Verdict::NotMine => {}
            }
        }
        match (rejected, self.anonymous) {
            (true, _) => Authenticated::Rejected,
            (false, true) => Authenticated::User(anonymous()),
            (false, false) => Authenticated::Missing,
        }
    }

    /// Authenticates a bearer token, as a `TokenReview` asks for it.
    pub fn authenticate_token(&self, token: &str) -> Verdict {
        if let Some(file) = &self.token_file
            && let Some(user) = file.lookup(token)
        {
            return Verdict::User(user);
        }
        match &self.service_accounts {
            Some(tokens) => tokens.authenticate(token, &[]).map_or(Verdict::Invalid, Verdict::User),
            None => Verdict::Invalid,
        }
    }

    fn by_request_header(&self, credentials: &Credentials<'_>) -> Verdict {
        self.request_header.as_ref().map_or(Verdict::NotMine, |r| r.authenticate(credentials))
    }

    fn by_certificate(&self, credentials: &Credentials<'_>) -> Verdict {
        match &self.client_certificates {
            Some(client) if !credentials.certificates.is_empty() => client.authenticate(credentials.certificates),
            _ => Verdict::NotMine,
        }
    }

    fn by_token(&self, credentials: &Credentials<'_>) -> Verdict {
        match bearer_token(credentials.headers) {
            Some(token) => self.authenticate_token(token),
            None => Verdict::NotMine,
        }
    }
}

/// The user of requests without credentials.
fn anonymous() -> Arc<UserInfo> {
    Arc::new(UserInfo { name: "system:anonymous".into(), groups: vec![UNAUTHENTICATED.into()], ..UserInfo::default() })
}

/// The token of an `Authorization: Bearer` header; the scheme's case does not matter.
fn bearer_token(headers: &http::HeaderMap) -> Option<&str> {
    let header = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?.trim();
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_bearer_tokens() {
        for (header, want) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Bearer ", None),
            ("Basic abc", None),
            ("abc", None),
        ] {
            let mut headers = http::HeaderMap::new();
            headers.insert("authorization", header.parse().expect("a header value"));
            assert_eq!(bearer_token(&headers), want, "{header:?}");
        }
    }

    #[tokio::test]
    async fn wrong_credentials_never_become_anonymous() {
        let authenticator = Authenticator {
            token_file: Some(TokenFile::parse("t0,alice,u1\n").expect("a token file")),
            anonymous: true,
            ..Authenticator::default()
        };
        let ask = async |token: Option<&str>| {
            let mut headers = http::HeaderMap::new();
            if let Some(token) = token {
                headers.insert("authorization", format!("Bearer {token}").parse().expect("a header value"));
            }
            authenticator.authenticate(&Credentials { certificates: &[], headers: &headers }).await
        };
        assert!(matches!(ask(Some("t0")).await, Authenticated::User(u) if u.name == "alice"));
        assert!(matches!(ask(Some("t1")).await, Authenticated::Rejected));
        assert!(matches!(ask(None).await, Authenticated::User(u) if u.name == "system:anonymous"));
    }
}
