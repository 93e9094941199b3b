//! The state of one resource in memory: what is, what happened lately, and who watches.
//!
//! Invariant: changes are applied in revision order, by one task. Readers take what they need
//! under a short read lock; whole states are persistent maps and cost nothing to keep.
//!
//! Upstream: `apiserver/pkg/storage/cacher`.

mod history;
mod index;
mod select;
mod state;
mod terms;
mod watchers;

pub(crate) use history::{Position, Recent, Recorded};
pub(crate) use select::{Span, count_after, scan};
pub(crate) use state::Objects;
pub(crate) use watchers::Slot;

use crate::StorageError;
use crate::backend::RawEvent;
use crate::form::Form;
use crate::object::Object;
use crate::query::Selection;
use apimachinery::gvk::GroupResource;
use apimachinery::resources::ResourceInfo;
use parking_lot::{Mutex, RwLock};
use state::State;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Instant;
use watchers::Watchers;

/// The cache of all objects below one storage prefix.
#[derive(Debug)]
pub(crate) struct Cache {
    /// Storage prefix with a slash: `pods/`.
    prefix: Box<str>,
    /// Group and plural, for metrics.
    resource: GroupResource,
    form: RwLock<Arc<Form>>,
    state: RwLock<State>,
    watchers: Mutex<Watchers>,
    /// Says that the first state is in, or that the resource is gone.
    news: watch::Sender<Life>,
    /// Why the first state cannot be read at present.
    sealed: Mutex<Option<StorageError>>,
    /// Held while the first state is being read.
    pub(crate) loading: tokio::sync::Mutex<()>,
}

/// How far the cache of a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// The first state is being read.
    Loading,
    /// Serves.
    Ready,
    /// The resource is gone, or another cache has taken its place; watches end.
    Closed,
}

/// A change on its way into the cache.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) key: Box<str>,
    pub(crate) revision: u64,
    pub(crate) change: Change,
}

/// What a change does.
#[derive(Debug)]
pub(crate) enum Change {
    Put(Arc<Object>),
    /// With the last state to show, if this server knows a newer one than the cache.
    Delete(Option<Arc<Object>>),
}

impl Cache {
    pub(crate) fn new(resource: &ResourceInfo, protobuf: bool) -> Self {
        let prefix = format!("{}/", resource.storage_prefix).into();
        Self::empty(prefix, resource.group_resource(), Arc::new(Form::new(resource, protobuf)))
    }

    /// An empty cache of the same resource.
    pub(crate) fn anew(&self) -> Self {
        Self::empty(self.prefix.clone(), self.resource.clone(), self.form())
    }

    fn empty(prefix: Box<str>, resource: GroupResource, form: Arc<Form>) -> Self {
        Self {
            prefix,
            resource,
            form: RwLock::new(form),
            state: RwLock::new(State::default()),
            watchers: Mutex::default(),
            news: watch::Sender::new(Life::Loading),
            sealed: Mutex::default(),
            loading: tokio::sync::Mutex::default(),
        }
    }

    /// Why its first state cannot be read at present, if that is so.
    pub(crate) fn sealed(&self) -> Option<StorageError> {
        self.sealed.lock().clone()
    }

    /// Says why its first state cannot be read at present. Whether nobody had said so before.
    pub(crate) fn seal(&self, why: StorageError) -> bool {
        self.sealed.lock().replace(why).is_none()
    }

    /// How far it is.
    pub(crate) fn life(&self) -> Life {
        *self.news.borrow()
    }

    /// Waits until the first state is in.
    pub(crate) async fn ready(&self) {
        let mut news = self.news.subscribe();
        // The sender lives as long as this does.
        let _ = news.wait_for(|life| *life != Life::Loading).await;
    }

    /// Ends all watches.
    pub(crate) fn close(&self) {
        self.news.send_replace(Life::Closed);
        self.watchers.lock().wake_all();
    }

    /// Storage prefix with a slash.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Group and plural name.
    pub(crate) fn resource(&self) -> &GroupResource {
        &self.resource
    }

    pub(crate) fn form(&self) -> Arc<Form> {
        self.form.read().clone()
    }

    /// Takes in another version (or a new schema) of the resource: objects whose selectable
    /// fields are new are taken apart again.
    pub(crate) fn adopt(&self, resource: &ResourceInfo) {
        let Some(form) = self.form.read().merged(resource) else { return };
        let form = Arc::new(form);
        *self.form.write() = form.clone();
        self.state.write().reform(&form);
    }

    /// Whether the first state is loaded.
    pub(crate) fn is_ready(&self) -> bool {
        self.state.read().is_ready()
    }

    /// Keeps an event for later if the first state is still being loaded; gives it back if not.
    pub(crate) fn defer(&self, event: RawEvent) -> Option<RawEvent> {
        if self.is_ready() {
            return Some(event);
        }
        self.state.write().defer(event)
    }

    /// Forgets what was kept for later: a state that is read from now on has it.
    pub(crate) fn forget_deferred(&self) {
        self.state.write().forget_deferred();
    }

