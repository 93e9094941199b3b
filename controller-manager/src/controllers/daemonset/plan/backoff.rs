//! How often failed pods of a daemon set are replaced: after 1 s, doubled each time, at most 15 min.
//! Else the controller would race with a kubelet that rejects them.
//!
//! Upstream: `client-go/util/flowcontrol.Backoff`.

use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;

const FIRST: SignedDuration = SignedDuration::from_secs(1);
const LAST: SignedDuration = SignedDuration::from_mins(15);

/// What failed where: the set's uid, the generation, the node.
pub(super) type Place = (String, i64, String);

/// The delays in force.
#[derive(Debug, Default)]
pub(in super::super) struct Backoffs {
    delays: HashMap<Place, (SignedDuration, Timestamp)>,
}

impl Backoffs {
    /// How long to wait before a failed pod there is replaced; `None` if that may happen now, which
    /// makes the next wait longer.
    pub(super) fn wait(&mut self, place: Place, now: Timestamp) -> Option<SignedDuration> {
        self.delays.retain(|_, (_, since)| now.duration_since(*since) <= LAST + LAST);
        if let Some((delay, since)) = self.delays.get(&place) {
            let left = *delay - now.duration_since(*since);
            if left.is_positive() {
                return Some(left);
            }
        }
        let delay = self.delays.get(&place).map_or(FIRST, |(delay, _)| (*delay + *delay).min(LAST));
        self.delays.insert(place, (delay, now));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_are_forgotten() {
        let mut backoffs = Backoffs::default();
        let mut wait = |second: i64| {
            let place = ("u".to_owned(), 1, "n".to_owned());
            backoffs.wait(place, Timestamp::from_second(second).unwrap()).map(|left| left.as_secs())
        };
        let table =
            [(0, None), (0, Some(1)), (1, None), (2, Some(1)), (3, None), (4, Some(3)), (9000, None), (9000, Some(1))];
        for (second, expected) in table {
            assert_eq!(wait(second), expected, "at {second}");
        }
    }
}
