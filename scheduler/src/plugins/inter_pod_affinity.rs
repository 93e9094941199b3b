//! Pods near others, or away from them.

use crate::cluster::Cluster;
use crate::config::args::InterPodAffinityArgs;
use crate::framework::{Candidates, Event, Filter, MAX_SCORE, Rejection, Score};
use crate::model::affinity::{PodAffinity, Term};
use crate::model::tallies::{Attitude, Domains, NO_DOMAIN, Question};
use crate::model::{NodeId, Pod};
use std::sync::Arc;

/// The plugin.
#[derive(Debug)]
pub(super) struct InterPodAffinity {
    /// How much a pod is liked where others must have it near.
    required_weight: i64,
    /// Whether only pods that like something themselves are compared.
    only_mutual: bool,
}

impl InterPodAffinity {
    pub(super) fn new(args: &InterPodAffinityArgs) -> Self {
        let only_mutual = args.ignore_preferred_terms_of_existing_pods;
        Self { required_weight: args.hard_pod_affinity_weight.into(), only_mutual }
    }

    fn weight(&self, attitude: Attitude) -> i64 {
        match attitude {
            Attitude::Forbids => 0,
            Attitude::Requires => self.required_weight,
            Attitude::Likes(weight) => weight,
        }
    }
}

const NAME: &str = "InterPodAffinity";
const NOT_NEAR: &str = "node(s) didn't match pod affinity rules";
const TOO_NEAR: &str = "node(s) didn't match pod anti-affinity rules";
const UNWANTED: &str = "node(s) didn't satisfy existing pods anti-affinity rules";

/// A number for each domain of a topology.
struct ByDomain {
    domains: Arc<Domains>,
    numbers: Vec<i64>,
}

impl ByDomain {
    /// How many pods answer the question.
    fn count(cluster: &Cluster, topology: &str, question: &Question) -> Self {
        let domains = cluster.nodes.domains(topology);
        let counts = cluster.nodes.answer(question);
        let numbers = domains.sums(&counts, cluster.nodes.live().iter().copied());
        Self { domains, numbers }
    }

    fn empty(cluster: &Cluster, topology: &str) -> Self {
        let domains = cluster.nodes.domains(topology);
        let numbers = vec![0; domains.count];
        Self { domains, numbers }
    }

    /// Adds to the number of a node's domain, if it is in one.
    fn add(&mut self, node: NodeId, number: i64) {
        let domain = self.domains.of_node[node as usize];
        if domain != NO_DOMAIN {
            self.numbers[domain as usize] += number;
        }
    }

    /// A node's number; `None` if it is in no domain.
    fn at(&self, node: NodeId) -> Option<i64> {
        match self.domains.of_node[node as usize] {
            NO_DOMAIN => None,
            domain => Some(self.numbers[domain as usize]),
        }
    }
}

impl Filter for InterPodAffinity {
    fn name(&self) -> &'static str {
        NAME
    }

    fn filter(&self, cluster: &Cluster, pod: &Pod, candidates: &mut Candidates) {
        for unwanted in unwanted(cluster, pod) {
            candidates.retain(NAME, |node| match unwanted.at(node) {
                Some(pods) if pods > 0 => Err(Rejection::resolvable(UNWANTED)),
                _ => Ok(()),
            });
        }
        let Some(affinity) = &pod.affinity else { return };
        require(cluster, pod, &affinity.required, candidates);
        for term in &affinity.required_anti {
            let question = Question { parts: vec![term.part(&cluster.namespaces)] };
            let there = ByDomain::count(cluster, &term.topology_key, &question);
            candidates.retain(NAME, |node| match there.at(node) {
                Some(pods) if pods > 0 => Err(Rejection::resolvable(TOO_NEAR)),
                _ => Ok(()),
            });
        }
    }

    fn is_woken_by(&self, event: &Event) -> bool {
        !matches!(event, Event::NodeAllocatable | Event::NodeTaints | Event::NodeUnschedulable)
    }
}

