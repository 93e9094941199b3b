//! Pods spread over the domains of a topology; those without constraints of their own are spread
//! with the others of their Services and controller.
//!
//! Upstream: `pkg/scheduler/framework/plugins/podtopologyspread`.

use crate::cluster::Cluster;
use crate::config::args::TopologySpreadArgs;
use crate::framework::{Candidates, Event, Filter, MAX_SCORE, Rejection, Score};
use crate::model::affinity::{HOSTNAME, Inclusion, Spread, WhenUnsatisfiable};
use crate::model::taints::untolerated;
use crate::model::tallies::{Domains, NO_DOMAIN};
use crate::model::{NodeId, Pod};
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

/// The plugin.
#[derive(Debug)]
pub(super) struct PodTopologySpread {
    /// The constraints of pods that have none.
    defaults: Vec<Spread>,
    /// Whether nodes score by the default constraints that lack their labels: those of upstream
    /// (`defaultingType: System`) ask nothing of anybody.
    is_system: bool,
}

const NAME: &str = "PodTopologySpread";
const UNEVEN: &str = "node(s) didn't match pod topology spread constraints";
const NO_LABEL: &str = "node(s) didn't match pod topology spread constraints (missing required label)";

impl PodTopologySpread {
    pub(super) fn new(args: &TopologySpreadArgs) -> Self {
        let is_system = args.defaulting_type != "List";
        let defaults =
            if is_system { Spread::system_templates() } else { Spread::templates(&args.default_constraints) };
        Self { defaults, is_system }
    }

    /// A pod's constraints of one kind: its own, or the default ones if it has none at all.
    fn constraints<'p>(&self, cluster: &Cluster, pod: &'p Pod, when: WhenUnsatisfiable) -> Vec<Cow<'p, Spread>> {
        if !pod.spreads.is_empty() {
            return pod.spreads.iter().filter(|spread| spread.when == when).map(Cow::Borrowed).collect();
        }
        let mut defaults = self.defaults.iter().filter(|spread| spread.when == when).peekable();
        if defaults.peek().is_none() {
            return Vec::new();
        }
        match cluster.groups.selector(pod) {
            None => Vec::new(),
            Some(group) => defaults.map(|spread| Cow::Owned(spread.about(&group))).collect(),
        }
    }
}

/// A constraint that excludes nodes, with what counts towards it.
struct Measured<'p> {
    spread: &'p Spread,
    domains: Arc<Domains>,
    /// Matching pods, by domain.
    sums: Vec<i64>,
    /// Whether any eligible node is in the domain.
    exists: Vec<bool>,
}

impl<'p> Measured<'p> {
    /// Measures all constraints that exclude; only nodes with all their labels count.
    fn all(cluster: &Cluster, pod: &Pod, constraints: &'p [Cow<'p, Spread>]) -> Vec<Self> {
        let nodes = &cluster.nodes;
        let spreads: Vec<(&Spread, _)> =
            constraints.iter().map(|spread| (&**spread, nodes.domains(&spread.topology_key))).collect();
        let has_all = |node: NodeId| spreads.iter().all(|(_, domains)| domains.of_node[node as usize] != NO_DOMAIN);
        let measure = |(spread, domains): &(&'p Spread, Arc<Domains>)| {
            let eligible = |node: &&NodeId| has_all(**node) && is_eligible(cluster, pod, spread, **node);
            let eligible: Vec<NodeId> = nodes.live().iter().filter(eligible).copied().collect();
            let counts = nodes.answer(&spread.question(&pod.namespace));
            let mut exists = vec![false; domains.count];
            eligible.iter().for_each(|&node| exists[domains.of_node[node as usize] as usize] = true);
            let sums = domains.sums(&counts, eligible.into_iter());
            Self { spread, domains: Arc::clone(domains), sums, exists }
        };
        spreads.iter().map(measure).collect()
    }

    /// What the emptiest domain has; zero if there are too few domains.
    fn least(&self) -> i64 {
        let existing = self.sums.iter().zip(&self.exists).filter(|(_, exists)| **exists);
        let (mut least, mut domains) = (i64::MAX, 0);
        for (sum, _) in existing {
            least = least.min(*sum);
            domains += 1;
        }
        if domains < self.spread.min_domains { 0 } else { least.min(i64::MAX / 2) }
    }
}

