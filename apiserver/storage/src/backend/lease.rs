//! Leases are shared by objects written within a minute, so that a storm of events does not
//! become a storm of leases.
//!
//! Upstream: `apiserver/pkg/storage/etcd3/lease_manager.go`.

use std::time::{Duration, Instant};

/// Seconds within which a lease is reused.
const REUSE: u64 = 60;
/// Objects on one lease, at most: a lease that ends deletes them all at once.
const MAX_OBJECTS: u32 = 1000;

/// The lease that the next objects may share.
#[derive(Debug, Default)]
pub(crate) struct Reuse {
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    id: i64,
    expires: Instant,
    objects: u32,
}

impl Reuse {
    /// A lease that ends no earlier than `ttl` seconds from now and not much later.
    pub(crate) fn find(&mut self, ttl: u64, now: Instant) -> Option<i64> {
        let current = self.current.as_mut()?;
        let long_enough = now + Duration::from_secs(ttl) < current.expires;
        let short_enough = now + Duration::from_secs(ttl + slack(ttl)) > current.expires;
        if !(long_enough && short_enough && current.objects < MAX_OBJECTS) {
            return None;
        }
        current.objects += 1;
        Some(current.id)
    }

    /// Seconds to ask etcd for, so that the lease can be reused.
    pub(crate) fn seconds(ttl: u64) -> u64 {
        ttl.saturating_add(slack(ttl))
    }

    /// Remembers a lease granted for `seconds`.
    pub(crate) fn keep(&mut self, id: i64, seconds: u64, now: Instant) {
        self.current = Some(Current { id, expires: now + Duration::from_secs(seconds), objects: 1 });
    }
}

/// How much longer an object may live for the sake of reuse: a minute, at most 5 %.
fn slack(ttl: u64) -> u64 {
    REUSE.min(ttl / 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_a_lease_for_a_minute() {
        let (mut leases, start) = (Reuse::default(), Instant::now());
        assert_eq!(leases.find(3600, start), None);
        assert_eq!(Reuse::seconds(3600), 3660);
        leases.keep(7, 3660, start);
        assert_eq!(leases.find(3600, start + Duration::from_secs(59)), Some(7));
        assert_eq!(leases.find(3600, start + Duration::from_secs(61)), None, "ends too early");
        assert_eq!(leases.find(60, start), None, "ends too late");
    }

    #[test]
    fn a_lease_takes_a_thousand_objects() {
        let (mut leases, now) = (Reuse::default(), Instant::now());
        leases.keep(7, 3660, now);
        let reused = (0..2000).filter(|_| leases.find(3600, now + Duration::from_secs(1)).is_some()).count();
        assert_eq!(reused, 999);
    }

    #[test]
    fn short_leases_have_little_slack() {
        assert_eq!([Reuse::seconds(10), Reuse::seconds(100), Reuse::seconds(u64::MAX)], [10, 105, u64::MAX]);
    }
}
