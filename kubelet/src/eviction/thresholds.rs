//! When pods have to go: thresholds, how long they have been crossed, and the pressures that the
//! node tells of meanwhile.

use super::{Observation, Observations, Pressure, Signal};
use crate::config::{KubeletConfiguration, Threshold as Limit};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// A limit on one signal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    pub signal: Signal,
    /// So much has to be there.
    pub limit: Limit,
    /// How long it may be crossed before pods go; `None` is a hard threshold.
    pub grace: Option<Duration>,
    /// So much more has to be there until it counts as held again.
    pub reclaim: Option<Limit>,
}

impl Threshold {
    /// What has to be there, in the signal's units.
    pub fn wanted(&self, capacity: i64) -> i64 {
        self.limit.of(capacity)
    }

    fn is_crossed(&self, seen: &Observation) -> bool {
        seen.available < self.wanted(seen.capacity)
    }

    fn is_unsettled(&self, seen: &Observation) -> bool {
        let more = self.reclaim.map_or(0, |r| r.of(seen.capacity));
        seen.available < self.wanted(seen.capacity).saturating_add(more)
    }
}

/// The thresholds of a configuration, memory's first. What cannot be read was refused before.
pub fn of(config: &KubeletConfiguration) -> Vec<Threshold> {
    let reclaim = |name: &str| config.eviction_minimum_reclaim.get(name).and_then(|r| Limit::parse(r));
    let threshold = |(name, limit): (&String, &String), grace| {
        let (signal, limit) = (Signal::parse(name)?, Limit::parse(limit)?);
        Some(Threshold { signal, limit, grace, reclaim: reclaim(name) })
    };
    let hard = config.eviction_hard.iter().filter_map(|entry| threshold(entry, None));
    let soft = config.eviction_soft.iter().filter_map(|entry| {
        let grace = config.eviction_soft_grace_period.get(entry.0)?;
        threshold(entry, Some(grace.0))
    });
    let mut all: Vec<_> = hard.chain(soft).collect();
    all.sort_by_key(|t| t.signal);
    all
}

/// What is remembered from one look to the next.
#[derive(Debug, Default)]
pub struct Memory {
    /// Thresholds that pods had to go for, until enough is there.
    met: Vec<Threshold>,
    /// Since when a threshold has been crossed: by signal and whether it is soft.
    since: BTreeMap<(Signal, bool), Instant>,
    /// When a pressure was seen last.
    seen: BTreeMap<Pressure, Instant>,
}

/// What follows from one look.
#[derive(Debug, Default, PartialEq)]
pub struct Judgement {
    /// What the node tells of.
    pub pressures: BTreeSet<Pressure>,
    /// What pods have to go for, the most urgent first.
    pub act: Vec<Threshold>,
}

