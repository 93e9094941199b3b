//! Whether a history is one that a linearizable store with complete watches can have.
//!
//! etcd's revisions are the witness: they order all changes, so that no search is needed. A read is
//! right if the state it shows was current at some moment between its call and its return.

use crate::history::{After, Change, History, Moment, Operation, Seen, Segment, What};
use std::collections::{BTreeMap, HashMap, HashSet};

/// The changes that happened, ready to be asked.
struct Truth<'a> {
    changes: &'a [Change],
    by_revision: HashMap<u64, &'a Change>,
    by_key: BTreeMap<&'a str, Vec<&'a Change>>,
}

/// Revisions that bound what an operation can have seen or done.
struct Bounds {
    /// By end: the highest revision that was acknowledged until then.
    known: Vec<(Moment, u64)>,
    /// By begin: the lowest revision that was made by a write that began then or later.
    future: Vec<(Moment, u64)>,
}

/// All violations, as sentences.
pub(crate) fn violations(history: &History, changes: &[Change]) -> Vec<String> {
    let truth = Truth::of(changes);
    let bounds = Bounds::of(&history.operations);
    let mut found = lost_or_invented(&history.operations, &truth);
    for operation in &history.operations {
        let (least, most) = (bounds.least(operation.begin), bounds.most(operation.end));
        found.extend(truth.judge(operation, least, most));
    }
    found.extend(history.segments.iter().filter_map(|segment| truth.watch(segment)));
    found
}

/// Refused writes that happened all the same, and writes of nobody.
fn lost_or_invented(operations: &[Operation], truth: &Truth<'_>) -> Vec<String> {
    let mut possible = HashSet::new();
    let mut found = Vec::new();
    let happened: HashSet<u64> = truth.changes.iter().filter_map(|change| change.value).collect();
    for operation in operations {
        match operation.what {
            What::Wrote { value, .. } | What::MayHaveWritten { value } => drop(possible.insert(value)),
            What::Refused { value } if happened.contains(&value) => {
                found.push(format!("value {value} was refused and is there"));
            }
            _ => {}
        }
    }
    let mut times: HashMap<u64, u32> = HashMap::new();
    for value in truth.changes.iter().filter_map(|change| change.value) {
        *times.entry(value).or_default() += 1;
    }
    found
        .extend(times.iter().filter(|(_, n)| **n > 1).map(|(value, n)| format!("value {value} was written {n} times")));
    found.extend(happened.difference(&possible).map(|value| format!("nobody wrote value {value}")));
    found
}

impl<'a> Truth<'a> {
    fn of(changes: &'a [Change]) -> Self {
        let by_revision = changes.iter().map(|change| (change.revision, change)).collect();
        let mut by_key: BTreeMap<&str, Vec<&Change>> = BTreeMap::new();
        for change in changes {
            by_key.entry(&change.key).or_default().push(change);
        }
        Self { changes, by_revision, by_key }
    }

    fn of_key(&self, key: &str) -> &[&'a Change] {
        self.by_key.get(key).map_or(&[], Vec::as_slice)
    }