/// The domains with pods that forbid this one.
fn unwanted(cluster: &Cluster, pod: &Pod) -> Vec<ByDomain> {
    let labels = cluster.namespace_labels(&pod.namespace);
    let mut found = Vec::new();
    cluster.nodes.held(
        |held| held.attitude == Attitude::Forbids && held.term.is_about(pod, labels),
        |held, nodes| found.push((held.term.topology_key.clone(), nodes.keys().copied().collect::<Vec<_>>())),
    );
    let forbid = |(topology, nodes): (String, Vec<NodeId>)| {
        let mut forbidden = ByDomain::empty(cluster, &topology);
        for node in nodes {
            forbidden.add(node, 1);
        }
        forbidden
    };
    found.into_iter().map(forbid).collect()
}

/// All terms must find a pod that answers all of them; the first of a group needs none.
fn require(cluster: &Cluster, pod: &Pod, terms: &[Term], candidates: &mut Candidates) {
    if terms.is_empty() {
        return;
    }
    let question = Question { parts: terms.iter().map(|term| term.part(&cluster.namespaces)).collect() };
    let there: Vec<_> = terms.iter().map(|term| ByDomain::count(cluster, &term.topology_key, &question)).collect();
    let nobody_yet = there.iter().all(|by_domain| by_domain.numbers.iter().all(|pods| *pods == 0));
    let labels = cluster.namespace_labels(&pod.namespace);
    let is_first = nobody_yet && terms.iter().all(|term| term.is_about(pod, labels));
    candidates.retain(NAME, |node| {
        let near = there.iter().all(|by_domain| by_domain.at(node).is_some_and(|pods| is_first || pods > 0));
        if near { Ok(()) } else { Err(Rejection::unresolvable(NOT_NEAR)) }
    });
}

impl Score for InterPodAffinity {
    fn name(&self) -> &'static str {
        NAME
    }

    fn concerns(&self, _cluster: &Cluster, pod: &Pod) -> bool {
        !self.only_mutual || pod.affinity.as_ref().is_some_and(|affinity| !affinity.preferred.is_empty())
    }

    fn score(&self, cluster: &Cluster, pod: &Pod, nodes: &[NodeId], scores: &mut [i64]) {
        if let Some(affinity) = &pod.affinity {
            like(cluster, affinity, nodes, scores);
        }
        self.liked(cluster, pod, nodes, scores);
        let (least, most) = (scores.iter().copied().min().unwrap_or(0), scores.iter().copied().max().unwrap_or(0));
        for score in scores {
            *score = if most > least { MAX_SCORE * (*score - least) / (most - least) } else { 0 };
        }
    }
}

/// Adds what the pod likes about others.
fn like(cluster: &Cluster, affinity: &PodAffinity, nodes: &[NodeId], scores: &mut [i64]) {
    for preferred in &affinity.preferred {
        let question = Question { parts: vec![preferred.term.part(&cluster.namespaces)] };
        let there = ByDomain::count(cluster, &preferred.term.topology_key, &question);
        for (&node, score) in nodes.iter().zip(&mut *scores) {
            *score += preferred.weight * there.at(node).unwrap_or(0);
        }
    }
}

impl InterPodAffinity {
    /// Adds what others like about the pod.
    fn liked(&self, cluster: &Cluster, pod: &Pod, nodes: &[NodeId], scores: &mut [i64]) {
        let labels = cluster.namespace_labels(&pod.namespace);
        let mut found = Vec::new();
        cluster.nodes.held(
            |held| self.weight(held.attitude) != 0 && held.term.is_about(pod, labels),
            |held, nodes| {
                let weight = self.weight(held.attitude);
                let weights: Vec<_> = nodes.iter().map(|(node, pods)| (*node, pods * weight)).collect();
                found.push((held.term.topology_key.clone(), weights));
            },
        );
        for (topology, weights) in found {
            let mut by_domain = ByDomain::empty(cluster, &topology);
            for (node, weight) in weights {
                by_domain.add(node, weight);
            }
            for (&node, score) in nodes.iter().zip(&mut *scores) {
                *score += by_domain.at(node).unwrap_or(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builders::{PodBuilder, node, pod};
    use crate::plugins::testing::{cluster, rejections, scores};
    use serde_json::{Value, json};

    fn usual() -> InterPodAffinity {
        InterPodAffinity::new(&InterPodAffinityArgs::default())
    }

    fn term(app: &str) -> Value {
        json!({"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": app}}})
    }

    fn with(pod: PodBuilder, kind: &str, app: &str) -> PodBuilder {
        pod.spec("affinity", json!({kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term(app)]}}))
    }

