//! Everything that takes bearer tokens, local before remote.
//!
//! Upstream: `apiserver/pkg/authentication/token/union`.

use super::{BootstrapTokens, Oidc, ServiceAccountTokens, TokenFile, WebhookTokens};
use crate::authorization::rbac::aggregate;
use apiserver_registry::UserInfo;
use std::sync::Arc;

/// What is said of a token that nobody knows.
pub(crate) const INVALID: &str = "invalid bearer token";

/// What an authenticator says of a token.
#[derive(Clone, Debug)]
pub enum TokenVerdict {
    /// This is the user, and for these audiences.
    User(Arc<UserInfo>, Audiences),
    /// A token of this kind, and wrong.
    Invalid(String),
    /// No token of this kind.
    NotMine,
}

/// Whom a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audiences {
    /// The apiserver itself: tokens that know no audiences.
    Api,
    /// Those that it names.
    Claimed(Arc<[String]>),
}

/// The configured token authenticators.
#[derive(Debug, Default)]
pub struct Tokens {
    /// `--token-auth-file`.
    pub file: Option<TokenFile>,
    /// `--service-account-*`.
    pub service_accounts: Option<Arc<ServiceAccountTokens>>,
    /// `--enable-bootstrap-token-auth`.
    pub bootstrap: Option<BootstrapTokens>,
    /// `--oidc-*` or `--authentication-config`.
    pub oidc: Option<Arc<Oidc>>,
    /// `--authentication-token-webhook-*`.
    pub webhook: Option<WebhookTokens>,
    /// `--api-audiences`, or what stands for them.
    pub audiences: Vec<String>,
}

impl Tokens {
    /// Whether there is nobody to ask.
    pub fn is_empty(&self) -> bool {
        let local = self.file.is_some() || self.service_accounts.is_some() || self.bootstrap.is_some();
        !(local || self.oidc.is_some() || self.webhook.is_some())
    }

    /// The user of a token that is for one of `audiences` (the apiserver's own if empty).
    pub async fn authenticate(&self, token: &str, audiences: &[String]) -> TokenVerdict {
        let mut wrong = Vec::new();
        let mut take = |verdict| match verdict {
            user @ TokenVerdict::User(..) => Some(user),
            TokenVerdict::Invalid(why) => {
                wrong.push(why);
                None
            }
            TokenVerdict::NotMine => None,
        };
        if let Some(user) = self.file.as_ref().and_then(|file| file.lookup(token))
            && self.is_for_us(audiences)
        {
            return TokenVerdict::User(user, Audiences::Api);
        }
        if let Some(accounts) = &self.service_accounts
            && let Some(user) = take(accounts.authenticate(token, audiences).await)
        {
            return user;
        }
        if let Some(bootstrap) = self.bootstrap.as_ref().filter(|_| self.is_for_us(audiences))
            && let Some(user) = take(bootstrap.authenticate(token))
        {
            return user;
        }
        // After service accounts: their tokens must not make this one fetch keys.
        if let Some(oidc) = self.oidc.as_ref().filter(|_| self.is_for_us(audiences))
            && let Some(user) = take(oidc.authenticate(token).await)
        {
            return user;
        }
        if let Some(webhook) = &self.webhook {
            let audiences = if audiences.is_empty() { &self.audiences } else { audiences };
            if let Some(user) = take(Box::pin(webhook.authenticate(token, audiences)).await) {
                return user;
            }
        }
        if wrong.is_empty() {
            return TokenVerdict::NotMine;
        }
        // Upstream asks first whether the token is the one that it talks to itself with, and says so.
        wrong.insert(0, INVALID.to_owned());
        TokenVerdict::Invalid(aggregate(wrong))
    }

    /// The asked audiences that a token is for; all of its own if none were asked for.
    pub fn matched(&self, found: &Audiences, asked: &[String]) -> Vec<String> {
        let asked = if asked.is_empty() { &self.audiences } else { asked };
        let is_meant = |audience: &&String| match found {
            Audiences::Api => self.audiences.contains(audience),
            Audiences::Claimed(claimed) => claimed.contains(audience),
        };
        asked.iter().filter(is_meant).cloned().collect()
    }

    /// Tokens without audiences are for the apiserver only.
    fn is_for_us(&self, asked: &[String]) -> bool {
        asked.is_empty() || self.audiences.is_empty() || asked.iter().any(|a| self.audiences.contains(a))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    #[tokio::test]
    async fn tokens_without_audience_are_for_the_apiserver() {
        let file = TokenFile::parse("good,alice,u0\n").expect("a token file");
        let tokens = Tokens { file: Some(file), audiences: list(&["api"]), ..Tokens::default() };
        for (asked, want) in [(&[][..], true), (&["api", "other"], true), (&["other"], false)] {
            let found = tokens.authenticate("good", &list(asked)).await;
            assert_eq!(matches!(found, TokenVerdict::User(..)), want, "{asked:?}");
        }
        assert!(matches!(tokens.authenticate("bad", &[]).await, TokenVerdict::NotMine));
    }

    #[test]
    fn audiences_meet() {
        let tokens = Tokens { audiences: list(&["api"]), ..Tokens::default() };
        let claimed = Audiences::Claimed(list(&["api", "vault"]).into());
        assert_eq!(tokens.matched(&claimed, &list(&["vault", "x"])), ["vault"]);
        assert_eq!(tokens.matched(&claimed, &[]), ["api"]);
        assert_eq!(tokens.matched(&Audiences::Api, &list(&["api", "x"])), ["api"]);
    }
}
