//! Flags about which version the server is to be like, and others that must not be passed over in silence.
//!
//! Upstream: `component-base/compatibility`, `pkg/controlplane/apiserver/options`.

use super::OptionError;
use clap::ArgAction;

/// The version that this server is.
const OURS: &str = "1.36";

/// Flags about versions, and flags that the server cannot start with.
#[derive(Clone, Debug, clap::Args)]
pub struct Versions {
    /// The version whose APIs and features are emulated: kube=1.36, the only one that is built.
    #[arg(long, value_delimiter = ',')]
    pub emulated_version: Vec<String>,
    /// The oldest version that this server must work together with: kube=1.35 or 1.36.
    #[arg(long, value_delimiter = ',')]
    pub min_compatibility_version: Vec<String>,
    /// Serve newer APIs than the emulated version has; without effect where that is this server's own.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub runtime_config_emulation_forward_compatible: bool,
    /// File with the configuration of egress proxies; not built, so that the server does not start with it.
    #[arg(long)]
    pub egress_selector_config_file: Option<String>,
    /// File with the configuration of tracing; not built, so that the server does not start with it.
    #[arg(long)]
    pub tracing_config_file: Option<String>,
    /// Socket of an external signer of tokens; not built, so that the server does not start with it.
    #[arg(long)]
    pub service_account_signing_endpoint: Option<String>,
}

impl Versions {
    pub(super) fn validate(&self) -> Result<(), OptionError> {
        of_kube("emulated-version", &self.emulated_version, &[OURS])?;
        of_kube("min-compatibility-version", &self.min_compatibility_version, &["1.35", OURS])?;
        let unbuilt = [
            ("egress-selector-config-file", &self.egress_selector_config_file),
            ("tracing-config-file", &self.tracing_config_file),
            ("service-account-signing-endpoint", &self.service_account_signing_endpoint),
        ];
        match unbuilt.iter().find(|(_, value)| value.as_ref().is_some_and(|value| !value.is_empty())) {
            Some((flag, _)) => Err(OptionError::Unbuilt(flag)),
            None => Ok(()),
        }
    }
}

/// Whether all versions are some of these, each once.
fn of_kube(flag: &'static str, given: &[String], built: &[&str]) -> Result<(), OptionError> {
    if given.len() > 1 {
        return Err(OptionError::Version(flag, given.join(","), built.join(", ")));
    }
    for text in given {
        let version = text.strip_prefix("kube=").unwrap_or(text);
        if !built.contains(&version) {
            return Err(OptionError::Version(flag, text.clone(), built.join(", ")));
        }
    }
    Ok(())
}
