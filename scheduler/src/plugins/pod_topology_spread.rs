//! Pods spread over the domains of a topology.

use crate::cluster::Cluster;
use crate::framework::{Candidates, Event, Filter, MAX_SCORE, Rejection, Score};
use crate::model::affinity::{Inclusion, Spread, WhenUnsatisfiable};
use crate::model::taints::untolerated;
use crate::model::tallies::{Domains, NO_DOMAIN};
use crate::model::{NodeId, Pod};
use std::sync::Arc;

/// The plugin, without upstream's default constraints.
#[derive(Debug)]
pub(super) struct PodTopologySpread;

const NAME: &str = "PodTopologySpread";
const UNEVEN: &str = "node(s) didn't match pod topology spread constraints";
const NO_LABEL: &str = "node(s) didn't match pod topology spread constraints (missing required label)";

/// A constraint with what counts towards it.
struct Measured<'p> {
    spread: &'p Spread,
    domains: Arc<Domains>,
    /// Matching pods, by domain.
    sums: Vec<i64>,
    /// Whether any eligible node is in the domain.
    exists: Vec<bool>,
}

fn constraints(pod: &Pod, when: WhenUnsatisfiable) -> impl Iterator<Item = &Spread> {
    pod.spreads.iter().filter(move |spread| spread.when == when)
}

impl<'p> Measured<'p> {
    /// Measures all constraints of a kind; only nodes with all their labels count.
    fn all(cluster: &Cluster, pod: &'p Pod, when: WhenUnsatisfiable) -> Vec<Self> {
        let nodes = &cluster.nodes;
        let spreads: Vec<_> =
            constraints(pod, when).map(|spread| (spread, nodes.domains(&spread.topology_key))).collect();
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

    fn concerns(&self, _cluster: &Cluster, pod: &Pod) -> bool {
        constraints(pod, WhenUnsatisfiable::DoNotSchedule).next().is_some()
    }

    fn filter(&self, cluster: &Cluster, pod: &Pod, candidates: &mut Candidates) {
        let measured = Measured::all(cluster, pod, WhenUnsatisfiable::DoNotSchedule);
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

    fn is_woken_by(&self, event: Event) -> bool {
        !matches!(event, Event::NodeAllocatable | Event::NodeUnschedulable | Event::NamespaceLabels)
    }
}

impl Score for PodTopologySpread {
    fn name(&self) -> &'static str {
        NAME
    }

    fn concerns(&self, _cluster: &Cluster, pod: &Pod) -> bool {
        constraints(pod, WhenUnsatisfiable::ScheduleAnyway).next().is_some()
    }

    fn score(&self, cluster: &Cluster, pod: &Pod, nodes: &[NodeId], scores: &mut [i64]) {
        let measured = Measured::all(cluster, pod, WhenUnsatisfiable::ScheduleAnyway);
        let raw: Vec<Option<i64>> = nodes.iter().map(|&node| crowd(&measured, node)).collect();
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

/// How crowded a node's domains are; a topology of many domains counts more. `None` without the
/// labels.
fn crowd(measured: &[Measured<'_>], node: NodeId) -> Option<i64> {
    let mut crowd = 0.0;
    for m in measured {
        let domain = m.domains.of_node[node as usize];
        if domain == NO_DOMAIN {
            return None;
        }
        let weight = ((m.exists.iter().filter(|exists| **exists).count() + 2) as f64).ln();
        crowd += m.sums[domain as usize] as f64 * weight + (m.spread.max_skew - 1) as f64;
    }
    Some(crowd.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builders::{PodBuilder, node, pod};
    use crate::plugins::testing::{cluster, rejections, scores};
    use serde_json::json;

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
            assert_eq!(rejections(&PodTopologySpread, &zones(pods), &incoming), expected, "{pods:?}");
        }
    }

    #[test]
    fn too_few_domains_count_as_empty() {
        let incoming = spreading("p", "DoNotSchedule", json!({"minDomains": 3})).build();
        let rejected = rejections(&PodTopologySpread, &zones(&[("1", "a1"), ("2", "b1")]), &incoming);
        assert_eq!(rejected.len(), 4, "{rejected:?}");
    }

    #[test]
    fn nodes_that_the_selector_excludes_do_not_count() {
        let honor = spreading("p", "DoNotSchedule", json!({})).spec("nodeSelector", json!({"zone": "a"})).build();
        let rejected = rejections(&PodTopologySpread, &zones(&[("1", "a1")]), &honor);
        assert!(!rejected.iter().any(|line| line.starts_with("a1")), "{rejected:?}");
    }

    #[test]
    fn counts_follow_the_pods() {
        let mut cluster = zones(&[]);
        let incoming = spreading("p", "DoNotSchedule", json!({})).build();
        assert_eq!(rejections(&PodTopologySpread, &cluster, &incoming).len(), 1);
        let first = Arc::new(pod("1").label("app", "a").build());
        let node = cluster.nodes.number("a1").unwrap();
        cluster.nodes.put_pod(node, Arc::clone(&first));
        assert_eq!(rejections(&PodTopologySpread, &cluster, &incoming).len(), 3);
        cluster.nodes.take_pod(node, &first);
        assert_eq!(rejections(&PodTopologySpread, &cluster, &incoming).len(), 1);
    }

    #[test]
    fn emptier_domains_score_higher() {
        let incoming = spreading("p", "ScheduleAnyway", json!({})).build();
        let scores = scores(&PodTopologySpread, &zones(&[("1", "a1"), ("2", "a2"), ("3", "b1")]), &incoming);
        assert!(scores[0] == scores[1] && scores[2] > scores[0] && scores[3] == 0, "{scores:?}");
    }
}
