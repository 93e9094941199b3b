//! Authorizers, in order, from their flags or from `--authorization-config`.
//!
//! Upstream: `pkg/kubeapiserver/{options,authorizer}`.

mod config;

use super::files;
use crate::options::{Authorization, OptionError};
use anyhow::Context as _;
use apiserver_auth::Authorizer;
use apiserver_auth::authorization::webhook::{OnError, WebhookOptions};
use apiserver_auth::authorization::{Abac, Mode, NodeAuthorizer, Rbac, WebhookAuthorizer};
use apiserver_webhook::Means;
use std::time::Duration;

/// Longest time for one answer of a webhook that flags name.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The authorizers, in order.
pub(super) fn authorizer(options: &Authorization, means: &Means, rbac: &Rbac) -> anyhow::Result<Authorizer> {
    let chain = match &options.authorization_config {
        Some(path) => config::load(path).context("--authorization-config")?,
        None => from_flags(options),
    };
    let modes = chain.into_iter().map(|link| mode(link, options, means, rbac)).collect::<Result<_, _>>()?;
    Ok(Authorizer { modes, always_allow_paths: Vec::new() })
}

/// One authorizer of the chain.
enum Link {
    /// By the name of its mode.
    Plain(String),
    /// A webhook with its own settings.
    Webhook(Box<WebhookOptions>),
}

fn from_flags(options: &Authorization) -> Vec<Link> {
    let webhook = || WebhookOptions {
        kubeconfig: options.authorization_webhook_config_file.clone().unwrap_or_default(),
        version: options.authorization_webhook_version.clone(),
        authorized_ttl: options.authorization_webhook_cache_authorized_ttl.0,
        unauthorized_ttl: options.authorization_webhook_cache_unauthorized_ttl.0,
        timeout: TIMEOUT,
        on_error: OnError::NoOpinion,
        conditions: Default::default(),
    };
    if options.authorization_mode.is_empty() {
        return vec![Link::Plain("AlwaysAllow".into())];
    }
    let link = |name: &String| match name.as_str() {
        "Webhook" => Link::Webhook(Box::new(webhook())),
        _ => Link::Plain(name.clone()),
    };
    options.authorization_mode.iter().map(link).collect()
}

fn mode(link: Link, options: &Authorization, means: &Means, rbac: &Rbac) -> anyhow::Result<Mode> {
    let name = match link {
        Link::Webhook(webhook) => {
            return Ok(Mode::Webhook(Box::new(
                WebhookAuthorizer::new(*webhook, means).context("authorization webhook")?,
            )));
        }
        Link::Plain(name) => name,
    };
    Ok(match name.as_str() {
        "AlwaysAllow" => Mode::AlwaysAllow,
        "AlwaysDeny" => Mode::AlwaysDeny,
        "ABAC" => Mode::Abac(abac(options)?),
        "RBAC" => Mode::Rbac(rbac.clone()),
        "Node" => Mode::Node(NodeAuthorizer::new(means.store.clone())),
        _ => return Err(OptionError::Mode(name).into()),
    })
}

fn abac(options: &Authorization) -> anyhow::Result<Abac> {
    let flag = "authorization-policy-file";
    let text = files::optional_text(&options.authorization_policy_file, flag)?.ok_or(OptionError::NoPolicy)?;
    Abac::parse(&text).with_context(|| format!("--{flag}"))
}
