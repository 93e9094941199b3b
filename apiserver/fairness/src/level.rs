//! A priority level at work: its queues behind a lock, and what is counted.

use crate::config::{LevelKind, LimitResponse, PriorityLevel};
use crate::queues::{Arrival, Load, Place, QueueSet, Refusal};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A level at work. Outlives its object for as long as requests of it run.
#[derive(Debug)]
pub(crate) struct Level {
    /// Never changes.
    pub(crate) name: String,
    exempt: AtomicExempt,
    queues: Mutex<QueueSet<oneshot::Sender<()>>>,
    /// Demand of the last periods, smoothed; as the bits of an `f64`.
    demand: AtomicU64,
}

/// How many exempt requests run, if the level is exempt.
#[derive(Debug)]
struct AtomicExempt {
    is_exempt: std::sync::atomic::AtomicBool,
    running: AtomicU64,
}

/// Seats that a request has; given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    level: Arc<Level>,
    /// `None` for exempt requests.
    seats: Option<u32>,
    queue: Option<usize>,
    since: Instant,
}

/// What a demand of the past counts for after one period: upstream's decay.
const DECAY: f64 = 0.977;

impl Level {
    pub(crate) fn new(config: &PriorityLevel) -> Self {
        let level = Self {
            name: config.name.clone(),
            exempt: AtomicExempt { is_exempt: Default::default(), running: Default::default() },
            queues: Mutex::new(QueueSet::new(LimitResponse::Reject, 0)),
            demand: AtomicU64::new(0),
        };
        level.configure(config);
        level
    }

    pub(crate) fn configure(&self, config: &PriorityLevel) {
        self.exempt.is_exempt.store(config.kind == LevelKind::Exempt, Ordering::Relaxed);
        if let LevelKind::Limited { response, .. } = config.kind {
            self.queues.lock().reshape(response);
        }
    }

    /// Gives a request its seats, now or within `patience`.
    pub(crate) async fn enter(self: &Arc<Self>, flow: u64, seats: u32, patience: Duration) -> Result<Seat, Refusal> {
        if self.exempt.is_exempt.load(Ordering::Relaxed) {
            self.exempt.running.fetch_add(1, Ordering::Relaxed);
            return Ok(self.seat(None, None));
        }
        let mut turn = None;
        let arrival = self.queues.lock().arrive(flow, seats, || {
            let (sender, receiver) = oneshot::channel();
            turn = Some(receiver);
            sender
        });
        match (arrival, turn) {
            (Arrival::Runs, _) => Ok(self.seat(Some(seats), None)),
            (Arrival::Refused(refusal), _) => Err(refusal),
            (Arrival::Waits(place), Some(turn)) => self.wait(place, turn, seats, patience).await,
            // Not reached: whoever waits has a turn.
            (Arrival::Waits(_), None) => Err(Refusal::QueueFull),
        }
    }

    async fn wait(
        self: &Arc<Self>,
        place: Place,
        turn: oneshot::Receiver<()>,
        seats: u32,
        patience: Duration,
    ) -> Result<Seat, Refusal> {
        let mut waiter = Waiter { level: self, place, seats, has_turn: false };
        match tokio::time::timeout(patience, turn).await {
            Ok(Ok(())) => {
                waiter.has_turn = true;
                Ok(self.seat(Some(seats), Some(place.queue)))
            }
            _ => Err(Refusal::TimeOut),
        }
    }

    fn seat(self: &Arc<Self>, seats: Option<u32>, queue: Option<usize>) -> Seat {
        Seat { level: self.clone(), seats, queue, since: Instant::now() }
    }

    fn leave(&self, queue: Option<usize>, seats: u32, took: Duration) {
        let mut queues = self.queues.lock();
        queues.leave(queue, seats, took);
        self.wake(&mut queues);
    }

    fn wake(&self, queues: &mut QueueSet<oneshot::Sender<()>>) {
        while let Some(turn) = queues.next() {
            // Whoever has gone in this moment gives the seats back itself.
            let _ = turn.send(());
        }
    }

    /// Changes the number of seats.
    pub(crate) fn set_limit(&self, limit: u32) {
        let mut queues = self.queues.lock();
        queues.set_limit(limit);
        self.wake(&mut queues);
    }

    /// Ends a period: the seats that are wanted, smoothed over the past.
    pub(crate) fn demand(&self) -> f64 {
        let peak = f64::from(self.queues.lock().take_peak());
        let before = f64::from_bits(self.demand.load(Ordering::Relaxed));
        let demand = peak.max(DECAY * before + (1.0 - DECAY) * peak);
        self.demand.store(demand.to_bits(), Ordering::Relaxed);
        demand
    }

    /// The numbers of the moment.
    pub(crate) fn load(&self) -> Load {
        let exempt = self.exempt.running.load(Ordering::Relaxed);
        let load = self.queues.lock().load();
        let running = load.running + usize::try_from(exempt).unwrap_or(usize::MAX);
        Load { running, seats: load.seats.saturating_add(u32::try_from(exempt).unwrap_or(u32::MAX)), ..load }
    }

    /// Waiting and running requests of each queue, and its virtual time.
    pub(crate) fn queues(&self) -> Vec<(usize, usize, f64)> {
        self.queues.lock().each().collect()
    }
}

/// A request that waits. If it goes away, its place, or the seats that it was just given, are free.
struct Waiter<'a> {
    level: &'a Level,
    place: Place,
    seats: u32,
    has_turn: bool,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if self.has_turn {
            return;
        }
        let waited = self.level.queues.lock().give_up(self.place);
        if !waited {
            self.level.leave(Some(self.place.queue), self.seats, Duration::ZERO);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        match self.seats {
            None => drop(self.level.exempt.running.fetch_sub(1, Ordering::Relaxed)),
            Some(seats) => self.level.leave(self.queue, seats, self.since.elapsed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn level(limit: u32) -> Arc<Level> {
        let response = LimitResponse::Queue { queues: 4, hand_size: 1, length: 10 };
        let level = Level::new(&PriorityLevel {
            name: "l".into(),
            uid: String::new(),
            shares: 1,
            lendable: 0,
            kind: LevelKind::Limited { borrowing: None, response },
        });
        level.set_limit(limit);
        Arc::new(level)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn seats_pass_from_one_to_the_next() {
        let level = level(1);
        let first = level.enter(1, 1, LONG).await.expect("a seat");
        let mut second = Box::pin(level.enter(1, 1, LONG));
        let mut gone = Box::pin(level.enter(1, 1, LONG));
        assert!(second.as_mut().now_or_never().is_none() && gone.as_mut().now_or_never().is_none());
        assert_eq!(level.load().waiting, 2);
        drop(gone);
        assert_eq!(level.load().waiting, 1);
        drop(first);
        let second = second.await.expect("a seat");
        drop(second);
        assert_eq!((level.load().running, level.load().seats), (0, 0));
    }

    #[tokio::test]
    async fn who_goes_with_its_turn_gives_it_back() {
        let level = level(1);
        let first = level.enter(1, 1, LONG).await.expect("a seat");
        let mut second = Box::pin(level.enter(1, 1, LONG));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        // Its turn has come, but it has not noticed.
        drop(second);
        assert_eq!(level.load().seats, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends() {
        let level = level(1);
        let _first = level.enter(1, 1, LONG).await.expect("a seat");
        let refused = level.enter(1, 1, Duration::from_secs(1)).await;
        assert_eq!(refused.expect_err("too long"), Refusal::TimeOut);
        assert_eq!(level.load().waiting, 0);
    }
}
