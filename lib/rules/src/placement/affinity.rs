//! Which nodes a pod asks for by their labels and names.
//!
//! Upstream: `component-helpers/scheduling/corev1/nodeaffinity`.

use crate::tree::Tree;
use apimachinery::selector::{LabelSelector, Operator, Requirement};
use apimachinery::{Map, Value};
use std::collections::BTreeMap;

/// What node affinity looks at.
pub trait NodeLabels {
    /// `metadata.name`.
    fn name(&self) -> &str;
    /// The value of a label.
    fn label(&self, key: &str) -> Option<&str>;
}

/// A node's name and labels.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// `metadata.name`.
    pub name: &'a str,
    /// `metadata.labels`.
    pub labels: &'a BTreeMap<String, String>,
}

impl NodeLabels for Node<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }
}

/// A node selector: one of the terms must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSelector {
    /// The terms; none matches nothing.
    pub terms: Vec<Term>,
}

/// A term of a node selector: all of its requirements must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Term {
    /// Labels as selected, and the name.
    All {
        /// What the labels must be.
        labels: LabelSelector,
        /// What the fields must be; `metadata.name` is the only one.
        fields: LabelSelector,
    },
    /// A term without requirements, or with one that makes no sense, matches nothing.
    Nothing,
}

/// A term that adds to a node's score.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preference {
    /// What it adds.
    pub weight: i64,
    /// What must match.
    pub term: Term,
}

/// Everything that a pod asks of a node's labels and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeRules {
    /// `spec.nodeSelector`.
    pub selector: LabelSelector,
    /// `requiredDuringSchedulingIgnoredDuringExecution`.
    pub required: Option<NodeSelector>,
    /// `preferredDuringSchedulingIgnoredDuringExecution`.
    pub preferred: Vec<Preference>,
}

/// One requirement as it stands in a term, whatever its source.
pub(crate) struct RawRequirement<'a> {
    pub(crate) key: &'a str,
    pub(crate) operator: &'a str,
    pub(crate) values: Vec<&'a str>,
}

impl NodeRules {
    /// The rules of a pod's `spec`.
    pub fn of(spec: &Value) -> Self {
        let affinity = spec.at("affinity").and_then(|a| a.at("nodeAffinity"));
        let preferred = affinity.map(|a| a.items("preferredDuringSchedulingIgnoredDuringExecution"));
        Self {
            selector: exactly(spec.object("nodeSelector")),
            required: affinity
                .and_then(|a| a.at("requiredDuringSchedulingIgnoredDuringExecution"))
                .map(NodeSelector::of),
            preferred: preferred.into_iter().flatten().filter_map(Preference::of).collect(),
        }
    }

    /// Whether the pod may run on the node.
    pub fn allow(&self, node: &impl NodeLabels) -> bool {
        self.selector.matches(|key| node.label(key)) && self.required.as_ref().is_none_or(|r| r.matches(node))
    }

    /// The weights of all preferences that the node fulfils.
    pub fn score(&self, node: &impl NodeLabels) -> i64 {
        self.preferred.iter().filter(|p| p.term.matches(node)).map(|p| p.weight).sum()
    }
}

impl NodeSelector {
    /// A `core/v1.NodeSelector`.
    pub fn of(selector: &Value) -> Self {
        Self { terms: selector.items("nodeSelectorTerms").iter().map(Term::of).collect() }
    }

    /// Whether one of the terms matches.
    pub fn matches(&self, node: &impl NodeLabels) -> bool {
        self.terms.iter().any(|term| term.matches(node))
    }
}

impl Preference {
    fn of(preference: &Value) -> Option<Self> {
        Self::new(preference.int("weight"), preference.at("preference").map_or(Term::Nothing, Term::of))
    }

    /// `None` if it can add nothing.
    pub(crate) fn new(weight: i64, term: Term) -> Option<Self> {
        (weight != 0 && term != Term::Nothing).then_some(Self { weight, term })
    }
}

impl Term {
    /// A `core/v1.NodeSelectorTerm`.
    pub fn of(term: &Value) -> Self {
        fn raw(requirement: &Value) -> RawRequirement<'_> {
            let values = requirement.texts("values").collect();
            RawRequirement { key: requirement.text("key"), operator: requirement.text("operator"), values }
        }
        let list = |key| term.items(key).iter().map(raw);
        Self::new(list("matchExpressions"), list("matchFields"))
    }

    pub(crate) fn new<'a>(
        labels: impl Iterator<Item = RawRequirement<'a>>,
        fields: impl Iterator<Item = RawRequirement<'a>>,
    ) -> Self {
        let (labels, fields) = (parse(labels), parse(fields));
        match (labels, fields) {
            (Some(labels), Some(fields)) if !labels.requirements.is_empty() || !fields.requirements.is_empty() => {
                Self::All { labels, fields }
            }
            _ => Self::Nothing,
        }
    }

    /// Whether all requirements hold.
    pub fn matches(&self, node: &impl NodeLabels) -> bool {
        let field = |key: &str| (key == "metadata.name").then_some(node.name());
        match self {
            Self::All { labels, fields } => labels.matches(|key| node.label(key)) && fields.matches(field),
            Self::Nothing => false,
        }
    }
}

