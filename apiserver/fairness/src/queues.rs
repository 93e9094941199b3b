//! The seats and queues of one priority level: who may go, who waits, who is next. Pure: waiting and
//! waking are the caller's.
//!
//! Flows are dealt onto queues by shuffle sharding; among queues, the one that has had the least
//! service goes first (self-clocked fair queuing in seat-seconds).
//!
//! Upstream: `apiserver/pkg/util/flowcontrol/fairqueuing/queueset`, `.../util/shufflesharding`.

use crate::config::LimitResponse;
use std::collections::VecDeque;
use std::time::Duration;

/// Seat-seconds that a request is charged when it starts; put right when it ends.
const ESTIMATE: f64 = 0.003;

/// Why a request is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The level is full and has no queues.
    ConcurrencyLimit,
    /// The request's queue is full.
    QueueFull,
    /// It waited too long.
    TimeOut,
}

impl Refusal {
    /// As metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::ConcurrencyLimit => "concurrency-limit",
            Refusal::QueueFull => "queue-full",
            Refusal::TimeOut => "time-out",
        }
    }
}

/// What becomes of a request that arrives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It has its seats.
    Runs,
    /// It waits in this queue; its waker has been kept.
    Waits(Place),
    Refused(Refusal),
}

/// A place in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) queue: usize,
    pub(crate) id: u64,
}

#[derive(Debug)]
struct Waiting<W> {
    id: u64,
    seats: u32,
    waker: W,
}

#[derive(Debug)]
struct Queue<W> {
    waiting: VecDeque<Waiting<W>>,
    running: usize,
    /// Service that it has had, on the clock of [`QueueSet::clock`].
    served: f64,
}

impl<W> Default for Queue<W> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), running: 0, served: 0.0 }
    }
}

/// The seats and queues of a level.
#[derive(Debug)]
pub(crate) struct QueueSet<W> {
    response: LimitResponse,
    limit: u32,
    taken: u32,
    running: usize,
    /// Only grows: what waits in a queue that is no longer dealt to is still served.
    queues: Vec<Queue<W>>,
    waiting: usize,
    wanted: u32,
    clock: f64,
    next_id: u64,
    peak: u32,
}

/// Numbers of a level at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) limit: u32,
    pub(crate) seats: u32,
    pub(crate) running: usize,
    pub(crate) waiting: usize,
    pub(crate) wanted: u32,
    pub(crate) active_queues: usize,
}

impl<W> QueueSet<W> {
    pub(crate) fn new(response: LimitResponse, limit: u32) -> Self {
        let mut set = Self {
            response,
            limit,
            taken: 0,
            running: 0,
            queues: Vec::new(),
            waiting: 0,
            wanted: 0,
            clock: 0.0,
            next_id: 0,
            peak: 0,
        };
        set.reshape(response);
        set
    }

    /// Takes over other queues for what arrives from now on.
    pub(crate) fn reshape(&mut self, response: LimitResponse) {
        self.response = response;
        if let LimitResponse::Queue { queues, .. } = response
            && self.queues.len() < queues
        {
            self.queues.resize_with(queues, Queue::default);
        }
    }

    /// A request of a flow (by its hash) that needs this many seats.
    pub(crate) fn arrive(&mut self, flow: u64, seats: u32, waker: impl FnOnce() -> W) -> Arrival {
        if self.waiting == 0 && self.fits(seats) {
            self.take(seats);
            return Arrival::Runs;
        }
        let LimitResponse::Queue { queues, hand_size, length } = self.response else {
            self.peak = self.peak.max(self.taken.saturating_add(seats));
            return Arrival::Refused(Refusal::ConcurrencyLimit);
        };
        let at = self.shortest(deal(flow, queues, hand_size));
        let queue = &mut self.queues[at];
        if queue.waiting.len() >= length {
            return Arrival::Refused(Refusal::QueueFull);
        }
        if queue.waiting.is_empty() && queue.running == 0 {
            // Having been idle saves up nothing.
            queue.served = queue.served.max(self.clock);
        }
        self.next_id += 1;
        queue.waiting.push_back(Waiting { id: self.next_id, seats, waker: waker() });
        self.waiting += 1;
        self.wanted += seats;
        self.peak = self.peak.max(self.taken.saturating_add(self.wanted));
        Arrival::Waits(Place { queue: at, id: self.next_id })
    }

    /// A request that ran has ended; `queue` is where it had waited.
    pub(crate) fn leave(&mut self, queue: Option<usize>, seats: u32, took: Duration) {
        self.taken = self.taken.saturating_sub(seats);
        self.running = self.running.saturating_sub(1);
        if let Some(queue) = queue.and_then(|at| self.queues.get_mut(at)) {
            queue.running = queue.running.saturating_sub(1);
            queue.served += f64::from(seats) * (took.as_secs_f64() - ESTIMATE);
        }
    }

    /// Whoever may go now, one at a time.
    pub(crate) fn next(&mut self) -> Option<W> {
        if self.waiting == 0 {
            return None;
        }
        let heads = self.queues.iter().enumerate().filter(|(_, q)| !q.waiting.is_empty());
        let (at, _) = heads.min_by(|(_, a), (_, b)| a.served.total_cmp(&b.served))?;
        let seats = self.queues[at].waiting.front()?.seats;
        if !self.fits(seats) {
            return None;
        }
        let queue = &mut self.queues[at];
        let waiting = queue.waiting.pop_front()?;
        self.clock = self.clock.max(queue.served);
        queue.served += f64::from(seats) * ESTIMATE;
        queue.running += 1;
        self.waiting -= 1;
        self.wanted -= seats;
        self.take(seats);
        Some(waiting.waker)
    }

