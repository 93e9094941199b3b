//! Service account tokens from their flags.

use super::files;
use crate::options::Authentication;
use anyhow::Context as _;
use apiserver_auth::authentication::ServiceAccountTokens;
use apiserver_auth::authentication::service_account::TokenConfig;
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
