//! Which plugins run at which extension point, and in which order: the default ones, changed by
//! what a profile says.
//!
//! Upstream: `mergePlugins` in `apis/config/v1/default_plugins.go`, `expandMultiPointPlugins` in
//! `framework/runtime/framework.go`.

use serde::{Deserialize, Serialize};

/// What differs from the default plugins, by extension point.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Plugins {
    pub pre_enqueue: PluginSet,
    pub queue_sort: PluginSet,
    pub pre_filter: PluginSet,
    pub filter: PluginSet,
    pub post_filter: PluginSet,
    pub pre_score: PluginSet,
    pub score: PluginSet,
    pub reserve: PluginSet,
    pub permit: PluginSet,
    pub pre_bind: PluginSet,
    pub bind: PluginSet,
    pub post_bind: PluginSet,
    /// At every extension point.
    pub multi_point: PluginSet,
}

/// What is switched on and off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PluginSet {
    /// On, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub enabled: Vec<PluginRef>,
    /// Off; `*` means all that are not switched on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disabled: Vec<PluginRef>,
}

/// A plugin by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PluginRef {
    /// Its name.
    pub name: String,
    /// How much its scores count; 0 means 1.
    pub weight: i32,
}

/// A place in the life of a pod where plugins run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Point {
    PreEnqueue,
    QueueSort,
    PreFilter,
    Filter,
    PostFilter,
    PreScore,
    Score,
    Reserve,
    Permit,
    PreBind,
    Bind,
    PostBind,
}

impl Point {
    /// All, in the order of a pod's life.
    pub const ALL: [Self; 12] = [
        Self::PreEnqueue,
        Self::QueueSort,
        Self::PreFilter,
        Self::Filter,
        Self::PostFilter,
        Self::PreScore,
        Self::Score,
        Self::Reserve,
        Self::Permit,
        Self::PreBind,
        Self::Bind,
        Self::PostBind,
    ];

    /// As in configurations.
    pub fn field(self) -> &'static str {
        match self {
            Self::PreEnqueue => "preEnqueue",
            Self::QueueSort => "queueSort",
            Self::PreFilter => "preFilter",
            Self::Filter => "filter",
            Self::PostFilter => "postFilter",
            Self::PreScore => "preScore",
            Self::Score => "score",
            Self::Reserve => "reserve",
            Self::Permit => "permit",
            Self::PreBind => "preBind",
            Self::Bind => "bind",
            Self::PostBind => "postBind",
        }
    }

    /// As upstream's errors and metrics name it, less what they add.
    pub fn name(self) -> &'static str {
        match self {
            Self::PreEnqueue => "PreEnqueue",
            Self::QueueSort => "QueueSort",
            Self::PreFilter => "PreFilter",
            Self::Filter => "Filter",
            Self::PostFilter => "PostFilter",
            Self::PreScore => "PreScore",
            Self::Score => "Score",
            Self::Reserve => "Reserve",
            Self::Permit => "Permit",
            Self::PreBind => "PreBind",
            Self::Bind => "Bind",
            Self::PostBind => "PostBind",
        }
    }
}

/// A plugin of upstream's default profile: its name, its weight, and where it runs.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The name.
    pub name: &'static str,
    weight: i32,
    points: &'static [Point],
}

const fn known(name: &'static str, weight: i32, points: &'static [Point]) -> Known {
    Known { name, weight, points }
}

use Point::{Bind, Filter, PostFilter, PreBind, PreEnqueue, PreFilter, PreScore, QueueSort, Reserve, Score};

/// The default profile, in its order.
pub const KNOWN: [Known; 20] = [
    known("SchedulingGates", 0, &[PreEnqueue]),
    known("PrioritySort", 0, &[QueueSort]),
    known("NodeUnschedulable", 0, &[Filter]),
    known("NodeName", 0, &[Filter]),
    known("TaintToleration", 3, &[Filter, PreScore, Score]),
    known("NodeAffinity", 2, &[PreFilter, Filter, PreScore, Score]),
    known("NodePorts", 0, &[PreFilter, Filter]),
    known("NodeResourcesFit", 1, &[PreFilter, Filter, PreScore, Score]),
    known("VolumeRestrictions", 0, &[PreFilter, Filter]),
    known("NodeVolumeLimits", 0, &[PreFilter, Filter]),
    known("VolumeBinding", 0, &[PreFilter, Filter, PreScore, Score, Reserve, PreBind]),
    known("VolumeZone", 0, &[PreFilter, Filter]),
    known("PodTopologySpread", 2, &[PreFilter, Filter, PreScore, Score]),
    known("InterPodAffinity", 2, &[PreFilter, Filter, PreScore, Score]),
    known("DynamicResources", 2, &[PreEnqueue, PreFilter, Filter, PostFilter, Score, Reserve, PreBind]),
    known("DefaultPreemption", 0, &[PreEnqueue, PostFilter]),
    known("NodeResourcesBalancedAllocation", 1, &[PreScore, Score]),
    known("ImageLocality", 1, &[Score]),
    known("DefaultBinder", 0, &[Bind]),
    known("NodeDeclaredFeatures", 0, &[PreFilter, Filter]),
];

