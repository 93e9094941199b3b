//! What is impossible about a configuration.
//!
//! Upstream: `pkg/scheduler/apis/config/validation`.

use super::args::{
    Args, BalancedAllocationArgs, DefaultPreemptionArgs, PluginConfig, RequestedToCapacityRatio, ResourcesFitArgs,
    TopologySpreadArgs, UtilizationShapePoint,
};
use super::plugins::{PluginSet, Point};
use super::{Configuration, ExtenderConfig, KIND, ProfileConfig};
use apimachinery::field::{FieldError, FieldErrorKind, Path};
use apimachinery::selector::label_key_errors;
use k8s_openapi::api::core::v1 as core;
use std::collections::{HashMap, HashSet};

type Errors = Vec<String>;

/// Plugins that upstream had once.
const REMOVED: [&str; 4] = ["AzureDiskLimits", "CinderLimits", "EBSLimits", "GCEPDLimits"];
const STRATEGIES: [&str; 3] = ["LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"];

/// All that is impossible, in upstream's words and order.
pub(super) fn validate(config: &Configuration) -> Errors {
    let mut errors = Errors::new();
    let root = Path::default();
    if config.client_connection.burst < 0 {
        let path = root.child("clientConnection").child("burst");
        invalid(&mut errors, path, config.client_connection.burst, "must be non-negative");
    }
    if config.leader_election.leader_elect
        && let Err(why) = config.leader_election.validate()
    {
        errors.push(format!("leaderElection: {why}"));
    }
    if config.parallelism <= 0 {
        let detail = "should be an integer value greater than zero";
        invalid(&mut errors, root.child("parallelism"), config.parallelism, detail);
    }
    profiles(&mut errors, &config.profiles);
    percentage(&mut errors, root.child("percentageOfNodesToScore"), Some(config.percentage_of_nodes_to_score));
    let (first, last) = (config.pod_initial_backoff_seconds, config.pod_max_backoff_seconds);
    if first <= 0 {
        invalid(&mut errors, root.child("podInitialBackoffSeconds"), first, "must be greater than 0");
    }
    if last < first {
        let detail = "must be greater than or equal to PodInitialBackoffSeconds";
        invalid(&mut errors, root.child("podMaxBackoffSeconds"), last, detail);
    }
    extenders(&mut errors, &config.extenders);
    errors
}

fn say(errors: &mut Errors, path: Path, kind: FieldErrorKind) {
    errors.push(FieldError { path, kind }.to_string());
}

fn invalid(errors: &mut Errors, path: Path, value: impl std::fmt::Display, detail: &str) {
    say(errors, path, FieldErrorKind::Invalid(value.to_string(), detail.to_owned()));
}

fn invalid_text(errors: &mut Errors, path: Path, value: &str, detail: &str) {
    invalid(errors, path, format_args!("{value:?}"), detail);
}

fn required(errors: &mut Errors, path: Path, detail: &str) {
    say(errors, path, FieldErrorKind::Required(detail.to_owned()));
}

fn unsupported(errors: &mut Errors, path: Path, value: &str, supported: &[&str]) {
    let supported = supported.iter().map(|&value| value.to_owned()).collect();
    say(errors, path, FieldErrorKind::NotSupported(format!("{value:?}"), supported));
}

fn duplicate(errors: &mut Errors, path: Path, value: &str) {
    say(errors, path, FieldErrorKind::Duplicate(format!("{value:?}")));
}

/// What is wrong with a qualified name.
fn label_name(errors: &mut Errors, path: &Path, name: &str) {
    for detail in label_key_errors(name) {
        invalid_text(errors, path.clone(), name, &detail);
    }
}

fn percentage(errors: &mut Errors, path: Path, value: Option<i32>) {
    if let Some(value) = value.filter(|value| !(0..=100).contains(value)) {
        invalid(errors, path, value, "not in valid range [0-100]");
    }
}

fn profiles(errors: &mut Errors, profiles: &[ProfileConfig]) {
    let path = Path::new("profiles");
    if profiles.is_empty() {
        return required(errors, path, "");
    }
    let mut known: HashMap<&str, usize> = HashMap::new();
    for (index, config) in profiles.iter().enumerate() {
        let here = path.index(index);
        profile(errors, &here, config);
        if let Some(first) = known.insert(&config.scheduler_name, index) {
            let first = path.index(first).child("schedulerName");
            say(errors, here.child("schedulerName"), FieldErrorKind::Duplicate(first.to_string()));
        }
    }
    let queue_sort = |profile: &ProfileConfig| profile.plugins.queue_sort.clone();
    if profiles[0].plugins.queue_sort.enabled.len() > 1 {
        let here = path.index(0).child("plugins").child("queueSort").child("Enabled");
        let detail = "only one queue sort plugin can be enabled";
        invalid(errors, here, profiles[0].plugins.queue_sort.enabled.len(), detail);
    }
    for (index, profile) in profiles.iter().enumerate().skip(1) {
        if queue_sort(profile) != queue_sort(&profiles[0]) {
            let here = path.index(index).child("plugins").child("queueSort");
            let value = serde_json::to_value(queue_sort(profile)).unwrap_or_default();
            invalid(errors, here, value, "must be the same for all profiles");
        }
    }
}

