use super::*;
use serde_json::{Value, json};

fn errors(config: Value) -> Vec<String> {
    let mut config: Configuration = serde_json::from_value(config).unwrap();
    config.complete();
    validate(&config)
}

fn of_args(plugin: &str, args: Value) -> Vec<String> {
    errors(json!({"profiles": [{"pluginConfig": [{"name": plugin, "args": args}]}]}))
}

#[test]
fn impossible_values_are_refused_in_upstreams_words() {
    let table = [
        (json!({"parallelism": 0}), "parallelism: Invalid value: 0: should be an integer value greater than zero"),
        (
            json!({"percentageOfNodesToScore": 101}),
            "percentageOfNodesToScore: Invalid value: 101: not in valid range [0-100]",
        ),
        (json!({"clientConnection": {"burst": -1}}), "clientConnection.burst: Invalid value: -1: must be non-negative"),
        (json!({"podInitialBackoffSeconds": 0}), "podInitialBackoffSeconds: Invalid value: 0: must be greater than 0"),
        (
            json!({"podMaxBackoffSeconds": 0}),
            "podMaxBackoffSeconds: Invalid value: 0: must be greater than or equal to PodInitialBackoffSeconds",
        ),
        (
            json!({"profiles": [{"percentageOfNodesToScore": -1}]}),
            "profiles[0].percentageOfNodesToScore: Invalid value: -1: not in valid range [0-100]",
        ),
        (
            json!({"profiles": [{"schedulerName": "a"}, {"schedulerName": "a"}]}),
            "profiles[1].schedulerName: Duplicate value: profiles[0].schedulerName",
        ),
        (
            json!({"profiles": [{"plugins": {"filter": {"enabled": [{"name": "EBSLimits"}]}}}]}),
            "profiles[0].plugins.filter.enabled[0]: Invalid value: \"EBSLimits\": was invalid in version \"v1\" \
             (KubeSchedulerConfiguration is version \"kubescheduler.config.k8s.io/v1\")",
        ),
        (
            json!({"profiles": [{"pluginConfig": [{"name": "X"}, {"name": "X"}]}]}),
            "profiles[0].pluginConfig[1]: Duplicate value: \"X\"",
        ),
        (
            json!({"extenders": [{"prioritizeVerb": "p"}]}),
            "extenders[0].weight: Invalid value: 0: must have a positive weight applied to it",
        ),
        (
            json!({"extenders": [{"managedResources": [{"name": "kubernetes.io/x"}]}]}),
            "extenders[0].managedResources[0].name: Invalid value: \"kubernetes.io/x\": is an invalid extended resource name",
        ),
        (
            json!({"extenders": [{"managedResources": [{"name": "a.b/x"}]}, {"managedResources": [{"name": "a.b/x"}]}]}),
            "extenders[1].managedResources[0].name: Invalid value: \"a.b/x\": duplicate extender managed resource name",
        ),
        (
            json!({"extenders": [{"bindVerb": "a"}, {"bindVerb": "b"}]}),
            "extenders: Invalid value: \"found 2 extenders implementing bind\": only one extender can implement bind",
        ),
    ];
    for (config, expected) in table {
        assert_eq!(errors(config), [expected]);
    }
    assert!(validate(&Configuration::default()).is_empty());
}

