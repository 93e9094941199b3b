//! Answers that hold for a while.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Answers that are kept; past it those that no longer hold go, and if that is not enough, all.
const MOST: usize = 8192;

/// Values by key, each with its end.
#[derive(Debug)]
pub struct Expiring<K, V>(Mutex<HashMap<K, (Instant, V)>>);

impl<K, V> Default for Expiring<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Expiring<K, V> {
    /// The value that still holds.
    pub fn get(&self, key: &K) -> Option<V> {
        let kept = self.0.lock();
        kept.get(key).filter(|(end, _)| *end > Instant::now()).map(|(_, value)| value.clone())
    }

    /// Keeps a value for a while; not at all if that is no time.
    pub fn keep(&self, key: K, value: V, life: Duration) {
        if life.is_zero() {
            return;
        }
        let now = Instant::now();
        let mut kept = self.0.lock();
        if kept.len() >= MOST {
            kept.retain(|_, (end, _)| *end > now);
        }
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert(key, (now + life, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_hold_for_a_while() {
        let kept = Expiring::default();
        kept.keep("a", 1, Duration::from_secs(60));
        kept.keep("b", 2, Duration::ZERO);
        assert_eq!((kept.get(&"a"), kept.get(&"b")), (Some(1), None));
    }

    #[test]
    fn memory_is_bounded() {
        let kept = Expiring::default();
        (0..=MOST).for_each(|n| kept.keep(n, n, Duration::from_secs(60)));
        assert_eq!(kept.0.lock().len(), 1);
        assert_eq!(kept.get(&MOST), Some(MOST));
    }
}
