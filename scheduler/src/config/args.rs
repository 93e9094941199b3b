//! The arguments of plugins: `profiles[*].pluginConfig`.
//!
//! Upstream: `kube-scheduler/config/v1/types_pluginargs.go`, `apis/config/v1/defaults.go`.

use super::KIND;
use component::GoDuration;
use k8s_openapi::api::core::v1 as core;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The arguments of one plugin, as they stand in the file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PluginConfig {
    /// The plugin.
    pub name: String,
    /// Its arguments, an object of the kind `<name>Args`.
    pub args: Value,
}

/// The arguments of all plugins of a profile that take any.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Args {
    /// Of `DefaultPreemption`.
    pub default_preemption: DefaultPreemptionArgs,
    /// Of `DynamicResources`.
    pub dynamic_resources: DynamicResourcesArgs,
    /// Of `InterPodAffinity`.
    pub inter_pod_affinity: InterPodAffinityArgs,
    /// Of `NodeAffinity`.
    pub node_affinity: NodeAffinityArgs,
    /// Of `NodeResourcesBalancedAllocation`.
    pub balanced_allocation: BalancedAllocationArgs,
    /// Of `NodeResourcesFit`.
    pub resources_fit: ResourcesFitArgs,
    /// Of `PodTopologySpread`.
    pub topology_spread: TopologySpreadArgs,
    /// Of `VolumeBinding`.
    pub volume_binding: VolumeBindingArgs,
}

/// How many nodes preemption tries at least.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct DefaultPreemptionArgs {
    /// Of all nodes.
    pub min_candidate_nodes_percentage: i32,
    /// And this many.
    pub min_candidate_nodes_absolute: i32,
}

impl Default for DefaultPreemptionArgs {
    fn default() -> Self {
        Self { min_candidate_nodes_percentage: 10, min_candidate_nodes_absolute: 100 }
    }
}

/// How long dynamic resources may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct DynamicResourcesArgs {
    /// For one node.
    pub filter_timeout: GoDuration,
    /// Until devices are ready to be bound.
    pub binding_timeout: GoDuration,
}

impl Default for DynamicResourcesArgs {
    fn default() -> Self {
        Self { filter_timeout: GoDuration::from_secs(10), binding_timeout: GoDuration::from_secs(600) }
    }
}

/// What affinity weighs that other pods have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct InterPodAffinityArgs {
    /// Of a required term of a pod that is there.
    pub hard_pod_affinity_weight: i32,
    /// Whether preferred terms of pods that are there count only for pods that have terms themselves.
    pub ignore_preferred_terms_of_existing_pods: bool,
}

impl Default for InterPodAffinityArgs {
    fn default() -> Self {
        Self { hard_pod_affinity_weight: 1, ignore_preferred_terms_of_existing_pods: false }
    }
}

/// Affinity that every pod of the profile has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct NodeAffinityArgs {
    /// Besides the pod's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added_affinity: Option<core::NodeAffinity>,
}

/// A resource and how much it counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResourceSpec {
    /// The resource.
    pub name: String,
    /// 1 to 100.
    pub weight: i64,
}

/// CPU and memory.
pub fn usual_resources() -> Vec<ResourceSpec> {
    ["cpu", "memory"].map(|name| ResourceSpec { name: name.to_owned(), weight: 1 }).into()
}

/// Of which resources equal parts should be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BalancedAllocationArgs {
    /// All of the weight 1.
    pub resources: Vec<ResourceSpec>,
}

impl Default for BalancedAllocationArgs {
    fn default() -> Self {
        Self { resources: usual_resources() }
    }
}

/// Which resources do not matter, and which nodes are liked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ResourcesFitArgs {
    /// Extended resources that do not matter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored_resources: Vec<String>,
    /// The same by what is before the slash.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored_resource_groups: Vec<String>,
    /// Which nodes are liked.
    pub scoring_strategy: ScoringStrategy,
}