    fn zones(pods: Vec<PodBuilder>) -> Cluster {
        let nodes = vec![
            ("a1", node().label("zone", "a").facts()),
            ("a2", node().label("zone", "a").facts()),
            ("b1", node().label("zone", "b").facts()),
        ];
        cluster(nodes, pods.into_iter().map(PodBuilder::build).collect())
    }

    #[test]
    fn affinity_needs_a_pod_in_the_domain_but_the_first_of_a_group_does_not() {
        let near = with(pod("p").label("app", "web"), "podAffinity", "db").build();
        let db = pod("db").label("app", "db").on("a1");
        assert_eq!(rejections(&usual(), &zones(vec![db]), &near), [format!("b1!: {NOT_NEAR}")]);
        assert_eq!(rejections(&usual(), &zones(vec![]), &near).len(), 3);
        let group = with(pod("p").label("app", "db"), "podAffinity", "db").build();
        assert!(rejections(&usual(), &zones(vec![]), &group).is_empty());
    }

    #[test]
    fn anti_affinity_holds_both_ways() {
        let apart = with(pod("p").label("app", "web"), "podAntiAffinity", "web").build();
        let web = pod("web").label("app", "web").on("a1");
        let rejected = rejections(&usual(), &zones(vec![web]), &apart);
        assert_eq!(rejected, [format!("a1: {TOO_NEAR}"), format!("a2: {TOO_NEAR}")]);
        let guard = with(pod("guard").label("app", "x"), "podAntiAffinity", "web").on("b1");
        let plain = pod("p").label("app", "web").build();
        assert_eq!(rejections(&usual(), &zones(vec![guard]), &plain), [format!("b1: {UNWANTED}")]);
    }

    #[test]
    fn other_namespaces_do_not_count_unless_selected() {
        let mut apart = term("web");
        let stranger = || pod("web").label("app", "web").on("a1");
        let look = |term: &Value, cluster: &Cluster| {
            let affinity = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}});
            let mut pod = pod("p").spec("affinity", affinity);
            pod = pod.label("app", "other");
            rejections(&usual(), cluster, &pod.build()).len()
        };
        let mut cluster = zones(vec![stranger()]);
        cluster.namespaces.insert("default".into(), [("team".to_owned(), "a".to_owned())].into());
        apart["namespaces"] = json!(["elsewhere"]);
        assert_eq!(look(&apart, &cluster), 0);
        apart["namespaceSelector"] = json!({"matchLabels": {"team": "a"}});
        assert_eq!(look(&apart, &cluster), 2);
    }

    #[test]
    fn preferences_of_both_sides_score() {
        let likes = |kind: &str| json!({kind: {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 10, "podAffinityTerm": term("db")}]}});
        let db = || pod("db").label("app", "db").on("b1");
        let near = pod("p").spec("affinity", likes("podAffinity")).build();
        assert_eq!(scores(&usual(), &zones(vec![db()]), &near), [0, 0, 100]);
        let away = pod("p").spec("affinity", likes("podAntiAffinity")).build();
        assert_eq!(scores(&usual(), &zones(vec![db()]), &away), [100, 100, 0]);
        let fan = pod("fan").spec("affinity", likes("podAffinity")).on("a1");
        let star = pod("p").label("app", "db").build();
        assert_eq!(scores(&usual(), &zones(vec![fan]), &star), [100, 100, 0]);
    }

    #[test]
    fn what_others_want_counts_as_configured() {
        let fan = with(pod("fan"), "podAffinity", "db").on("a1");
        let star = pod("p").label("app", "db").build();
        let cluster = zones(vec![fan]);
        let plugin = |args: Value| InterPodAffinity::new(&serde_json::from_value(args).unwrap());
        assert_eq!(scores(&usual(), &cluster, &star), [100, 100, 0]);
        assert_eq!(scores(&plugin(json!({"hardPodAffinityWeight": 0})), &cluster, &star), [0, 0, 0]);
        let mutual = plugin(json!({"ignorePreferredTermsOfExistingPods": true}));
        assert_eq!(scores(&mutual, &cluster, &star), [0, 0, 0]);
    }
}