/// Plugins that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PluginsError {
    /// No such plugin.
    #[error("{point}Plugin {plugin:?} does not exist")]
    Unknown {
        /// Where it is named.
        point: &'static str,
        /// The name.
        plugin: String,
    },
    /// It has nothing to do there.
    #[error("plugin {plugin:?} does not extend {point}Plugin plugin")]
    Misplaced {
        /// Where it is named.
        point: &'static str,
        /// The plugin.
        plugin: String,
    },
    /// It is named twice.
    #[error("plugin {plugin:?} already registered as \"{point}Plugin\"")]
    Twice {
        /// Where.
        point: &'static str,
        /// The plugin.
        plugin: String,
    },
}

impl Plugins {
    /// What is said about a point.
    pub fn at(&self, point: Point) -> &PluginSet {
        match point {
            Point::PreEnqueue => &self.pre_enqueue,
            Point::QueueSort => &self.queue_sort,
            Point::PreFilter => &self.pre_filter,
            Point::Filter => &self.filter,
            Point::PostFilter => &self.post_filter,
            Point::PreScore => &self.pre_score,
            Point::Score => &self.score,
            Point::Reserve => &self.reserve,
            Point::Permit => &self.permit,
            Point::PreBind => &self.pre_bind,
            Point::Bind => &self.bind,
            Point::PostBind => &self.post_bind,
        }
    }

    /// With the default plugins, as upstream shows it.
    pub fn merged(&self) -> Self {
        Self { multi_point: merge(&default_set(), &self.multi_point), ..self.clone() }
    }

    /// The plugins that run at a point, in their order, with their weights.
    pub fn running(&self, point: Point) -> Result<Vec<PluginRef>, PluginsError> {
        let everywhere = merge(&default_set(), &self.multi_point);
        let here = self.at(point);
        let field = point.name();
        for plugin in &here.enabled {
            let name = &plugin.name;
            let known = KNOWN.iter().find(|known| known.name == name);
            let known = known.ok_or_else(|| PluginsError::Unknown { point: field, plugin: name.clone() })?;
            if !known.points.contains(&point) {
                return Err(PluginsError::Misplaced { point: field, plugin: name.clone() });
            }
        }
        check_once(&here.enabled, field)?;
        let is_off = |name: &str| here.disabled.iter().any(|off| off.name == name);
        if is_off("*") {
            return Ok(here.enabled.clone());
        }
        let mut by_default = Vec::new();
        for plugin in &everywhere.enabled {
            let known = KNOWN.iter().find(|known| known.name == plugin.name);
            let known = known.ok_or_else(|| PluginsError::Unknown { point: field, plugin: plugin.name.clone() })?;
            if known.points.contains(&point) && !is_off(&plugin.name) {
                by_default.push(plugin.clone());
            }
        }
        check_once(&by_default, field)?;
        // First what is said here about plugins that run anyway, then these others, then the rest.
        let is_default = |plugin: &&PluginRef| by_default.iter().any(|other| other.name == plugin.name);
        let is_said = |plugin: &&PluginRef| here.enabled.iter().any(|other| other.name == plugin.name);
        let first = here.enabled.iter().filter(is_default);
        let second = by_default.iter().filter(|plugin| !is_said(plugin));
        let third = here.enabled.iter().filter(|plugin| !is_default(plugin));
        Ok(first.chain(second).chain(third).cloned().collect())
    }
}

impl Plugins {
    /// A plugin that runs at the second point without its part of the first.
    pub fn halved(first: Point, then: Point, at_first: &[PluginRef], at_then: &[PluginRef]) -> Option<String> {
        let is_both = |plugin: &&PluginRef| {
            let known = KNOWN.iter().find(|known| known.name == plugin.name);
            known.is_some_and(|known| known.points.contains(&first) && known.points.contains(&then))
        };
        let is_missing = |plugin: &&PluginRef| at_first.iter().all(|other| other.name != plugin.name);
        at_then.iter().filter(is_both).find(is_missing).map(|plugin| plugin.name.clone())
    }
}

