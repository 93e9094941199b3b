//! This server's own writes, until the watch has brought them back: the event is then matched by
//! its bytes and not decoded again.

use crate::encode::Draft;
use crate::object::Object;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// Writes under way, and writes that the watch has not shown yet.
#[derive(Debug, Default)]
pub(crate) struct OwnWrites {
    by_key: Mutex<HashMap<Box<str>, Vec<Arc<OwnWrite>>>>,
}

/// One write.
#[derive(Debug)]
pub(crate) struct OwnWrite {
    shown: Shown,
    /// The bytes for etcd; `None` for a deletion.
    pub(crate) stored: Option<Vec<u8>>,
    object: OnceLock<Arc<Object>>,
}

/// What clients see of a write, but for its revision.
#[derive(Debug)]
enum Shown {
    Draft(Draft),
    /// A deletion shows what was there.
    Last(Arc<Object>),
}

impl OwnWrite {
    pub(crate) fn put(draft: Draft, stored: Vec<u8>) -> Arc<Self> {
        Self::new(Shown::Draft(draft), Some(stored))
    }

    /// A deletion, whose last state is a new one.
    pub(crate) fn delete_as(draft: Draft) -> Arc<Self> {
        Self::new(Shown::Draft(draft), None)
    }

    pub(crate) fn delete(last: Arc<Object>) -> Arc<Self> {
        Self::new(Shown::Last(last), None)
    }

    fn new(shown: Shown, stored: Option<Vec<u8>>) -> Arc<Self> {
        Arc::new(Self { shown, stored, object: OnceLock::new() })
    }

    /// The object at the revision of this write, the same one for writer and watch.
    fn at(&self, revision: u64) -> Arc<Object> {
        let object = self.object.get_or_init(|| self.make(revision));
        match object.revision() == revision {
            true => object.clone(),
            // Somebody else wrote the same bytes at another revision.
            false => self.make(revision),
        }
    }

    fn make(&self, revision: u64) -> Arc<Object> {
        Arc::new(match (&self.shown, &self.stored) {
            (Shown::Draft(draft), Some(stored)) => draft.written(stored, revision),
            (Shown::Draft(draft), None) => draft.at(revision),
            (Shown::Last(last), _) => last.at_revision(revision),
        })
    }
}

impl OwnWrites {
    /// Announces a write before it is sent. It is forgotten when the guard is dropped without
    /// [`Sent::done`].
    pub(crate) fn announce(&self, key: &str, write: Arc<OwnWrite>) -> Sent<'_> {
        self.by_key.lock().entry(key.into()).or_default().push(write.clone());
        Sent { writes: self, key: key.into(), write, is_done: false }
    }

    /// The write that an event with this value (`None`: a deletion) shows.
    pub(crate) fn take(&self, key: &str, value: Option<&[u8]>, revision: u64) -> Option<Arc<Object>> {
        let write = self.remove(key, |write| write.stored.as_deref() == value)?;
        Some(write.at(revision))
    }

    /// The newest state of a key that was written here and not seen by the watch yet.
    pub(crate) fn newest(&self, key: &str) -> Option<Arc<Object>> {
        let writes = self.by_key.lock();
        let done = writes.get(key)?.iter().filter(|write| write.stored.is_some()).filter_map(|w| w.object.get());
        done.max_by_key(|object| object.revision()).cloned()
    }

    /// Forgets writes that a fresh list has covered.
    pub(crate) fn forget_until(&self, revision: u64) {
        self.by_key.lock().retain(|_, writes| {
            writes.retain(|write| write.object.get().is_none_or(|object| object.revision() > revision));
            !writes.is_empty()
        });
    }

    fn remove(&self, key: &str, is_it: impl Fn(&OwnWrite) -> bool) -> Option<Arc<OwnWrite>> {
        let mut writes = self.by_key.lock();
        let of_key = writes.get_mut(key)?;
        let write = of_key.remove(of_key.iter().position(|write| is_it(write))?);
        if of_key.is_empty() {
            writes.remove(key);
        }
        Some(write)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.by_key.lock().len()
    }
}

/// A write that was announced.
#[derive(Debug)]
pub(crate) struct Sent<'a> {
    writes: &'a OwnWrites,
    key: Box<str>,
    write: Arc<OwnWrite>,
    is_done: bool,
}

impl Sent<'_> {
    /// etcd has taken the write; `seen` is whether the watch has passed its revision already.
    pub(crate) fn done(mut self, revision: u64, seen: bool) -> Arc<Object> {
        let object = self.write.at(revision);
        self.is_done = !seen;
        object
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.writes.remove(&self.key, |write| std::ptr::eq(write, &*self.write));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    const KEY: &str = "things/ns/a";

    fn write(app: &str) -> Arc<OwnWrite> {
        let mut value = testing::thing("ns", "a", app, "");
        let draft = Draft::new(&testing::form(), KEY, &mut value);
        let stored = draft.stored(&value);
        OwnWrite::put(draft, stored)
    }

    #[test]
    fn writer_and_watch_share_one_object() {
        let writes = OwnWrites::default();
        let write = write("x");
        let sent = writes.announce(KEY, write.clone());
        let answered = sent.done(5, false);
        assert!(Arc::ptr_eq(&writes.newest(KEY).expect("known"), &answered));
        let seen = writes.take(KEY, write.stored.as_deref(), 5).expect("matched");
        assert!(Arc::ptr_eq(&seen, &answered));
        assert_eq!(writes.len(), 0);
    }

    #[test]
    fn the_watch_may_be_faster_than_the_answer() {
        let writes = OwnWrites::default();
        let write = write("x");
        let sent = writes.announce(KEY, write.clone());
        let seen = writes.take(KEY, write.stored.as_deref(), 5).expect("matched");
        assert!(Arc::ptr_eq(&seen, &sent.done(5, true)));
        assert_eq!(writes.len(), 0);
    }

    #[test]
    fn failed_and_foreign_writes_do_not_match() {
        let writes = OwnWrites::default();
        let (mine, other) = (write("x"), write("y"));
        let sent = writes.announce(KEY, mine.clone());
        assert!(writes.take(KEY, other.stored.as_deref(), 5).is_none());
        assert!(writes.take("things/ns/b", mine.stored.as_deref(), 5).is_none());
        drop(sent);
        assert!(writes.take(KEY, mine.stored.as_deref(), 5).is_none());
        assert_eq!(writes.len(), 0);
    }

    #[test]
    fn a_list_covers_older_writes() {
        let writes = OwnWrites::default();
        writes.announce(KEY, write("x")).done(5, false);
        writes.forget_until(4);
        assert_eq!(writes.len(), 1);
        writes.forget_until(5);
        assert_eq!(writes.len(), 0);
    }
}
