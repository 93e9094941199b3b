//! Durations as people say them.
//!
//! Upstream: `apimachinery/pkg/util/duration`, `HumanDuration`.

use jiff::Timestamp;

/// The time from `since` to `now`; one or two units, coarser the longer it is.
pub fn human(now: Timestamp, since: Timestamp) -> String {
    of_millis(now.as_millisecond() - since.as_millisecond())
}

/// A duration in milliseconds.
pub(crate) fn of_millis(millis: i64) -> String {
    // Go truncates towards zero; clocks may differ by up to two seconds.
    match millis / 1000 {
        ..=-2 => "<invalid>".into(),
        -1 => "0s".into(),
        seconds => of_seconds(seconds),
    }
}

fn of_seconds(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match () {
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if hours < 192 => two(days, "d", hours % 24, "h"),
        () if days < 365 * 2 => format!("{days}d"),
        () if days < 365 * 8 => two(days / 365, "y", days % 365, "d"),
        () => format!("{}y", days / 365),
    }
}

fn two(coarse: i64, coarse_unit: &str, fine: i64, fine_unit: &str) -> String {
    match fine {
        0 => format!("{coarse}{coarse_unit}"),
        _ => format!("{coarse}{coarse_unit}{fine}{fine_unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coarser_the_longer() {
        const DAY: i64 = 86400;
        for (seconds, want) in [
            (-5, "<invalid>"),
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (1, "1s"),
            (119, "119s"),
            (120, "2m"),
            (121, "2m1s"),
            (599, "9m59s"),
            (600, "10m"),
            (3 * 3600 - 1, "179m"),
            (3 * 3600, "3h"),
            (8 * 3600 - 60, "7h59m"),
            (8 * 3600, "8h"),
            (2 * DAY - 1, "47h"),
            (2 * DAY, "2d"),
            (2 * DAY + 3600, "2d1h"),
            (8 * DAY, "8d"),
            (2 * 365 * DAY - 1, "729d"),
            (2 * 365 * DAY, "2y"),
            (2 * 365 * DAY + DAY, "2y1d"),
            (8 * 365 * DAY, "8y"),
        ] {
            assert_eq!(of_millis(seconds * 1000), want, "{seconds}");
        }
    }
}
