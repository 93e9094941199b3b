//! Which plugins decide for the pods of one scheduler name.

use crate::config::args::DefaultPreemptionArgs;
use crate::config::plugins::{PluginsError, Point};
use crate::config::{Args, ExtenderConfig, Plugins, ProfileConfig};
use crate::extender;
use crate::framework::{Event, Filter, Score};
use crate::model::Pod;
use crate::plugins::dynamic_resources::{self, DynamicResources};
use crate::plugins::{self, volume_binding};
use std::time::Duration;

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
    /// Of how many feasible nodes the scores are compared; `None`: as for the others.
    pub percentage: Option<i32>,
    /// In the order in which they run.
    pub filters: Vec<Box<dyn Filter>>,
    /// All are summed up.
    pub scores: Vec<Weighted>,
    /// Whether scheduling gates hold pods back.
    pub is_gated: bool,
    /// How room is made; `None`: not at all.
    pub preemption: Option<DefaultPreemptionArgs>,
    /// How long volumes may take to be bound; `None`: they are not bound.
    pub bind_volumes: Option<Duration>,
    /// Who finds devices for claims; `None`: they are left alone.
    pub(crate) devices: Option<DynamicResources>,
}

/// How long what is prepared before a pod is bound may take.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timeouts {
    /// Until its volumes are bound.
    pub volumes: Duration,
    /// Until its devices are ready.
    pub devices: Duration,
}

/// A profile that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Its plugins cannot be.
    #[error("initializing profiles: creating profile for scheduler name {profile}: {source}")]
    Plugins {
        /// The profile.
        profile: String,
        /// Why.
        source: PluginsError,
    },
    /// Its arguments cannot be read.
    #[error("initializing profiles: creating profile for scheduler name {profile}: {why}")]
    Args {
        /// The profile.
        profile: String,
        /// Why.
        why: String,
    },
    /// Exactly one plugin orders the queue.
    #[error("only one queue sort plugin required for profile with scheduler name {profile:?}, but got {number}")]
    QueueSort {
        /// The profile.
        profile: String,
        /// How many it has.
        number: usize,
    },
    /// Nobody binds.
    #[error("at least one bind plugin is needed for profile with scheduler name {0:?}")]
    NoBinder(String),
    /// A plugin is on at one point and off at another without which it cannot work.
    #[error("profile {profile:?}: plugin {plugin:?} is enabled at {point}, but not at {needed}, which it needs")]
    Halved {
        /// The profile.
        profile: String,
        /// The plugin.
        plugin: String,
        /// Where it is on.
        point: &'static str,
        /// Where it is off.
        needed: &'static str,
    },
    /// Two profiles of one name.
    #[error("duplicate profile {0:?}")]
    Duplicate(String),
}

/// What a plugin prepares at the first point it uses at the second.
const PREPARED: [(Point, Point); 3] =
    [(Point::PreFilter, Point::Filter), (Point::PreScore, Point::Score), (Point::Reserve, Point::PreBind)];

impl Profile {
    /// The plugins that the configuration lets run, with their arguments and weights.
    pub fn new(config: &ProfileConfig, extenders: &[ExtenderConfig]) -> Result<Self, ProfileError> {
        let profile = || config.scheduler_name.clone();
        let running = |point| {
            let running = config.plugins.running(point);
            running.map_err(|source| ProfileError::Plugins { profile: profile(), source })
        };
        let args = Args::of(&config.plugin_config);
        let mut args = args.map_err(|why| ProfileError::Args { profile: profile(), why })?;
        // What extenders manage alone is none of the resources' business.
        let managed = extenders.iter().flat_map(|extender| &extender.managed_resources);
        let theirs = managed.filter(|resource| resource.ignored_by_scheduler).map(|resource| resource.name.clone());
        args.resources_fit.ignored_resources.extend(theirs);
        let is_on = |point, name: &str| -> Result<bool, ProfileError> {
            Ok(running(point)?.iter().any(|plugin| plugin.name == name))
        };
        for (first, then) in PREPARED {
            if let Some(plugin) = Plugins::halved(first, then, &running(first)?, &running(then)?) {
                let (point, needed) = (then.field(), first.field());
                return Err(ProfileError::Halved { profile: profile(), plugin, point, needed });
            }
        }
        let number = running(Point::QueueSort)?.len();
        if number != 1 {
            return Err(ProfileError::QueueSort { profile: profile(), number });
        }
        if running(Point::Bind)?.is_empty() {
            return Err(ProfileError::NoBinder(profile()));
        }
        for point in [Point::Permit, Point::PostBind] {
            running(point)?;
        }
        let devices = is_on(Point::Filter, dynamic_resources::NAME)?;
        let mut filters = plugins::filters(&args);
        let filters = running(Point::Filter)?.into_iter().filter_map(|plugin| {
            let place = filters.iter().position(|filter| filter.name() == plugin.name)?;
            Some(filters.swap_remove(place))
        });
        let filters = filters.collect();
        let mut scores = plugins::scores(&args);
        let scores = running(Point::Score)?.into_iter().filter_map(|plugin| {
            let place = scores.iter().position(|score| score.name() == plugin.name)?;
            // As upstream: who says nothing says 1.
            Some(Weighted { score: scores.swap_remove(place), weight: i64::from(plugin.weight).max(1) })
        });
        let scores = scores.collect();
        let timeout = Duration::from_secs(u64::try_from(args.volume_binding.bind_timeout_seconds).unwrap_or(0));
        Ok(Self {
            name: profile(),
            percentage: config.percentage_of_nodes_to_score,
            filters,
            scores,
            is_gated: is_on(Point::PreEnqueue, "SchedulingGates")?,
            preemption: is_on(Point::PostFilter, "DefaultPreemption")?.then_some(args.default_preemption),
            bind_volumes: is_on(Point::PreBind, volume_binding::NAME)?.then_some(timeout),
            devices: devices.then(|| DynamicResources::new(&args.dynamic_resources)),
        })
    }

