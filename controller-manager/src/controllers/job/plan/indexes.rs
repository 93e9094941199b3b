//! Sets of completion indexes as intervals, in the text form of `status.completedIndexes`:
//! `1,3-5,7`.
//!
//! Upstream: `orderedIntervals` of `pkg/controller/job/indexed_job_utils.go`.

use std::collections::BTreeSet;

/// Disjoint intervals in growing order, never adjoining.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Indexes {
    /// First and last of each.
    intervals: Vec<(i32, i32)>,
}

impl Indexes {
    /// Reads the text form; what is at `completions` or beyond is cut off, and what is no interval
    /// is left out.
    pub(in super::super) fn parse(text: &str, completions: i32) -> Self {
        let mut intervals = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (Ok(first), Ok(last)) = (first.parse::<i32>(), last.parse::<i32>()) else {
                tracing::info!(interval = part, "ignoring a corrupted interval of indexes");
                continue;
            };
            if (0..completions).contains(&first) && last >= first {
                intervals.push((first, last.min(completions - 1)));
            }
        }
        Self::of(intervals)
    }

    fn of(mut intervals: Vec<(i32, i32)>) -> Self {
        intervals.sort_unstable();
        let mut merged: Vec<(i32, i32)> = Vec::with_capacity(intervals.len());
        for (first, last) in intervals {
            match merged.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Self { intervals: merged }
    }

    /// These and single others.
    pub(in super::super) fn with(&self, more: impl IntoIterator<Item = i32>) -> Self {
        let more = more.into_iter().map(|index| (index, index));
        Self::of(self.intervals.iter().copied().chain(more).collect())
    }

    /// These and those.
    pub(in super::super) fn union(&self, other: &Self) -> Self {
        Self::of(self.intervals.iter().chain(&other.intervals).copied().collect())
    }

    /// How many indexes there are.
    pub(in super::super) fn total(&self) -> i32 {
        self.intervals.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Whether there is none.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    /// Whether this index is one of them.
    pub(in super::super) fn has(&self, index: i32) -> bool {
        let next = self.intervals.partition_point(|(_, last)| *last < index);
        self.intervals.get(next).is_some_and(|(first, _)| *first <= index)
    }

    /// How many indexes are in both.
    pub(in super::super) fn overlap(&self, other: &Self) -> i32 {
        let (mut left, mut right) = (self.intervals.iter().peekable(), other.intervals.iter().peekable());
        let mut common = 0;
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            common += (a.1.min(b.1) - a.0.max(b.0) + 1).max(0);
            if a.1 <= b.1 {
                left.next()
            } else {
                right.next()
            };
        }
        common
    }

    /// The first `count` indexes below `completions` that are not among these.
    pub(in super::super) fn first_missing(&self, count: usize, completions: i32) -> Vec<i32> {
        let mut missing = Vec::with_capacity(count.min(500));
        let mut candidate = 0;
        for (first, last) in self.intervals.iter().copied().chain([(completions, completions)]) {
            let gap = candidate..first.min(completions);
            missing.extend(gap.take(count - missing.len()));
            candidate = candidate.max(last.saturating_add(1));
        }
        missing
    }
}

impl std::fmt::Display for Indexes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, (first, last)) in self.intervals.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                1 => write!(f, "{comma}{first},{last}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl FromIterator<i32> for Indexes {
    fn from_iter<I: IntoIterator<Item = i32>>(indexes: I) -> Self {
        Self::default().with(indexes.into_iter().collect::<BTreeSet<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let table = [
            ("", 10, "", 0),
            ("0", 10, "0", 1),
            ("0,1", 10, "0,1", 2),
            ("0-2", 10, "0-2", 3),
            ("1,3-5,7", 10, "1,3-5,7", 5),
            ("1,3-5,7", 5, "1,3,4", 3),
            ("0-1,2-3", 10, "0-3", 4),
            ("x,2,4-y", 10, "2", 1),
            ("7", 7, "", 0),
        ];
        for (text, completions, expected, total) in table {
            let indexes = Indexes::parse(text, completions);
            assert_eq!((indexes.to_string().as_str(), indexes.total()), (expected, total), "{text:?}");
        }
    }

    #[test]
    fn members() {
        let indexes = Indexes::parse("1,3-5,7", 10);
        let members: Vec<_> = (0..10).filter(|index| indexes.has(*index)).collect();
        assert_eq!(members, [1, 3, 4, 5, 7]);
        assert_eq!(indexes.with([2, 9]).to_string(), "1-5,7,9");
        assert_eq!(indexes.union(&Indexes::parse("0,6", 10)).to_string(), "0,1,3-7");
        assert_eq!(indexes.overlap(&Indexes::parse("0-3,7-9", 10)), 3);
        assert_eq!([7, 3, 3].into_iter().collect::<Indexes>().to_string(), "3,7");
    }

    #[test]
    fn what_is_missing_comes_in_order() {
        let table: [(&str, usize, i32, &[i32]); 6] = [
            ("", 2, 5, &[0, 1]),
            ("0,2", 2, 5, &[1, 3]),
            ("0-3", 2, 5, &[4]),
            ("1-2,4", 9, 6, &[0, 3, 5]),
            ("0-4", 3, 5, &[]),
            ("1", 0, 5, &[]),
        ];
        for (text, count, completions, expected) in table {
            assert_eq!(Indexes::parse(text, completions).first_missing(count, completions), expected, "{text:?}");
        }
    }
}