    /// The change of a key that is in force at a revision.
    fn at(&self, key: &str, revision: u64) -> Option<&'a Change> {
        let changes = self.of_key(key);
        changes[..changes.partition_point(|change| change.revision <= revision)].last().copied()
    }

    fn judge(&self, operation: &Operation, least: u64, most: u64) -> Option<String> {
        let wrong = match &operation.what {
            What::Wrote { key, value, revision, after } => self.wrote(key, *value, *revision, *after, least),
            What::MayHaveWritten { .. } | What::Refused { .. } => None,
            What::Deleted { key } => self.deleted(key, least, most),
            What::Read { key, found } => self.read(key, *found, least, most),
            What::Listed { revision, objects } => self.listed(*revision, objects, least),
        };
        wrong.map(|why| format!("{why}: {operation:?}, bounds {least}..{most}"))
    }

    fn wrote(&self, key: &str, value: u64, revision: u64, after: After, least: u64) -> Option<String> {
        match self.by_revision.get(&revision) {
            Some(change) if change.key == key && change.value == Some(value) => {}
            other => return Some(format!("an acknowledged write is not there (but {other:?})")),
        }
        if revision <= least {
            return Some("a write is older than what was known before it began".to_owned());
        }
        let before = self.at(key, revision - 1).filter(|change| change.value.is_some());
        let right = match after {
            After::Absence => before.is_none(),
            After::Presence => before.is_some(),
            After::Revision(expected) => before.is_some_and(|change| change.revision == expected),
        };
        (!right).then(|| format!("a write came after {before:?}"))
    }

    fn deleted(&self, key: &str, least: u64, most: u64) -> Option<String> {
        let fits = |change: &&&Change| change.value.is_none() && change.revision > least && change.revision < most;
        self.of_key(key).iter().find(fits).is_none().then(|| "an acknowledged delete is not there".to_owned())
    }

    fn read(&self, key: &str, found: Option<Seen>, least: u64, most: u64) -> Option<String> {
        if let Some(seen) = found {
            let same = |change: &&&Change| change.key == key && change.value == Some(seen.value);
            if self.by_revision.get(&seen.revision).filter(same).is_none() {
                return Some("a read of what never was".to_owned());
            }
        }
        // The state shown must be in force at some revision between the bounds.
        let changes = self.of_key(key);
        let start = changes.partition_point(|change| change.revision <= least);
        let possible = self.at(key, least).into_iter().map(Some).chain((start == 0).then_some(None));
        let later = changes[start..].iter().take_while(|change| change.revision < most).map(|change| Some(*change));
        let shown = |state: Option<&Change>| match (found, state.and_then(|change| change.value)) {
            (None, None) => true,
            (Some(seen), Some(_)) => state.is_some_and(|change| change.revision == seen.revision),
            _ => false,
        };
        (!possible.chain(later).any(shown)).then(|| "a read of a state that was not current".to_owned())
    }

    fn listed(&self, revision: u64, objects: &BTreeMap<String, Seen>, least: u64) -> Option<String> {
        if revision < least {
            return Some("a list is older than what was known before it began".to_owned());
        }
        let state = self.by_key.keys().filter_map(|key| {
            let change = self.at(key, revision)?;
            Some(((*key).to_owned(), Seen { revision: change.revision, value: change.value? }))
        });
        let state: BTreeMap<String, Seen> = state.collect();
        (state != *objects).then(|| format!("a list is not the state of its revision, {state:?}"))
    }

    fn watch(&self, segment: &Segment) -> Option<String> {
        let start = self.changes.partition_point(|change| change.revision <= segment.from);
        let end = self.changes.partition_point(|change| change.revision <= segment.until);
        let want = self.changes.get(start..end).unwrap_or_default();
        if want == segment.events {
            return None;
        }
        let differs = want.iter().zip(&segment.events).position(|(want, got)| want != got);
        let at = differs.unwrap_or(want.len().min(segment.events.len()));
        Some(format!(
            "a watch from {} to {} differs at its event {at}: wanted {:?}, got {:?}",
            segment.from,
            segment.until,
            want.get(at),
            segment.events.get(at)
        ))
    }
}

impl Bounds {
    fn of(operations: &[Operation]) -> Self {
        let mut known: Vec<(Moment, u64)> =
            operations.iter().filter_map(|o| Some((o.end, o.what.revision()?))).collect();
        known.sort_unstable();
        let mut highest = 0;
        for entry in &mut known {
            highest = highest.max(entry.1);
            entry.1 = highest;
        }
        let made = operations.iter().filter(|o| matches!(o.what, What::Wrote { .. }));
        let mut future: Vec<(Moment, u64)> = made.filter_map(|o| Some((o.begin, o.what.revision()?))).collect();
        future.sort_unstable();
        let mut lowest = u64::MAX;
        for entry in future.iter_mut().rev() {
            lowest = lowest.min(entry.1);
            entry.1 = lowest;
        }
        Self { known, future }
    }

    /// What everybody can know at a moment.
    fn least(&self, at: Moment) -> u64 {
        let before = self.known.partition_point(|(end, _)| *end < at);
        before.checked_sub(1).map_or(0, |last| self.known[last].1)
    }

    /// What nobody can have seen until a moment.
    fn most(&self, at: Moment) -> u64 {
        let until = self.future.partition_point(|(begin, _)| *begin <= at);
        self.future.get(until).map_or(u64::MAX, |entry| entry.1)
    }
}

