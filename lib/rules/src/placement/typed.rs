//! The views, made of k8s-openapi's structs.

use super::affinity::{NodeRules, NodeSelector, Preference, RawRequirement, Term, pairs_selector};
use super::ports::HostPort;
use super::requests::{Amounts, InitAmounts, PodAmounts};
use super::taints::{Comparison, Effect, Taint, Toleration};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use std::collections::BTreeMap;

/// The requests of a pod.
pub fn requests(spec: &core::PodSpec) -> PodAmounts {
    pod_amounts(spec, |resources| resources.requests.as_ref())
}

/// The limits of a pod.
pub fn limits(spec: &core::PodSpec) -> PodAmounts {
    pod_amounts(spec, |resources| resources.limits.as_ref())
}

/// A resource list; what is no quantity is left out.
pub fn amounts(list: Option<&BTreeMap<String, Quantity>>) -> Amounts {
    let parse = |(name, quantity): (&String, &Quantity)| Some((name.clone(), quantity.0.parse().ok()?));
    list.into_iter().flatten().filter_map(parse).collect()
}

fn pod_amounts(
    spec: &core::PodSpec,
    list: impl Fn(&core::ResourceRequirements) -> Option<&BTreeMap<String, Quantity>>,
) -> PodAmounts {
    let of = |resources: Option<&core::ResourceRequirements>| amounts(resources.and_then(&list));
    let init = |container: &core::Container| match is_sidecar(container) {
        true => InitAmounts::Sidecar(of(container.resources.as_ref())),
        false => InitAmounts::Once(of(container.resources.as_ref())),
    };
    PodAmounts {
        containers: spec.containers.iter().map(|c| of(c.resources.as_ref())).collect(),
        init: spec.init_containers.iter().flatten().map(init).collect(),
        pod: of(spec.resources.as_ref()),
        overhead: amounts(spec.overhead.as_ref()),
    }
}

/// Whether an init container keeps running beside the others.
pub fn is_sidecar(container: &core::Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// What a pod asks of a node's labels and name.
pub fn node_rules(spec: &core::PodSpec) -> NodeRules {
    let affinity = spec.affinity.as_ref().and_then(|a| a.node_affinity.as_ref());
    let required = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    let preferred = affinity.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref());
    let pairs = spec.node_selector.iter().flatten();
    NodeRules {
        selector: pairs_selector(pairs.map(|(key, value)| (key.as_str(), value.as_str()))),
        required: required.map(node_selector),
        preferred: preferred
            .into_iter()
            .flatten()
            .filter_map(|p| Preference::new(p.weight.into(), term(&p.preference)))
            .collect(),
    }
}

/// A node selector, such as a volume's.
pub fn node_selector(selector: &core::NodeSelector) -> NodeSelector {
    NodeSelector { terms: selector.node_selector_terms.iter().map(term).collect() }
}

fn term(term: &core::NodeSelectorTerm) -> Term {
    fn raw(requirement: &core::NodeSelectorRequirement) -> RawRequirement<'_> {
        let values = requirement.values.iter().flatten().map(String::as_str).collect();
        RawRequirement { key: &requirement.key, operator: &requirement.operator, values }
    }
    Term::new(term.match_expressions.iter().flatten().map(raw), term.match_fields.iter().flatten().map(raw))
}

/// A taint; `None` if its effect is unknown.
pub fn taint(taint: &core::Taint) -> Option<Taint<'_>> {
    let value = taint.value.as_deref().unwrap_or_default();
    Some(Taint { key: &taint.key, value, effect: Effect::parse(&taint.effect)? })
}

/// A toleration; `None` if its effect is unknown.
pub fn toleration(toleration: &core::Toleration) -> Option<Toleration<'_>> {
    let effect = match toleration.effect.as_deref() {
        None | Some("") => None,
        Some(name) => Some(Effect::parse(name)?),
    };
    Some(Toleration {
        key: toleration.key.as_deref().unwrap_or_default(),
        operator: Comparison::parse(toleration.operator.as_deref().unwrap_or_default()),
        value: toleration.value.as_deref().unwrap_or_default(),
        effect,
        seconds: toleration.toleration_seconds,
    })
}

/// The tolerations of a pod.
pub fn tolerations(spec: &core::PodSpec) -> Vec<Toleration<'_>> {
    spec.tolerations.iter().flatten().filter_map(toleration).collect()
}

/// The node's ports that a pod asks for.
pub fn host_ports(spec: &core::PodSpec) -> Vec<HostPort> {
    let sidecars = spec.init_containers.iter().flatten().filter(|c| is_sidecar(c));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|c| c.ports.iter().flatten());
    ports.filter_map(host_port).collect()
}

fn host_port(port: &core::ContainerPort) -> Option<HostPort> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    HostPort::new(&text(&port.host_ip), &text(&port.protocol), port.host_port?.into())
}

#[cfg(test)]
mod tests {
    use super::super::{affinity, ports};
    use super::*;
    use serde_json::json;

    /// The struct and the tree of one pod give the same views.
    #[test]
    fn same_as_from_trees() {
        let expression = json!({"key": "zone", "operator": "In", "values": ["a"]});
        let tree = json!({
            "containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}},
                "ports": [{"containerPort": 1, "hostPort": 80, "protocol": "UDP", "hostIP": "127.0.0.1"}]}],
            "initContainers": [
                {"name": "i", "resources": {"requests": {"cpu": "500m"}}},
                {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"memory": "1Gi"}},
                    "ports": [{"containerPort": 1, "hostPort": 81}]}],
            "overhead": {"cpu": "1m"},
            "resources": {"requests": {"cpu": "7"}},
            "nodeSelector": {"a": "b"},
            "affinity": {"nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                    {"matchExpressions": [expression]}, {}]},
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 3, "preference": {"matchFields": [
                        {"key": "metadata.name", "operator": "In", "values": ["n"]}]}}]}},
            "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
        });
        let spec: core::PodSpec = serde_json::from_value(tree.clone()).expect("a pod");
        assert_eq!(requests(&spec), PodAmounts::of(&tree));
        assert_eq!(limits(&spec), PodAmounts::limits_of(&tree));
        assert_eq!(node_rules(&spec), affinity::NodeRules::of(&tree));
        assert_eq!(host_ports(&spec), ports::of(&tree));
        assert_eq!(tolerations(&spec), [Toleration::of(&tree["tolerations"][0]).expect("one")]);
    }
}
