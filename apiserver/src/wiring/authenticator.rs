//! Authenticators from their flags, and reading their files again.
//!
//! Upstream: `pkg/kubeapiserver/options/authentication.go`,
//! `apiserver/pkg/server/dynamiccertificates`.

use super::files;
use crate::options::Authentication;
use anyhow::Context as _;
use apiserver_auth::Authenticator;
use apiserver_auth::authentication::oidc::{Configuration, FlagOptions};
use apiserver_auth::authentication::{
    Anonymous, BasicFile, BootstrapTokens, ClientCertificates, Oidc, RequestHeader, ServiceAccountTokens, TokenFile,
    Tokens, WebhookTokens,
};
use apiserver_webhook::Means;
use component::Supervisor;
use component::files::Watch;
use component::serve::front_proxy::ProxyHeaders;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The authenticators.
pub(super) fn authenticator(
    options: &Authentication,
    service_accounts: Option<Arc<ServiceAccountTokens>>,
    means: &Means,
) -> anyhow::Result<Authenticator> {
    let client_ca = options.client_ca_file.as_deref();
    let basic_file = files::optional_text(&options.basic_auth_file, "basic-auth-file")?;
    let configuration = configuration(options)?;
    let by_flag = if options.anonymous_auth { Anonymous::Allowed } else { Anonymous::Refused };
    let anonymous = configuration.as_ref().and_then(|c| c.anonymous.clone()).unwrap_or(by_flag);
    Ok(Authenticator {
        request_header: request_header(options)?,
        client_certificates: client_ca.map(|path| certificates(path, "client-ca-file")).transpose()?,
        basic_file: basic_file.map(|text| BasicFile::parse(&text)).transpose().context("--basic-auth-file")?,
        tokens: tokens(options, service_accounts, means, configuration.as_ref())?,
        anonymous: Arc::new(anonymous).into(),
    })
}

fn tokens(
    options: &Authentication,
    service_accounts: Option<Arc<ServiceAccountTokens>>,
    means: &Means,
    configuration: Option<&Configuration>,
) -> anyhow::Result<Tokens> {
    let file = files::optional_text(&options.token_auth_file, "token-auth-file")?;
    let audiences = match options.api_audiences.is_empty() {
        true => options.service_account_issuer.clone(),
        false => options.api_audiences.clone(),
    };
    Ok(Tokens {
        file: file.map(|text| TokenFile::parse(&text)).transpose().context("--token-auth-file")?,
        service_accounts,
        bootstrap: options.enable_bootstrap_token_auth.then(|| BootstrapTokens { store: means.store.clone() }),
        oidc: configuration.map(Oidc::new).transpose()?.map(Arc::new),
        webhook: webhook(options, means)?,
        audiences,
    })
}

fn webhook(options: &Authentication, means: &Means) -> anyhow::Result<Option<WebhookTokens>> {
    let Some(path) = &options.authentication_token_webhook_config_file else { return Ok(None) };
    let life = options.authentication_token_webhook_cache_ttl.0;
    let tokens = WebhookTokens::new(path, &options.authentication_token_webhook_version, life, means);
    Ok(Some(tokens.context("--authentication-token-webhook-config-file")?))
}

/// The issuers of ID tokens, from the file or from flags.
fn configuration(options: &Authentication) -> anyhow::Result<Option<Configuration>> {
    if let Some(path) = &options.authentication_config {
        return Ok(Some(Configuration::load(path).context("--authentication-config")?));
    }
    if options.oidc_issuer_url.is_empty() {
        return Ok(None);
    }
    let flags = FlagOptions {
        issuer_url: options.oidc_issuer_url.clone(),
        client_id: options.oidc_client_id.clone(),
        authorities: files::optional_text(&options.oidc_ca_file, "oidc-ca-file")?,
        username_claim: options.oidc_username_claim.clone(),
        username_prefix: options.oidc_username_prefix.clone(),
        groups_claim: options.oidc_groups_claim.clone(),
        groups_prefix: options.oidc_groups_prefix.clone(),
        required_claims: options.oidc_required_claim.clone(),
        algorithms: options.oidc_signing_algs.clone(),
    };
    Ok(Some(Configuration::from_flags(flags).context("--oidc-issuer-url")?))
}

