//! The last two points of everything, and the rates between them.
//!
//! Upstream: `pkg/storage/{node,pod}.go`.

use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

/// What was measured of a node or a container at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// When.
    pub time: Timestamp,
    /// When the container started, if it is one and that is known.
    pub start: Option<Timestamp>,
    /// Nanoseconds of a core, ever since.
    pub cpu_nanos: u64,
    /// Bytes of the working set.
    pub memory: u64,
}

/// Which container.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerKey {
    /// Namespace of its pod.
    pub namespace: String,
    /// Name of its pod.
    pub pod: String,
    /// Its own name.
    pub container: String,
}

/// What one kubelet told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The node.
    pub node: Option<(String, Point)>,
    /// Its containers.
    pub containers: Vec<(ContainerKey, Point)>,
}

/// What is used, between two points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Time of the later point.
    pub time: Timestamp,
    /// Time from the earlier one to it.
    pub window: Duration,
    /// Billionths of a core.
    pub nano_cores: u64,
    /// Bytes of the working set.
    pub memory: u64,
}

/// Containers that started longer ago than they were measured for need a second point for a rate.
const FRESH_CONTAINER: Duration = Duration::from_secs(10);

/// Two points that follow each other.
#[derive(Clone, Copy, Debug)]
struct Pair {
    earlier: Option<Point>,
    later: Point,
}

impl Pair {
    /// With one point more. One that was seen already, and one that is older, change nothing; a counter that
    /// went back, or a start after the earlier point, begin anew.
    fn with(self, next: Point) -> Self {
        if next.time <= self.later.time {
            return self;
        }
        let is_other = next.cpu_nanos < self.later.cpu_nanos || next.start.is_some_and(|start| start > self.later.time);
        Self { earlier: (!is_other).then_some(self.later).or_else(|| since_start(&next)), later: next }
    }

    fn usage(&self) -> Option<Usage> {
        let earlier = self.earlier?;
        let window = Duration::try_from(self.later.time.duration_since(earlier.time)).ok()?;
        let used = u128::from(self.later.cpu_nanos.checked_sub(earlier.cpu_nanos)?);
        let nano_cores = used.saturating_mul(1_000_000_000).checked_div(window.as_nanos())?;
        Some(Usage {
            time: self.later.time,
            window,
            nano_cores: u64::try_from(nano_cores).unwrap_or(u64::MAX),
            memory: self.later.memory,
        })
    }
}

/// A container that has just started has used nothing at its start.
fn since_start(point: &Point) -> Option<Point> {
    let start = point.start?;
    let age = Duration::try_from(point.time.duration_since(start)).ok()?;
    (age >= FRESH_CONTAINER && age < FRESH_CONTAINER * 12).then_some(Point {
        time: start,
        start: point.start,
        cpu_nanos: 0,
        memory: point.memory,
    })
}

/// What is known of all nodes and containers.
#[derive(Clone, Debug, Default)]
pub struct Store {
    nodes: HashMap<String, Pair>,
    pods: HashMap<(String, String), BTreeMap<String, Pair>>,
}

impl Store {
    /// Takes what a whole round brought. What no kubelet told of any more is forgotten.
    pub fn take(&mut self, round: Vec<Batch>) {
        let (mut nodes, mut pods) = (HashMap::new(), HashMap::<(String, String), BTreeMap<String, Pair>>::new());
        let mut seen = HashSet::new();
        for batch in round {
            if let Some((name, point)) = batch.node {
                nodes.insert(name.clone(), follow(self.nodes.get(&name), point));
            }
            for (key, point) in batch.containers {
                // Two nodes that claim the same container: the first one is believed.
                if !seen.insert(key.clone()) {
                    continue;
                }
                let pod = (key.namespace, key.pod);
                let before = self.pods.get(&pod).and_then(|containers| containers.get(&key.container));
                let pair = follow(before, point);
                pods.entry(pod).or_default().insert(key.container, pair);
            }
        }
        (self.nodes, self.pods) = (nodes, pods);
    }

    /// Whether there is something to answer.
    pub fn is_ready(&self) -> bool {
        self.nodes.values().any(|pair| pair.usage().is_some())
    }

    /// What a node uses.
    pub fn node(&self, name: &str) -> Option<Usage> {
        self.nodes.get(name)?.usage()
    }

    /// What the containers of a pod use; nothing before all of them are known.
    pub fn pod(&self, namespace: &str, name: &str) -> Option<BTreeMap<&str, Usage>> {
        let containers = self.pods.get(&(namespace.to_owned(), name.to_owned()))?;
        containers.iter().map(|(name, pair)| Some((name.as_str(), pair.usage()?))).collect()
    }
}

fn follow(before: Option<&Pair>, point: Point) -> Pair {
    match before {
        Some(pair) => pair.with(point),
        None => Pair { earlier: since_start(&point), later: point },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(seconds: i64, cpu_seconds: u64) -> Point {
        let time = Timestamp::from_second(seconds).expect("a time");
        Point { time, start: None, cpu_nanos: cpu_seconds * 1_000_000_000, memory: 7 }
    }

    fn node(point: Point) -> Vec<Batch> {
        vec![Batch { node: Some(("a".to_owned(), point)), containers: Vec::new() }]
    }

    #[test]
    fn a_rate_needs_two_points() {
        let mut store = Store::default();
        store.take(node(point(100, 10)));
        assert!(!store.is_ready() && store.node("a").is_none());
        store.take(node(point(115, 25)));
        let usage = store.node("a").expect("a rate");
        assert_eq!((usage.nano_cores, usage.window.as_secs(), usage.memory), (1_000_000_000, 15, 7));
        // The same point again: a kubelet that has not measured since.
        store.take(node(point(115, 25)));
        assert_eq!(store.node("a"), Some(usage));
        // The machine was started again.
        store.take(node(point(130, 1)));
        assert!(store.node("a").is_none());
        store.take(Vec::new());
        assert!(store.nodes.is_empty());
    }

    #[test]
    fn a_container_that_has_just_started_is_measured_from_its_start() {
        let key =
            |container: &str| ContainerKey { namespace: "n".into(), pod: "p".into(), container: container.into() };
        let started = |at: i64, start: i64| Point { start: Timestamp::from_second(start).ok(), ..point(at, 20) };
        let mut store = Store::default();
        let round = |points: &[(&str, Point)]| {
            let containers = points.iter().map(|(name, point)| (key(name), *point)).collect();
            vec![Batch { node: None, containers }]
        };
        store.take(round(&[("fresh", started(100, 80))]));
        assert_eq!(store.pod("n", "p").expect("a rate")["fresh"].nano_cores, 1_000_000_000);
        // One that runs for long needs a second look, and so does its whole pod.
        store.take(round(&[("fresh", started(120, 80)), ("old", started(120, -900))]));
        assert!(store.pod("n", "p").is_none());
        store.take(round(&[("fresh", started(140, 80)), ("old", started(140, -900))]));
        assert_eq!(store.pod("n", "p").expect("rates").len(), 2);
        assert!(store.pod("n", "q").is_none());
    }
}
