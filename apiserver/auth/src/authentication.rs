//! Authentication: request-header proxies, client certificates, passwords, bearer tokens of all
//! kinds, anonymous — tried in upstream's order, answered from memory.
//!
//! Upstream: `pkg/kubeapiserver/authenticator/config.go`.

pub mod anonymous;
pub mod basic_file;
mod bearer;
pub mod bootstrap_token;
pub mod client_cert;
pub mod oidc;
pub mod request_header;
pub mod service_account;
pub mod token_file;
pub mod tokens;
pub mod user_file;
pub mod webhook;

pub use anonymous::Anonymous;
pub use basic_file::BasicFile;
pub use bootstrap_token::BootstrapTokens;
pub use client_cert::ClientCertificates;
pub use oidc::Oidc;
pub use request_header::RequestHeader;
pub use service_account::ServiceAccountTokens;
pub use token_file::TokenFile;
pub use tokens::{Audiences, TokenVerdict, Tokens};
pub use webhook::WebhookTokens;

use crate::authorization::rbac::aggregate;
use apiserver_registry::UserInfo;
use arc_swap::ArcSwap;
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
    /// The path that is asked for.
    pub path: &'a str,
}

impl Credentials<'_> {
    /// Whether a bearer token stands behind more than one space: it is ignored.
    pub fn has_spaced_token(&self) -> bool {
        bearer::is_spaced(self.headers)
    }
}

/// The result of authentication.
#[derive(Clone, Debug)]
pub enum Authenticated {
    /// A user.
    User(Arc<UserInfo>),
    /// Credentials were given and are not valid, for this reason, which is not for the client: 401.
    Rejected(String),
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
    /// `--basic-auth-file`.
    pub basic_file: Option<BasicFile>,
    /// Everything that takes bearer tokens.
    pub tokens: Tokens,
    /// `--anonymous-auth`, replaced when its file changes.
    pub anonymous: ArcSwap<Anonymous>,
}

/// What one authenticator says of a request.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// This is the user.
    User(Arc<UserInfo>),
    /// Credentials of this kind were given and are wrong.
    Invalid(String),
    /// No credentials of this kind.
    NotMine,
}

impl Authenticator {
    /// Authenticates a request. Answers from memory on the hot path.
    pub async fn authenticate(&self, credentials: &Credentials<'_>) -> Authenticated {
        let mut wrong = Vec::new();
        for verdict in [self.by_request_header(credentials), self.by_certificate(credentials)] {
            match verdict {
                Verdict::User(user) => return Authenticated::User(user),
                Verdict::Invalid(why) => wrong.push(why),
                Verdict::NotMine => {}
            }
        }
        match self.by_secret(credentials).await {
            Verdict::User(user) => return Authenticated::User(user),
            Verdict::Invalid(why) => wrong.push(why),
            Verdict::NotMine => {}
        }
        // Who fails to prove an identity is not let in without one.
        if !wrong.is_empty() {
            return Authenticated::Rejected(aggregate(wrong));
        }
        self.anonymous.load().user(credentials.path).map_or(Authenticated::Missing, Authenticated::User)
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

    /// By password or token.
    async fn by_secret(&self, credentials: &Credentials<'_>) -> Verdict {
        if let Some(file) = &self.basic_file {
            match file.authenticate(credentials.headers) {
                Verdict::NotMine => {}
                verdict => return verdict,
            }
        }
        let Some(token) = bearer::token(credentials.headers).filter(|_| !self.tokens.is_empty()) else {
            return Verdict::NotMine;
        };
        match self.tokens.authenticate(&token, &[]).await {
            TokenVerdict::User(user, _) => Verdict::User(user),
            TokenVerdict::Invalid(why) => Verdict::Invalid(why),
            TokenVerdict::NotMine => Verdict::Invalid(tokens::INVALID.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authenticator() -> Authenticator {
        let file = TokenFile::parse("good,alice,u0\n").expect("a token file");
        Authenticator {
            tokens: Tokens { file: Some(file), ..Tokens::default() },
            anonymous: ArcSwap::from_pointee(Anonymous::Allowed),
            ..Authenticator::default()
        }
    }

    #[tokio::test]
    async fn wrong_credentials_are_not_anonymous() {
        let authenticator = authenticator();
        for (header, want) in [(Some("Bearer good"), "alice"), (Some("Bearer bad"), "-"), (None, "system:anonymous")] {
            let mut headers = http::HeaderMap::new();
            if let Some(header) = header {
                headers.insert("authorization", http::HeaderValue::from_static(header));
            }
            let credentials = Credentials { certificates: &[], headers: &headers, path: "/api" };
            match authenticator.authenticate(&credentials).await {
                Authenticated::User(user) => assert_eq!(user.name, want),
                Authenticated::Rejected(why) => assert_eq!((why.as_str(), want), ("invalid bearer token", "-")),
                Authenticated::Missing => panic!("{header:?}"),
            }
        }
    }

    #[tokio::test]
    async fn without_anonymous_access_credentials_are_needed() {
        let authenticator = Authenticator { anonymous: ArcSwap::default(), ..authenticator() };
        let headers = http::HeaderMap::new();
        let credentials = Credentials { certificates: &[], headers: &headers, path: "/api" };
        assert!(matches!(authenticator.authenticate(&credentials).await, Authenticated::Missing));
    }
}
