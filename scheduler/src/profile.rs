//! Which plugins decide for the pods of one scheduler name.

use crate::config::{PluginSet, ProfileConfig};
use crate::framework::{Event, Filter, Score};
use crate::model::Pod;
use crate::plugins;

/// A score plugin and its weight.
#[derive(Debug)]
pub struct Weighted {
    /// The plugin.
    pub score: Box<dyn Score>,
    /// How much its scores count.
    pub weight: i64,
}

/// The plugins of one scheduler name.
#[derive(Debug)]
pub struct Profile {
    /// The name that pods ask for.
    pub name: String,
    /// In the order in which they run.
    pub filters: Vec<Box<dyn Filter>>,
    /// All are summed up.
    pub scores: Vec<Weighted>,
}

/// A profile that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// No such plugin.
    #[error("profile {profile:?}: plugin {plugin:?} does not exist")]
    UnknownPlugin {
        /// The profile.
        profile: String,
        /// What it names.
        plugin: String,
    },
    /// Two profiles of one name.
    #[error("duplicate profile {0:?}")]
    Duplicate(String),
}

impl Profile {
    /// The default plugins, less what the configuration disables, with its weights.
    pub fn new(config: &ProfileConfig) -> Result<Self, ProfileError> {
        let (all, filter, score) = (&config.plugins.multi_point, &config.plugins.filter, &config.plugins.score);
        let (filters, scores) = (plugins::filters(), plugins::scores());
        for name in [all, filter, score].into_iter().flat_map(PluginSet::names) {
            let is_known = name == "*"
                || plugins::OTHERS.contains(&name)
                || filters.iter().any(|plugin| plugin.name() == name)
                || scores.iter().any(|(plugin, _)| plugin.name() == name);
            if !is_known {
                let (profile, plugin) = (config.scheduler_name.clone(), name.to_owned());
                return Err(ProfileError::UnknownPlugin { profile, plugin });
            }
        }
        let filters = filters.into_iter().filter(|plugin| filter.allows(plugin.name(), all)).collect();
        let scores = scores.into_iter().filter(|(plugin, _)| score.allows(plugin.name(), all));
        let scores = scores.map(|(plugin, default)| {
            let weight = score.weight(plugin.name()).or_else(|| all.weight(plugin.name())).unwrap_or(default);
            Weighted { score: plugin, weight }
        });
        Ok(Self { name: config.scheduler_name.clone(), filters, scores: scores.collect() })
    }

    /// Whether the filter is switched on.
    pub fn has_filter(&self, name: &str) -> bool {
        self.filters.iter().any(|filter| filter.name() == name)
    }

    /// Whether the event may help a pod that these plugins rejected.
    pub fn is_woken(&self, pod: &Pod, rejected_by: &[&'static str], event: &Event) -> bool {
        if !event.is_about(pod) {
            return false;
        }
        let mut filters = self.filters.iter().filter(|filter| rejected_by.contains(&filter.name()));
        rejected_by.is_empty() || filters.any(|filter| filter.is_woken_by(event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builders::pod;
    use crate::model::volumes::ClaimKey;
    use serde_json::json;
    use std::sync::Arc;

    fn profile(plugins: serde_json::Value) -> Result<Profile, ProfileError> {
        let config = json!({"schedulerName": "s", "plugins": plugins});
        Profile::new(&serde_json::from_value(config).unwrap())
    }

    fn weight(profile: &Profile, name: &str) -> Option<i64> {
        profile.scores.iter().find(|w| w.score.name() == name).map(|w| w.weight)
    }

    #[test]
    fn plugins_are_disabled_and_weighed() {
        let default = profile(json!({})).unwrap();
        assert_eq!(weight(&default, "TaintToleration"), Some(3));
        assert!(default.filters.iter().any(|f| f.name() == "NodePorts"));
        let changed = profile(json!({
            "score": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeAffinity", "weight": 7}]},
            "multiPoint": {"disabled": [{"name": "NodePorts"}]},
        }))
        .unwrap();
        assert_eq!((changed.scores.len(), weight(&changed, "NodeAffinity")), (1, Some(7)));
        assert!(changed.filters.iter().all(|f| f.name() != "NodePorts"));
    }

    #[test]
    fn an_unknown_plugin_is_named() {
        let error = profile(json!({"filter": {"enabled": [{"name": "Nonesuch"}]}})).unwrap_err();
        assert_eq!(error.to_string(), "profile \"s\": plugin \"Nonesuch\" does not exist");
    }

    #[test]
    fn a_rejected_pod_is_woken_by_what_its_plugins_wait_for() {
        let profile = profile(json!({})).unwrap();
        let key = |name: &str| ClaimKey { namespace: Arc::from("default"), name: Arc::from(name) };
        let waiting = pod("p").claims(&["mine"]).build();
        let woken = |plugins: &[&'static str], event: Event| profile.is_woken(&waiting, plugins, &event);
        assert!(woken(&["NodeResourcesFit"], Event::PodRemoved));
        assert!(!woken(&["NodeResourcesFit"], Event::NodeTaints));
        assert!(woken(&["NodeResourcesFit", "TaintToleration"], Event::NodeTaints));
        assert!(woken(&[], Event::NodeLabels));
        assert!(woken(&["VolumeBinding"], Event::ClaimAdded(key("mine"))));
        assert!(!woken(&["VolumeBinding"], Event::ClaimAdded(key("other"))));
        assert!(!woken(&["NodeResourcesFit"], Event::ClaimAdded(key("mine"))));
    }
}