#[test]
fn impossible_arguments_are_refused_in_upstreams_words() {
    let at = "profiles[0].pluginConfig[0].args";
    let ratio = |shape: Value| json!({"scoringStrategy": {"type": "RequestedToCapacityRatio", "requestedToCapacityRatio": {"shape": shape}}});
    let spread = |constraint: Value| json!({"defaultingType": "List", "defaultConstraints": [constraint]});
    let table = [
        (
            "DefaultPreemption",
            json!({"minCandidateNodesPercentage": 101}),
            ".minCandidateNodesPercentage: Invalid value: 101: not in valid range [0, 100]",
        ),
        (
            "InterPodAffinity",
            json!({"hardPodAffinityWeight": 101}),
            ".hardPodAffinityWeight: Invalid value: 101: not in valid range [0, 100]",
        ),
        (
            "NodeResourcesBalancedAllocation",
            json!({"resources": [{"name": "cpu", "weight": 2}]}),
            ".resources[0].weight: Invalid value: 2: must be 1",
        ),
        (
            "NodeResourcesFit",
            json!({"ignoredResourceGroups": ["a.b/c"]}),
            ".ignoredResourceGroups[0]: Invalid value: \"a.b/c\": resource group name can't contain '/'",
        ),
        (
            "NodeResourcesFit",
            json!({"scoringStrategy": {"type": "Odd"}}),
            ".scoringStrategy.type: Unsupported value: \"Odd\": supported values: \"LeastAllocated\", \"MostAllocated\", \
             \"RequestedToCapacityRatio\"",
        ),
        (
            "NodeResourcesFit",
            json!({"scoringStrategy": {"type": "MostAllocated", "resources": [{"name": "cpu", "weight": 101}]}}),
            ".scoringStrategy.resources[0].weight: Invalid value: 101: resource weight of cpu not in valid range (0, 100]",
        ),
        (
            "NodeResourcesFit",
            json!({"scoringStrategy": {"type": "RequestedToCapacityRatio"}}),
            ".scoringStrategy.requestedToCapacityRatio: Required value: must be specified when type is RequestedToCapacityRatio",
        ),
        (
            "NodeResourcesFit",
            ratio(json!([{"utilization": 5}, {"utilization": 5}])),
            ".scoringStrategy.requestedToCapacityRatio.shape[1].utilization: Invalid value: 5: values must be sorted in \
             increasing order",
        ),
        (
            "NodeResourcesFit",
            ratio(json!([{"utilization": 5, "score": 11}])),
            ".scoringStrategy.requestedToCapacityRatio.shape[0].score: Invalid value: 11: not in valid range [0, 10]",
        ),
        (
            "PodTopologySpread",
            json!({"defaultConstraints": [{"maxSkew": 1, "topologyKey": "k", "whenUnsatisfiable": "ScheduleAnyway"}]}),
            ".defaultingType: Invalid value: \"System\": when .defaultConstraints are not empty",
        ),
        (
            "PodTopologySpread",
            spread(json!({"maxSkew": 0, "topologyKey": "k", "whenUnsatisfiable": "ScheduleAnyway"})),
            ".defaultConstraints[0].maxSkew: Invalid value: 0: not in valid range (0, inf)",
        ),
        (
            "PodTopologySpread",
            spread(json!({"maxSkew": 1, "topologyKey": "k", "whenUnsatisfiable": "Odd"})),
            ".defaultConstraints[0].whenUnsatisfiable: Unsupported value: \"Odd\": supported values: \"DoNotSchedule\", \
             \"ScheduleAnyway\"",
        ),
        (
            "PodTopologySpread",
            spread(
                json!({"maxSkew": 1, "topologyKey": "k", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {}}),
            ),
            ".defaultConstraints[0].labelSelector: Forbidden: constraint must not define a selector, as they deduced for \
             each pod",
        ),
        (
            "VolumeBinding",
            json!({"bindTimeoutSeconds": -1}),
            ".bindTimeoutSeconds: Invalid value: -1: invalid BindTimeoutSeconds, should not be a negative value",
        ),
        (
            "NodeAffinity",
            json!({"addedAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "k", "operator": "Odd"}]}]}}}),
            ".addedAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0]\
             .operator: Unsupported value: \"Odd\": supported values: \"DoesNotExist\", \"Exists\", \"Gt\", \"In\", \"Lt\", \
             \"NotIn\"",
        ),
    ];
    for (plugin, args, expected) in table {
        assert_eq!(of_args(plugin, args), [format!("{at}{expected}")]);
    }
}

#[test]
fn preemption_has_to_try_some_node() {
    let both = of_args("DefaultPreemption", json!({"minCandidateNodesPercentage": 0, "minCandidateNodesAbsolute": 0}));
    let at = "profiles[0].pluginConfig[0].args";
    assert_eq!(
        both,
        [
            format!(
                "{at}.minCandidateNodesPercentage: Invalid value: 0: cannot be zero at the same time as \
                 minCandidateNodesAbsolute"
            ),
            format!(
                "{at}.minCandidateNodesAbsolute: Invalid value: 0: cannot be zero at the same time as \
                 minCandidateNodesPercentage"
            ),
        ]
    );
}