/// Which nodes are liked, by their resources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ScoringStrategy {
    /// `LeastAllocated`, `MostAllocated`, `RequestedToCapacityRatio`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What counts how much.
    pub resources: Vec<ResourceSpec>,
    /// For `RequestedToCapacityRatio`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_to_capacity_ratio: Option<RequestedToCapacityRatio>,
}

impl Default for ScoringStrategy {
    fn default() -> Self {
        Self { kind: "LeastAllocated".to_owned(), resources: usual_resources(), requested_to_capacity_ratio: None }
    }
}

/// A function of the part that is used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestedToCapacityRatio {
    /// Points of the function; between them it is linear.
    pub shape: Vec<UtilizationShapePoint>,
}

/// A point of the function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UtilizationShapePoint {
    /// In percent.
    pub utilization: i32,
    /// 0 to 10.
    pub score: i32,
}

/// How pods spread that do not say it themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct TopologySpreadArgs {
    /// With `defaultingType: List`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub default_constraints: Vec<core::TopologySpreadConstraint>,
    /// `System` or `List`.
    pub defaulting_type: String,
}

impl Default for TopologySpreadArgs {
    fn default() -> Self {
        Self { default_constraints: Vec::new(), defaulting_type: "System".to_owned() }
    }
}

/// How long volumes may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct VolumeBindingArgs {
    /// Until they are bound.
    pub bind_timeout_seconds: i64,
    /// Only with the feature gate StorageCapacityScoring, which is alpha.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<Vec<UtilizationShapePoint>>,
}

impl Default for VolumeBindingArgs {
    fn default() -> Self {
        Self { bind_timeout_seconds: 600, shape: None }
    }
}

impl Args {
    /// Reads the list, with defaults for what it does not say. What cannot be read is told with its
    /// path below `pluginConfig`; what is read may still be invalid. A plugin that takes no
    /// arguments may have some: those of plugins that are not ours are none of our business.
    pub fn of(list: &[PluginConfig]) -> Result<Self, String> {
        let mut all = Self::default();
        for (index, PluginConfig { name, args }) in list.iter().enumerate() {
            let read = match name.as_str() {
                "DefaultPreemption" => take(name, args, &mut all.default_preemption),
                "DynamicResources" => take(name, args, &mut all.dynamic_resources),
                "InterPodAffinity" => take(name, args, &mut all.inter_pod_affinity),
                "NodeAffinity" => take(name, args, &mut all.node_affinity),
                "NodeResourcesBalancedAllocation" => take(name, args, &mut all.balanced_allocation),
                "NodeResourcesFit" => take(name, args, &mut all.resources_fit),
                "PodTopologySpread" => take(name, args, &mut all.topology_spread),
                "VolumeBinding" => take(name, args, &mut all.volume_binding),
                _ => Ok(()),
            };
            read.map_err(|why| format!("pluginConfig[{index}]: decoding args for plugin {name}: {why}"))?;
        }
        all.complete();
        Ok(all)
    }

    /// Defaults inside of lists.
    fn complete(&mut self) {
        for resources in [&mut self.balanced_allocation.resources, &mut self.resources_fit.scoring_strategy.resources] {
            if resources.is_empty() {
                *resources = usual_resources();
            }
            resources.iter_mut().filter(|spec| spec.weight == 0).for_each(|spec| spec.weight = 1);
        }
    }

