//! `WebhookAdmissionConfiguration`: the kubeconfig that says whom this server is to which webhook.
//!
//! Upstream: `apiserver/pkg/admission/plugin/webhook/config`.

use crate::configuration::unregistered;
use apimachinery::Value;
use apiserver_webhook::remote::Users;
use apiserver_webhook::{Client, Config, ConfigError, Means};
use serde::Deserialize;
use std::path::Path;

/// How webhooks are reached.
pub(super) struct Clients {
    means: Means,
    users: Option<Users>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    api_version: String,
    kind: String,
    #[serde(default)]
    kube_config_file: String,
    #[serde(default)]
    static_manifests_dir: String,
}

impl Clients {
    /// With a configuration, if there is one.
    ///
    /// # Errors
    /// Another kind, and a kubeconfig that cannot be used.
    pub(super) fn new(means: Means, configuration: Option<&Value>) -> Result<Self, String> {
        let Some(configuration) = configuration else { return Ok(Self { means, users: None }) };
        let wire = Wire::deserialize(configuration).map_err(|error| error.to_string())?;
        if (wire.api_version.as_str(), wire.kind.as_str())
            != ("apiserver.config.k8s.io/v1", "WebhookAdmissionConfiguration")
        {
            return Err(unregistered(&wire.kind, &wire.api_version));
        }
        if !wire.static_manifests_dir.is_empty() {
            return Err("staticManifestsDir is known but not built".to_owned());
        }
        let file = Path::new(&wire.kube_config_file);
        let users = match wire.kube_config_file.as_str() {
            "" => None,
            name if file.is_relative() => {
                return Err(format!("kubeConfigFile: Invalid value: {name:?}: must be an absolute file path"));
            }
            _ => Some(Users::read(file).map_err(|error| error.to_string())?),
        };
        Ok(Self { means, users })
    }

    /// The client of one webhook.
    pub(super) fn client(&self, config: Config) -> Result<Client, ConfigError> {
        let wrong = |error: apiserver_webhook::remote::KubeconfigError| ConfigError::Credentials(error.to_string());
        let credentials = self.users.as_ref().map(|users| users.credentials(&config.server_name(), config.port()));
        let credentials = credentials.transpose().map_err(wrong)?.unwrap_or_default();
        let client = Client::new(config, credentials.identity, &self.means)?;
        Ok(client.with_authorization(credentials.authorization))
    }
}