    /// Sets the first state, as of `revision`. Returns the events to apply on top.
    pub(crate) fn load(&self, objects: Vec<Arc<Object>>, revision: u64) -> Vec<RawEvent> {
        let deferred = self.state.write().load(objects, revision);
        *self.sealed.lock() = None;
        self.news.send_if_modified(|life| std::mem::replace(life, Life::Ready) == Life::Loading);
        deferred
    }

    /// Applies changes in order and wakes the watchers that they may concern. If a crowd of them is
    /// still busy, the answer is when [`Self::release`] is to wake them.
    #[must_use]
    pub(crate) fn apply(&self, changes: Vec<Incoming>) -> Option<Instant> {
        let news = {
            let mut state = self.state.write();
            let first = state.recent().end();
            changes.into_iter().for_each(|change| state.apply(change));
            state.recent().since(first)
        };
        self.watchers.lock().tell(&news, Instant::now())
    }

    /// Wakes the watchers for what was held back.
    pub(crate) fn release(&self) {
        // Under the lock, so that what is applied meanwhile is either in the news or held anew.
        let mut watchers = self.watchers.lock();
        let Some(held) = watchers.held() else { return };
        let news = self.recent(|recent| recent.since(held));
        watchers.release(&news, Instant::now());
    }

    /// Position of the first event that nobody was woken for yet.
    pub(crate) fn held(&self) -> Option<Position> {
        self.watchers.lock().held()
    }

    /// Adds events of the past, of the revisions in `(from, until]`.
    pub(crate) fn prepend(&self, events: Vec<Recorded>, from: u64, until: u64) {
        self.state.write().prepend(events, from, until);
    }

    /// Replaces the state after a gap in the watch; the differences become events, as in
    /// [`Self::apply`].
    #[must_use]
    pub(crate) fn replace(&self, objects: Vec<Arc<Object>>, revision: u64) -> Option<Instant> {
        let changes = self.state.read().difference(objects, revision);
        let later = self.apply(changes);
        self.state.write().gap_until(revision);
        later
    }

    /// The object of this key.
    pub(crate) fn get(&self, key: &str) -> Option<Arc<Object>> {
        self.state.read().objects().get(key).map(|entry| entry.object.clone())
    }

    pub(crate) fn len(&self) -> usize {
        self.state.read().objects().len()
    }

    /// The state now and the revision it stands for, given that everything up to `observed` was
    /// applied when the caller looked.
    pub(crate) fn now(&self, observed: u64) -> (Objects, u64) {
        let state = self.state.read();
        (state.objects().clone(), state.revision().max(observed))
    }

    /// Selected objects of the state now, in key order, and their revision as in [`Self::now`].
    pub(crate) fn select(&self, selection: &Selection, span: &Span, observed: u64) -> (Vec<Arc<Object>>, u64) {
        let (objects, revision, found) = {
            let state = self.state.read();
            let found = state.find(selection, span);
            (state.objects().clone(), state.revision().max(observed), found)
        };
        match found {
            Some(found) => (select::filter(found, selection, span), revision),
            None => (select::scan(&objects, selection, span), revision),
        }
    }

    /// The state as of an earlier revision, if it is still known.
    pub(crate) fn at(&self, revision: u64) -> Option<Objects> {
        let undo = {
            let state = self.state.read();
            match state.remembered(revision)? {
                state::Remembered::State(objects) => return Some(objects),
                state::Remembered::Undo(undo) => undo,
            }
        };
        let (objects, until) = undo.run();
        self.state.write().remember(objects.clone(), revision, until);
        Some(objects)
    }

    /// Keeps a state that a client is paging through.
    pub(crate) fn remember(&self, objects: Objects, revision: u64) {
        self.state.write().remember_now(objects, revision);
    }

    /// Forgets states that etcd has compacted.
    pub(crate) fn compact(&self, revision: u64) {
        self.state.write().compact(revision);
    }

    /// Registers a watcher. To be called before its position is taken, so that it misses nothing.
    pub(crate) fn register(&self, selection: &Selection, bookmarks: bool) -> Arc<Slot> {
        self.watchers.lock().register(self.prefix(), selection, bookmarks)
    }

    pub(crate) fn unregister(&self, slot: &Arc<Slot>) {
        self.watchers.lock().unregister(slot);
    }

    /// Makes a sixtieth of the watchers send a bookmark.
    pub(crate) fn bookmark(&self, tick: u64) {
        self.watchers.lock().bookmark(tick);
    }

    /// Runs `read` on the recent events.
    pub(crate) fn recent<T>(&self, read: impl FnOnce(&Recent) -> T) -> T {
        read(self.state.read().recent())
    }

    /// State, revision and the position of the next event, all at one time.
    pub(crate) fn start(&self, selection: &Selection, observed: u64) -> (Vec<Arc<Object>>, u64, Position) {
        let span = Span::all(self.prefix(), selection);
        let (objects, revision, found, position) = {
            let state = self.state.read();
            let found = state.find(selection, &span);
            (state.objects().clone(), state.revision().max(observed), found, state.recent().end())
        };
        let selected = match found {
            Some(found) => select::filter(found, selection, &span),
            None => select::scan(&objects, selection, &span),
        };
        (selected, revision, position)
    }
}
