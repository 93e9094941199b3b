//! Service account tokens and authorizers from their flags.

use super::files;
use crate::options::{Authentication, Authorization, OptionError};
use anyhow::Context as _;
use apiserver_auth::Authorizer;
use apiserver_auth::authentication::ServiceAccountTokens;
use apiserver_auth::authentication::service_account::TokenConfig;
use apiserver_auth::authorization::{Abac, Mode, NodeAuthorizer, Rbac};
use apiserver_auth::keys::{SigningKey, VerifyingKey};
use apiserver_storage::Store;

/// Service account tokens, if there are keys for them.
pub(super) fn service_account_tokens(
    options: &Authentication,
    store: &Store,
) -> anyhow::Result<Option<ServiceAccountTokens>> {
    let mut keys = Vec::new();
    for path in &options.service_account_key_file {
        let flag = || format!("--service-account-key-file: {}", path.display());
        keys.extend(VerifyingKey::all_from_pem(&pki::pem::read(path)?).with_context(flag)?);
    }
    let flag = "service-account-signing-key-file";
    let signing = files::optional(&options.service_account_signing_key_file, flag)?;
    let signing = signing.map(|pem| SigningKey::from_pem(&pem).with_context(|| format!("--{flag}"))).transpose()?;
    if keys.is_empty() && signing.is_none() {
        return Ok(None);
    }
    let longest = options.service_account_max_token_expiration.0.as_secs();
    let config = TokenConfig {
        issuers: options.service_account_issuer.clone(),
        audiences: options.api_audiences.clone(),
        keys,
        signing,
        max_expiration: i64::try_from(longest).ok().filter(|s| *s > 0),
        extend_expiration: options.service_account_extend_token_expiration,
        lookup: options.service_account_lookup,
    };
    Ok(Some(ServiceAccountTokens::new(config, store.clone())))
}

/// The authorizers, in order.
pub(super) fn authorizer(options: &Authorization, store: &Store, rbac: &Rbac) -> anyhow::Result<Authorizer> {
    let mode = |name: &String| {
        anyhow::Ok(match name.as_str() {
            "AlwaysAllow" => Mode::AlwaysAllow,
            "AlwaysDeny" => Mode::AlwaysDeny,
            "ABAC" => Mode::Abac(abac(options)?),
            "RBAC" => Mode::Rbac(rbac.clone()),
            "Node" => Mode::Node(NodeAuthorizer::new(store.clone())),
            _ => return Err(OptionError::Mode(name.clone()).into()),
        })
    };
    let modes = options.authorization_mode.iter().map(mode).collect::<Result<_, _>>()?;
    Ok(Authorizer { modes, always_allow_paths: Vec::new() })
}

fn abac(options: &Authorization) -> anyhow::Result<Abac> {
    let flag = "authorization-policy-file";
    let text = files::optional_text(&options.authorization_policy_file, flag)?.ok_or(OptionError::NoPolicy)?;
    Abac::parse(&text).with_context(|| format!("--{flag}"))
}