    /// A request no longer waits; `false` if it is not there any more, because it may go.
    pub(crate) fn give_up(&mut self, place: Place) -> bool {
        let Some(queue) = self.queues.get_mut(place.queue) else { return false };
        let Some(at) = queue.waiting.iter().position(|w| w.id == place.id) else { return false };
        if let Some(waiting) = queue.waiting.remove(at) {
            self.waiting -= 1;
            self.wanted -= waiting.seats;
        }
        true
    }

    pub(crate) fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// The most seats that were wanted at a time since the last call.
    pub(crate) fn take_peak(&mut self) -> u32 {
        std::mem::replace(&mut self.peak, self.taken.saturating_add(self.wanted))
    }

    pub(crate) fn load(&self) -> Load {
        Load {
            limit: self.limit,
            seats: self.taken,
            running: self.running,
            waiting: self.waiting,
            wanted: self.wanted,
            active_queues: self.queues.iter().filter(|q| !q.waiting.is_empty() || q.running > 0).count(),
        }
    }

    /// Waiting and running requests of each queue, and the service it has had.
    pub(crate) fn each(&self) -> impl Iterator<Item = (usize, usize, f64)> {
        self.queues.iter().map(|q| (q.waiting.len(), q.running, q.served))
    }

    fn take(&mut self, seats: u32) {
        self.taken += seats;
        self.running += 1;
        self.peak = self.peak.max(self.taken.saturating_add(self.wanted));
    }

    /// A request that is wider than the level gets all of it.
    fn fits(&self, seats: u32) -> bool {
        self.taken.saturating_add(seats) <= self.limit || self.taken == 0
    }

    fn shortest(&self, hand: Vec<usize>) -> usize {
        let length = |at: &usize| {
            let queue = &self.queues[*at];
            (queue.waiting.iter().map(|w| w.seats).sum::<u32>(), queue.running)
        };
        hand.into_iter().min_by_key(length).unwrap_or_default()
    }
}

/// A hand of different queues, the same for the same hash.
fn deal(mut hash: u64, queues: usize, hand_size: usize) -> Vec<usize> {
    let mut hand: Vec<usize> = Vec::with_capacity(hand_size.min(queues));
    for left in (1..=queues).rev().take(hand_size) {
        let left = left as u64;
        let mut card = (hash % left) as usize;
        hash /= left;
        // The card counts among those that are left.
        let mut taken = hand.clone();
        taken.sort_unstable();
        card = taken.iter().fold(card, |card, t| if *t <= card { card + 1 } else { card });
        hand.push(card);
    }
    hand
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: LimitResponse = LimitResponse::Queue { queues: 8, hand_size: 2, length: 3 };

    fn set(response: LimitResponse, limit: u32) -> QueueSet<&'static str> {
        QueueSet::new(response, limit)
    }

    #[test]
    fn hands_are_different_cards() {
        for hash in [0, 1, 12345, u64::MAX] {
            let mut hand = deal(hash, 8, 6);
            assert_eq!(hand, deal(hash, 8, 6));
            hand.sort_unstable();
            hand.dedup();
            assert_eq!(hand.len(), 6);
            assert!(hand.iter().all(|c| *c < 8));
        }
        assert_eq!(deal(7, 2, 6).len(), 2);
    }

    #[test]
    fn full_levels_refuse_or_queue() {
        let mut reject = set(LimitResponse::Reject, 1);
        assert_eq!(reject.arrive(0, 1, || "a"), Arrival::Runs);
        assert_eq!(reject.arrive(0, 1, || "b"), Arrival::Refused(Refusal::ConcurrencyLimit));
        let mut queue = set(LimitResponse::Queue { queues: 1, hand_size: 1, length: 2 }, 1);
        assert_eq!(queue.arrive(0, 1, || "a"), Arrival::Runs);
        assert!(matches!(queue.arrive(0, 1, || "b"), Arrival::Waits(_)));
        let Arrival::Waits(place) = queue.arrive(0, 1, || "c") else { panic!("must wait") };
        assert_eq!(queue.arrive(0, 1, || "d"), Arrival::Refused(Refusal::QueueFull));
        assert_eq!(queue.next(), None);
        queue.leave(None, 1, Duration::ZERO);
        assert_eq!(queue.next(), Some("b"));
        assert!(queue.give_up(place) && !queue.give_up(place));
        assert_eq!(queue.load(), Load { limit: 1, seats: 1, running: 1, active_queues: 1, ..Load::default() });
    }

    #[test]
    fn wide_requests_get_the_whole_level() {
        let mut queues = set(QUEUE, 3);
        assert_eq!(queues.arrive(0, 10, || "wide"), Arrival::Runs);
        assert!(matches!(queues.arrive(0, 1, || "small"), Arrival::Waits(_)));
        queues.leave(None, 10, Duration::ZERO);
        assert_eq!(queues.next(), Some("small"));
        assert_eq!(queues.take_peak(), 11);
        assert_eq!(queues.take_peak(), 1);
    }

    /// A flow that floods its queues does not keep another one waiting for its whole backlog.
    #[test]
    fn flows_take_turns() {
        let response = LimitResponse::Queue { queues: 64, hand_size: 1, length: 100 };
        let mut queues = set(response, 1);
        queues.arrive(0, 1, || "first");
        for _ in 0..50 {
            queues.arrive(1, 1, || "elephant");
        }
        queues.arrive(2, 1, || "mouse");
        let mut order = Vec::new();
        let mut from = None;
        for _ in 0..10 {
            queues.leave(from, 1, Duration::from_millis(3));
            let who = queues.next().expect("somebody waits");
            from = Some(if who == "mouse" { 2 } else { 1 });
            order.push(who);
        }
        assert!(order.iter().position(|w| *w == "mouse").expect("served") <= 1, "{order:?}");
    }
}
