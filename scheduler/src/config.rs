//! `KubeSchedulerConfiguration` of `kubescheduler.config.k8s.io/v1`, as far as it is built.

use component::GoDuration;
use component::kinds::Kind;
use component::leading::LeaderElection;
use serde::{Deserialize, Serialize};

/// The kind, and its fields that have no effect yet.
pub const KIND: Kind = Kind {
    api_version: "kubescheduler.config.k8s.io/v1",
    kind: "KubeSchedulerConfiguration",
    unbuilt: &[
        "clientConnection.acceptContentTypes",
        "clientConnection.burst",
        "clientConnection.contentType",
        "clientConnection.qps",
        "delayCacheUntilActive",
        "enableContentionProfiling",
        "enableProfiling",
        "extenders",
        "parallelism",
        "profiles.*.percentageOfNodesToScore",
        "profiles.*.pluginConfig",
        "profiles.*.plugins.bind",
        "profiles.*.plugins.permit",
        "profiles.*.plugins.placementGenerate",
        "profiles.*.plugins.placementScore",
        "profiles.*.plugins.postBind",
        "profiles.*.plugins.postFilter",
        "profiles.*.plugins.preBind",
        "profiles.*.plugins.preEnqueue",
        "profiles.*.plugins.preFilter",
        "profiles.*.plugins.preScore",
        "profiles.*.plugins.queueSort",
        "profiles.*.plugins.reserve",
    ],
};

/// The configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Configuration {
    /// How to reach the apiserver.
    pub client_connection: ClientConnection,
    /// Who schedules, of several.
    pub leader_election: LeaderElection,
    /// Of how many feasible nodes the scores are compared; 0 lets the size of the cluster decide.
    pub percentage_of_nodes_to_score: i32,
    /// First backoff of a pod.
    pub pod_initial_backoff_seconds: u64,
    /// Longest backoff of a pod.
    pub pod_max_backoff_seconds: u64,
    /// One per scheduler name.
    pub profiles: Vec<ProfileConfig>,
}

/// How to reach the apiserver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ClientConnection {
    /// A file.
    pub kubeconfig: String,
}

/// A scheduler name and its plugins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ProfileConfig {
    /// The name that pods ask for.
    pub scheduler_name: String,
    /// What differs from the default plugins.
    pub plugins: Plugins,
}

/// What differs from the default plugins, by extension point.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Plugins {
    /// At every extension point.
    pub multi_point: PluginSet,
    /// Filters only.
    pub filter: PluginSet,
    /// Scores only.
    pub score: PluginSet,
}

/// What is switched on and off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PluginSet {
    /// On, with weights.
    pub enabled: Vec<PluginRef>,
    /// Off; `*` means all that are not switched on.
    pub disabled: Vec<PluginRef>,
}

/// A plugin by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PluginRef {
    /// Its name.
    pub name: String,
    /// How much its scores count; 0 means the default.
    pub weight: i64,
}

impl PluginSet {
    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.enabled.iter().chain(&self.disabled).map(|plugin| plugin.name.as_str())
    }

    /// Whether a default plugin stays on, given what is said at this extension point and at all.
    pub fn allows(&self, name: &str, all: &Self) -> bool {
        self.says(name).or_else(|| all.says(name)).unwrap_or(true)
    }

    fn says(&self, name: &str) -> Option<bool> {
        let names = |list: &[PluginRef], wanted: &str| list.iter().any(|plugin| plugin.name == wanted);
        if names(&self.enabled, name) {
            return Some(true);
        }
        (names(&self.disabled, name) || names(&self.disabled, "*")).then_some(false)
    }

    /// A plugin's weight, if one is given.
    pub fn weight(&self, name: &str) -> Option<i64> {
        self.enabled.iter().find(|plugin| plugin.name == name && plugin.weight > 0).map(|plugin| plugin.weight)
    }
}

impl Default for ProfileConfig {
    fn default() -> Self {
        Self { scheduler_name: "default-scheduler".to_owned(), plugins: Plugins::default() }
    }
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            client_connection: ClientConnection::default(),
            leader_election: LeaderElection::named("kube-scheduler"),
            percentage_of_nodes_to_score: 0,
            pod_initial_backoff_seconds: 1,
            pod_max_backoff_seconds: 10,
            profiles: vec![ProfileConfig::default()],
        }
    }
}

impl Configuration {
    /// What is impossible about it, in one line.
    pub fn validate(&self) -> Result<(), String> {
        if self.leader_election.leader_elect {
            self.leader_election.validate().map_err(|why| format!("leaderElection: {why}"))?;
        }
        if !(0..=100).contains(&self.percentage_of_nodes_to_score) {
            return Err("percentageOfNodesToScore: not in valid range [0-100]".to_owned());
        }
        if self.pod_initial_backoff_seconds == 0 {
            return Err("podInitialBackoffSeconds: must be greater than 0".to_owned());
        }
        if self.pod_max_backoff_seconds < self.pod_initial_backoff_seconds {
            return Err("podMaxBackoffSeconds: must be greater than or equal to podInitialBackoffSeconds".to_owned());
        }
        if self.profiles.is_empty() {
            return Err("profiles: Required value".to_owned());
        }
        Ok(())
    }

    /// First and longest backoff.
    pub fn backoff(&self) -> (GoDuration, GoDuration) {
        (GoDuration::from_secs(self.pod_initial_backoff_seconds), GoDuration::from_secs(self.pod_max_backoff_seconds))
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
        // That cluster had no election and names every plugin.
        loaded.config.leader_election.leader_elect = true;
        loaded.config.profiles[0].plugins = Plugins::default();
        assert_eq!(loaded.config, Configuration::default());
        assert!(loaded.unbuilt.contains(&"profiles[0].pluginConfig".to_owned()));
    }

    #[test]
    fn impossible_values_are_refused() {
        let table = [
            (
                Configuration { percentage_of_nodes_to_score: 101, ..Configuration::default() },
                "percentageOfNodesToScore",
            ),
            (Configuration { pod_initial_backoff_seconds: 0, ..Configuration::default() }, "podInitialBackoffSeconds"),
            (Configuration { pod_max_backoff_seconds: 0, ..Configuration::default() }, "podMaxBackoffSeconds"),
            (Configuration { profiles: Vec::new(), ..Configuration::default() }, "profiles"),
        ];
        for (configuration, field) in table {
            assert!(configuration.validate().unwrap_err().starts_with(field));
        }
        assert_eq!(Configuration::default().validate(), Ok(()));
    }
}
