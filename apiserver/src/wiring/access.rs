//! Authenticators and authorizers from their flags.

use super::files;
use crate::options::{Authentication, Authorization, OptionError};
use anyhow::Context as _;
use apiserver_auth::authentication::service_account::TokenConfig;
use apiserver_auth::authentication::{ClientCertificates, RequestHeader, ServiceAccountTokens, TokenFile};
use apiserver_auth::authorization::{Mode, NodeAuthorizer, Rbac};
use apiserver_auth::keys::{SigningKey, VerifyingKey};
use apiserver_auth::{Authenticator, Authorizer};
use apiserver_storage::Store;
use component::Supervisor;
use std::sync::Arc;

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
    };
    Ok(Some(ServiceAccountTokens::new(config, store.clone())))
}

/// The authenticators.
pub(super) fn authenticator(
    options: &Authentication,
    tokens: Option<Arc<ServiceAccountTokens>>,
) -> anyhow::Result<Authenticator> {
    let certificates = |path: &std::path::Path, flag: &'static str| {
        ClientCertificates::new(files::authorities(path, flag)?).with_context(|| format!("--{flag}"))
    };
    let client_certificates =
        options.client_ca_file.as_ref().map(|path| certificates(path, "client-ca-file")).transpose()?;
    let proxies = options.requestheader_client_ca_file.as_ref();
    let request_header = proxies
        .map(|path| {
            anyhow::Ok(RequestHeader {
                proxies: certificates(path, "requestheader-client-ca-file")?,
                allowed_names: options.requestheader_allowed_names.clone(),
                username_headers: options.requestheader_username_headers.clone(),
                uid_headers: options.requestheader_uid_headers.clone(),
                group_headers: options.requestheader_group_headers.clone(),
                extra_prefixes: options.requestheader_extra_headers_prefix.clone(),
            })
        })
        .transpose()?;
    let token_file = files::optional_text(&options.token_auth_file, "token-auth-file")?;
    let token_file = token_file.map(|text| TokenFile::parse(&text)).transpose().context("--token-auth-file")?;
    Ok(Authenticator {
        request_header,
        client_certificates,
        token_file,
        service_accounts: tokens,
        anonymous: options.anonymous_auth,
    })
}

/// The authorizers, in order.
pub(super) fn authorizer(
    options: &Authorization,
    store: &Store,
    supervisor: &Supervisor,
) -> anyhow::Result<Authorizer> {
    let mode = |name: &String| match name.as_str() {
        "AlwaysAllow" => Ok(Mode::AlwaysAllow),
        "AlwaysDeny" => Ok(Mode::AlwaysDeny),
        "RBAC" => Ok(Mode::Rbac(Rbac::start(store, supervisor))),
        "Node" => Ok(Mode::Node(NodeAuthorizer::new(store.clone()))),
        _ => Err(OptionError::Mode(name.clone())),
    };
    let modes = options.authorization_mode.iter().map(mode).collect::<Result<_, _>>()?;
    Ok(Authorizer { modes, always_allow_paths: Vec::new() })
}