impl Memory {
    /// Judges what was measured at `now`. A pressure is told of until it has been absent for
    /// `transition`.
    pub fn judge(
        &mut self,
        thresholds: &[Threshold],
        observed: &Observations,
        now: Instant,
        transition: Duration,
    ) -> Judgement {
        let crossed = |t: &&Threshold| observed.get(&t.signal).is_some_and(|seen| t.is_crossed(seen));
        let unsettled = |t: &&Threshold| observed.get(&t.signal).is_some_and(|seen| t.is_unsettled(seen));
        let mut met: Vec<Threshold> = thresholds.iter().filter(crossed).copied().collect();
        for threshold in self.met.iter().filter(unsettled) {
            if !met.contains(threshold) {
                met.push(*threshold);
            }
        }
        let key = |t: &Threshold| (t.signal, t.grace.is_some());
        self.since = met.iter().map(|t| (key(t), self.since.get(&key(t)).copied().unwrap_or(now))).collect();
        self.seen.extend(met.iter().map(|t| (t.signal.pressure(), now)));
        self.seen.retain(|_, seen| now.saturating_duration_since(*seen) < transition || *seen == now);
        let is_due = |t: &Threshold| {
            let crossed_for = self.since.get(&key(t)).map_or(Duration::ZERO, |s| now.saturating_duration_since(*s));
            t.grace.is_none_or(|grace| crossed_for >= grace)
        };
        met.retain(is_due);
        met.sort_by_key(|t| (t.signal, t.grace.is_some()));
        self.met.clone_from(&met);
        Judgement { pressures: self.seen.keys().copied().collect(), act: met }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSITION: Duration = Duration::from_secs(300);

    fn seen(available: i64) -> Observations {
        [(Signal::MemoryAvailable, Observation { available, capacity: 1000 })].into()
    }

    fn threshold(limit: &str, grace: Option<u64>, reclaim: Option<&str>) -> Threshold {
        Threshold {
            signal: Signal::MemoryAvailable,
            limit: Limit::parse(limit).unwrap(),
            grace: grace.map(Duration::from_secs),
            reclaim: reclaim.and_then(Limit::parse),
        }
    }

    #[test]
    fn a_hard_threshold_acts_at_once_and_the_pressure_lingers() {
        let (thresholds, start) = ([threshold("10%", None, None)], Instant::now());
        let mut memory = Memory::default();
        let pressed = BTreeSet::from([Pressure::Memory]);
        for (at, available, pressures, acts) in [
            (0, 100, &BTreeSet::new(), false),
            (10, 99, &pressed, true),
            (20, 500, &pressed, false),
            (309, 500, &pressed, false),
            (310, 500, &BTreeSet::new(), false),
        ] {
            let now = start + Duration::from_secs(at);
            let got = memory.judge(&thresholds, &seen(available), now, TRANSITION);
            assert_eq!((&got.pressures, !got.act.is_empty()), (pressures, acts), "{at}");
        }
    }

    #[test]
    fn a_soft_threshold_waits_for_its_grace() {
        let (thresholds, start) = ([threshold("200", Some(30), None)], Instant::now());
        let mut memory = Memory::default();
        for (at, available, acts) in
            [(0, 150, false), (29, 150, false), (30, 150, true), (40, 300, false), (50, 150, false)]
        {
            let now = start + Duration::from_secs(at);
            let got = memory.judge(&thresholds, &seen(available), now, TRANSITION);
            assert_eq!(!got.act.is_empty(), acts, "{at}");
        }
    }

    #[test]
    fn a_reclaim_has_to_be_reached() {
        let (thresholds, start) = ([threshold("100", None, Some("50"))], Instant::now());
        let mut memory = Memory::default();
        for (at, available, acts) in
            [(0, 120, false), (10, 90, true), (20, 120, true), (30, 150, false), (40, 120, false)]
        {
            let now = start + Duration::from_secs(at);
            let got = memory.judge(&thresholds, &seen(available), now, TRANSITION);
            assert_eq!(!got.act.is_empty(), acts, "{at}");
        }
    }

    #[test]
    fn without_a_measurement_nothing_happens() {
        let got =
            Memory::default().judge(&[threshold("100", None, None)], &Observations::new(), Instant::now(), TRANSITION);
        assert_eq!(got, Judgement::default());
    }

    #[test]
    fn the_configuration_s_thresholds() {
        let map = |entries: &[(&str, &str)]| entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let config = KubeletConfiguration {
            eviction_hard: map(&[("nodefs.available", "10%"), ("memory.available", "100Mi")]),
            eviction_soft: map(&[("memory.available", "200Mi")]),
            eviction_soft_grace_period: [("memory.available".to_owned(), component::GoDuration::from_secs(90))].into(),
            eviction_minimum_reclaim: map(&[("memory.available", "50Mi")]),
            ..KubeletConfiguration::default()
        };
        let got = of(&config);
        let shown: Vec<_> = got.iter().map(|t| (t.signal, t.grace.is_some(), t.reclaim.is_some())).collect();
        let memory = Signal::MemoryAvailable;
        assert_eq!(shown, [(memory, false, true), (memory, true, true), (Signal::NodeFsAvailable, false, false)]);
    }
}