fn request_header(options: &Authentication) -> anyhow::Result<Option<RequestHeader>> {
    let Some(path) = &options.requestheader_client_ca_file else { return Ok(None) };
    Ok(Some(RequestHeader {
        proxies: certificates(path, "requestheader-client-ca-file")?,
        allowed_names: options.requestheader_allowed_names.clone(),
        headers: ProxyHeaders {
            username: options.requestheader_username_headers.clone(),
            uid: options.requestheader_uid_headers.clone(),
            group: options.requestheader_group_headers.clone(),
            extra_prefixes: options.requestheader_extra_headers_prefix.clone(),
        },
    }))
}

fn certificates(path: &Path, flag: &'static str) -> anyhow::Result<ClientCertificates> {
    ClientCertificates::new(files::authorities(path, flag)?).with_context(|| format!("--{flag}"))
}

/// Takes over new authorities of clients and front proxies, and new issuers, when their files
/// change.
pub(super) fn keep_current(authenticator: &Arc<Authenticator>, options: &Authentication, supervisor: &Supervisor) {
    let (client, proxies) = (options.client_ca_file.clone(), options.requestheader_client_ca_file.clone());
    let config = options.authentication_config.clone();
    if client.is_none() && proxies.is_none() && config.is_none() {
        return;
    }
    let authenticator = authenticator.clone();
    let bytes = |path: &Option<PathBuf>| path.as_deref().map(files::bytes);
    supervisor.spawn_until_stop("authentication files", async move {
        let mut watch = Watch::new([&client, &proxies, &config].into_iter().flatten().cloned());
        let mut known = (bytes(&client), bytes(&proxies), bytes(&config));
        loop {
            watch.changed().await;
            let clients = authenticator.client_certificates.as_ref();
            refresh(&mut known.0, client.as_deref(), clients, "client-ca-file");
            let fronts = authenticator.request_header.as_ref().map(|r| &r.proxies);
            refresh(&mut known.1, proxies.as_deref(), fronts, "requestheader-client-ca-file");
            refresh_issuers(&mut known.2, config.as_deref(), &authenticator);
        }
    });
}

fn refresh_issuers(known: &mut Option<Vec<u8>>, path: Option<&Path>, authenticator: &Authenticator) {
    let (Some(path), Some(oidc)) = (path, &authenticator.tokens.oidc) else { return };
    let now = Some(files::bytes(path));
    if now == *known {
        return;
    }
    match oidc.reload(path) {
        Ok(configuration) => {
            if let Some(anonymous) = configuration.anonymous {
                authenticator.anonymous.store(Arc::new(anonymous));
            }
            tracing::info!("loaded the changed --authentication-config");
        }
        // What was good stays in use.
        Err(error) => tracing::error!(%error, "cannot use the changed --authentication-config"),
    }
    *known = now;
}

fn refresh(
    known: &mut Option<Vec<u8>>,
    path: Option<&Path>,
    certificates: Option<&ClientCertificates>,
    flag: &'static str,
) {
    let (Some(path), Some(certificates)) = (path, certificates) else { return };
    let now = Some(files::bytes(path));
    if now == *known {
        return;
    }
    let taken = files::authorities(path, flag).and_then(|roots| Ok(certificates.replace(roots)?));
    match taken {
        Ok(()) => tracing::info!(file = %path.display(), "took over changed authorities of --{flag}"),
        // What was good stays in use.
        Err(error) => tracing::error!(error = format!("{error:#}"), "cannot take over --{flag}"),
    }
    *known = now;
}