fn profile(errors: &mut Errors, path: &Path, profile: &ProfileConfig) {
    if profile.scheduler_name.is_empty() {
        required(errors, path.child("schedulerName"), "");
    }
    percentage(errors, path.child("percentageOfNodesToScore"), profile.percentage_of_nodes_to_score);
    for point in Point::ALL {
        removed_plugins(errors, &path.child("plugins").child(point.field()), profile.plugins.at(point));
    }
    let mut seen = HashSet::new();
    for (index, PluginConfig { name, .. }) in profile.plugin_config.iter().enumerate() {
        let here = path.child("pluginConfig").index(index);
        if !seen.insert(name) {
            duplicate(errors, here.clone(), name);
        }
        if REMOVED.contains(&name.as_str()) {
            invalid_text(errors, here, name, &removal());
        }
    }
    match Args::of(&profile.plugin_config) {
        Err(why) => errors.push(format!("{path}.{why}")),
        Ok(args) => {
            let place = |plugin: &str| profile.plugin_config.iter().position(|config| config.name == plugin);
            let path = |plugin: &str| path.child("pluginConfig").index(place(plugin).unwrap_or(0)).child("args");
            arguments(errors, path, &args);
        }
    }
}

fn removal() -> String {
    format!("was invalid in version \"v1\" (KubeSchedulerConfiguration is version {:?})", KIND.api_version)
}

fn removed_plugins(errors: &mut Errors, path: &Path, set: &PluginSet) {
    for (index, plugin) in set.enabled.iter().enumerate() {
        if REMOVED.contains(&plugin.name.as_str()) {
            invalid_text(errors, path.child("enabled").index(index), &plugin.name, &removal());
        }
    }
}

fn arguments(errors: &mut Errors, path: impl Fn(&str) -> Path, args: &Args) {
    preemption(errors, &path("DefaultPreemption"), &args.default_preemption);
    let weight = args.inter_pod_affinity.hard_pod_affinity_weight;
    if !(0..=100).contains(&weight) {
        let here = path("InterPodAffinity").child("hardPodAffinityWeight");
        invalid(errors, here, weight, "not in valid range [0, 100]");
    }
    if let Some(affinity) = &args.node_affinity.added_affinity {
        added_affinity(errors, &path("NodeAffinity").child("addedAffinity"), affinity);
    }
    balanced(errors, &path("NodeResourcesBalancedAllocation").child("resources"), &args.balanced_allocation);
    resources_fit(errors, &path("NodeResourcesFit"), &args.resources_fit);
    topology_spread(errors, &path("PodTopologySpread"), &args.topology_spread);
    let here = path("VolumeBinding");
    if args.volume_binding.bind_timeout_seconds < 0 {
        let detail = "invalid BindTimeoutSeconds, should not be a negative value";
        invalid(errors, here.child("bindTimeoutSeconds"), args.volume_binding.bind_timeout_seconds, detail);
    }
    if let Some(shape) = &args.volume_binding.shape {
        let detail = "unexpected field `shape`, remove it or turn on the feature gate StorageCapacityScoring";
        let value = serde_json::to_value(shape).unwrap_or_default();
        invalid(errors, here.child("shape"), value, detail);
    }
    if args.dynamic_resources.binding_timeout.0 < std::time::Duration::from_secs(1) {
        let here = path("DynamicResources").child("bindingTimeout");
        invalid_text(errors, here, &args.dynamic_resources.binding_timeout.to_string(), "must be at least 1 second");
    }
}

fn preemption(errors: &mut Errors, path: &Path, args: &DefaultPreemptionArgs) {
    let (percentage, absolute) = (args.min_candidate_nodes_percentage, args.min_candidate_nodes_absolute);
    let (first, second) = (path.child("minCandidateNodesPercentage"), path.child("minCandidateNodesAbsolute"));
    if !(0..=100).contains(&percentage) {
        invalid(errors, first.clone(), percentage, "not in valid range [0, 100]");
    }
    if absolute < 0 {
        invalid(errors, second.clone(), absolute, "not in valid range [0, inf)");
    }
    if percentage == 0 && absolute == 0 {
        invalid(errors, first, 0, "cannot be zero at the same time as minCandidateNodesAbsolute");
        invalid(errors, second, 0, "cannot be zero at the same time as minCandidateNodesPercentage");
    }
}