/// `None` if a requirement makes no sense.
fn parse<'a>(raw: impl Iterator<Item = RawRequirement<'a>>) -> Option<LabelSelector> {
    let requirements = raw.map(requirement).collect::<Option<Vec<_>>>()?;
    Some(LabelSelector { requirements })
}

fn requirement(raw: RawRequirement<'_>) -> Option<Requirement> {
    let values = || raw.values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>();
    let number = || match raw.values[..] {
        [one] => one.parse::<i64>().ok(),
        _ => None,
    };
    let operator = match raw.operator {
        "In" if !raw.values.is_empty() => Operator::In(values()),
        "NotIn" if !raw.values.is_empty() => Operator::NotIn(values()),
        "Exists" if raw.values.is_empty() => Operator::Exists,
        "DoesNotExist" if raw.values.is_empty() => Operator::DoesNotExist,
        "Gt" => Operator::GreaterThan(number()?),
        "Lt" => Operator::LessThan(number()?),
        _ => return None,
    };
    Some(Requirement { key: raw.key.to_owned(), operator })
}

fn exactly(labels: Option<&Map>) -> LabelSelector {
    let pairs = labels.into_iter().flatten();
    pairs_selector(pairs.map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default())))
}

/// All labels must have exactly these values.
pub(crate) fn pairs_selector<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> LabelSelector {
    let requirement = |(key, value): (&str, &str)| Requirement {
        key: key.to_owned(),
        operator: Operator::In(vec![value.to_owned()]),
    };
    LabelSelector { requirements: pairs.map(requirement).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn required_terms() {
        let labels = labels(&[("zone", "a"), ("cores", "8")]);
        let node = Node { name: "n1", labels: &labels };
        let expression =
            |key: &str, operator: &str, values: &[&str]| json!({"key": key, "operator": operator, "values": values});
        for (what, terms, want) in [
            ("in", json!([{"matchExpressions": [expression("zone", "In", &["a", "b"])]}]), true),
            ("not in", json!([{"matchExpressions": [expression("zone", "NotIn", &["a"])]}]), false),
            ("absent is not in", json!([{"matchExpressions": [expression("x", "NotIn", &["a"])]}]), true),
            ("exists", json!([{"matchExpressions": [expression("zone", "Exists", &[])]}]), true),
            ("greater", json!([{"matchExpressions": [expression("cores", "Gt", &["4"])]}]), true),
            ("less", json!([{"matchExpressions": [expression("cores", "Lt", &["4"])]}]), false),
            ("no number", json!([{"matchExpressions": [expression("cores", "Gt", &["x"])]}]), false),
            ("name", json!([{"matchFields": [expression("metadata.name", "In", &["n1"])]}]), true),
            (
                "and",
                json!([{"matchFields": [expression("metadata.name", "In", &["n1"])],
                    "matchExpressions": [expression("x", "Exists", &[])]}]),
                false,
            ),
            ("or", json!([{}, {"matchExpressions": [expression("zone", "In", &["a"])]}]), true),
            ("an empty term", json!([{}]), false),
            ("no term", json!([]), false),
        ] {
            let spec = json!({"affinity": {"nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}});
            assert_eq!(NodeRules::of(&spec).allow(&node), want, "{what}");
        }
    }

    #[test]
    fn node_selectors_and_preferences() {
        let labels = labels(&[("zone", "a")]);
        let node = Node { name: "n1", labels: &labels };
        assert!(NodeRules::of(&json!({})).allow(&node));
        assert!(NodeRules::of(&json!({"nodeSelector": {"zone": "a"}})).allow(&node));
        assert!(!NodeRules::of(&json!({"nodeSelector": {"zone": "a", "x": ""}})).allow(&node));
        let term = |weight: i64, zone: &str| {
            json!({"weight": weight, "preference": {
                "matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]}})
        };
        let rules = NodeRules::of(&json!({"affinity": {"nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                term(5, "a"), term(7, "b"), term(2, "a"), {"weight": 9, "preference": {}}]}}}));
        assert_eq!(rules.score(&node), 7);
    }
}
