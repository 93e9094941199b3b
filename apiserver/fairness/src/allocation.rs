//! How many seats each priority level has: its share, and what others lend it.
//!
//! Upstream: `apiserver/pkg/util/flowcontrol/{apf_controller,conc_alloc}.go`.

use crate::config::{LevelKind, PriorityLevel};

/// The seats of one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seats {
    /// By its shares.
    pub(crate) nominal: u32,
    /// What is left when all that may be lent is lent.
    pub(crate) min: u32,
    /// With all that it may borrow.
    pub(crate) max: u32,
}

/// Shares out `total` seats.
pub(crate) fn share_out(levels: &[&PriorityLevel], total: u32) -> Vec<Seats> {
    let sum: u64 = levels.iter().map(|l| u64::from(l.shares)).sum();
    levels.iter().map(|level| seats(level, total, sum.max(1))).collect()
}

fn seats(level: &PriorityLevel, total: u32, sum: u64) -> Seats {
    let nominal = narrow((u64::from(total) * u64::from(level.shares)).div_ceil(sum));
    let percent = |percent: u32| narrow((u64::from(nominal) * u64::from(percent) + 50) / 100);
    let min = nominal - percent(level.lendable).min(nominal);
    let max = match &level.kind {
        LevelKind::Limited { borrowing: Some(limit), .. } => nominal.saturating_add(percent(*limit)),
        LevelKind::Limited { borrowing: None, .. } | LevelKind::Exempt => nominal.max(total),
    };
    Seats { nominal, min, max }
}

fn narrow(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The limits of levels that want this much, so that they make up `total`: every level gets the
/// same proportion of what it wants, but no less than its minimum and no more than its maximum.
pub(crate) fn adjust(levels: &[(Seats, f64)], total: u32) -> Vec<u32> {
    let at = |proportion: f64| {
        levels.iter().map(move |(seats, demand)| {
            (demand.max(1.0) * proportion).clamp(f64::from(seats.min), f64::from(seats.max.max(seats.min)))
        })
    };
    let (mut low, mut high) = (0.0, f64::from(total).max(1.0));
    // The sum grows with the proportion.
    for _ in 0..64 {
        let middle = (low + high) / 2.0;
        match at(middle).sum::<f64>() > f64::from(total) {
            true => high = middle,
            false => low = middle,
        }
    }
    at(low).map(|seats| (seats.round() as u32).max(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LimitResponse;

    fn level(shares: u32, lendable: u32, borrowing: Option<u32>) -> PriorityLevel {
        let kind = LevelKind::Limited { borrowing, response: LimitResponse::Reject };
        PriorityLevel { name: String::new(), uid: String::new(), shares, lendable, kind }
    }

    #[test]
    fn upstreams_default_levels() {
        let levels: Vec<PriorityLevel> =
            [(30, 33), (40, 25), (10, 0), (40, 50), (100, 90), (20, 50), (5, 0)].map(|(s, l)| level(s, l, None)).into();
        let seats = share_out(&levels.iter().collect::<Vec<_>>(), 600);
        let nominal: Vec<u32> = seats.iter().map(|s| s.nominal).collect();
        assert_eq!(nominal, [74, 98, 25, 98, 245, 49, 13]);
        assert_eq!((seats[0].min, seats[4].min, seats[2].min), (50, 24, 25));
        assert!(seats.iter().all(|s| s.max == 600));
        assert_eq!(share_out(&[&level(10, 0, Some(50))], 100)[0], Seats { nominal: 100, min: 100, max: 150 });
    }

    #[test]
    fn seats_go_where_they_are_wanted() {
        let seats = |min, max| Seats { nominal: 50, min, max };
        let limits = adjust(&[(seats(20, 100), 200.0), (seats(20, 100), 0.0)], 100);
        assert_eq!(limits, [80, 20]);
        let limits = adjust(&[(seats(20, 60), 200.0), (seats(20, 100), 0.0)], 100);
        assert_eq!(limits[0], 60);
        let limits = adjust(&[(seats(20, 100), 70.0), (seats(20, 100), 70.0)], 100);
        assert_eq!(limits, [50, 50]);
    }
}
