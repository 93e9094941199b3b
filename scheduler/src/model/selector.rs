//! Label selectors and node selectors, read once per pod.
//!
//! Upstream: `component-helpers/scheduling/corev1/nodeaffinity`, `apimachinery/pkg/labels`.

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use std::collections::BTreeMap;

/// Labels as they stand in an object.
pub type Labels = BTreeMap<String, String>;

/// One requirement on a label or field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    key: String,
    condition: Condition,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Condition {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
    Greater(i64),
    Less(i64),
    /// Cannot be read; matches nothing, as upstream's parse errors do.
    Never,
}

impl Requirement {
    fn new(key: &str, operator: &str, values: &[String]) -> Self {
        let integer = || match values {
            [one] => one.parse().ok(),
            _ => None,
        };
        let condition = match operator {
            "In" => Condition::In(values.to_vec()),
            "NotIn" => Condition::NotIn(values.to_vec()),
            "Exists" => Condition::Exists,
            "DoesNotExist" => Condition::DoesNotExist,
            "Gt" => integer().map_or(Condition::Never, Condition::Greater),
            "Lt" => integer().map_or(Condition::Never, Condition::Less),
            _ => Condition::Never,
        };
        Self { key: key.to_owned(), condition }
    }

    /// `key=value`.
    pub fn equals(key: &str, value: &str) -> Self {
        Self { key: key.to_owned(), condition: Condition::In(vec![value.to_owned()]) }
    }

    fn matches(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.condition {
            Condition::In(values) => value.is_some_and(|value| values.iter().any(|v| v == value)),
            Condition::NotIn(values) => value.is_none_or(|value| values.iter().all(|v| v != value)),
            Condition::Exists => value.is_some(),
            Condition::DoesNotExist => value.is_none(),
            Condition::Greater(bound) => number().is_some_and(|number| number > *bound),
            Condition::Less(bound) => number().is_some_and(|number| number < *bound),
            Condition::Never => false,
        }
    }
}

/// A label selector on pods or namespaces: all requirements must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PodSelector {
    requirements: Vec<Requirement>,
}

impl PodSelector {
    /// From the API's form; `None` selects nothing.
    pub fn of(selector: Option<&LabelSelector>) -> Option<Self> {
        let selector = selector?;
        let equal = selector.match_labels.iter().flatten().map(|(key, value)| Requirement::equals(key, value));
        let expressions = selector.match_expressions.iter().flatten();
        let expressions =
            expressions.map(|e| Requirement::new(&e.key, &e.operator, e.values.as_deref().unwrap_or_default()));
        Some(Self { requirements: equal.chain(expressions).collect() })
    }

    /// Adds `key=value`.
    pub fn require(&mut self, key: &str, value: &str) {
        self.requirements.push(Requirement::equals(key, value));
    }

    /// Adds all that another one requires.
    pub fn require_all(&mut self, other: &Self) {
        self.requirements.extend_from_slice(&other.requirements);
    }

    /// Whether it requires nothing, and so matches everything.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether the labels fulfil every requirement.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.requirements.iter().all(|r| r.matches(labels.get(&r.key).map(String::as_str)))
    }
}

/// One term of a node selector: all of its requirements must hold; an empty one matches nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeTerm {
    labels: Vec<Requirement>,
    fields: Vec<Requirement>,
}

impl NodeTerm {
    /// From the API's form.
    pub fn of(term: &core::NodeSelectorTerm) -> Self {
        let read = |list: &Option<Vec<core::NodeSelectorRequirement>>| {
            let list = list.iter().flatten();
            list.map(|r| Requirement::new(&r.key, &r.operator, r.values.as_deref().unwrap_or_default())).collect()
        };
        Self { labels: read(&term.match_expressions), fields: read(&term.match_fields) }
    }

    /// Whether a node fulfils it. The only field is `metadata.name`.
    pub fn matches(&self, name: &str, labels: &Labels) -> bool {
        let is_empty = self.labels.is_empty() && self.fields.is_empty();
        !is_empty
            && self.labels.iter().all(|r| r.matches(labels.get(&r.key).map(String::as_str)))
            && self.fields.iter().all(|r| r.key == "metadata.name" && r.matches(Some(name)))
    }

