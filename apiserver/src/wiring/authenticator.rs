//! Authenticators from their flags, and reading their files again.
//!
//! Upstream: `pkg/kubeapiserver/options/authentication.go`,
//! `apiserver/pkg/server/dynamiccertificates`.

use super::files;
use crate::options::Authentication;
use anyhow::Context as _;
use apiserver_auth::Authenticator;
use apiserver_auth::authentication::{
    Anonymous, BasicFile, BootstrapTokens, ClientCertificates, RequestHeader, ServiceAccountTokens, TokenFile, Tokens,
};
use apiserver_storage::Store;
use component::Supervisor;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How often files are looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// The authenticators.
pub(super) fn authenticator(
    options: &Authentication,
    service_accounts: Option<Arc<ServiceAccountTokens>>,
    store: &Store,
) -> anyhow::Result<Authenticator> {
    let client_ca = options.client_ca_file.as_deref();
    let basic_file = files::optional_text(&options.basic_auth_file, "basic-auth-file")?;
    let anonymous = if options.anonymous_auth { Anonymous::Allowed } else { Anonymous::Refused };
    Ok(Authenticator {
        request_header: request_header(options)?,
        client_certificates: client_ca.map(|path| certificates(path, "client-ca-file")).transpose()?,
        basic_file: basic_file.map(|text| BasicFile::parse(&text)).transpose().context("--basic-auth-file")?,
        tokens: tokens(options, service_accounts, store)?,
        anonymous: Arc::new(anonymous).into(),
    })
}

fn tokens(
    options: &Authentication,
    service_accounts: Option<Arc<ServiceAccountTokens>>,
    store: &Store,
) -> anyhow::Result<Tokens> {
    let file = files::optional_text(&options.token_auth_file, "token-auth-file")?;
    let audiences = match options.api_audiences.is_empty() {
        true => options.service_account_issuer.clone(),
        false => options.api_audiences.clone(),
    };
    Ok(Tokens {
        file: file.map(|text| TokenFile::parse(&text)).transpose().context("--token-auth-file")?,
        service_accounts,
        bootstrap: options.enable_bootstrap_token_auth.then(|| BootstrapTokens { store: store.clone() }),
        audiences,
    })
}

fn request_header(options: &Authentication) -> anyhow::Result<Option<RequestHeader>> {
    let Some(path) = &options.requestheader_client_ca_file else { return Ok(None) };
    Ok(Some(RequestHeader {
        proxies: certificates(path, "requestheader-client-ca-file")?,
        allowed_names: options.requestheader_allowed_names.clone(),
        username_headers: options.requestheader_username_headers.clone(),
        uid_headers: options.requestheader_uid_headers.clone(),
        group_headers: options.requestheader_group_headers.clone(),
        extra_prefixes: options.requestheader_extra_headers_prefix.clone(),
    }))
}

fn certificates(path: &Path, flag: &'static str) -> anyhow::Result<ClientCertificates> {
    ClientCertificates::new(files::authorities(path, flag)?).with_context(|| format!("--{flag}"))
}

/// Takes over new authorities of clients and front proxies when their files change.
pub(super) fn keep_current(authenticator: &Arc<Authenticator>, options: &Authentication, supervisor: &Supervisor) {
    let (client, proxies) = (options.client_ca_file.clone(), options.requestheader_client_ca_file.clone());
    if client.is_none() && proxies.is_none() {
        return;
    }
    let authenticator = authenticator.clone();
    supervisor.spawn_until_stop("client authorities", async move {
        let mut known = (client.as_deref().map(files::bytes), proxies.as_deref().map(files::bytes));
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            let clients = authenticator.client_certificates.as_ref();
            refresh(&mut known.0, client.as_deref(), clients, "client-ca-file");
            let fronts = authenticator.request_header.as_ref().map(|r| &r.proxies);
            refresh(&mut known.1, proxies.as_deref(), fronts, "requestheader-client-ca-file");
        }
    });
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