    /// How long volumes and devices may take.
    pub(crate) fn timeouts(&self) -> Timeouts {
        let devices = self.devices.map(|devices| devices.binding_timeout);
        Timeouts { volumes: self.bind_volumes.unwrap_or_default(), devices: devices.unwrap_or_default() }
    }

    /// Whether the event may help a pod that these plugins rejected.
    pub fn is_woken(&self, pod: &Pod, rejected_by: &[&'static str], event: &Event) -> bool {
        if !event.is_about(pod) {
            return false;
        }
        let mut filters = self.filters.iter().filter(|filter| rejected_by.contains(&filter.name()));
        // An extender does not say what it waits for.
        let by_extender = rejected_by.contains(&extender::NAME);
        rejected_by.is_empty() || by_extender || filters.any(|filter| filter.is_woken_by(event))
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
        Profile::new(&serde_json::from_value(config).unwrap(), &[])
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
            "preScore": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeAffinity"}]},
            "score": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeAffinity", "weight": 7}]},
            "multiPoint": {"disabled": [{"name": "NodePorts"}]},
        }))
        .unwrap();
        assert_eq!((changed.scores.len(), weight(&changed, "NodeAffinity")), (1, Some(7)));
        assert!(changed.filters.iter().all(|f| f.name() != "NodePorts"));
    }

    #[test]
    fn an_unknown_plugin_is_named() {
        let table = [
            (
                json!({"filter": {"enabled": [{"name": "Nonesuch"}]}}),
                "initializing profiles: creating profile for scheduler name s: FilterPlugin \"Nonesuch\" does not exist",
            ),
            (
                json!({"bind": {"disabled": [{"name": "*"}]}}),
                "at least one bind plugin is needed for profile with scheduler name \"s\"",
            ),
            (
                json!({"queueSort": {"disabled": [{"name": "*"}]}}),
                "only one queue sort plugin required for profile with scheduler name \"s\", but got 0",
            ),
            (
                json!({"preFilter": {"disabled": [{"name": "NodePorts"}]}}),
                "profile \"s\": plugin \"NodePorts\" is enabled at filter, but not at preFilter, which it needs",
            ),
        ];
        for (plugins, expected) in table {
            assert_eq!(profile(plugins).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_filter_and_no_score_can_be_switched_off_too() {
        let default = profile(json!({})).unwrap();
        assert!(default.is_gated && default.preemption.is_some());
        assert_eq!(default.bind_volumes, Some(Duration::from_secs(600)));
        let off = |name: &str| profile(json!({"multiPoint": {"disabled": [{"name": name}]}})).unwrap();
        assert!(!off("SchedulingGates").is_gated);
        assert_eq!(off("DefaultPreemption").preemption, None);
        assert_eq!(off("VolumeBinding").bind_volumes, None);
    }

    #[test]
    fn arguments_reach_their_plugins() {
        let config = json!({"schedulerName": "s", "percentageOfNodesToScore": 30, "pluginConfig": [
            {"name": "VolumeBinding", "args": {"bindTimeoutSeconds": 5}},
            {"name": "DefaultPreemption", "args": {"minCandidateNodesAbsolute": 3}},
            {"name": "DynamicResources", "args": {"bindingTimeout": "7s"}},
        ]});
        let profile = Profile::new(&serde_json::from_value(config).unwrap(), &[]).unwrap();
        assert_eq!((profile.bind_volumes, profile.percentage), (Some(Duration::from_secs(5)), Some(30)));
        assert_eq!(profile.timeouts().devices, Duration::from_secs(7));
        assert_eq!(profile.preemption.map(|args| args.min_candidate_nodes_absolute), Some(3));
    }

    #[test]
    fn a_rejected_pod_is_woken_by_what_its_plugins_wait_for() {
        let profile = profile(json!({})).unwrap();
        let key = |name: &str| ClaimKey { namespace: Arc::from("default"), name: Arc::from(name) };
        let waiting = pod("p").claims(&["mine"]).build();
        let woken = |plugins: &[&'static str], event: Event| profile.is_woken(&waiting, plugins, &event);
        assert!(woken(&["NodeResourcesFit"], Event::PodRemoved));
        assert!(woken(&["NodeResourcesFit"], Event::PodScaledDown));
        assert!(!woken(&["NodeResourcesFit"], Event::NodeTaints));
        assert!(woken(&["NodeResourcesFit", "TaintToleration"], Event::NodeTaints));
        assert!(woken(&[], Event::NodeLabels));
        assert!(woken(&["VolumeBinding"], Event::ClaimAdded(key("mine"))));
        assert!(!woken(&["VolumeBinding"], Event::ClaimAdded(key("other"))));
        assert!(!woken(&["NodeResourcesFit"], Event::ClaimAdded(key("mine"))));
    }
}
