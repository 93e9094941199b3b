//! `KubeSchedulerConfiguration` of `kubescheduler.config.k8s.io/v1`.

pub mod args;
pub mod extenders;
pub mod plugins;
mod validation;

pub use args::{Args, PluginConfig};
use component::GoDuration;
use component::kinds::Kind;
use component::leading::LeaderElection;
pub use extenders::ExtenderConfig;
pub use plugins::Plugins;
use serde::{Deserialize, Serialize};

/// The kind, and its fields that have no effect.
pub const KIND: Kind = Kind {
    api_version: "kubescheduler.config.k8s.io/v1",
    kind: "KubeSchedulerConfiguration",
    unbuilt: &[
        "clientConnection.acceptContentTypes",
        "clientConnection.contentType",
        "enableContentionProfiling",
        "enableProfiling",
        "profiles.*.plugins.placementGenerate",
        "profiles.*.plugins.placementScore",
    ],
};

/// The configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Configuration {
    /// How to reach the apiserver.
    pub client_connection: ClientConnection,
    /// Whether to read the cluster only once this is the leader.
    pub delay_cache_until_active: bool,
    /// HTTP servers that take part in decisions.
    pub extenders: Vec<ExtenderConfig>,
    /// Who schedules, of several.
    pub leader_election: LeaderElection,
    /// Upstream's number of goroutines for the nodes of one decision. A decision is one pass over
    /// columns here, which takes less time than starting a second worker; the field is checked only.
    pub parallelism: i32,
    /// Of how many feasible nodes the scores are compared; 0 lets the size of the cluster decide.
    pub percentage_of_nodes_to_score: i32,
    /// First backoff of a pod.
    pub pod_initial_backoff_seconds: i64,
    /// Longest backoff of a pod.
    pub pod_max_backoff_seconds: i64,
    /// One per scheduler name.
    pub profiles: Vec<ProfileConfig>,
}

/// How to reach the apiserver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ClientConnection {
    /// Requests that may be sent at once.
    pub burst: i32,
    /// A file.
    pub kubeconfig: String,
    /// Requests per second; less than zero is no limit.
    pub qps: f32,
}

impl Default for ClientConnection {
    fn default() -> Self {
        Self { burst: 100, kubeconfig: String::new(), qps: 50.0 }
    }
}

/// A scheduler name and its plugins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ProfileConfig {
    /// Of how many feasible nodes the scores are compared, if not as for the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percentage_of_nodes_to_score: Option<i32>,
    /// The arguments of plugins.
    pub plugin_config: Vec<PluginConfig>,
    /// What differs from the default plugins.
    pub plugins: Plugins,
    /// The name that pods ask for.
    pub scheduler_name: String,
}

/// The name of the profile that is meant if nobody names one.
pub const DEFAULT_SCHEDULER: &str = "default-scheduler";

impl Default for Configuration {
    fn default() -> Self {
        Self {
            client_connection: ClientConnection::default(),
            delay_cache_until_active: false,
            extenders: Vec::new(),
            leader_election: LeaderElection::named("kube-scheduler"),
            parallelism: 16,
            percentage_of_nodes_to_score: 0,
            pod_initial_backoff_seconds: 1,
            pod_max_backoff_seconds: 10,
            profiles: vec![ProfileConfig { scheduler_name: DEFAULT_SCHEDULER.to_owned(), ..ProfileConfig::default() }],
        }
    }
}

impl Configuration {
    /// Fills in what depends on other fields: without profiles there is one, and a single one needs no name.
    pub fn complete(&mut self) {
        if self.profiles.is_empty() {
            self.profiles.push(ProfileConfig::default());
        }
        if let [only] = self.profiles.as_mut_slice()
            && only.scheduler_name.is_empty()
        {
            only.scheduler_name = DEFAULT_SCHEDULER.to_owned();
        }
        let connection = &mut self.client_connection;
        if connection.qps == 0.0 {
            connection.qps = ClientConnection::default().qps;
        }
        if connection.burst == 0 {
            connection.burst = ClientConnection::default().burst;
        }
    }

    /// What is impossible about it, in one line.
    pub fn validate(&self) -> Result<(), String> {
        match validation::validate(self).as_slice() {
            [] => Ok(()),
            [only] => Err(only.clone()),
            all => Err(format!("[{}]", all.join(", "))),
        }
    }

    /// The effective configuration, with the default plugins and all of their arguments.
    pub fn effective(&self) -> Self {
        let mut all = self.clone();
        for profile in &mut all.profiles {
            profile.plugins = profile.plugins.merged();
            if let Ok(args) = Args::of(&profile.plugin_config) {
                profile.plugin_config.retain(|config| !args::takes_any(&config.name));
                profile.plugin_config.extend(args.list());
            }
        }
        all
    }

    /// First and longest backoff.
    pub fn backoff(&self) -> (GoDuration, GoDuration) {
        let seconds = |seconds: i64| GoDuration::from_secs(u64::try_from(seconds).unwrap_or(0));
        (seconds(self.pod_initial_backoff_seconds), seconds(self.pod_max_backoff_seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use component::kinds;

    #[test]
    fn upstreams_effective_defaults_are_ours() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../shared/kubernetes-1.36/config-defaults/kube-scheduler.json");
        if !path.exists() {
            return println!("skipped: no {}", path.display());
        }
        let mut loaded = kinds::load::<Configuration>(&path, &KIND).unwrap();
        // That cluster had no election.
        loaded.config.leader_election.leader_elect = true;
        assert_eq!(loaded.config, Configuration::default().effective());
        loaded.config.complete();
        assert_eq!(loaded.config.validate(), Ok(()));
    }

    #[test]
    fn a_single_profile_needs_no_name_but_several_do() {
        let mut one = Configuration { profiles: vec![ProfileConfig::default()], ..Configuration::default() };
        one.complete();
        assert_eq!(one, Configuration::default());
        let profiles = vec![ProfileConfig::default(), ProfileConfig::default()];
        let mut two = Configuration { profiles, ..Configuration::default() };
        two.complete();
        let why = two.validate().unwrap_err();
        assert!(why.starts_with("[profiles[0].schedulerName: Required value, profiles[1].schedulerName: "), "{why}");
        let mut none = Configuration { profiles: Vec::new(), ..Configuration::default() };
        none.complete();
        assert_eq!(none, Configuration::default());
    }
}
