//! Affinity between pods, and topology spread: the terms, read once per pod.

use super::Pod;
use super::selector::{Labels, PodSelector};
use super::tallies::{Part, Question};
use k8s_openapi::api::core::v1 as core;
use std::collections::HashMap;

/// A term of pod affinity or anti-affinity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Term {
    /// The node label whose value makes a domain.
    pub topology_key: String,
    /// Whom it is about; `None` matches nobody.
    selector: Option<PodSelector>,
    /// In which namespaces.
    namespaces: Vec<String>,
    /// In namespaces with these labels, besides; an empty selector means all.
    namespace_selector: Option<PodSelector>,
}

/// A term with a weight, negative for anti-affinity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightedTerm {
    /// The term.
    pub term: Term,
    /// 1 to 100, or -100 to -1.
    pub weight: i64,
}

/// All terms of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodAffinity {
    /// Pods that must be in the domain.
    pub required: Vec<Term>,
    /// Pods that must not be.
    pub required_anti: Vec<Term>,
    /// Pods that are liked or disliked.
    pub preferred: Vec<WeightedTerm>,
}

impl Term {
    fn of(term: &core::PodAffinityTerm, namespace: &str, labels: &Labels) -> Self {
        let mut selector = PodSelector::of(term.label_selector.as_ref());
        let keys = |keys: &Option<Vec<String>>| keys.clone().unwrap_or_default();
        if let Some(selector) = &mut selector {
            for key in keys(&term.match_label_keys) {
                // The apiserver merges these keys itself; doing it again changes nothing.
                if let Some(value) = labels.get(&key) {
                    selector.require(&key, value);
                }
            }
        }
        let namespace_selector = PodSelector::of(term.namespace_selector.as_ref());
        let mut namespaces = term.namespaces.clone().unwrap_or_default();
        if namespaces.is_empty() && namespace_selector.is_none() {
            namespaces.push(namespace.to_owned());
        }
        Self { topology_key: term.topology_key.clone(), selector, namespaces, namespace_selector }
    }

    /// The pods it is about, as a part of a question; `namespaces` are all there are.
    pub fn part(&self, namespaces: &HashMap<String, Labels>) -> Part {
        let selected = namespaces
            .iter()
            .filter(|(_, labels)| self.namespace_selector.as_ref().is_some_and(|selector| selector.matches(labels)));
        let mut names: Vec<_> = selected.map(|(name, _)| name.clone()).chain(self.namespaces.iter().cloned()).collect();
        names.sort();
        names.dedup();
        Part { namespaces: names, selector: self.selector.clone() }
    }

    /// Whether the term is about this pod; `namespace_labels` gives the labels of its namespace.
    pub fn is_about(&self, pod: &Pod, namespace_labels: &Labels) -> bool {
        let in_namespace = self.namespaces.iter().any(|namespace| *namespace == *pod.namespace)
            || self.namespace_selector.as_ref().is_some_and(|selector| selector.matches(namespace_labels));
        in_namespace && self.selector.as_ref().is_some_and(|selector| selector.matches(&pod.labels))
    }
}

impl PodAffinity {
    /// From a pod's specification; `None` if it has no terms.
    pub fn of(spec: &core::PodSpec, namespace: &str, labels: &Labels) -> Option<Box<Self>> {
        let affinity = spec.affinity.as_ref()?;
        let read = |term: &core::PodAffinityTerm| Term::of(term, namespace, labels);
        let mut terms = Self::default();
        if let Some(with) = &affinity.pod_affinity {
            let required = with.required_during_scheduling_ignored_during_execution.iter().flatten();
            terms.required = required.map(read).collect();
            let preferred = with.preferred_during_scheduling_ignored_during_execution.iter().flatten();
            terms.preferred.extend(
                preferred.map(|w| WeightedTerm { term: read(&w.pod_affinity_term), weight: i64::from(w.weight) }),
            );
        }
        if let Some(apart) = &affinity.pod_anti_affinity {
            let required = apart.required_during_scheduling_ignored_during_execution.iter().flatten();
            terms.required_anti = required.map(read).collect();
            let preferred = apart.preferred_during_scheduling_ignored_during_execution.iter().flatten();
            terms.preferred.extend(
                preferred.map(|w| WeightedTerm { term: read(&w.pod_affinity_term), weight: -i64::from(w.weight) }),
            );
        }
        (terms != Self::default()).then(|| Box::new(terms))
    }
}