impl What {
    /// A revision that existed when the operation returned.
    fn revision(&self) -> Option<u64> {
        match self {
            What::Wrote { revision, .. } | What::Listed { revision, .. } => Some(*revision),
            What::Read { found, .. } => found.map(|seen| seen.revision),
            What::MayHaveWritten { .. } | What::Refused { .. } | What::Deleted { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(revision: u64, key: &str, value: u64) -> Change {
        Change { revision, key: key.into(), value: Some(value) }
    }

    fn gone(revision: u64, key: &str) -> Change {
        Change { revision, key: key.into(), value: None }
    }

    fn wrote(begin: Moment, end: Moment, value: u64, revision: u64, after: After) -> Operation {
        Operation { begin, end, what: What::Wrote { key: "a".into(), value, revision, after } }
    }

    fn read(begin: Moment, end: Moment, found: Option<(u64, u64)>) -> Operation {
        let found = found.map(|(revision, value)| Seen { revision, value });
        Operation { begin, end, what: What::Read { key: "a".into(), found } }
    }

    fn judged(operations: Vec<Operation>, changes: &[Change]) -> Vec<String> {
        violations(&History { operations, segments: Vec::new() }, changes)
    }

    #[test]
    fn what_happened_in_order_is_right() {
        let changes = [put(5, "a", 1), put(6, "a", 2), gone(7, "a")];
        let deleted = Operation { begin: 50, end: 60, what: What::Deleted { key: "a".into() } };
        let operations = vec![
            read(0, 5, None),
            wrote(10, 20, 1, 5, After::Absence),
            read(25, 28, Some((5, 1))),
            wrote(30, 40, 2, 6, After::Revision(5)),
            deleted,
            read(70, 80, None),
        ];
        assert_eq!(judged(operations, &changes), Vec::<String>::new());
    }

    #[test]
    fn finds_what_cannot_be() {
        let changes = [put(5, "a", 1), put(6, "a", 2)];
        let first = || wrote(10, 20, 1, 5, After::Absence);
        let second = |after| wrote(30, 40, 2, 6, after);
        let listed = |revision, value| {
            let objects = BTreeMap::from([("a".to_owned(), Seen { revision: value + 4, value })]);
            Operation { begin: 50, end: 60, what: What::Listed { revision, objects } }
        };
        for (what, operations, want) in [
            ("a stale read", vec![first(), second(After::Presence), read(50, 60, Some((5, 1)))], "not current"),
            ("a read of absence", vec![first(), second(After::Presence), read(50, 60, None)], "not current"),
            (
                "a read ahead of its write",
                vec![read(0, 5, Some((5, 1))), first(), second(After::Presence)],
                "not current",
            ),
            ("a lost write", vec![first(), second(After::Presence), wrote(50, 60, 3, 7, After::Presence)], "not there"),
            ("a lost update", vec![first(), second(After::Revision(4))], "came after"),
            ("a second create", vec![first(), second(After::Absence)], "came after"),
            ("a write of nobody", vec![first()], "nobody wrote value 2"),
            (
                "a refused write",
                vec![first(), Operation { begin: 30, end: 40, what: What::Refused { value: 2 } }],
                "was refused and is there",
            ),
            ("an old list", vec![first(), second(After::Presence), listed(5, 1)], "older than what was known"),
            ("a wrong list", vec![first(), second(After::Presence), listed(6, 1)], "not the state of its revision"),
        ] {
            let found = judged(operations, &changes);
            assert!(found.iter().any(|text| text.contains(want)), "{what}: {found:?}");
        }
    }

    #[test]
    fn watches_show_everything_once() {
        let changes = [put(5, "a", 1), put(6, "b", 2), gone(8, "a")];
        for (from, until, events, right) in [
            (4, 8, changes.to_vec(), true),
            (5, 7, vec![put(6, "b", 2)], true),
            (4, 8, vec![put(5, "a", 1), gone(8, "a")], false),
            (4, 6, vec![put(6, "b", 2), put(5, "a", 1)], false),
            (4, 6, vec![put(5, "a", 1), put(5, "a", 1), put(6, "b", 2)], false),
        ] {
            let segment = Segment { from, events, until };
            assert_eq!(Truth::of(&changes).watch(&segment).is_none(), right, "{segment:?}");
        }
    }
}
