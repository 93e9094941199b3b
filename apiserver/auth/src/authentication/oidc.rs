//! OpenID Connect: ID tokens of other issuers, verified with the keys that each publishes.
//!
//! Keys are fetched when the first token of an issuer comes, and again when one names a key that
//! is not known, at most every few seconds.
//!
//! Upstream: `apiserver/plugin/pkg/authenticator/token/oidc`.

mod claims;
mod config;
mod expressions;
mod fetch;
mod keys;

pub use config::{ConfigError, Configuration, FlagOptions, Issuer, Mapping, Origin};
pub use expressions::{Condition, Expression};

use super::{Audiences, TokenVerdict};
use arc_swap::ArcSwap;
use fetch::Fetcher;
use keys::Keys;
use std::path::Path;
use std::sync::Arc;

/// The issuers whose tokens are taken. They are replaced as a whole when their file changes.
#[derive(Debug, Default)]
pub struct Oidc {
    issuers: ArcSwap<Vec<Arc<Known>>>,
}

/// An issuer and what is known of its keys.
#[derive(Debug)]
struct Known {
    issuer: Issuer,
    keys: Keys,
}

impl Oidc {
    /// Takes the tokens of these issuers.
    pub fn new(configuration: &Configuration) -> Result<Self, ConfigError> {
        let oidc = Self::default();
        oidc.replace(configuration)?;
        Ok(oidc)
    }

    /// Takes the tokens of these issuers from now on.
    pub fn replace(&self, configuration: &Configuration) -> Result<(), ConfigError> {
        let known = |issuer: &Issuer| {
            let fetcher = Fetcher::new(issuer.authorities.as_deref())?;
            let keys = Keys::new(fetcher, issuer.discovery_url.clone(), issuer.url.clone());
            Ok(Arc::new(Known { issuer: issuer.clone(), keys }))
        };
        let known: Result<Vec<_>, ConfigError> = configuration.issuers.iter().map(known).collect();
        self.issuers.store(Arc::new(known?));
        Ok(())
    }

    /// Reads `--authentication-config` again.
    pub fn reload(&self, file: &Path) -> Result<Configuration, ConfigError> {
        let configuration = Configuration::load(file)?;
        self.replace(&configuration)?;
        Ok(configuration)
    }

    /// Whether there is nobody to believe.
    pub fn is_empty(&self) -> bool {
        self.issuers.load().is_empty()
    }

    /// The user of a token of one of the issuers.
    pub async fn authenticate(&self, token: &str) -> TokenVerdict {
        let Some(url) = keys::issuer(token) else { return TokenVerdict::NotMine };
        let known = self.issuers.load().iter().find(|known| known.issuer.url == url).cloned();
        let Some(known) = known else { return TokenVerdict::NotMine };
        match known.judge(token).await {
            Ok(user) => TokenVerdict::User(Arc::new(user), Audiences::Api),
            Err(why) => TokenVerdict::Invalid(format!("oidc: {why}")),
        }
    }
}

impl Known {
    async fn judge(&self, token: &str) -> Result<apiserver_registry::UserInfo, String> {
        let claims =
            self.keys.verify(token, &self.issuer.algorithms).await.map_err(|e| format!("verify token: {e}"))?;
        claims::check(&self.issuer, &claims, jiff::Timestamp::now().as_second())
            .map_err(|e| format!("verify token: {e}"))?;
        claims::user(&self.issuer, &claims)
    }
}
