//! What one decision did: how long its extension points took, and what each plugin was asked. The
//! decision stays pure; [`crate::metrics`] counts it all afterwards.

use crate::config::plugins::Point;
use smallvec::SmallVec;
use std::time::{Duration, Instant};

/// How a plugin, or all plugins of an extension point, ended; upstream's `Code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// All went well.
    Success,
    /// The pod fits nowhere.
    Unschedulable,
    /// Driving pods away does not help.
    Unresolvable,
    /// Something went wrong.
    Error,
}

impl Status {
    /// As in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::Unschedulable => "Unschedulable",
            Self::Unresolvable => "UnschedulableAndUnresolvable",
            Self::Error => "Error",
        }
    }
}

/// A record.
#[derive(Debug, Default)]
pub struct Trace {
    /// Whether each plugin is timed; as upstream, that is done in one of ten attempts.
    is_timed: bool,
    /// How long extension points took.
    pub points: SmallVec<[(Point, Status, Duration); 6]>,
    /// How often plugins were asked: once about the pod, or about so many nodes.
    pub asked: Vec<(Point, &'static str, usize)>,
    /// How long plugins took.
    pub took: Vec<(Point, &'static str, Duration)>,
}

/// One of so many attempts is timed.
const TIMED: u64 = 10;

impl Trace {
    /// Of the attempt of this number.
    pub fn of_attempt(number: u64) -> Self {
        Self { is_timed: number.is_multiple_of(TIMED), ..Self::default() }
    }

    /// An extension point begins.
    pub fn begin(&self) -> Instant {
        Instant::now()
    }

    /// An extension point ends.
    pub fn end(&mut self, point: Point, status: Status, begun: Instant) {
        self.points.push((point, status, begun.elapsed()));
    }

    /// A plugin is asked about so many nodes.
    pub fn count(&mut self, point: Point, plugin: &'static str, nodes: usize) {
        self.asked.push((point, plugin, nodes));
    }

    /// Runs a plugin.
    pub fn time<T>(&mut self, point: Point, plugin: &'static str, run: impl FnOnce() -> T) -> T {
        if !self.is_timed {
            return run();
        }
        let begun = Instant::now();
        let outcome = run();
        self.took.push((point, plugin, begun.elapsed()));
        outcome
    }
}