fn is_eligible(cluster: &Cluster, pod: &Pod, spread: &Spread, node: NodeId) -> bool {
    let nodes = &cluster.nodes;
    let at = node as usize;
    (spread.node_affinity == Inclusion::Ignore || pod.node_selector.matches(nodes.name(node), &nodes.labels[at]))
        && (spread.node_taints == Inclusion::Ignore || untolerated(&nodes.taints[at], &pod.tolerations).is_none())
}

impl Filter for PodTopologySpread {
    fn name(&self) -> &'static str {
        NAME
    }

    fn concerns(&self, cluster: &Cluster, pod: &Pod) -> bool {
        !self.constraints(cluster, pod, WhenUnsatisfiable::DoNotSchedule).is_empty()
    }

    fn filter(&self, cluster: &Cluster, pod: &Pod, candidates: &mut Candidates) {
        let constraints = self.constraints(cluster, pod, WhenUnsatisfiable::DoNotSchedule);
        let measured = Measured::all(cluster, pod, &constraints);
        let limits: Vec<_> = measured
            .iter()
            .map(|m| {
                let itself = i64::from(m.spread.counts(&pod.labels));
                // A domain may have this many before the pod comes.
                (m, m.spread.max_skew + m.least() - itself)
            })
            .collect();
        candidates.retain(NAME, |node| {
            for (measured, limit) in &limits {
                match measured.domains.of_node[node as usize] {
                    NO_DOMAIN => return Err(Rejection::unresolvable(NO_LABEL)),
                    domain if measured.sums[domain as usize] > *limit => return Err(Rejection::resolvable(UNEVEN)),
                    _ => {}
                }
            }
            Ok(())
        });
    }

    fn is_woken_by(&self, event: &Event) -> bool {
        !matches!(event, Event::NodeAllocatable | Event::NodeUnschedulable | Event::NamespaceLabels)
    }
}

impl Score for PodTopologySpread {
    fn name(&self) -> &'static str {
        NAME
    }

    fn concerns(&self, cluster: &Cluster, pod: &Pod) -> bool {
        !self.constraints(cluster, pod, WhenUnsatisfiable::ScheduleAnyway).is_empty()
    }

    fn score(&self, cluster: &Cluster, pod: &Pod, nodes: &[NodeId], scores: &mut [i64]) {
        let preferences = self.constraints(cluster, pod, WhenUnsatisfiable::ScheduleAnyway);
        let preferences: Vec<_> =
            preferences.into_iter().map(|spread| (cluster.nodes.domains(&spread.topology_key), spread)).collect();
        let counts_all = self.is_system && pod.spreads.is_empty();
        let counts = |node: NodeId| {
            counts_all || preferences.iter().all(|(domains, _)| domains.of_node[node as usize] != NO_DOMAIN)
        };
        let counted: Vec<NodeId> = nodes.iter().copied().filter(|&node| counts(node)).collect();
        let weighed = preferences.iter().map(|(domains, spread)| {
            let live = cluster.nodes.live().iter().copied().filter(|&node| counts(node));
            Weighed::new(cluster, pod, spread, Arc::clone(domains), &counted, live)
        });
        let weighed: Vec<_> = weighed.collect();
        let crowd = |node: NodeId| weighed.iter().map(|weighed| weighed.crowd(node)).sum::<f64>().round() as i64;
        let raw: Vec<Option<i64>> = nodes.iter().map(|&node| counts(node).then(|| crowd(node))).collect();
        let known = || raw.iter().flatten().copied();
        let (least, most) = (known().min().unwrap_or(0), known().max().unwrap_or(0));
        for (raw, score) in raw.iter().zip(scores) {
            *score = match raw {
                None => 0,
                Some(_) if most == 0 => MAX_SCORE,
                Some(raw) => MAX_SCORE * (most + least - raw) / most,
            };
        }
    }
}

