//! Flags about whether they may.
//!
//! Upstream: `pkg/kubeapiserver/options/authorization.go`.

use super::OptionError;
use component::GoDuration;
use std::path::PathBuf;

/// Values of `--authorization-mode` that are built.
const MODES: &[&str] = &["AlwaysAllow", "AlwaysDeny", "ABAC", "Webhook", "Node", "RBAC"];
/// Flags about whether they may.
#[derive(Clone, Debug, clap::Args)]
pub struct Authorization {
    /// Ordered list of authorization modes: AlwaysAllow, AlwaysDeny, ABAC, Webhook, Node, RBAC.
    /// AlwaysAllow if neither this nor --authorization-config is given.
    #[arg(long, value_delimiter = ',')]
    pub authorization_mode: Vec<String>,
    /// File with the chain of authorizers.
    #[arg(long)]
    pub authorization_config: Option<PathBuf>,
    /// File in kubeconfig format with the webhook that is asked.
    #[arg(long)]
    pub authorization_webhook_config_file: Option<PathBuf>,
    /// How long "allowed" answers of the webhook are kept.
    #[arg(long, default_value = "5m0s")]
    pub authorization_webhook_cache_authorized_ttl: GoDuration,
    /// How long other answers of the webhook are kept.
    #[arg(long, default_value = "30s")]
    pub authorization_webhook_cache_unauthorized_ttl: GoDuration,
    /// The version of the reviews that it takes.
    #[arg(long, default_value = "v1beta1", value_parser = ["v1", "v1beta1"])]
    pub authorization_webhook_version: String,
    /// File with policies of ABAC, one a line.
    #[arg(long)]
    pub authorization_policy_file: Option<PathBuf>,
}

impl Authorization {
    /// Whether everybody may do anything.
    pub fn always_allows(&self) -> bool {
        let modes = &self.authorization_mode;
        self.authorization_config.is_none() && (modes.is_empty() || modes.iter().any(|mode| mode == "AlwaysAllow"))
    }

    /// Checks what single values cannot show.
    pub(super) fn validate(&self) -> Result<(), OptionError> {
        let modes = &self.authorization_mode;
        if self.authorization_config.is_some() {
            let alone = modes.is_empty() && self.authorization_webhook_config_file.is_none();
            return if alone { Ok(()) } else { Err(OptionError::AuthorizationTwice) };
        }
        if let Some(mode) = modes.iter().find(|m| !MODES.contains(&m.as_str())) {
            return Err(OptionError::Mode(mode.clone()));
        }
        if modes.iter().enumerate().any(|(at, mode)| modes[..at].contains(mode)) {
            return Err(OptionError::Twice(modes.clone()));
        }
        let has = |mode: &str| modes.iter().any(|m| m == mode);
        match (has("ABAC"), &self.authorization_policy_file) {
            (true, None) => return Err(OptionError::NoPolicy),
            (false, Some(_)) => return Err(OptionError::UnusedPolicy),
            _ => {}
        }
        match (has("Webhook"), &self.authorization_webhook_config_file) {
            (true, None) => Err(OptionError::NoWebhook),
            (false, Some(_)) => Err(OptionError::UnusedWebhook),
            _ => Ok(()),
        }
    }
}
