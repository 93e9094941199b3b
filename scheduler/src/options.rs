//! Flags, and the configuration that they, the environment, the file and the defaults make.

use crate::config::{Configuration, KIND, PluginConfig, args};
use anyhow::Context as _;
use component::daemon::Daemon;
use component::kinds;
use component::layers::{self, FieldFlag};
use component::leading::{self, LeaderFlags};
use component::metrics::MetricFlags;
use component::serve::SecureServing;
use std::path::PathBuf;

/// The scheduler's own flags.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The configuration file.
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// The kubeconfig; ignored if --config is given.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// The secure endpoint.
    #[command(flatten)]
    pub serving: SecureServing,
    /// Leader election.
    #[command(flatten)]
    pub leader: LeaderFlags,
    /// Metrics.
    #[command(flatten)]
    pub metrics: MetricFlags,
}

const KUBECONFIG: FieldFlag = FieldFlag { flag: "kubeconfig", path: "clientConnection.kubeconfig" };

/// The effective configuration.
pub fn configuration(daemon: &Daemon<Options>) -> anyhow::Result<Configuration> {
    let loaded = match &daemon.options.config {
        Some(file) => Some(kinds::load::<Configuration>(file, &KIND)?),
        None => None,
    };
    for field in loaded.iter().flat_map(|loaded| &loaded.unbuilt) {
        tracing::warn!(field, "configuration field {field} is known but not built; it has no effect");
    }
    // Upstream: with a file, the deprecated flag has no effect.
    let mut fields = leading::FIELDS.to_vec();
    if loaded.is_none() {
        fields.push(KUBECONFIG);
    }
    let file = loaded.as_ref().map(|loaded| &loaded.value);
    let mut configuration: Configuration = layers::layered(&Configuration::default(), file, &fields, &daemon.given)?;
    configuration.complete();
    let configured = configuration.profiles.iter().flat_map(|profile| &profile.plugin_config);
    for PluginConfig { name, .. } in configured.filter(|config| !args::takes_any(&config.name)) {
        tracing::warn!(plugin = name, "plugin {name} takes no arguments; what is configured has no effect");
    }
    configuration.validate().map_err(anyhow::Error::msg).context("invalid configuration")?;
    Ok(configuration)
}

#[cfg(test)]
mod tests {
    use super::*;
    use component::flags::{self, Parsed};
    use component::{Gates, Supervisor};
    use std::io::Write as _;

    fn read(line: &[&str]) -> anyhow::Result<Configuration> {
        let words = line.iter().map(|&word| word.to_owned());
        let Parsed::Start(start) = flags::parse::<Options>("kube-scheduler", words, |_| None)? else {
            panic!("printed")
        };
        configuration(&Daemon {
            name: "kube-scheduler",
            options: start.options,
            common: start.common,
            given: start.given,
            shown: start.shown,
            grace: Default::default(),
            gates: Gates::default(),
            supervisor: Supervisor::new(),
        })
    }

    #[test]
    fn flags_override_the_file_and_the_file_the_defaults() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let text = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n\
                    podMaxBackoffSeconds: 20\nleaderElection: {leaderElect: true, resourceName: other}\n\
                    clientConnection: {kubeconfig: /k, qps: 5}\n";
        file.write_all(text.as_bytes()).unwrap();
        let path = file.path().to_str().unwrap();
        let config = read(&["--config", path, "--leader-elect=false", "--kubeconfig=/ignored"]).unwrap();
        assert_eq!((config.pod_max_backoff_seconds, config.pod_initial_backoff_seconds), (20, 1));
        assert_eq!(
            (config.leader_election.leader_elect, config.leader_election.resource_name.as_str()),
            (false, "other")
        );
        assert_eq!(config.client_connection.kubeconfig, "/k");
    }

    #[test]
    fn without_a_file_the_kubeconfig_flag_counts() {
        let config = read(&["--kubeconfig", "/k", "--leader-elect-lease-duration=30s"]).unwrap();
        assert_eq!(config.client_connection.kubeconfig, "/k");
        assert_eq!(config.leader_election.lease_duration.0.as_secs(), 30);
        assert!(config.leader_election.leader_elect);
    }

    #[test]
    fn impossible_values_end_the_start() {
        let error = format!("{:#}", read(&["--leader-elect-lease-duration=5s"]).unwrap_err());
        assert!(error.contains("leaseDuration must be greater than renewDeadline"), "{error}");
        assert!(read(&["--config=/nonexistent"]).is_err());
    }
}