fn check_once(plugins: &[PluginRef], point: &'static str) -> Result<(), PluginsError> {
    let mut names: Vec<_> = plugins.iter().map(|plugin| &plugin.name).collect();
    names.sort();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => Err(PluginsError::Twice { point, plugin: pair[0].clone() }),
    }
}

fn default_set() -> PluginSet {
    let plugin = |known: Known| PluginRef { name: known.name.to_owned(), weight: known.weight };
    PluginSet { enabled: KNOWN.map(plugin).into(), disabled: Vec::new() }
}

/// The default ones that are not off, with what is said anew about them in their places; then the others.
fn merge(defaults: &PluginSet, custom: &PluginSet) -> PluginSet {
    let is_off = |name: &str| custom.disabled.iter().any(|off| off.name == name);
    let all_off = is_off("*");
    let mut replaced = vec![false; custom.enabled.len()];
    let mut enabled = Vec::new();
    for plugin in defaults.enabled.iter().filter(|plugin| !all_off && !is_off(&plugin.name)) {
        match custom.enabled.iter().rposition(|other| other.name == plugin.name) {
            Some(place) => {
                replaced[place] = true;
                enabled.push(custom.enabled[place].clone());
            }
            None => enabled.push(plugin.clone()),
        }
    }
    let others = custom.enabled.iter().zip(&replaced).filter(|(_, replaced)| !**replaced);
    enabled.extend(others.map(|(plugin, _)| plugin.clone()));
    PluginSet { enabled, disabled: custom.disabled.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn running(plugins: Value, point: Point) -> Result<Vec<String>, String> {
        let plugins: Plugins = serde_json::from_value(plugins).unwrap();
        let running = plugins.running(point).map_err(|error| error.to_string())?;
        Ok(running.iter().map(|plugin| format!("{}:{}", plugin.name, plugin.weight)).collect())
    }

    #[test]
    fn the_default_scores_have_upstreams_weights() {
        let scores = [
            "TaintToleration:3",
            "NodeAffinity:2",
            "NodeResourcesFit:1",
            "VolumeBinding:0",
            "PodTopologySpread:2",
            "InterPodAffinity:2",
            "DynamicResources:2",
            "NodeResourcesBalancedAllocation:1",
            "ImageLocality:1",
        ];
        assert_eq!(running(json!({}), Point::Score).unwrap(), scores);
    }

    #[test]
    fn what_a_point_says_comes_first_and_what_it_adds_last() {
        let order = json!({
            "multiPoint": {"disabled": [{"name": "*"}], "enabled": [{"name": "ImageLocality", "weight": 4}, {"name": "NodeAffinity"}]},
            "score": {"enabled": [{"name": "NodeResourcesFit", "weight": 5}, {"name": "NodeAffinity", "weight": 9}]},
        });
        let expected = ["NodeAffinity:9", "ImageLocality:4", "NodeResourcesFit:5"];
        assert_eq!(running(order, Point::Score).unwrap(), expected);
        let alone = json!({"score": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeAffinity", "weight": 7}]}});
        assert_eq!(running(alone, Point::Score).unwrap(), ["NodeAffinity:7"]);
        let one_less = json!({"multiPoint": {"disabled": [{"name": "NodePorts"}]}});
        assert!(!running(one_less, Point::Filter).unwrap().contains(&"NodePorts:0".to_owned()));
        let again = json!({"multiPoint": {"enabled": [{"name": "NodeAffinity", "weight": 8}]}});
        assert_eq!(running(again, Point::Score).unwrap()[1], "NodeAffinity:8");
    }

    #[test]
    fn what_cannot_be_is_said_as_upstream_says_it() {
        let table = [
            (json!({"filter": {"enabled": [{"name": "X"}]}}), "FilterPlugin \"X\" does not exist"),
            (json!({"multiPoint": {"enabled": [{"name": "X"}]}}), "FilterPlugin \"X\" does not exist"),
            (
                json!({"filter": {"enabled": [{"name": "ImageLocality"}]}}),
                "plugin \"ImageLocality\" does not extend FilterPlugin plugin",
            ),
            (
                json!({"filter": {"enabled": [{"name": "NodePorts"}, {"name": "NodePorts"}]}}),
                "plugin \"NodePorts\" already registered as \"FilterPlugin\"",
            ),
            (
                json!({"multiPoint": {"enabled": [{"name": "NodePorts"}, {"name": "NodePorts"}]}}),
                "plugin \"NodePorts\" already registered as \"FilterPlugin\"",
            ),
        ];
        for (plugins, expected) in table {
            assert_eq!(running(plugins, Point::Filter).unwrap_err(), expected);
        }
    }
}