/// The label that every node has for itself.
pub const HOSTNAME: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

/// What a spread constraint does to nodes that break it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenUnsatisfiable {
    /// They are excluded.
    DoNotSchedule,
    /// They score low.
    ScheduleAnyway,
}

/// Whether the nodes that a pod's selector or tolerations exclude count in a spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inclusion {
    /// They do not count.
    Honor,
    /// They count.
    Ignore,
}

/// A topology spread constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    /// How far the fullest domain may be above the emptiest.
    pub max_skew: i64,
    /// The node label whose value makes a domain.
    pub topology_key: String,
    /// What happens otherwise.
    pub when: WhenUnsatisfiable,
    /// With fewer domains than this, the emptiest counts as empty.
    pub min_domains: usize,
    /// About the pod's node selector.
    pub node_affinity: Inclusion,
    /// About the nodes' taints.
    pub node_taints: Inclusion,
    selector: Option<PodSelector>,
}

impl Spread {
    /// From a pod's specification.
    pub fn all_of(spec: &core::PodSpec, labels: &Labels) -> Vec<Self> {
        let constraints = spec.topology_spread_constraints.iter().flatten();
        constraints.map(|constraint| Self::of(constraint, labels)).collect()
    }

    fn of(constraint: &core::TopologySpreadConstraint, labels: &Labels) -> Self {
        let mut selector = PodSelector::of(constraint.label_selector.as_ref());
        if let Some(selector) = &mut selector {
            for key in constraint.match_label_keys.iter().flatten() {
                if let Some(value) = labels.get(key) {
                    selector.require(key, value);
                }
            }
        }
        let inclusion = |policy: Option<&str>, default| match policy {
            Some("Honor") => Inclusion::Honor,
            Some("Ignore") => Inclusion::Ignore,
            _ => default,
        };
        Self {
            max_skew: i64::from(constraint.max_skew),
            topology_key: constraint.topology_key.clone(),
            when: match constraint.when_unsatisfiable.as_str() {
                "ScheduleAnyway" => WhenUnsatisfiable::ScheduleAnyway,
                _ => WhenUnsatisfiable::DoNotSchedule,
            },
            min_domains: constraint.min_domains.and_then(|n| usize::try_from(n).ok()).unwrap_or(1),
            node_affinity: inclusion(constraint.node_affinity_policy.as_deref(), Inclusion::Honor),
            node_taints: inclusion(constraint.node_taints_policy.as_deref(), Inclusion::Ignore),
            selector,
        }
    }

    /// Those of a configuration, which say nothing about whom they count.
    pub fn templates(constraints: &[core::TopologySpreadConstraint]) -> Vec<Self> {
        constraints.iter().map(|constraint| Self::of(constraint, &Labels::new())).collect()
    }

    /// What upstream does for pods without constraints of their own, if nothing else is configured: spread them if
    /// possible.
    pub fn system_templates() -> Vec<Self> {
        let spread = |topology_key: &str, max_skew| Self {
            max_skew,
            topology_key: topology_key.to_owned(),
            when: WhenUnsatisfiable::ScheduleAnyway,
            min_domains: 1,
            node_affinity: Inclusion::Honor,
            node_taints: Inclusion::Ignore,
            selector: None,
        };
        vec![spread(HOSTNAME, 3), spread(ZONE, 5)]
    }

    /// The same for the pods that `selector` groups.
    pub fn about(&self, selector: &PodSelector) -> Self {
        Self { selector: Some(selector.clone()), ..self.clone() }
    }

    /// The pods that count, in the pod's namespace.
    pub fn question(&self, namespace: &str) -> Question {
        // Upstream counts nothing by an empty selector.
        let selector = self.selector.clone().filter(|selector| !selector.is_empty());
        Question { parts: vec![Part { namespaces: vec![namespace.to_owned()], selector }] }
    }

    /// Whether a pod with these labels counts; namespaces are the caller's business.
    pub fn counts(&self, labels: &Labels) -> bool {
        self.selector.as_ref().is_some_and(|selector| selector.matches(labels))
    }
}
