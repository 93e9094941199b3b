//! How many pulls begin: so many at once, then so many per second. The others fail and are tried again.
//!
//! Upstream: `pkg/kubelet/images/helpers.go` (`throttleImagePulling`), `client-go/util/flowcontrol/throttle.go`.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// The limit.
#[derive(Debug)]
pub struct PullRate(Option<Bucket>);

#[derive(Debug)]
struct Bucket {
    /// Until one more may begin.
    each: Duration,
    /// How long nothing has to begin until the most may begin at once.
    all: Duration,
    /// When all that have begun are paid for.
    paid: Mutex<Instant>,
}

impl PullRate {
    /// `qps` pulls a second, `burst` at once; 0 a second is no limit.
    pub fn new(qps: u32, burst: u32) -> Self {
        let bucket = (qps > 0).then(|| {
            let each = Duration::from_secs(1) / qps;
            Bucket { each, all: each.saturating_mul(burst), paid: Mutex::new(Instant::now()) }
        });
        Self(bucket)
    }

    /// Whether another pull may begin now.
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
        let rate = PullRate::new(2, 3);
        let start = Instant::now() + Duration::from_secs(10);
        let at = |millis| rate.admits_at(start + Duration::from_millis(millis));
        assert_eq!([at(0), at(0), at(0), at(0), at(400)], [true, true, true, false, false]);
        assert_eq!([at(500), at(500), at(1500), at(1500), at(1500)], [true, false, true, true, false]);
        assert!((0..100).all(|_| PullRate::new(0, 1).admits_at(start)));
    }
}
