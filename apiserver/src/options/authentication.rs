//! Flags about who is asking.
//!
//! Upstream: `pkg/kubeapiserver/options/authentication.go`.

use super::{Authorization, OptionError};
use clap::ArgAction;
use component::GoDuration;
use std::path::PathBuf;

/// Flags about who is asking.
#[derive(Clone, Debug, clap::Args)]
pub struct Authentication {
    /// Allow requests without credentials as system:anonymous.
    #[arg(long, action = ArgAction::Set, default_value_t = true)]
    pub anonymous_auth: bool,
    /// Requests with a client certificate signed by one of these authorities have its identity.
    #[arg(long)]
    pub client_ca_file: Option<PathBuf>,
    /// File that holds tokens: token,user,uid,"groups".
    #[arg(long)]
    pub token_auth_file: Option<PathBuf>,
    /// File that holds passwords: password,user,uid,"groups". Not part of upstream since v1.19.
    #[arg(long)]
    pub basic_auth_file: Option<PathBuf>,
    /// Secrets of type bootstrap.kubernetes.io/token in kube-system are bearer tokens.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub enable_bootstrap_token_auth: bool,
    /// Identifiers of the API; tokens must be meant for one of them. The issuers by default.
    #[arg(long, value_delimiter = ',')]
    pub api_audiences: Vec<String>,
    /// Identifier of the service account token issuer; the first issues, all are accepted.
    #[arg(long)]
    pub service_account_issuer: Vec<String>,
    /// File containing PEM-encoded keys that verify service account tokens.
    #[arg(long)]
    pub service_account_key_file: Vec<PathBuf>,
    /// File containing the private key of the service account token issuer.
    #[arg(long)]
    pub service_account_signing_key_file: Option<PathBuf>,
    /// Tokens from secrets are looked up, so that deleting the secret revokes them.
    #[arg(long, action = ArgAction::Set, default_value_t = true)]
    pub service_account_lookup: bool,
    /// The maximum validity of a token created by the issuer; 0 is no bound.
    #[arg(long, default_value = "0s")]
    pub service_account_max_token_expiration: GoDuration,
    /// Projected tokens live longer than they say, for clients that do not read them again.
    #[arg(long, action = ArgAction::Set, default_value_t = true)]
    pub service_account_extend_token_expiration: bool,
    /// Overrides the URI of the key set in the discovery document.
    #[arg(long)]
    pub service_account_jwks_uri: Option<String>,
    /// File in kubeconfig format with the webhook that judges tokens.
    #[arg(long)]
    pub authentication_token_webhook_config_file: Option<PathBuf>,
    /// How long its answers are kept.
    #[arg(long, default_value = "2m0s")]
    pub authentication_token_webhook_cache_ttl: GoDuration,
    /// The version of the reviews that it takes.
    #[arg(long, default_value = "v1beta1", value_parser = ["v1", "v1beta1"])]
    pub authentication_token_webhook_version: String,
    /// File with the issuers of tokens, and who may ask without any.
    #[arg(long)]
    pub authentication_config: Option<PathBuf>,
    /// The URL of the OpenID issuer, only HTTPS scheme will be accepted.
    #[arg(long, default_value = "")]
    pub oidc_issuer_url: String,
    /// The client ID for the OpenID Connect client.
    #[arg(long, default_value = "")]
    pub oidc_client_id: String,
    /// Authorities of the OpenID server's certificate; those of the host if not set.
    #[arg(long)]
    pub oidc_ca_file: Option<PathBuf>,
    /// The OpenID claim to use as the user name.
    #[arg(long, default_value = "sub")]
    pub oidc_username_claim: String,
    /// What is put before user names; "-" is nothing.
    #[arg(long, default_value = "")]
    pub oidc_username_prefix: String,
    /// The OpenID claim with the user's groups.
    #[arg(long, default_value = "")]
    pub oidc_groups_claim: String,
    /// What is put before groups.
    #[arg(long, default_value = "")]
    pub oidc_groups_prefix: String,
    /// Claims that must have a value, as key=value.
    #[arg(long, value_parser = pair)]
    pub oidc_required_claim: Vec<(String, String)>,
    /// Signature algorithms of ID tokens.
    #[arg(long, value_delimiter = ',', default_value = "RS256")]
    pub oidc_signing_algs: Vec<String>,
    /// Authorities of the front proxies whose identity headers are trusted.
    #[arg(long)]
    pub requestheader_client_ca_file: Option<PathBuf>,
    /// Common names of trusted front proxies; empty trusts all of the authority.
    #[arg(long, value_delimiter = ',')]
    pub requestheader_allowed_names: Vec<String>,
    /// Headers with the user name.
    #[arg(long, value_delimiter = ',')]
    pub requestheader_username_headers: Vec<String>,
    /// Headers with the UID.
    #[arg(long, value_delimiter = ',')]
    pub requestheader_uid_headers: Vec<String>,
    /// Headers with groups.
    #[arg(long, value_delimiter = ',')]
    pub requestheader_group_headers: Vec<String>,
    /// Prefixes of headers with extra attributes.
    #[arg(long, value_delimiter = ',')]
    pub requestheader_extra_headers_prefix: Vec<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text} must be formatted as key=value"))?;
    Ok((key.to_owned(), value.to_owned()))
}

impl Authentication {
    /// What goes with this authorization: nobody is anonymous where everybody may do anything.
    pub fn with(&self, authorization: &Authorization) -> Self {
        let refuses = self.anonymous_auth && authorization.always_allows();
        if refuses {
            tracing::warn!("anonymous requests are refused, as the AlwaysAllow authorizer would allow them anything");
        }
        Self { anonymous_auth: self.anonymous_auth && !refuses, ..self.clone() }
    }

    /// Checks what single values cannot show.
    pub(super) fn validate(&self) -> Result<(), OptionError> {
        let by_flags = !self.oidc_issuer_url.is_empty();
        if by_flags == self.oidc_client_id.is_empty() {
            return Err(OptionError::Pair("oidc-issuer-url", "oidc-client-id"));
        }
        if by_flags && self.authentication_config.is_some() {
            return Err(OptionError::OidcTwice);
        }
        match self.service_account_signing_key_file.is_some() && self.service_account_issuer.is_empty() {
            true => Err(OptionError::NoIssuer),
            false => Ok(()),
        }
    }
}