/// A constraint that scores, with what counts towards it.
struct Weighed {
    skew: f64,
    /// A topology of many domains counts more.
    weight: f64,
    domains: Arc<Domains>,
    counts: Counts,
}

/// Matching pods.
enum Counts {
    /// Where every node is a domain of its own.
    ByNode(Arc<Vec<i64>>),
    ByDomain(Vec<i64>),
}

impl Weighed {
    /// `candidates` are compared; the pods of `live` nodes count.
    fn new(
        cluster: &Cluster,
        pod: &Pod,
        spread: &Spread,
        domains: Arc<Domains>,
        candidates: &[NodeId],
        live: impl Iterator<Item = NodeId>,
    ) -> Self {
        let by_node = cluster.nodes.answer(&spread.question(&pod.namespace));
        let (size, counts) = if spread.topology_key == HOSTNAME {
            (candidates.len(), Counts::ByNode(by_node))
        } else {
            let size = candidates.iter().map(|&node| domains.of_node[node as usize]).collect::<HashSet<_>>().len();
            let eligible = live.filter(|&node| is_eligible(cluster, pod, spread, node));
            (size, Counts::ByDomain(domains.sums(&by_node, eligible)))
        };
        Self { skew: (spread.max_skew - 1) as f64, weight: ((size + 2) as f64).ln(), domains, counts }
    }