    /// The names that its field requirements allow, if they name any.
    pub fn node_names(&self) -> Option<&[String]> {
        self.fields.iter().find_map(|r| match &r.condition {
            Condition::In(names) if r.key == "metadata.name" => Some(names.as_slice()),
            _ => None,
        })
    }
}

/// Which nodes a pod may go to: `nodeSelector` and the required terms of its node affinity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NodeSelector {
    all: Vec<Requirement>,
    /// `None`: no affinity; otherwise one of the terms must match, so an empty list matches none.
    any: Option<Vec<NodeTerm>>,
}

impl NodeSelector {
    /// From a pod's specification.
    pub fn of(spec: &core::PodSpec) -> Self {
        let all = spec.node_selector.iter().flatten().map(|(key, value)| Requirement::equals(key, value)).collect();
        let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
        let required = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
        Self { all, any: required.map(|required| required.node_selector_terms.iter().map(NodeTerm::of).collect()) }
    }

    /// From a node selector as such.
    pub fn of_terms(selector: &core::NodeSelector) -> Self {
        Self { all: Vec::new(), any: Some(selector.node_selector_terms.iter().map(NodeTerm::of).collect()) }
    }

    /// Whether it allows every node.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty() && self.any.is_none()
    }

    /// Whether it allows this node.
    pub fn matches(&self, name: &str, labels: &Labels) -> bool {
        self.all.iter().all(|r| r.matches(labels.get(&r.key).map(String::as_str)))
            && self.any.as_ref().is_none_or(|terms| terms.iter().any(|term| term.matches(name, labels)))
    }

    /// The node names it is limited to: only if every term names some.
    pub fn node_names(&self) -> Option<Vec<&str>> {
        let names = self.any.as_ref()?.iter().map(NodeTerm::node_names).collect::<Option<Vec<_>>>()?;
        Some(names.into_iter().flatten().map(String::as_str).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn every_operator_means_what_it_means_upstream() {
        let table: [(&str, &[&str], &[(&str, &str)], bool); 12] = [
            ("In", &["a", "b"], &[("k", "b")], true),
            ("In", &["a"], &[], false),
            ("NotIn", &["a"], &[("k", "b")], true),
            ("NotIn", &["a"], &[], true),
            ("Exists", &[], &[("k", "")], true),
            ("DoesNotExist", &[], &[("k", "")], false),
            ("Gt", &["5"], &[("k", "6")], true),
            ("Gt", &["5"], &[("k", "5")], false),
            ("Lt", &["5"], &[("k", "4")], true),
            ("Lt", &["x"], &[("k", "4")], false),
            ("Gt", &["5"], &[("k", "x")], false),
            ("Nonesuch", &[], &[("k", "x")], false),
        ];
        for (operator, values, present, expected) in table {
            let values: Vec<_> = values.iter().map(|&v| v.to_owned()).collect();
            let selector = PodSelector { requirements: vec![Requirement::new("k", operator, &values)] };
            assert_eq!(selector.matches(&labels(present)), expected, "{operator} {values:?} on {present:?}");
        }
    }

    fn terms(json: serde_json::Value) -> NodeSelector {
        let spec = serde_json::json!({"containers": [], "affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": json}}}});
        NodeSelector::of(&serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn terms_are_alternatives_and_an_empty_one_matches_nothing() {
        let field = serde_json::json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]});
        let label = serde_json::json!({"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]});
        let either = terms(serde_json::json!([field, label]));
        assert!(either.matches("n1", &labels(&[])) && either.matches("n2", &labels(&[("zone", "a")])));
        assert!(!either.matches("n2", &labels(&[])));
        assert_eq!(either.node_names(), None);
        assert_eq!(terms(serde_json::json!([field])).node_names(), Some(vec!["n1"]));
        assert!(!terms(serde_json::json!([{}])).matches("n1", &labels(&[])));
        assert!(!terms(serde_json::json!([])).matches("n1", &labels(&[])));
    }

    #[test]
    fn no_selector_selects_nothing_and_an_empty_one_everything() {
        assert_eq!(PodSelector::of(None), None);
        assert!(PodSelector::of(Some(&LabelSelector::default())).unwrap().matches(&labels(&[])));
    }
}
