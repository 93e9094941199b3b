//! The end of watches when the server ends: one after the other, so that their clients do not all
//! come to the next server at once.
//!
//! Upstream: `apiserver/pkg/server/genericapiserver.go` (`ShutdownWatchTerminationGracePeriod`),
//! `apiserver/pkg/server/filters/watch_termination.go`.

use crate::inflight::{Place, Places};
use component::Supervisor;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

/// How often some watches are ended.
const TICK: Duration = Duration::from_millis(5);

/// All watches of a server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Watches {
    places: Places,
    shared: Arc<Shared>,
}

/// What all watches wait for: one thing, as they look at it with every event.
#[derive(Debug, Default)]
struct Shared {
    turn: Notify,
    /// Every watch's turn has come.
    is_over: AtomicBool,
}

/// A watch that runs.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    _place: Place,
}

impl Watches {
    /// None yet; all end at the latest when the supervisor stops.
    pub fn new(all: Supervisor) -> Self {
        let shared = Arc::<Shared>::default();
        let ending = shared.clone();
        all.clone().spawn("end of watches", async move {
            all.stopping().await;
            ending.is_over.store(true, Ordering::Release);
            ending.turn.notify_waiters();
        });
        Self { places: Places::new(0), shared }
    }

    /// Counts a new one.
    pub fn enter(&self) -> Watch {
        Watch { shared: self.shared.clone(), _place: self.places.take() }
    }

    /// Ends those that run, evenly over this time, though never slower than one a tick. Returns when
    /// none are left or the time is over.
    pub async fn end(&self, within: Duration) {
        let (end, running) = (Instant::now() + within, self.places.taken());
        let per_tick = per_tick(running, within);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.places.taken() > 0 {
            if timeout_at(end, ticks.tick()).await.is_err() {
                tracing::warn!(left = self.places.taken(), "some watches did not end within {within:?}");
                return;
            }
            (0..per_tick).for_each(|_| self.shared.turn.notify_one());
        }
        tracing::info!(watches = running, "watches have ended");
    }
}

fn per_tick(running: usize, within: Duration) -> usize {
    let ticks = (within.as_secs_f64() / TICK.as_secs_f64()).max(1.0);
    (running as f64 / ticks).ceil().max(1.0) as usize
}

impl Watch {
    /// Resolves when it is this watch's turn to end.
    pub async fn ended(&self) {
        // Who waits from here on misses no end.
        let turn = self.shared.turn.notified();
        if !self.shared.is_over.load(Ordering::Acquire) {
            turn.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watches_end_evenly() {
        let seconds = Duration::from_secs;
        for (running, within, want) in [(0, seconds(10), 1), (100, seconds(10), 1), (20_000, seconds(10), 10)] {
            assert_eq!(per_tick(running, within), want, "{running}");
        }
        assert_eq!(per_tick(50, Duration::ZERO), 50);
    }

    #[tokio::test(start_paused = true)]
    async fn all_that_run_end_one_after_the_other() {
        let (supervisor, started) = (Supervisor::new(), Instant::now());
        let watches = Watches::new(supervisor.clone());
        let (sender, mut ends) = tokio::sync::mpsc::unbounded_channel();
        for _ in 0..10 {
            let (watch, sender) = (watches.enter(), sender.clone());
            supervisor.spawn("watch", async move {
                watch.ended().await;
                // Nobody is told of a watch that outlives the test.
                let _ = sender.send(started.elapsed());
            });
        }
        tokio::task::yield_now().await;
        watches.end(Duration::from_secs(10)).await;
        let mut times = Vec::new();
        while let Ok(time) = ends.try_recv() {
            times.push(time);
        }
        assert_eq!((times.len(), watches.places.taken()), (10, 0));
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= TICK), "{times:?}");
    }

    #[tokio::test]
    async fn all_end_with_their_supervisor() {
        let supervisor = Supervisor::new();
        let watches = Watches::new(supervisor.clone());
        let early = watches.enter();
        tokio::join!(early.ended(), async { supervisor.stop() });
        watches.enter().ended().await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_end_is_not_waited_for() {
        let watches = Watches::new(Supervisor::new());
        let _stuck = watches.enter();
        let started = Instant::now();
        watches.end(Duration::from_secs(3)).await;
        assert_eq!(started.elapsed().as_secs(), 3);
    }
}