    /// The list that says all of it, for those who look at the effective configuration.
    pub fn list(&self) -> Vec<PluginConfig> {
        let all = [
            ("DefaultPreemption", serde_json::to_value(&self.default_preemption)),
            ("DynamicResources", serde_json::to_value(&self.dynamic_resources)),
            ("InterPodAffinity", serde_json::to_value(&self.inter_pod_affinity)),
            ("NodeAffinity", serde_json::to_value(&self.node_affinity)),
            ("NodeResourcesBalancedAllocation", serde_json::to_value(&self.balanced_allocation)),
            ("NodeResourcesFit", serde_json::to_value(&self.resources_fit)),
            ("PodTopologySpread", serde_json::to_value(&self.topology_spread)),
            ("VolumeBinding", serde_json::to_value(&self.volume_binding)),
        ];
        let with_kind = |(name, args): (&str, serde_json::Result<Value>)| {
            let mut args = args.unwrap_or_default();
            args["apiVersion"] = KIND.api_version.into();
            args["kind"] = format!("{name}Args").into();
            PluginConfig { name: name.to_owned(), args }
        };
        all.map(with_kind).into()
    }
}

/// Whether a plugin takes arguments.
pub fn takes_any(plugin: &str) -> bool {
    Args::default().list().iter().any(|known| known.name == plugin)
}

fn take<T: DeserializeOwned>(plugin: &str, args: &Value, to: &mut T) -> Result<(), String> {
    let mut fields = match args {
        Value::Null => return Ok(()),
        Value::Object(fields) => fields.clone(),
        _ => return Err("is no object".to_owned()),
    };
    let mut said = |field: &str| fields.remove(field).and_then(|value| value.as_str().map(str::to_owned));
    let (version, kind) = (said("apiVersion"), said("kind"));
    if version.is_some_and(|version| version != KIND.api_version) {
        return Err(format!("must be of the version {}", KIND.api_version));
    }
    if let Some(kind) = kind.filter(|kind| *kind != format!("{plugin}Args")) {
        let group = KIND.api_version.split('/').next().unwrap_or_default();
        return Err(format!("args for plugin {plugin} were not of type {plugin}Args.{group}, got {kind}.{group}"));
    }
    // What is null has its default, as what is absent.
    fields.retain(|_, value| !value.is_null());
    *to = T::deserialize(Value::Object(fields)).map_err(|error| error.to_string())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(name: &str, args: Value) -> Result<Args, String> {
        Args::of(&[PluginConfig { name: name.to_owned(), args }])
    }

    #[test]
    fn what_is_not_said_has_upstreams_defaults() {
        let args = read("DefaultPreemption", json!({"minCandidateNodesAbsolute": 5})).unwrap();
        assert_eq!(args.default_preemption.min_candidate_nodes_percentage, 10);
        let strategy = json!({"scoringStrategy": {"type": "MostAllocated", "resources": [{"name": "cpu"}]}});
        let fit = read("NodeResourcesFit", strategy).unwrap().resources_fit.scoring_strategy;
        assert_eq!(fit.resources, [ResourceSpec { name: "cpu".into(), weight: 1 }]);
        let none = json!({"scoringStrategy": {"type": "MostAllocated", "resources": []}});
        assert_eq!(read("NodeResourcesFit", none).unwrap().resources_fit.scoring_strategy.resources, usual_resources());
        assert_eq!(read("VolumeBinding", Value::Null), Ok(Args::default()));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let table = [
            ("NodeAffinity", json!({"kind": "OtherArgs"}), "were not of type NodeAffinityArgs"),
            ("NodeAffinity", json!({"apiVersion": "v1"}), "must be of the version"),
            ("VolumeBinding", json!({"bindTimeout": 1}), "unknown field `bindTimeout`"),
            ("VolumeBinding", json!([]), "is no object"),
        ];
        for (name, args, expected) in table {
            let why = read(name, args).unwrap_err();
            assert!(why.starts_with(&format!("pluginConfig[0]: decoding args for plugin {name}: ")), "{why}");
            assert!(why.contains(expected), "{why}");
        }
        assert_eq!(read("SomebodyElses", json!({"x": 1})), Ok(Args::default()));
    }

    #[test]
    fn the_list_reads_as_what_it_was_made_of() {
        let args = read("InterPodAffinity", json!({"hardPodAffinityWeight": 7})).unwrap();
        assert_eq!(Args::of(&args.list()), Ok(args));
    }
}
