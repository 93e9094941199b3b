//! How broken a zone is, and how fast its nodes may be given up.

use super::health::{Ready, ready};
use crate::manager::options::NodeHealth;
use k8s_openapi::api::core::v1::Node;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// Region and zone of a node.
pub(in super::super) fn zone(node: &Node) -> String {
    let label =
        |key: &str| node.metadata.labels.as_ref().and_then(|labels| labels.get(key)).cloned().unwrap_or_default();
    let (region, zone) = (label("topology.kubernetes.io/region"), label("topology.kubernetes.io/zone"));
    format!("{region}:\u{0}:{zone}")
}

/// How a zone is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum State {
    /// Most nodes are ready.
    Normal,
    /// Many nodes are not ready: maybe the network is at fault, so slowly.
    Partial,
    /// No node is ready.
    Full,
}

/// The state of each zone, and its number of nodes.
pub(in super::super) fn states(nodes: &[Arc<Node>], options: &NodeHealth) -> HashMap<String, (State, usize)> {
    let mut counts: HashMap<String, (usize, usize)> = HashMap::new();
    for node in nodes {
        let (all, broken) = counts.entry(zone(node)).or_default();
        *all += 1;
        *broken += usize::from(ready(node) != Ready::True);
    }
    counts.into_iter().map(|(zone, (all, broken))| (zone, (state(all, broken, options), all))).collect()
}

fn state(all: usize, broken: usize, options: &NodeHealth) -> State {
    // Zones have few enough nodes for exact floats.
    let share = broken as f64 / all.max(1) as f64;
    match broken {
        broken if broken == all => State::Full,
        3.. if share >= options.unhealthy_share => State::Partial,
        _ => State::Normal,
    }
}

/// Whether no zone at all has a ready node: then it is more likely us who are cut off, and nobody
/// is given up.
pub(in super::super) fn all_broken(states: &HashMap<String, (State, usize)>) -> bool {
    !states.is_empty() && states.values().all(|(state, _)| *state == State::Full)
}

/// Nodes per second that may be given up.
pub(in super::super) fn rate(state: State, nodes: usize, options: &NodeHealth) -> f64 {
    match state {
        State::Partial if nodes > options.large_zone => options.secondary_rate,
        State::Partial => 0.0,
        State::Normal | State::Full => options.rate,
    }
}

/// A zone's allowance: one node at once, then by the rate.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Allowance {
    tokens: f64,
    at: Instant,
}

impl Allowance {
    pub(in super::super) fn new(now: Instant) -> Self {
        Self { tokens: 1.0, at: now }
    }

    /// Whether a node may be given up now; if so, it is counted.
    pub(in super::super) fn take(&mut self, rate: f64, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * rate).min(1.0);
        self.at = now;
        let may = rate > 0.0 && self.tokens >= 1.0;
        if may {
            self.tokens -= 1.0;
        }
        may
    }

    /// The node was not given up after all.
    pub(in super::super) fn refund(&mut self) {
        self.tokens = (self.tokens + 1.0).min(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::options;
    use super::*;
    use std::time::Duration;

    #[test]
    fn states_of_zones() {
        let table = [
            (2, 1, State::Normal),
            (1, 1, State::Full),
            (10, 5, State::Normal),
            (10, 6, State::Partial),
            (3, 2, State::Normal),
            (10, 10, State::Full),
        ];
        for (all, broken, expected) in table {
            assert_eq!(state(all, broken, &options()), expected, "{broken} of {all}");
        }
    }

    #[test]
    fn rates() {
        assert_eq!(rate(State::Partial, 10, &options()), 0.0);
        assert_eq!(rate(State::Partial, 51, &options()), 0.01);
        assert_eq!(rate(State::Full, 10, &options()), 0.1);
    }

    #[test]
    fn one_at_once_then_one_in_ten_seconds() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        let mut take = |after: u64| allowance.take(0.1, start + Duration::from_secs(after));
        assert_eq!([take(0), take(5), take(10), take(15)], [true, false, true, false]);
    }
}
