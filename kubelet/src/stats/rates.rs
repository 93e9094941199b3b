//! From counters to rates: how fast the processor is used, from one look to the next.

use std::collections::HashMap;
use std::time::Duration;

/// Looks that follow each other sooner than this tell nothing new.
const SHORTEST: Duration = Duration::from_secs(1);

/// What was seen last of one counter.
#[derive(Clone, Copy, Debug)]
struct Seen {
    at_nanos: i128,
    value: u64,
    rate: Option<u64>,
}

/// The counters that were seen last.
#[derive(Clone, Debug, Default)]
pub(super) struct Rates {
    seen: HashMap<String, Seen>,
}

impl Rates {
    /// Nanoseconds of a core in each second since the last look, of the counter `key` that reads `value` now.
    pub(super) fn look(&mut self, key: &str, at_nanos: i128, value: u64) -> Option<u64> {
        let before = self.seen.get(key).copied();
        let rate = match before {
            // A counter that went back is another one.
            Some(seen) if value >= seen.value => {
                let elapsed = at_nanos.saturating_sub(seen.at_nanos);
                if elapsed < i128::try_from(SHORTEST.as_nanos()).unwrap_or(i128::MAX) {
                    return seen.rate;
                }
                let used = i128::from(value - seen.value);
                u64::try_from(used.saturating_mul(1_000_000_000) / elapsed).ok()
            }
            _ => None,
        };
        self.seen.insert(key.to_owned(), Seen { at_nanos, value, rate });
        rate
    }

    /// Forgets the counters that are gone.
    pub(super) fn keep(&mut self, is_there: impl Fn(&str) -> bool) {
        self.seen.retain(|key, _| is_there(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_needs_two_looks() {
        let (mut rates, second) = (Rates::default(), 1_000_000_000_i128);
        assert_eq!(rates.look("a", 0, 100), None);
        assert_eq!(rates.look("a", 2 * second, 1_000_000_100), Some(500_000_000));
        // Too soon: what was known stays.
        assert_eq!(rates.look("a", 2 * second + 1, 9_000_000_000), Some(500_000_000));
        // Started again.
        assert_eq!(rates.look("a", 4 * second, 5), None);
        rates.keep(|key| key != "a");
        assert_eq!(rates.look("a", 6 * second, 6), None);
    }
}
