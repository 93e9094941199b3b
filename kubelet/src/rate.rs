//! How much is let in: so many at once, then so many per second. The rest is refused.
//!
//! Upstream: `client-go/util/flowcontrol/throttle.go` (`TryAccept`).

use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// The limit.
#[derive(Debug)]
pub struct Rate(Option<Bucket>);

#[derive(Debug)]
struct Bucket {
    /// Until one more may come.
    each: Duration,
    /// How long nothing has to come until the most may come at once.
    all: Duration,
    /// When all that came are paid for.
    paid: Mutex<Instant>,
}

impl Rate {
    /// `qps` a second, `burst` at once; 0 a second is no limit.
    pub fn new(qps: u32, burst: u32) -> Self {
        let bucket = (qps > 0).then(|| {
            let each = Duration::from_secs(1) / qps;
            Bucket { each, all: each.saturating_mul(burst), paid: Mutex::new(Instant::now()) }
        });
        Self(bucket)
    }

    /// Whether one more may come now.
    pub fn admits(&self) -> bool {
        self.admits_at(Instant::now())
    }

    fn admits_at(&self, now: Instant) -> bool {
        let Some(bucket) = &self.0 else { return true };
        let mut paid = bucket.paid.lock();
        let then = (*paid).max(now) + bucket.each;
        if then > now + bucket.all {
            return false;
        }
        *paid = then;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_and_then_one_after_the_other() {
        let rate = Rate::new(2, 3);
        let start = Instant::now() + Duration::from_secs(10);
        let at = |millis| rate.admits_at(start + Duration::from_millis(millis));
        assert_eq!([at(0), at(0), at(0), at(0), at(400)], [true, true, true, false, false]);
        assert_eq!([at(500), at(500), at(1500), at(1500), at(1500)], [true, false, true, true, false]);
        let busy = Rate::new(100, 10);
        let admitted = |millis| (0..20).filter(|_| busy.admits_at(start + Duration::from_millis(millis))).count();
        assert_eq!([admitted(0), admitted(55)], [10, 5]);
        assert!((0..100).all(|_| Rate::new(0, 1).admits_at(start)));
    }
}