/// What the API server checks of a pod's own terms, as far as terms could not be read.
fn added_affinity(errors: &mut Errors, path: &Path, affinity: &core::NodeAffinity) {
    let required = affinity.required_during_scheduling_ignored_during_execution.iter();
    let required = required.flat_map(|selector| &selector.node_selector_terms).enumerate();
    let here = path.child("requiredDuringSchedulingIgnoredDuringExecution").child("nodeSelectorTerms");
    for (index, term) in required {
        node_term(errors, &here.index(index), term);
    }
    let preferred = affinity.preferred_during_scheduling_ignored_during_execution.iter().flatten().enumerate();
    for (index, term) in preferred {
        let here = path.child("preferredDuringSchedulingIgnoredDuringExecution").index(index);
        node_term(errors, &here, &term.preference);
    }
}

fn node_term(errors: &mut Errors, path: &Path, term: &core::NodeSelectorTerm) {
    for (index, requirement) in term.match_expressions.iter().flatten().enumerate() {
        let here = path.child("matchExpressions").index(index);
        label_name(errors, &here.child("key"), &requirement.key);
        let values = requirement.values.as_deref().unwrap_or_default();
        match requirement.operator.as_str() {
            "In" | "NotIn" if values.is_empty() => {
                invalid(errors, here.child("values"), "[]", "for 'in', 'notin' operators, values set can't be empty");
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let detail = "values set must be empty for exists and does not exist";
                invalid(errors, here.child("values"), format_args!("{values:?}"), detail);
            }
            "Gt" | "Lt" if values.len() != 1 => {
                let detail = "for 'Gt', 'Lt' operators, exactly one value is required";
                invalid(errors, here.child("values"), format_args!("{values:?}"), detail);
            }
            "Gt" | "Lt" if values[0].parse::<i64>().is_err() => {
                let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
                invalid_text(errors, here.child("values").index(0), &values[0], detail);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
            other => {
                let supported = ["DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn"];
                unsupported(errors, here.child("operator"), other, &supported);
            }
        }
    }
    for (index, requirement) in term.match_fields.iter().flatten().enumerate() {
        let here = path.child("matchFields").index(index);
        if requirement.key != "metadata.name" {
            invalid_text(errors, here.child("key"), &requirement.key, "not a valid field selector key");
        }
        if !matches!(requirement.operator.as_str(), "In" | "NotIn") {
            unsupported(errors, here.child("operator"), &requirement.operator, &["In", "NotIn"]);
        }
        if requirement.values.as_deref().unwrap_or_default().len() != 1 {
            required(errors, here.child("values"), "must have one element");
        }
    }
}

fn balanced(errors: &mut Errors, path: &Path, args: &BalancedAllocationArgs) {
    let mut seen = HashSet::new();
    for (index, resource) in args.resources.iter().enumerate() {
        let here = path.index(index);
        if !seen.insert(&resource.name) {
            duplicate(errors, here.child("name"), &resource.name);
        }
        if resource.weight != 1 {
            invalid(errors, here.child("weight"), resource.weight, "must be 1");
        }
    }
}

fn resources_fit(errors: &mut Errors, path: &Path, args: &ResourcesFitArgs) {
    for (index, name) in args.ignored_resources.iter().enumerate() {
        label_name(errors, &path.child("ignoredResources").index(index), name);
    }
    for (index, group) in args.ignored_resource_groups.iter().enumerate() {
        let here = path.child("ignoredResourceGroups").index(index);
        if group.contains('/') {
            invalid_text(errors, here.clone(), group, "resource group name can't contain '/'");
        }
        label_name(errors, &here, group);
    }
    let (path, strategy) = (path.child("scoringStrategy"), &args.scoring_strategy);
    if !STRATEGIES.contains(&strategy.kind.as_str()) {
        unsupported(errors, path.child("type"), &strategy.kind, &STRATEGIES);
    }
    for (index, resource) in strategy.resources.iter().enumerate() {
        if !(1..=100).contains(&resource.weight) {
            let detail = format!("resource weight of {} not in valid range (0, 100]", resource.name);
            invalid(errors, path.child("resources").index(index).child("weight"), resource.weight, &detail);
        }
    }
    let here = path.child("requestedToCapacityRatio");
    match (strategy.kind == "RequestedToCapacityRatio", &strategy.requested_to_capacity_ratio) {
        (true, None) => required(errors, here, "must be specified when type is RequestedToCapacityRatio"),
        (true, Some(RequestedToCapacityRatio { shape: points })) => shape(errors, &here.child("shape"), points),
        (false, Some(_)) => {
            let detail = "must be nil when type is not RequestedToCapacityRatio".to_owned();
            say(errors, here, FieldErrorKind::Forbidden(detail));
        }
        (false, None) => {}
    }
}

fn shape(errors: &mut Errors, path: &Path, points: &[UtilizationShapePoint]) {
    if points.is_empty() {
        return required(errors, path.clone(), "at least one point must be specified");
    }
    let falls = |index: &usize| points[index - 1].utilization >= points[*index].utilization;
    if let Some(index) = (1..points.len()).find(falls) {
        let here = path.index(index).child("utilization");
        invalid(errors, here, points[index].utilization, "values must be sorted in increasing order");
    }
    for (index, point) in points.iter().enumerate() {
        if !(0..=100).contains(&point.utilization) {
            let here = path.index(index).child("utilization");
            invalid(errors, here, point.utilization, "not in valid range [0, 100]");
        }
        if !(0..=10).contains(&point.score) {
            invalid(errors, path.index(index).child("score"), point.score, "not in valid range [0, 10]");
        }
    }
}

fn topology_spread(errors: &mut Errors, path: &Path, args: &TopologySpreadArgs) {
    let here = path.child("defaultingType");
    match args.defaulting_type.as_str() {
        "System" if !args.default_constraints.is_empty() => {
            invalid_text(errors, here, "System", "when .defaultConstraints are not empty");
        }
        "System" | "List" => {}
        other => unsupported(errors, here, other, &["System", "List"]),
    }
    let path = path.child("defaultConstraints");
    for (index, constraint) in args.default_constraints.iter().enumerate() {
        let here = path.index(index);
        if constraint.max_skew <= 0 {
            invalid(errors, here.child("maxSkew"), constraint.max_skew, "not in valid range (0, inf)");
        }
        match constraint.topology_key.as_str() {
            "" => required(errors, here.child("topologyKey"), "can not be empty"),
            key => label_name(errors, &here.child("topologyKey"), key),
        }
        match constraint.when_unsatisfiable.as_str() {
            "" => required(errors, here.child("whenUnsatisfiable"), "can not be empty"),
            "DoNotSchedule" | "ScheduleAnyway" => {}
            other => {
                unsupported(errors, here.child("whenUnsatisfiable"), other, &["DoNotSchedule", "ScheduleAnyway"]);
            }
        }
        if constraint.label_selector.is_some() {
            let detail = "constraint must not define a selector, as they deduced for each pod".to_owned();
            say(errors, here.child("labelSelector"), FieldErrorKind::Forbidden(detail));
        }
        let what = |other: &core::TopologySpreadConstraint| {
            format!("{{{}, {}}}", other.topology_key, other.when_unsatisfiable)
        };
        if args.default_constraints[..index].iter().any(|other| what(other) == what(constraint)) {
            duplicate(errors, here, &what(constraint));
        }
    }
}

fn extenders(errors: &mut Errors, extenders: &[ExtenderConfig]) {
    let path = Path::new("extenders");
    let mut resources = HashSet::new();
    for (index, extender) in extenders.iter().enumerate() {
        let here = path.index(index);
        if !extender.prioritize_verb.is_empty() && extender.weight <= 0 {
            invalid(errors, here.child("weight"), extender.weight, "must have a positive weight applied to it");
        }
        for (index, resource) in extender.managed_resources.iter().enumerate() {
            let here = here.child("managedResources").index(index).child("name");
            let before = errors.len();
            label_name(errors, &here, &resource.name);
            if errors.len() == before && !is_extended(&resource.name) {
                invalid_text(errors, here.clone(), &resource.name, "is an invalid extended resource name");
            }
            if !resources.insert(&resource.name) {
                invalid_text(errors, here, &resource.name, "duplicate extender managed resource name");
            }
        }
    }
    let binders = extenders.iter().filter(|extender| !extender.bind_verb.is_empty()).count();
    if binders > 1 {
        let value = format!("found {binders} extenders implementing bind");
        invalid_text(errors, path, &value, "only one extender can implement bind");
    }
}

/// Whether the name is one that a vendor gave.
fn is_extended(name: &str) -> bool {
    let is_native = match name.split_once('/') {
        None => true,
        Some((domain, _)) => domain == "kubernetes.io" || domain.ends_with(".kubernetes.io"),
    };
    !is_native && !name.starts_with("requests.") && label_key_errors(&format!("requests.{name}")).is_empty()
}

#[cfg(test)]
#[path = "validation_tests.rs"]
mod tests;