    /// How crowded a node's domain is.
    fn crowd(&self, node: NodeId) -> f64 {
        let domain = self.domains.of_node[node as usize];
        if domain == NO_DOMAIN {
            return 0.0;
        }
        let count = match &self.counts {
            Counts::ByNode(counts) => counts.get(node as usize).copied().unwrap_or(0),
            Counts::ByDomain(sums) => sums[domain as usize],
        };
        count as f64 * self.weight + self.skew
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builders::{PodBuilder, node, pod};
    use crate::model::node::NodeFacts;
    use crate::plugins::testing::{cluster, rejections, scores};
    use serde_json::json;

    fn system() -> PodTopologySpread {
        PodTopologySpread::new(&TopologySpreadArgs::default())
    }

    fn spreading(name: &str, when: &str, extra: serde_json::Value) -> PodBuilder {
        let mut constraint = json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": when,
            "labelSelector": {"matchLabels": {"app": "a"}}});
        constraint.as_object_mut().unwrap().extend(extra.as_object().cloned().unwrap_or_default());
        pod(name).label("app", "a").spec("topologySpreadConstraints", json!([constraint]))
    }

    fn zones(pods: &[(&str, &str)]) -> Cluster {
        let nodes = vec![
            ("a1", node().label("zone", "a").facts()),
            ("a2", node().label("zone", "a").facts()),
            ("b1", node().label("zone", "b").facts()),
            ("x", node().facts()),
        ];
        cluster(nodes, pods.iter().map(|(name, on)| pod(name).label("app", "a").on(on).build()).collect())
    }

    #[test]
    fn a_domain_may_not_be_too_far_ahead() {
        let incoming = spreading("p", "DoNotSchedule", json!({})).build();
        let no_label = format!("x!: {NO_LABEL}");
        let table: [(&[(&str, &str)], Vec<String>); 3] = [
            (&[], vec![no_label.clone()]),
            (&[("1", "a1")], vec![format!("a1: {UNEVEN}"), format!("a2: {UNEVEN}"), no_label.clone()]),
            (&[("1", "a1"), ("2", "b1")], vec![no_label]),
        ];
        for (pods, expected) in table {
            assert_eq!(rejections(&system(), &zones(pods), &incoming), expected, "{pods:?}");
        }
    }

    #[test]
    fn too_few_domains_count_as_empty() {
        let incoming = spreading("p", "DoNotSchedule", json!({"minDomains": 3})).build();
        let rejected = rejections(&system(), &zones(&[("1", "a1"), ("2", "b1")]), &incoming);
        assert_eq!(rejected.len(), 4, "{rejected:?}");
    }

    #[test]
    fn nodes_that_the_selector_excludes_do_not_count() {
        let honor = spreading("p", "DoNotSchedule", json!({})).spec("nodeSelector", json!({"zone": "a"})).build();
        let rejected = rejections(&system(), &zones(&[("1", "a1")]), &honor);
        assert!(!rejected.iter().any(|line| line.starts_with("a1")), "{rejected:?}");
    }

    #[test]
    fn counts_follow_the_pods() {
        let mut cluster = zones(&[]);
        let incoming = spreading("p", "DoNotSchedule", json!({})).build();
        assert_eq!(rejections(&system(), &cluster, &incoming).len(), 1);
        let first = Arc::new(pod("1").label("app", "a").build());
        let node = cluster.nodes.number("a1").unwrap();
        cluster.nodes.put_pod(node, Arc::clone(&first));
        assert_eq!(rejections(&system(), &cluster, &incoming).len(), 3);
        cluster.nodes.take_pod(node, &first);
        assert_eq!(rejections(&system(), &cluster, &incoming).len(), 1);
    }

    #[test]
    fn emptier_domains_score_higher() {
        let incoming = spreading("p", "ScheduleAnyway", json!({})).build();
        let scores = scores(&system(), &zones(&[("1", "a1"), ("2", "a2"), ("3", "b1")]), &incoming);
        assert!(scores[0] == scores[1] && scores[2] > scores[0] && scores[3] == 0, "{scores:?}");
    }

    fn grouped(nodes: Vec<(&str, NodeFacts)>, pods: &[(&str, &str)]) -> Cluster {
        let pods = pods.iter().map(|(name, on)| pod(name).label("app", "a").on(on).build());
        let mut cluster = cluster(nodes, pods.collect());
        let selector = [("app".to_owned(), "a".to_owned())].into_iter().collect();
        cluster.groups.set_service("default", "service", Some(selector));
        cluster
    }

    #[test]
    fn pods_of_a_group_spread_without_being_asked() {
        let host = |name: &str| node().label(HOSTNAME, name).facts();
        let cluster = grouped(vec![("n1", host("n1")), ("n2", host("n2"))], &[("1", "n1")]);
        let member = pod("p").label("app", "a");
        let favoured = scores(&system(), &cluster, &member.clone().build());
        assert!(favoured[1] == MAX_SCORE && favoured[0] < favoured[1], "{favoured:?}");
        assert_eq!(scores(&system(), &cluster, &pod("alone").build()), [0, 0]);
        // Whoever has constraints of any kind has no others.
        let own = member.spec(
            "topologySpreadConstraints",
            json!([{"maxSkew": 1, "topologyKey": "zone",
            "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "a"}}}]),
        );
        assert!(!Score::concerns(&system(), &cluster, &own.build()));
    }

    #[test]
    fn nodes_without_the_labels_of_defaults_are_as_empty_as_can_be() {
        let cluster = grouped(
            vec![("named", node().label(HOSTNAME, "named").facts()), ("bare", node().facts())],
            &[("1", "bare"), ("2", "bare")],
        );
        assert_eq!(scores(&system(), &cluster, &pod("p").label("app", "a").build()), [0, MAX_SCORE]);
    }

    #[test]
    fn configured_defaults_take_the_place_of_upstreams() {
        let list = json!({"defaultingType": "List", "defaultConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]});
        let plugin = PodTopologySpread::new(&serde_json::from_value(list).unwrap());
        let nodes = vec![("a", node().label("zone", "a").facts()), ("b", node().label("zone", "b").facts())];
        let cluster = grouped(nodes, &[("1", "a")]);
        let member = pod("p").label("app", "a").build();
        assert_eq!(rejections(&plugin, &cluster, &member), [format!("a: {UNEVEN}")]);
        assert!(!Score::concerns(&plugin, &cluster, &member));
        assert!(rejections(&plugin, &cluster, &pod("alone").build()).is_empty());
    }
}
